"""Deliveries: which are due, each in its turn, and how every try went.

The deliveries of one object to one endpoint are a lane: only the first that has not ended is sent. One that waits behind
another is pushed on whenever it is looked at, and called when the one before it ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from counterfoil.domain.event import Event
from counterfoil.store.database import Connection
from counterfoil.store.events import WANTED

# One that waits is looked at again after this, should the call have missed it.
LOOK_AGAIN: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A delivery to be sent now. `tries` counts this one."""

    event: Event
    endpoint_id: str
    url: str
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """How one try went. `status` is None where no answer came."""

    at: datetime
    number: int
    duration_ms: int
    status: int | None
    answer: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery as its log shows it; `last` is its latest try."""

    endpoint_id: str
    event_id: str
    type: str
    object_id: str
    version: int
    sequence: int
    outcome: str | None
    tries: int
    next_check_at: datetime | None
    ended_at: datetime | None
    last: Try | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The deliveries that have not ended, to endpoints that are not disabled; `oldest` is when that event happened."""

    count: int
    oldest: datetime | None


async def waiting(conn: Connection) -> Waiting:
    row = await conn.fetchrow(
        """
        SELECT count(*) AS count, min(v.created_at) AS oldest
        FROM endpoints e JOIN deliveries d ON d.endpoint_id = e.id JOIN events v ON v.id = d.event_id
        WHERE e.disabled_at IS NULL AND e.deleted_at IS NULL AND d.next_check_at IS NOT NULL
        """
    )
    return Waiting(**dict(row)) if row else Waiting(count=0, oldest=None)


async def any_due(conn: Connection, now: datetime) -> bool:
    found: bool = await conn.fetchval(
        """
        SELECT EXISTS (SELECT FROM endpoints e WHERE e.disabled_at IS NULL AND e.deleted_at IS NULL AND EXISTS (
            SELECT FROM deliveries d WHERE d.endpoint_id = e.id AND d.next_check_at <= $1))
        """,
        now,
    )
    return found


_TAKE: Final = """
    WITH due AS (
        SELECT d.* FROM endpoints e
        LEFT JOIN unnest($4::text[], $5::int[]) AS busy (endpoint_id, hands) ON busy.endpoint_id = e.id
        CROSS JOIN LATERAL (
            SELECT event_id, endpoint_id, object_id, sequence FROM deliveries
            WHERE endpoint_id = e.id AND next_check_at <= $1
            ORDER BY next_check_at, sequence LIMIT $3 - coalesce(busy.hands, 0) FOR UPDATE SKIP LOCKED
        ) d
        WHERE e.disabled_at IS NULL AND e.deleted_at IS NULL AND coalesce(busy.hands, 0) < $3
    ), judged AS (
        SELECT due.*, (
            SELECT min(p.next_check_at) FROM deliveries p
            WHERE p.endpoint_id = due.endpoint_id AND p.object_id = due.object_id
              AND p.next_check_at IS NOT NULL AND p.sequence < due.sequence
        ) AS behind FROM due
    )
    UPDATE deliveries d SET
        tries = d.tries + (j.behind IS NULL)::int,
        next_check_at = CASE WHEN j.behind IS NULL OR j.behind > $2 THEN greatest(j.behind, $2)
                             ELSE $1::timestamptz + $6::interval END
    FROM judged j, endpoints e, events v
    WHERE d.event_id = j.event_id AND d.endpoint_id = j.endpoint_id AND e.id = d.endpoint_id AND v.id = d.event_id
    RETURNING d.endpoint_id, d.tries, e.url, j.behind IS NULL AS first, v.id, v.merchant_id, v.mode, v.type,
              v.object_id, v.version, v.object, v.created_at, v.sequence
"""


async def take_due(
    conn: Connection, *, now: datetime, until: datetime, hands: int, busy: Mapping[str, int]
) -> tuple[list[Taken], bool]:
    """Of each endpoint what is due and first in its lane, pushed on to `until`; and whether anything was looked at.

    An endpoint has so many hands in this process, of which some are busy, by endpoint.
    """
    rows = await conn.fetch(_TAKE, now, until, hands, list(busy), list(busy.values()), LOOK_AGAIN)
    names = Event.__dataclass_fields__
    taken = [
        Taken(
            event=Event(**{name: row[name] for name in names}),
            endpoint_id=row["endpoint_id"],
            url=row["url"],
            tries=row["tries"],
        )
        for row in rows
        if row["first"]
    ]
    return sorted(taken, key=lambda one: one.event.sequence or 0), bool(rows)


# The try is logged, the lane goes on, and the endpoint is in order again.
_END: Final = """
    WITH ended AS (
        UPDATE deliveries SET outcome = $4, ended_at = $5, next_check_at = NULL
        WHERE event_id = $1 AND endpoint_id = $2 AND tries = $3 AND outcome IS NULL
        RETURNING object_id, sequence
    ), mended AS (
        UPDATE endpoints SET failing_since = NULL, noticed_at = NULL
        WHERE id = $2 AND $4 = 'delivered' AND failing_since IS NOT NULL RETURNING id
    ), calmed AS (
        UPDATE exceptions x SET resolved_at = $5 FROM mended
        WHERE x.kind = 'endpoint_failing' AND x.resolved_at IS NULL AND starts_with(x.subject, mended.id || '/')
    )
    UPDATE deliveries d SET next_check_at = $5 FROM (
        SELECT n.event_id FROM deliveries n JOIN ended USING (object_id)
        WHERE n.endpoint_id = $2 AND n.next_check_at IS NOT NULL AND n.sequence > ended.sequence
        ORDER BY n.sequence LIMIT 1
    ) following WHERE d.event_id = following.event_id AND d.endpoint_id = $2
"""


