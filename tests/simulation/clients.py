"""Those who use the service: shops that make payments and repeat themselves, and customers who pay."""

import random
from contextlib import suppress
from typing import Any, Final, Protocol

from asgi import Said

# What a customer of Stripe pays with, most of all a card that is good.
STRIPE_METHODS: Final = {
    "pm_card_visa": 10,
    "pm_card_chargeDeclined": 2,
    "pm_card_authenticationRequired": 2,
    "pm_card_chargeDeclinedInsufficientFunds": 1,
}
RAZORPAY_METHODS: Final = {
    "success@razorpay": 8,
    "failure@razorpay": 3,
    "retry@razorpay": 1,
    "pending@razorpay": 1,
}
PATIENCE: Final = 40  # tries of one request, over all deaths and answers that do not come

WAIT_S: Final = 3.0  # before it is tried again
ASKS_BACK: Final = 0.6  # how likely something of what was paid is asked back
GIVES_UP: Final = 0.02  # how likely a client never comes back for its answer
PAYMENTS: Final = 3  # of one order, at most
OVER: Final = frozenset({"failed", "cancelled"})


APPROVER: Final = "approver"  # somebody else than the shops


class GivenUpError(Exception):
    """The client has gone for good."""


class World(Protocol):
    """What a client may do."""

    chance: random.Random

    async def request(self, who: str, method: str, path: str, asked: Any, key: str) -> Said | None: ...
    async def at_gateway(self, who: str, path: str, asked: Any) -> Said: ...
    async def pause(self, who: str, seconds: float = 0.0) -> None: ...
    def surprise(self, sentence: str) -> None: ...


