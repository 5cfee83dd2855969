"""Failover: another gateway only once the first can never charge, one winner, and what is taken twice given back."""

from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from counterfoil.domain.routing_policy import Policy
from counterfoil.services import settling, sweeping
from database import Postgres
from service import Service, Weak, call, serving

DECLINED = "pm_card_chargeDeclined"
SILENT = {"timeout_after": {"seconds": 0.05}}


@pytest.fixture(scope="module")
def weak() -> Weak:
    return Weak()


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres, weak: Weak) -> Iterator[Service]:
    """No worker, and webhooks held: whatever happens was asked for by a test."""
    with serving(fast_postgres, work=False, on_commit=weak) as service:
        service.sandbox.webhooks(hold=True)
        service.key()  # made now: a test that counts commits must not count this one
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    yield running
    running.sandbox.control("DELETE", "faults")
    running.context.directory.routing = Policy()


def declined(service: Service, amount: int = 50_000) -> Any:
    """A payment in rupees whose card was declined at Stripe; Razorpay could take it too."""
    return service.create(amount, "INR", payment_method=DECLINED, confirm=True)


def at_razorpay(service: Service, amount: int = 50_000) -> Any:
    made = service.create(amount, "INR")
    assert made["attempts"][0]["gateway"] == "razorpay"
    return made


def change(service: Service, payment: Any, gateway: str | None = None, status: int = 200) -> Any:
    body = {"gateway": gateway} if gateway else None
    answer = service.post(f"/api/payments/{payment['id']}/attempts", body)
    assert answer.status == status, answer
    return answer.json


def sync(service: Service, payment: Any) -> Any:
    return service.post(f"/api/payments/{payment['id']}/sync").json


def stands(payment: Any) -> tuple[str, list[tuple[str, str]]]:
    return payment["status"], [(a["gateway"], a["status"]) for a in payment["attempts"]]


def order_of(payment: Any) -> str:
    return payment["attempts"][-1]["gateway_reference"]


def captures_in_dashboard(service: Service, pay_id: str, amount: int) -> None:
    """A person captures the payment in Razorpay's dashboard, past us."""
    config = service.sandbox.config
    key = b64encode(f"{config.razorpay_key_id}:{config.razorpay_key_secret}".encode()).decode()
    body = {"amount": amount, "currency": "INR"}
    answer = call(
        service.sandbox.url,
        "POST",
        f"/razorpay/v1/payments/{pay_id}/capture",
        body,
        headers={"authorization": f"Basic {key}"},
    )
    assert answer.status == 200, answer


def razorpay_payment(service: Service, pay_id: str) -> Any:
    return next(p for p in service.sandbox.truth()["razorpay"]["payments"] if p["id"] == pay_id)


def taken(service: Service, payment: Any) -> list[Any]:
    truth, refs = service.sandbox.truth(), {a["gateway_reference"] for a in payment["attempts"]}
    charges = [c for c in truth["stripe"]["charges"] if c["payment_intent"] in refs and c["captured"]]
    return charges + [
        p for p in truth["razorpay"]["payments"] if p["order_id"] in refs and p["status"] == "captured"
    ]


def test_after_a_decline_the_other_gateway_is_offered_and_takes_the_payment(service):
    made = declined(service)
    assert [offer["gateway"] for offer in made["checkout"]["next"]] == ["razorpay"]
    changed = change(service, made)
    assert stands(changed) == ("pending", [("stripe", "fenced"), ("razorpay", "open")])
    service.pay_razorpay(order_of(changed))
    paid = sync(service, changed)
    assert stands(paid) == ("captured", [("stripe", "fenced"), ("razorpay", "won")])
    assert len(taken(service, paid)) == 1
    intents = service.sandbox.truth()["stripe"]["payment_intents"]
    assert (
        next(i for i in intents if i["id"] == made["attempts"][0]["gateway_reference"])["status"]
        == "canceled"
    )


def test_nothing_else_is_offered_before_a_try_has_failed_or_where_the_caller_named_the_gateway(service):
    assert "next" not in at_razorpay(service)["checkout"]
    named = service.create(50_000, "INR", gateway="stripe", payment_method=DECLINED, confirm=True)
    assert "next" not in named["checkout"]


