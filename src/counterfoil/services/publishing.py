"""What the merchant's own backend is to hear of is kept as an event, in the transaction in which it happens.

The one door for every noun: payments, refunds, disputes, receipts, their exports and alerts. One statement; who
listens is found later, by the worker (services/delivering.py).
"""

from typing import Any

from counterfoil.domain.dispute import Dispute, DisputeState
from counterfoil.domain.event import TYPES, Event, of_dispute, of_payment, of_refund
from counterfoil.domain.payment import Status
from counterfoil.domain.receipt_export import Export
from counterfoil.domain.refund import Refund, State
from counterfoil.services import records
from counterfoil.services.context import Context
from counterfoil.store import events
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family
from counterfoil.store.receipts import Issued


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
    await events.insert(
        conn,
        _event(
            ctx,
            merchant_id=merchant_id,
            mode=mode,
            type_=type_,
            object_id=object_id,
            version=version,
            body=body,
        ),
    )


def _event(
    ctx: Context,
    *,
    merchant_id: str,
    mode: str,
    type_: str,
    object_id: str,
    version: int,
    body: dict[str, Any],
) -> Event:
    if type_ not in TYPES:
        raise ValueError(f"{type_} is not an event type")
    return Event(
        id=ctx.new_id("outgoing"),
        merchant_id=merchant_id,
        mode=mode,
        type=type_,
        object_id=object_id,
        version=version,
        object=body,
        created_at=ctx.now(),
    )


async def payment(ctx: Context, conn: Connection, family: Family, *, before: Status | None) -> None:
    """The payment has this new version. `before` is its status until now; None for a payment that is new."""
    await events.insert(conn, of_version(ctx, family, before=before))


def of_version(ctx: Context, family: Family, *, before: Status | None) -> Event:
    """The event of `payment`, for who keeps it in the statement that writes the version."""
    due = family.payment
    return _event(
        ctx,
        merchant_id=due.merchant_id,
        mode=due.mode,
        type_=of_payment(before, due.status),
        object_id=due.id,
        version=due.version,
        body=records.payment(family),
    )


async def refund(
    ctx: Context, conn: Connection, family: Family, refund: Refund, *, before: State | None
) -> None:
    """The refund has this new version. `before` is its state until now; None for one that is new."""
    await publish(
        ctx,
        conn,
        merchant_id=refund.merchant_id,
        mode=refund.mode,
        type_=of_refund(before, refund.state),
        object_id=refund.id,
        version=refund.version,
        body=records.refund(refund, records.gateway_of(family, refund.charge_id)),
    )


async def dispute(ctx: Context, conn: Connection, dispute: Dispute, *, before: DisputeState | None) -> None:
    """The dispute has this new version. `before` is its state until now; None for one that is new."""
    await publish(
        ctx,
        conn,
        merchant_id=dispute.merchant_id,
        mode=dispute.mode,
        type_=of_dispute(before, dispute.state),
        object_id=dispute.id,
        version=dispute.version,
        body=records.dispute(dispute),
    )


async def receipt(ctx: Context, conn: Connection, issued: Issued, type_: str) -> None:
    """The receipt is as `type_` says."""
    await events.insert(conn, of_receipt(ctx, issued, type_))


def of_receipt(ctx: Context, issued: Issued, type_: str) -> Event:
    """The event of `receipt`. A receipt has two versions: as it was issued, and void."""
    return _event(
        ctx,
        merchant_id=issued.merchant_id,
        mode=issued.mode,
        type_=type_,
        object_id=issued.id,
        version=2 if issued.voided_at else 1,
        body=records.receipt(issued),
    )


async def receipt_export(ctx: Context, conn: Connection, export: Export) -> None:
    """The export has come to this end: its one version that is told."""
    await publish(
        ctx,
        conn,
        merchant_id=export.merchant_id,
        mode=export.mode,
        type_=f"receipt_export.{export.state.value}",
        object_id=export.id,
        version=1,
        body=records.receipt_export(export),
    )
