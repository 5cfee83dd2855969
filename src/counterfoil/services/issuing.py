"""A receipt is issued in the transaction that makes it due: on capture, and when a refund has arrived.

It is numbered last, after all else that the transaction has to do, so that whoever waits for the next number waits for
one commit and no more.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import structlog

from counterfoil.domain import receipt as domain
from counterfoil.domain.charge import Charge
from counterfoil.domain.errors import ConfigurationError, DatabaseAwayError, NotFoundError, WrongStateError
from counterfoil.domain.event import Event
from counterfoil.domain.payment import Payment, winner_charge
from counterfoil.domain.receipt import Kind, Line, Party, Receipt
from counterfoil.domain.refund import Method, Refund, State
from counterfoil.services import mailing, publishing, templates
from counterfoil.services.auditing import SERVICE, decided
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person
from counterfoil.store import events, receipts
from counterfoil.store.database import Connection, savepoint
from counterfoil.store.payments import Family
from counterfoil.store.receipts import Issued

# The series of each kind, where the settings name none.
PREFIXES: Final[Mapping[Kind, str]] = {Kind.PAYMENT: "R", Kind.REFUND: "RF", Kind.INVOICE: "INV"}
RUPEE: Final = "INR"

log = structlog.get_logger()


async def on_capture(ctx: Context, conn: Connection, family: Family) -> None:
    """The payment was captured: its receipt is due."""
    charge = winner_charge(family.payment.winner_attempt_id, family.charges)
    if charge is not None:
        await _due(ctx, conn, family, family.payment.id, lambda: _issue(ctx, conn, family, charge, send=True))


async def on_refund(ctx: Context, conn: Connection, family: Family, before: State, refund: Refund) -> None:
    """The refund has another state: its receipt is due once it has arrived, and void if it comes back."""
    if refund.state is before:
        return
    if refund.state is State.SUCCEEDED:
        issue = partial(for_refund, ctx, conn, family, refund.id, send=True)
        await _due(ctx, conn, family, refund.id, issue)
    elif before is State.SUCCEEDED:
        await void_refund(ctx, conn, family, refund)


async def _due(
    ctx: Context,
    conn: Connection,
    family: Family,
    subject: str,
    issue: Callable[[], Awaitable[object]],
) -> None:
    """Issue it; where that cannot be, a person is told, no number is taken, and the money is counted all the same."""
    try:
        async with savepoint(conn):
            await issue()
    except receipts.IssuedBeforeError:
        return  # somebody has asked for it; what was queued for another is undone
    except DatabaseAwayError:
        raise
    except Exception as cannot:  # noqa: BLE001  whatever it is: the money was taken, and is counted
        log.warning("no receipt was issued", subject=subject, error=type(cannot).__name__)
        sentence = f"No receipt could be issued for {subject}: {str(cannot).rstrip('.')}."
        await call_a_person(
            ctx, conn, family.payment, kind="receipt_failed", subject=subject, sentence=sentence
        )


async def for_payment(ctx: Context, conn: Connection, family: Family) -> Issued | None:
    """The receipt of a captured payment: issued now, where there is none. None where nothing was captured."""
    charge = winner_charge(family.payment.winner_attempt_id, family.charges)
    if charge is None:
        return None
    standing = await _standing(conn, family.payment.id)
    return _of(standing, None) or await _issue(ctx, conn, family, charge)


async def for_refund(
    ctx: Context, conn: Connection, family: Family, refund_id: str, *, send: bool = False
) -> Issued:
    """The receipt of a refund that has arrived: issued now, where there is none, and sent where that is wanted.

    Raises NotFoundError where the payment has no such refund, WrongStateError where it has not arrived.
    """
    refund = next((one for one in family.refunds if one.id == refund_id), None)
    if refund is None:
        raise NotFoundError("refund", refund_id)
    if refund.state is not State.SUCCEEDED:
        raise WrongStateError(
            command="give a receipt for it", state=refund.state.value, because="nothing has been paid back"
        )
    charge = next(charge for charge in family.charges if charge.id == refund.charge_id)
    standing = await _standing(conn, family.payment.id)
    there = _of(standing, refund.id)
    return there or await _issue(ctx, conn, family, charge, refund, standing, send=send)


async def void_refund(ctx: Context, conn: Connection, family: Family, refund: Refund) -> None:
    """The refund came back after all: its receipt is void, and keeps its number."""
    there = _of(await _standing(conn, family.payment.id), refund.id)
    if there is not None:
        await void(ctx, conn, family.payment, there, "the refund has failed after all")


async def void(
    ctx: Context, conn: Connection, payment: Payment, issued: Issued, reason: str, actor: str = SERVICE
) -> bool:
    """Void a receipt. False where it was voided before."""
    done = await receipts.void(conn, issued.id, reason=reason, now=ctx.now())
    if done:
        detail = {"receipt": issued.id, "number": issued.number, "because": reason}
        await decided(ctx, conn, payment, "receipt.void", detail, actor=actor)
        voided = replace(issued, voided_at=ctx.now(), void_reason=reason)
        if event := _event(ctx, voided, "receipt.voided"):
            await events.insert(conn, event)
    return done


def _event(ctx: Context, issued: Issued, type_: str) -> Event | None:
    """What tells the merchant's backend, so that the app can show it. By setting."""
    told = ctx.directory.delivery.receipts_in_app
    return publishing.of_receipt(ctx, issued, type_) if told else None