def test_a_late_authorisation_of_a_fenced_order_is_never_captured(service):
    made = at_razorpay(service)
    order = order_of(made)
    changed = change(service, made, "stripe")
    assert stands(changed) == ("created", [("razorpay", "fenced"), ("stripe", "open")])
    late = service.pay_razorpay(order)["razorpay_payment_id"]
    assert stands(sync(service, made))[1] == [("razorpay", "fenced"), ("stripe", "open")]
    paid = service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"}).json
    assert paid["status"] == "captured"
    for _ in range(2):
        service.run(settling.sync(service.context, made["id"]))
    assert razorpay_payment(service, late)["status"] == "authorized"
    assert (len(taken(service, paid)), sync(service, made)["surplus"]) == (1, [])


def test_by_setting_a_late_authorisation_is_captured_and_given_back_at_once(service):
    service.context.directory.routing = Policy(late_authorization="refund")
    made = at_razorpay(service)
    order = order_of(made)
    change(service, made, "stripe")
    late = service.pay_razorpay(order)["razorpay_payment_id"]
    service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    paid = sync(service, made)
    assert (paid["status"], paid["amount_captured"], paid["amount_refunded"]) == ("captured", 50_000, 0)
    [surplus] = paid["surplus"]
    assert (surplus["gateway_reference"], surplus["amount_captured"], surplus["amount_refunded"]) == (
        late,
        50_000,
        50_000,
    )
    assert razorpay_payment(service, late)["amount_refunded"] == 50_000


@pytest.mark.parametrize("lost", [None, "error_5xx_after", "garbage", "timeout_after", "error_5xx_before"])
def test_a_surplus_capture_is_given_back_by_itself_and_once(service, lost):
    made = at_razorpay(service)
    order = order_of(made)
    change(service, made, "stripe")
    late = service.pay_razorpay(order)["razorpay_payment_id"]
    service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    captures_in_dashboard(service, late, 50_000)
    if lost:
        service.sandbox.fault("razorpay", "payments.refund", lost, times=1, **SILENT.get(lost, {}))
    sync(service, made)
    for _ in range(4):
        service.advance(91)
        paid = sync(service, made)
    [surplus] = paid["surplus"]
    assert (paid["status"], paid["amount_captured"], paid["amount_refunded"]) == ("captured", 50_000, 0)
    assert (surplus["amount_captured"], surplus["amount_refunded"]) == (50_000, 50_000)
    assert razorpay_payment(service, late)["amount_refunded"] == 50_000
    opened = service.rows("SELECT kind FROM exceptions WHERE payment_id = $1", made["id"])
    assert {row["kind"] for row in opened} == {"surplus_capture"}
    balances = service.rows(
        """
        SELECT l.name, sum(e.amount)::bigint AS balance FROM journals j JOIN entries e ON e.journal_id = j.id
        JOIN ledger_accounts l ON l.id = e.ledger_account_id WHERE j.payment_id = $1 GROUP BY l.name
        """,
        made["id"],
    )
    assert sum(row["balance"] for row in balances) == 0


def test_a_refund_that_was_refused_is_asked_for_again(service):
    made = at_razorpay(service)
    order = order_of(made)
    change(service, made, "stripe")
    late = service.pay_razorpay(order)["razorpay_payment_id"]
    service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    captures_in_dashboard(service, late, 50_000)
    service.sandbox.fault("razorpay", "payments.refund", "rate_limit", times=1)
    assert sync(service, made)["surplus"][0]["amount_refunded"] == 0
    assert service.rows("SELECT next_check_at FROM payments WHERE id = $1", made["id"])[0]["next_check_at"]
    service.advance(60)
    service.run(sweeping.due_payments(service.context))
    assert service.payment(made["id"])["surplus"][0]["amount_refunded"] == 50_000


def test_while_an_outcome_is_unknown_no_other_gateway_is_opened(service):
    service.sandbox.fault("stripe", "payment_intents.confirm", "error_5xx_after", times=1)
    made = service.create(50_000, "INR", payment_method="pm_card_visa", confirm=True)
    assert made["attempts"][0]["status"] == "unknown"
    refused = change(service, made, "razorpay", 409)
    assert "not known yet; sync first" in refused["detail"]
    assert sync(service, made)["status"] == "captured"


