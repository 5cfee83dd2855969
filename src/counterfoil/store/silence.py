"""When each account's gateway was last heard, and since when it does things that its webhooks do not tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """One account: its last webhook, and the first thing done after it of which no webhook told. None: nothing."""

    account_id: str
    merchant_id: str
    gateway: str
    mode: str
    heard_at: datetime | None
    untold_since: datetime | None


async def of_accounts(conn: Connection, kinds: Sequence[str], *, slack: timedelta) -> list[Hearing]:
    """Every account. What was learned without a webhook, or found on the gateway's list, counts as untold.

    `kinds` are the facts of which a gateway tells. One webhook speaks for what was learned up to `slack` after it: it
    is often quicker than the answer to the call that it tells of.
    """
    rows = await conn.fetch(
        """
        SELECT a.id AS account_id, a.merchant_id, a.gateway, a.mode, heard.at AS heard_at,
               least(learned.at, found.at) AS untold_since
        FROM gateway_accounts a
        LEFT JOIN LATERAL (SELECT max(last_delivery_at) AS at FROM inbox
                           WHERE account_id = a.id AND secret_id <> 'recovered') heard ON true
        LEFT JOIN LATERAL (SELECT learned_at AS at FROM facts
                           WHERE account_id = a.id AND source <> 'webhook' AND kind = ANY($1)
                             AND learned_at > coalesce(heard.at + $2, '-infinity')
                           ORDER BY learned_at LIMIT 1) learned ON true
        LEFT JOIN LATERAL (SELECT min(received_at) AS at FROM inbox
                           WHERE account_id = a.id AND secret_id = 'recovered'
                             AND received_at > coalesce(heard.at + $2, '-infinity')) found ON true
        ORDER BY a.id
        """,
        kinds,
        slack,
    )
    return [Hearing(**dict(row)) for row in rows]
