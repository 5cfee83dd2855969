"""A payment's life beside the gateways' own: its end by time or by hand, failover, and a process that is killed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from builders import unique
from counterfoil import vault
from counterfoil.domain.operator import Role
from counterfoil.services import keys, sweeping
from database import Postgres
from sandbox_server import eventually, run_sandbox
from service import Process, Service, call, running_service, serving

DAY_S = 86_400


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres) as service:
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    yield running
    running.sandbox.control("DELETE", "faults")
    running.sandbox.control("POST", "razorpay", {"captures_by_itself": False})


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def act(service: Service, payment: Any, verb: str, body: Any = None) -> Any:
    answer = service.post(f"/api/payments/{payment['id']}/{verb}", body)
    assert answer.status == 200, answer
    return answer.json


def order_of(payment: Any) -> str:
    return payment["attempts"][-1]["gateway_reference"]


def intent_of(service: Service, payment: Any) -> Any:
    ref = payment["attempts"][0]["gateway_reference"]
    return next(i for i in service.sandbox.truth()["stripe"]["payment_intents"] if i["id"] == ref)


def at_razorpay(service: Service, payment: Any) -> list[Any]:
    """The payments that were tried on the payment's order."""
    tries = service.sandbox.truth()["razorpay"]["payments"]
    return [one for one in tries if one["order_id"] == order_of(payment)]


# The end by time


def test_a_day_later_an_unpaid_payment_has_failed_and_its_intent_is_cancelled(service):
    made = service.create()
    service.advance(DAY_S - 120)
    assert service.payment(made["id"])["status"] == "created"
    assert act(service, made, "sync")["status"] == "created"
    service.advance(180)
    done = service.until(made["id"], "failed")
    assert (done["attempts"][0]["status"], done["checkout"]) == ("fenced", None)
    assert intent_of(service, made)["status"] == "canceled"
    answer = service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    assert (answer.status, answer.json["state"]) == (409, "failed")


def test_a_day_later_a_customer_who_never_came_back_from_the_bank_is_not_charged(service):
    made = service.create(payment_method="pm_card_authenticationRequired", confirm=True)
    service.advance(DAY_S + 60)
    done = service.until(made["id"], "failed")
    assert intent_of(service, done)["status"] == "canceled"


def test_what_is_authorised_does_not_expire_with_the_customers_day(service):
    made = service.create(payment_method="pm_card_visa", confirm=True, capture="manual")
    service.advance(DAY_S + 60)
    service.run(sweeping.due_payments(service.context))
    assert act(service, made, "sync")["status"] == "authorized"
    act(service, made, "capture")  # the worker may be at it first
    service.until(made["id"], "captured")


def test_a_late_authorisation_of_an_expired_order_is_never_captured(service):
    made = service.create(50_000, "INR")
    brought = service.pay_razorpay(order_of(made), vpa="pending@razorpay")
    service.until(made["id"], "pending", seconds=3) if act(service, made, "sync")[
        "status"
    ] != "pending" else None
    service.advance(DAY_S + 60)
    done = service.until(made["id"], "failed")
    assert done["attempts"][0]["status"] == "fenced"
    service.sandbox.control("POST", "razorpay/late_authorize", {"payment_id": brought["razorpay_payment_id"]})

    def heard() -> Any:
        seen = act(service, made, "sync")
        return seen if seen["attempts"][0]["charges"][0]["status"] == "authorized" else None

    late = service.eventually(heard)
    assert (late["status"], late["amount_captured"]) == ("failed", 0)
    service.advance(5 * DAY_S)  # the gateway gives it back by itself
    assert [one["captured"] for one in at_razorpay(service, made)] == [False]
    assert act(service, made, "sync")["attempts"][0]["charges"][0]["status"] == "voided"


def test_a_customer_who_pays_a_cancelled_order_is_never_charged(service):
    made = service.create(50_000, "INR")
    assert act(service, made, "cancel")["status"] == "cancelled"
    service.pay_razorpay(order_of(made))

    def heard() -> Any:
        seen = service.payment(made["id"])
        return seen if seen["attempts"][0]["charges"] else None

    seen = service.eventually(heard)
    assert (seen["status"], seen["attempts"][0]["charges"][0]["status"]) == ("cancelled", "authorized")
    assert act(service, made, "sync")["status"] == "cancelled"
    assert service.post(f"/api/payments/{made['id']}/capture").status == 409
    assert [one["captured"] for one in at_razorpay(service, made)] == [False]


