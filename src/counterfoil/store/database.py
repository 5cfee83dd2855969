"""The database: a pool, and transactions that mark themselves so that no gateway is called inside one.

Everything is READ COMMITTED: money is decided by conditional updates and row locks, never by read, decide, write.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from counterfoil.domain.boundary import transaction_open
from counterfoil.domain.errors import DatabaseAwayError

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Hook: TypeAlias = Callable[[str], Awaitable[None]]

# A burst of payments waits for a connection; the inbox, whose senders wait five seconds at most, has its own limit.
ACQUIRE_S: Final = 10.0
CONNECT_S: Final = 5.0
STATEMENT_S: Final = 30.0  # no statement of ours takes one; a stuck one must not hold its locks for ever
POOL_SIZE: Final = 16  # two cores are busy with eight; the rest wait for locks

AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was told of its end, and has not ended yet
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Database:
    """A pool of connections. `before_commit` and `after_commit` are told of every commit: for crash tests."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, on_commit: Hook | None = None) -> None:
        self._pool = pool
        self._on_commit = on_commit

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction that commits at the end of the block. Raises DatabaseAwayError where there is no database.

        An error in the commit itself leaves the outcome unknown: whoever retries looks its own key up first.
        """
        async with self._connection() as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                with transaction_open():
                    yield conn
            except BaseException:
                await _roll_back(transaction)
                raise
            await self._hook("before commit")
            await transaction.commit()
        await self._hook("after commit")

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Connection]:
        """A connection for one statement that writes: it is its own transaction, without the two rounds of one."""
        async with self._connection() as conn:
            await self._hook("before commit")
            yield conn
        await self._hook("after commit")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection for single reads, each its own transaction."""
        async with self._connection() as conn:
            yield conn

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            conn = await self._pool.acquire(timeout=ACQUIRE_S)
            try:
                yield conn
            finally:
                await self._give_back(conn)
        except TimeoutError as slow:
            raise DatabaseAwayError("The database did not answer in time.") from slow
        except AWAY as away:
            raise DatabaseAwayError(f"The database cannot be reached: {type(away).__name__}.") from away

    async def _give_back(self, conn: Connection) -> None:
        """A connection that cannot be given back is dropped by the pool; what was committed on it stands."""
        with contextlib.suppress(*AWAY):
            await self._pool.release(conn, timeout=CONNECT_S)

    async def _hook(self, moment: str) -> None:
        if self._on_commit is not None:
            await self._on_commit(moment)

    async def ping(self) -> None:
        async with self._connection() as conn:
            await conn.fetchval("SELECT 1")

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_S)
        except (TimeoutError, *AWAY):
            self._pool.terminate()


@asynccontextmanager
async def savepoint(conn: Connection) -> AsyncIterator[None]:
    """What fails in the block is undone, and the transaction goes on.

    It is not released where nothing fails: the commit does that, and whoever waits for our locks waits a round less.
    """
    await conn.execute("SAVEPOINT here")
    try:
        yield
    except Exception:
        with contextlib.suppress(*AWAY):
            await conn.execute("ROLLBACK TO SAVEPOINT here")
        raise


async def _roll_back(transaction: Any) -> None:
    """Roll back; where the connection is gone, PostgreSQL has done so already."""
    try:
        await transaction.rollback()
    except AWAY:
        return


async def connect(
    url: str, *, size: int = POOL_SIZE, pooled: bool = False, on_commit: Hook | None = None
) -> Database:
    """Open a pool. `pooled` says that a transaction pooler stands before PostgreSQL: no named prepared statements."""
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_S,
            command_timeout=STATEMENT_S,
            statement_cache_size=0 if pooled else 512,
            init=prepare,
            reset=_as_it_was,
        )
    except (TimeoutError, *AWAY) as away:
        raise DatabaseAwayError(f"The database cannot be reached: {type(away).__name__}.") from away
    return Database(pool, on_commit=on_commit)


async def prepare(conn: "asyncpg.Connection[asyncpg.Record] | Connection") -> None:
    """Give a connection our codec: jsonb goes in and comes out as plain values."""
    await conn.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode, decoder=_decode, format="binary")


async def _as_it_was(_conn: "asyncpg.Connection[asyncpg.Record] | Connection") -> None:
    """Ready a connection for its next user. asyncpg has rolled back what was cut off before it asks; nothing else of
    ours outlives a transaction, so that the round trip it would make after every use would find nothing to do.
    """


def _encode(value: Any) -> bytes:
    """PgQueuer hands over text that is JSON already; we only ever store objects and lists."""
    return b"\x01" + (value.encode() if isinstance(value, str) else msgspec.json.encode(value))


def _decode(data: bytes) -> Any:
    return msgspec.json.decode(data[1:])
