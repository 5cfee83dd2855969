import asyncio
import shutil
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from counterfoil.domain.errors import ConfigurationError, DatabaseAwayError
from counterfoil.store import migrate, migrations
from counterfoil.store.embedded import supervise
from database import binaries
from processes import OURSELVES

ALL = sorted(path.name[:4] for path in migrations.VERSIONS.glob("*.py"))

MIGRATE = """
import sys
from counterfoil.store.migrate import migrate
print(*migrate(sys.argv[1]))
"""


@asynccontextmanager
async def connected(url):
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def more_migrations(tmp_path, monkeypatch):
    """Write a migration that follows the last of ours: its SQL, and where its file stands."""
    versions = Path(shutil.copytree(migrations.VERSIONS.parent, tmp_path / "migrations")) / "versions"
    for module in (migrations, migrate):
        monkeypatch.setattr(module, "VERSIONS", versions)

    def add(revision, statements, and_then="SELECT 1"):
        last = max(path.name[:4] for path in versions.glob("*.py") if path.name[:4] < revision)
        (versions / f"{revision}_more.sql").write_text(statements)
        (versions / f"{revision}_more.py").write_text(
            "from alembic import op\nfrom counterfoil.store.migrations import sql\n"
            f"revision = {revision!r}\ndown_revision = {last!r}\n"
            f"def upgrade():\n    sql('{revision}_more.sql')\n    op.execute({and_then!r})\n"
        )

    return add


def test_an_empty_database_is_brought_up_to_date_once(empty_database):
    url = empty_database.owner_url
    assert migrate.current(url) is None
    assert migrate.pending(url) == ALL
    assert migrate.migrate(url) == ALL
    assert migrate.migrate(url) == []
    assert migrate.current(url) == ALL[-1]
    assert migrate.pending(url) == []


def test_the_services_own_role_can_ask_whether_its_database_is_up_to_date(database_url):
    assert migrate.current(database_url) == ALL[-1]
    assert migrate.pending(database_url) == []


def test_inside_a_running_service_it_is_called_from_a_thread(empty_database):
    async def service():
        return await asyncio.to_thread(migrate.migrate, empty_database.owner_url)

    assert asyncio.run(service()) == ALL


async def test_processes_that_start_at_once_migrate_once(empty_database):
    async with connected(empty_database.owner_url) as holder:
        await holder.execute(f"SELECT pg_advisory_lock({migrate.LOCK})")
        processes = [OURSELVES.popen(MIGRATE, empty_database.owner_url) for _ in range(3)]
        waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
        async with asyncio.timeout(20):
            while await holder.fetchval(waiting) < 3:
                await asyncio.sleep(0.02)
        await holder.execute("SELECT pg_advisory_unlock_all()")
        answers = [await asyncio.to_thread(process.communicate, timeout=60) for process in processes]
    assert [complained for _, complained in answers] == ["", "", ""]
    assert sorted(said.split() for said, _ in answers) == [[], [], ALL]


async def test_a_migration_that_fails_leaves_nothing_and_those_before_it_stand(
    empty_database, more_migrations
):
    url = empty_database.owner_url
    more_migrations("8001", "CREATE TABLE good (id int)")
    more_migrations("8002", "CREATE TABLE half (id int); INSERT INTO half VALUES (1)", "SELECT 1 / 0")
    with pytest.raises(ConfigurationError, match="division by zero"):
        await asyncio.to_thread(migrate.migrate, url)
    assert await asyncio.to_thread(migrate.current, url) == "8001"
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT to_regclass('good')") == "good"
        assert await connection.fetchval("SELECT to_regclass('half')") is None
    more_migrations("8002", "CREATE TABLE half (id int)")
    assert await asyncio.to_thread(migrate.migrate, url) == ["8002"]


