"""Failover: another gateway only once the first can never charge, one winner, and what is taken twice given back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from counterfoil.domain.routing_policy import Policy
from counterfoil.services import refunding, settling, sweeping
from service import Service, call

DECLINED = "pm_card_chargeDeclined"
SILENT = {"timeout_after": {"seconds": 0.05}}


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
    service.capture_in_dashboard(late, 50_000)
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
    service.capture_in_dashboard(late, 50_000)
    service.sandbox.fault("razorpay", "payments.refund", "rate_limit", times=1)
    waiting = sync(service, made)
    assert waiting["surplus"][0]["amount_refunded"] == 0
    assert waiting["refunds"][0]["stage"].startswith("approved, not yet sent: ")
    service.advance(61)
    service.run(refunding.due_refunds(service.context))
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
        asked = {"gateway": "razorpay"}
        list(pool.map(lambda _: service.post(f"/api/payments/{made['id']}/attempts", asked), range(10)))
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


@pytest.mark.parametrize("commit", range(1, 8))
def test_a_retry_of_a_change_that_broke_off_finishes_it(service, weak, commit):
    made, path = declined(service), "/api/payments/{}/attempts"
    key = f"change {made['id']}"
    weak.left = commit
    broke = service.post(path.format(made["id"]), idempotency_key=key)
    weak.left = None
    assert broke.status == 503
    early = service.post(path.format(made["id"]), idempotency_key=key)
    service.advance(31)
    after = service.post(path.format(made["id"]), idempotency_key=key)
    assert (early.json.get("code"), after.status) == (None if commit == 1 else "idempotency_in_flight", 200)
    assert stands(after.json) == ("pending", [("stripe", "fenced"), ("razorpay", "open")])
    service.pay_razorpay(order_of(after.json))
    assert len(taken(service, sync(service, made))) == 1
    again = service.post(path.format(made["id"]), idempotency_key=key)
    assert (again.status, again.headers.get("idempotency-replayed")) == (200, "true")


def test_a_retry_finds_another_way_where_the_opening_it_left_was_never_answered(service, weak):
    made = declined(service)
    key, path = f"change {made['id']}", f"/api/payments/{made['id']}/attempts"
    service.sandbox.fault("razorpay", "orders.create", "error_5xx_before", times=1)
    weak.left = (
        6  # the plan, the fence's intent and outcome, the attempt: the last is what came of its opening
    )
    assert service.post(path, idempotency_key=key).status == 503
    service.advance(31)
    after = service.post(path, idempotency_key=key).json
    assert stands(after) == ("pending", [("stripe", "fenced"), ("razorpay", "dead"), ("razorpay", "open")])


def test_where_the_other_gateway_does_not_open_the_first_is_opened_anew(service):
    made = declined(service)
    service.sandbox.fault("razorpay", "orders.create", "error_5xx_before", times=1)
    after = change(service, made, "razorpay")
    assert stands(after) == ("pending", [("stripe", "fenced"), ("razorpay", "dead"), ("stripe", "open")])


def told(service: Service, payment: Any) -> list[tuple[str, str, int]]:
    """What the shop's backend is told of the payment: the type, the gateway it then is at, and the version."""
    rows = service.rows(
        "SELECT type, version, object FROM events WHERE object_id = $1 ORDER BY version", payment["id"]
    )
    return [(row["type"], row["object"]["gateway"], row["version"]) for row in rows]


@pytest.mark.parametrize("fault", ["refuse", "error_5xx_before", "reset_after"])
def test_an_opening_that_goes_on_elsewhere_is_not_told_as_a_failure(service, fault):
    service.sandbox.fault("razorpay", "orders.create", fault, times=1)
    made = service.create(50_000, "INR")
    assert stands(made) == ("created", [("razorpay", "dead"), ("stripe", "open")])
    assert told(service, made) == [("payment.created", "razorpay", 1), ("payment.updated", "stripe", 2)]
    assert made["version"] == 2


def test_an_opening_that_goes_on_nowhere_is_told_as_a_failure_once(service):
    for gateway in ("stripe", "razorpay"):
        service.sandbox.fault(gateway, "*", "error_5xx_before")
    made = service.create(50_000, "INR")
    assert [type_ for type_, _, _ in told(service, made)] == [
        "payment.created", "payment.updated", "payment.failed"
    ]  # fmt: skip


def test_a_retry_of_an_opening_that_broke_off_is_not_told_as_a_failure(service, weak):
    weak.left = 2  # the payment is made, its opening is sent, and nobody keeps what came of it
    key, asked = "an opening broke off", {"amount": 50_000, "currency": "INR"}
    assert service.post("/api/payments", asked, idempotency_key=key).status == 503
    service.sandbox.fault("razorpay", "orders.list", "error_5xx_before", times=1)  # nor is it found
    service.advance(31)
    made = service.post("/api/payments", asked, idempotency_key=key).json
    assert stands(made) == ("created", [("razorpay", "dead"), ("razorpay", "open")])
    assert [type_ for type_, _, _ in told(service, made)] == ["payment.created", "payment.updated"]


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
