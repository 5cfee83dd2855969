"""Below HTTP: connections that the sandbox resets or closes on purpose."""

import asyncio
import socket
import struct
from typing import Any

from starlette.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "counterfoil.wire"
# SO_LINGER on with a timeout of zero: closing sends a TCP reset.
RESET = struct.pack("ii", 1, 0)


class Wire:
    """The connection under one request."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        raw: socket.socket | None = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()

    def hang_up(self) -> None:
        """End the connection after what was written."""
        self._transport.close()


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which lets the application at the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"wire": Wire(self.transport)}}


def wire_of(scope: Scope) -> Wire:
    """The connection under a request. Raises TypeError where another server serves the sandbox."""
    found: Any = scope.get("extensions", {}).get(EXTENSION, {}).get("wire")
    if not isinstance(found, Wire):
        raise TypeError("the sandbox needs to be served by its own protocol, see server.py")
    return found


async def until_gone(receive: Receive) -> None:
    """Wait until the connection of this request is known to be lost."""
    while (await receive())["type"] != "http.disconnect":
        pass
