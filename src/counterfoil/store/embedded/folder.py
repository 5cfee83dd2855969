"""Where the embedded database stands: DATA/postgres, who holds it, and what an operating system's error there means.

DATA/postgres/
    cluster/     PostgreSQL's own data directory (0700, owned by the account it runs as)
    passwords    one line a role, in the format of PGPASSFILE (0600)
    origin       which PostgreSQL, of which wheel, ran here last
    lock         held by the process that owns the server; its pid is inside
    log          what PostgreSQL said, and log.1, what it said before
"""

import errno
import fcntl
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from counterfoil.domain.errors import ConfigurationError

ELSEWHERE = "choose another folder with --data or COUNTERFOIL_DATA"
QUOTED_CHARACTERS = 2_000  # of what a program said, at most
DISK_FULL = f"The disk is full. Free some space and start again, or {ELSEWHERE}."

# As root, the system user that PostgreSQL runs as must pass through to what it owns inside, without looking around.
PASSABLE = 0o711
PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Folder:
    """The places inside DATA/postgres."""

    root: Path

    @classmethod
    def of(cls, data: Path) -> "Folder":
        return cls(data.expanduser().resolve() / "postgres")

    def make(self) -> None:
        """Make DATA and DATA/postgres where they are missing; what is there keeps its mode."""
        for place in (self.root.parent, self.root):
            if not place.is_dir():
                place.mkdir(parents=True)
                place.chmod(PASSABLE if os.geteuid() == 0 else PRIVATE)

    @property
    def cluster(self) -> Path:
        return self.root / "cluster"

    @property
    def passwords(self) -> Path:
        return self.root / "passwords"

    @property
    def origin(self) -> Path:
        return self.root / "origin"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def log(self) -> Path:
        return self.root / "log"


class LockedError(ConfigurationError):
    """Another process owns the server of this folder."""

    def __init__(self, folder: Folder, holder: str) -> None:
        super().__init__(
            f"The database in {folder.root} is in use by process {holder or 'unknown'}. "
            f"Stop that process first, or {ELSEWHERE}.",
            pid=holder,
        )


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Hold the folder for this process alone; the kernel lets go when the process ends, however it ends.

    Raises LockedError with the pid of the process that holds it.
    """
    folder.lock.touch(0o600)
    with folder.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise LockedError(folder, file.read().strip()) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _ours.add(file)
        try:
            yield
        finally:
            _ours.discard(file)


# A forked child would keep the lock alive after our death, so it lets go of its copy at once.
_ours: set[IO[str]] = set()


def _let_go() -> None:
    for file in _ours:
        file.close()


os.register_at_fork(after_in_child=_let_go)


def default_data() -> Path:
    """$COUNTERFOIL_DATA, or the place where such data lives on this system.

    Root's home is closed to the system user that PostgreSQL needs, so for root it is below /var/lib.
    """
    if chosen := os.environ.get("COUNTERFOIL_DATA"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/counterfoil")
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "counterfoil"


@contextmanager
def explained(folder: Folder) -> Iterator[None]:
    """Turn what the operating system refuses into a ConfigurationError that says what to do."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(_sentence(folder, error)) from error


def failed(folder: Folder, doing: str, said: str) -> ConfigurationError:
    """What a program of PostgreSQL said when it could not do its work, and what to do about it."""
    if _disk_is_full(said):
        return ConfigurationError(f"The database in {folder.root} could not {doing}. {DISK_FULL}")
    return ConfigurationError(
        f"The database in {folder.root} could not {doing}. PostgreSQL said, and more of it is in {folder.log}:\n{said}"
    )


def _disk_is_full(said: str) -> bool:
    return any(
        sign in said for sign in ("No space left on device", "Disk quota exceeded", "Check free disk space")
    )


def _sentence(folder: Folder, error: OSError) -> str:
    where = error.filename or folder.root
    if _disk_is_full(str(error)):
        return f"Cannot write to {where}. {DISK_FULL}"
    match error.errno:
        case errno.EROFS:
            return f"Cannot write to {where}: it is on a read-only file system. Make it writable, or {ELSEWHERE}."
        case errno.EACCES | errno.EPERM:
            return (
                f"The user {_user()} may not use {where}. Run as the user that owns it, give it to {_user()}, "
                f"or {ELSEWHERE}."
            )
        case errno.ENOTDIR | errno.EEXIST:
            return f"{where} is not a folder. Move it away, or {ELSEWHERE}."
    return f"Cannot use {where}: {error.strerror or error}. Mend that, or {ELSEWHERE}."


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as containers have
        return str(os.geteuid())
