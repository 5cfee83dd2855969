"""Past payments into the database, many at a time: what is there already, and what is new."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil.domain.attempt import Attempt
from counterfoil.domain.charge import Charge
from counterfoil.domain.importing import Opening
from counterfoil.domain.payment import Payment
from counterfoil.domain.refund import Refund
from counterfoil.store import refunds
from counterfoil.store.database import Connection
from counterfoil.store.payments import insert_many

SOURCE: Final = "import"
# Of all imports at once: one writes its rows, the next then sees them.
_LOCK: Final = 0x696D706F7274
_FACT: Final = """
    INSERT INTO facts (account_id, object_id, kind, amount, currency, payment_id, attempt_id, charge_ref, source,
                       source_id, detail, said_at, learned_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A payment of before, with all that hangs on it. The winner is named where it is inserted."""

    payment: Payment
    attempt: Attempt
    charge: Charge
    refunds: tuple[Refund, ...]  # those whose names are known
    openings: tuple[tuple[str, Opening], ...]  # each with the id of its journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The payment that is there already under a gateway's id; `captured` in minor units, where the id is a charge's."""

    payment_id: str
    captured: int | None
    currency: str


async def one_at_a_time(conn: Connection) -> None:
    """Wait for other imports until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def known(conn: Connection, account_id: str, refs: Sequence[str]) -> dict[str, Known]:
    """Which of these charges, attempts and refunds of the account were heard of, by the gateway's id."""
    rows = await conn.fetch(
        """
        SELECT ref, payment_id, captured, currency FROM charges WHERE account_id = $1 AND ref = ANY($2)
        UNION ALL
        SELECT ref, payment_id, NULL, currency FROM attempts WHERE account_id = $1 AND ref = ANY($2)
        UNION ALL
        SELECT object_id, payment_id, NULL, currency FROM facts
        WHERE account_id = $1 AND object_id = ANY($2) AND kind LIKE 'refund.%'
        """,
        account_id,
        refs,
    )
    return {
        row["ref"]: Known(payment_id=row["payment_id"], captured=row["captured"], currency=row["currency"])
        for row in rows
    }


async def is_attempt(conn: Connection, attempt_id: str) -> bool:
    """Whether the id is that of an attempt of this service."""
    return bool(await conn.fetchval("SELECT EXISTS (SELECT FROM attempts WHERE id = $1)", attempt_id))


async def insert(conn: Connection, batch: Sequence[Imported], *, source_id: str, now: datetime) -> None:
    """Store them, with their facts and opening journals."""
    await insert_many(conn, [(one.payment, one.attempt, one.charge) for one in batch])
    for refund in (refund for one in batch for refund in one.refunds):
        await refunds.insert(conn, refund)
    await conn.executemany(_FACT, list(_facts(batch, source_id, now)))
    await _make_accounts(conn, batch)
    await _journals(conn, batch, now)
    await _entries(conn, batch)


def _facts(batch: Sequence[Imported], source_id: str, now: datetime) -> Iterator[tuple[object, ...]]:
    for one in batch:
        for _, opening in one.openings:
            report = opening.report
            yield (
                one.attempt.account_id,
                report.object_id,
                report.kind.value,
                report.amount.minor,
                report.amount.currency,
                one.payment.id,
                one.attempt.id,
                report.charge_ref,
                SOURCE,
                source_id,
                dict(report.detail),
                report.at,
                now,
            )


def _entry_rows(batch: Sequence[Imported]) -> list[tuple[str, str, str, str, int]]:
    """Journal, gateway account, ledger account, currency, amount."""
    return [
        (journal_id, one.attempt.account_id, entry.account, one.payment.currency, entry.amount)
        for one in batch
        for journal_id, opening in one.openings
        for entry in opening.entries
    ]


async def _make_accounts(conn: Connection, batch: Sequence[Imported]) -> None:
    due = batch[0].payment
    names = sorted({(account, name, currency) for _, account, name, currency, _ in _entry_rows(batch)})
    await conn.executemany(
        "INSERT INTO ledger_accounts (merchant_id, mode, account_id, name, currency) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING",
        [(due.merchant_id, due.mode, *name) for name in names],
    )


async def _journals(conn: Connection, batch: Sequence[Imported], now: datetime) -> None:
    rows = [
        (journal_id, one.payment.id, one.attempt.account_id, opening.report.object_id, opening.report.kind.value,
         opening.rule, opening.report.at)
        for one in batch
        for journal_id, opening in one.openings
    ]  # fmt: skip
    due = batch[0].payment
    await conn.execute(
        """
        INSERT INTO journals (id, merchant_id, mode, payment_id, fact_id, rule, at, posted_at)
        SELECT j.id, $1, $2, j.payment_id, f.id, j.rule, j.at, $3
        FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[])
             j (id, payment_id, account_id, object_id, kind, rule, at)
        JOIN facts f ON (f.account_id, f.object_id, f.kind) = (j.account_id, j.object_id, j.kind)
        """,
        due.merchant_id,
        due.mode,
        now,
        *zip(*rows, strict=True),
    )


async def _entries(conn: Connection, batch: Sequence[Imported]) -> None:
    """A journal that were left without its entries would be refused by the database itself."""
    due = batch[0].payment
    await conn.execute(
        """
        INSERT INTO entries (journal_id, ledger_account_id, amount, currency)
        SELECT e.journal_id, a.id, e.amount, e.currency
        FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
             e (journal_id, account_id, name, currency, amount)
        JOIN ledger_accounts a ON (a.merchant_id, a.mode, a.account_id, a.name, a.currency)
                                = ($1, $2, e.account_id, e.name, e.currency)
        """,
        due.merchant_id,
        due.mode,
        *zip(*_entry_rows(batch), strict=True),
    )
