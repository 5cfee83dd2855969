"""Receipts and their numbers. What was issued stays; a voided receipt keeps its number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

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


_COLUMNS: Final = list(Issued.__dataclass_fields__)
_INSERT: Final = (
    f"INSERT INTO receipts ({', '.join(_COLUMNS)})"
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(_COLUMNS) + 1))})"
)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM receipts"


async def next_number(conn: Connection, merchant_id: str, mode: str, prefix: str, year: int) -> int:
    """The next number of a series and year. Whoever asks next waits until this transaction has ended."""
    taken: int = await conn.fetchval(
        """
        INSERT INTO receipt_series AS s (merchant_id, mode, prefix, year, last) VALUES ($1, $2, $3, $4, 1)
        ON CONFLICT (merchant_id, mode, prefix, year) DO UPDATE SET last = s.last + 1 RETURNING last
        """,
        merchant_id,
        mode,
        prefix,
        year,
    )
    return taken


async def insert(conn: Connection, issued: Issued) -> None:
    await conn.execute(_INSERT, *(getattr(issued, name) for name in _COLUMNS))


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
