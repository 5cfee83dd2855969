"""Mails go out: what waits in the outbox is worded as things stand now, and brought to the merchant's mail server.

A mail is counted as tried and pushed on before it is brought, so that one whose process dies comes back after its lease.
It comes twice only where the server took it and its answer, or our commit of it, was lost: under one Message-ID. SMS
have no such id: one that may have gone out is not sent again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from counterfoil.documents import mails as documents
from counterfoil.documents import receipt_mails, receipt_texts
from counterfoil.documents.mails import Attached, Words
from counterfoil.domain.batch import State as BatchState
from counterfoil.domain.delivery import PASSWORD_PLACE, SMS_PLACE, Came, Fate, Text
from counterfoil.domain.errors import ConfigurationError
from counterfoil.domain.failure import BY_SLUG, FailureCode
from counterfoil.domain.money import Money
from counterfoil.domain.payment import PAYABLE, Payment, Status
from counterfoil.domain.receipt import Receipt
from counterfoil.domain.refund import Method, Refund
from counterfoil.domain.refund import State as RefundState
from counterfoil.postman import TOTAL_S, Server
from counterfoil.services import deadlines, delivering, mailing, receipts, templates, views
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person, call_a_person_about_account
from counterfoil.store import batches, endpoints, mails, payments, refunds
from counterfoil.store import receipts as stored_receipts
from counterfoil.store.mails import Mail
from counterfoil.store.payments import Family

# Brought at once by one process: mail servers count connections, and mostly allow ten and more.
AT_ONCE: Final = 5
LEASE: Final = timedelta(seconds=4 * TOTAL_S)  # past any bringing that still runs
# How long after each try the next one follows. Greylisting servers want a quarter of an hour; servers that are down are
# mended within the day; after three days a sender is told that a mail cannot be delivered (RFC 5321, 4.5.4.1: 4 to 5).
PAUSES: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=12),
    timedelta(hours=24),
    timedelta(hours=24),
)
KEPT: Final = timedelta(days=90)  # what was sent, for whoever asks whether it was

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Said:
    """What a mail is to say: its words, and the link and the file that go with them, where there are such.

    `page` is the merchant's own HTML of it; None where ours stands there.
    """

    words: Words
    link: str | None = None
    attached: Attached | None = None
    page: str | None = None


async def due_mails(ctx: Context) -> bool:
    """Bring what is due. True where there may be more."""
    async with ctx.db.reading() as conn:
        if not await mails.any_due(conn, ctx.now()):
            return False
    async with ctx.db.transaction() as conn:
        due = await mails.take_due(conn, now=ctx.now(), until=ctx.now() + LEASE, limit=AT_ONCE)
    ended = await asyncio.gather(*(send(ctx, mail) for mail in due), return_exceptions=True)
    for mail, end in zip(due, ended, strict=True):
        if isinstance(end, BaseException):
            log.warning("mail broke off; it comes again", mail=mail.id, error=type(end).__name__)
    return len(due) == AT_ONCE


async def send(ctx: Context, mail: Mail) -> None:
    """One try of one mail. A customer's waits for the end of the quiet hours, and is worded only then."""
    if mail.channel == mailing.SMS and mail.tries > mail.answers + 1:
        await _fail(ctx, mail, "unknown", Came(Fate.UNKNOWN, "a try broke off, and may have sent it"))
        return
    if until := _quiet_until(ctx, mail):
        async with ctx.db.transaction() as conn:
            await mails.wait(conn, mail.id, until=until)
        return
    said = await WRITERS[mail.kind](ctx, mail)
    if said is None:
        await _end(ctx, mail, "withdrawn", None)
        return
    came = await (_text(ctx, mail, said) if isinstance(said, Text) else _bring(ctx, mail, said))
    if came.fate is Fate.SENT:
        await _end(ctx, mail, "sent", None)
    elif came.fate is Fate.BOUNCED:
        await _fail(ctx, mail, "bounced", came)
    elif came.fate is Fate.UNKNOWN:
        await _fail(ctx, mail, "unknown", came)
    elif came.fate is Fate.REFUSED or mail.tries > len(PAUSES):
        await _fail(ctx, mail, "failed", came)
    else:
        async with ctx.db.transaction() as conn:
            until = ctx.now() + PAUSES[mail.tries - 1]
            await mails.put_off(conn, mail.id, until=until, error=came.error)


def _quiet_until(ctx: Context, mail: Mail) -> datetime | None:
    """When the quiet hours that keep this mail back end; None where nothing does."""
    quiet = ctx.directory.delivery.quiet
    if quiet is None or mail.kind not in mailing.TO_CUSTOMERS:
        return None
    return quiet.ends(ctx.now(), ctx.directory.retrying.zone)


