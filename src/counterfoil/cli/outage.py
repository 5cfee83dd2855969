"""The second half of the demo: Razorpay goes dark in the middle, and nobody is charged twice.

Payments go on through Stripe. A customer who had begun at Razorpay pays at Stripe, once their order there is fenced.
Razorpay returns: what is authorised late on that order is not captured, and what somebody captures by hand all the same
is given back by itself.
"""

import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from counterfoil.cli.watching import SHOWN_S, Service, ask, line_of
from counterfoil.domain.breaker import BreakerPolicy
from counterfoil.domain.errors import ConfigurationError
from counterfoil.domain.money import Money

DURING: Final = BreakerPolicy().failures + 1  # the last one no longer asks Razorpay at all
AMOUNT: Final = 129_900
# What the service must have understood, by what its last line says of it.
LATE, SURPLUS = "authorised late", "captured by hand"


def play(console: Console, service: Service, sandbox: str, keys: tuple[str, str]) -> None:
    """Show the outage. `keys` are Razorpay's own, for what a person does in its dashboard."""
    console.rule("[bold]Razorpay goes dark in the middle[/]", align="left")
    begun = {what: _begin(service, what) for what in (LATE, SURPLUS)}
    ask(
        "POST",
        f"{sandbox}/_sandbox/faults",
        {"gateway": "razorpay", "call": "orders.create", "fault": "reset_before", "times": None},
    )
    console.print(
        f"Two customers have an order at Razorpay. From now on it answers nothing; {DURING} more come.",
        soft_wrap=True,
    )
    for number in range(1, DURING + 1):
        _during(console, service, number)
    paid = {what: _elsewhere(console, service, payment) for what, payment in begun.items()}
    _returns(console, service, sandbox)
    _late(console, service, sandbox, begun[LATE])
    _by_hand(console, service, sandbox, begun[SURPLUS], keys)
    _prove(console, service, sandbox, [*paid.values()])


def _begin(service: Service, what: str) -> dict[str, Any]:
    asked = {"amount": AMOUNT, "currency": "INR", "description": f"A cake, {what}"}
    return service.ask("POST", "/api/payments", asked)


