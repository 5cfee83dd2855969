"""Outgoing events in the database: written with what they tell of, numbered after their commit, read in that order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import asyncpg

from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.domain.event import Event
from counterfoil.store.database import AWAY, CONNECT_S, Connection

CHANNEL: Final = "counterfoil_events"
_EVENT: Final = ", ".join(Event.__dataclass_fields__)
# For statements that write what happened as well.
INTO: Final = "INSERT INTO events (id, merchant_id, mode, type, object_id, version, object, created_at)"


async def insert(conn: Connection, event: Event) -> None:
    """Keep an event in the caller's transaction.

    Nobody is notified here: a NOTIFY takes a lock of the whole server until its commit is on the disk, and payments
    would commit one after the other.
    """
    await conn.execute(
        f"{INTO} VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        event.id,
        event.merchant_id,
        event.mode,
        event.type,
        event.object_id,
        event.version,
        event.object,
        event.created_at,
    )


async def any_unnumbered(conn: Connection) -> bool:
    found: bool = await conn.fetchval("SELECT EXISTS (SELECT FROM events WHERE sequence IS NULL)")
    return found


async def number(conn: Connection, *, limit: int, now: datetime) -> int:
    """Number what was committed, in the order of arrival, and address it to the endpoints that want it.

    Returns how many were numbered; 0 too where another process is at it.
    """
    last = await conn.fetchval("SELECT last FROM event_sequence FOR UPDATE SKIP LOCKED")
    if last is None:
        return 0
    # A statement of its own: it sees all that the process before us, whose lock is gone, has committed.
    rows = await conn.fetch(
        """
        UPDATE events e SET sequence = $1 + n.number
        FROM (SELECT id, row_number() OVER (ORDER BY arrived) AS number
              FROM events WHERE sequence IS NULL ORDER BY arrived LIMIT $2) n
        WHERE e.id = n.id RETURNING e.id
        """,
        last,
        limit,
    )
    if not rows:
        return 0
    await conn.execute("UPDATE event_sequence SET last = $1", last + len(rows))
    await _address(conn, [row["id"] for row in rows], now)
    await conn.execute(f"NOTIFY {CHANNEL}")
    return len(rows)


async def _address(conn: Connection, event_ids: Sequence[str], now: datetime) -> None:
    await conn.execute(
        f"""
        INSERT INTO deliveries (event_id, endpoint_id, object_id, sequence, next_check_at)
        SELECT v.id, e.id, v.object_id, v.sequence, $2
        FROM events v JOIN endpoints e ON {WANTED}
        WHERE v.id = ANY($1) AND e.disabled_at IS NULL
        """,
        event_ids,
        now,
    )


# Whether endpoint e wants event v.
WANTED: Final = """
    e.merchant_id = v.merchant_id AND e.mode = v.mode AND e.deleted_at IS NULL
    AND (e.types = '{}' OR v.type = ANY(e.types) OR split_part(v.type, '.', 1) || '.*' = ANY(e.types))
"""


async def after(conn: Connection, merchant_id: str, mode: str, *, sequence: int, limit: int) -> list[Event]:
    """The next events after a sequence, in order."""
    rows = await conn.fetch(
        f"SELECT {_EVENT} FROM events WHERE merchant_id = $1 AND mode = $2 AND sequence > $3"
        " ORDER BY sequence LIMIT $4",
        merchant_id,
        mode,
        sequence,
        limit,
    )
    return [Event(**row) for row in rows]


async def last(conn: Connection) -> int:
    """The last sequence that was given."""
    found: int = await conn.fetchval("SELECT last FROM event_sequence")
    return found


async def prune(conn: Connection, before_id: str, limit: int) -> int:
    """Forget events whose ids, and so their times, are before this one, with their deliveries; how many went."""
    rows = await conn.fetch(
        """
        DELETE FROM events WHERE id IN (
            SELECT id FROM events WHERE id < $1 AND sequence IS NOT NULL ORDER BY id LIMIT $2
        ) RETURNING id
        """,
        before_id,
        limit,
    )
    return len(rows)


@asynccontextmanager
async def listening(url: str, heard: Callable[[], None]) -> AsyncIterator[asyncio.Event]:
    """Call `heard` whenever events were numbered; the event that is given is set when the connection is lost.

    Raises DatabaseAwayError. `url` is a direct connection: LISTEN is lost behind a transaction pooler.
    """
    try:
        conn = await asyncpg.connect(url, timeout=CONNECT_S)
    except (TimeoutError, *AWAY) as away:
        raise DatabaseAwayError(f"The database cannot be reached: {type(away).__name__}.") from away
    lost = asyncio.Event()
    try:
        conn.add_termination_listener(lambda _: lost.set())
        await conn.add_listener(CHANNEL, lambda *_: heard())
        yield lost
    finally:
        conn.terminate()


# Callbacks in the process.


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """How far a callback has heard. `tries` counts those of the event that comes next."""

    name: str
    merchant_id: str
    mode: str
    sequence: int
    tries: int


_KEY: Final = "name = $1 AND merchant_id = $2 AND mode = $3"


async def register(conn: Connection, name: str, merchant_id: str, mode: str, now: datetime) -> None:
    """Make a callback known: it hears of what is numbered from now on. Known already: nothing changes."""
    await conn.execute(
        "INSERT INTO listeners (name, merchant_id, mode, sequence, next_check_at)"
        " SELECT $1, $2, $3, last, $4 FROM event_sequence ON CONFLICT DO NOTHING",
        name,
        merchant_id,
        mode,
        now,
    )


async def take_listener(
    conn: Connection, name: str, merchant_id: str, mode: str, *, now: datetime, until: datetime
) -> Listener | None:
    """The callback's cursor, leased and its try counted; None where another process has it or it is not time."""
    row = await conn.fetchrow(
        f"UPDATE listeners SET next_check_at = $5, tries = tries + 1 WHERE {_KEY} AND next_check_at <= $4"
        " RETURNING name, merchant_id, mode, sequence, tries",
        name,
        merchant_id,
        mode,
        now,
        until,
    )
    return Listener(**row) if row else None


async def listener_at(conn: Connection, name: str, merchant_id: str, mode: str) -> int | None:
    """The last sequence that the callback heard; None where it is not known."""
    found: int | None = await conn.fetchval(
        f"SELECT sequence FROM listeners WHERE {_KEY}", name, merchant_id, mode
    )
    return found


async def heard(conn: Connection, of: Listener, *, sequence: int, until: datetime) -> Listener | None:
    """Move the cursor on and keep the lease. None where the lease was lost to another process."""
    moved = await _move(
        conn, of, "sequence = $5, tries = 1, next_check_at = $6, error = NULL", sequence, until
    )
    return replace(of, sequence=sequence, tries=1) if moved else None


async def rest(conn: Connection, of: Listener, now: datetime) -> bool:
    """There is nothing more to hear: give the lease back."""
    return await _move(conn, of, "tries = 0, next_check_at = $5", now)


async def stumbled(conn: Connection, of: Listener, *, error: str, again_at: datetime) -> bool:
    """The callback raised: the same event comes again then."""
    return await _move(conn, of, "error = $5, next_check_at = $6", error, again_at)


async def _move(conn: Connection, of: Listener, changes: str, *values: Any) -> bool:
    moved = await conn.fetchval(
        f"UPDATE listeners SET {changes} WHERE {_KEY} AND sequence = $4 RETURNING name",
        of.name,
        of.merchant_id,
        of.mode,
        of.sequence,
        *values,
    )
    return moved is not None
