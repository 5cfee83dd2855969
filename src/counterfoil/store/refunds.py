"""Refunds, their approvals, and what they come to in a day. A refund is written under its payment's row lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from counterfoil.domain.refund import Refund
from counterfoil.store.database import Connection

_COLUMNS: Final = list(Refund.__dataclass_fields__)
_INSERT: Final = (
    f"INSERT INTO refunds ({', '.join(_COLUMNS)}, body)"
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(_COLUMNS) + 2))})"
)
_ROWS: Final = msgspec.json.Decoder(tuple[Refund, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's yes to exactly this payment, amount and requester."""

    refund_id: str
    payment_id: str
    amount: int
    currency: str
    requester: str
    person: str
    actor: str
    role: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list may be narrowed by. Every field left None narrows nothing."""

    merchant_id: str
    mode: str
    state: str | None = None
    payment_id: str | None = None
    batch_id: str | None = None
    requested_by: str | None = None
    gateway: str | None = None
    reason: str | None = None
    subject: str | None = None


async def insert(conn: Connection, refund: Refund, *, body: bytes | None = None) -> None:
    """Keep a refund; `body` is what goes to its gateway, to the byte, where we are to send it."""
    values = (getattr(refund, name) for name in _COLUMNS)
    days = {"day": datetime.fromisoformat(refund.day).date()}
    await conn.execute(
        _INSERT, *(days.get(name, value) for name, value in zip(_COLUMNS, values, strict=True)), body
    )


async def update(conn: Connection, refund_id: str, **changes: Any) -> None:
    """Set the named columns, whose names come from our own code."""
    settings = ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, start=2))
    await conn.execute(f"UPDATE refunds SET {settings} WHERE id = $1", refund_id, *changes.values())


async def reserve(conn: Connection, charge_id: str, amount: int) -> bool:
    """Keep this much of the charge for a refund. False, and nothing kept, where less is left."""
    kept = await conn.fetchval(
        "UPDATE charges SET reserved = reserved + $2 WHERE id = $1"
        " AND captured - refunded_seen - disputed_held - reserved >= $2 RETURNING id",
        charge_id,
        amount,
    )
    return kept is not None


async def keep(conn: Connection, charge_id: str, amount: int) -> None:
    """What the charge's unsent refunds come to, counted anew."""
    await conn.execute("UPDATE charges SET reserved = $2 WHERE id = $1", charge_id, amount)


async def get(
    conn: Connection, refund_id: str, *, merchant_id: str | None = None, mode: str | None = None
) -> Refund:
    """The refund. Raises LookupError where there is none of this merchant and mode."""
    found = await _read(conn, "id = $1", refund_id)
    if not found or merchant_id not in {None, found[0].merchant_id} or mode not in {None, found[0].mode}:
        raise LookupError("no such refund")
    return found[0]


async def payment_of(conn: Connection, refund_id: str, merchant_id: str, mode: str) -> str:
    """The payment that a refund is of. Raises LookupError where there is no such refund of this merchant and mode."""
    payment_id: str | None = await conn.fetchval(
        "SELECT payment_id FROM refunds WHERE id = $1 AND merchant_id = $2 AND mode = $3",
        refund_id,
        merchant_id,
        mode,
    )
    if payment_id is None:
        raise LookupError("no such refund")
    return payment_id


async def page(conn: Connection, narrow: Filter, *, limit: int, before: str | None) -> tuple[Refund, ...]:
    """The newest refunds before a given id, newest first."""
    return await _read(
        conn,
        """
        merchant_id = $1 AND mode = $2
          AND ($3::text IS NULL OR state = $3) AND ($4::text IS NULL OR payment_id = $4)
          AND ($5::text IS NULL OR batch_id = $5) AND ($6::text IS NULL OR requested_by = $6)
          AND ($7::text IS NULL OR reason = $7) AND ($8::text IS NULL OR subject = $8)
          AND ($9::text IS NULL OR EXISTS (
              SELECT FROM gateway_accounts a WHERE a.id = refunds.account_id AND a.gateway = $9))
          AND ($10::text IS NULL OR id < $10)
        ORDER BY id DESC LIMIT $11
        """,
        narrow.merchant_id,
        narrow.mode,
        narrow.state,
        narrow.payment_id,
        narrow.batch_id,
        narrow.requested_by,
        narrow.reason,
        narrow.subject,
        narrow.gateway,
        before,
        limit,
    )


async def pending(
    conn: Connection, merchant_id: str, mode: str, *, limit: int, after: str | None
) -> tuple[Refund, ...]:
    """What waits for approval, the longest waiting first."""
    return await _read(
        conn,
        "merchant_id = $1 AND mode = $2 AND state = 'pending_approval' AND ($3::text IS NULL OR id > $3)"
        " ORDER BY id LIMIT $4",
        merchant_id,
        mode,
        after,
        limit,
    )


