"""The audit log of a payment: what was decided, by whom, in the transaction of the decision."""

from collections.abc import Mapping
from typing import Any, Final

from counterfoil.domain.payment import Payment
from counterfoil.services.context import Context
from counterfoil.store import audit
from counterfoil.store.database import Connection

SERVICE: Final = "service"  # nobody asked: a rule or a setting did


async def decided(
    ctx: Context,
    conn: Connection,
    payment: Payment,
    action: str,
    detail: Mapping[str, Any],
    *,
    actor: str = SERVICE,
) -> None:
    await audit.record(
        conn,
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        at=ctx.now(),
        actor=actor,
        action=action,
        object_id=payment.id,
        detail=detail,
    )
