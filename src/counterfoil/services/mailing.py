"""The outbox of mails: what somebody is to be told is queued in the transaction that made it due.

One row a recipient, once an occasion. It is worded and sent by the worker (services/sending.py), so that no link that
lets anybody act is ever stored, and nothing is said that is not true any more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from counterfoil.domain.batch import Batch
from counterfoil.domain.delivery import is_address, number_of
from counterfoil.domain.endpoint import Endpoint
from counterfoil.domain.payment import Payment
from counterfoil.domain.refund import Refund, State
from counterfoil.services.auditing import decided
from counterfoil.services.context import Context
from counterfoil.store import mails
from counterfoil.store.database import Connection
from counterfoil.store.mails import Mail
from counterfoil.store.receipts import Issued

INVITATION: Final = "invitation"
PAYMENT_FAILED: Final = "payment_failed"
PAYMENT_FAILED_OPERATORS: Final = "payment_failed_operators"
DISPUTE_OPERATORS: Final = "dispute_operators"
REFUND_SENT: Final = "refund_sent"
REFUND_PAID: Final = "refund_paid"
REFUND_FAILED: Final = "refund_failed"
REFUND_PENDING_OPERATORS: Final = "refund_pending_operators"
REFUND_REMINDER_OPERATORS: Final = "refund_reminder_operators"
REFUND_BATCH_REMINDER_OPERATORS: Final = "refund_batch_reminder_operators"
REFUND_FAILED_OPERATORS: Final = "refund_failed_operators"
ENDPOINT_DISABLED: Final = "endpoint_disabled"
RECEIPT: Final = "receipt"
SMS: Final = "sms"  # the channel
# What customers are written; operators want to know at any hour.
TO_CUSTOMERS: Final = frozenset(
    {INVITATION, PAYMENT_FAILED, REFUND_SENT, REFUND_PAID, REFUND_FAILED, RECEIPT}
)
# What is about no payment.
OF_NO_PAYMENT: Final = frozenset({ENDPOINT_DISABLED, REFUND_BATCH_REMINDER_OPERATORS})

# A payment that failed as it was opened lives again with a retry of the request, and a refund may be paid out as soon as
# it is sent: nobody is told within that moment. Who waits to pay, or for a receipt, waits no longer than that.
SETTLES: Final = timedelta(seconds=30)
AT_ONCE: Final = frozenset({INVITATION, RECEIPT})


def customer_address(ctx: Context, payment: Payment) -> str | None:
    """Where the customer can be written to; None where there is no such address, or no mail server."""
    address = payment.customer.get("email")
    if ctx.directory.delivery.smtp is None or not isinstance(address, str) or not is_address(address):
        return None
    return address


def customer_number(ctx: Context, payment: Payment) -> str | None:
    """Where the customer can be sent an SMS; None where there is no such number, or no carrier."""
    return number_of(payment.customer.get("phone")) if ctx.directory.delivery.sms is not None else None


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


async def tell_dispute(ctx: Context, conn: Connection, payment: Payment, alarm: str) -> None:
    """Tell the operators that a bank waits for an answer. `alarm` names the dispute first, and is told once."""
    policy = ctx.directory.delivery
    if policy.smtp is not None:
        await _queue(ctx, conn, payment, DISPUTE_OPERATORS, f"dispute/{alarm}", policy.operators)


async def tell_disabled(ctx: Context, conn: Connection, endpoint: Endpoint, at: datetime) -> None:
    """Tell the operators, once for each time, that an endpoint hears nothing more."""
    policy, occasion = ctx.directory.delivery, f"{ENDPOINT_DISABLED}/{endpoint.id}/{at.isoformat()}"
    if policy.smtp is not None:
        await _queue(ctx, conn, endpoint, ENDPOINT_DISABLED, occasion, policy.operators)


async def remind_of_batch(ctx: Context, conn: Connection, batch: Batch) -> None:
    """Remind the operators, once, of refunds that wait for their approval."""
    policy, kind = ctx.directory.delivery, REFUND_BATCH_REMINDER_OPERATORS
    if policy.smtp is not None:
        await _queue(ctx, conn, batch, kind, f"{kind}/{batch.id}", policy.operators)


def dispute_of(mail: Mail) -> str:
    """The dispute that a mail of DISPUTE_OPERATORS is about."""
    return mail.occasion.split("/")[1]


async def tell_refund(
    ctx: Context, conn: Connection, payment: Payment, before: Refund | None, after: Refund
) -> None:
    """Tell the customer and the operators what has become of a refund, once each state. `before` is None for a new one.

    The customer, who did not ask us for it, is told of it from when it is with the gateway.
    """
    policy = ctx.directory.delivery
    if policy.smtp is None:
        return
    address = customer_address(ctx, payment) if policy.tell_refunds else None
    for kind, of in _REFUND_MAILS.items():
        if not of(after) or (before is not None and of(before)):
            continue
        to_operators = kind.endswith("_operators")
        recipients = policy.operators if to_operators else [address] if address else []
        await _queue(ctx, conn, payment, kind, f"refund/{after.id}/{kind}/{after.needed}", recipients)


# When a refund is what a mail tells of. What was never sent is not known to the customer, and needs no telling.
_REFUND_MAILS: Final[Mapping[str, Callable[[Refund], bool]]] = {
    REFUND_SENT: lambda refund: refund.state is State.PROCESSING and refund.gateway_ref is not None,
    REFUND_PAID: lambda refund: refund.state is State.SUCCEEDED,
    REFUND_FAILED: lambda refund: refund.state is State.FAILED and refund.sent_at is not None,
    REFUND_PENDING_OPERATORS: lambda refund: refund.state is State.PENDING_APPROVAL,
    REFUND_REMINDER_OPERATORS: lambda refund: (
        refund.state is State.PENDING_APPROVAL and refund.reminded_at is not None
    ),
    REFUND_FAILED_OPERATORS: lambda refund: refund.state is State.FAILED,
}


def told_now(mail: Mail, refund: Refund) -> bool:
    """Whether the refund still is what the mail tells of."""
    return _REFUND_MAILS[mail.kind](refund)


async def send_receipt(ctx: Context, conn: Connection, payment: Payment, issued: Issued) -> None:
    """Send the customer a receipt that was just issued, once. By setting."""
    policy = ctx.directory.delivery
    address = customer_address(ctx, payment) if policy.receipts_by_email else None
    number = customer_number(ctx, payment) if policy.receipts_by_sms else None
    for channel, recipient in (("email", address), (SMS, number)):
        if recipient is not None:
            mail = receipt_mail(ctx, payment, issued, "issue", recipient, channel=channel)
            await mails.insert(conn, mail)


def receipt_mail(
    ctx: Context,
    payment: Payment,
    issued: Issued,
    delivery: str,
    recipient: str,
    *,
    channel: str = "email",
    asked_by: str | None = None,
) -> Mail:
    """One delivery of a receipt, named `delivery`: each is made once to each recipient."""
    mail = _new(ctx, payment, RECEIPT, f"{RECEIPT}/{issued.id}/{delivery}", recipient)
    return replace(mail, channel=channel, asked_by=asked_by)


def receipt_of(mail: Mail) -> str:
    """The receipt that a mail of RECEIPT brings."""
    return mail.occasion.split("/")[1]


def refund_of(mail: Mail) -> str:
    """The refund that a mail of tell_refund is about."""
    return mail.occasion.split("/")[1]


async def _queue(
    ctx: Context,
    conn: Connection,
    about: Payment | Endpoint | Batch,
    kind: str,
    occasion: str,
    recipients: Sequence[str],
) -> int:
    """Queue one mail a recipient; how many were not queued before."""
    return sum(
        [await mails.insert(conn, _new(ctx, about, kind, occasion, recipient)) for recipient in recipients]
    )


def _new(ctx: Context, about: Payment | Endpoint | Batch, kind: str, occasion: str, recipient: str) -> Mail:
    now = ctx.now()
    return Mail(
        id=ctx.new_id("mail"),
        merchant_id=about.merchant_id,
        mode=about.mode,
        kind=kind,
        occasion=occasion,
        about=about.id,
        recipient=recipient,
        tries=0,
        next_check_at=now if kind in AT_ONCE else now + SETTLES,
        outcome=None,
        error=None,
        created_at=now,
        ended_at=None,
    )
