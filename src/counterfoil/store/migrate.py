"""The schema brought up to date: Alembic, run from here, with no file for the user to keep.

All functions are for a program that runs no event loop yet; inside one, call them by asyncio.to_thread. They need a
direct connection: behind a pooler in transaction mode the lock would mean nothing (COUNTERFOIL_DATABASE_DIRECT_URL).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from counterfoil.domain.errors import ConfigurationError, DatabaseAwayError
from counterfoil.store.migrations import VERSIONS

T = TypeVar("T")

OLDEST_SERVER: Final = 15  # the oldest that the tests run on
LOCK: Final = 7_271_001  # any number, the same in every process: who holds it migrates, the others wait
WAIT_LIMIT: Final = "10min"  # for the lock, and for a table that a long transaction reads
CONNECT_LIMIT_S: Final = 10


def migrate(url: str) -> list[str]:
    """Apply what is missing, as the role that owns the database; the revisions applied, oldest first.

    Any number of processes may call it at once: one migrates, the others wait and find nothing to do. A migration
    that fails is rolled back. Raises DatabaseAwayError, and ConfigurationError with what to do.
    """
    return _ask(url, _upgrade)


def current(url: str) -> str | None:
    """The revision of the database; None where nothing was applied yet. Raises like migrate."""
    return _ask(url, _revision)


def pending(url: str) -> list[str]:
    """The revisions that migrate would apply, oldest first. Raises like migrate."""
    return _ask(url, _missing)


def _upgrade(connection: Connection) -> list[str]:
    _take_lock(connection)
    _refuse_old_server(connection)
    _missing(connection)  # refuses a database that a newer version migrated
    connection.commit()  # so that each migration begins a transaction of its own
    applied: list[str] = []
    config = _config()
    config.attributes["connection"] = connection
    config.attributes["on_apply"] = lambda *, step, **_: applied.append(step.up_revision_id)
    command.upgrade(config, "head")
    return applied


def _take_lock(connection: Connection) -> None:
    """Wait until no other process migrates. The session holds the lock, until its connection closes."""
    connection.execute(text(f"SET lock_timeout = '{WAIT_LIMIT}'"))
    connection.execute(text(f"SELECT pg_advisory_lock({LOCK})"))


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _missing(connection: Connection) -> list[str]:
    script = ScriptDirectory.from_config(_config())
    steps = [step.revision for step in script.walk_revisions()][::-1]
    at = _revision(connection)
    if at is not None and at not in steps:
        raise ConfigurationError(
            f"The database is at revision {at}, which this version of Counterfoil does not know: a newer one was here. "
            "Install that version or a later one."
        )
    return steps[steps.index(at) + 1 :] if at else steps


def _refuse_old_server(connection: Connection) -> None:
    version = connection.scalar(text("SELECT current_setting('server_version_num')::int / 10000"))
    if version < OLDEST_SERVER:
        raise ConfigurationError(
            f"The database server is PostgreSQL {version}; Counterfoil needs {OLDEST_SERVER} or newer."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _ask(url: str, question: Callable[[Connection], T]) -> T:
    return asyncio.run(_answer(url, question))


async def _answer(url: str, question: Callable[[Connection], T]) -> T:
    driver = await _connect(url)

    async def opened() -> Any:
        return driver

    engine = create_async_engine("postgresql+asyncpg://", async_creator=opened, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(question)
    except (DBAPIError, asyncpg.PostgresError) as error:
        raise ConfigurationError(f"The database at {_place(url)} refused: {_reason(error)}.") from error
    finally:
        await engine.dispose()


async def _connect(url: str) -> Any:
    """Connect as the pool does, by the driver's own reading of the URL: SQLAlchemy understands other parameters."""
    try:
        return await asyncpg.connect(url, timeout=CONNECT_LIMIT_S)
    except ValueError as error:
        raise ConfigurationError(
            f"That is not the address of a database: {error}. Write it as postgresql://user:password@host:5432/name."
        ) from error
    except (OSError, TimeoutError) as error:
        raise DatabaseAwayError(f"The database at {_place(url)} does not answer: {error}.") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ConfigurationError(f"The database at {_place(url)} refused: {_reason(error)}.") from error


def _place(url: str) -> str:
    """Where the database is, without the password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2] or 'the local socket'}{parts.path}"


def _reason(error: Exception) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error).strip().rstrip(".")