async def _standing(conn: Connection, payment_id: str) -> list[Issued]:
    """The receipts of the payment and of its refunds that are not void."""
    return [one for one in await receipts.of_payment(conn, payment_id) if one.voided_at is None]


def _of(standing: Sequence[Issued], refund_id: str | None) -> Issued | None:
    """The one of the payment itself, or of one refund of it."""
    return next((one for one in standing if one.refund_id == refund_id), None)


async def _issue(
    ctx: Context,
    conn: Connection,
    family: Family,
    charge: Charge,
    refund: Refund | None = None,
    standing: Sequence[Issued] = (),
    *,
    send: bool = False,
) -> Issued:
    """Issue it, and queue its delivery where that is wanted. Raises IssuedBeforeError where there is one already."""
    payment, document = family.payment, ctx.directory.document
    kind = _kind(document, payment, refund)
    draft = compose(ctx, family, charge, refund, kind, standing)
    draft = replace(
        draft,
        template=await templates.chosen(ctx, conn, payment.merchant_id, draft, payment.metadata),
        advanced=document["receiptGeneration"]["advancedFormatting"],
        verify_at=ctx.public_url,
    )
    due = _due_in(document, payment, refund, draft)
    if send:
        await mailing.send_receipt(ctx, conn, payment, due)
    try:
        return await receipts.issue(
            conn,
            due,
            head=domain.series(due.prefix, due.year),
            digits=domain.DIGITS,
            event=_event(ctx, due, "receipt.issued"),
            actor=SERVICE,
        )
    except receipts.NumberTooLongError:
        raise ConfigurationError(
            f"The next receipt number of {due.prefix} is longer than {domain.NUMBER_CHARS} characters:"
            " choose a shorter prefix."
        ) from None


def _due_in(document: Mapping[str, Any], payment: Payment, refund: Refund | None, draft: Receipt) -> Issued:
    """The receipt that is to have the next number of its series and financial year. Raises ConfigurationError."""
    prefix = document["receiptGeneration"].get("series", {}).get(draft.kind.value) or PREFIXES[draft.kind]
    if not domain.PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f"{prefix} is no prefix of a number series: one to four capital letters or digits."
        )
    today = draft.issued_at.astimezone(ZoneInfo(document["business"]["timeZone"])).date()
    return Issued(
        id=draft.id,
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        payment_id=payment.id,
        refund_id=refund.id if refund else None,
        kind=draft.kind.value,
        prefix=prefix,
        year=domain.financial_year(today, document["business"]["financialYearStart"]),
        sequence=0,
        number="",
        document=msgspec.to_builtins(draft),
        issued_at=draft.issued_at,
        voided_at=None,
        void_reason=None,
    )


def _kind(document: Mapping[str, Any], payment: Payment, refund: Refund | None) -> Kind:
    if refund is not None:
        return Kind.REFUND
    business = document["business"]
    gst = document["receiptGeneration"].get("gstInvoices", False) and payment.currency == RUPEE
    return (
        Kind.INVOICE
        if gst and business.get("taxId") and business.get("country") == domain.INDIA
        else Kind.PAYMENT
    )


