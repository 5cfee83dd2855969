import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic
from typing import Any

import asyncpg
import pytest

from counterfoil.domain.boundary import NetworkInsideTransactionError, refuse_inside_transaction
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.store import database
from counterfoil.store.database import ACQUIRE_S, Connection, Database
from outage import line_to


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    opened = await database.connect(database_url, size=4)
    yield opened
    await opened.close()


async def _count(db: Database) -> int:
    async with db.reading() as conn:
        found: int = await conn.fetchval("SELECT count(*) FROM merchants")
        return found


_INSERT = "INSERT INTO merchants (id, name, created_at) VALUES ($1, 'A shop', now())"


async def test_a_block_that_ends_commits_and_one_that_fails_does_not(db: Database):
    async with db.transaction() as conn:
        await conn.execute(_INSERT, "mer_1")

    async def fail() -> None:
        async with db.transaction() as conn:
            await conn.execute(_INSERT, "mer_2")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await _count(db) == 1


async def test_what_fails_behind_a_savepoint_is_undone_and_the_rest_is_kept(db: Database):
    async def fail(conn: Connection) -> None:
        async with database.savepoint(conn):
            await conn.execute(_INSERT, "mer_2")
            await conn.execute(_INSERT, "mer_1")

    async with db.transaction() as conn:
        await conn.execute(_INSERT, "mer_1")
        with pytest.raises(asyncpg.UniqueViolationError):
            await fail(conn)
        async with database.savepoint(conn):
            await conn.execute(_INSERT, "mer_3")
    async with db.reading() as conn:
        assert [row["id"] for row in await conn.fetch("SELECT id FROM merchants ORDER BY id")] == [
            "mer_1",
            "mer_3",
        ]


async def test_a_cancelled_block_commits_nothing_and_gives_its_connection_back(db: Database):
    async def slow() -> None:
        async with db.transaction() as conn:
            await conn.execute(_INSERT, "mer_1")
            await asyncio.sleep(60)

    for _ in range(8):  # twice as often as there are connections
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await _count(db) == 0


@pytest.mark.parametrize("cut_at", ["begin", "rollback"])
async def test_a_connection_whose_transaction_was_cut_off_is_not_handed_on_inside_it(
    database_url: str, cut_at: str, monkeypatch: pytest.MonkeyPatch
):
    async def cut(*_: Any) -> None:
        raise asyncio.CancelledError

    async def write() -> None:
        async with one.transaction() as conn:
            await conn.execute(_INSERT, "mer_1")
            raise KeyError

    one, other = await database.connect(database_url, size=1), await database.connect(database_url, size=1)
    with monkeypatch.context() as cutting:
        if cut_at == "rollback":
            cutting.setattr(database, "_roll_back", cut)
        else:
            _cut_after_begin(cutting)
        with pytest.raises(asyncio.CancelledError):
            await write()
    async with one.reading() as conn:
        assert not conn.is_in_transaction()
    async with one.transaction() as conn:  # and not as a part of what was cut off, which nothing would commit
        await conn.execute(_INSERT, "mer_2")
    async with other.reading() as conn:
        assert await conn.fetchval("SELECT array_agg(id) FROM merchants") == ["mer_2"]
    await one.close()
    await other.close()


def _cut_after_begin(cutting: pytest.MonkeyPatch) -> None:
    """Let a transaction be begun by the server, and whoever began it be cancelled before it hears of that."""
    execute = asyncpg.Connection.execute

    async def begin(self: Any, query: str, *more: Any) -> str:
        done: str = await execute(self, query, *more)
        if query == "BEGIN;":
            raise asyncio.CancelledError
        return done

    cutting.setattr(asyncpg.Connection, "execute", begin)


async def test_a_single_statement_that_is_cancelled_gives_its_connection_back(database_url: str):
    async def slow() -> None:
        async with db.statement() as conn:
            await conn.execute("SELECT pg_sleep(60)")

    db = await database.connect(database_url, size=1)
    task = asyncio.create_task(slow())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _count(db) == 0
    await db.close()


async def test_no_gateway_can_be_called_while_a_transaction_is_open(db: Database):
    async with db.transaction():
        with pytest.raises(NetworkInsideTransactionError):
            refuse_inside_transaction()
    refuse_inside_transaction()
    async with db.reading():
        refuse_inside_transaction()  # single reads hold no locks


async def test_transactions_are_read_committed(db: Database):
    async with db.transaction() as conn:
        assert await conn.fetchval("SHOW transaction_isolation") == "read committed"
        assert await conn.fetchval("SELECT count(*) FROM merchants") == 0
        async with db.transaction() as other:
            await other.execute(_INSERT, "mer_1")
        assert await conn.fetchval("SELECT count(*) FROM merchants") == 1


async def test_hooks_are_told_before_and_after_every_commit_and_of_no_rollback(database_url: str):
    told = []

    async def hook(moment: str) -> None:
        told.append(moment)

    db = await database.connect(database_url, on_commit=hook)
    async with db.transaction():
        assert told == []
    with pytest.raises(KeyError):
        async with db.transaction():
            raise KeyError
    assert told == ["before commit", "after commit"]
    await db.close()


async def test_a_single_statement_is_a_transaction_of_its_own(db: Database):
    async with db.statement() as conn:
        await conn.execute(_INSERT, "mer_1")
        assert await _count(db) == 1  # committed already: others need not wait for the end of the block


