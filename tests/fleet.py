"""The service as its own processes, which a test may kill; and a sender that repeats itself as gateways do."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp

import builders
from counterfoil.services import worker
from counterfoil.services.context import Context
from sandbox_server import eventually
from service import call, counterfoil

# Where nothing listens: these processes are told everything by webhooks and have nobody to call.
NOWHERE = "http://127.0.0.1:9"
# The names of a worker's tasks beside its jobs.
SWEEPS = tuple(worker.SWEEPS)
START_S = 60.0  # a second, where nothing else runs
SENDERS = 32
PAUSE_S = 0.3  # before a body that was not acknowledged is sent again
GIVE_UP_S = 120.0


@dataclass
class Fleet:
    """Processes over one database, all on one port where they have one."""

    database_url: str
    folder: Path
    port: int
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Start serve, web or worker; it is ready when this returns."""
        listens, before = command in {"serve", "web"}, self._at_work()
        options = ("--port", str(self.port)) if listens else ()
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(counterfoil(command, *options), env=self.environment, stderr=log)
        self._running.append(process)
        ready = self.ready if listens else lambda: self._at_work() > before
        eventually(lambda: ready() or self._ended(process), seconds=START_S)
        return process

    def _at_work(self) -> int:
        """How many workers have said that they are."""
        return self.log.count("worker is at work")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End it as the kernel does when memory runs out: without a word."""
        process.send_signal(signal.SIGKILL)
        process.wait()
        self._running.remove(process)

    def ready(self) -> bool:
        try:
            return call(self.url, "GET", "/readyz", timeout=2).status == 200
        except (OSError, http.client.HTTPException):
            return False

    @property
    def environment(self) -> Mapping[str, str]:
        """That of the processes. Of our own, no variable of the service is passed on."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERFOIL_")}
        chosen = {
            **builders.KEYS,
            "database_url": self.database_url,
            "key_file": str(self.folder / "key"),
            "public_url": self.url,
            "stripe_base_url": NOWHERE,
            "razorpay_base_url": NOWHERE,
            "allow_loopback_endpoints": "1",
        }
        return inherited | {f"COUNTERFOIL_{name.upper()}": value for name, value in chosen.items()}

    @property
    def log(self) -> str:
        """What the processes have written so far."""
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""

    def stop(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(40)

    def _ended(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise AssertionError(self.log)
        return False


@contextmanager
def fleet(database_url: str) -> Iterator[Fleet]:
    """No processes yet; those started are ended when the block is left."""
    with tempfile.TemporaryDirectory(prefix="counterfoil-fleet-") as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        made = Fleet(database_url, Path(folder), port)
        try:
            yield made
        finally:
            made.stop()


@asynccontextmanager
async def house_of(ships: Fleet) -> AsyncIterator[Context]:
    """A house over the same database and key, from which a test looks on, at the time that the processes have."""
    now = datetime.now(UTC)
    async with builders.open_house(ships.database_url, key_file=ships.folder / "key", at=now) as house:
        yield house.context


@dataclass
class Sender:
    """Sends signed bodies until each was acknowledged, and counts."""

    url: str
    tries: int = 0
    acknowledged: int = 0

    async def send_all(self, letters: Sequence[tuple[str, bytes]]) -> None:
        """Each letter a gateway and a body. Fails where one is not taken for very long."""
        waiting = list(reversed(letters))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:

            async def work() -> None:
                while waiting:
                    await self._send(session, *waiting.pop())

            await asyncio.gather(*(work() for _ in range(SENDERS)))

    async def _send(self, session: aiohttp.ClientSession, gateway: str, body: bytes) -> None:
        end = monotonic() + GIVE_UP_S
        while monotonic() < end:
            self.tries += 1
            with suppress(aiohttp.ClientError, TimeoutError):
                headers = builders.signed_now(gateway, body)
                async with session.post(
                    f"{self.url}/webhooks/{gateway}", data=body, headers=headers
                ) as answer:
                    if answer.status == 200:
                        self.acknowledged += 1
                        return
            await asyncio.sleep(PAUSE_S)
        raise AssertionError(f"not acknowledged in {GIVE_UP_S} s: {body[:200]!r}")

    async def reached(self, count: int) -> None:
        """Wait until so many were acknowledged."""
        while self.acknowledged < count:
            await asyncio.sleep(0.002)


async def until(check: Callable[[], Any], *, seconds: float) -> Any:
    """The first true answer of an async question, asked again and again."""
    end = monotonic() + seconds
    while monotonic() < end:
        if found := await check():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"nothing after {seconds} s")
