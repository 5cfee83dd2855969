"""An application called in this process: one request, one answer, no socket."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message


class Said(NamedTuple):
    """A whole answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: ASGIApp, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Said:
    """Call the application once."""
    parts, sent, got = urlsplit(url), [{"type": "http.request", "body": body}], []

    async def receive() -> Message:
        return sent.pop() if sent else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        got.append(message)

    await app(_scope(method, parts, headers or {}, len(body)), receive, send)
    named = {name.decode(): value.decode("latin-1") for name, value in got[0]["headers"]}
    return Said(got[0]["status"], named, b"".join(part.get("body", b"") for part in got[1:]))


def _scope(method: str, parts: Any, headers: Mapping[str, str], length: int) -> dict[str, Any]:
    all_headers = {"host": parts.netloc or "service", "content-length": str(length), **headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [
            (name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in all_headers.items()
        ],
        "client": ("127.0.0.1", 1),
        "server": ("service", 80),
    }
