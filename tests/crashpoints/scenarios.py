"""What clients do, as far as it moves money: each is run once for every point it passes."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from sandbox_by_hand import Gateways

BY_CARD: Final = {
    "method": "card",
    "card": {"number": "4100280000001007", "expiry": "12/34", "cvv": "123", "name": "A. Customer"},
}


class Client(Protocol):
    """One who uses the service and repeats what is not answered."""

    gateways: Gateways
    patient: bool  # whether it repeats what is not answered

    def post(self, path: str, asked: Any = None) -> Any: ...
    def create(self, currency: str, **asked: Any) -> Any: ...
    def pay_razorpay(self, payment: Any, **by: Any) -> None: ...
    def capture_by_hand(self) -> None: ...
    def wait(self, seconds: float) -> None: ...


def create_at_stripe(client: Client) -> None:
    client.create("USD")


def create_at_razorpay(client: Client) -> None:
    client.create("INR", gateway="razorpay")


def create_and_confirm(client: Client) -> None:
    client.create("USD", payment_method="pm_card_visa", confirm=True)


def create_while_razorpay_is_dark(client: Client) -> None:
    """Opening fails there, and goes on at Stripe."""
    client.gateways.world.faults.add("razorpay", "*", "reset_after", times=None)
    client.create("INR")


def create_while_stripe_is_dark(client: Client) -> None:
    client.gateways.world.faults.add("stripe", "*", "refuse", times=None)
    client.create("USD")


def create_in_the_dark_and_never_come_back(client: Client) -> None:
    """The client does not repeat itself: what it began is brought to an end without it."""
    client.patient = False
    client.gateways.world.faults.add("stripe", "*", "refuse", times=None)
    client.create("USD")


def pay_and_never_come_back(client: Client) -> None:
    client.patient = False
    payment = client.create("USD", capture="manual", payment_method="pm_card_visa", confirm=True)
    client.post(f"/api/payments/{payment['id']}/capture")


def confirm_at_stripe(client: Client) -> None:
    payment = client.create("USD")
    client.post(f"/api/payments/{payment['id']}/confirm", {"payment_method": "pm_card_visa"})


def decline_then_confirm(client: Client) -> None:
    payment = client.create("USD")
    for method in ("pm_card_chargeDeclined", "pm_card_visa"):
        client.post(f"/api/payments/{payment['id']}/confirm", {"payment_method": method})


def confirm_without_an_answer(client: Client) -> None:
    """The gateway charges, and its answer is lost, and the resend's too."""
    payment = client.create("USD")
    client.gateways.world.faults.add("stripe", "payment_intents.confirm", "reset_after", times=2)
    client.post(f"/api/payments/{payment['id']}/confirm", {"payment_method": "pm_card_visa"})


def pay_at_razorpay(client: Client) -> None:
    """The customer pays in the browser, which brings the signature back; the service captures."""
    client.pay_razorpay(client.create("INR", gateway="razorpay"))


def capture_at_stripe(client: Client) -> None:
    payment = client.create("USD", capture="manual", payment_method="pm_card_visa", confirm=True)
    client.post(f"/api/payments/{payment['id']}/capture")


def capture_at_razorpay(client: Client) -> None:
    payment = client.create("INR", gateway="razorpay", capture="manual")
    client.pay_razorpay(payment)
    client.post(f"/api/payments/{payment['id']}/capture")


def cancel_at_stripe(client: Client) -> None:
    payment = client.create("USD", capture="manual", payment_method="pm_card_visa", confirm=True)
    client.post(f"/api/payments/{payment['id']}/cancel")


def cancel_at_razorpay(client: Client) -> None:
    payment = client.create("INR", gateway="razorpay", capture="manual")
    client.pay_razorpay(payment)
    client.post(f"/api/payments/{payment['id']}/cancel")


def fail_over_to_stripe(client: Client) -> None:
    """The customer's bank says no at Razorpay, and the payment goes on at Stripe."""
    payment = client.create("INR")
    client.pay_razorpay(payment, vpa="failure@razorpay")
    _change(client, payment)
    client.post(f"/api/payments/{payment['id']}/confirm", {"payment_method": "pm_card_visa"})


def fail_over_to_razorpay(client: Client) -> None:
    payment = client.create("USD")
    client.post(f"/api/payments/{payment['id']}/confirm", {"payment_method": "pm_card_chargeDeclined"})
    changed = _change(client, payment)
    if changed["attempts"][-1]["gateway"] == "razorpay":
        client.pay_razorpay(changed, **BY_CARD)


def give_back_a_surplus(client: Client) -> None:
    """Razorpay's bank says yes after the payment was paid at Stripe, and somebody captures it in the dashboard."""
    payment = client.create("INR")
    client.pay_razorpay(payment, vpa="pending@razorpay")
    _change(client, payment)
    client.post(f"/api/payments/{payment['id']}/confirm", {"payment_method": "pm_card_visa"})
    client.capture_by_hand()


def _change(client: Client, payment: Any) -> Any:
    """Go on at the other gateway; where a process died over it, the payment is asked about before it is tried again."""
    changed = client.post(f"/api/payments/{payment['id']}/attempts")
    if "attempts" in changed:
        return changed
    client.wait(95.0)
    return client.post(f"/api/payments/{payment['id']}/sync")


# A scenario is a function of a client; its docstring or name says what it is about. Add it here, and it is run.
SCENARIOS: Final[dict[str, Callable[[Client], None]]] = {
    scenario.__name__: scenario
    for scenario in (
        create_at_stripe,
        create_at_razorpay,
        create_and_confirm,
        create_while_razorpay_is_dark,
        create_while_stripe_is_dark,
        create_in_the_dark_and_never_come_back,
        pay_and_never_come_back,
        confirm_at_stripe,
        decline_then_confirm,
        confirm_without_an_answer,
        pay_at_razorpay,
        capture_at_stripe,
        capture_at_razorpay,
        cancel_at_stripe,
        cancel_at_razorpay,
        fail_over_to_stripe,
        fail_over_to_razorpay,
        give_back_a_surplus,
    )
}
