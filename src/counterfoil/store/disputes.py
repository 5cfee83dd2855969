"""Disputes, and the evidence in them. A dispute is written under its payment's row lock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from counterfoil.domain.dispute import Dispute
from counterfoil.store.database import Connection

_COLUMNS: Final = list(Dispute.__dataclass_fields__)
_NAMES: Final = ", ".join(_COLUMNS)
_INSERT: Final = (
    f"INSERT INTO disputes ({_NAMES}) VALUES ({', '.join(f'${n}' for n in range(1, len(_COLUMNS) + 1))})"
)
_UPDATE: Final = (
    f"UPDATE disputes SET {', '.join(f'{name} = ${n}' for n, name in enumerate(_COLUMNS, start=1) if n > 1)}"
    " WHERE id = $1"
)
_ROWS: Final = msgspec.json.Decoder(tuple[Dispute, ...])
_READ: Final = f"SELECT coalesce(json_agg(r), '[]')::text FROM (SELECT {_NAMES} FROM disputes WHERE {{}}) r"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list may be narrowed by. Every field left None narrows nothing.

    due_before: those that wait for an answer whose deadline is before this.
    """

    merchant_id: str
    mode: str
    state: str | None = None
    gateway: str | None = None
    payment_id: str | None = None
    due_before: datetime | None = None


async def insert(conn: Connection, dispute: Dispute) -> None:
    await conn.execute(_INSERT, *(getattr(dispute, name) for name in _COLUMNS))


async def update(conn: Connection, dispute: Dispute) -> None:
    """Write the dispute as it is now; the evidence beside it stays."""
    await conn.execute(_UPDATE, *(getattr(dispute, name) for name in _COLUMNS))


async def get(
    conn: Connection, dispute_id: str, *, merchant_id: str | None = None, mode: str | None = None
) -> Dispute:
    """The dispute. Raises LookupError where there is none of this merchant and mode."""
    found = _ROWS.decode(await conn.fetchval(_READ.format("id = $1"), dispute_id))
    if not found or merchant_id not in {None, found[0].merchant_id} or mode not in {None, found[0].mode}:
        raise LookupError("no such dispute")
    return found[0]


async def page(conn: Connection, narrow: Filter, *, limit: int, before: str | None) -> tuple[Dispute, ...]:
    """The newest disputes before a given id, newest first."""
    rows = await conn.fetchval(
        _READ.format(
            """
            merchant_id = $1 AND mode = $2 AND ($3::text IS NULL OR state = $3)
              AND ($4::text IS NULL OR gateway = $4) AND ($5::text IS NULL OR payment_id = $5)
              AND ($6::timestamptz IS NULL OR (respond_by < $6 AND answer = 'none'
                   AND (answered_until IS NULL OR answered_until < respond_by)
                   AND state IN ('inquiry', 'needs_response')))
              AND ($7::text IS NULL OR id < $7)
            ORDER BY id DESC LIMIT $8
            """
        ),
        narrow.merchant_id,
        narrow.mode,
        narrow.state,
        narrow.gateway,
        narrow.payment_id,
        narrow.due_before,
        before,
        limit,
    )
    return _ROWS.decode(rows)


async def draft(conn: Connection, dispute_id: str) -> dict[str, Any]:
    """The evidence that may still be edited; empty where none was collected."""
    found: dict[str, Any] = await conn.fetchval("SELECT draft FROM disputes WHERE id = $1", dispute_id)
    return found


async def keep_draft(conn: Connection, dispute_id: str, evidence: Mapping[str, Any]) -> None:
    await conn.execute("UPDATE disputes SET draft = $2 WHERE id = $1", dispute_id, dict(evidence))


async def sent(conn: Connection, dispute_id: str) -> dict[str, Any] | None:
    """The evidence as it was last sent."""
    found: dict[str, Any] | None = await conn.fetchval("SELECT sent FROM disputes WHERE id = $1", dispute_id)
    return found


async def keep_sent(conn: Connection, dispute_id: str, evidence: Mapping[str, Any]) -> None:
    """What is about to be sent, as it is sent."""
    await conn.execute("UPDATE disputes SET sent = $2 WHERE id = $1", dispute_id, dict(evidence))


async def any_due(conn: Connection, now: datetime) -> bool:
    found: bool = await conn.fetchval("SELECT EXISTS (SELECT FROM disputes WHERE next_check_at <= $1)", now)
    return found


async def take_due(
    conn: Connection, *, now: datetime, first: timedelta, longest: timedelta, limit: int
) -> list[tuple[str, str]]:
    """Disputes whose time to be looked at has come (id, payment), each pushed on, ever further, so that no other
    sweeper takes it too.
    """
    rows = await conn.fetch(
        """
        UPDATE disputes SET checks = checks + 1,
            next_check_at = $1::timestamptz + least($2::interval * power(2, least(checks, 20)), $3::interval)
        WHERE id IN (
            SELECT id FROM disputes WHERE next_check_at <= $1 ORDER BY next_check_at LIMIT $4 FOR UPDATE SKIP LOCKED
        ) RETURNING id, payment_id
        """,
        now,
        first,
        longest,
        limit,
    )
    return [(row["id"], row["payment_id"]) for row in rows]


async def plan(conn: Connection, dispute_id: str, next_check_at: datetime | None) -> None:
    """When it is looked at next; None where it has ended."""
    await conn.execute("UPDATE disputes SET next_check_at = $2 WHERE id = $1", dispute_id, next_check_at)
