"""Facts in the database: inserted once, read as sets."""

from dataclasses import dataclass
from datetime import datetime

from counterfoil.domain.attempt import Attempt
from counterfoil.domain.fact import Kind, Report
from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How a fact was learned: an API answer (call id), a webhook (inbox id), a sweep (payment id), or an import (its id)."""

    kind: str
    id: str


async def insert(
    conn: Connection,
    attempt: Attempt,
    report: Report,
    *,
    charge_ref: str | None,
    source: Source,
    now: datetime,
) -> bool:
    """Keep what was said, once; `now` is the time of what has no other. False where it was known already."""
    new = await conn.fetchval(
        """
        INSERT INTO facts (account_id, object_id, kind, amount, currency, payment_id, attempt_id, charge_ref,
                           source, source_id, detail, said_at, learned_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (account_id, object_id, kind, amount, currency) DO NOTHING RETURNING id
        """,
        attempt.account_id,
        report.object_id,
        report.kind.value,
        report.amount.minor,
        report.amount.currency,
        attempt.payment_id,
        attempt.id,
        charge_ref,
        source.kind,
        source.id,
        dict(report.detail),
        report.at or now,
        now,
    )
    return new is not None


async def kinds_of_attempt(
    conn: Connection, attempt: Attempt, *, said_from: datetime, learned_from: datetime
) -> frozenset[Kind]:
    """What was said of the attempt from one moment on (the gateway's clock) and learned from another on (ours).

    Not that a try was declined, where we read it: its charge tells when that was, and without one nothing does.
    """
    rows = await conn.fetch(
        "SELECT DISTINCT kind FROM facts"
        " WHERE payment_id = $1 AND attempt_id = $2 AND said_at >= $3 AND learned_at >= $4"
        " AND NOT (kind = 'attempt.declined' AND source = 'sweep')",
        attempt.payment_id,
        attempt.id,
        said_from,
        learned_from,
    )
    return frozenset(Kind(row["kind"]) for row in rows)
