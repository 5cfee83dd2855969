"""Payments, attempts and charges in the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from counterfoil.domain.attempt import Attempt, AttemptState
from counterfoil.domain.charge import Charge, ChargeState
from counterfoil.domain.payment import Payment, Status
from counterfoil.store.database import Connection

_PAYMENT: Final = ", ".join(Payment.__dataclass_fields__)
_ATTEMPT: Final = ", ".join(Attempt.__dataclass_fields__)
_CHARGE: Final = ", ".join(Charge.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Family:
    """A payment with all its attempts and charges, as of one moment."""

    payment: Payment
    attempts: tuple[Attempt, ...] = ()
    charges: tuple[Charge, ...] = ()

    def attempt(self, attempt_id: str) -> Attempt:
        return next(attempt for attempt in self.attempts if attempt.id == attempt_id)


def _payment(row: asyncpg.Record) -> Payment:
    return Payment(**{**dict(row), "status": Status(row["status"])})


def _attempt(row: asyncpg.Record) -> Attempt:
    return Attempt(**{**dict(row), "state": AttemptState(row["state"])})


def _charge(row: asyncpg.Record) -> Charge:
    return Charge(**{**dict(row), "state": ChargeState(row["state"])})


def _insert(table: str, columns: Sequence[str]) -> str:
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"


_INSERT_PAYMENT: Final = _insert("payments", list(Payment.__dataclass_fields__))
_INSERT_ATTEMPT: Final = _insert("attempts", list(Attempt.__dataclass_fields__))
_INSERT_CHARGE: Final = _insert("charges", list(Charge.__dataclass_fields__))


def _values(row: Payment | Attempt | Charge) -> list[Any]:
    return [getattr(row, name) for name in row.__dataclass_fields__]


async def insert(conn: Connection, payment: Payment) -> None:
    await conn.execute(_INSERT_PAYMENT, *_values(payment))


async def insert_attempt(conn: Connection, attempt: Attempt) -> None:
    await conn.execute(_INSERT_ATTEMPT, *_values(attempt))


async def lock(conn: Connection, payment_id: str) -> Family:
    """The payment's row locked, then its family read: so that what is read cannot change before the commit.

    Raises LookupError where there is none.
    """
    row = await conn.fetchrow(f"SELECT {_PAYMENT} FROM payments WHERE id = $1 FOR UPDATE", payment_id)
    return await _family(conn, row)


async def get(
    conn: Connection, payment_id: str, *, merchant_id: str | None = None, mode: str | None = None
) -> Family:
    """The family as it stands. Raises LookupError where there is none of this merchant and mode."""
    row = await conn.fetchrow(
        f"SELECT {_PAYMENT} FROM payments WHERE id = $1 AND merchant_id = coalesce($2, merchant_id)"
        " AND mode = coalesce($3, mode)",
        payment_id,
        merchant_id,
        mode,
    )
    return await _family(conn, row)


async def _family(conn: Connection, row: asyncpg.Record | None) -> Family:
    if row is None:
        raise LookupError("no such payment")
    payment = _payment(row)
    attempts = await conn.fetch(
        f"SELECT {_ATTEMPT} FROM attempts WHERE payment_id = $1 ORDER BY number", payment.id
    )
    charges = await conn.fetch(f"SELECT {_CHARGE} FROM charges WHERE payment_id = $1 ORDER BY id", payment.id)
    return Family(payment, tuple(map(_attempt, attempts)), tuple(map(_charge, charges)))


async def families(conn: Connection, payment_ids: Sequence[str]) -> list[Family]:
    """Many payments with their families, in the order of the ids, in three reads."""
    payments = {
        row["id"]: _payment(row)
        for row in await conn.fetch(f"SELECT {_PAYMENT} FROM payments WHERE id = ANY($1)", payment_ids)
    }
    attempts = await conn.fetch(
        f"SELECT {_ATTEMPT} FROM attempts WHERE payment_id = ANY($1) ORDER BY number", payment_ids
    )
    charges = await conn.fetch(
        f"SELECT {_CHARGE} FROM charges WHERE payment_id = ANY($1) ORDER BY id", payment_ids
    )
    return [
        Family(
            payments[id_],
            tuple(_attempt(row) for row in attempts if row["payment_id"] == id_),
            tuple(_charge(row) for row in charges if row["payment_id"] == id_),
        )
        for id_ in payment_ids
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list may be narrowed by. Every field left None narrows nothing."""

    merchant_id: str
    mode: str
    status: str | None = None
    currency: str | None = None
    gateway: str | None = None
    reference: str | None = None
    customer_id: str | None = None
    customer_email: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