async def end(conn: Connection, of: Taken, how: Try, *, outcome: str, now: datetime) -> None:
    """The delivery has ended with this try, and the next of its lane may go. Nothing where another took it meanwhile."""
    await record(conn, of, how)
    await conn.execute(_END, of.event.id, of.endpoint_id, of.tries, outcome, now)


async def put_off(conn: Connection, of: Taken, how: Try, *, until: datetime) -> None:
    """The try failed: the next is then."""
    await record(conn, of, how)
    await conn.execute(
        "UPDATE deliveries SET next_check_at = $4"
        " WHERE event_id = $1 AND endpoint_id = $2 AND tries = $3 AND outcome IS NULL",
        of.event.id,
        of.endpoint_id,
        of.tries,
        until,
    )


async def record(conn: Connection, of: Taken, how: Try) -> None:
    """Write the try into the log; the delivery may have been pruned under way."""
    await conn.execute(
        """
        INSERT INTO delivery_log (event_id, endpoint_id, number, at, duration_ms, status, answer, error)
        SELECT event_id, endpoint_id, $3, $4, $5, $6, $7, $8 FROM deliveries
        WHERE event_id = $1 AND endpoint_id = $2
        """,
        of.event.id,
        of.endpoint_id,
        how.number,
        how.at,
        how.duration_ms,
        how.status,
        how.answer,
        how.error,
    )


_DELIVERY: Final = """
    SELECT d.endpoint_id, d.event_id, v.type, d.object_id, v.version, d.sequence, d.outcome, d.tries, d.next_check_at,
           d.ended_at, l.at, l.number, l.duration_ms, l.status, l.answer, l.error
    FROM deliveries d JOIN events v ON v.id = d.event_id
    LEFT JOIN LATERAL (
        SELECT * FROM delivery_log l WHERE l.event_id = d.event_id AND l.endpoint_id = d.endpoint_id
        ORDER BY l.id DESC LIMIT 1
    ) l ON true
"""


def _delivery(row: Any) -> Delivery:
    of_try = {name: row[name] for name in Try.__dataclass_fields__}
    own = {name: row[name] for name in Delivery.__dataclass_fields__ if name != "last"}
    return Delivery(**own, last=Try(**of_try) if row["at"] else None)


async def page(
    conn: Connection, endpoint_id: str, *, status: str | None, limit: int, before: int | None
) -> list[Delivery]:
    """An endpoint's deliveries, newest first; `status` is pending, delivered or failed."""
    rows = await conn.fetch(
        f"""{_DELIVERY} WHERE d.endpoint_id = $1 AND ($2::text IS NULL OR coalesce(d.outcome, 'pending') = $2)
            AND ($3::bigint IS NULL OR d.sequence < $3) ORDER BY d.sequence DESC LIMIT $4""",
        endpoint_id,
        status,
        before,
        limit,
    )
    return [_delivery(row) for row in rows]


async def get(conn: Connection, endpoint_id: str, event_id: str) -> tuple[Delivery, list[Try]]:
    """One delivery and all its tries. Raises LookupError."""
    row = await conn.fetchrow(
        f"{_DELIVERY} WHERE d.endpoint_id = $1 AND d.event_id = $2", endpoint_id, event_id
    )
    if row is None:
        raise LookupError(event_id)
    tries = await conn.fetch(
        f"SELECT {', '.join(Try.__dataclass_fields__)} FROM delivery_log"
        " WHERE event_id = $1 AND endpoint_id = $2 ORDER BY id",
        event_id,
        endpoint_id,
    )
    return _delivery(row), [Try(**one) for one in tries]


async def replay(conn: Connection, endpoint_id: str, event_id: str, now: datetime) -> bool:
    """Send an event to an endpoint again, or for the first time, from the first try on. False where it is not kept."""
    done = await conn.fetchval(
        f"{_AGAIN} AND v.id = $3 {_FROM_THE_FIRST} RETURNING d.event_id", endpoint_id, now, event_id
    )
    return done is not None


async def replay_since(conn: Connection, endpoint_id: str, since: datetime, now: datetime) -> int:
    """Send all that the endpoint wanted since then and did not get: what failed, and what it was not sent while
    it was disabled. Returns how many.
    """
    rows = await conn.fetch(
        f"{_AGAIN} AND v.created_at >= $3 AND {WANTED} AND {_NOT_GOT} {_FROM_THE_FIRST} RETURNING d.event_id",
        endpoint_id,
        now,
        since,
    )
    return len(rows)


_AGAIN: Final = """
    INSERT INTO deliveries AS d (event_id, endpoint_id, object_id, sequence, next_check_at)
    SELECT v.id, e.id, v.object_id, v.sequence, $2
    FROM endpoints e JOIN events v ON v.merchant_id = e.merchant_id AND v.mode = e.mode AND v.sequence IS NOT NULL
    WHERE e.id = $1
"""
_NOT_GOT: Final = """
    NOT EXISTS (SELECT FROM deliveries x WHERE x.event_id = v.id AND x.endpoint_id = e.id
                AND x.outcome IS DISTINCT FROM 'failed')
"""
_FROM_THE_FIRST: Final = """
    ON CONFLICT (event_id, endpoint_id) DO UPDATE
    SET tries = 0, outcome = NULL, ended_at = NULL, next_check_at = excluded.next_check_at
"""