async def _text(ctx: Context, mail: Mail, text: Text) -> Came:
    sms = ctx.directory.delivery.sms
    if sms is None:
        return Came(Fate.LATER, "no SMS carrier is set")
    try:
        secret = ctx.vault.open(sms.secret, SMS_PLACE)
    except ConfigurationError as bad:
        return Came(Fate.LATER, bad.detail)
    return await ctx.texting.send(sms, secret, mail.recipient, text)


async def _bring(ctx: Context, mail: Mail, said: Said) -> Came:
    smtp = ctx.directory.delivery.smtp
    if smtp is None:
        return Came(Fate.LATER, "no mail server is set")
    try:
        message = documents.message(
            said.words,
            id_=mail.id,
            sender=smtp.sender,
            sender_name=ctx.merchant_name,
            recipient=mail.recipient,
            link=said.link,
            at=ctx.now(),
            attached=said.attached,
            page=said.page,
        )
        password = ctx.vault.open(smtp.password, PASSWORD_PLACE) if smtp.password else None
    except ValueError as bad:
        return Came(Fate.REFUSED, f"no mail can be made of it: {bad}")
    except ConfigurationError as bad:
        return Came(Fate.LATER, bad.detail)
    server = Server(
        host=smtp.host, port=smtp.port, security=smtp.security, username=smtp.username, password=password
    )
    return await ctx.postman.bring(server, message, sender=smtp.sender, recipient=mail.recipient)


async def _end(ctx: Context, mail: Mail, outcome: str, error: str | None) -> None:
    async with ctx.db.transaction() as conn:
        await mails.end(conn, mail.id, outcome=outcome, error=error, now=ctx.now())


async def _fail(ctx: Context, mail: Mail, outcome: str, came: Came) -> None:
    """It will not arrive: a person is told, who may reach the recipient in another way."""
    async with ctx.db.transaction() as conn:
        of_payment = mail.kind not in mailing.OF_NO_PAYMENT
        payment = (await payments.lock(conn, mail.about)).payment if of_payment else None
        await mails.end(conn, mail.id, outcome=outcome, error=came.error, now=ctx.now())
        said: dict[str, Any] = {
            "kind": "mail_failed",
            "subject": mail.id,
            "sentence": _sentence(mail, came),
        }
        if payment is not None:
            await call_a_person(ctx, conn, payment, **said)
        else:
            owner: dict[str, Any] = {"merchant_id": mail.merchant_id, "mode": mail.mode}
            await call_a_person_about_account(ctx, conn, **owner, **said)


def _sentence(mail: Mail, came: Came) -> str:
    what = "SMS" if mail.channel == mailing.SMS else "mail"
    could = "may not have been" if came.fate is Fate.UNKNOWN else "could not be"
    return f"The {what} {mail.kind} of {mail.about} {could} delivered: {came.error}."


def _say(ctx: Context, mode: str, kind: str, facts: Mapping[str, str], link: str | None = None) -> Said:
    """A mail of this kind, in the language of the business."""
    words = documents.words(kind, ctx.directory.delivery.language, facts, sandbox=mode == "sandbox")
    return Said(words, link)


async def _family(ctx: Context, mail: Mail) -> Family:
    async with ctx.db.reading() as conn:
        return await payments.get(conn, mail.about)


async def _invitation(ctx: Context, mail: Mail) -> Said | None:
    """None where there is nothing left to pay."""
    family = await _family(ctx, mail)
    return _payable(ctx, family, mailing.INVITATION)


async def _payment_failed(ctx: Context, mail: Mail) -> Said | None:
    """None where it has not failed after all."""
    family = await _family(ctx, mail)
    if not _has_failed(family):
        return None
    if payable := _payable(ctx, family, "payment_failed_payable"):
        return payable
    return _say(ctx, mail.mode, mailing.PAYMENT_FAILED, _facts(ctx, family))


async def _payment_failed_operators(ctx: Context, mail: Mail) -> Said | None:
    family = await _family(ctx, mail)
    if not _has_failed(family):
        return None
    return _say(ctx, mail.mode, mailing.PAYMENT_FAILED_OPERATORS, _facts_of_operators(ctx, family))


async def _dispute_operators(ctx: Context, mail: Mail) -> Said | None:
    """None where the bank has its answer by now."""
    family = await _family(ctx, mail)
    dispute = family.dispute(mailing.dispute_of(mail))
    if not dispute.waits_for_us:
        return None
    facts = {
        "payment": family.payment.id,
        "dispute": dispute.id,
        "amount": str(Money(dispute.amount, dispute.currency)),
        "gateway": dispute.gateway,
        "reason": dispute.reason or "not told",
        "until": f"{dispute.respond_by:%d %B %Y, %H:%M} UTC" if dispute.respond_by else "not told",
        "said": deadlines.say(dispute, ctx.now()),
    }
    return _say(ctx, mail.mode, mailing.DISPUTE_OPERATORS, facts)


