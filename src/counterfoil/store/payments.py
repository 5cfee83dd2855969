"""Payments, attempts and charges in the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import asyncpg
import msgspec

from counterfoil.domain.attempt import Attempt
from counterfoil.domain.call import Call
from counterfoil.domain.charge import Charge
from counterfoil.domain.dispute import Dispute
from counterfoil.domain.event import Event
from counterfoil.domain.fact import Fact
from counterfoil.domain.payment import Payment, Status
from counterfoil.domain.refund import Refund
from counterfoil.domain.retry import Retry, planned
from counterfoil.store import events
from counterfoil.store.database import Connection

Row = TypeVar("Row", bound=Attempt | Charge | Call | Refund | Dispute)


class Kin(msgspec.Struct, frozen=True):
    """What hangs on a payment, each in its order."""

    attempts: tuple[Attempt, ...] = ()
    charges: tuple[Charge, ...] = ()
    facts: tuple[Fact, ...] = ()
    calls: tuple[Call, ...] = ()
    retries: tuple[Retry, ...] = ()
    refunds: tuple[Refund, ...] = ()
    disputes: tuple[Dispute, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """A payment with all its attempts, charges, facts, calls and further tries, as of one moment."""

    payment: Payment
    attempts: tuple[Attempt, ...] = ()
    charges: tuple[Charge, ...] = ()
    facts: tuple[Fact, ...] = ()
    calls: tuple[Call, ...] = ()
    retries: tuple[Retry, ...] = ()
    refunds: tuple[Refund, ...] = ()
    disputes: tuple[Dispute, ...] = ()

    def attempt(self, attempt_id: str) -> Attempt:
        return next(attempt for attempt in self.attempts if attempt.id == attempt_id)

    def refund(self, refund_id: str) -> Refund:
        return next(refund for refund in self.refunds if refund.id == refund_id)

    @property
    def unsettled(self) -> tuple[Call, ...]:
        """The calls that are on their way, or whose outcome is not known."""
        return tuple(call for call in self.calls if not call.is_settled)

    @property
    def planned(self) -> Retry | None:
        """The further try that is still to come."""
        return planned(self.retries)

    def with_attempt(self, attempt: Attempt) -> "Family":
        return replace(self, attempts=_exchanged(self.attempts, attempt))

    def with_charge(self, charge: Charge) -> "Family":
        return replace(self, charges=_exchanged(self.charges, charge))

    def call(self, call_id: str) -> Call:
        return next(call for call in self.calls if call.id == call_id)

    def with_call(self, call: Call) -> "Family":
        return replace(self, calls=_exchanged(self.calls, call))

    def dispute(self, dispute_id: str) -> Dispute:
        return next(dispute for dispute in self.disputes if dispute.id == dispute_id)

    def with_dispute(self, dispute: Dispute) -> "Family":
        return replace(self, disputes=_exchanged(self.disputes, dispute))

    def with_refund(self, refund: Refund) -> "Family":
        return replace(self, refunds=_exchanged(self.refunds, refund))

    def with_retry(self, retry: Retry) -> "Family":
        others = (one for one in self.retries if one.number != retry.number)
        return replace(self, retries=tuple(sorted((*others, retry), key=lambda one: one.number)))


def _exchanged(rows: tuple[Row, ...], new: Row) -> tuple[Row, ...]:
    """The rows with the new one in the place of its former self, or last."""
    if all(row.id != new.id for row in rows):
        return (*rows, new)
    return tuple(new if row.id == new.id else row for row in rows)


def _list(row: type, table: str, order: str) -> str:
    columns = ", ".join(row.__dataclass_fields__)  # type: ignore[attr-defined]  # a dataclass
    return f"""(SELECT coalesce(json_agg(r), '[]') FROM (
        SELECT {columns} FROM {table} WHERE payment_id = p.id ORDER BY {order}) r)"""


# One statement reads a whole family, so that it is of one moment; msgspec gives the JSON its types. The order of facts
# does not depend on their arrival.
_FAMILY: Final = f"""
    SELECT {", ".join(f"p.{name}" for name in Payment.__dataclass_fields__)}, json_build_object(
        'attempts', {_list(Attempt, "attempts", "number")},
        'charges', {_list(Charge, "charges", "id")},
        'facts', {_list(Fact, "facts", "said_at, object_id, kind, amount")},
        'calls', {_list(Call, "calls", "id")},
        'retries', {_list(Retry, "retries", "number")},
        'refunds', {_list(Refund, "refunds", "id")},
        'disputes', {_list(Dispute, "disputes", "id")})::text AS kin
    FROM payments p