async def page(conn: Connection, narrow: Filter, *, limit: int, before: str | None) -> list[str]:
    """The ids of the newest payments before a given id, newest first."""
    rows = await conn.fetch(
        """
        SELECT id FROM payments p
        WHERE merchant_id = $1 AND mode = $2
          AND ($3::text IS NULL OR status = $3)
          AND ($4::text IS NULL OR currency = $4)
          AND ($5::text IS NULL OR EXISTS (SELECT FROM attempts a WHERE a.payment_id = p.id AND a.gateway = $5))
          AND ($6::text IS NULL OR reference = $6)
          AND ($7::text IS NULL OR customer ->> 'id' = $7)
          AND ($8::text IS NULL OR customer ->> 'email' = $8)
          AND ($9::timestamptz IS NULL OR created_at >= $9)
          AND ($10::timestamptz IS NULL OR created_at < $10)
          AND ($11::text IS NULL OR id < $11)
        ORDER BY id DESC LIMIT $12
        """,
        narrow.merchant_id,
        narrow.mode,
        narrow.status,
        narrow.currency,
        narrow.gateway,
        narrow.reference,
        narrow.customer_id,
        narrow.customer_email,
        narrow.created_from,
        narrow.created_to,
        before,
        limit,
    )
    return [row["id"] for row in rows]


async def find_attempt(
    conn: Connection, account_id: str, *, refs: Sequence[str], ours: Sequence[str]
) -> str | None:
    """The payment whose attempt the gateway knows by one of `refs`, or whose attempt id is one of `ours`."""
    found: str | None = await conn.fetchval(
        """
        SELECT payment_id FROM attempts WHERE account_id = $1 AND (ref = ANY($2) OR id = ANY($3))
        UNION ALL
        SELECT payment_id FROM charges WHERE account_id = $1 AND ref = ANY($2)
        LIMIT 1
        """,
        account_id,
        refs,
        ours,
    )
    return found


async def claim_winner(conn: Connection, payment_id: str, attempt_id: str) -> bool:
    """Take the payment for this attempt, if nobody has it. True too where this attempt has it already."""
    taken = await conn.fetchval(
        "UPDATE payments SET winner_attempt_id = $2 WHERE id = $1"
        " AND (winner_attempt_id IS NULL OR winner_attempt_id = $2) RETURNING id",
        payment_id,
        attempt_id,
    )
    return taken is not None


async def release_winner(conn: Connection, payment_id: str, attempt_id: str) -> None:
    """Give the payment up: only for an attempt on which nothing was or can be captured."""
    await conn.execute(
        "UPDATE payments SET winner_attempt_id = NULL WHERE id = $1 AND winner_attempt_id = $2",
        payment_id,
        attempt_id,
    )


async def update(conn: Connection, payment_id: str, **changes: Any) -> None:
    await _update(conn, "payments", payment_id, changes)


async def update_attempt(conn: Connection, attempt_id: str, **changes: Any) -> None:
    await _update(conn, "attempts", attempt_id, changes)


async def update_charge(conn: Connection, charge_id: str, **changes: Any) -> None:
    await _update(conn, "charges", charge_id, changes)


async def _update(conn: Connection, table: str, id_: str, changes: Mapping[str, Any]) -> None:
    """Set the named columns, whose names come from our own code."""
    settings = ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, start=2))
    await conn.execute(f"UPDATE {table} SET {settings} WHERE id = $1", id_, *changes.values())


async def insert_charge(conn: Connection, charge: Charge) -> None:
    await conn.execute(_INSERT_CHARGE, *_values(charge))


async def take_due(
    conn: Connection, *, now: datetime, first: timedelta, longest: timedelta, limit: int
) -> list[str]:
    """Payments whose time to be looked at has come, each pushed on, ever further, so that no other sweeper takes it too."""
    rows = await conn.fetch(
        """
        UPDATE payments SET checks = checks + 1, next_check_at = $1::timestamptz + least($2::interval * power(2, least(checks, 20)), $3::interval)
        WHERE id IN (
            SELECT id FROM payments WHERE next_check_at <= $1 ORDER BY next_check_at LIMIT $4 FOR UPDATE SKIP LOCKED
        ) RETURNING id
        """,
        now,
        first,
        longest,
        limit,
    )
    return [row["id"] for row in rows]
