"""The database as one file, and back: how it moves from one major version of PostgreSQL to the next.

Also a backup: the dump is consistent, and taken while the service runs.
"""

import subprocess
from pathlib import Path

from counterfoil.domain.errors import ConfigurationError
from counterfoil.store.embedded import binaries as programs
from counterfoil.store.embedded import cluster
from counterfoil.store.embedded.folder import Folder
from counterfoil.store.embedded.server import Server, attach, supervise


def dump(data: Path, file: Path, *, binaries: Path | None = None) -> None:
    """Write the database of a data folder to a file (0600); binaries are those of the version that wrote the folder.

    Raises ConfigurationError.
    """
    with supervise(data, binaries=binaries) if binaries else attach(data) as server:
        _run(data, server, binaries, "pg_dump", "--format=custom", f"--file={file}")


def restore(data: Path, file: Path) -> None:
    """Fill the empty database of a data folder, made here if need be, from a dump; all of it or nothing.

    Raises ConfigurationError, also where the database is not empty.
    """
    with attach(data) as server:
        _run(data, server, None, "pg_restore", "--single-transaction", "--exit-on-error", str(file))


def _run(data: Path, server: Server, binaries: Path | None, program: str, *arguments: str) -> None:
    place = ["--host=127.0.0.1", f"--port={server.port}", f"--username={cluster.OWNER}", "--no-password"]
    done = subprocess.run(  # noqa: S603  our own programs; the file is a word of its own
        [(binaries or programs.of_wheel()) / program, *place, f"--dbname={cluster.DATABASE}", *arguments],
        env={**programs.ENVIRONMENT, "PGPASSFILE": str(Folder.of(data).passwords)},
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigurationError(f"{program} failed, and nothing was changed: {done.stderr.strip()}")
