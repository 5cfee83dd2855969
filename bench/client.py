"""The load: a process of its own that sends requests made beforehand over raw sockets, and notes when.

`run` starts it from a benchmark; `python -m bench.client LOAD RESULT` is the process. A closed loop keeps every connection
busy: the next request leaves when the last answer came. An open loop sends at moments drawn beforehand, whatever the
server does, and counts from that moment: a request that has to wait for a connection has waited.
"""

import asyncio
import gc
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from bench import ROOT

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
LATE_S: Final = 60.0  # how long answers may take once everything was sent: past any timeout of the service


class Load(msgspec.Struct, kw_only=True):
    """What to send, and how. `rate` a second makes an open loop with random gaps; without it the loop is closed."""

    port: int
    requests: list[bytes]
    connections: int
    rate: float | None = None
    seconds: float = 3600.0  # send no more after this
    seed: int = 1


class Sent(msgspec.Struct, array_like=True):
    """One request: its number, when it was due and when its answer was whole (Unix time), and the answer's status."""

    number: int
    due: float
    answered: float
    status: int

    @property
    def seconds(self) -> float:
        return self.answered - self.due


class Result(msgspec.Struct):
    """What came of a load, in the order of the answers, and the processor time that making it took."""

    sent: list[Sent]
    cpu_s: float

    def after(self, warm_up: int) -> "Result":
        """The same without its first answers; of a peer that gave few, half."""
        return Result(self.sent[min(warm_up, len(self.sent) // 2) :], self.cpu_s)

    def refused(self) -> int:
        """How many were answered by anything but 2xx, or not at all."""
        return sum(not 200 <= one.status < 300 for one in self.sent)

    def statuses(self) -> dict[int, int]:
        return dict(Counter(one.status for one in self.sent))

    def span_s(self) -> float:
        """From the first answer to the last."""
        return self.sent[-1].answered - self.sent[0].answered

    def rate(self) -> float:
        """Good answers a second; 0 where there were too few to tell."""
        if len(self.sent) < 2 or not self.span_s():
            return 0.0
        return (len(self.sent) - self.refused() - 1) / self.span_s()

    def latencies_ms(self) -> list[float]:
        return [one.seconds * 1000 for one in self.sent]


def run(load: Load) -> Result:
    """Make the load from a process of its own and wait for its end."""
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-load-") as folder:
        asked, told = Path(folder) / "load", Path(folder) / "result"
        asked.write_bytes(msgspec.msgpack.encode(load))
        subprocess.run([sys.executable, "-m", "bench.client", str(asked), str(told)], check=True, cwd=ROOT)
        return msgspec.msgpack.decode(told.read_bytes(), type=Result)


class Connection(asyncio.Protocol):
    """One kept connection with at most one request under way."""

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop
        self._got = bytearray()
        self._under_way: tuple[int, float] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP's
        self._transport = transport

    def send(self, number: int, due: float, request: bytes) -> None:
        self._under_way = number, due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if _whole(self._got):
            status = int(self._got[9:12])
            self._got.clear()
            self._answered(status)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's own signature
        self._answered(0)

    def _answered(self, status: int) -> None:
        if self._under_way is not None:
            number, due = self._under_way
            self._under_way = None
            self._loop.answered(self, Sent(number, due, time.time(), status))


def _whole(got: bytearray) -> bool:
    """Whether a whole answer is there: by its length, or by the end of its last chunk."""
    head = got.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = _LENGTH.search(got, 0, head)
    return len(got) >= head + 4 + int(length[1]) if length else got.endswith(b"0\r\n\r\n")


class Loop:
    """Sends the requests of a load, in order, and gathers the answers."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._next = 0
        self._until = 0.0
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._sent: list[Sent] = []
        self._ended = asyncio.Event()

    async def run(self) -> list[Sent]:
        loop = asyncio.get_running_loop()
        for _ in range(self._load.connections):
            _, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._load.port)
            self._idle.append(made)
        gc.freeze()
        gc.disable()
        self._until = time.time() + self._load.seconds
        await (self._keep_busy() if self._load.rate is None else self._keep_time(self._load.rate))
        return self._sent

    def answered(self, connection: Connection, one: Sent) -> None:
        self._sent.append(one)
        if one.status:
            self._idle.append(connection)
        self._send_due()

    async def _keep_busy(self) -> None:
        self._send_due()
        await self._ended.wait()

    async def _keep_time(self, rate: float) -> None:
        chance, due = random.Random(self._load.seed), time.time()
        for _ in self._load.requests:
            due += chance.expovariate(rate)
            if due > self._until:
                break
            if (wait := due - time.time()) > 0:
                await asyncio.sleep(wait)
            self._due.append(due)
            self._send_due()
        self._until = 0.0
        self._end_if_done()
        await asyncio.wait_for(self._ended.wait(), LATE_S)

    def _send_due(self) -> None:
        while self._idle and self._next < len(self._load.requests) and (due := self._take_due()) is not None:
            number, self._next = self._next, self._next + 1
            self._idle.popleft().send(number, due, self._load.requests[number])
        self._end_if_done()

    def _take_due(self) -> float | None:
        """When the next request was due; None where none is. In a closed loop one is due whenever asked."""
        if self._load.rate is not None:
            return self._due.popleft() if self._due else None
        now = time.time()
        return now if now < self._until else None

    def _end_if_done(self) -> None:
        over = self._next == len(self._load.requests) or time.time() >= self._until or not self._idle
        if over and len(self._sent) == self._next:
            self._ended.set()


def main() -> None:
    load = msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Load)
    before = time.process_time()
    sent = uvloop.run(Loop(load).run())
    result = Result(sent, time.process_time() - before)
    Path(sys.argv[2]).write_bytes(msgspec.msgpack.encode(result))


if __name__ == "__main__":
    main()