def compose(
    ctx: Context,
    family: Family,
    charge: Charge,
    refund: Refund | None,
    kind: Kind,
    standing: Sequence[Issued],
) -> Receipt:
    """What the receipt says, but for its number. Its sums agree, or ValueError is raised.

    `standing` are the receipts of the payment and its refunds before it: a refund gives back what is left of what they say.
    """
    payment, document = family.payment, ctx.directory.document
    seller, buyer = seller_of(document), buyer_of(payment.customer)
    title = payment.description or payment.reference or "Payment"
    lines = domain.lines(payment.line_items, charge.captured, title, domain.rates_for(seller, buyer))
    if refund is not None:
        whole = _sold(family, charge, standing) or lines
        gone = _gone_back(family, charge, standing)
        lines = domain.part_of(whole, refund.amount, f"Refund: {title}", gone)
    method, word = _method(charge, refund)
    made = Receipt(
        id=ctx.new_id("receipt"),
        kind=kind,
        number="",
        issued_at=ctx.now(),
        zone=document["business"]["timeZone"],
        locale=str(payment.customer.get("locale") or document["business"]["locale"]),
        seller=seller,
        buyer=buyer,
        currency=charge.currency,
        lines=lines,
        taxes=domain.totals(lines),
        total=sum(line.amount for line in lines),
        paid_at=(refund.ended_at or ctx.now()) if refund else charge.made_at,
        method=method,
        method_word=word,
        fees=_fee(document, charge) if refund is None else None,
        references=_references(family, charge, refund),
        notes=_notes(document),
        place_of_supply=domain.place_of_supply(seller, buyer) if kind is Kind.INVOICE else None,
        reverse_charge=kind is Kind.INVOICE and document["receiptGeneration"].get("reverseCharge", False),
        sandbox=payment.mode == "sandbox",
    )
    domain.check(made)
    return made


def _sold(family: Family, charge: Charge, standing: Sequence[Issued]) -> tuple[Line, ...]:
    """The lines of the payment's receipt, where the charge is what it is of: they stay when the settings change."""
    own, paying = _of(standing, None), winner_charge(family.payment.winner_attempt_id, family.charges)
    return _lines(own) if own and paying and paying.id == charge.id else ()


def _gone_back(family: Family, charge: Charge, standing: Sequence[Issued]) -> list[Line]:
    """The lines of the receipts of the charge's refunds."""
    mine = {refund.id for refund in family.refunds if refund.charge_id == charge.id}
    return [line for one in standing if one.refund_id in mine for line in _lines(one)]


def _lines(issued: Issued) -> tuple[Line, ...]:
    return msgspec.convert(issued.document["lines"], tuple[Line, ...])


def _method(charge: Charge, refund: Refund | None) -> tuple[str, str | None]:
    """How the money moved, and the word for it where it is ours."""
    by_hand = refund is not None and refund.method is Method.MANUAL
    return domain.BY_HAND if by_hand else (domain.method_of(charge.detail), None)


def seller_of(document: Mapping[str, Any]) -> Party:
    """The business, as the settings describe it."""
    business = document["business"]
    return Party(
        name=business["name"],
        address=tuple(business.get("address", ())),
        country=business.get("country"),
        state=business.get("state"),
        tax_id=business.get("taxId"),
        email=business.get("email"),
        phone=business.get("phone"),
    )


def buyer_of(customer: Mapping[str, Any]) -> Party:
    return Party(
        name=str(customer.get("name") or customer.get("email") or customer.get("id") or ""),
        address=tuple(customer.get("address") or ()),
        country=customer.get("country"),
        state=customer.get("state"),
        tax_id=customer.get("tax_id"),
        email=customer.get("email"),
        phone=customer.get("phone"),
    )


def _fee(document: Mapping[str, Any], charge: Charge) -> int | None:
    """What the gateway kept, where the settings show it and the gateway has told it in the charge's currency."""
    fee = charge.detail.get("fee")
    shown = document["receiptGeneration"].get("showFees", False)
    if not shown or charge.detail.get("fee_currency") not in {None, charge.currency}:
        return None
    return fee if isinstance(fee, int) and not isinstance(fee, bool) else None


def _references(family: Family, charge: Charge, refund: Refund | None) -> dict[str, str]:
    payment = family.payment
    named = {
        "payment": payment.id,
        "reference": payment.reference,
        "gateway": family.attempt(charge.attempt_id).gateway,
        "gateway_reference": charge.ref,
        "refund": refund.id if refund else None,
        "bank_reference": refund.arn if refund else None,
        "evidence": refund.evidence if refund else None,
    }
    return {name: value for name, value in named.items() if value}


def _notes(document: Mapping[str, Any]) -> tuple[str, ...]:
    note = document["receiptGeneration"].get("note")
    return (note,) if note else ()
