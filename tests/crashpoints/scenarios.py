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
    def save_card(self, *, declined: str) -> dict[str, Any]: ...
    def say_yes_at_the_bank(self, payment: Any) -> None: ...
    def settings(self, **sections: Any) -> None: ...
    def pass_by(self, seconds: float) -> None: ...
    def approve(self, path: str, asked: Any = None) -> Any: ...
    def at_gateway(self, path: str, **asked: Any) -> None: ...


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
    client.post(f"/api/payments/{payment['id']}/attempts")
    client.post(f"/api/payments/{payment['id']}/confirm", {"payment_method": "pm_card_visa"})


def fail_over_to_razorpay(client: Client) -> None:
    payment = client.create("USD")
    client.post(f"/api/payments/{payment['id']}/confirm", {"payment_method": "pm_card_chargeDeclined"})
    changed = client.post(f"/api/payments/{payment['id']}/attempts")
    if changed["attempts"][-1]["gateway"] == "razorpay":
        client.pay_razorpay(changed, **BY_CARD)


def change_with_the_banks_page_open(client: Client) -> None:
    """The customer's bank asks them to confirm; they go back, pay at Razorpay, and then confirm at the bank too."""
    payment = client.create("INR", payment_method="pm_card_authenticationRequired", confirm=True)
    changed = client.post(f"/api/payments/{payment['id']}/attempts")
    client.pay_razorpay(changed)
    client.say_yes_at_the_bank(payment)


def retry_with_the_customer_away(client: Client) -> None:
    """A saved card is declined for a passing fault, and charged again a quarter of an hour later."""
    client.settings(productionSettings={"paymentRetryAttempts": 2})
    client.create("USD", **client.save_card(declined="processing_error"))
    client.pass_by(901.0)


def give_back_a_surplus(client: Client) -> None:
    """Razorpay's bank says yes after the payment was paid at Stripe, and somebody captures it in the dashboard."""
    payment = client.create("INR")
    client.pay_razorpay(payment, vpa="pending@razorpay")
    client.post(f"/api/payments/{payment['id']}/attempts")
    client.post(f"/api/payments/{payment['id']}/confirm", {"payment_method": "pm_card_visa"})
    client.capture_by_hand()


def give_back_what_a_cancelled_order_took(client: Client) -> None:
    """The shop cancels, takes another payment for the same order, and somebody captures the first in the dashboard."""
    payment = client.create("INR")
    client.pay_razorpay(payment, vpa="pending@razorpay")
    client.post(f"/api/payments/{payment['id']}/cancel")
    client.create("INR", payment_method="pm_card_visa", confirm=True)
    client.capture_by_hand()


def refund_at_stripe(client: Client) -> None:
    """Nobody has to agree: it is sent with the request."""
    _ask_back(client, _paid_by_card(client), needs_approval=False)


def refund_at_razorpay(client: Client) -> None:
    payment = client.create("INR", gateway="razorpay")
    client.pay_razorpay(payment)
    _ask_back(client, payment, needs_approval=False)


def refund_approved(client: Client) -> None:
    """A second person agrees, and it is sent by itself."""
    refund = _ask_back(client, _paid_by_card(client))
    client.approve(f"/api/payments/refunds/{refund['id']}/approve")


def refund_sent_without_an_answer(client: Client) -> None:
    """A person sends what was approved; the gateway gives it back, and its answer is lost, and the resend's too; somebody
    asks how it stands.
    """
    payment = _paid_by_card(client)
    refund = _ask_back(client, payment, sent_by_itself=False)
    client.approve(f"/api/payments/refunds/{refund['id']}/approve")
    client.gateways.world.faults.add("stripe", "refunds.create", "reset_after", times=2)
    client.approve(f"/api/payments/refunds/{refund['id']}/send")
    client.post(f"/api/payments/{payment['id']}/sync")


def refund_at_razorpay_without_an_answer(client: Client) -> None:
    payment = client.create("INR", gateway="razorpay")
    client.pay_razorpay(payment)
    client.gateways.world.faults.add("razorpay", "payments.refund", "reset_after", times=2)
    _ask_back(client, payment, needs_approval=False)
    client.post(f"/api/payments/{payment['id']}/sync")