class Shop:
    """One order: made, paid, and perhaps captured, cancelled or asked about; everything repeated until answered."""

    def __init__(self, world: World, number: int) -> None:
        self._world, self._name = world, f"shop {number}"
        self._chance = world.chance
        self._keys = 0
        self._order = f"order {number}"

    async def trade(self) -> None:
        """See the order through. Once it was told that a payment failed or is cancelled, the shop may make another for
        the same order: only one of them may ever be charged.
        """
        with suppress(GivenUpError):
            for _ in range(PAYMENTS):
                payment = await self._payment()
                if payment is None or payment["status"] not in OVER or self._chance.random() < 0.5:
                    return

    async def _payment(self) -> Any:
        payment = await self._create()
        if payment is None:
            return None
        steps = {self._pay: 8, self._cancel: 2, self._change_gateway: 2, self._sync: 1}
        for _ in range(self._chance.randint(1, 3)):
            step = self._chance.choices(list(steps), list(steps.values()))[0]
            payment = await step(payment) or payment
        if payment["capture"] == "manual":
            payment = await self._capture(payment) or payment
        if self._chance.random() < ASKS_BACK:
            await self._ask_back(payment)
        return payment

    async def _create(self) -> Any:
        chance = self._chance
        asked: dict[str, Any] = {
            "amount": 10_000 + 100 * chance.randrange(50),
            "currency": chance.choice(["USD", "INR", "INR"]),
            "capture": chance.choice(["automatic", "automatic", "manual"]),
            "reference": self._order,
        }
        if chance.random() < 0.5:  # charged at once
            asked |= {"payment_method": self._stripe_method(), "confirm": True}
        elif chance.random() < 0.3:
            asked["gateway"] = "stripe"
        return await self._post("/api/payments", asked)

    def _stripe_method(self) -> str:
        return self._chance.choices(list(STRIPE_METHODS), list(STRIPE_METHODS.values()))[0]

    async def _pay(self, payment: Any) -> Any:
        """The customer pays where the payment's newest attempt is."""
        payment = await self._read(payment)
        live = [attempt for attempt in payment["attempts"] if attempt["status"] in {"open", "unknown"}]
        if not live:
            return payment
        if live[-1]["gateway"] == "stripe":
            return await self._pay_by_stripe(payment)
        return await self._pay_by_razorpay(payment, live[-1]["gateway_reference"])

    async def _pay_by_stripe(self, payment: Any) -> Any:
        paid = await self._post(
            f"/api/payments/{payment['id']}/confirm", {"payment_method": self._stripe_method()}
        )
        action = ((paid or {}).get("checkout") or {}).get("next_action")
        if action:
            outcome = self._chance.choice(["succeed", "succeed", "fail"])
            intent = paid["attempts"][-1]["gateway_reference"]
            asked = {"payment_intent": intent, "outcome": outcome}
            await self._world.at_gateway(self._name, "/_sandbox/stripe/authenticate", asked)
        return paid

    async def _pay_by_razorpay(self, payment: Any, order_id: str | None) -> Any:
        if order_id is None:
            return payment
        vpa = self._chance.choices(list(RAZORPAY_METHODS), list(RAZORPAY_METHODS.values()))[0]
        asked = {"order_id": order_id, "method": "upi", "vpa": vpa}
        said = await self._world.at_gateway(self._name, "/_sandbox/razorpay/pay", asked)
        if "razorpay_signature" not in said.json or self._chance.random() < 0.4:
            return payment  # or the browser was closed before it came back
        return await self._post(f"/api/payments/{payment['id']}/confirm", said.json)

    async def _capture(self, payment: Any) -> Any:
        return await self._post(f"/api/payments/{payment['id']}/capture", {})

    async def _cancel(self, payment: Any) -> Any:
        return await self._post(f"/api/payments/{payment['id']}/cancel", {})

    async def _change_gateway(self, payment: Any) -> Any:
        """The customer would rather pay elsewhere."""
        return await self._post(f"/api/payments/{payment['id']}/attempts", {})

    async def _sync(self, payment: Any) -> Any:
        return await self._post(f"/api/payments/{payment['id']}/sync", {})

    async def _ask_back(self, payment: Any) -> None:
        """A part of it or all of it, once or twice; some of it needs somebody's approval."""
        for _ in range(self._chance.randint(1, 2)):
            amount = self._chance.choice([None, 1_000, 4_900, 5_000, 6_000])
            asked = {"reason": "duplicate"} | ({} if amount is None else {"amount": amount})
            refund = await self._post(f"/api/payments/{payment['id']}/refund", asked)
            if refund is not None:
                await self._decide(refund)

    async def _decide(self, refund: Any) -> None:
        """Somebody agrees, most of the time, and somebody presses send; or the shop thinks better of it."""
        verbs = {"approve": 6, "send": 2, "reject": 1, "cancel": 1}
        for verb in self._chance.choices(list(verbs), list(verbs.values()), k=self._chance.randint(0, 2)):
            asked = {"reason": "not so"} if verb == "reject" else {}
            who = self._name if verb == "cancel" else APPROVER
            await self._post(f"/api/payments/refunds/{refund['id']}/{verb}", asked, who)

    async def _read(self, payment: Any) -> Any:
        return await self._ask("GET", f"/api/payments/{payment['id']}", None, "", self._name) or payment

    async def _post(self, path: str, asked: Any, who: str = "") -> Any:
        self._keys += 1
        return await self._ask("POST", path, asked, f"{self._order} {self._keys}", who or self._name)

    async def _ask(self, method: str, path: str, asked: Any, key: str, who: str) -> Any:
        """The payment or refund, once there is an answer; None where it was refused."""
        for _ in range(PATIENCE):
            said = await self._world.request(who, method, path, asked, key)
            if said is None or said.status == 503 or _in_flight(said):
                if self._chance.random() < GIVES_UP:
                    raise GivenUpError
                await self._world.pause(self._name, WAIT_S)
                continue
            if said.status >= 500:
                self._world.surprise(f"{method} {path} was answered {said.status}: {said.body[:300]!r}")
                return None
            return said.json if said.status < 300 else None
        self._world.surprise(f"{method} {path} was never answered")
        return None


def _in_flight(said: Said) -> bool:
    return said.status == 409 and "in_flight" in said.json["type"].replace("-", "_")
