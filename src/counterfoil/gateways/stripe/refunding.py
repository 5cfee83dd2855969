"""Refunds at Stripe: asked for with a key and bytes that never change, found again by our id, and read (gateways 1.6)."""

from datetime import timedelta
from typing import Final
from urllib.parse import parse_qs

from counterfoil.domain.call import Verb
from counterfoil.domain.money import Money, to_wire
from counterfoil.gateways.base import Accepted, Outcome, Speed
from counterfoil.gateways.stripe import form
from counterfoil.gateways.stripe.line import Line
from counterfoil.gateways.stripe.shapes import Page, Refund
from counterfoil.gateways.stripe.translate import NAME, REFUND_LABEL, of_refund
from counterfoil.gateways.wire import agree, decode

# Stripe may forget a key once it is a day old (gateways 1.2); clocks differ, and a sending takes its time.
KEY_LIFE: Final = timedelta(hours=23)


class Refunds:
    """Refunds of `gateways.base`. There is one speed."""

    key_life = KEY_LIFE

    def __init__(self, line: Line) -> None:
        self._line = line

    def body(self, charge_ref: str, amount: Money, *, reference: str, speed: Speed) -> bytes:  # noqa: ARG002  Stripe has one
        return form.encode(
            {"charge": charge_ref, "amount": to_wire(NAME, amount), "metadata": {REFUND_LABEL: reference}}
        )

    async def refund(self, charge_ref: str, body: bytes, *, key: str) -> Outcome:
        def read(answer: bytes) -> Accepted:
            refund = decode(answer, Refund)
            agree("amount", parse_qs(body.decode())["amount"], [str(refund.amount)])
            return _told(charge_ref, refund, answer)

        return await self._line.post("refunds.create", ("refunds",), body, read, verb=Verb.REFUND, key=key)

    async def find_refund(self, charge_ref: str, *, reference: str) -> Outcome:
        found: list[Accepted] = []

        def keep(refund: Refund) -> None:
            if (refund.metadata or {}).get(REFUND_LABEL) == reference:
                found.append(_told(charge_ref, refund, b""))

        listed = await self._line.list("refunds", {"charge": charge_ref}, Page[Refund], keep)
        return found[0] if found else listed

    async def look_up_refund(self, ref: str) -> Outcome:
        def read(answer: bytes) -> Accepted:
            refund = decode(answer, Refund)
            agree("id", ref, refund.id)
            return _told(refund.charge, refund, answer)

        return await self._line.get("refunds.retrieve", ("refunds", ref), {}, read)


def _told(charge_ref: str | None, refund: Refund, answer: bytes) -> Accepted:
    agree("charge", charge_ref, refund.charge)
    return Accepted(ref=refund.id, reports=(of_refund(refund),), raw=answer)
