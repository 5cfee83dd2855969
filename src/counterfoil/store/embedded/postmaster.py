"""The child process `postgres`: started, seen ready, stopped, and made to die with us.

Its pid file cannot be believed as it stands: after a kill -9 it still says "ready", and its pid may by then be a
zombie's (a container whose first process reaps nothing) or another program's (a container restarted).
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from counterfoil.domain.errors import ConfigurationError
from counterfoil.store.embedded.binaries import Binaries
from counterfoil.store.embedded.folder import QUOTED_CHARACTERS, Folder, failed

START_LIMIT_S: Final = (
    300  # recovery after a crash replays up to max_wal_size; a slow disk does 1 GB in a minute
)
STOP_LIMIT_S: Final = (
    60  # a fast stop writes one checkpoint; after this, recovery at the next start is quicker
)
LOOK_EVERY_S: Final = 0.01
PORT_TRIES: Final = 5  # a free port may be taken by another between our look and PostgreSQL's
LOG_LIMIT_BYTES: Final = 16 * 2**20

PARAMETERS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # no socket: no limit of 107 bytes on the path, no second lock to go stale
    "max_connections": "100",  # the pools of web and worker, LISTEN, and a few commands attached beside them
    "shared_buffers": "128MB",
    "synchronous_commit": "on",  # what we acknowledge is on the disk
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_wal_size": "1GB",
    "idle_in_transaction_session_timeout": "60s",  # a client that hangs gives its row locks back
    "dynamic_shared_memory_type": "mmap",  # in the data folder: a kill -9 would leave it behind in /dev/shm
    "max_parallel_workers_per_gather": "0",  # the cores are the service's
    "jit": "off",  # no query of ours runs long enough to earn it back
    "log_min_messages": "log",  # above ERROR: those go to the client, and may quote a customer's data
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


class PidFile(NamedTuple):
    """What postmaster.pid says: pid on line 1, port on line 4, status on line 8."""

    pid: int
    port: int
    ready: bool

    @classmethod
    def read(cls, folder: Folder) -> "PidFile | None":
        try:
            lines = (folder.cluster / "postmaster.pid").read_text().splitlines()
            return cls(int(lines[0]), int(lines[3]), lines[7].strip() == "ready")
        except (FileNotFoundError, IndexError, ValueError):  # none, or not written to the end yet
            return None


def running(folder: Folder) -> PidFile | None:
    """The ready server of this folder, if one truly runs."""
    found = PidFile.read(folder)
    return found if found and found.ready and _is_ours(found.pid, folder) else None


@dataclass(slots=True)
class Postmaster:
    """One server over one folder; `start` may be called again after its end, and keeps the port."""

    folder: Folder
    binaries: Binaries
    parameters: dict[str, str]
    port: int = 0
    child: subprocess.Popen[bytes] | None = None
    _watcher: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it accepts connections. Raises ConfigurationError with what PostgreSQL said."""
        _end_orphan(self.folder)
        for tries_left in reversed(range(PORT_TRIES)):
            port = self.port or _free_port()
            said = self._try(port)
            if said is None:
                self.port = port
                return
            if self.port or not tries_left or "could not bind" not in said:
                raise failed(self.folder, "start", said)

    def _try(self, port: int) -> str | None:
        """Start on this port; None when ready, else the last that PostgreSQL said."""
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            _forget_dead(self.folder)
            self.child, beginning = self._spawn(port)
            self._watch(self.child.pid)
            said = self._await_ready(self.child, beginning, deadline)
            # The children of a killed postmaster leave a moment after it, and until then hold its shared memory.
            if said is None or "shared memory block" not in said or time.monotonic() > deadline:
                return said
            time.sleep(LOOK_EVERY_S)

    def _spawn(self, port: int) -> tuple[subprocess.Popen[bytes], int]:
        """The process, and the size of the log before it."""
        settings = [f"-c{name}={value}" for name, value in {**PARAMETERS, **self.parameters}.items()]
        command = self.binaries.command("postgres", "-D", str(self.folder.cluster), f"-p{port}", *settings)
        _rotate(self.folder.log)
        self.folder.log.touch(0o600)
        with self.folder.log.open("ab") as log:
            beginning = log.tell()
            child = subprocess.Popen(  # noqa: S603  our own program, and no word of it is input
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # the terminal's Ctrl-C is for us: we stop the database last
                preexec_fn=_die_with_parent(),  # noqa: PLW1509  it calls only what was loaded beforehand
                **self.binaries.identity(self.folder.root),
            )
        return child, beginning

    def _await_ready(self, child: subprocess.Popen[bytes], beginning: int, deadline: float) -> str | None:
        while child.poll() is None:
            found = PidFile.read(self.folder)
            if found and found.pid == child.pid and found.ready:
                return None
            if time.monotonic() > deadline:
                child.kill()
            time.sleep(LOOK_EVERY_S)
        return _tail(self.folder.log, beginning)

    def wait(self) -> None:
        """Wait for its end."""
        if self.child is not None:
            self.child.wait()

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, what was committed is on the disk."""
        if self.child is None:
            return
        self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.child.send_signal(signal.SIGQUIT)
            self.child.wait()
        self._dismiss_watcher()

    def _watch(self, pid: int) -> None:
        self._dismiss_watcher()
        if not _KERNEL_TELLS_OF_DEATH:
            self._watcher = watcher(pid)

    def _dismiss_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None


# Linux tells a child of its parent's death. Elsewhere a watcher must: a shell that reads from a pipe which ends with us.
_KERNEL_TELLS_OF_DEATH: Final = sys.platform == "linux"
_PR_SET_PDEATHSIG: Final = 1


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does between fork and exec, so that our death, even by kill -9, is its fast shutdown.

    The kernel counts the death of the *thread* that forks: see Keeper.
    """
    if not _KERNEL_TELLS_OF_DEATH:
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:  # we died before it was set
            os._exit(1)

    return before_exec


