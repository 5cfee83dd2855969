"""What gateways make of refunds: days of waiting, a late failure, a short balance, a slower way, a dashboard of their own."""

from collections.abc import Iterator
from typing import Any

import pytest

from counterfoil.services import checking, inbox, refunding, settling
from database import Postgres
from service import Service, serving

OPEN = {
    "automatedRefunds": True,
    "refundApprovalRequired": False,
    "partialRefundsEnabled": True,
    "refundReasons": ["duplicate", "fraudulent", "requested_by_customer", "other"],
    "speed": "normal",
}


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres) -> Iterator[Service]:
    """No worker, and webhooks held: whatever happens was asked for by a test."""
    with serving(fast_postgres, work=False) as service:
        service.sandbox.webhooks(hold=True)
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    running.change_settings({"refundProcessing": OPEN})
    yield running
    running.sandbox.control("POST", "stripe/refunds", {})
    running.sandbox.control("POST", "razorpay", {"refunds": "processed", "instant_refunds": True})
    wrong = [str(one) for one in running.run(checking.check(running.context)) if one.rule != "idempotency"]
    assert wrong == []


def paid(service: Service, gateway: str = "stripe", amount: int = 10_000) -> Any:
    if gateway == "stripe":
        made = service.create(amount, payment_method="pm_card_bypassPending", confirm=True)
    else:
        made = service.create(amount, "INR", gateway="razorpay")
        service.pay_razorpay(made["attempts"][0]["gateway_reference"])
        made = service.post(f"/api/payments/{made['id']}/sync").json
    assert made["status"] == "captured", made
    return made


def charge_of(payment: Any) -> str:
    [attempt] = payment["attempts"]
    return attempt["charges"][0]["gateway_reference"]


def ask(service: Service, payment: Any, amount: int, **more: Any) -> Any:
    body = {"reason": "requested_by_customer", "amount": amount, **more}
    answer = service.post(f"/api/payments/{payment['id']}/refund", body)
    assert answer.status == 201, answer
    return answer.json


def act(service: Service, refund: Any, verb: str, body: Any = None, status: int = 200, **more: Any) -> Any:
    answer = service.post(f"/api/payments/refunds/{refund['id']}/{verb}", body, **more)
    assert answer.status == status, answer
    return answer.json


def later(service: Service, refund: Any, seconds: float) -> Any:
    """Time passes, and the refund is looked after as the worker would."""
    service.advance(seconds)
    service.run(refunding.look_after(service.context, refund["payment"], refund["id"]))
    return service.get(f"/api/payments/refunds/{refund['id']}").json


def kinds(service: Service, payment: Any) -> set[str]:
    rows = service.rows("SELECT kind FROM exceptions WHERE payment_id = $1", payment["id"])
    return {row["kind"] for row in rows}


def books(service: Service, payment: Any) -> dict[str, int]:
    rows = service.rows(
        """
        SELECT l.name, sum(e.amount)::bigint AS balance FROM journals j JOIN entries e ON e.journal_id = j.id
        JOIN ledger_accounts l ON l.id = e.ledger_account_id WHERE j.payment_id = $1 GROUP BY l.name
        """,
        payment["id"],
    )
    return {row["name"]: row["balance"] for row in rows if row["balance"]}


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_one_that_waits_for_days_says_so_and_then_arrives(service, gateway):
    if gateway == "stripe":
        service.sandbox.control("POST", "stripe/refunds", {"course": "pending", "seconds": 3 * 86_400})
    else:
        service.sandbox.control("POST", "razorpay", {"refunds": "pending", "refund_seconds": 3 * 86_400})
    payment = paid(service, gateway)
    refund = ask(service, payment, 4_000)
    assert (refund["status"], refund["stage"]) == ("processing", "with the gateway, not yet paid out")
    assert later(service, refund, 86_400)["status"] == "processing"
    done = later(service, refund, 2 * 86_400 + 60)
    assert done["status"] == "succeeded"
    assert service.payment(payment["id"])["amount_refunded"] == 4_000
    assert books(service, payment) == {"gateway_balance": 6_000, "sales": -6_000}


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_one_that_succeeded_and_then_fails_gives_the_money_back_and_people_are_told(service, gateway):
    if gateway == "stripe":
        service.sandbox.control("POST", "stripe/refunds", {"course": "failing", "seconds": 86_400})
    else:
        service.sandbox.control("POST", "razorpay", {"refunds": "failing_late", "refund_seconds": 86_400})
    payment = paid(service, gateway)
    refund = ask(service, payment, 4_000)
    assert refund["status"] == "succeeded"
    failed = later(service, refund, 86_400 + 60)
    assert failed["status"] == "failed"
    assert failed["stage"].startswith("failed, the money is back")
    after = service.payment(payment["id"])
    assert (after["amount_refunded"], after["refundable"]) == (0, 10_000)
    assert books(service, payment) == {"gateway_balance": 10_000, "sales": -10_000}
    assert kinds(service, payment) == {"refund_failed"}


