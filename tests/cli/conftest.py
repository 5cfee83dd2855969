"""The command line in processes of its own, beside a running service over the same database."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from database import Postgres, folder, memory
from sandbox_server import Sandbox, run_sandbox
from service import Service, counterfoil, environment, running_service


class Ran(NamedTuple):
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


def run_in(environ: dict[str, str], *arguments: str) -> Ran:
    done = subprocess.run(
        counterfoil(*arguments), env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


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


@pytest.fixture(scope="session")
def environ(service: Service, key_file: Path) -> dict[str, str]:
    """What a command needs to work on the running service's database."""
    return environment(service.sandbox, service.database_url, key_file, public_url=service.url)


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    """Run a command over the running service's database; keywords are further variables."""

    def running(*arguments: str, **variables: Any) -> Ran:
        more = {f"COUNTERFOIL_{name.upper()}": str(value) for name, value in variables.items()}
        return run_in(environ | more, *arguments)

    return running
