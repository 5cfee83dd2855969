"""What the check asks of the database: pages of payments with their books, and what hangs on no payment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil.store.database import Connection

# Rules that the database itself keeps: (table, trigger). A trigger that is gone or off would let a wrong row in silently.
TRIGGERS: Final = frozenset(
    {
        *(
            (table, "append_only")
            for table in (
                "facts",
                "audit",
                "journals",
                "entries",
                "refund_approvals",
                "refund_batch_approvals",
                "receipt_template_versions",
                "receipt_template_files",
            )
        ),
        ("journals", "journal_balances"),
        ("entries", "entry_balances"),
        ("payments", "one_winner"),
        ("attempts", "fenced_for_good"),
        ("refunds", "approvals"),
        ("refunds", "terms"),
        ("refund_batches", "approvals"),
        ("refund_batches", "terms"),
        ("refund_batch_rows", "terms"),
        ("charges", "reserve"),
        ("receipts", "stays"),
        ("receipt_series", "goes_up"),
        ("receipts", "never_emptied"),
        ("receipt_series", "never_emptied"),
        ("disputes", "accepted_for_good"),
    }
)


@dataclass(frozen=True, slots=True)
class Posted:
    """What a rule has posted for a charge on one ledger account, in minor units; debits positive."""

    payment_id: str
    charge_ref: str | None
    rule: str
    account: str
    currency: str
    amount: int


@dataclass(frozen=True, slots=True)
class Lopsided:
    """A journal whose entries do not sum to zero in a currency, or that has none."""

    journal_id: str
    payment_id: str
    currency: str | None
    amount: int


async def one_moment(conn: Connection) -> None:
    """Have all that this transaction reads be of one moment, and refuse writes. It must be its first statement."""
    await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


async def count(conn: Connection, merchant_id: str, mode: str) -> int:
    """How many payments there are."""
    found: int = await conn.fetchval(
        "SELECT count(*) FROM payments WHERE merchant_id = $1 AND mode = $2", merchant_id, mode
    )
    return found


async def page(
    conn: Connection, merchant_id: str, mode: str, *, after: str, since: datetime | None, limit: int
) -> list[str]:
    """The ids of the next payments, oldest first; only those created since a moment, where one is named."""
    rows = await conn.fetch(
        """
        SELECT id FROM payments WHERE merchant_id = $1 AND mode = $2 AND id > $3
          AND ($4::timestamptz IS NULL OR created_at >= $4) ORDER BY id LIMIT $5
        """,
        merchant_id,
        mode,
        after,
        since,
        limit,
    )
    return [row["id"] for row in rows]


async def posted(conn: Connection, payment_ids: Sequence[str]) -> list[Posted]:
    """The sums of the books of these payments."""
    rows = await conn.fetch(
        """
        SELECT j.payment_id, f.charge_ref, j.rule, a.name AS account, e.currency, sum(e.amount)::bigint AS amount
        FROM journals j JOIN facts f ON f.id = j.fact_id JOIN entries e ON e.journal_id = j.id
        JOIN ledger_accounts a ON a.id = e.ledger_account_id
        WHERE j.payment_id = ANY($1) GROUP BY 1, 2, 3, 4, 5
        """,
        payment_ids,
    )
    return [Posted(**dict(row)) for row in rows]


async def lopsided(conn: Connection, payment_ids: Sequence[str]) -> list[Lopsided]:
    """The journals of these payments that do not balance."""
    rows = await conn.fetch(
        """
        SELECT j.id AS journal_id, j.payment_id, e.currency, coalesce(sum(e.amount), 0)::bigint AS amount
        FROM journals j LEFT JOIN entries e ON e.journal_id = j.id
        WHERE j.payment_id = ANY($1) GROUP BY 1, 2, 3 HAVING coalesce(sum(e.amount), 0) <> 0 OR e.currency IS NULL
        """,
        payment_ids,
    )
    return [Lopsided(**dict(row)) for row in rows]


async def stuck_letters(
    conn: Connection, merchant_id: str, mode: str, *, due_before: datetime, limit: int
) -> list[tuple[str, str, str | None]]:
    """Webhooks that are dead, or that nobody has looked at since their time came: id, status, reason."""
    rows = await conn.fetch(
        """
        SELECT id, status, reason FROM inbox
        WHERE merchant_id = $1 AND mode = $2 AND (status = 'dead' OR (status IN ('received', 'parked')
              AND coalesce(next_check_at, received_at) < $3))
        ORDER BY id LIMIT $4
        """,
        merchant_id,
        mode,
        due_before,
        limit,
    )
    return [(row["id"], row["status"], row["reason"]) for row in rows]


async def unapproved(
    conn: Connection, merchant_id: str, mode: str, *, limit: int
) -> list[tuple[str, str, int, int]]:
    """Refunds that may go or went without the approvals they need: id, state, approvals given and needed."""
    rows = await conn.fetch(
        """
        SELECT r.id, r.state, count(a.person) AS given, r.needed FROM refunds r
        LEFT JOIN refund_approvals a ON a.refund_id = r.id AND a.person <> r.person
        WHERE r.merchant_id = $1 AND r.mode = $2 AND r.source <> 'gateway' AND r.needed > 0
          AND r.state IN ('approved', 'processing', 'succeeded')
        GROUP BY r.id HAVING count(a.person) < r.needed ORDER BY r.id LIMIT $3
        """,
        merchant_id,
        mode,
        limit,
    )
    return [(row["id"], row["state"], row["given"], row["needed"]) for row in rows]


async def unanswered(
    conn: Connection, merchant_id: str, mode: str, *, leased_before: datetime, limit: int
) -> list[tuple[str, str]]:
    """Requests whose process died and whose payment is still not settled: path and payment. Where it is settled, the
    record only waits for a client that may never come back.
    """
    rows = await conn.fetch(
        """
        SELECT i.path, i.payment_id FROM idempotency i JOIN payments p ON p.id = i.payment_id
        WHERE i.merchant_id = $1 AND i.mode = $2 AND i.answer IS NULL AND i.leased_until < $3
          AND p.status IN ('created', 'pending') AND p.expires_at < $3
        ORDER BY i.created_at LIMIT $4
        """,
        merchant_id,
        mode,
        leased_before,
        limit,
    )
    return [(row["path"], row["payment_id"]) for row in rows]


async def missing_triggers(conn: Connection) -> list[tuple[str, str]]:
    """The triggers of TRIGGERS that are gone or switched off."""
    rows = await conn.fetch(
        "SELECT tgrelid::regclass::text AS held_by, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')"
    )
    return sorted(TRIGGERS - {(row["held_by"], row["tgname"]) for row in rows})


async def unproven_constraints(conn: Connection) -> list[tuple[str, str]]:
    """Constraints that were never proven over all rows: table and name."""
    rows = await conn.fetch(
        "SELECT conrelid::regclass::text AS held_by, conname FROM pg_constraint"
        " WHERE NOT convalidated AND connamespace = current_schema()::regnamespace ORDER BY 1, 2"
    )
    return [(row["held_by"], row["conname"]) for row in rows]