def _during(console: Console, service: Service, number: int) -> None:
    """A payment in rupees, which would have gone to Razorpay."""
    made = service.ask("POST", "/api/payments", {"amount": AMOUNT, "currency": "INR"})
    paid = service.ask("POST", f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    tried = " → ".join(f"{attempt['gateway']} ({attempt['status']})" for attempt in paid["attempts"])
    text = Text(
        f"  {number}. {paid['id']} {paid['status']}: {tried}",
        style="green" if paid["status"] == "captured" else "red",
    )
    text.append(f"  {paid['attempts'][-1]['reason']}", style="dim")
    console.print(text, soft_wrap=True)


def _elsewhere(console: Console, service: Service, payment: dict[str, Any]) -> dict[str, Any]:
    """The customer changes to Stripe: their order is fenced before anything is opened there."""
    service.ask("POST", f"/api/payments/{payment['id']}/attempts", {"gateway": "stripe"})
    paid = service.ask("POST", f"/api/payments/{payment['id']}/confirm", {"payment_method": "pm_card_visa"})
    order = payment["checkout"]["razorpay"]["order_id"]
    console.print(
        f"  {paid['id']}: {order} is fenced, and the customer pays at Stripe: {paid['status']}.",
        soft_wrap=True,
    )
    return paid


def _returns(console: Console, service: Service, sandbox: str) -> None:
    ask("DELETE", f"{sandbox}/_sandbox/faults")
    ask("POST", f"{sandbox}/_sandbox/clock", {"advance": BreakerPolicy().open_s + 1})
    console.print("Razorpay answers again, and half a minute has passed.")
    made = _until(lambda: _back(service))
    console.print(f"  {made['id']} goes to razorpay again: {made['attempts'][-1]['reason']}.", soft_wrap=True)


def _back(service: Service) -> dict[str, Any] | None:
    made = service.ask("POST", "/api/payments", {"amount": AMOUNT, "currency": "INR"})
    return made if made["attempts"][-1]["gateway"] == "razorpay" else None


def _pay(sandbox: str, payment: dict[str, Any]) -> str:
    """The bank answers at last: the payment on the fenced order is authorised."""
    browser = payment["checkout"]["razorpay"]
    paid = {
        "key": browser["key_id"],
        "order_id": browser["order_id"],
        "method": "upi",
        "vpa": "success@razorpay",
    }
    charge: str = ask("POST", f"{sandbox}/razorpay/checkout/pay", paid)["razorpay_payment_id"]
    return charge


def _late(console: Console, service: Service, sandbox: str, payment: dict[str, Any]) -> None:
    charge = _pay(sandbox, payment)
    _until(lambda: _seen(service, payment, charge, "authorized"))
    console.print(
        f"  {charge} is authorised late on the fenced order. It is not captured: Razorpay gives it back.",
        soft_wrap=True,
    )


def _by_hand(
    console: Console, service: Service, sandbox: str, payment: dict[str, Any], keys: tuple[str, str]
) -> None:
    charge = _pay(sandbox, payment)
    basic = b64encode(":".join(keys).encode()).decode()
    path = f"{sandbox}/razorpay/v1/payments/{charge}/capture"
    ask("POST", path, {"amount": AMOUNT, "currency": "INR"}, {"Authorization": f"Basic {basic}"})
    console.print(
        f"  {charge}, of the other order, somebody captures by hand in Razorpay's dashboard …", soft_wrap=True
    )
    seen = _until(lambda: _given_back(service, payment))
    back = Money(seen["surplus"][0]["amount_refunded"], "INR")
    console.print(
        f"  … and {back} are given back by themselves. The timeline of {payment['id']}:", soft_wrap=True
    )
    for line in service.ask("GET", f"/api/payments/{payment['id']}/timeline")["data"]:
        console.print(line_of(line), soft_wrap=True)


def _seen(service: Service, payment: dict[str, Any], charge: str, status: str) -> dict[str, Any] | None:
    now = service.ask("GET", f"/api/payments/{payment['id']}")
    charges = [one for attempt in now["attempts"] for one in attempt["charges"]]
    return now if any((c["gateway_reference"], c["status"]) == (charge, status) for c in charges) else None


def _given_back(service: Service, payment: dict[str, Any]) -> dict[str, Any] | None:
    now = service.ask("GET", f"/api/payments/{payment['id']}")
    return now if now["surplus"] and now["surplus"][0]["amount_refunded"] == AMOUNT else None


def _prove(console: Console, service: Service, sandbox: str, paid: list[dict[str, Any]]) -> None:
    """Each of the two was charged once, by the gateways' own truth."""
    truth = ask("GET", f"{sandbox}/_sandbox/truth")
    kept = 0
    for payment in paid:
        now = service.ask("GET", f"/api/payments/{payment['id']}")
        refs = {attempt["gateway_reference"] for attempt in now["attempts"]}
        kept += sum(
            c["amount_captured"] - c["amount_refunded"]
            for c in truth["stripe"]["charges"]
            if c["payment_intent"] in refs
        )
        kept += sum(
            p["amount"] - p["amount_refunded"]
            for p in truth["razorpay"]["payments"]
            if p["order_id"] in refs and p["captured"]
        )
    if kept != AMOUNT * len(paid):
        raise ConfigurationError(
            f"The gateways kept {kept} of two payments of {AMOUNT} each; the timelines above show why."
        )
    told = Money(kept, "INR")
    console.print(
        Text(
            f"By the gateways' own records, the two customers paid {told} together: once each.\n",
            style="bold",
        )
    )


def _until(look: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """What is looked for, once it is there. Raises ConfigurationError where it does not come."""
    end = time.monotonic() + SHOWN_S
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.2)
    raise ConfigurationError(
        "The demo waited for something that did not come; the lines above show how far it got."
    )