def refund_sent_back_by_the_bank_and_tried_again(client: Client) -> None:
    refund = _sent_back(client)
    client.approve(f"/api/payments/refunds/{refund['id']}/retry")


def refund_sent_back_by_the_bank_and_paid_otherwise(client: Client) -> None:
    """By a bank transfer, which somebody records and another approves."""
    refund = _sent_back(client)
    by_hand = client.post(f"/api/payments/refunds/{refund['id']}/manual", {"evidence": "UTR 4711"})
    client.approve(f"/api/payments/refunds/{by_hand['id']}/approve")


def refund_asked_for_and_made_in_the_dashboard(client: Client) -> None:
    """While it waits for an approval, somebody makes it at the gateway."""
    refund = _ask_back(client, _paid_by_card(client))
    (charge,) = client.gateways.truth()["stripe"]["charges"]
    client.at_gateway("stripe/dashboard_refund", charge=charge["id"], amount=refund["amount"])
    client.pass_by(1.0)
    client.approve(f"/api/payments/refunds/{refund['id']}/approve")


def _paid_by_card(client: Client) -> Any:
    return client.create("USD", payment_method="pm_card_bypassPending", confirm=True)


def _ask_back(
    client: Client, payment: Any, *, needs_approval: bool = True, sent_by_itself: bool = True
) -> Any:
    """A part of a payment is asked back."""
    rules = {"refundApprovalRequired": needs_approval, "automatedRefunds": sent_by_itself}
    client.settings(refundProcessing=rules)
    path, asked = f"/api/payments/{payment['id']}/refund", {"amount": 4_000, "reason": "duplicate"}
    return client.post(path, asked)


def _sent_back(client: Client) -> Any:
    """A refund that succeeded, and fails days later."""
    refund = _ask_back(client, _paid_by_card(client), needs_approval=False)
    client.pass_by(3_700.0)
    while not (refunds := client.gateways.truth()["stripe"]["refunds"]):
        client.pass_by(3_700.0)  # its process ended over it: it is looked for twice before it is sent again
    (made,) = refunds
    client.at_gateway("stripe/refund", refund=made["id"], status="failed")
    client.pass_by(1.0)
    return refund


def answer_a_dispute(client: Client) -> None:
    """Evidence is sent, and the bank decides for the shop."""
    dispute = _disputed(client)
    client.approve(f"/api/payments/disputes/{dispute['id']}/submit")
    client.at_gateway("stripe/dispute_status", dispute=dispute["gateway_reference"], status="won")
    client.pass_by(1.0)


def give_a_dispute_up_without_an_answer(client: Client) -> None:
    """The gateway does it, and its answer is lost, and the resend's too."""
    dispute = _disputed(client)
    client.gateways.world.faults.add("stripe", "disputes.close", "reset_after", times=2)
    client.approve(f"/api/payments/disputes/{dispute['id']}/accept", {"confirm": True})
    client.post(f"/api/payments/{dispute['payment']}/sync")


def _disputed(client: Client) -> Any:
    """A payment of which the customer's bank asks a part back."""
    payment = _paid_by_card(client)
    (charge,) = client.gateways.truth()["stripe"]["charges"]
    client.at_gateway("stripe/dispute", charge=charge["id"], amount=4_000)
    client.pass_by(1.0)
    (dispute,) = client.post(f"/api/payments/{payment['id']}/sync")["disputes"]
    return dispute


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
        change_with_the_banks_page_open,
        retry_with_the_customer_away,
        give_back_a_surplus,
        give_back_what_a_cancelled_order_took,
        refund_at_stripe,
        refund_at_razorpay,
        refund_approved,
        refund_sent_without_an_answer,
        refund_at_razorpay_without_an_answer,
        refund_sent_back_by_the_bank_and_tried_again,
        refund_sent_back_by_the_bank_and_paid_otherwise,
        refund_asked_for_and_made_in_the_dashboard,
        answer_a_dispute,
        give_a_dispute_up_without_an_answer,
    )
}