async def test_a_batch_that_waited_before_batches_had_a_time_is_looked_at_and_no_other(
    empty_database, tmp_path, monkeypatch
):
    url, versions = empty_database.owner_url, tmp_path / "migrations" / "versions"
    shutil.copytree(migrations.VERSIONS.parent, versions.parent)
    for later in versions.glob("00*"):
        if later.name[:4] >= "0019":
            later.unlink()
    with monkeypatch.context() as before:
        for module in (migrations, migrate):
            before.setattr(module, "VERSIONS", versions)
        await asyncio.to_thread(migrate.migrate, url)
    async with connected(url) as connection:
        await connection.execute("INSERT INTO merchants VALUES ('m', 'Shop', now())")
        await connection.execute(
            """
            INSERT INTO refund_batches (id, merchant_id, mode, name, digest, state, because, needed, requested_by, person,
                role, rows, totals, requested_at)
            SELECT state, 'm', 'sandbox', 'a.csv', state, state, 'why', 1, 'key', 'anna', 'approver', 1, '{}', now()
            FROM unnest(ARRAY['pending_approval', 'rejected', 'cancelled', 'done']) AS state
            """
        )
        await asyncio.to_thread(migrate.migrate, url)
        rows = await connection.fetch("SELECT id FROM refund_batches WHERE next_check_at = requested_at")
    assert [row["id"] for row in rows] == ["pending_approval"]


def test_a_database_that_a_newer_version_migrated_is_refused(owner_url, more_migrations, monkeypatch):
    ours = migrations.VERSIONS
    more_migrations("8001", "SELECT 1")
    migrate.migrate(owner_url)
    monkeypatch.undo()
    assert ours != migrate.VERSIONS
    for question in (migrate.migrate, migrate.pending):
        with pytest.raises(
            ConfigurationError, match="at revision 8001, which this version of Counterfoil does not know"
        ):
            question(owner_url)


def test_a_server_too_old_is_refused(owner_url, monkeypatch):
    monkeypatch.setattr(migrate, "OLDEST_SERVER", 99)
    with pytest.raises(ConfigurationError, match="Counterfoil needs 99 or newer"):
        migrate.migrate(owner_url)


def test_a_process_does_not_wait_for_the_lock_for_ever(owner_url, monkeypatch):
    monkeypatch.setattr(migrate, "WAIT_LIMIT", "50ms")

    async def held():
        async with connected(owner_url) as holder:
            await holder.execute(f"SELECT pg_advisory_lock({migrate.LOCK})")
            with pytest.raises(ConfigurationError, match="lock timeout"):
                await asyncio.to_thread(migrate.migrate, owner_url)

    asyncio.run(held())


# Errors that say what to do, and no password


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("postgresql://app:hidden@127.0.0.1:1/x", DatabaseAwayError, "127.0.0.1:1/x does not answer"),
        (
            "mysql://app:hidden@127.0.0.1/x",
            ConfigurationError,
            "Write it as postgresql://user:password@host:5432/name",
        ),
    ],
)
def test_an_address_that_leads_nowhere_is_told(url, error, says):
    with pytest.raises(error) as told:
        migrate.current(url)
    assert says in str(told.value)
    assert "hidden" not in str(told.value)


def test_a_wrong_password_and_a_missing_database_are_told(database_url):
    with pytest.raises(ConfigurationError, match='refused: password authentication failed for user "app"'):
        migrate.current(database_url.replace("app:", "app:wrong"))
    with pytest.raises(ConfigurationError, match='refused: database "missing" does not exist'):
        migrate.current(database_url.rpartition("/")[0] + "/missing")


# The queue that the first migration brings


async def test_the_queue_is_what_the_library_expects(owner_url):
    """A newer PgQueuer that wants more says so here; what it wants becomes a migration."""
    async with connected(owner_url) as connection:
        assert (await Queries(AsyncpgDriver(connection)).plan_upgrade()).statements == ()


async def test_the_services_own_role_can_run_the_queue(database_url):
    done = asyncio.Event()
    async with connected(database_url) as connection:
        queue = PgQueuer(AsyncpgDriver(connection))

        @queue.entrypoint("look")
        async def look(job):
            done.set()

        await Queries(AsyncpgDriver(connection)).enqueue(["look"], [b"x"], [0])
        running = asyncio.create_task(queue.run(dequeue_timeout=timedelta(seconds=1)))
        await asyncio.wait_for(done.wait(), 10)
        queue.shutdown.set()
        await running
        assert await connection.fetchval("SELECT count(*) FROM pgqueuer") == 0


async def test_a_database_of_the_users_own_needs_no_second_role(made_folder):
    with supervise(made_folder, binaries=binaries()) as server:
        async with connected(server.url("postgres")) as connection:
            await connection.execute("DROP ROLE app")
        assert await asyncio.to_thread(migrate.migrate, server.url("owner")) == ALL