async def _endpoint_disabled(ctx: Context, mail: Mail) -> Said | None:
    """None where it was enabled again, or ended, by now."""
    async with ctx.db.reading() as conn:
        try:
            endpoint = await endpoints.get(conn, mail.about, mail.merchant_id, mail.mode)
        except LookupError:
            return None
    if endpoint.disabled_at is None:
        return None
    since = endpoint.failing_since or endpoint.disabled_at
    facts = {
        "endpoint": endpoint.id,
        "host": urlsplit(endpoint.url).netloc,
        "because": endpoint.disabled_because or "",
        "since": since.astimezone(UTC).isoformat(timespec="seconds"),
        "days": str(delivering.KEPT.days),
    }
    return _say(ctx, mail.mode, mailing.ENDPOINT_DISABLED, facts)


async def _refund(ctx: Context, mail: Mail) -> Said | None:
    """To the customer: how the refund stands, and of a failure only that there is one. None where it has moved on."""
    family = await _family(ctx, mail)
    refund = family.refund(mailing.refund_of(mail))
    if not mailing.told_now(mail, refund) or _taken_up(family, refund):
        return None
    facts = {"business": ctx.merchant_name, "amount": str(refund.money), "paid": str(family.payment.money)}
    kind, reference = mail.kind, refund.evidence or refund.arn
    if kind == mailing.REFUND_PAID and reference:
        facts["reference"] = reference
        kind = "refund_paid_otherwise" if refund.method is Method.MANUAL else "refund_paid_reference"
    return _say(ctx, mail.mode, kind, facts)


def _taken_up(family: Family, refund: Refund) -> bool:
    """Whether another refund that takes its place is on its way or has come: that one is told of."""
    return any(
        one.retry_of == refund.id and one.state in {RefundState.PROCESSING, RefundState.SUCCEEDED}
        for one in family.refunds
    )


async def _refund_operators(ctx: Context, mail: Mail) -> Said | None:
    family = await _family(ctx, mail)
    refund, payment = family.refund(mailing.refund_of(mail)), family.payment
    if not mailing.told_now(mail, refund):
        return None
    async with ctx.db.reading() as conn:
        given = (await refunds.approvals(conn, [refund.id]))[refund.id]
    facts = {
        "refund": refund.id,
        "amount": str(refund.money),
        "payment": payment.id,
        "paid": str(payment.money),
        "reference": payment.reference or "none",
        "customer": _customer(payment),
        "reason": refund.reason,
        "note": refund.note or "none",
        "rule": refund.rule,
        "requester": refund.requested_by,
        "needs": _needs(refund.needed - len(given)),
        "until": _until(ctx, refund.expires_at),
        "gateway": ctx.directory.account(refund.account_id).gateway,
        "said": refund.why.rstrip("."),
    }
    return _say(ctx, mail.mode, mail.kind, facts)


async def _refund_batch_operators(ctx: Context, mail: Mail) -> Said | None:
    """None where it waits for nobody any more."""
    async with ctx.db.reading() as conn:
        batch = await batches.get(conn, mail.about, mail.merchant_id, mail.mode)
        given = await batches.approvals(conn, batch.id)
    if batch.state is not BatchState.PENDING_APPROVAL:
        return None
    facts = {
        "batch": batch.id,
        "name": batch.name,
        "rows": str(batch.rows),
        "amount": batch.total,
        "requester": batch.requested_by,
        "needs": _needs(batch.needed - len(given)),
        "until": _until(ctx, batch.expires_at),
    }
    return _say(ctx, mail.mode, mail.kind, facts)


def _needs(more: int) -> str:
    return "Two people have" if more > 1 else "One person has"


def _until(ctx: Context, at: datetime | None) -> str:
    """A time as the business's people read it."""
    until = at.astimezone(ctx.directory.retrying.zone) if at else None
    return f"{until:%d %B %Y, %H:%M} ({until.tzname()})" if until else "not told"


async def _receipt(ctx: Context, mail: Mail) -> Said | Text | None:
    """With the PDF, as it is now, in the merchant's own look; by SMS its link alone. None where it is void by now."""
    async with ctx.db.reading() as conn:
        issued = await stored_receipts.get(conn, mailing.receipt_of(mail))
        family = await payments.get(conn, mail.about)
    if issued.voided_at is not None:
        return None
    receipt = receipts.shown(ctx, issued, family)
    if mail.channel == mailing.SMS:
        return receipt_texts.text(receipt, receipt.verify_url or "")
    attached = await _drawn(ctx, family.payment, receipt)
    words = receipt_mails.words(receipt, attached=attached is not None)
    page = await _page(ctx, family.payment, receipt, attached=attached is not None)
    return Said(words, receipt.verify_url, attached, page)