"""
_KIN: Final = msgspec.json.Decoder(Kin)


def _family(row: asyncpg.Record) -> Family:
    values = dict(row)
    kin = _KIN.decode(values.pop("kin"))
    payment = Payment(**{**values, "status": Status(row["status"])})
    return Family(
        payment,
        kin.attempts,
        kin.charges,
        kin.facts,
        kin.calls,
        kin.retries,
        kin.refunds,
        kin.disputes,
    )


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


async def insert_many(conn: Connection, rows: Sequence[tuple[Payment, Attempt, Charge]]) -> None:
    """Payments that were won by their only attempt, each with its charge."""
    unclaimed = [replace(payment, winner_attempt_id=None) for payment, _, _ in rows]
    await conn.executemany(_INSERT_PAYMENT, map(_values, unclaimed))
    await conn.executemany(_INSERT_ATTEMPT, [_values(attempt) for _, attempt, _ in rows])
    await conn.execute(
        "UPDATE payments p SET winner_attempt_id = a.id FROM attempts a"
        " WHERE p.id = ANY($1) AND a.payment_id = p.id",
        [payment.id for payment, _, _ in rows],
    )
    await conn.executemany(_INSERT_CHARGE, [_values(charge) for _, _, charge in rows])


async def lock(conn: Connection, payment_id: str) -> Family:
    """The payment's row locked, then its family read: so that what is read cannot change before the commit.

    Raises LookupError where there is none.
    """
    await conn.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", payment_id)
    return await get(conn, payment_id)


async def get(
    conn: Connection, payment_id: str, *, merchant_id: str | None = None, mode: str | None = None
) -> Family:
    """The family as it stands. Raises LookupError where there is none of this merchant and mode."""
    row = await conn.fetchrow(f"{_FAMILY} WHERE p.id = $1", payment_id)
    if row is None or merchant_id not in {None, row["merchant_id"]} or mode not in {None, row["mode"]}:
        raise LookupError("no such payment")
    return _family(row)


async def known(conn: Connection, payment_ids: Sequence[str], *, merchant_id: str, mode: str) -> list[str]:
    """Those of the ids that are payments of this merchant and mode."""
    rows = await conn.fetch(
        "SELECT id FROM payments WHERE id = ANY($1) AND merchant_id = $2 AND mode = $3",
        list(payment_ids),
        merchant_id,
        mode,
    )
    return [row["id"] for row in rows]


async def families(conn: Connection, payment_ids: Sequence[str]) -> list[Family]:
    """Many payments with their families, in the order of the ids, in one read."""
    rows = await conn.fetch(f"{_FAMILY} WHERE p.id = ANY($1)", payment_ids)
    found = {row["id"]: _family(row) for row in rows}
    return [found[id_] for id_ in payment_ids]


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


async def twins(conn: Connection, payment: Payment, *, within: timedelta) -> list[str]:
    """Other captured payments of the same reference, amount and customer, made within that time of this one.

    None of which something went back, or is about to: there the duplicate is being undone already.
    """
    rows = await conn.fetch(
        """
        SELECT id FROM payments
        WHERE merchant_id = $1 AND mode = $2 AND reference = $3 AND amount = $4 AND currency = $5 AND id <> $6
          AND status = 'captured' AND amount_refunded = 0
          AND NOT EXISTS (SELECT FROM charges c WHERE c.payment_id = payments.id AND c.reserved > 0)
          AND coalesce(customer ->> 'id', customer ->> 'email', '') = $7
          AND created_at BETWEEN $8::timestamptz - $9::interval AND $8::timestamptz + $9::interval
        ORDER BY id
        """,
        payment.merchant_id,
        payment.mode,
        payment.reference,
        payment.amount,
        payment.currency,
        payment.id,
        payment.customer.get("id") or payment.customer.get("email") or "",
        payment.created_at,
        within,
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


async def advance(conn: Connection, payment: Payment, event: Event) -> None:
    """Write how the payment stands at its new version, and the event that tells of it."""
    await conn.execute(
        f"""
        WITH payment AS (
            UPDATE payments SET status = $2, amount_captured = $3, amount_refunded = $4, next_check_at = $5, checks = $6,
                                version = $7, updated_at = $8 WHERE id = $1
        )
        {events.INTO}
        VALUES ($9, $10, $11, $12, $1, $7, $13, $14)
        """,
        payment.id,
        payment.status.value,
        payment.amount_captured,
        payment.amount_refunded,
        payment.next_check_at,
        payment.checks,
        payment.version,
        payment.updated_at,
        event.id,
        event.merchant_id,
        event.mode,
        event.type,
        event.object,
        event.created_at,
    )


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
