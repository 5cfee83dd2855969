"""The timeline of a payment: what was decided, what was asked, what was said, what was posted, in one list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line: when we knew it, what kind of line it is, what happened, and the facts of it."""

    at: datetime
    kind: str  # decision, call, fact, webhook, journal, mail
    what: str
    id: str
    detail: dict[str, Any]


async def of_payment(conn: Connection, payment_id: str) -> list[Moment]:
    rows = await conn.fetch(
        """
        SELECT at, kind, what, id, detail FROM (
            SELECT at, 1 AS rank, 'decision' AS kind, action AS what, id::text, detail || jsonb_build_object('actor', actor) AS detail
            FROM audit WHERE object_id = $1
            UNION ALL
            SELECT c.started_at, 2, 'call', a.gateway || '.' || c.verb, c.id,
                   jsonb_build_object('attempt', c.attempt_id, 'outcome', coalesce(c.settled, 'under way'),
                                      'message', c.message, 'settled_at', c.settled_at, 'charge', c.charge_ref)
            FROM calls c JOIN attempts a ON a.id = c.attempt_id WHERE c.payment_id = $1
            UNION ALL
            SELECT received_at, 3, 'webhook', gateway || ' ' || coalesce(type, '?'), id,
                   jsonb_build_object('status', status, 'reason', reason, 'deliveries', deliveries)
            FROM inbox WHERE payment_id = $1
            UNION ALL
            SELECT learned_at, 4, 'fact', kind, id::text,
                   detail || jsonb_build_object('object', object_id, 'amount', amount, 'currency', currency,
                                                'said_at', said_at, 'source', source, 'source_id', source_id)
            FROM facts WHERE payment_id = $1
            UNION ALL
            SELECT j.posted_at, 5, 'journal', j.rule, j.id,
                   jsonb_build_object('entries', (
                       SELECT jsonb_agg(jsonb_build_object('account', l.name, 'amount', e.amount, 'currency', e.currency)
                                        ORDER BY e.id)
                       FROM entries e JOIN ledger_accounts l ON l.id = e.ledger_account_id WHERE e.journal_id = j.id))
            FROM journals j WHERE j.payment_id = $1
            UNION ALL
            SELECT coalesce(ended_at, created_at), 6, 'mail', kind, id,
                   jsonb_build_object('channel', channel, 'recipient', recipient, 'outcome', coalesce(outcome, 'waits'),
                                      'tries', tries, 'error', error, 'asked_by', asked_by)
            FROM mails WHERE about = $1
        ) moments ORDER BY at, rank, id
        """,
        payment_id,
    )
    return [Moment(**dict(row)) for row in rows]
