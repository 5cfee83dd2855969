"""What customers pay with, and what comes of each test value. Pure.

The test numbers and UPI ids are Razorpay's own; `pending@razorpay` and `retry@razorpay` are this sandbox's, for the two
slow paths of UPI. Card numbers are looked at and forgotten: only the last four digits go into an entity.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from counterfoil.sandbox.ids import Ids
from counterfoil.sandbox.razorpay.declines import DECLINES, Decline
from counterfoil.sandbox.razorpay.errors import refused
from counterfoil.sandbox.razorpay.fields import Fields

METHODS: Final = ("card", "upi", "netbanking", "wallet", "emi")
BANKS: Final = {
    "HDFC": "HDFC Bank",
    "ICIC": "ICICI Bank",
    "SBIN": "State Bank of India",
    "UTIB": "Axis Bank",
    "KKBK": "Kotak Mahindra Bank",
}
WALLETS: Final = {
    "mobikwik": "MobiKwik",
    "olamoney": "Ola Money",
    "airtelmoney": "Airtel Money",
    "payzapp": "PayZapp",
}
EMI_MONTHS: Final = (3, 6, 9, 12, 18, 24)
EMI_RATE_BASIS_POINTS: Final = 1400

APPROVED_CARDS: Final = {
    "4100280000001007": "Visa",
    "5500670000001002": "MasterCard",
    "6527658900001005": "RuPay",
}
DECLINED_CARDS: Final = {
    "4100280000090000": "payment_timed_out",
    "4100280000080001": "insufficient_funds",
    "4100280000070002": "payment_cancelled",
    "4100280000060003": "card_declined",
    "4100280000050004": "card_declined",
    "4100280000040005": "card_declined",
    "4100280000010008": "card_number_invalid",
    "4100280000020007": "gateway_technical_error",
}
# The first digits that tell a network; the longest that fits wins.
_NETWORKS: Final = {
    "34": "American Express",
    "37": "American Express",
    "36": "Diners Club",
    "4": "Visa",
    "5": "MasterCard",
    "6": "RuPay",
}
_NUMBER: Final = re.compile(r"[0-9]{12,19}")
_EXPIRY: Final = re.compile(r"(0[1-9]|1[0-2])/([0-9]{2}|20[0-9]{2})")
_CVV: Final = re.compile(r"[0-9]{3,4}")
_VPA: Final = re.compile(r"[A-Za-z0-9._-]{2,64}@[A-Za-z0-9]{2,64}")


class Course(StrEnum):
    """How the bank answers."""

    APPROVED = "approved"
    DECLINED = "declined"
    PENDING = "pending"  # no answer yet
    RETRIED = "retried"  # declined, and approved when the customer tried again in the app


@dataclass(frozen=True, slots=True)
class Instrument:
    """One means of payment, ready to be written into a payment.

    `fields` are the payment's own (method, vpa, bank …); `card` is the whole card, kept beside the payment;
    `reference` is the name under which the bank's reference stands in acquirer_data.
    """

    course: Course
    fields: dict[str, Any]
    reference: str
    card: dict[str, Any] | None = None
    emi: dict[str, Any] | None = None
    decline: Decline | None = None


def read(fields: Fields, ids: Ids, *, month: tuple[int, int]) -> Instrument:
    """What the customer chose. `month` is the present (year, month). Raises RefusedError for what cannot be tried."""
    method = fields.choice("method", METHODS, "")
    readers: dict[str, Callable[[], Instrument]] = {
        "card": lambda: _card(fields, ids, month),
        "emi": lambda: _emi(fields, ids, month),
        "upi": lambda: _upi(fields),
        "netbanking": lambda: _at_bank(fields, "netbanking", "bank", BANKS, "bank_transaction_id"),
        "wallet": lambda: _at_bank(fields, "wallet", "wallet", WALLETS, "transaction_id"),
    }
    return readers[method]()


def _card(fields: Fields, ids: Ids, month: tuple[int, int]) -> Instrument:
    card = fields.inner("card").only("number", "expiry", "cvv", "name")
    number = re.sub(r"[ -]", "", card.text("number"))
    if not _NUMBER.fullmatch(number) or not _luhn(number):
        raise refused("The card number is invalid.", field="card.number", reason="card_number_invalid")
    if not _CVV.fullmatch(card.text("cvv")):
        raise refused("The card cvv is invalid.", field="card.cvv", reason="incorrect_cvv")
    reason = "card_expired" if _expiry(card) < month else DECLINED_CARDS.get(number)
    entity = _card_entity(ids.razorpay("card"), number, card.optional_text("name") or "")
    return Instrument(
        course=Course.DECLINED if reason else Course.APPROVED,
        fields={"method": "card", "card_id": entity["id"]},
        reference="auth_code",
        card=entity,
        decline=DECLINES[reason] if reason else None,
    )


def _emi(fields: Fields, ids: Ids, month: tuple[int, int]) -> Instrument:
    card = _card(fields, ids, month)
    months = fields.optional_integer("emi_duration", 6, least=EMI_MONTHS[0], most=EMI_MONTHS[-1])
    if months not in EMI_MONTHS:
        raise refused("There is no such EMI plan.", field="emi_duration", reason="emi_plan_unavailable")
    return Instrument(
        course=card.course,
        fields={**card.fields, "method": "emi"},
        reference=card.reference,
        card={**(card.card or {}), "emi": True},
        emi={"issuer": "HDFC", "type": "credit", "rate": EMI_RATE_BASIS_POINTS, "duration": months},
        decline=card.decline,
    )


def _upi(fields: Fields) -> Instrument:
    vpa = fields.text("vpa")
    if not _VPA.fullmatch(vpa):
        raise refused(
            "Invalid VPA. Please enter a valid Virtual Payment Address", field="vpa", reason="invalid_vpa"
        )
    course, reason = {
        "failure@razorpay": (Course.DECLINED, "payment_failed"),
        "pending@razorpay": (Course.PENDING, None),
        "retry@razorpay": (Course.RETRIED, "incorrect_pin"),
    }.get(vpa.lower(), (Course.APPROVED, None))
    upi = {"payer_account_type": "bank_account", "vpa": vpa, "flow": "collect"}
    return Instrument(
        course=course,
        fields={"method": "upi", "vpa": vpa, "upi": upi},
        reference="rrn",
        decline=DECLINES[reason] if reason else None,
    )


def _at_bank(fields: Fields, method: str, name: str, known: dict[str, str], reference: str) -> Instrument:
    """A payment approved on the bank's or the wallet's own page; `simulate` says which button is pressed there."""
    code = fields.text(name)
    if code not in known:
        raise refused(f"The selected {name} is invalid.", field=name, reason="payment_method_not_enabled")
    declined = fields.choice("simulate", ("success", "failure"), "success") == "failure"
    return Instrument(
        course=Course.DECLINED if declined else Course.APPROVED,
        fields={"method": method, name: code},
        reference=reference,
        decline=DECLINES["payment_declined"] if declined else None,
    )


def _card_entity(id_: str, number: str, name: str) -> dict[str, Any]:
    return {
        "id": id_,
        "entity": "card",
        "name": name,
        "last4": number[-4:],
        "network": _network(number),
        "type": "debit",
        "issuer": None,
        "international": False,
        "emi": False,
        "sub_type": "consumer",
        "token_iin": None,
    }


def _network(number: str) -> str:
    fitting = [digits for digits in _NETWORKS if number.startswith(digits)]
    return _NETWORKS[max(fitting, key=len)] if fitting else "Unknown"


def _expiry(card: Fields) -> tuple[int, int]:
    found = _EXPIRY.fullmatch(card.text("expiry").replace(" ", ""))
    if found is None:
        raise refused("The card expiry is invalid.", field="card.expiry", reason="incorrect_card_expiry_date")
    return 2000 + int(found[2][-2:]), int(found[1])


def _luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0
