"""A merchant's own backend on loopback: takes deliveries, keeps them, and answers as it is told, well or badly."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fleet import until


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answering(status: int, body: bytes = b"", **headers: str) -> Say:
    """A whole answer."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} Said", f"content-length: {len(body)}", *lines, "", ""])

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)
        await writer.drain()

    return say


OK = answering(200)


@dataclass
class Receiver:
    """`say` answers every request, unless `queue` holds answers for the next ones."""

    port: int
    say: Say = OK
    queue: list[Say] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    open: int = 0  # connections now
    most: int = 0  # at one moment

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def of(self, object_id: str) -> list[int]:
        """The versions of one object, in the order in which they came."""
        return [one.json["version"] for one in self.got if one.json["data"]["id"] == object_id]

    async def reached(self, count: int, *, seconds: float = 10) -> None:
        async def there() -> bool:
            return len(self.got) >= count

        await until(there, seconds=seconds)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                self.got.append(await _read(reader))
                await (self.queue.pop(0) if self.queue else self.say)(writer)
        finally:
            self.open -= 1
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Got:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Got(first.split(" ")[1], headers, body)


@asynccontextmanager
async def receiving(say: Say = OK, **more: Any) -> AsyncIterator[Receiver]:
    """A receiver on a free port; keywords go to asyncio.start_server."""
    made = Receiver(0, say)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, **more)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
