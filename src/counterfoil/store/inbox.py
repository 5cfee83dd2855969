"""The inbox: webhooks as they came, stored in one transaction for all that queued meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from counterfoil.store import queue
from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One verified webhook on its way into the inbox."""

    id: str
    merchant_id: str
    account_id: str
    gateway: str
    mode: str
    dedupe_key: str
    secret_id: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An inbox row, with the body only where it is asked for."""

    id: str
    merchant_id: str
    account_id: str
    gateway: str
    mode: str
    type: str | None
    status: str
    reason: str | None
    payment_id: str | None
    deliveries: int
    tries: int
    next_check_at: datetime | None
    received_at: datetime
    last_delivery_at: datetime
    processed_at: datetime | None
    secret_id: str


_LETTER: Final = ", ".join(Letter.__dataclass_fields__)

# In the place of the secret that vouched for it: we asked the gateway for this one ourselves.
RECOVERED: Final = "recovered"

_INSERT: Final = """
    INSERT INTO inbox (id, merchant_id, account_id, gateway, mode, dedupe_key, secret_id, headers, body, status,
                       deliveries, next_check_at, received_at, last_delivery_at)
    SELECT id, merchant_id, account_id, gateway, mode, dedupe_key, secret_id, headers, body, 'received',
           deliveries, received_at + interval '30 seconds', received_at, received_at
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[],
                $9::bytea[], $10::int[], $11::timestamptz[])
         AS d (id, merchant_id, account_id, gateway, mode, dedupe_key, secret_id, headers, body, deliveries, received_at)
"""
# A duplicate counts a delivery, and re-arms what was parked or dead: the gateway says it again, so look again. One of
# what we had asked for ourselves is the gateway's own word at last.
_STORE: Final = f"""
    {_INSERT}
    ON CONFLICT (account_id, dedupe_key) DO UPDATE SET
        deliveries = inbox.deliveries + excluded.deliveries,
        last_delivery_at = excluded.last_delivery_at,
        status = CASE WHEN inbox.status IN ('parked', 'dead') THEN 'received' ELSE inbox.status END,
        tries = CASE WHEN inbox.status IN ('parked', 'dead') THEN 0 ELSE inbox.tries END,
        next_check_at = CASE WHEN inbox.status IN ('parked', 'dead') THEN excluded.next_check_at
                             ELSE inbox.next_check_at END,
        secret_id = CASE WHEN inbox.secret_id = '{RECOVERED}' THEN excluded.secret_id ELSE inbox.secret_id END,
        headers = CASE WHEN inbox.secret_id = '{RECOVERED}' THEN excluded.headers ELSE inbox.headers END
    RETURNING id, status
"""
# What is there already was delivered, or asked for before: it is left as it is.
_STORE_MISSING: Final = f"{_INSERT} ON CONFLICT (account_id, dedupe_key) DO NOTHING RETURNING id"


async def store(conn: Connection, deliveries: Sequence[Delivery]) -> None:
    """Store the batch and enqueue the work of understanding it, in the caller's transaction."""
    merged: dict[tuple[str, str], tuple[Delivery, int]] = {}
    for delivery in deliveries:
        key = (delivery.account_id, delivery.dedupe_key)
        first, count = merged.get(key, (delivery, 0))
        merged[key] = (first, count + 1)
    # Sorted, so that two processes storing the same events take their locks in one order.
    rows = [(first, count) for _, (first, count) in sorted(merged.items())]
    stored = await conn.fetch(_STORE, *_columns(rows))
    await queue.enqueue(conn, queue.UNDERSTAND, [row["id"] for row in stored if row["status"] == "received"])


