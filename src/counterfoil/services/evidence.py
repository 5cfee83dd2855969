"""What our own records say for a disputed charge: a draft that a person reads, mends and adds to before it is sent.

The customer's name and address stand where the bank compares them, and are masked elsewhere. Of cards
no more is ever told than their last four digits.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from counterfoil.domain.charge import Charge
from counterfoil.domain.dispute import SUMMARY_CHARS, TEXT_CHARS, Dispute
from counterfoil.domain.fact import Kind
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Payment
from counterfoil.domain.refund import State
from counterfoil.gateways.base import Evidence
from counterfoil.services.context import Context
from counterfoil.store import mails, timeline
from counterfoil.store.database import Connection
from counterfoil.store.mails import Mail
from counterfoil.store.payments import Family
from counterfoil.store.timeline import Moment

# What the bank may read of our timeline: what happened, not what we noted about it.
TOLD: Final = {
    "decision": "our service",
    "fact": "the payment processor",
    "mail": "mail",
}
REFUNDED: Final = frozenset({State.PROCESSING, State.SUCCEEDED, State.FAILED})


async def collect(ctx: Context, conn: Connection, family: Family, dispute: Dispute) -> dict[str, Any]:
    """The draft as the records have it now: `summary`, `texts` by our names for them, and `amount`, null for all."""
    charge = next(charge for charge in family.charges if charge.id == dispute.charge_id)
    sent = [
        mail for mail in await mails.of_payment(conn, family.payment.id) if _to_customer(family.payment, mail)
    ]
    customer = family.payment.customer
    texts = {
        "customer_name": str(customer.get("name") or ""),
        "customer_email": str(customer.get("email") or ""),
        "receipt": _receipt(ctx, family.payment, charge),
        "product_description": _product(family.payment),
        "refund_history": _refunds(family, charge),
        "delivery_log": _mails(sent),
        "access_log": _access(family, charge),
        "timeline": _timeline(await timeline.of_payment(conn, family.payment.id)),
    }
    return {
        "summary": _summary(ctx, family, charge, dispute)[:SUMMARY_CHARS],
        "texts": {name: text for name, text in texts.items() if text},
        "amount": None,
    }


def made_of(draft: Mapping[str, Any], papers: Mapping[str, bytes]) -> Evidence:
    """The draft as a gateway is given it, with its texts on paper where the gateway takes those."""
    return Evidence(
        summary=draft["summary"], texts=dict(draft["texts"]), papers=papers, amount=draft["amount"]
    )


def masked(address: str) -> str:
    """An e-mail address that who knows it knows again: an***@example.com."""
    name, at, host = address.partition("@")
    return f"{name[:2]}***{at}{host}"


def _summary(ctx: Context, family: Family, charge: Charge, dispute: Dispute) -> str:
    payment, back = family.payment, charge.refunded_seen
    sold = payment.description or ", ".join(str(item["name"]) for item in payment.line_items)
    whole = Money(charge.captured, charge.currency)
    told = f"The dispute {dispute.ref} is about {Money(dispute.amount, dispute.currency)}"
    parts = [
        f"{whole} was paid to {ctx.merchant_name} on {_day(charge.made_at)} with {_method(charge)}.",
        f"Our payment {payment.id}, charge {charge.ref}.",
        f"It was paid for: {sold}." if sold else "",
        f"{Money(back, charge.currency)} of it has been given back."
        if back
        else "Nothing of it was given back.",
        f"{told}; its reason: {dispute.reason}." if dispute.reason else f"{told}.",
    ]
    return " ".join(part for part in parts if part)


def _receipt(ctx: Context, payment: Payment, charge: Charge) -> str:
    """What was bought, by whom, and how it was paid."""
    customer = payment.customer
    named = {
        "Paid to": ctx.merchant_name,
        "Payment": payment.id,
        "Reference": payment.reference,
        "Charge": charge.ref,
        "Date": _moment(charge.made_at),
        "Amount": str(Money(charge.captured, charge.currency)),
        "Paid with": _method(charge),
        "Customer": customer.get("name"),
        "Customer e-mail": customer.get("email"),
        "Customer country": customer.get("country"),
        "Description": payment.description,
    }
    lines = [f"{name}: {value}" for name, value in named.items() if value]
    return _text([*lines, *_items(payment)])


def _items(payment: Payment) -> Iterator[str]:
    for item in payment.line_items:
        quantity, price = int(item.get("quantity", 1)), Money(int(item["amount"]), payment.currency)
        yield f"Item: {item['name']}, {quantity} at {price}"


def _product(payment: Payment) -> str:
    return _text([*([payment.description] if payment.description else []), *_items(payment)])


def _refunds(family: Family, charge: Charge) -> str:
    """What was given back of the charge, and what came of it."""
    mine = [one for one in family.refunds if one.charge_id == charge.id and one.state in REFUNDED]
    lines = [
        f"{_moment(one.sent_at or one.requested_at)}: {one.money}, {one.reason}, {one.state.value}"
        + (f", bank reference {one.arn}" if one.arn else "")
        for one in mine
    ]
    return _text(lines or ["No refund was made of this charge."])


def _to_customer(payment: Payment, mail: Mail) -> bool:
    return mail.recipient == payment.customer.get("email")


def _mails(sent: Iterable[Mail]) -> str:
    """What the customer was written, and whether it arrived at their mail server."""
    return _text(
        f"{_moment(mail.ended_at or mail.created_at)}: {mail.kind.replace('_', ' ')} to {masked(mail.recipient)}:"
        f" {mail.outcome or 'on its way'}"
        for mail in sent
    )


def _access(family: Family, charge: Charge) -> str:
    """When the customer was shown the checkout, and what their bank asked of them."""
    attempt = family.attempt(charge.attempt_id)
    lines = []
    if attempt.disclosed_at is not None:
        lines.append(f"{_moment(attempt.disclosed_at)}: the checkout was opened for the customer")
    said = {Kind.ATTEMPT_ACTION: "the customer was asked by their bank to confirm the payment"}
    lines += [
        f"{_moment(fact.said_at)}: {said[fact.kind]}"
        for fact in family.facts
        if fact.attempt_id == attempt.id and fact.kind in said
    ]
    return _text([*lines, f"{_moment(charge.made_at)}: the payment was made with {_method(charge)}"])


def _timeline(moments: Sequence[Moment]) -> str:
    return _text(f"{_moment(one.at)}: {TOLD[one.kind]}: {one.what}" for one in moments if one.kind in TOLD)


def _method(charge: Charge) -> str:
    shown = [charge.detail.get(name) for name in ("brand", "method", "bank", "wallet")]
    last4 = charge.detail.get("last4")
    named = (
        " ".join(dict.fromkeys(str(value) for value in shown if value))
        or "a method the gateway does not name"
    )
    return f"{named}, ending in {last4}" if last4 else named


def _text(lines: Iterable[str]) -> str:
    """The lines as one text; of more than fits, the newest."""
    whole = "\n".join(lines)
    return whole if len(whole) <= TEXT_CHARS else whole[-TEXT_CHARS:].partition("\n")[2]


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
