"""Receipts and their numbers. What was issued stays; a voided receipt keeps its number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import asyncpg

from counterfoil.domain.event import Event
from counterfoil.store import audit, events
from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A receipt as it is kept. `document` is all that it said when it was issued."""

    id: str
    merchant_id: str
    mode: str
    payment_id: str
    refund_id: str | None
    kind: str
    prefix: str
    year: int
    sequence: int
    number: str
    document: Mapping[str, Any]
    issued_at: datetime
    voided_at: datetime | None
    void_reason: str | None


class IssuedBeforeError(Exception):
    """There is one that is not void."""


class NumberTooLongError(Exception):
    """The next number of the series has more characters than a number may have."""


_COLUMNS: Final = list(Issued.__dataclass_fields__)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM receipts"
# The number is given and used in one statement, for whoever asks next waits from here until the commit.
_ISSUE: Final = f"""
    WITH series AS (
        INSERT INTO receipt_series AS s (merchant_id, mode, prefix, year, last)
        SELECT $2, $3, $7, $8, 1 WHERE NOT EXISTS (
            SELECT FROM receipts
            WHERE payment_id = $4 AND refund_id IS NOT DISTINCT FROM $5 AND voided_at IS NULL
        )
        ON CONFLICT (merchant_id, mode, prefix, year) DO UPDATE SET last = s.last + 1 RETURNING last
    ), numbered AS (
        SELECT last AS sequence, $9 || lpad(last::text, greatest($10, length(last::text)), '0') AS number FROM series
    ), issued AS (
        INSERT INTO receipts (id, merchant_id, mode, payment_id, refund_id, kind, prefix, year, sequence, number,
                              document, issued_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, sequence, number,
               $11::jsonb || jsonb_build_object('number', number), $12 FROM numbered
    ), told AS (
        {events.INTO}
        SELECT $13, $2, $3, $14, $1, $15, $16::jsonb || jsonb_build_object('number', number), $12
        FROM numbered WHERE $13::text IS NOT NULL
    ), recorded AS (
        {audit.INTO}
        SELECT $2, $3, $12, $17, 'receipt.issue', $4, jsonb_build_object('receipt', $1::text, 'number', number) FROM numbered
    )
    SELECT sequence, number FROM numbered
"""


async def issue(
    conn: Connection, due: Issued, *, head: str, digits: int, event: Event | None, actor: str
) -> Issued:
    """Give the receipt the next number of its series and year, keep it, and tell and record that it was issued.

    The number is `head` and so many digits; `due` and the event come without it. Raises IssuedBeforeError, and no number
    is taken; or NumberTooLongError, after which the transaction is of no more use.
    """
    try:
        row = await conn.fetchrow(
            _ISSUE,
            due.id,
            due.merchant_id,
            due.mode,
            due.payment_id,
            due.refund_id,
            due.kind,
            due.prefix,
            due.year,
            head,
            digits,
            due.document,
            due.issued_at,
            event.id if event else None,
            event.type if event else None,
            event.version if event else None,
            event.object if event else None,
            actor,
        )
    except asyncpg.CheckViolationError as refused:
        if refused.constraint_name == "receipts_number_check":
            raise NumberTooLongError from refused
        raise
    if row is None:
        raise IssuedBeforeError
    document = {**due.document, "number": row["number"]}
    return replace(due, sequence=row["sequence"], number=row["number"], document=document)


async def of_payment(conn: Connection, payment_id: str) -> list[Issued]:
    """All receipts of a payment and its refunds, in the order in which they were issued."""
    rows = await conn.fetch(f"{_SELECT} WHERE payment_id = $1 ORDER BY id", payment_id)
    return [_issued(row) for row in rows]


async def get(
    conn: Connection, receipt_id: str, merchant_id: str | None = None, mode: str | None = None
) -> Issued:
    """The receipt. Raises LookupError where there is none of this merchant and mode."""
    row = await conn.fetchrow(f"{_SELECT} WHERE id = $1", receipt_id)
    if row is None or merchant_id not in {None, row["merchant_id"]} or mode not in {None, row["mode"]}:
        raise LookupError("no such receipt")
    return _issued(row)


