"""POST /webhooks/{gateway}: verify the raw bytes, store them, answer once they are committed.

400 is for signature, header and size failures only. A database that is away answers 503, so that the gateway comes
again. Plain Starlette routes: a decorated FastAPI route costs 1.6 times as much.
"""

from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from counterfoil.domain.errors import CounterfoilError, Problem, TooLargeError
from counterfoil.services import inbox
from counterfoil.services.context import Context
from counterfoil.services.inbox import Writer
from counterfoil.services.metrics import Metrics
from counterfoil.web import problems

# Stripe's largest events are some hundred kB (long line item lists); Razorpay's a few kB.
BODY_BYTES: Final = 1_048_576


class Hooks:
    """The two webhook endpoints, over one writer."""

    def __init__(self, ctx: Context, writer: Writer, metrics: Metrics) -> None:
        self._ctx, self._writer, self._metrics = ctx, writer, metrics

    async def stripe(self, request: Request) -> Response:
        return await self._receive("stripe", request)

    async def razorpay(self, request: Request) -> Response:
        return await self._receive("razorpay", request)

    async def _receive(self, gateway: str, request: Request) -> Response:
        try:
            body = await _bytes(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except TooLargeError as large:
            self._metrics.webhooks.labels(gateway, "too_large").inc()
            return problems.response(Problem.SIGNATURE_REFUSED, large.detail, **large.facts)
        try:
            headers = request.scope["headers"]
            verifier = inbox.verify(self._ctx, gateway, headers, body)
            await self._writer.store(inbox.delivery(self._ctx, verifier, headers, body))
        except CounterfoilError as refused:
            self._metrics.webhooks.labels(gateway, refused.problem.slug).inc()
            return problems.of_error(refused)
        self._metrics.webhooks.labels(gateway, "stored").inc()
        self._metrics.webhook_secrets.labels(gateway, verifier.secret_id).inc()
        return Response(status_code=200)


async def _bytes(request: Request) -> bytes:
    """The raw body. Raises TooLargeError as soon as more than the limit has come (web/limits.py counts)."""
    request.scope["counterfoil.body_limit"] = BODY_BYTES
    return await request.body()