async def missing(conn: Connection, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Those of one account that are not in the inbox, each once."""
    by_key = {delivery.dedupe_key: delivery for delivery in deliveries}
    rows = await conn.fetch(
        "SELECT dedupe_key FROM inbox WHERE account_id = ANY($1) AND dedupe_key = ANY($2)",
        [delivery.account_id for delivery in deliveries[:1]],
        list(by_key),
    )
    there = {row["dedupe_key"] for row in rows}
    return [delivery for key, delivery in by_key.items() if key not in there]


async def store_missing(conn: Connection, deliveries: Sequence[Delivery]) -> int:
    """Store those that are not there, and enqueue the work of understanding them; how many those were."""
    rows = sorted(((delivery, 1) for delivery in deliveries), key=lambda row: row[0].dedupe_key)
    stored = await conn.fetch(_STORE_MISSING, *_columns(rows))
    await queue.enqueue(conn, queue.UNDERSTAND, [row["id"] for row in stored])
    return len(stored)


def _columns(rows: Sequence[tuple[Delivery, int]]) -> list[list[Any]]:
    """The values of _INSERT, a list a column: of each delivery and how often it came."""
    names = ("id", "merchant_id", "account_id", "gateway", "mode", "dedupe_key", "secret_id")
    return [
        *([getattr(delivery, name) for delivery, _ in rows] for name in names),
        [dict(delivery.headers) for delivery, _ in rows],
        [delivery.body for delivery, _ in rows],
        [count for _, count in rows],
        [delivery.received_at for delivery, _ in rows],
    ]


async def lock(conn: Connection, letter_id: str) -> tuple[Letter, bytes, dict[str, str]] | None:
    """The letter, its body and headers, locked; None where it is gone or another worker has it."""
    row = await conn.fetchrow(
        f"SELECT {_LETTER}, body, headers FROM inbox WHERE id = $1 FOR UPDATE SKIP LOCKED", letter_id
    )
    if row is None:
        return None
    return _letter(row), row["body"], row["headers"]


async def mark(
    conn: Connection,
    letter_id: str,
    status: str,
    *,
    reason: str | None = None,
    type_: str | None = None,
    payment_id: str | None = None,
    next_check_at: datetime | None = None,
    now: datetime,
) -> None:
    """Write what became of a letter: in the same transaction as its effect."""
    await conn.execute(
        """
        UPDATE inbox SET status = $2, reason = $3, type = coalesce($4, type), payment_id = coalesce($5, payment_id),
               next_check_at = $6, tries = tries + 1,
               processed_at = CASE WHEN $2 IN ('processed', 'ignored') THEN $7::timestamptz END
        WHERE id = $1
        """,
        letter_id,
        status,
        reason,
        type_,
        payment_id,
        next_check_at,
        now,
    )


async def get(
    conn: Connection, letter_id: str, merchant_id: str, mode: str, *, locked: bool = False
) -> tuple[Letter, bytes, dict[str, str]]:
    """The letter, its body and headers; `locked` waits for whoever has it, and keeps it to the end of the transaction.

    Raises LookupError where there is none of this merchant and mode.
    """
    row = await conn.fetchrow(
        f"SELECT {_LETTER}, body, headers FROM inbox WHERE id = $1 AND merchant_id = $2 AND mode = $3"
        f"{' FOR UPDATE' if locked else ''}",
        letter_id,
        merchant_id,
        mode,
    )
    if row is None:
        raise LookupError(letter_id)
    return _letter(row), row["body"], row["headers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list may be narrowed by. Every field left None narrows nothing."""

    merchant_id: str
    mode: str
    status: str | None = None
    gateway: str | None = None
    type: str | None = None
    payment_id: str | None = None


_MATCHES: Final = """
    merchant_id = $1 AND mode = $2 AND ($3::text IS NULL OR status = $3) AND ($4::text IS NULL OR gateway = $4)
    AND ($5::text IS NULL OR type = $5) AND ($6::text IS NULL OR payment_id = $6)
"""


def _values(narrow: Filter) -> list[str | None]:
    """The first values of a query with _MATCHES."""
    return [getattr(narrow, name) for name in Filter.__dataclass_fields__]


async def page(conn: Connection, narrow: Filter, *, limit: int, before: str | None) -> list[Letter]:
    rows = await conn.fetch(
        f"""
        SELECT {_LETTER} FROM inbox WHERE {_MATCHES} AND ($7::text IS NULL OR id < $7) ORDER BY id DESC LIMIT $8
        """,
        *_values(narrow),
        before,
        limit,
    )
    return [_letter(row) for row in rows]


async def last_processed(conn: Connection, merchant_id: str, mode: str, gateway: str) -> datetime | None:
    """When the newest webhook that was understood was so."""
    found: datetime | None = await conn.fetchval(
        "SELECT processed_at FROM inbox WHERE merchant_id = $1 AND mode = $2 AND gateway = $3"
        " AND status = 'processed' ORDER BY id DESC LIMIT 1",
        merchant_id,
        mode,
        gateway,
    )
    return found


async def lock_many(conn: Connection, narrow: Filter, *, limit: int) -> list[Letter]:
    """The oldest that match, locked to the end of the transaction, without those that somebody else has."""
    rows = await conn.fetch(
        f"SELECT {_LETTER} FROM inbox WHERE {_MATCHES} ORDER BY id LIMIT $7 FOR UPDATE SKIP LOCKED",
        *_values(narrow),
        limit,
    )
    return [_letter(row) for row in rows]


async def rearm_many(conn: Connection, letter_ids: Sequence[str], now: datetime) -> None:
    """Have letters understood anew, from the first try on."""
    await conn.execute(
        "UPDATE inbox SET status = 'received', tries = 0, next_check_at = $2 WHERE id = ANY($1)",
        letter_ids,
        now,
    )
    await queue.enqueue(conn, queue.UNDERSTAND, letter_ids)


async def take_due(conn: Connection, *, now: datetime, until: datetime, limit: int) -> list[str]:
    """Letters whose time has come, each pushed to `until` so that no other sweeper takes it too."""
    rows = await conn.fetch(
        """
        UPDATE inbox SET next_check_at = $2 WHERE id IN (
            SELECT id FROM inbox WHERE next_check_at <= $1 ORDER BY next_check_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ) RETURNING id
        """,
        now,
        until,
        limit,
    )
    return [row["id"] for row in rows]


@dataclass(frozen=True, slots=True)
class Count:
    """The letters of one gateway in one status: how many, and when the oldest came."""

    gateway: str
    status: str
    letters: int
    oldest: datetime


async def counts(conn: Connection) -> list[Count]:
    """How the inbox stands: for metrics and doctor."""
    rows = await conn.fetch(
        "SELECT gateway, status, count(*) AS letters, min(received_at) AS oldest FROM inbox GROUP BY gateway, status"
    )
    return [Count(**dict(row)) for row in rows]


def _letter(row: asyncpg.Record) -> Letter:
    return Letter(**{name: row[name] for name in Letter.__dataclass_fields__})