async def _read(conn: Connection, where: str, *values: object) -> tuple[Refund, ...]:
    """Refunds by a condition and an order; JSON gives them their types."""
    text = await conn.fetchval(
        f"SELECT coalesce(json_agg(r), '[]')::text FROM (SELECT {', '.join(_COLUMNS)} FROM refunds WHERE {where}) r",
        *values,
    )
    return _ROWS.decode(text)


async def body_of(conn: Connection, refund_id: str) -> bytes | None:
    """The bytes that go to the gateway, once they are frozen."""
    body: bytes | None = await conn.fetchval("SELECT body FROM refunds WHERE id = $1", refund_id)
    return body


async def approve(conn: Connection, approval: Approval) -> bool:
    """Keep an approval. False where this person has given theirs already."""
    kept = await conn.fetchval(
        """
        INSERT INTO refund_approvals (refund_id, payment_id, amount, currency, requester, person, actor, role, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING refund_id
        """,
        *(getattr(approval, name) for name in Approval.__dataclass_fields__),
    )
    return kept is not None


async def approvals(conn: Connection, refund_ids: Sequence[str]) -> dict[str, list[Approval]]:
    """The approvals of each refund, in the order in which they were given."""
    rows = await conn.fetch(
        "SELECT * FROM refund_approvals WHERE refund_id = ANY($1) ORDER BY at, person", list(refund_ids)
    )
    found: dict[str, list[Approval]] = {refund_id: [] for refund_id in refund_ids}
    for row in rows:
        found[row["refund_id"]].append(Approval(**dict(row)))
    return found


async def count(conn: Connection, refund: Refund, subject: str) -> None:
    """Add to what a subject's refunds of the refund's day come to. Until the commit nobody else adds to it."""
    await conn.execute(
        """
        INSERT INTO refund_days (merchant_id, mode, subject, currency, day, amount) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (merchant_id, mode, subject, currency, day)
        DO UPDATE SET amount = refund_days.amount + excluded.amount
        """,
        *_day(refund, subject),
        refund.amount,
    )


async def sum_of_day(conn: Connection, refund: Refund, subject: str) -> int:
    """What a subject's refunds of the refund's day come to."""
    total: int | None = await conn.fetchval(
        "SELECT amount FROM refund_days"
        " WHERE merchant_id = $1 AND mode = $2 AND subject = $3 AND currency = $4 AND day = $5",
        *_day(refund, subject),
    )
    return total or 0


async def sums_until(conn: Connection, refund: Refund) -> tuple[int, int]:
    """What the customer's and the requester's refunds of its day come to, up to this one."""
    rows = await conn.fetch(
        """
        SELECT coalesce(sum(amount) FILTER (WHERE subject = $5), 0)::bigint AS customer,
               coalesce(sum(amount) FILTER (WHERE person = $6), 0)::bigint AS person
        FROM refunds
        WHERE merchant_id = $1 AND mode = $2 AND currency = $3 AND day = $4 AND (subject = $5 OR person = $6)
          AND id <= $7 AND state NOT IN ('failed', 'rejected', 'cancelled')
        """,
        refund.merchant_id,
        refund.mode,
        refund.currency,
        datetime.fromisoformat(refund.day).date(),
        refund.subject,
        refund.person,
        refund.id,
    )
    return rows[0]["customer"], rows[0]["person"]


def _day(refund: Refund, subject: str) -> tuple[object, ...]:
    day = datetime.fromisoformat(refund.day).date()
    return refund.merchant_id, refund.mode, subject, refund.currency, day


async def take_off(conn: Connection, refund: Refund, subject: str) -> None:
    """Of what a subject's refunds of the refund's day come to.

    Never below nothing: one that was imported was not added, and that its gateway says it has failed is a fact all the same.
    """
    await conn.execute(
        "UPDATE refund_days SET amount = greatest(amount - $6, 0)"
        " WHERE merchant_id = $1 AND mode = $2 AND subject = $3 AND currency = $4 AND day = $5",
        *_day(refund, subject),
        refund.amount,
    )


async def take_due(conn: Connection, *, now: datetime, until: datetime, limit: int) -> list[tuple[str, str]]:
    """Refunds whose time to be looked at has come, as (refund, payment): each pushed on, so that no other sweeper takes
    it too.
    """
    rows = await conn.fetch(
        """
        UPDATE refunds SET checks = checks + 1, next_check_at = $2 WHERE id IN (
            SELECT id FROM refunds WHERE next_check_at <= $1 ORDER BY next_check_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ) RETURNING id, payment_id
        """,
        now,
        until,
        limit,
    )
    return [(row["id"], row["payment_id"]) for row in rows]
