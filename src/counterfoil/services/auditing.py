"""The audit log: what was decided or done, by whom, in the transaction of the decision."""

from collections.abc import Mapping
from typing import Any, Final

from counterfoil.domain.payment import Payment
from counterfoil.services.caller import Caller
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


async def done(
    ctx: Context,
    conn: Connection,
    caller: Caller,
    action: str,
    object_id: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record what somebody did to a thing that is no payment."""
    await audit.record(
        conn,
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        at=ctx.now(),
        actor=caller.actor,
        action=action,
        object_id=object_id,
        detail=detail,
    )
