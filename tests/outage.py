"""A line to the database that a test can cut, hold and mend."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

PIECE = 65_536


class Line:
    """Forwards connections on a port of its own to another, until told otherwise."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._flowing = threading.Event()
        self._flowing.set()
        self._ends: list[socket.socket] = []
        self._listening = self._listen(0)
        self.port: int = self._listening.getsockname()[1]

    def cut(self) -> None:
        """End every connection and refuse new ones: the server is away."""
        self._end(self._listening)
        while self._ends:
            self._end(self._ends.pop())

    def hold(self) -> None:
        """Forward nothing, but end nothing: the server has stopped answering."""
        self._flowing.clear()

    def mend(self) -> None:
        """Forward what was held, and take new connections."""
        self._flowing.set()
        if self._listening.fileno() < 0:
            self._listening = self._listen(self.port)

    def _listen(self, port: int) -> socket.socket:
        listening = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
        return listening

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):  # it was cut
            while True:
                near, _ = listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                self._flowing.wait()
                sink.sendall(piece)
        self._end(source)
        self._end(sink)

    @staticmethod
    def _end(one: socket.socket) -> None:
        with suppress(OSError):  # ended before
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextmanager
def line_to(database_url: str) -> Iterator[tuple[Line, str]]:
    """A line to the database, and the address of the database by that line."""
    port = urlsplit(database_url).port
    assert port is not None
    line = Line(port)
    try:
        yield line, database_url.replace(f":{port}/", f":{line.port}/")
    finally:
        line.mend()
        line.cut()