def test_money_that_was_taken_meanwhile_stays_where_it_is(service):
    made = service.create(50_000, "INR", gateway="stripe")
    intent = made["attempts"][0]["gateway_reference"]
    config = service.sandbox.config
    answer = call(  # somebody who has Stripe's key confirms it past us
        service.sandbox.url,
        "POST",
        f"/stripe/v1/payment_intents/{intent}/confirm",
        b"payment_method=pm_card_visa&return_url=http://localhost/",
        headers={
            "authorization": f"Bearer {config.stripe_secret_key}",
            "content-type": "application/x-www-form-urlencoded",
        },
    )
    assert answer.status == 200, answer
    change(service, made, "razorpay")
    paid = sync(service, made)
    assert stands(paid) == ("captured", [("stripe", "won")])
    assert len(taken(service, paid)) == 1


def test_an_account_that_captures_by_itself_refuses_once_its_order_was_shown(service):
    made = at_razorpay(service)
    account = service.context.directory.active("razorpay", "sandbox").account_id

    async def flag(by_itself: bool) -> None:
        async with service.context.db.transaction() as conn:
            await conn.execute(
                "UPDATE gateway_accounts SET captures_by_itself = $2 WHERE id = $1", account, by_itself
            )
        await service.context.directory.refresh()

    service.run(flag(True))
    try:
        refused = change(service, made, "stripe", 422)
    finally:
        service.run(flag(False))
    assert refused["code"] == "not_supported_by_gateway"
    assert "captures by itself" in refused["detail"]
    assert stands(service.payment(made["id"])) == ("created", [("razorpay", "open")])


def test_ten_who_change_at_once_open_one_attempt(service):
    made = declined(service)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: service.post(f"/api/payments/{made['id']}/attempts"), range(10)))
    after = sync(service, made)
    assert stands(after) == ("pending", [("stripe", "fenced"), ("razorpay", "open")])


@pytest.mark.parametrize("commit", range(1, 7))
def test_a_process_that_dies_on_the_way_leaves_what_the_sweep_finishes(service, weak, commit):
    made = declined(service)
    weak.left = commit
    service.post(f"/api/payments/{made['id']}/attempts")
    weak.left = None
    for _ in range(4):
        service.advance(120)
        service.run(sweeping.due_payments(service.context))
    after = service.payment(made["id"])
    living = [a for a in after["attempts"] if a["status"] == "open"]
    assert (after["status"], len(living)) == ("pending", 1)
    if living[0]["gateway"] == "razorpay":
        service.pay_razorpay(living[0]["gateway_reference"])
        after = sync(service, made)
    else:  # it died before anything was planned
        after = service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"}).json
    assert (after["status"], len(taken(service, after))) == ("captured", 1)


def test_where_the_other_gateway_does_not_open_the_first_is_opened_anew(service):
    made = declined(service)
    service.sandbox.fault("razorpay", "orders.create", "error_5xx_before", times=1)
    after = change(service, made, "razorpay")
    assert stands(after) == ("pending", [("stripe", "fenced"), ("razorpay", "dead"), ("stripe", "open")])


def test_the_timeline_says_where_the_payment_went_and_why(service):
    made = declined(service)
    change(service, made)
    lines = service.get(f"/api/payments/{made['id']}/timeline").json["data"]
    [line] = [line for line in lines if line["what"] == "payment.failover"]
    assert (line["detail"]["from"], line["detail"]["to"]) == ("stripe", "razorpay")
    assert line["detail"]["reason"] == "razorpay offers the methods that payers in INR use"


def test_a_payment_that_is_over_does_not_change(service):
    done = service.create(payment_method="pm_card_visa", confirm=True)
    assert "captured" in change(service, done, "razorpay", 409)["detail"]
    only = service.create(60, "INR")  # Razorpay takes a rupee or more
    assert "No gateway but stripe" in change(service, only, None, 422)["detail"]