def test_money_that_the_gateway_took_on_a_cancelled_order_is_given_back_by_itself_and_shown(service):
    service.sandbox.control("POST", "razorpay", {"captures_by_itself": True})
    made = service.create(50_000, "INR")
    act(service, made, "cancel")
    service.pay_razorpay(order_of(made))

    def given_back() -> Any:
        seen = service.payment(made["id"])
        return seen if [one["amount_refunded"] for one in seen["surplus"]] == [50_000] else None

    done = service.eventually(given_back)
    assert (done["status"], done["amount_captured"], done["amount_refunded"]) == ("cancelled", 0, 0)
    assert [one["amount_refunded"] for one in at_razorpay(service, made)] == [50_000]
    opened = service.rows("SELECT kind FROM exceptions WHERE payment_id = $1", made["id"])
    assert [row["kind"] for row in opened] == ["surplus_capture"]


def test_the_shop_that_was_told_of_a_cancelled_payment_may_take_another(service):
    """A person captures the old one by hand: the customer pays once."""
    made = service.create(50_000, "INR", reference="one order")
    act(service, made, "cancel")
    late = service.pay_razorpay(order_of(made))["razorpay_payment_id"]
    service.create(50_000, "INR", reference="one order", payment_method="pm_card_visa", confirm=True)
    service.capture_in_dashboard(late, 50_000)
    service.eventually(lambda: at_razorpay(service, made)[0]["amount_refunded"] == 50_000)
    assert service.until(made["id"], "cancelled")["amount_captured"] == 0


def test_an_authorised_razorpay_payment_that_is_cancelled_is_given_back_by_the_gateway(service):
    made = service.create(50_000, "INR", capture="manual")
    service.pay_razorpay(order_of(made))
    service.until(made["id"], "authorized")
    assert act(service, made, "cancel")["status"] == "cancelled"
    service.advance(5 * DAY_S + 60)
    (one,) = at_razorpay(service, made)
    assert (one["captured"], one["status"]) == (False, "refunded")


def test_a_cancel_that_comes_too_late_says_that_the_money_was_taken(service):
    made = service.create(payment_method="pm_card_authenticationRequired", confirm=True)
    service.sandbox.webhooks(hold=True)
    try:
        service.authenticate(order_of(made))
        answer = service.post(f"/api/payments/{made['id']}/cancel")
        assert (answer.status, answer.json["code"], answer.json["state"]) == (409, "wrong_state", "captured")
        assert "refund" in answer.json["detail"]
        assert service.payment(made["id"])["amount_captured"] == 10_000
    finally:
        service.sandbox.webhooks(hold=False)


@pytest.fixture
def opening(service: Service, threads: ThreadPoolExecutor) -> Any:
    """A payment that is to be charged at once, its opening still under way; and the answer to come of it."""
    service.sandbox.fault("stripe", "payment_intents.create", "delay", seconds=0.7)
    reference = f"opening {unique()}"
    asked = {"payment_method": "pm_card_visa", "confirm": True, "reference": reference}
    answer = threads.submit(service.create, **asked)
    (payment,) = eventually(lambda: service.get("/api/payments", reference=reference).json["data"])
    return payment, answer


def test_a_payment_cancelled_while_it_is_being_opened_is_opened_recorded_and_not_charged(service, opening):
    payment, answer = opening
    asked = act(service, payment, "cancel")
    assert (asked["status"], asked["attempts"][0]["gateway_reference"]) == ("created", None)
    made = answer.result()
    assert made["attempts"][0]["gateway_reference"] == intent_of(service, made)["id"]
    assert (made["status"], made["amount_captured"], made["failure"]) == ("created", 0, None)
    assert calls_of(service, made) == [("open", "accepted")]
    service.advance(31)
    done = service.until(made["id"], "cancelled")
    assert (intent_of(service, done)["status"], charges_of(service, done)) == ("canceled", [])


def test_a_payment_whose_time_ends_while_it_is_being_opened_is_not_charged(service, opening):
    payment, answer = opening
    service.advance(DAY_S)
    made = answer.result()
    assert made["id"] == payment["id"]
    assert calls_of(service, made)[0] == ("open", "accepted")
    done = service.until(made["id"], "failed")
    assert (intent_of(service, done)["status"], charges_of(service, done)) == ("canceled", [])


def calls_of(service: Service, payment: Any) -> list[tuple[str, str]]:
    """Our calls for the payment, oldest first: what each was, and what became of it."""
    rows = service.rows(
        "SELECT verb, settled FROM calls WHERE payment_id = $1 ORDER BY started_at, id", payment["id"]
    )
    return [(row["verb"], row["settled"]) for row in rows]


