"""Other processes for these tests: owners of a server to be killed, run as ourselves or as an ordinary user."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

import counterfoil

# Owns the server of a folder, says its address, and waits to be ended.
OWNER = """
import sys
from pathlib import Path
from counterfoil.store.embedded import supervise
with supervise(Path(sys.argv[1])) as server:
    print(server.url("postgres", "postgres"), flush=True)
    sys.stdin.read()
"""

# The same on a system whose kernel tells no child of its parent's death.
UNTOLD = f"""
from counterfoil.store.embedded import postmaster
postmaster._KERNEL_TELLS_OF_DEATH = False
{OWNER}"""


@dataclass(frozen=True, slots=True)
class Person:
    """Who runs a process; `uid` is None for ourselves."""

    python: str
    uid: int | None = None

    def popen(self, code: str, *arguments: object) -> subprocess.Popen[str]:
        measured = (
            {} if self.uid is None else {"COVERAGE_PROCESS_START": ""}
        )  # it could not write what it saw
        source, libraries = (Path(package.__file__).parents[1] for package in (counterfoil, psutil))
        return subprocess.Popen(
            [self.python, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=self.uid,
            extra_groups=None if self.uid is None else (),
            cwd="/",
            env={**os.environ, **measured, "PYTHONPATH": f"{source}:{libraries}"},
        )

    def run(self, code: str, *arguments: object) -> tuple[int, str, str]:
        with self.popen(code, *arguments) as process:
            said, complained = process.communicate(timeout=60)
            return process.returncode, said, complained

    def owns(self, path: Path) -> None:
        if self.uid is not None:
            os.chown(path, self.uid, -1)

    @contextmanager
    def owner(self, data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """A process that owns the server of the folder, and the server's address."""
        with self.popen(OWNER, data) as process:
            try:
                url = process.stdout.readline().strip()
                if not url:
                    raise AssertionError(process.stderr.read())
                yield process, url
            finally:
                process.kill()


OURSELVES = Person(sys.executable)


def ordinary() -> Person | None:
    """A user without rights, if we are root and such a user can start Python and read what we are made of."""
    if os.geteuid() != 0:
        return None
    major, minor = sys.version_info[:2]
    pythons = (sys.executable, shutil.which(f"python{major}.{minor}", path="/usr/bin:/usr/local/bin"))
    people = (Person(python, pwd.getpwnam("nobody").pw_uid) for python in pythons if python)
    return next(filter(_can_import, people), None)


def _can_import(person: Person) -> bool:
    try:
        return person.run("import counterfoil.store.embedded, psutil")[0] == 0
    except PermissionError:
        return False