def watcher(pid: int) -> subprocess.Popen[bytes]:
    """A process that sends SIGINT to `pid` once we are gone: its standard input is a pipe that only we hold open."""
    return subprocess.Popen(  # noqa: S603  no word of it is input
        ["/bin/sh", "-c", 'read _; kill -INT "$1"', "sh", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )


def _is_ours(pid: int, folder: Folder) -> bool:
    """Whether this pid is a living postmaster of this folder: not another program that got its number, not a zombie.

    A zombie has no command line any more: psutil raises its ZombieProcess.
    """
    try:
        return str(folder.cluster) in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def _end_orphan(folder: Folder) -> None:
    """Wait for a server whose owner died and which is still on its way out. We hold the lock: nobody else owns it."""
    found = PidFile.read(folder)
    if found is None:
        return
    for last_words in (signal.SIGINT, signal.SIGQUIT):
        deadline = time.monotonic() + STOP_LIMIT_S
        while _is_ours(found.pid, folder) and time.monotonic() < deadline:
            with suppress(ProcessLookupError):  # it ended between the two lines
                os.kill(found.pid, last_words)
            time.sleep(LOOK_EVERY_S)
    if _is_ours(found.pid, folder):
        raise ConfigurationError(
            f"PostgreSQL (process {found.pid}) is left over from before and does not stop. Run `kill -9 {found.pid}`."
        )


def _forget_dead(folder: Folder) -> None:
    """Make the pid file of a dead server harmless, but keep it: PostgreSQL still checks the memory block it names.

    PostgreSQL refuses to start while the pid in it exists, be it a zombie or another program. Our own pid is the one
    it accepts, since a postmaster cannot be its own parent (CreateLockFile in its miscinit.c).
    """
    path = folder.cluster / "postmaster.pid"
    try:
        _, separator, rest = path.read_text().partition("\n")
    except FileNotFoundError:
        return
    if separator:
        path.write_text(f"{os.getpid()}\n{rest}")
    else:  # cut short while it was written
        path.unlink()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_name("log.1"))


def _tail(log: Path, beginning: int) -> str:
    with log.open("rb") as file:
        file.seek(beginning)
        return file.read().decode(errors="replace").strip()[-QUOTED_CHARACTERS:]