def charges_of(service: Service, payment: Any) -> list[Any]:
    ref = payment["attempts"][0]["gateway_reference"]
    return [c for c in service.sandbox.truth()["stripe"]["charges"] if c["payment_intent"] == ref]


# Declines


def test_of_many_declines_the_last_is_shown_and_each_is_told_once(service):
    service.sandbox.webhooks(hold=True)
    try:
        made = service.create()
        for card, code in (
            ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
            ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
            ("pm_card_authenticationRequired", "authentication_failed"),  # which never comes to a charge
            ("pm_card_chargeDeclinedLostCard", "lost_or_stolen"),
            ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
            ("pm_card_authenticationRequired", "authentication_failed"),
        ):
            seen = act(service, made, "confirm", {"payment_method": card})
            if code == "authentication_failed":
                service.authenticate(made["attempts"][0]["gateway_reference"], "fail")
                seen = act(service, made, "sync")
            assert (seen["status"], seen["failure"]["code"]) == ("pending", code)
    finally:
        service.sandbox.webhooks(hold=False)
    told = {"attempt.opened": 1, "attempt.requires_action": 1, "attempt.declined": 6, "charge.failed": 4}
    assert facts_of(service, made) == told
    service.eventually(lambda: heard(service, made) == 6)
    assert act(service, made, "sync")["failure"] == seen["failure"]
    assert facts_of(service, made) == told


def facts_of(service: Service, payment: Any) -> dict[str, int]:
    """How many facts of each kind are known of the payment."""
    rows = service.rows(
        "SELECT kind, count(*) AS n FROM facts WHERE payment_id = $1 GROUP BY kind", payment["id"]
    )
    return {row["kind"]: row["n"] for row in rows}


def heard(service: Service, payment: Any) -> int:
    """How many webhooks of tries that failed were understood."""
    rows = service.rows(
        "SELECT FROM inbox WHERE payment_id = $1 AND status = 'processed' AND type = 'payment_intent.payment_failed'",
        payment["id"],
    )
    return len(rows)


# Capture by promise


def test_a_payment_at_razorpay_is_captured_by_us_as_soon_as_it_is_authorised(service):
    made = service.create(50_000, "INR")
    service.pay_razorpay(order_of(made))
    done = service.until(made["id"], "captured")
    assert [c["status"] for c in done["attempts"][0]["charges"]] == ["captured"]
    order = next(o for o in service.sandbox.truth()["razorpay"]["orders"] if o["id"] == order_of(made))
    assert order["status"] == "paid"


def test_of_two_authorisations_on_one_order_only_one_is_captured(service):
    service.sandbox.webhooks(hold=True)
    try:
        made = service.create(50_000, "INR")
        for _ in range(2):
            service.pay_razorpay(order_of(made))
    finally:
        service.sandbox.webhooks(hold=False)
    service.until(made["id"], "captured")
    act(service, made, "sync")
    assert [one["captured"] for one in at_razorpay(service, made)].count(True) == 1


# Failover, before anybody has seen anything


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("refuse", {"times": None}),
        ("rate_limit", {}),
        ("error_4xx", {"status": 401}),
        ("error_4xx", {"status": 400}),
    ],
)
def test_a_gateway_that_refuses_to_open_hands_over_to_the_other(service, fault, more):
    service.sandbox.fault("stripe", "payment_intents.create", fault, **more)
    made = service.create()
    assert [(a["gateway"], a["status"]) for a in made["attempts"]] == [
        ("stripe", "dead"),
        ("razorpay", "open"),
    ]
    assert (made["status"], made["gateway"], made["failure"]["code"] != "other") == (
        "created",
        "razorpay",
        True,
    )


def test_a_charge_never_fails_over(service):
    service.sandbox.fault("stripe", "payment_intents.confirm", "rate_limit")
    made = service.create(payment_method="pm_card_visa", confirm=True)
    assert [a["gateway"] for a in made["attempts"]] == ["stripe"]
    assert (made["status"], made["attempts"][0]["status"]) == ("created", "open")
    assert act(service, made, "confirm", {"payment_method": "pm_card_visa"})["status"] == "captured"


def test_after_failover_capture_is_ours_to_decide(service):
    service.sandbox.fault("razorpay", "orders.create", "rate_limit")
    made = service.create(50_000, "INR")
    assert intent_of(service, {"attempts": made["attempts"][1:]})["capture_method"] == "automatic_async"
    assert act(service, made, "confirm", {"payment_method": "pm_card_visa"})["status"] == "captured"


# Live mode

