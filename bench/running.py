"""What the benchmarks run against: PostgreSQL with fsync on, and processes of their own for everything else."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil

from bench import ROOT
from counterfoil.store import embedded
from counterfoil.store.migrate import migrate

COUNTERFOIL: Final = ("-c", "from counterfoil.cli.main import main; main()")
WEBHOOK_SECRET: Final = "whsec_counterfoil_bench"
NOWHERE: Final = "http://127.0.0.1:1"  # a gateway that is never called
PARAMETERS: Final = {"track_commit_timestamp": "on", "autovacuum_naptime": "1s"}
READY_S: Final = 180.0  # a peer that first runs its hundred migrations, on a busy machine
STOP_S: Final = 60.0  # a worker finishes what it has in hand


class DidNotStartError(Exception):
    """A process ended, or did not listen in time: the end of what it wrote."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running program and the port it listens on."""

    port: int
    child: psutil.Popen = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """Processor time so far, user and system, all threads."""
        spent = self.child.cpu_times()
        return float(spent.user + spent.system)


@dataclass(frozen=True, slots=True)
class Database:
    """One database of the server: its address for the service's role, the owner of its tables, the administrator."""

    name: str
    url: str = field(repr=False)
    owner_url: str = field(repr=False)
    admin_url: str = field(repr=False)

    def rows(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """What one statement answers, asked by the administrator."""
        return asyncio.run(_ask(self.admin_url, sql, *values))

    def settle(self) -> None:
        """Have the planner know what the tables hold, as autovacuum does within minutes of a new installation."""
        self.rows("ANALYZE")

    def value(self, sql: str, *values: Any) -> Any:
        return self.rows(sql, *values)[0][0]


async def _ask(url: str, sql: str, *values: Any) -> list[asyncpg.Record]:
    conn = await asyncpg.connect(url)
    try:
        return await conn.fetch(sql, *values)
    finally:
        await conn.close()


class Postgres:
    """The server of a run. Every benchmark and every peer has a database of its own on it, as fresh as the others'."""

    def __init__(self, server: embedded.Server) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        migrate(server.url("owner"))

    @contextmanager
    def database(self, template: str = "counterfoil") -> Iterator[Database]:
        """A database that ends with the block: migrated and empty, or a copy of the one named."""
        name = f"bench_{next(self._numbers)}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {template} OWNER owner")
        try:
            yield Database(name, *(self._server.url(role, name) for role in ("app", "owner", "postgres")))
        finally:
            self._admin(f"DROP DATABASE {name} WITH (FORCE)")

    def setting(self, name: str) -> str:
        return str(asyncio.run(_ask(self._server.url("postgres", "postgres"), f"SHOW {name}"))[0][0])

    def _admin(self, statement: str) -> None:
        asyncio.run(_ask(self._server.url("postgres", "postgres"), statement))


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a run takes place. `seeded` is a database with the merchant, its account and an API key, to be copied."""

    folder: Path
    postgres: Postgres
    seeded: Database
    key: str = field(repr=False)

    def database(self, template: Database | None = None) -> AbstractContextManager[Database]:
        """A database of one's own: a copy of the seeded one, or of another."""
        return self.postgres.database((template or self.seeded).name)

    def environment(self, database: Database, gateway_url: str = NOWHERE) -> dict[str, str]:
        return _environment(self.folder, database, gateway_url)

    @contextmanager
    def process(
        self, *arguments: object, port: int, env: Mapping[str, str] | None = None, python: str | None = None
    ) -> Iterator[Process]:
        """A Python program, by Python's own arguments, from when it listens until it has ended."""
        with (self.folder / f"{port}.log").open("w+b") as log:
            child = psutil.Popen(
                [python or sys.executable, *map(str, arguments)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**_clean(os.environ), **(env or {})},
            )
            running = Process(port, child)
            try:
                _await_listening(running, log.name)
                yield running
            finally:
                _end(child)

    @contextmanager
    def service(self, *command: str, env: Mapping[str, str], port: int | None = None) -> Iterator[Process]:
        """A command of the service that listens: `serve`, `web`, `sandbox`, with its options."""
        port = port or free_port()
        with self.process(*COUNTERFOIL, *command, "--port", port, port=port, env=env) as running:
            yield running

    @contextmanager
    def stub(self, latency_ms: int = 0) -> Iterator[Process]:
        """The minimal gateway."""
        port = free_port()
        with self.process("-m", "bench.stub", port, latency_ms, port=port) as running:
            yield running


@contextmanager
def ground() -> Iterator[Ground]:
    """A fresh folder on the disk and a server in it, both gone afterwards.

    The server keeps the time of every commit, so that the moment at which others can see a change is read from the
    database afterwards instead of being asked for during the run. Its autovacuum looks every second and not every
    minute: plans made for empty tables are replaced within seconds of a run, as they are within minutes of a new
    installation.
    """
    folder = Path(tempfile.mkdtemp(prefix="counterfoil-bench-"))
    folder.chmod(0o711)  # PostgreSQL's own user passes through, where we are root
    try:
        with embedded.supervise(folder / "postgres", parameters=PARAMETERS) as server:
            postgres = Postgres(server)
            with postgres.database() as seeded:
                yield Ground(folder, postgres, seeded, _api_key(_environment(folder, seeded, NOWHERE)))
    finally:
        shutil.rmtree(folder)


def _environment(folder: Path, database: Database, gateway_url: str) -> dict[str, str]:
    """The service's configuration: Stripe alone, at the given gateway."""
    own = {
        "DATABASE_URL": database.url,
        "DATA": str(folder),
        "STRIPE_SECRET_KEY": "sk_test_counterfoil_bench",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_counterfoil_bench",
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_BASE_URL": gateway_url,
    }
    return {f"COUNTERFOIL_{name}": value for name, value in own.items()}


def _api_key(env: Mapping[str, str]) -> str:
    """A key that may take payments: the last line that the command prints."""
    return last_line(*COUNTERFOIL, "keys", "create", "--name", "bench", "--role", "support", env=env)


def last_line(*arguments: str, env: Mapping[str, str]) -> str:
    """The last line that a Python program prints before it ends, by Python's own arguments."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env={**_clean(os.environ), **env}
    )
    return done.stdout.splitlines()[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without a configuration of the service that happens to be set."""
    return {name: value for name, value in environ.items() if not name.startswith("COUNTERFOIL_")}


def _await_listening(running: Process, log: str) -> None:
    end = time.monotonic() + READY_S
    while running.child.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", running.port), timeout=1):
            return
        time.sleep(0.02)
    raise DidNotStartError(Path(log).read_text(errors="replace")[-2000:])


def _end(child: psutil.Popen) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_S)
    except psutil.TimeoutExpired:
        child.kill()
        child.wait()
