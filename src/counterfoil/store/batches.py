"""Batches of refunds, their rows and their approvals."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from counterfoil.domain.batch import Batch, Row, State
from counterfoil.store.database import Connection

_COLUMNS: Final = list(Batch.__dataclass_fields__)
_INSERT: Final = (
    f"INSERT INTO refund_batches ({', '.join(_COLUMNS)})"
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(_COLUMNS) + 1))})"
    " ON CONFLICT (merchant_id, mode, digest) WHERE state NOT IN ('rejected', 'cancelled') DO NOTHING RETURNING id"
)
RESULT_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's yes to exactly this file and requester."""

    batch_id: str
    digest: str
    requester: str
    person: str
    actor: str
    role: str
    at: datetime


def _batch(row: asyncpg.Record) -> Batch:
    values = dict(row)
    return Batch(**{**values, "state": State(values["state"])})


async def insert(conn: Connection, batch: Batch, rows: Sequence[Row]) -> bool:
    """Keep a batch with its rows. False, and nothing kept, where the same file is here already."""
    if await conn.fetchval(_INSERT, *(getattr(batch, name) for name in _COLUMNS)) is None:
        return False
    await conn.executemany(
        "INSERT INTO refund_batch_rows (batch_id, number, payment_id, amount, reason, note)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        [(batch.id, row.number, row.payment_id, row.amount, row.reason, row.note) for row in rows],
    )
    return True


async def of_digest(conn: Connection, merchant_id: str, mode: str, digest: str) -> str | None:
    """The batch that this file is already."""
    found: str | None = await conn.fetchval(
        "SELECT id FROM refund_batches WHERE merchant_id = $1 AND mode = $2 AND digest = $3"
        " AND state NOT IN ('rejected', 'cancelled')",
        merchant_id,
        mode,
        digest,
    )
    return found


async def lock(conn: Connection, batch_id: str, merchant_id: str, mode: str) -> Batch:
    """The batch, locked. Raises LookupError where there is none of this merchant and mode."""
    return await _one(conn, batch_id, merchant_id, mode, "FOR UPDATE")


async def get(conn: Connection, batch_id: str, merchant_id: str, mode: str) -> Batch:
    return await _one(conn, batch_id, merchant_id, mode, "")


async def _one(conn: Connection, batch_id: str, merchant_id: str, mode: str, how: str) -> Batch:
    row = await conn.fetchrow(
        f"SELECT {', '.join(_COLUMNS)} FROM refund_batches WHERE id = $1 AND merchant_id = $2 AND mode = $3 {how}",
        batch_id,
        merchant_id,
        mode,
    )
    if row is None:
        raise LookupError("no such batch")
    return _batch(row)


async def page(
    conn: Connection, merchant_id: str, mode: str, *, limit: int, before: str | None
) -> list[Batch]:
    """The newest batches before a given id, newest first."""
    rows = await conn.fetch(
        f"SELECT {', '.join(_COLUMNS)} FROM refund_batches"
        " WHERE merchant_id = $1 AND mode = $2 AND ($3::text IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        merchant_id,
        mode,
        before,
        limit,
    )
    return [_batch(row) for row in rows]


async def update(conn: Connection, batch_id: str, **changes: Any) -> None:
    """Set the named columns, whose names come from our own code."""
    settings = ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, start=2))
    await conn.execute(f"UPDATE refund_batches SET {settings} WHERE id = $1", batch_id, *changes.values())


async def approve(conn: Connection, approval: Approval) -> bool:
    """Keep an approval. False where this person has given theirs already."""
    kept = await conn.fetchval(
        """
        INSERT INTO refund_batch_approvals (batch_id, digest, requester, person, actor, role, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING batch_id
        """,
        *(getattr(approval, name) for name in Approval.__dataclass_fields__),
    )
    return kept is not None


async def approvals(conn: Connection, batch_id: str) -> list[Approval]:
    rows = await conn.fetch(
        "SELECT * FROM refund_batch_approvals WHERE batch_id = $1 ORDER BY at, person", batch_id
    )
    return [Approval(**dict(row)) for row in rows]


async def progress(conn: Connection, batch_id: str) -> dict[str, int]:
    """How many rows stand how: waiting, refused, or as their refunds do."""
    rows = await conn.fetch(
        """
        SELECT coalesce(f.state, CASE WHEN r.because IS NULL THEN 'waiting' ELSE 'refused' END) AS stands, count(*) AS rows
        FROM refund_batch_rows r LEFT JOIN refunds f ON f.id = r.refund_id WHERE r.batch_id = $1 GROUP BY 1 ORDER BY 1
        """,
        batch_id,
    )
    return {row["stands"]: row["rows"] for row in rows}


async def result(conn: Connection, batch_id: str) -> AsyncIterator[dict[str, Any]]:
    """Every row with what came of it, in the order of the file."""
    after = 0
    while True:
        rows = await conn.fetch(
            """
            SELECT r.number, r.payment_id, coalesce(f.amount, r.amount) AS amount, f.currency, r.reason, r.note,
                   r.refund_id, coalesce(f.state, CASE WHEN r.because IS NULL THEN 'waiting' ELSE 'refused' END) AS status,
                   f.gateway_ref, f.arn, coalesce(r.because, f.because, f.failure ->> 'message') AS because
            FROM refund_batch_rows r LEFT JOIN refunds f ON f.id = r.refund_id
            WHERE r.batch_id = $1 AND r.number > $2 ORDER BY r.number LIMIT $3
            """,
            batch_id,
            after,
            RESULT_PAGE,
        )
        for row in rows:
            yield dict(row)
        if len(rows) < RESULT_PAGE:
            return
        after = rows[-1]["number"]


async def take_due(conn: Connection, *, now: datetime, until: datetime) -> Batch | None:
    """A batch that is due and that nobody is at, pushed on so that no other process takes it too."""
    row = await conn.fetchrow(
        f"""
        UPDATE refund_batches SET next_check_at = $2 WHERE id = (
            SELECT id FROM refund_batches WHERE next_check_at <= $1 ORDER BY next_check_at LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING {", ".join(_COLUMNS)}
        """,
        now,
        until,
    )
    return _batch(row) if row else None


async def waiting(conn: Connection, batch_id: str, limit: int) -> list[int]:
    """The first rows that nothing has come of yet."""
    rows = await conn.fetch(
        "SELECT number FROM refund_batch_rows WHERE batch_id = $1 AND refund_id IS NULL AND because IS NULL"
        " ORDER BY number LIMIT $2",
        batch_id,
        limit,
    )
    return [row["number"] for row in rows]


async def take_row(conn: Connection, batch_id: str, number: int) -> Row | None:
    """A row, locked; None where something has come of it already."""
    row = await conn.fetchrow(
        "SELECT number, payment_id, amount, reason, note FROM refund_batch_rows"
        " WHERE batch_id = $1 AND number = $2 AND refund_id IS NULL AND because IS NULL FOR UPDATE",
        batch_id,
        number,
    )
    return Row(**dict(row)) if row else None


async def close_row(
    conn: Connection, batch_id: str, number: int, *, refund_id: str | None = None, because: str | None = None
) -> None:
    await conn.execute(
        "UPDATE refund_batch_rows SET refund_id = $3, because = $4 WHERE batch_id = $1 AND number = $2",
        batch_id,
        number,
        refund_id,
        because,
    )
