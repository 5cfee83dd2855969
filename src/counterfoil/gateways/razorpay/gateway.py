"""The calls to Razorpay: open an order, capture a payment on it, and read both.

An order is always made for manual capture, whatever the merchant's dashboard says, so that nothing is taken before we
have decided that this attempt wins. An order cannot be cancelled, and no call but a refund has an idempotency key: an
order whose answer was lost was never shown to anyone, so another is opened; a capture does nothing the second time.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec

from counterfoil.domain.call import Verb
from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.money import Money, to_wire
from counterfoil.gateways.base import Accepted, Gateway, Opening, Outcome, Script
from counterfoil.gateways.http import Http, unwritable
from counterfoil.gateways.razorpay import speak
from counterfoil.gateways.razorpay.disputing import Disputes
from counterfoil.gateways.razorpay.line import REPEAT, Line
from counterfoil.gateways.razorpay.recovering import Objects
from counterfoil.gateways.razorpay.refunding import Refunds
from counterfoil.gateways.razorpay.shapes import Collection, Order, Payment
from counterfoil.gateways.razorpay.signature import vouches
from counterfoil.gateways.razorpay.translate import (
    ATTEMPT_LABEL,
    NAME,
    PAYMENT_LABEL,
    of_order,
    of_payment,
)
from counterfoil.gateways.wire import agree, decode, labels, url

BASE_URL: Final = "https://api.razorpay.com"

# Checkout, and what Razorpay's own shop plugins allow it. It draws its frame with inline styles, and sends the customer
# to a bank's page by posting a form.
SCRIPT: Final = Script(
    "https://checkout.razorpay.com/v1/checkout.js",
    {
        "script-src": ("https://checkout.razorpay.com", "https://cdn.razorpay.com"),
        "style-src": ("'unsafe-inline'",),
        "connect-src": (
            "https://api.razorpay.com",
            "https://checkout.razorpay.com",
            "https://lumberjack.razorpay.com",
            "https://lumberjack-cx.razorpay.com",
            "https://lumberjack-metrics.razorpay.com",
        ),
        "frame-src": ("https://api.razorpay.com", "https://checkout.razorpay.com"),
        "img-src": ("https://cdn.razorpay.com", "https://checkout.razorpay.com"),
        "form-action": ("https://api.razorpay.com",),
    },
)

# What Razorpay keeps of notes (gateways 2.2). A receipt may have forty characters; our attempt ids have thirty.
NOTES: Final[Mapping[str, int]] = {"pairs": 15, "key": 256, "value": 256}
# An authorised payment may stand at most five days before it is given back, in minutes (gateways 2.2).
MAX_HOLD_MINUTES: Final = 7200

_NAMES: Final = {
    Verb.OPEN: "orders.create",
    Verb.CAPTURE: "payments.capture",
}


def connect(
    http: Http, *, account_id: str, mode: str, base_url: str = BASE_URL, key_id: str, key_secret: str
) -> Gateway:
    """Razorpay for one account and mode ("sandbox" or "live")."""
    line = Line(http, account_id=account_id, base_url=base_url, key_id=key_id, key_secret=key_secret)
    calls = Calls(line, key_secret=key_secret)
    return Gateway(
        name=NAME,
        account_id=account_id,
        mode=mode,
        collect=calls,
        speak=speak,
        script=SCRIPT if base_url == BASE_URL else Script.of_one_origin(url(base_url, "checkout.js")),
        vouch=calls,
        refunds=Refunds(line),
        disputes=Disputes(line),
        recover=Objects(line),
        public_key=key_id,
    )


class Calls:
    """Collect and Vouch of `gateways.base`."""

    repeat = REPEAT

    def __init__(self, line: Line, *, key_secret: str) -> None:
        self._line = line
        self._key_secret = key_secret.encode()

    async def open(self, opening: Opening, *, key: str) -> Outcome:  # noqa: ARG002  Razorpay takes no key here
        try:
            amount = to_wire(NAME, opening.amount)
        except AmountNotValidError as error:
            return unwritable(error)
        ours = {ATTEMPT_LABEL: opening.reference, PAYMENT_LABEL: opening.payment_id}
        order = {
            "amount": amount,
            "currency": opening.amount.currency,
            "receipt": opening.reference,
            "notes": labels(ours, opening.metadata, **NOTES),
            "payment": {
                "capture": "manual",
                "capture_options": {
                    "manual_expiry_period": min(opening.hold_minutes, MAX_HOLD_MINUTES),
                    "refund_speed": "normal",
                },
            },
        }
        return await self._post(Verb.OPEN, ("orders",), order, lambda body: _opened(opening, body))

    async def capture(self, ref: str, charge_ref: str, amount: Money, *, key: str) -> Outcome:  # noqa: ARG002  the same
        """Capture the whole authorised amount of the payment: Razorpay captures no part of it."""
        try:
            asked = {"amount": to_wire(NAME, amount), "currency": amount.currency}
        except AmountNotValidError as error:
            return unwritable(error)
        path = ("payments", charge_ref, "capture")
        return await self._post(
            Verb.CAPTURE, path, asked, lambda body: _captured(ref, charge_ref, asked, body)
        )

    async def look_up(self, ref: str) -> Outcome:
        """The order, and every payment tried on it."""
        seen = await self._line.get("orders.retrieve", ("orders", ref), {}, lambda body: _order(ref, body))
        if not isinstance(seen, Accepted):
            return seen
        path = ("orders", ref, "payments")
        tries = await self._line.get("orders.payments", path, {}, lambda body: _payments(ref, body))
        if not isinstance(tries, Accepted):
            return tries
        return replace(seen, reports=(*seen.reports, *tries.reports))

    async def find(self, opening: Opening, *, since: datetime) -> Outcome:  # noqa: ARG002  a receipt is found at any age
        """The order of an opening, by our id in its receipt."""
        query = {"receipt": opening.reference}
        return await self._line.get("orders.list", ("orders",), query, lambda body: _found(opening, body))

    def vouch(self, ref: str, charge_ref: str, signature: str) -> bool:
        return vouches(ref, charge_ref, signature, key_secret=self._key_secret)

    async def _post(
        self, verb: Verb, path: tuple[str, ...], body: Mapping[str, Any], read: Callable[[bytes], Outcome]
    ) -> Outcome:
        return await self._line.send(_NAMES[verb], path, msgspec.json.encode(body), read, verb=verb)


def _opened(opening: Opening, body: bytes) -> Accepted:
    order = decode(body, Order)
    _same(opening, order)
    return Accepted(ref=order.id, reports=(of_order(order),), raw=body)


def _same(opening: Opening, order: Order) -> None:
    """Raise UnreadableEventError unless this is the order that the opening asked for."""
    agree("amount", to_wire(NAME, opening.amount), order.amount)
    agree("currency", opening.amount.currency, order.currency)
    agree("receipt", opening.reference, order.receipt)


def _captured(ref: str, charge_ref: str, asked: Mapping[str, Any], body: bytes) -> Accepted:
    payment = decode(body, Payment)
    agree("payment", charge_ref, payment.id)
    agree("order", ref, payment.order_id)
    agree("amount", asked, {"amount": payment.amount, "currency": payment.currency})
    return Accepted(ref=ref, reports=of_payment(payment), raw=body)


def _order(ref: str, body: bytes) -> Accepted:
    order = decode(body, Order)
    agree("order", ref, order.id)
    return Accepted(ref=ref, reports=(of_order(order),), raw=body)


def _payments(ref: str, body: bytes) -> Accepted:
    payments = decode(body, Collection[Payment]).items
    for payment in payments:
        agree("order", ref, payment.order_id)
    return Accepted(ref=ref, reports=tuple(report for payment in payments for report in of_payment(payment)))


def _found(opening: Opening, body: bytes) -> Accepted:
    """The newest order of the receipt: where several were opened, none but one that we know the id of was shown."""
    orders = [order for order in decode(body, Collection[Order]).items if order.receipt == opening.reference]
    if not orders:
        return Accepted(raw=body)
    _same(opening, orders[0])
    return Accepted(ref=orders[0].id, reports=(of_order(orders[0]),), raw=body)
