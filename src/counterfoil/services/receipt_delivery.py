"""Receipts that are sent because somebody asks: each asking is a delivery of its own, logged with who asked.

Mails go through the outbox (services/sending.py) like those that are sent by themselves. Deliveries are kept as long as
mails are.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from counterfoil.domain.delivery import is_address, number_of
from counterfoil.domain.errors import InvalidRequestError, NotFoundError, WrongStateError
from counterfoil.services import idempotency, issuing, mailing, publishing
from counterfoil.services.auditing import decided
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.idempotency import DoneBeforeError, Hold, Replay
from counterfoil.services.payments import lock
from counterfoil.services.records import instant
from counterfoil.store import mails, receipts
from counterfoil.store.database import Connection
from counterfoil.store.mails import Mail
from counterfoil.store.payments import Family
from counterfoil.store.receipts import Issued

IN_APP: Final = "in_app"
APP: Final = "app"  # whom it is shown to there, where the customer has no id


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """By which channels, and where to if not to the payment's customer.

    The payment's own receipt, or that of a refund of it (`refund_id`), or a particular one (`receipt_id`).
    """

    channels: tuple[str, ...]
    email: str | None = None
    phone: str | None = None
    receipt_id: str | None = None
    refund_id: str | None = None


async def deliver(
    ctx: Context, caller: Caller, payment_id: str, ask: Ask, hold: Hold | None = None
) -> list[dict[str, Any]] | Replay:
    """Send the receipt of the payment or of a refund, issued now where there is none. A retry of the same request sends nothing more.

    Raises WrongStateError where there is no receipt to send or it is void, InvalidRequestError where a channel is not
    set up or the customer cannot be reached by it, or both a receipt and a refund are named.
    """
    if ask.receipt_id is not None and ask.refund_id is not None:
        raise InvalidRequestError("Name a receipt or a refund, not both.", field="refund")
    delivery = ctx.new_id("mail")
    try:
        async with ctx.db.transaction() as conn:
            await idempotency.take(ctx, conn, hold, delivery)
            family = await lock(conn, caller, payment_id)
            issued = await _issued(ctx, conn, family, ask)
            made = [
                await CHANNELS[channel](ctx, conn, _Wish(family, issued, ask, delivery, caller.actor))
                for channel in dict.fromkeys(ask.channels)
            ]
            detail = {"receipt": issued.id, "number": issued.number, "channels": sorted({*ask.channels})}
            await decided(ctx, conn, family.payment, "receipt.deliver", detail, actor=caller.actor)
    except DoneBeforeError as before:
        if isinstance(before.held, Replay):
            return before.held
        made = await _named(ctx, payment_id, before.held.payment_id)
    return [shown(mail) for mail in made]


async def deliveries(ctx: Context, caller: Caller, receipt_id: str) -> list[dict[str, Any]]:
    """All deliveries of a receipt, in the order in which they were asked for."""
    async with ctx.db.reading() as conn:
        try:
            issued = await receipts.get(conn, receipt_id, caller.merchant_id, caller.mode)
        except LookupError:
            raise NotFoundError("receipt", receipt_id) from None
        written = await mails.of_payment(conn, issued.payment_id)
    return [
        shown(mail)
        for mail in written
        if mail.kind == mailing.RECEIPT and mailing.receipt_of(mail) == receipt_id
    ]


def shown(mail: Mail) -> dict[str, Any]:
    """A delivery, as callers see it."""
    return {
        "id": mail.id,
        "object": "receipt_delivery",
        "receipt": mailing.receipt_of(mail),
        "channel": mail.channel,
        "recipient": mail.recipient,
        "outcome": mail.outcome or "waits",
        "tries": mail.tries,
        "error": mail.error,
        "asked_by": mail.asked_by,
        "created_at": instant(mail.created_at),
        "next_try_at": instant(mail.next_check_at),
        "ended_at": instant(mail.ended_at),
    }


@dataclass(frozen=True, slots=True)
class _Wish:
    family: Family
    issued: Issued
    ask: Ask
    delivery: str  # its name
    actor: str

    def mail(self, ctx: Context, channel: str, recipient: str) -> Mail:
        return mailing.receipt_mail(
            ctx,
            self.family.payment,
            self.issued,
            self.delivery,
            recipient,
            channel=channel,
            asked_by=self.actor,
        )


async def _by_email(ctx: Context, conn: Connection, wish: _Wish) -> Mail:
    if ctx.directory.delivery.smtp is None:
        raise InvalidRequestError("No mail can be sent: delivery.smtp is not set.", field="channels")
    if wish.ask.email is not None and not is_address(wish.ask.email):
        raise InvalidRequestError("email must be one plain address.", field="email")
    address = wish.ask.email or mailing.customer_address(ctx, wish.family.payment)
    if address is None:
        raise InvalidRequestError("The customer has no e-mail address: say one in email.", field="email")
    return await _queued(conn, wish.mail(ctx, "email", address))


async def _by_sms(ctx: Context, conn: Connection, wish: _Wish) -> Mail:
    if ctx.directory.delivery.sms is None:
        raise InvalidRequestError("No SMS can be sent: delivery.sms is not set.", field="channels")
    number = number_of(wish.ask.phone or wish.family.payment.customer.get("phone"))
    if number is None:
        raise InvalidRequestError(
            "An SMS needs a number with its country, as +919876543210: say one in phone.", field="phone"
        )
    return await _queued(conn, wish.mail(ctx, mailing.SMS, number))


async def _in_app(ctx: Context, conn: Connection, wish: _Wish) -> Mail:
    """The merchant's backend hears of it, and the delivery is done."""
    await publishing.receipt(ctx, conn, wish.issued, "receipt.requested")
    mail = wish.mail(ctx, IN_APP, str(wish.family.payment.customer.get("id") or APP))
    done = replace(mail, tries=1, answers=1, outcome="sent", next_check_at=None, ended_at=ctx.now())
    return await _queued(conn, done)


async def _queued(conn: Connection, mail: Mail) -> Mail:
    await mails.insert(conn, mail)
    return mail


CHANNELS: Final[Mapping[str, Callable[[Context, Connection, _Wish], Awaitable[Mail]]]] = {
    "email": _by_email,
    mailing.SMS: _by_sms,
    IN_APP: _in_app,
}


async def _issued(ctx: Context, conn: Connection, family: Family, ask: Ask) -> Issued:
    issued: Issued | None
    if ask.refund_id is not None:
        issued = await issuing.for_refund(ctx, conn, family, ask.refund_id)
    elif ask.receipt_id is None:
        issued = await issuing.for_payment(ctx, conn, family)
    else:
        of_payment = await receipts.of_payment(conn, family.payment.id)
        issued = next((one for one in of_payment if one.id == ask.receipt_id), None)
        if issued is None:
            raise NotFoundError("receipt", ask.receipt_id)
    if issued is None:
        raise WrongStateError(
            command="send a receipt of it", state=family.payment.status.value, because="no money was taken"
        )
    if issued.voided_at is not None:
        raise WrongStateError(command="send it", state="void", because=issued.void_reason or "")
    return issued


async def _named(ctx: Context, payment_id: str, delivery: str) -> list[Mail]:
    """What one asking has queued."""
    async with ctx.db.reading() as conn:
        written = await mails.of_payment(conn, payment_id)
    return [mail for mail in written if mail.occasion.endswith(f"/{delivery}")]
