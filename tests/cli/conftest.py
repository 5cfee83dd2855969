"""The command line beside a running service over the same database: in this process, or in one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from counterfoil import log
from counterfoil.cli.main import main
from database import Postgres, folder, memory
from sandbox_server import Sandbox, run_sandbox
from service import Service, counterfoil, environment, running_service, serving


class Ran(NamedTuple):
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def gateways() -> Iterator[Sandbox]:
    with run_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def key_file() -> Iterator[Path]:
    with folder(memory()) as path:
        yield path / "key"


@pytest.fixture(scope="session")
def service(fast_postgres: Postgres, gateways: Sandbox, key_file: Path) -> Iterator[Service]:
    with (
        fast_postgres.database() as database,
        running_service(database.app_url, sandbox=gateways, key_file=key_file) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def own_service(fast_postgres: Postgres, key_file: Path) -> Iterator[Service]:
    """One of a file's own, for tests that change the settings, which are everybody's: it names its `service` so."""
    with serving(fast_postgres, key_file=key_file) as running:
        yield running


@pytest.fixture(scope="module")
def environ(service: Service, key_file: Path) -> dict[str, str]:
    """What a command needs to work on the running service's database."""
    return environment(service.sandbox, service.database_url, key_file, public_url=service.url)


@pytest.fixture
def spawn(environ: dict[str, str]) -> Run:
    """Run a command as it was installed, in a process of its own; keywords are further variables."""

    def spawning(*arguments: str, **variables: Any) -> Ran:
        done = subprocess.run(
            counterfoil(*arguments),
            env=environ | _named(variables),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return spawning


@pytest.fixture
def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The same in this process, which is faster; logging stays as pytest has it."""
    monkeypatch.setattr(log, "configure", lambda **_: None)

    def running(*arguments: str, **variables: Any) -> Ran:
        monkeypatch.setattr(sys, "argv", ["counterfoil", *arguments])
        for name in [name for name in os.environ if name.startswith("COUNTERFOIL_")]:
            monkeypatch.delenv(name)
        for name, value in (environ | _named(variables)).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ran(int(ended.value.code or 0), said.out, said.err)

    return running


def _named(variables: dict[str, Any]) -> dict[str, str]:
    return {f"COUNTERFOIL_{name.upper()}": str(value) for name, value in variables.items()}
