"""The server that others use: `supervise` owns it, `attach` finds it."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from counterfoil.domain.errors import ConfigurationError
from counterfoil.store.embedded import account, cluster
from counterfoil.store.embedded import binaries as programs
from counterfoil.store.embedded.folder import Folder, LockedError, explained, held
from counterfoil.store.embedded.postmaster import LOOK_EVERY_S, Postmaster, running

Role: TypeAlias = Literal["app", "owner", "postgres"]

ATTACH_LIMIT_S: Final = 30  # another process may be starting it now: a first start takes about a second
HEAL_PAUSE_S: Final = 1  # between attempts to bring back a server that died and does not start (a full disk)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server on 127.0.0.1."""

    port: int
    passwords: Mapping[str, str] = field(repr=False)

    def url(self, role: Role = "app", database: str = cluster.DATABASE) -> str:
        """The address for asyncpg, password included: keep it out of logs and command lines.

        Roles: `app` for the service, `owner` for migrations, `postgres` for the administration of the server itself.
        """
        return f"postgresql://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/{database}"


@contextmanager
def supervise(
    data: Path, *, parameters: Mapping[str, str] | None = None, binaries: Path | None = None
) -> Iterator[Server]:
    """Own the server of a data folder: start it, bring it back if it dies, stop it at the end.

    parameters are PostgreSQL's own and go over postmaster.PARAMETERS; binaries is a folder of other programs than the
    wheel's. Raises ConfigurationError, which says what to do; LockedError where another process owns the folder.
    """
    folder = Folder.of(data)
    with ExitStack() as stack:
        with explained(folder):
            folder.make()
            stack.enter_context(held(folder))
            ready = programs.ready(folder, account.choose(folder), binaries)
            cluster.prepare(folder, ready)
            passwords = cluster.passwords(folder)
        postmaster = Postmaster(folder, ready, dict(parameters or {}))
        stack.enter_context(_kept(postmaster))
        yield Server(postmaster.port, passwords)


@contextmanager
def attach(data: Path) -> Iterator[Server]:
    """Use the server of a data folder: the one that runs, or one of our own for the time of the block.

    Raises ConfigurationError, which says what to do.
    """
    folder = Folder.of(data)
    deadline = time.monotonic() + ATTACH_LIMIT_S
    with ExitStack() as stack:
        while True:
            try:
                server = stack.enter_context(supervise(data))
                break
            except LockedError:
                if found := running(folder):
                    with explained(folder):
                        server = Server(found.port, cluster.passwords(folder))
                    break
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_EVERY_S)
        yield server


@contextmanager
def _kept(postmaster: Postmaster) -> Iterator[None]:
    keeper = Keeper(postmaster)
    keeper.start()
    try:
        keeper.first_start.result()
        yield
    finally:
        keeper.stop()


class Keeper(threading.Thread):
    """The one thread that starts the server, waits for its end, and starts it again unless it was told to stop.

    It must be one thread that lives as long as the server: Linux tells a child of the death of the *thread* that
    forked it, so a server started from a passing thread would be shut down with that thread.
    """

    def __init__(self, postmaster: Postmaster) -> None:
        super().__init__(name="counterfoil-postgres", daemon=True)
        self.first_start: Future[None] = Future()
        self._postmaster = postmaster
        self._turn = threading.Lock()  # held while starting or stopping, so that no start follows the stop
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            with self._turn, explained(self._postmaster.folder):
                self._postmaster.start()
        except BaseException as error:  # noqa: BLE001  it is raised where the start is waited for
            self.first_start.set_exception(error)
            return
        self.first_start.set_result(None)
        while not self._stopping.is_set():
            self._postmaster.wait()
            self._start_again()

    def _start_again(self) -> None:
        with self._turn:
            if self._stopping.is_set():
                return
            log.warning("PostgreSQL ended by itself; starting it again")
            try:
                self._postmaster.start()
            except (ConfigurationError, OSError) as error:
                log.error("PostgreSQL does not start: %s", error)  # noqa: TRY400  the sentence says it all
                self._stopping.wait(HEAL_PAUSE_S)

    def stop(self) -> None:
        """Stop the server, and end."""
        self._stopping.set()
        with self._turn:
            self._postmaster.stop()
        self.join()
