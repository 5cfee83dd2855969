"""What the merchant's own backend is to hear of is kept as an event, in the transaction in which it happens.

The one door for every noun: payments and alerts now, refunds, disputes and receipts with `publish`. One statement; who
listens is found later, by the worker (services/delivering.py).
"""

from typing import Any

from counterfoil.domain.event import TYPES, Event, of_payment
from counterfoil.domain.payment import Status
from counterfoil.services import records
from counterfoil.services.context import Context
from counterfoil.store import events
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family


async def publish(
    ctx: Context,
    conn: Connection,
    *,
    merchant_id: str,
    mode: str,
    type_: str,
    object_id: str,
    version: int,
    body: dict[str, Any],
) -> None:
    """Keep an event: `body` is the object as the API shows it now, without links and secrets, at this version.

    Versions of one object must be published in their order, one after the other: under the lock of its row.
    Raises ValueError where the type is not one of domain/event.py.
    """
    if type_ not in TYPES:
        raise ValueError(f"{type_} is not an event type")
    await events.insert(
        conn,
        Event(
            id=ctx.new_id("outgoing"),
            merchant_id=merchant_id,
            mode=mode,
            type=type_,
            object_id=object_id,
            version=version,
            object=body,
            created_at=ctx.now(),
        ),
    )


async def payment(ctx: Context, conn: Connection, family: Family, *, before: Status | None) -> None:
    """The payment has this new version. `before` is its status until now; None for a payment that is new."""
    due = family.payment
    await publish(
        ctx,
        conn,
        merchant_id=due.merchant_id,
        mode=due.mode,
        type_=of_payment(before, due.status),
        object_id=due.id,
        version=due.version,
        body=records.payment(family),
    )
