"""What every request must keep to: sizes, an id for its log lines, and headers that every answer carries."""

import secrets
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterfoil.domain.errors import TooLargeError
from counterfoil.web import problems

BODY_BYTES: Final = 262_144  # the largest legitimate API body, a payment with 200 line items, is under 100 kB
SAFE_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)


class Limits:
    """Pure ASGI: refuses what is too large while it arrives, answers what failed, and marks every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["counterfoil.request_id"] = request_id = secrets.token_hex(8)
        started = False

        async def marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {name.lower() for name, _ in message["headers"]}
                extra = [(name, value) for name, value in SAFE_HEADERS if name not in present]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *extra]
            await send(message)

        try:
            await self._app(scope, _counted(scope, receive), marked)
        except TooLargeError as large:
            if started:
                raise
            await problems.of_error(large)(scope, receive, marked)
        except Exception as error:
            if started:
                raise
            await problems.of_unexpected(scope, error)(scope, receive, marked)


def _counted(scope: Scope, receive: Receive) -> Receive:
    """The same messages, until more than the limit has come. A route may set its own before it reads."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            limit = scope.get("counterfoil.body_limit", BODY_BYTES)
            seen += len(message.get("body", b""))
            if seen > limit:
                raise TooLargeError(f"The body is larger than {limit} bytes.", limit=limit)
        return message

    return counted
