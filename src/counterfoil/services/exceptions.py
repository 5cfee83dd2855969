"""Exceptions: what cannot be right, or what the service will not decide alone, waits for a person."""

from counterfoil.domain.payment import Payment
from counterfoil.services.context import Context
from counterfoil.store import audit
from counterfoil.store.database import Connection


async def call_a_person(
    ctx: Context, conn: Connection, payment: Payment, *, kind: str, subject: str, sentence: str
) -> None:
    """Open an exception on a payment, once for this kind and subject."""
    await audit.open_exception(
        conn,
        id_=ctx.new_id("exception"),
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        kind=kind,
        subject=subject,
        payment_id=payment.id,
        sentence=sentence,
        now=ctx.now(),
    )
