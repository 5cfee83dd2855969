"""PostgreSQL for the tests: a server a worker process, a database a test, made from a template migrated once."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from counterfoil.store.embedded import Server, supervise
from counterfoil.store.migrate import migrate

# Nothing here outlives the run, so nothing needs to reach the disk, and little of it needs to be kept for a crash.
RELAXED = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_wal_size": "64MB"}

# A file system in memory, where there is one: a database is made there in 10 ms. On ext4 it takes 40, and ten times
# that once many were dropped, because ext4 searches past every file deleted in the last minutes.
MEMORY = Path("/dev/shm")  # noqa: S108  folders made in it are our own, by mkdtemp
ROOM_BYTES = 2**30  # containers often have 64 MB there; a worker's server takes about 200

PREFIX = "counterfoil-test-"


@dataclass(frozen=True, slots=True)
class Database:
    """The addresses of one test's database: the service's role, and the role that owns the tables."""

    app_url: str
    owner_url: str


class Postgres:
    """A running server, and databases of their own for those who ask."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        migrate(server.url("owner"))
        self._admin = self._wait_for(asyncpg.connect(server.url("postgres", "postgres")))

    @contextmanager
    def database(self, *, template: str = "counterfoil") -> Iterator[Database]:
        name = f"test_{next(self._numbers)}"
        self._wait_for(self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER owner"))
        try:
            yield Database(self.server.url("app", name), self.server.url("owner", name))
        finally:
            self._wait_for(self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)"))

    def close(self) -> None:
        self._wait_for(self._admin.close())
        self._loop.close()

    def _wait_for(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(doing)


@contextmanager
def postgres(place: Path, parameters: Mapping[str, str]) -> Iterator[Postgres]:
    """A migrated server in a folder of its own, made in `place`."""
    with folder(place) as data, supervise(data, parameters=parameters, binaries=binaries()) as server:
        running = Postgres(server)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def folder(place: Path) -> Iterator[Path]:
    """A fresh folder where the server can start also when the tests run as root: its own user must pass through."""
    _sweep(place)
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, onerror=_unless_gone)


def _unless_gone(_call: object, _path: str, failed: tuple[type, BaseException, object]) -> None:
    """A server that was killed removes its files while we do: what is gone is as it should be."""
    if not isinstance(failed[1], FileNotFoundError):
        raise failed[1]


def memory() -> Path:
    """Where what need not last is put."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    return MEMORY if roomy else disk()


def disk() -> Path:
    return Path(tempfile.gettempdir())


def _sweep(place: Path) -> None:
    """Remove what a killed run left: its folders carry its pid."""
    for left in place.glob(f"{PREFIX}*"):
        if not psutil.pid_exists(int(left.name.removeprefix(PREFIX).split("-")[0])):
            shutil.rmtree(left, ignore_errors=True)


def binaries() -> Path | None:
    """The wheel's PostgreSQL, or, with COUNTERFOIL_TEST_POSTGRES=15, the one of that version that Debian installed."""
    major = os.environ.get("COUNTERFOIL_TEST_POSTGRES")
    if not major:
        return None
    path = Path(f"/usr/lib/postgresql/{major}/bin")
    if not path.exists():
        pytest.exit(f"COUNTERFOIL_TEST_POSTGRES={major}, but there is no {path}", returncode=3)
    return path
