"""The queue of background work: PgQueuer on our own connection, so that a job and its row commit together.

A job only says "look at row X": our rows are the truth, and a job run twice does nothing.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

import asyncpg
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from counterfoil.store.database import CONNECT_S, Connection

UNDERSTAND: Final = "understand"  # payload: an inbox id
LOOK_AFTER: Final = "look_after"  # payload: a payment id


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[AsyncpgDriver]:
    """A direct connection of its own, for LISTEN and for taking jobs."""
    conn = await asyncpg.connect(url, timeout=CONNECT_S)
    try:
        yield AsyncpgDriver(conn)
    finally:
        conn.terminate()


async def enqueue(conn: Connection, entrypoint: str, ids: Sequence[str]) -> None:
    """Enqueue one job an id, in the caller's transaction, in one statement."""
    if not ids:
        return
    queries = Queries(AsyncpgDriver(cast("asyncpg.Connection[asyncpg.Record]", conn)))
    count = len(ids)
    await queries.enqueue([entrypoint] * count, [id_.encode() for id_ in ids], [0] * count)


async def depth(conn: Connection) -> dict[str, int]:
    """How many jobs wait, by entrypoint."""
    rows = await conn.fetch(
        "SELECT entrypoint, count(*) AS n FROM pgqueuer WHERE status = 'queued' GROUP BY entrypoint"
    )
    return {row["entrypoint"]: row["n"] for row in rows}


async def prune_log(conn: Connection) -> None:
    """PgQueuer never deletes its log; a week of it is plenty. It keeps its own time by SQL now()."""
    await conn.execute("DELETE FROM pgqueuer_log WHERE aggregated AND created < now() - interval '7 days'")
