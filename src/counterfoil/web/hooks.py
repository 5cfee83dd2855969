"""POST /webhooks/{gateway}: verify the raw bytes, store them, answer once they are committed.

400 is for signature, header and size failures only. A database that is away answers 503, so that the gateway comes
again. Plain ASGI, reached ahead of all other routes: the way through FastAPI costs more than storing a webhook does.
"""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil.domain.errors import CounterfoilError, Problem, TooLargeError
from counterfoil.services import inbox
from counterfoil.services.context import Context
from counterfoil.services.inbox import Writer
from counterfoil.services.metrics import Metrics
from counterfoil.web import problems

# Stripe's largest events are some hundred kB (long line item lists); Razorpay's a few kB.
BODY_BYTES: Final = 1_048_576
STORED: Final = Response(status_code=200)
NOBODY_THERE: Final = Response(status_code=400)


class Hook:
    """One gateway's webhook endpoint."""

    def __init__(self, gateway: str, ctx: Context, writer: Writer, metrics: Metrics) -> None:
        self._gateway, self._ctx, self._writer, self._metrics = gateway, ctx, writer, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._receive(scope, receive)
        await answer(scope, receive, send)

    async def _receive(self, scope: Scope, receive: Receive) -> Response:
        try:
            body = await _bytes(scope, receive)
        except ClientDisconnect:
            return NOBODY_THERE
        except TooLargeError as large:
            self._metrics.webhooks.labels(self._gateway, "too_large").inc()
            return problems.response(Problem.SIGNATURE_REFUSED, large.detail, **large.facts)
        try:
            await self._store(scope["headers"], body)
        except CounterfoilError as refused:
            self._metrics.webhooks.labels(self._gateway, refused.problem.slug).inc()
            return problems.of_error(refused)
        return STORED

    async def _store(self, headers: Any, body: bytes) -> None:
        verifier = inbox.verify(self._ctx, self._gateway, headers, body)
        await self._writer.store(inbox.delivery(self._ctx, verifier, headers, body))
        self._metrics.webhooks.labels(self._gateway, "stored").inc()
        self._metrics.webhook_secrets.labels(self._gateway, verifier.secret_id).inc()


def routes(ctx: Context, writer: Writer, metrics: Metrics) -> list[Route]:
    """The two webhook endpoints, over one writer."""
    return [
        Route(f"/webhooks/{gateway}", Hook(gateway, ctx, writer, metrics), methods=["POST"])
        for gateway in ("stripe", "razorpay")
    ]


class Ahead:
    """Pure ASGI: a POST to exactly one of these paths goes to its endpoint, all else to the application."""

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, ASGIApp]) -> None:
        self._app, self._endpoints = app, endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._endpoints.get(scope["path"]) if scope.get("method") == "POST" else None
        await (found or self._app)(scope, receive, send)


async def _bytes(scope: Scope, receive: Receive) -> bytes:
    """The raw body. Raises TooLargeError as soon as more than the limit has come (web/limits.py counts)."""
    scope["counterfoil.body_limit"] = BODY_BYTES
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)