def failed_one(service: Service, payment: Any) -> Any:
    service.sandbox.control("POST", "stripe/refunds", {"course": "failing", "seconds": 60, "times": 1})
    refund = ask(service, payment, 4_000)
    assert later(service, refund, 7 * 3600)["status"] == "failed"
    return refund


def test_what_failed_is_asked_for_again_as_a_new_refund(service):
    payment = paid(service)
    refund = failed_one(service, payment)
    again = act(service, refund, "retry", status=201)
    assert (again["retry_of"], again["amount"], again["status"]) == (refund["id"], 4_000, "succeeded")
    act(service, again, "retry", status=409)
    assert service.payment(payment["id"])["amount_refunded"] == 4_000


@pytest.mark.parametrize(("verb", "body"), [("retry", None), ("manual", {"evidence": "UTR 7"})])
def test_what_failed_is_made_good_once_while_another_takes_its_place(service, verb, body):
    payment = paid(service)
    refund = failed_one(service, payment)
    manual = act(service, refund, "manual", {"evidence": "UTR 123456"}, status=201)
    said = act(service, refund, verb, body, status=409)
    assert manual["id"] in said["detail"]
    act(service, manual, "reject", {"reason": "no such transfer"}, key=service.key("approver"))
    assert act(service, refund, verb, body, status=201)["retry_of"] == refund["id"]


@pytest.mark.parametrize(("verb", "body"), [("retry", None), ("manual", {"evidence": "UTR 7"})])
def test_what_failed_is_asked_for_again_although_its_reason_is_gone_by_now(service, verb, body):
    refund = failed_one(service, paid(service))
    gone = {"refundReasons": ["broken"], "partialRefundsEnabled": False}
    service.change_settings({"refundProcessing": gone})
    again = act(service, refund, verb, body, status=201)
    assert (again["reason"], again["amount"]) == (refund["reason"], 4_000)


def test_what_failed_may_be_paid_back_in_another_way_once_somebody_else_agrees(service):
    payment = paid(service)
    refund = failed_one(service, payment)
    manual = act(service, refund, "manual", {"evidence": "UTR 123456"}, status=201)
    assert (manual["status"], manual["method"], manual["approvals_needed"]) == (
        "pending_approval",
        "manual",
        1,
    )
    act(service, manual, "approve", status=403)
    done = act(service, manual, "approve", key=service.key("approver"))
    assert (done["status"], done["stage"]) == ("succeeded", "paid back in another way: UTR 123456")
    after = service.payment(payment["id"])
    assert (after["amount_refunded"], after["refundable"]) == (4_000, 6_000)
    assert books(service, payment) == {"gateway_balance": 10_000, "bank": -4_000, "sales": -6_000}
    service.run(settling.sync(service.context, payment["id"]))
    assert service.payment(payment["id"])["amount_refunded"] == 4_000


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_a_balance_that_is_too_short_leaves_it_approved_and_it_goes_later(service, gateway):
    if gateway == "stripe":
        service.sandbox.control("POST", "stripe/refunds", {"course": "refused", "times": 1})
    else:
        service.sandbox.control("POST", "razorpay", {"refunds": "no_balance"})
    payment = paid(service, gateway)
    refund = ask(service, payment, 4_000)
    assert (refund["status"], refund["failure"]["code"]) == ("approved", "refund_balance_short")
    assert refund["stage"].startswith("approved, not yet sent: ")
    assert service.payment(payment["id"])["refundable"] == 6_000
    assert kinds(service, payment) == {"refund_waits"}
    service.sandbox.control("POST", "razorpay", {"refunds": "processed"})
    assert later(service, refund, 61)["status"] in {"processing", "succeeded"}
    assert len(service.payment(payment["id"])["refunds"]) == 1


