"""Refunds at Razorpay: the one call of its that has a key, in a header of its own (gateways 2.4)."""

from datetime import timedelta
from typing import Final

import msgspec

from counterfoil.domain.call import Verb
from counterfoil.domain.money import Money, to_wire
from counterfoil.gateways.base import Accepted, Outcome, Speed
from counterfoil.gateways.razorpay.line import PAGE, Line
from counterfoil.gateways.razorpay.shapes import Asked, Collection, Refund
from counterfoil.gateways.razorpay.translate import NAME, REFUND_LABEL, labelled, of_refund
from counterfoil.gateways.wire import agree, decode

# Razorpay does not say how long it knows a key: taken to be what Stripe promises.
KEY_LIFE: Final = timedelta(hours=23)


class Refunds:
    """Refunds of `gateways.base`."""

    key_life = KEY_LIFE

    def __init__(self, line: Line) -> None:
        self._line = line

    def body(self, charge_ref: str, amount: Money, *, reference: str, speed: Speed) -> bytes:  # noqa: ARG002  it stands in the path
        return msgspec.json.encode(
            {
                "amount": to_wire(NAME, amount),
                "speed": speed,
                "receipt": reference,
                "notes": {REFUND_LABEL: reference},
            }
        )

    async def refund(self, charge_ref: str, body: bytes, *, key: str) -> Outcome:
        def read(answer: bytes) -> Accepted:
            refund = decode(answer, Refund)
            agree("amount", decode(body, Asked).amount, refund.amount)
            return _told(charge_ref, refund, answer)

        return await self._line.send(
            "payments.refund",
            ("payments", charge_ref, "refund"),
            body,
            read,
            verb=Verb.REFUND,
            headers={"X-Refund-Idempotency": key},
        )

    async def find_refund(self, charge_ref: str, *, reference: str) -> Outcome:
        """A payment with more refunds than one page of them is beyond any rule of ours."""
        return await self._line.get(
            "payments.refunds",
            ("payments", charge_ref, "refunds"),
            {"count": PAGE},
            lambda answer: _found(charge_ref, reference, answer),
        )

    async def look_up_refund(self, ref: str) -> Outcome:
        def read(answer: bytes) -> Accepted:
            refund = decode(answer, Refund)
            agree("id", ref, refund.id)
            return _told(refund.payment_id, refund, answer)

        return await self._line.get("refunds.retrieve", ("refunds", ref), {}, read)


def _told(charge_ref: str, refund: Refund, answer: bytes) -> Accepted:
    agree("payment", charge_ref, refund.payment_id)
    return Accepted(ref=refund.id, reports=of_refund(refund, None), raw=answer)


def _found(charge_ref: str, reference: str, answer: bytes) -> Accepted:
    for refund in decode(answer, Collection[Refund]).items:
        if labelled(refund.notes, REFUND_LABEL) == reference:
            return _told(charge_ref, refund, answer)
    return Accepted(raw=answer)