async def test_hooks_are_told_of_a_single_statement_as_of_a_transaction(database_url: str):
    told = []

    async def hook(moment: str) -> None:
        told.append(moment)

    db = await database.connect(database_url, on_commit=hook)
    async with db.statement() as conn:
        assert told == ["before commit"]
        await conn.execute(_INSERT, "mer_1")
    assert told == ["before commit", "after commit"]
    with pytest.raises(asyncpg.UniqueViolationError):
        async with db.statement() as conn:
            await conn.execute(_INSERT, "mer_1")
    assert told == ["before commit", "after commit", "before commit"]
    await db.close()


async def test_a_process_that_dies_before_a_single_statement_has_written_nothing(database_url: str):
    async def die(moment: str) -> None:
        raise DatabaseAwayError(f"died {moment}")

    db = await database.connect(database_url, size=1, on_commit=die)
    with pytest.raises(DatabaseAwayError, match="died before commit"):
        async with db.statement() as conn:
            await conn.execute(_INSERT, "mer_1")
    assert await _count(db) == 0
    await db.close()


async def test_plain_values_go_in_and_come_out_of_json(db: Database):
    value = {"amount": 10**15, "list": [1, None, True], "text": "₹ é 😀 \\ \" '"}
    async with db.reading() as conn:
        assert await conn.fetchval("SELECT $1::jsonb", value) == value
        assert await conn.fetchval("SELECT jsonb_typeof($1::jsonb)", '{"already": "json"}') == "object"


async def test_a_database_that_refuses_is_away(database_url: str):
    with line_to(database_url) as (line, url):
        line.cut()
        with pytest.raises(DatabaseAwayError, match="cannot be reached"):
            await database.connect(url)


@pytest.mark.parametrize("outage", ["cut", "hold"])
async def test_a_database_that_goes_away_is_told_in_time_and_found_again(
    database_url: str, outage: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "STATEMENT_S", 1.0)
    with line_to(database_url) as (line, url):
        db = await database.connect(url, size=2)
        await db.ping()
        getattr(line, outage)()
        started = monotonic()
        with pytest.raises(DatabaseAwayError):
            async with db.transaction() as conn:
                await conn.execute(_INSERT, "mer_1")
        assert monotonic() - started < ACQUIRE_S + 0.5
        line.mend()
        await _until_back(db)
        async with db.transaction() as conn:
            await conn.execute(_INSERT, "mer_2")
        assert await _count(db) == 1
        await db.close()


async def _until_back(db: Database) -> None:
    for _ in range(20):
        with suppress(DatabaseAwayError):
            await db.ping()
            break
        await asyncio.sleep(0.05)


async def test_a_single_statement_whose_database_is_lost_under_way_says_so(database_url: str):
    with line_to(database_url) as (line, url):
        db = await database.connect(url, size=1)

        async def lost() -> None:
            async with db.statement() as conn:
                line.cut()
                await conn.execute(_INSERT, "mer_1")

        with pytest.raises(DatabaseAwayError, match="cannot be reached"):
            await lost()
        line.mend()
        await _until_back(db)
        assert await _count(db) == 0
        await db.close()


async def test_a_pool_without_a_free_connection_says_so_in_two_seconds(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "ACQUIRE_S", 0.2)
    db = await database.connect(database_url, size=1)
    async with db.reading():
        started = monotonic()
        with pytest.raises(DatabaseAwayError, match="did not answer in time"):
            await db.ping()
        assert monotonic() - started < 1
    await db.ping()
    await db.close()


class LameExit:
    """A pool that takes a connection back too slowly, as a busy server makes it."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def acquire(self, **more: Any) -> Any:
        return self._pool.acquire(**more)

    async def release(self, conn: Any, **_more: Any) -> None:
        await self._pool.release(conn)
        raise TimeoutError


async def test_what_was_committed_stands_although_its_connection_cannot_be_given_back(
    db: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(db, "_pool", LameExit(db._pool))
    async with db.transaction() as conn:
        await conn.execute(_INSERT, "mer_1")
    assert await _count(db) == 1
    monkeypatch.undo()  # the pool is closed by its own hands


@pytest.mark.parametrize("way", ["transaction", "statement"])
async def test_a_connection_ended_by_an_administrator_is_away_and_replaced(db: Database, way: str):
    async def interrupted() -> None:
        async with getattr(db, way)() as conn:
            pid = await conn.fetchval("SELECT pg_backend_pid()")
            async with db.reading() as other:
                await other.execute("SELECT pg_terminate_backend($1)", pid)
            await asyncio.sleep(0.05)
            await conn.execute(_INSERT, "mer_1")

    with pytest.raises(DatabaseAwayError):
        await interrupted()
    assert await _count(db) == 0


async def test_what_is_wrong_with_a_statement_is_not_called_away(db: Database):
    with pytest.raises(asyncpg.UndefinedTableError):
        async with db.transaction() as conn:
            await conn.execute("SELECT FROM nowhere")


async def test_behind_a_pooler_no_statement_is_prepared_by_name(database_url: str):
    async def named(*, pooled: bool) -> int:
        db = await database.connect(database_url, size=1, pooled=pooled)
        async with db.reading() as conn:
            await conn.fetchval("SELECT $1::int", 1)
            count: int = await conn.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
        await db.close()
        return count

    assert await named(pooled=False) > 0
    assert await named(pooled=True) == 0