async def numbered(conn: Connection, merchant_id: str, mode: str, number: str) -> str | None:
    """The id of the receipt with this number."""
    found: str | None = await conn.fetchval(
        "SELECT id FROM receipts WHERE merchant_id = $1 AND mode = $2 AND number = $3",
        merchant_id,
        mode,
        number,
    )
    return found


async def page(
    conn: Connection,
    merchant_id: str,
    mode: str,
    *,
    issued_from: datetime | None = None,
    issued_to: datetime | None = None,
    limit: int,
    before: str | None = None,
) -> list[Issued]:
    """The newest receipts before a given id, newest first."""
    rows = await conn.fetch(
        f"""
        {_SELECT} WHERE merchant_id = $1 AND mode = $2 AND ($3::timestamptz IS NULL OR issued_at >= $3)
          AND ($4::timestamptz IS NULL OR issued_at < $4) AND ($5::text IS NULL OR id < $5)
        ORDER BY id DESC LIMIT $6
        """,
        merchant_id,
        mode,
        issued_from,
        issued_to,
        before,
        limit,
    )
    return [_issued(row) for row in rows]


async def count(conn: Connection, merchant_id: str, mode: str, since: datetime, until: datetime) -> int:
    """How many were issued from one moment until before another."""
    found: int = await conn.fetchval(
        "SELECT count(*) FROM receipts WHERE merchant_id = $1 AND mode = $2 AND issued_at >= $3 AND issued_at < $4",
        merchant_id,
        mode,
        since,
        until,
    )
    return found


async def standing(
    conn: Connection, merchant_id: str, mode: str, since: datetime, until: datetime
) -> tuple[int, str]:
    """How many of a period stand now, and the id of the last of them; "" where there is none."""
    row = await conn.fetchrow(
        "SELECT count(*) AS n, coalesce(max(id), '') AS last FROM receipts"
        " WHERE merchant_id = $1 AND mode = $2 AND issued_at >= $3 AND issued_at < $4",
        merchant_id,
        mode,
        since,
        until,
    )
    return (row["n"], row["last"]) if row else (0, "")


async def after(
    conn: Connection,
    merchant_id: str,
    mode: str,
    since: datetime,
    until: datetime,
    *,
    after: str,
    last: str | None = None,
    limit: int,
) -> list[Issued]:
    """The next receipts of a period after a given id, oldest first; none behind the `last`, where one is given."""
    rows = await conn.fetch(
        f"{_SELECT} WHERE merchant_id = $1 AND mode = $2 AND issued_at >= $3 AND issued_at < $4 AND id > $5"
        " AND ($6::text IS NULL OR id <= $6) ORDER BY id LIMIT $7",
        merchant_id,
        mode,
        since,
        until,
        after,
        last,
        limit,
    )
    return [_issued(row) for row in rows]


async def void(conn: Connection, receipt_id: str, *, reason: str, now: datetime) -> bool:
    """Void it. False where it was voided before."""
    done = await conn.fetchval(
        "UPDATE receipts SET voided_at = $2, void_reason = $3 WHERE id = $1 AND voided_at IS NULL RETURNING id",
        receipt_id,
        now,
        reason,
    )
    return done is not None


async def gaps(conn: Connection, merchant_id: str, mode: str) -> Sequence[tuple[str, int, int, int]]:
    """Series whose receipts are not one for each number: prefix, year, last number, receipts."""
    rows = await conn.fetch(
        """
        SELECT s.prefix, s.year, s.last, count(r.id) AS receipts FROM receipt_series s
        LEFT JOIN receipts r USING (merchant_id, mode, prefix, year)
        WHERE s.merchant_id = $1 AND s.mode = $2
        GROUP BY s.prefix, s.year, s.last HAVING count(r.id) <> s.last OR coalesce(max(r.sequence), 0) <> s.last
        """,
        merchant_id,
        mode,
    )
    return [(row["prefix"], row["year"], row["last"], row["receipts"]) for row in rows]


def _issued(row: asyncpg.Record) -> Issued:
    return Issued(**dict(row))
