"""The calls to Razorpay: open an order, capture a payment on it, and read both.

An order is always made for manual capture, whatever the merchant's dashboard says, so that nothing is taken before we
have decided that this attempt wins. An order cannot be cancelled, and no call but a refund has an idempotency key: an
order whose answer was lost was never shown to anyone, so another is opened; a capture does nothing the second time.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from counterfoil.domain.call import Repeat, Verb
from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.money import Money, to_wire
from counterfoil.gateways.base import Accepted, Gateway, Opening, Outcome, Script
from counterfoil.gateways.http import Http, Request, unwritable
from counterfoil.gateways.razorpay import speak
from counterfoil.gateways.razorpay.answers import judge
from counterfoil.gateways.razorpay.recovering import Objects
from counterfoil.gateways.razorpay.shapes import Collection, Order, Payment, Refund
from counterfoil.gateways.razorpay.signature import vouches
from counterfoil.gateways.razorpay.translate import (
    ATTEMPT_LABEL,
    NAME,
    PAYMENT_LABEL,
    REFUND_LABEL,
    labelled,
    of_order,
    of_payment,
    of_refund,
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
# The most that a list gives at once; a payment with more refunds than that is beyond any rule of ours.
PAGE: Final = 100
# An authorised payment may stand at most five days before it is given back, in minutes (gateways 2.2).
MAX_HOLD_MINUTES: Final = 7200

_NAMES: Final = {
    Verb.OPEN: "orders.create",
    Verb.CAPTURE: "payments.capture",
    Verb.REFUND: "payments.refund",
}


def connect(
    http: Http, *, account_id: str, mode: str, base_url: str = BASE_URL, key_id: str, key_secret: str
) -> Gateway:
    """Razorpay for one account and mode ("sandbox" or "live")."""
    calls = Calls(http, account_id=account_id, base_url=base_url, key_id=key_id, key_secret=key_secret)
    return Gateway(
        name=NAME,
        account_id=account_id,
        mode=mode,
        collect=calls,
        speak=speak,
        script=SCRIPT if base_url == BASE_URL else Script.of_one_origin(url(base_url, "checkout.js")),
        vouch=calls,
        refunds=calls,
        recover=Objects(http, account_id=account_id, base_url=base_url, key_id=key_id, key_secret=key_secret),
        public_key=key_id,
    )


class Calls:
    """Collect, Vouch and Refunds of `gateways.base`."""

    repeat: Mapping[Verb, Repeat] = {
        Verb.OPEN: Repeat.HARMLESS,
        Verb.CAPTURE: Repeat.SINGLE_SHOT,
        Verb.REFUND: Repeat.KEYED,
    }

    def __init__(self, http: Http, *, account_id: str, base_url: str, key_id: str, key_secret: str) -> None:
        self._http = http
        self._account_id = account_id
        self._base = base_url
        self._key_secret = key_secret.encode()
        self._headers = {"Authorization": f"Basic {b64encode(f'{key_id}:{key_secret}'.encode()).decode()}"}

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

    async def refund(self, charge_ref: str, amount: Money, *, reference: str, key: str) -> Outcome:
        """Give money back at normal speed. The one call of Razorpay's with a key, in a header of its own (gateways 2.4)."""
        try:
            asked = {
                "amount": to_wire(NAME, amount),
                "speed": "normal",
                "receipt": reference,
                "notes": {REFUND_LABEL: reference},
            }
        except AmountNotValidError as error:
            return unwritable(error)
        path = ("payments", charge_ref, "refund")
        return await self._post(
            Verb.REFUND,
            path,
            asked,
            lambda body: _refunded(charge_ref, decode(body, Refund), body),
            {"X-Refund-Idempotency": key},
        )

    async def find_refund(self, charge_ref: str, *, reference: str) -> Outcome:
        path = ("payments", charge_ref, "refunds")
        return await self._get(
            "payments.refunds", path, {"count": PAGE}, lambda body: _found_refund(charge_ref, reference, body)
        )

    async def look_up(self, ref: str) -> Outcome:
        """The order, and every payment tried on it."""
        seen = await self._get("orders.retrieve", ("orders", ref), {}, lambda body: _order(ref, body))
        if not isinstance(seen, Accepted):
            return seen
        path = ("orders", ref, "payments")
        tries = await self._get("orders.payments", path, {}, lambda body: _payments(ref, body))
        if not isinstance(tries, Accepted):
            return tries
        return replace(seen, reports=(*seen.reports, *tries.reports))

    async def find(self, opening: Opening, *, since: datetime) -> Outcome:  # noqa: ARG002  a receipt is found at any age
        """The order of an opening, by our id in its receipt."""
        query = {"receipt": opening.reference}
        return await self._get("orders.list", ("orders",), query, lambda body: _found(opening, body))

    def vouch(self, ref: str, charge_ref: str, signature: str) -> bool:
        return vouches(ref, charge_ref, signature, key_secret=self._key_secret)

    async def _post(
        self,
        verb: Verb,
        path: tuple[str, ...],
        body: Mapping[str, Any],
        read: Callable[[bytes], Outcome],
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> Outcome:
        request = Request(
            gateway=NAME,
            account_id=self._account_id,
            call=_NAMES[verb],
            method="POST",
            url=url(self._base, "v1", *path),
            headers={**self._headers, "Content-Type": "application/json", **more},
            body=msgspec.json.encode(body),
        )
        return await self._http.ask(request, judge(read), repeat=self.repeat[verb])

    async def _get(
        self, call: str, path: tuple[str, ...], query: Mapping[str, Any], read: Callable[[bytes], Outcome]
    ) -> Outcome:
        request = Request(
            gateway=NAME,
            account_id=self._account_id,
            call=call,
            method="GET",
            url=url(self._base, "v1", *path, query=query),
            headers=self._headers,
        )
        return await self._http.ask(request, judge(read))


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


def _refunded(charge_ref: str, refund: Refund, body: bytes) -> Accepted:
    agree("payment", charge_ref, refund.payment_id)
    return Accepted(ref=refund.id, reports=of_refund(refund, None), raw=body)


def _found_refund(charge_ref: str, reference: str, body: bytes) -> Accepted:
    for refund in decode(body, Collection[Refund]).items:
        if labelled(refund.notes, REFUND_LABEL) == reference:
            return _refunded(charge_ref, refund, body)
    return Accepted(raw=body)


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
