"""Databases for every suite; what else a suite needs stands in the conftest of its own folder."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.store.embedded import supervise
from database import RELAXED, Database, Postgres, binaries, disk, folder, memory, postgres


@pytest.fixture(scope="session")
def fast_postgres() -> Iterator[Postgres]:
    with postgres(memory(), RELAXED) as running:
        yield running


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[Postgres]:
    """The server as users have it: for races, crashes and everything else that must be on the disk."""
    with postgres(disk(), {}) as running:
        yield running


@pytest.fixture
def database(fast_postgres: Postgres) -> Iterator[Database]:
    with fast_postgres.database() as own:
        yield own


@pytest.fixture
def database_url(database: Database) -> str:
    """The address of this test's own, migrated database, for the role that the service runs as."""
    return database.app_url


@pytest.fixture
def owner_url(database: Database) -> str:
    """The same database, for the role that owns the tables."""
    return database.owner_url


@pytest.fixture
def empty_database(fast_postgres: Postgres) -> Iterator[Database]:
    """A database with nothing in it, not even migrated."""
    with fast_postgres.database(template="template1") as own:
        yield own


@pytest.fixture
def durable_database(durable_postgres: Postgres) -> Iterator[Database]:
    with durable_postgres.database() as own:
        yield own


@pytest.fixture
def durable_database_url(durable_database: Database) -> str:
    """Like database_url, on a server that syncs to the disk."""
    return durable_database.app_url


@pytest.fixture
def durable_owner_url(durable_database: Database) -> str:
    return durable_database.owner_url


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A fresh data folder in which a test starts a server of its own."""
    with folder(memory()) as path:
        yield path


@pytest.fixture(scope="session")
def _made_once() -> Iterator[Path]:
    with folder(memory()) as path:
        with supervise(path, binaries=binaries()):
            pass
        yield path


@pytest.fixture
def made_folder(data_folder: Path, _made_once: Path) -> Path:
    """A data folder whose first start is behind it."""
    subprocess.run(["cp", "-a", _made_once / "postgres", data_folder], check=True)
    return data_folder
