"""The books: ledger accounts, journals and entries. The database itself refuses a journal that does not balance."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from counterfoil.domain.attempt import Attempt
from counterfoil.domain.ledger import Entry
from counterfoil.domain.payment import Payment
from counterfoil.store.database import Connection


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
    journal = await conn.fetchval(
        """
        INSERT INTO journals (id, merchant_id, mode, payment_id, fact_id, rule, at, posted_at)
        SELECT $1, $2, $3, $4, f.id, $5, $6, $7 FROM facts f
        WHERE f.account_id = $8 AND f.object_id = $9 AND f.kind = $10 AND f.amount = $11 AND f.currency = $12
        ON CONFLICT (fact_id, rule) DO NOTHING RETURNING id
        """,
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
    )
    if journal is None:
        return
    accounts = await _account_ids(conn, payment, attempt, [entry.account for entry in entries])
    await conn.executemany(
        "INSERT INTO entries (journal_id, ledger_account_id, amount, currency) VALUES ($1, $2, $3, $4)",
        [(journal, accounts[entry.account], entry.amount, payment.currency) for entry in entries],
    )


async def _account_ids(
    conn: Connection, payment: Payment, attempt: Attempt, names: Sequence[str]
) -> dict[str, int]:
    """The ids of the named ledger accounts, made where they are new.

    Read first: an upsert would lock the row that every capture of this account and currency shares.
    """
    owner = (payment.merchant_id, payment.mode, attempt.account_id, payment.currency)
    for _ in range(2):
        rows = await conn.fetch(
            "SELECT name, id FROM ledger_accounts"
            " WHERE merchant_id = $1 AND mode = $2 AND account_id = $3 AND currency = $4 AND name = ANY($5)",
            *owner,
            names,
        )
        if len(rows) == len(names):
            break
        await conn.executemany(
            "INSERT INTO ledger_accounts (merchant_id, mode, account_id, currency, name) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT DO NOTHING",
            [(*owner, name) for name in sorted(names)],
        )
    return {row["name"]: row["id"] for row in rows}


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
