"""Idempotency records: they commit with the intent, hold the answer, and let a retry after a crash resume."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What makes a key unique, and the digest of the body it was first used with."""

    merchant_id: str
    mode: str
    method: str
    path: str
    key: str
    body_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    body_digest: bytes
    payment_id: str
    leased_until: datetime
    created_at: datetime
    status: int | None
    answer: dict[str, Any] | None


async def claim(
    conn: Connection, scope: Scope, *, payment_id: str, now: datetime, leased_until: datetime
) -> Record | None:
    """Take the key for this payment. None where it was free; otherwise the record that holds it, locked."""
    taken = await conn.fetchval(
        """
        INSERT INTO idempotency (merchant_id, mode, method, path, key, body_digest, payment_id, leased_until, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING key
        """,
        scope.merchant_id,
        scope.mode,
        scope.method,
        scope.path,
        scope.key,
        scope.body_digest,
        payment_id,
        leased_until,
        now,
    )
    if taken is not None:
        return None
    row = await conn.fetchrow(
        """
        SELECT body_digest, payment_id, leased_until, created_at, status, answer FROM idempotency
        WHERE merchant_id = $1 AND mode = $2 AND method = $3 AND path = $4 AND key = $5 FOR UPDATE
        """,
        scope.merchant_id,
        scope.mode,
        scope.method,
        scope.path,
        scope.key,
    )
    if row is None:  # given back between the two statements: it is free after all
        return await claim(conn, scope, payment_id=payment_id, now=now, leased_until=leased_until)
    return Record(**dict(row))


async def payment_of(conn: Connection, scope: Scope) -> str | None:
    """The payment of the record of this key, if there is one."""
    found: str | None = await conn.fetchval(
        "SELECT payment_id FROM idempotency"
        " WHERE merchant_id = $1 AND mode = $2 AND method = $3 AND path = $4 AND key = $5",
        scope.merchant_id,
        scope.mode,
        scope.method,
        scope.path,
        scope.key,
    )
    return found


async def lease(conn: Connection, scope: Scope, leased_until: datetime) -> None:
    """Take over a record whose holder has died."""
    await conn.execute(
        "UPDATE idempotency SET leased_until = $6"
        " WHERE merchant_id = $1 AND mode = $2 AND method = $3 AND path = $4 AND key = $5",
        scope.merchant_id,
        scope.mode,
        scope.method,
        scope.path,
        scope.key,
        leased_until,
    )


async def answer(conn: Connection, scope: Scope, status: int, body: dict[str, Any], now: datetime) -> None:
    """Keep the answer that was given; the first one stands."""
    await conn.execute(
        """
        UPDATE idempotency SET status = $6, answer = $7, answered_at = $8
        WHERE merchant_id = $1 AND mode = $2 AND method = $3 AND path = $4 AND key = $5 AND answer IS NULL
        """,
        scope.merchant_id,
        scope.mode,
        scope.method,
        scope.path,
        scope.key,
        status,
        body,
        now,
    )


async def forget(conn: Connection, scope: Scope) -> None:
    """Give the key back: the request was refused before anything was done."""
    await conn.execute(
        "DELETE FROM idempotency WHERE merchant_id = $1 AND mode = $2 AND method = $3 AND path = $4 AND key = $5"
        " AND answer IS NULL",
        scope.merchant_id,
        scope.mode,
        scope.method,
        scope.path,
        scope.key,
    )


async def prune(conn: Connection, before: datetime) -> None:
    """Forget records older than `before`, but never while a call of their payment has an unknown outcome."""
    await conn.execute(
        """
        DELETE FROM idempotency i WHERE created_at < $1 AND NOT EXISTS (
            SELECT FROM calls c WHERE i.payment_id IN (c.payment_id, c.refund_id) AND (c.settled IS NULL OR c.settled = 'unknown'))
        """,
        before,
    )