def test_an_instant_refund_that_falls_back_says_at_which_speed_it_went(service):
    service.sandbox.control("POST", "razorpay", {"instant_refunds": False})
    payment = paid(service, "razorpay")
    refund = ask(service, payment, 4_000, speed="optimum")
    assert refund["speed_requested"] == "optimum"
    assert later(service, refund, 86_400)["speed"] == "normal"
    service.sandbox.control("POST", "razorpay", {"instant_refunds": True})
    assert ask(service, payment, 1_000, speed="optimum")["speed"] == "instant"


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_the_banks_reference_is_known_once_there_is_one(service, gateway):
    payment = paid(service, gateway)
    refund = ask(service, payment, 4_000)
    seen = later(service, refund, 2 * 86_400)
    for _ in range(3):
        seen = seen if seen["arn"] else later(service, refund, 86_400)
    assert seen["arn"]
    assert seen["stage"] == f"paid out, bank reference {seen['arn']}"


def hear(service: Service, payment: Any, refunds: int) -> None:
    """Let webhooks through, and understand them as the worker would, until the payment has so many refunds."""

    def heard() -> bool:
        for row in service.rows("SELECT id FROM inbox WHERE status = 'received'"):
            service.run(inbox.understand(service.context, row["id"]))
        return len(service.payment(payment["id"])["refunds"]) == refunds

    service.sandbox.webhooks(hold=False)
    service.eventually(heard)
    service.sandbox.webhooks(hold=True)


def in_dashboard(service: Service, payment: Any, amount: int) -> None:
    gateway, charge = payment["gateway"], charge_of(payment)
    named = {"charge": charge} if gateway == "stripe" else {"payment_id": charge}
    service.sandbox.control("POST", f"{gateway}/dashboard_refund", {**named, "amount": amount})


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_a_refund_of_the_gateways_own_dashboard_appears_and_is_flagged(service, gateway):
    payment = paid(service, gateway)
    in_dashboard(service, payment, 2_500)
    hear(service, payment, 1)
    [seen] = service.payment(payment["id"])["refunds"]
    assert (seen["source"], seen["amount"], seen["status"]) == ("gateway", 2_500, "succeeded")
    after = service.payment(payment["id"])
    assert (after["amount_refunded"], after["refundable"]) == (2_500, 7_500)
    assert kinds(service, payment) == {"refund_outside"}


def test_one_of_the_dashboard_answers_the_request_of_the_same_amount(service):
    service.change_settings({"refundProcessing": {"refundApprovalRequired": True}})
    payment = paid(service)
    wanted, other = ask(service, payment, 2_500), ask(service, payment, 1_000)
    in_dashboard(service, payment, 2_500)
    hear(service, payment, 3)
    stands = {one["id"]: one for one in service.payment(payment["id"])["refunds"]}
    assert stands[wanted["id"]]["status"] == "cancelled"
    assert "made in the gateway's own dashboard" in stands[wanted["id"]]["because"]
    assert stands[other["id"]]["status"] == "pending_approval"
    assert kinds(service, payment) == set()
    assert service.payment(payment["id"])["refundable"] == 6_500


def test_less_being_left_voids_what_is_not_sent_oldest_first(service):
    service.change_settings({"refundProcessing": {"refundApprovalRequired": True}})
    payment = paid(service)
    first, second = ask(service, payment, 3_000), ask(service, payment, 3_000)
    in_dashboard(service, payment, 6_000)
    hear(service, payment, 3)
    stands = {one["id"]: one["status"] for one in service.payment(payment["id"])["refunds"]}
    assert (stands[first["id"]], stands[second["id"]]) == ("cancelled", "pending_approval")
    assert kinds(service, payment) == {"refund_voided", "refund_outside"}
    assert service.payment(payment["id"])["refundable"] == 1_000


def test_by_setting_a_payment_of_which_the_network_warns_is_given_back_before_it_is_disputed(service):
    service.change_settings(
        {"refundProcessing": {"refundApprovalRequired": True, "automatic": {"earlyFraudWarnings": True}}}
    )
    payment, other = paid(service), paid(service)
    service.sandbox.control("POST", "stripe/early_fraud_warning", {"charge": charge_of(payment)})

    def given_back() -> bool:
        for row in service.rows("SELECT id FROM inbox WHERE status = 'received'"):
            service.run(inbox.understand(service.context, row["id"]))
        service.run(settling.look_after(service.context, payment["id"]))
        return bool(service.payment(payment["id"])["refunds"])

    service.sandbox.webhooks(hold=False)
    service.eventually(given_back)
    service.sandbox.webhooks(hold=True)
    service.run(settling.look_after(service.context, payment["id"]))
    [refund] = service.payment(payment["id"])["refunds"]
    assert (refund["source"], refund["amount"], refund["reason"]) == ("rule", 10_000, "fraudulent")
    assert refund["rule"] == "automatic: the card network warns of fraud"
    assert service.payment(other["id"])["refunds"] == []
    service.change_settings({"refundProcessing": {"automatic": {}}})
