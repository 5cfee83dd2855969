"""A door before several processes: each connection goes to one that listens, as a load balancer's does."""

import asyncio
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TURNS = 100  # tries at finding somebody; a killed process is back within seconds
PAUSE_S = 0.05


@contextmanager
def balanced(count: int) -> Iterator[tuple[str, list[int]]]:
    """The door's address, and the ports behind it, on which nobody listens yet."""
    ports = [_free() for _ in range(count)]
    loop = asyncio.new_event_loop()
    opened = threading.Event()
    address: list[str] = []

    async def serve() -> None:
        turn = itertools.cycle(ports)

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there = await _find(turn)
            if there is None:
                writer.close()
                return
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

        server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
        address.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        opened.set()
        await server.serve_forever()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner, suppress(asyncio.CancelledError):
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    opened.wait(10)
    try:
        yield address[0], ports
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join(10)


async def _find(turn: "itertools.cycle[int]") -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    for _ in range(TURNS):
        with suppress(OSError):
            return await asyncio.open_connection("127.0.0.1", next(turn))
        await asyncio.sleep(PAUSE_S)
    return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends; then the other is ended too."""
    with suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    with suppress(OSError):
        writer.close()


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
