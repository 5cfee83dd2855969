"""Exceptions: what cannot be right, or what the service will not decide alone, waits for a person."""

from counterfoil.domain.payment import Payment
from counterfoil.services import publishing, records
from counterfoil.services.context import Context
from counterfoil.store import audit
from counterfoil.store.database import Connection


async def call_a_person(
    ctx: Context, conn: Connection, payment: Payment, *, kind: str, subject: str, sentence: str
) -> None:
    """Open an exception on a payment, once for this kind and subject."""
    await _open(
        ctx,
        conn,
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        payment_id=payment.id,
        kind=kind,
        subject=subject,
        sentence=sentence,
    )


async def call_a_person_about_account(
    ctx: Context, conn: Connection, *, merchant_id: str, mode: str, kind: str, subject: str, sentence: str
) -> None:
    """Open an exception on what is no payment (a gateway account, an endpoint), once for this kind and subject."""
    await _open(
        ctx,
        conn,
        merchant_id=merchant_id,
        mode=mode,
        payment_id=None,
        kind=kind,
        subject=subject,
        sentence=sentence,
    )


async def _open(
    ctx: Context,
    conn: Connection,
    *,
    merchant_id: str,
    mode: str,
    payment_id: str | None,
    kind: str,
    subject: str,
    sentence: str,
) -> None:
    """Open it and publish it, where it is not open already."""
    id_, now = ctx.new_id("exception"), ctx.now()
    opened = await audit.open_exception(
        conn,
        id_=id_,
        merchant_id=merchant_id,
        mode=mode,
        kind=kind,
        subject=subject,
        payment_id=payment_id,
        sentence=sentence,
        now=now,
    )
    if not opened:
        return
    alert = records.alert(
        id_=id_,
        mode=mode,
        kind=kind,
        subject=subject,
        payment_id=payment_id,
        sentence=sentence,
        opened_at=now,
    )
    await publishing.publish(
        ctx,
        conn,
        merchant_id=merchant_id,
        mode=mode,
        type_="alert.opened",
        object_id=id_,
        version=1,
        body=alert,
    )