async def _drawn(ctx: Context, payment: Payment, receipt: Receipt) -> Attached | None:
    """The receipt as a PDF; None where it cannot be drawn: the mail has its link, and a person is told."""
    try:
        return Attached(f"{receipt.number}.pdf", await receipts.render(ctx, receipt, "pdf"))
    except Exception as cannot:  # noqa: BLE001  whatever it is: the customer gets the link
        await _undrawn(ctx, payment, receipt, "its PDF, which", cannot)
        return None


async def _page(ctx: Context, payment: Payment, receipt: Receipt, *, attached: bool) -> str | None:
    """The mail in the merchant's own look; None where it is ours that says it."""
    try:
        own = await templates.rendered(ctx, receipt, "mail", attached=attached)
    except Exception as cannot:  # noqa: BLE001  whatever it is: the customer gets our words
        await _undrawn(ctx, payment, receipt, "the merchant's own look, in which it", cannot)
        return None
    return own.decode() if own else None


async def _undrawn(ctx: Context, payment: Payment, receipt: Receipt, without: str, cannot: Exception) -> None:
    """A person is told of what a customer did not get."""
    log.warning("no receipt was drawn", receipt=receipt.id, error=type(cannot).__name__)
    reason = str(cannot).rstrip(".")
    sentence = f"The receipt {receipt.number} was sent without {without} could not be drawn: {reason}."
    async with ctx.db.transaction() as conn:
        await call_a_person(
            ctx, conn, payment, kind="receipt_not_drawn", subject=receipt.id, sentence=sentence
        )


WRITERS: Final[Mapping[str, Callable[[Context, Mail], Awaitable[Said | Text | None]]]] = {
    mailing.INVITATION: _invitation,
    mailing.PAYMENT_FAILED: _payment_failed,
    mailing.PAYMENT_FAILED_OPERATORS: _payment_failed_operators,
    mailing.DISPUTE_OPERATORS: _dispute_operators,
    mailing.REFUND_SENT: _refund,
    mailing.REFUND_PAID: _refund,
    mailing.REFUND_FAILED: _refund,
    mailing.REFUND_PENDING_OPERATORS: _refund_operators,
    mailing.REFUND_REMINDER_OPERATORS: _refund_operators,
    mailing.REFUND_FAILED_OPERATORS: _refund_operators,
    mailing.REFUND_BATCH_REMINDER_OPERATORS: _refund_batch_operators,
    mailing.ENDPOINT_DISABLED: _endpoint_disabled,
    mailing.RECEIPT: _receipt,
}


def _has_failed(family: Family) -> bool:
    payment = family.payment
    given_up = payment.given_up_at is not None and payment.status in PAYABLE
    return given_up or payment.status is Status.FAILED


def _payable(ctx: Context, family: Family, kind: str) -> Said | None:
    payment = family.payment
    checkout = views.checkout(ctx, family)
    if checkout is None or payment.cancel_requested_at is not None or ctx.now() >= payment.expires_at:
        return None
    return _say(ctx, payment.mode, kind, _facts(ctx, family), checkout["url"])


def _facts(ctx: Context, family: Family) -> dict[str, str]:
    """What a customer may be told: no more of the failure than domain/failure.py allows."""
    until = min(family.payment.expires_at, ctx.now() + views.LINK).astimezone(ctx.directory.retrying.zone)
    return {
        "business": ctx.merchant_name,
        "amount": str(family.payment.money),
        "because": _code(family).tell_customer,
        "until": f"{until:%d %B %Y, %H:%M} ({until.tzname()})",
    }


def _facts_of_operators(ctx: Context, family: Family) -> dict[str, str]:
    payment, tried = family.payment, [attempt for attempt in family.attempts if attempt.failure]
    last = tried[-1] if tried else None
    return {
        "payment": payment.id,
        "amount": str(payment.money),
        "reference": payment.reference or "none",
        "attempts": str(len(family.attempts)),
        "code": _code(family).slug,
        "gateway": last.gateway if last else "none",
        "said": str((last.failure or {}).get("message") or "nothing") if last else "nothing",
        "customer": _customer(payment),
        "business": ctx.merchant_name,
    }


def _customer(payment: Payment) -> str:
    return str(payment.customer.get("email") or payment.customer.get("id") or "not known")


def _code(family: Family) -> FailureCode:
    """Why the last try failed."""
    failures = [attempt.failure for attempt in family.attempts if attempt.failure]
    return BY_SLUG.get(str(failures[-1].get("code")), FailureCode.OTHER) if failures else FailureCode.OTHER


async def prune(ctx: Context) -> None:
    """Forget mails that have had their time."""
    async with ctx.db.transaction() as conn:
        await mails.prune(conn, ctx.now() - KEPT)
