"""When each account's gateway was last heard, and since when it does things that its webhooks do not tell."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil.domain.fact import Kind
from counterfoil.store.database import Connection

# One webhook speaks for what was learned up to so long after it: it is often quicker than the answer to the call that
# it tells of, which takes half a minute at most, and twice that where it was sent again.
SLACK: Final = timedelta(minutes=1)
# What both gateways tell of. Razorpay sends nothing when an order is made, or a payment begun.
TOLD: Final = (
    Kind.CHARGE_FAILED,
    Kind.CHARGE_AUTHORIZED,
    Kind.CHARGE_CAPTURED,
    Kind.REFUND_SUCCEEDED,
    Kind.REFUND_FAILED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """One account: its last webhook, and the first thing done after it of which no webhook told. None: nothing."""

    account_id: str
    merchant_id: str
    gateway: str
    mode: str
    heard_at: datetime | None
    untold_since: datetime | None


async def of_accounts(conn: Connection) -> list[Hearing]:
    """Every account. What was learned without a webhook, or found on the gateway's list, counts as untold; what an
    import brought along does not.
    """
    rows = await conn.fetch(
        """
        SELECT a.id AS account_id, a.merchant_id, a.gateway, a.mode, heard.at AS heard_at,
               least(learned.at, found.at) AS untold_since
        FROM gateway_accounts a
        LEFT JOIN LATERAL (SELECT max(last_delivery_at) AS at FROM inbox
                           WHERE account_id = a.id AND secret_id <> 'recovered') heard ON true
        LEFT JOIN LATERAL (SELECT learned_at AS at FROM facts
                           WHERE account_id = a.id AND source NOT IN ('webhook', 'import') AND kind = ANY($1)
                             AND learned_at > coalesce(heard.at + $2, '-infinity')
                           ORDER BY learned_at LIMIT 1) learned ON true
        LEFT JOIN LATERAL (SELECT min(received_at) AS at FROM inbox
                           WHERE account_id = a.id AND secret_id = 'recovered'
                             AND received_at > coalesce(heard.at + $2, '-infinity')) found ON true
        ORDER BY a.id
        """,
        [kind.value for kind in TOLD],
        SLACK,
    )
    return [Hearing(**dict(row)) for row in rows]