LIVE_KEYS = {
    "stripe_secret_key": "sk_live_counterfoil_tests",
    "stripe_publishable_key": "pk_live_counterfoil_tests",
    "razorpay_key_id": "rzp_live_counterfoil",
}


def test_in_live_mode_payments_are_live_and_no_other_mode_sees_or_makes_them(fast_postgres, tmp_path):
    vault.load(tmp_path / "key", make=True)
    live = {"mode": "live", "clock_url": None, "allow_live_test_gateway": True, "key_file": tmp_path / "key"}
    with (
        run_sandbox(livemode=True, **LIVE_KEYS) as sandbox,
        serving(fast_postgres, sandbox, **live) as service,
    ):
        key = service.key("support", "live")
        asked = {"amount": 50_000, "currency": "INR"}
        made = service.post("/api/payments", asked, key=key).json
        assert made["mode"] == "live"
        service.pay_razorpay(order_of(made))

        def seen() -> Any:
            return service.get(f"/api/payments/{made['id']}", key=key).json

        service.eventually(lambda: seen()["status"] == "captured")
        card = {"currency": "USD", "payment_method": "pm_card_visa", "confirm": True}
        paid = service.post("/api/payments", asked | card, key=key).json
        assert (paid["mode"], paid["status"]) == ("live", "captured")
        assert service.get("/api/payments", key=service.key("admin", "sandbox")).json["data"] == []
        other = service.post("/api/payments", asked, key=service.key("admin", "sandbox"))
        assert (other.status, other.json["code"]) == (422, "no_gateway")
        modes = service.rows("SELECT DISTINCT mode FROM payments UNION SELECT mode FROM inbox")
        assert modes == [{"mode": "live"}]


# A process that is killed


@pytest.mark.crash
@pytest.mark.parametrize(
    ("gateway", "name", "fault", "currency"),
    [
        ("stripe", "payment_intents.create", "timeout_after", "USD"),
        ("stripe", "payment_intents.create", "timeout_before", "USD"),
        ("stripe", "payment_intents.confirm", "timeout_after", "USD"),
        ("stripe", "payment_intents.confirm", "timeout_before", "USD"),
        ("razorpay", "orders.create", "timeout_after", "INR"),
    ],
)
def test_a_process_killed_in_the_middle_of_a_call_charges_once(
    database_url, tmp_path, threads, gateway, name, fault, currency
):
    with run_sandbox() as sandbox, Process(sandbox, database_url, tmp_path / "key") as process:
        key = an_api_key(database_url, sandbox, tmp_path / "key")
        asked = {"amount": 50_000, "currency": currency, "capture": "manual"}
        if currency == "USD":
            asked |= {"payment_method": "pm_card_visa", "confirm": True, "capture": "automatic"}
        headers = {"authorization": f"Bearer {key}", "idempotency-key": "through the crash"}

        def send() -> Any:
            try:
                return call(process.url, "POST", "/api/payments", asked, headers=headers)
            except OSError as cut:
                return cut

        sandbox.fault(gateway, name, fault)
        lost = threads.submit(send)
        until_fired(sandbox)
        process.kill()
        assert isinstance(lost.result(), OSError)
        process.start()
        early = send()
        assert (early.status, early.json["code"]) == (409, "idempotency_in_flight")
        sandbox.advance(31)
        retried = until_answered(send)
        assert retried.status == 201
        (payment,) = call(process.url, "GET", "/api/payments", headers=headers).json["data"]
        assert payment["id"] == retried.json["id"]
        truth = sandbox.truth()
        if currency == "USD":
            assert payment["status"] == "captured"
            assert [charge["amount_captured"] for charge in truth["stripe"]["charges"]] == [50_000]
        else:
            refs = [a["gateway_reference"] for a in payment["attempts"] if a["status"] == "open"]
            assert refs == [order["id"] for order in truth["razorpay"]["orders"]]


def an_api_key(database_url: str, sandbox: Any, key_file: Path) -> str:
    """A key made over the same database and key file as the process's."""
    with running_service(database_url, sandbox=sandbox, work=False, key_file=key_file) as service:
        making = keys.create(service.context, name="crash", role=Role.SUPPORT, actor="tests")
        return service.run(making)[1]


def until_fired(sandbox: Any) -> None:
    eventually(lambda: any(fault["fired"] for fault in sandbox.faults()))


def until_answered(send: Any) -> Any:
    """The answer, once the service has followed the sandbox's clock past the lease of the dead process."""

    def answered() -> Any:
        answer = send()
        return None if answer.status == 409 else answer

    return eventually(answered, seconds=10)
