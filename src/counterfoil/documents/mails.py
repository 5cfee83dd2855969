"""Mails: what is said, in every language we have, and the message that says it.

The words are ours; what is put into them is data, kept to one line, and escaped where HTML would read it. A header that
data would break is refused by the message itself (email.policy).
"""

from collections.abc import Mapping
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from typing import Final, NamedTuple

from counterfoil.documents.receipt_words import RIGHT_TO_LEFT

# The customer may hold the card of somebody else: what is told to them is domain/failure.py's tell_customer, no more.


class Words(NamedTuple):
    """What a mail says. {name} stands for a fact; `button` names the link, where the facts have one."""

    subject: str
    paragraphs: tuple[str, ...]
    button: str = ""
    language: str = "en"


class Attached(NamedTuple):
    """A PDF that goes with a mail."""

    name: str
    pdf: bytes


ENGLISH: Final[Mapping[str, Words]] = {
    "invitation": Words(
        "Your payment to {business} is not complete",
        (
            "Your payment of {amount} to {business} could not be taken yet. {because}",
            "You can pay with another card or method until {until}.",
        ),
        "Pay {amount}",
    ),
    "payment_failed": Words(
        "Your payment to {business} has failed",
        (
            "Your payment of {amount} to {business} could not be taken. {because}",
            "Nothing has been charged. If you still want to pay, please get in touch with {business}.",
        ),
    ),
    "payment_failed_payable": Words(
        "Your payment to {business} has failed",
        (
            "Your payment of {amount} to {business} could not be taken. {because}",
            "Nothing has been charged. You can still pay with another card or method until {until}.",
        ),
        "Pay {amount}",
    ),
    "payment_failed_operators": Words(
        "Payment failed: {amount}, {payment}",
        (
            "The payment {payment} of {amount} (your reference: {reference}) has failed.",
            "Attempts: {attempts}. The last failure: {code} at {gateway}; the gateway says: {said}",
            "The customer: {customer}.",
        ),
    ),
    "endpoint_disabled": Words(
        "Your backend hears nothing more: {host}",
        (
            "The endpoint {endpoint} at {host} was disabled: {because}.",
            "What is due to it is kept for {days} days. Once it is mended:",
            "counterfoil endpoints update {endpoint} --enable",
            "counterfoil endpoints replay {endpoint} --since {since}",
        ),
    ),
    "dispute_operators": Words(
        "Dispute of {amount}: answer until {until}",
        (
            "{said}",
            "The payment: {payment}. The reason, as {gateway} tells it: {reason}.",
            "counterfoil disputes evidence {dispute} shows what can be sent.",
        ),
    ),
    "refund_sent": Words(
        "Your refund from {business} is on its way",
        (
            "{business} has sent back {amount} of your payment of {paid}.",
            "It goes to the card or account that you paid with. Banks often need some days to show it.",
        ),
    ),
    "refund_paid": Words(
        "Your refund from {business} has been paid out",
        (
            "{business} has paid back {amount} of your payment of {paid}, to the card or account that you paid with.",
            "Banks often need five to ten working days to show it.",
        ),
    ),
    "refund_paid_reference": Words(
        "Your refund from {business} has been paid out",
        (
            "{business} has paid back {amount} of your payment of {paid}, to the card or account that you paid with.",
            "Banks often need five to ten working days to show it. If you ask yours, the reference is {reference}.",
        ),
    ),
    "refund_paid_otherwise": Words(
        "Your refund from {business} has been paid out",
        (
            "{business} has paid back {amount} of your payment of {paid}, in another way than you paid.",
            "The reference: {reference}",
        ),
    ),
    "refund_failed": Words(
        "Your refund from {business} did not go through",
        (
            "Your refund of {amount} from {business} could not be paid out to the card or account that you paid with.",
            "The money is not lost, and you need not do anything: {business} will be in touch.",
        ),
    ),
    "refund_pending_operators": Words(
        "A refund of {amount} waits for approval",
        (
            "{requester} asks for {amount} of the payment {payment} of {paid} to be given back.",
            "The reason: {reason}. The note: {note}. Your reference: {reference}. The customer: {customer}.",
            "{needs} to agree, other than who asked ({rule}). If nobody does, it ends on {until}.",
            "counterfoil refunds approve {refund} agrees; counterfoil refunds reject {refund} says no, and why.",
        ),
    ),
    "refund_reminder_operators": Words(
        "Still waiting for approval: a refund of {amount}",
        (
            "{requester} asks for {amount} of the payment {payment} of {paid} to be given back. Nobody has decided yet.",
            "The reason: {reason}. The note: {note}. Your reference: {reference}. The customer: {customer}.",
            "{needs} to agree, other than who asked ({rule}). If nobody does, it ends on {until}.",
            "counterfoil refunds approve {refund} agrees; counterfoil refunds reject {refund} says no, and why.",
        ),
    ),
    "refund_batch_reminder_operators": Words(
        "Still waiting for approval: {rows} refunds, {amount} in all",
        (
            "{requester} brought {rows} refunds in the file {name}, {amount} in all. Nobody has decided yet.",
            "{needs} to agree, other than who brought it. If nobody does, it ends on {until}.",
            "counterfoil refunds approve {batch} agrees; counterfoil refunds reject {batch} says no, and why.",
        ),
    ),
    "refund_failed_operators": Words(
        "Refund failed: {amount}, {payment}",
        (
            "The refund {refund} of {amount} has failed at {gateway}: {said}.",
            "The payment: {payment}. Your reference: {reference}. The customer: {customer}.",
            "The amount is refundable again. counterfoil refunds retry {refund} asks once more.",
            "counterfoil refunds manual {refund} records that it was paid back in another way.",
        ),
    ),
}

