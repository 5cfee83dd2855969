"""The server: uvicorn with every receive bounded in time and every socket counted."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import HANDLED_SIGNALS

# A request, from its connection or first byte to its last, in seconds: gateways send theirs in milliseconds, and the
# largest body we take needs 200 kbit/s.
RECEIVE_S: Final = 10.0
KEEP_ALIVE_S: Final = 5
# Request line and headers together; ours and the gateways' are under four kilobytes, a browser's with cookies sixteen.
HEAD_BYTES: Final = 65_536
# Above any honest load of one process, below the usual limit of 1024 open files less the pools'.
CONNECTIONS: Final = 900
DRAIN_S: Final = 25  # a payment under way answers in twenty
BACKLOG: Final = 2048


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn closes nothing by itself: this gives every request a deadline, its head a size, and the server a cap."""

    receive_s = RECEIVE_S
    connections_most = CONNECTIONS
    _deadline: asyncio.TimerHandle | None = None
    _head: int | None = 0  # bytes of a head that is still coming; None while there is none

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it
        super().connection_made(transport)
        if len(self.connections) > self.connections_most:
            transport.abort()
            return
        self._arm()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._arm()  # second and later requests of a kept connection

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.receive_s, self._expired)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()


class Server(uvicorn.Server):
    """Ends when told by a signal, and no more: uvicorn raises the signal again, which would end the whole process
    before its pools are closed and its database is stopped.
    """

    leave: Callable[[], None] | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the event streams to end first: they would be waited for."""
        if self.leave is not None:
            self.leave()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in HANDLED_SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in HANDLED_SIGNALS:
                loop.remove_signal_handler(number)


def make_server(app: FastAPI, *, host: str, port: int, loop: Any = "auto") -> Server:
    """A server that is not running yet."""
    server = Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=GuardedProtocol,
            loop=loop,
            ws="none",
            access_log=False,
            log_config=None,  # its own would print tracebacks past our scrubbing
            log_level="warning",
            server_header=False,
            proxy_headers=False,  # nothing here asks who the client is, and links are made from the public URL
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
            backlog=BACKLOG,
        )
    )
    server.leave = getattr(app.state, "leave", None)
    return server


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a port in use is told before anything else starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
