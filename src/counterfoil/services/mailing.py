"""The outbox of mails: what somebody is to be told is queued in the transaction that made it due.

One row a recipient, once an occasion. It is worded and sent by the worker (services/sending.py), so that no link that
lets anybody act is ever stored, and nothing is said that is not true any more.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from counterfoil.domain.delivery import is_address
from counterfoil.domain.payment import Payment
from counterfoil.services.auditing import decided
from counterfoil.services.context import Context
from counterfoil.store import mails
from counterfoil.store.database import Connection
from counterfoil.store.mails import Mail

INVITATION: Final = "invitation"
PAYMENT_FAILED: Final = "payment_failed"
PAYMENT_FAILED_OPERATORS: Final = "payment_failed_operators"

# A payment passes through "failed" while it goes from one gateway to the next: nobody is told within that moment.
SETTLES: Final = timedelta(seconds=30)


def customer_address(ctx: Context, payment: Payment) -> str | None:
    """Where the customer can be written to; None where there is no such address, or no mail server."""
    address = payment.customer.get("email")
    if ctx.directory.delivery.smtp is None or not isinstance(address, str) or not is_address(address):
        return None
    return address


async def invite(ctx: Context, conn: Connection, payment: Payment, number: int) -> bool:
    """Ask the customer to pay by their link, once for each such try. False where there is nobody to be asked."""
    address = customer_address(ctx, payment)
    occasion = f"{INVITATION}/{payment.id}/{number}"
    return bool(await _queue(ctx, conn, payment, INVITATION, occasion, [address] if address else []))


async def tell_failure(ctx: Context, conn: Connection, payment: Payment) -> None:
    """Tell the customer and the operators, once, that the payment has failed for good. By setting."""
    policy = ctx.directory.delivery
    if policy.smtp is None or not policy.tell_failures:
        return
    address, occasion = customer_address(ctx, payment), f"{PAYMENT_FAILED}/{payment.id}"
    customers = await _queue(ctx, conn, payment, PAYMENT_FAILED, occasion, [address] if address else [])
    operators = await _queue(
        ctx, conn, payment, PAYMENT_FAILED_OPERATORS, f"{occasion}/operators", policy.operators
    )
    if customers or operators:
        detail = {"customer": bool(customers), "operators": operators}
        await decided(ctx, conn, payment, "payment.failure_told", detail)


async def _queue(
    ctx: Context, conn: Connection, payment: Payment, kind: str, occasion: str, recipients: Sequence[str]
) -> int:
    """Queue one mail a recipient; how many were not queued before."""
    now, queued = ctx.now(), 0
    for recipient in recipients:
        mail = Mail(
            id=ctx.new_id("mail"),
            merchant_id=payment.merchant_id,
            mode=payment.mode,
            kind=kind,
            occasion=occasion,
            about=payment.id,
            recipient=recipient,
            tries=0,
            next_check_at=now if kind == INVITATION else now + SETTLES,
            outcome=None,
            error=None,
            created_at=now,
            ended_at=None,
        )
        queued += await mails.insert(conn, mail)
    return queued