# A language is added by a table with the same kinds; where one is missing, English is spoken.
LANGUAGES: Final[Mapping[str, Mapping[str, Words]]] = {"en": ENGLISH}
SANDBOX: Final = "[Sandbox] "
FACT_CHARS: Final = 500  # longer ones are a mistake or an attack

_PAGE: Final = """\
<!doctype html>
<html lang="{language}" dir="{direction}"><head><meta charset="utf-8"><title>{subject}</title></head>
<body style="margin:0;padding:24px;font:16px/1.5 sans-serif;color:#1a1a1a;background:#ffffff">
<main style="max-width:36em;margin:0 auto">
{body}
</main></body></html>
"""
_PARAGRAPH: Final = "<p>{}</p>"
_BUTTON: Final = (
    '<p><a href="{}" style="display:inline-block;padding:12px 20px;background:#1a4fa3;color:#ffffff;'
    'text-decoration:none;border-radius:4px">{}</a></p>'
)


def one_line(text: str) -> str:
    """The text as one line of what can be read: no breaks, no control characters, not too long."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:FACT_CHARS]


def words(kind: str, language: str, facts: Mapping[str, str], *, sandbox: bool = False) -> Words:
    """What a mail of this kind says with these facts in it; of no real money, where it is the sandbox's."""
    spoken = language if language in LANGUAGES else "en"
    said = LANGUAGES[spoken].get(kind, ENGLISH[kind])
    clean = {name: one_line(value) for name, value in facts.items()}
    paragraphs = tuple(text.format_map(clean) for text in said.paragraphs)
    subject = f"{SANDBOX if sandbox else ''}{said.subject.format_map(clean)}"
    return Words(subject, paragraphs, said.button.format_map(clean), spoken)


def message(
    said: Words,
    *,
    id_: str,
    sender: str,
    sender_name: str,
    recipient: str,
    link: str | None,
    at: datetime,
    attached: Attached | None = None,
    page: str | None = None,
) -> EmailMessage:
    """The mail, as plain text and as HTML. `id_` is in its Message-ID, so that one that came twice is known for one.

    `page` is HTML of the merchant's own, in place of ours.

    Raises ValueError where an address is none.
    """
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = said.subject
    mail["From"] = Address(display_name=one_line(sender_name), addr_spec=sender)
    mail["To"] = Address(addr_spec=recipient)
    mail["Date"] = at
    mail["Message-ID"] = f"<{id_}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers
    button = (said.button, link) if link else None
    mail.set_content(_text(said, button), cte="quoted-printable")
    mail.add_alternative(page or _html(said, button), subtype="html", cte="quoted-printable")
    if attached:
        mail.add_attachment(attached.pdf, maintype="application", subtype="pdf", filename=attached.name)
    mail["Content-Language"] = said.language  # of all parts: to add one would move it
    return mail


def _text(said: Words, button: tuple[str, str] | None) -> str:
    last = (f"{button[0]}:\n{button[1]}",) if button else ()
    return "\n\n".join((*said.paragraphs, *last)) + "\n"


def _html(said: Words, button: tuple[str, str] | None) -> str:
    parts = [_PARAGRAPH.format(escape(text)) for text in said.paragraphs]
    if button:
        parts.append(_BUTTON.format(escape(button[1]), escape(button[0])))
    return _PAGE.format(
        language=said.language,
        direction="rtl" if said.language in RIGHT_TO_LEFT else "ltr",
        subject=escape(said.subject),
        body="\n".join(parts),
    )
