"""The books: ledger accounts, journals and entries. The database itself refuses a journal that does not balance."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from counterfoil.domain.attempt import Attempt
from counterfoil.domain.ledger import Entry
from counterfoil.domain.payment import Payment
from counterfoil.store.database import Connection

# Journal and entries in one statement, which does nothing unless all of its accounts are there; it answers how many are.
_POST: Final = """
    WITH wanted AS (
        SELECT a.id, e.amount FROM unnest($13::text[], $14::bigint[]) e (name, amount)
        JOIN ledger_accounts a ON a.name = e.name
             AND (a.merchant_id, a.mode, a.account_id, a.currency) = ($2, $3, $8, $12)
    ), journal AS (
        INSERT INTO journals (id, merchant_id, mode, payment_id, fact_id, rule, at, posted_at)
        SELECT $1, $2, $3, $4, f.id, $5, $6, $7 FROM facts f
        WHERE f.account_id = $8 AND f.object_id = $9 AND f.kind = $10 AND f.amount = $11 AND f.currency = $12
          AND (SELECT count(*) FROM wanted) = cardinality($13)
        ON CONFLICT (fact_id, rule) DO NOTHING RETURNING id
    ), posted AS (
        INSERT INTO entries (journal_id, ledger_account_id, amount, currency)
        SELECT journal.id, wanted.id, wanted.amount, $12 FROM journal, wanted
    )
    SELECT count(*) FROM wanted
"""


async def post(
    conn: Connection,
    *,
    id_: str,
    payment: Payment,
    attempt: Attempt,
    fact: tuple[str, str, int],
    rule: str,
    entries: Sequence[Entry],
    at: datetime,
    now: datetime,
) -> None:
    """Post a journal for a fact (object id, kind, amount): once for each rule, in the fact's own transaction."""
    object_id, kind, amount = fact
    names = [entry.account for entry in entries]
    for _ in range(2):
        accounts = await conn.fetchval(
            _POST,
            id_,
            payment.merchant_id,
            payment.mode,
            payment.id,
            rule,
            at,
            now,
            attempt.account_id,
            object_id,
            kind,
            amount,
            payment.currency,
            names,
            [entry.amount for entry in entries],
        )
        if accounts == len(names):
            break
        await _make_accounts(conn, payment, attempt, names)


async def _make_accounts(conn: Connection, payment: Payment, attempt: Attempt, names: Sequence[str]) -> None:
    """Only where they are missing: an upsert locks the row that every capture of this account and currency shares."""
    await conn.executemany(
        "INSERT INTO ledger_accounts (merchant_id, mode, account_id, currency, name) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING",
        [(payment.merchant_id, payment.mode, attempt.account_id, payment.currency, n) for n in sorted(names)],
    )


async def balances(conn: Connection, merchant_id: str, mode: str) -> list[dict[str, Any]]:
    """Each ledger account's sum of entries, in minor units; debits positive."""
    rows = await conn.fetch(
        """
        SELECT a.name, a.account_id, a.currency, coalesce(sum(e.amount), 0)::bigint AS balance
        FROM ledger_accounts a LEFT JOIN entries e ON e.ledger_account_id = a.id
        WHERE a.merchant_id = $1 AND a.mode = $2
        GROUP BY a.id ORDER BY a.name, a.account_id, a.currency
        """,
        merchant_id,
        mode,
    )
    return [dict(row) for row in rows]
