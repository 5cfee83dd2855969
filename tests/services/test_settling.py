"""Unknown outcomes: answered at once, never guessed, settled by reading, and nothing charged twice."""

from collections.abc import Iterator
from typing import Any

import pytest

from counterfoil.gateways.http import Timeouts
from counterfoil.services import sweeping
from service import Service, call, serving

# Done, but no usable answer; each where even a second sending with the same key meets it.
AFTER = ["reset_after", "timeout_after", "error_5xx_after", "garbage", "truncated"]
# Not done, and no usable answer.
BEFORE = ["reset_before", "timeout_before", "error_5xx_before"]
SILENCE_S = 0.05  # for the faults that keep silent: then the connection is reset
# Three times our own timeout: the call, its one resend, and as long again for what may still be on its way.
NOT_YET_S = 85
LONG_AGO_S = 91


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    yield running
    running.sandbox.control("DELETE", "faults")


def fault(service: Service, gateway: str, name: str, kind: str, times: int | None = 0) -> None:
    """Break a call; where no answer comes at all, the second sending too, unless `times` says otherwise."""
    silent = kind.startswith(("timeout", "reset"))
    more = {"seconds": SILENCE_S} if kind.startswith("timeout") else {}
    service.sandbox.fault(gateway, name, kind, times=(2 if silent else 1) if times == 0 else times, **more)


def sync(service: Service, payment: Any) -> Any:
    answer = service.post(f"/api/payments/{payment['id']}/sync")
    assert answer.status == 200, answer
    return answer.json


def act(service: Service, payment: Any, verb: str, body: Any = None) -> Any:
    answer = service.post(f"/api/payments/{payment['id']}/{verb}", body)
    assert answer.status == 200, answer
    return answer.json


def charged(service: Service, **asked: Any) -> Any:
    return service.create(**{"payment_method": "pm_card_visa", "confirm": True} | asked)


def captured_charges(service: Service, payment: Any) -> list[Any]:
    """All charges that took money for this payment, at both gateways."""
    truth, refs = service.sandbox.truth(), {a["gateway_reference"] for a in payment["attempts"]}
    taken = [c for c in truth["stripe"]["charges"] if c["payment_intent"] in refs and c["captured"]]
    return taken + [
        p for p in truth["razorpay"]["payments"] if p["order_id"] in refs and p["status"] == "captured"
    ]


def outcomes(service: Service, payment: Any, verb: str) -> list[str]:
    rows = service.rows(
        "SELECT coalesce(settled, 'under way') AS s FROM calls WHERE payment_id = $1 AND verb = $2 ORDER BY id",
        payment["id"],
        verb,
    )
    return [row["s"] for row in rows]


# Confirming at Stripe


@pytest.mark.parametrize("kind", AFTER)
def test_a_charge_whose_answer_was_lost_is_found_by_reading(service, kind):
    fault(service, "stripe", "payment_intents.confirm", kind)
    made = charged(service)
    assert (made["status"], made["amount_captured"], made["attempts"][0]["status"]) == (
        "pending",
        0,
        "unknown",
    )
    assert outcomes(service, made, "confirm") == ["unknown"]
    done = sync(service, made)
    assert (done["status"], done["attempts"][0]["status"]) == ("captured", "won")
    assert len(captured_charges(service, done)) == 1


@pytest.mark.parametrize("kind", BEFORE)
def test_a_charge_that_never_was_is_given_up_only_after_the_time_and_two_reads(service, kind):
    fault(service, "stripe", "payment_intents.confirm", kind)
    made = charged(service)
    assert (made["status"], made["attempts"][0]["status"]) == ("pending", "unknown")
    for wait_s in (0, 0, NOT_YET_S, 0, 0):  # however often: it may still be on its way
        service.advance(wait_s)
        assert sync(service, made)["attempts"][0]["status"] == "unknown"
    service.advance(LONG_AGO_S - NOT_YET_S)
    assert sync(service, made)["attempts"][0]["status"] == "unknown"
    settled = sync(service, made)
    assert (settled["status"], settled["attempts"][0]["status"]) == ("created", "open")
    assert outcomes(service, made, "confirm") == ["abandoned"]
    done = act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert (done["status"], len(captured_charges(service, done))) == ("captured", 1)


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "reset_before"])
def test_a_single_lost_connection_is_mended_with_the_same_key(service, kind):
    fault(service, "stripe", "payment_intents.confirm", kind, times=1)
    made = charged(service)
    assert (made["status"], made["attempts"][0]["status"]) == ("captured", "won")
    assert len(captured_charges(service, made)) == 1


@pytest.mark.parametrize("kind", ["error_5xx_after", "garbage", "truncated"])
def test_an_answer_that_cannot_be_read_is_not_asked_for_again(service, kind):
    fault(service, "stripe", "payment_intents.confirm", kind, times=1)
    made = charged(service)
    assert made["attempts"][0]["status"] == "unknown"
    assert sync(service, made)["status"] == "captured"


def test_a_decline_whose_answer_was_lost_is_found_by_reading(service):
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_after")
    made = charged(service, payment_method="pm_card_chargeDeclinedInsufficientFunds")
    assert made["attempts"][0]["status"] == "unknown"
    read = sync(service, made)
    assert (read["status"], read["attempts"][0]["status"]) == ("pending", "open")
    assert read["failure"]["code"] == "insufficient_funds"
    assert outcomes(service, made, "confirm") == ["declined"]
    done = act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert (done["status"], len(captured_charges(service, done))) == ("captured", 1)


def test_the_decline_of_the_card_before_does_not_settle_a_charge_whose_answer_was_lost(service):
    made = charged(service, payment_method="pm_card_chargeDeclined")
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_before")
    asked = act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert asked["attempts"][0]["status"] == "unknown"
    assert sync(service, made)["attempts"][0]["status"] == "unknown"
    assert outcomes(service, made, "confirm") == ["declined", "unknown"]
    service.advance(LONG_AGO_S)
    sync(service, made)
    assert sync(service, made)["attempts"][0]["status"] == "open"
    assert outcomes(service, made, "confirm") == ["declined", "abandoned"]


def test_a_challenge_whose_answer_was_lost_is_found_by_reading(service):
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_after")
    made = charged(service, payment_method="pm_card_authenticationRequired")
    read = sync(service, made)
    assert (read["status"], read["attempts"][0]["status"]) == ("pending", "open")
    service.authenticate(made["attempts"][0]["gateway_reference"])
    assert sync(service, made)["status"] == "captured"


def test_a_challenge_on_an_intent_made_long_before_is_found_by_reading(service):
    made = service.create()
    service.advance(3600)
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_after")
    act(service, made, "confirm", {"payment_method": "pm_card_authenticationRequired"})
    read = sync(service, made)
    assert (read["status"], read["attempts"][0]["status"]) == ("pending", "open")
    assert outcomes(service, made, "confirm") == ["accepted"]


def challenged(service: Service, outcome: str | None = None) -> Any:
    """A payment whose customer was sent to the bank, and came back with this outcome, of which nobody has told us."""
    made = charged(service, payment_method="pm_card_authenticationRequired")
    if outcome:
        service.authenticate(made["attempts"][0]["gateway_reference"], outcome)
    return made


def test_a_second_challenge_whose_answer_was_lost_is_accepted_once_it_cannot_be_the_first(service):
    made = challenged(service, "fail")
    assert sync(service, made)["failure"]["code"] == "authentication_failed"
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_after")
    act(service, made, "confirm", {"payment_method": "pm_card_authenticationRequired"})
    for wait_s in (0, NOT_YET_S, LONG_AGO_S - NOT_YET_S):
        assert sync(service, made)["attempts"][0]["status"] == "unknown"
        service.advance(wait_s)
    read = sync(service, made)
    assert (read["status"], read["attempts"][0]["status"]) == ("pending", "open")
    assert outcomes(service, made, "confirm") == ["accepted", "accepted"]
    service.authenticate(made["attempts"][0]["gateway_reference"])
    assert sync(service, made)["status"] == "captured"


def test_a_challenge_failed_unheard_does_not_settle_the_charge_that_was_lost_after_it(service):
    made = challenged(service, "fail")
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_before")
    act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert sync(service, made)["attempts"][0]["status"] == "unknown"
    service.advance(LONG_AGO_S)
    assert sync(service, made)["attempts"][0]["status"] == "unknown"
    settled = sync(service, made)
    assert (settled["status"], settled["attempts"][0]["status"]) == ("pending", "open")
    assert settled["failure"]["code"] == "authentication_failed"
    assert outcomes(service, made, "confirm") == ["accepted", "abandoned"]
    done = act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert (done["status"], len(captured_charges(service, done))) == ("captured", 1)


def test_while_the_outcome_is_unknown_nothing_else_is_sent(service):
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_before")
    made = charged(service)
    answer = service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    assert (answer.status, answer.json["code"], answer.json["state"]) == (409, "wrong_state", "unknown")
    assert len(outcomes(service, made, "confirm")) == 1


def test_an_unknown_outcome_is_not_failed_by_age_while_the_gateway_cannot_be_asked(service):
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_after")
    made = charged(service)
    fault(service, "stripe", "payment_intents.retrieve", "error_5xx_before", times=None)
    service.advance(26 * 3600)
    for _ in range(3):
        waiting = sync(service, made)
        assert (waiting["status"], waiting["attempts"][0]["status"]) == ("pending", "unknown")
    service.sandbox.control("DELETE", "faults")
    done = sync(service, made)
    assert (done["status"], len(captured_charges(service, done))) == ("captured", 1)


def test_a_charge_that_arrives_late_is_found_though_a_read_missed_it(fast_postgres):
    hasty = Timeouts(connect_s=2.0, read_s=0.3, total_s=0.6)
    with serving(fast_postgres, work=False, timeouts=hasty) as service:
        service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=1.0, times=2)
        made = charged(service)
        assert made["attempts"][0]["status"] == "unknown"
        assert sync(service, made)["attempts"][0]["status"] == "unknown"

        def found() -> Any:
            seen = sync(service, made)
            return seen if seen["status"] == "captured" else None

        done = service.eventually(found)
        assert len(captured_charges(service, done)) == 1


# Capturing at Stripe


@pytest.mark.parametrize("kind", AFTER)
def test_a_capture_whose_answer_was_lost_is_found_by_reading(service, kind):
    made = charged(service, capture="manual")
    fault(service, "stripe", "payment_intents.capture", kind)
    asked = act(service, made, "capture", {"amount": 4_000})
    assert (asked["status"], asked["attempts"][0]["status"]) == ("authorized", "unknown")
    done = sync(service, made)
    assert (done["status"], done["amount_captured"]) == ("captured", 4_000)
    (charge,) = captured_charges(service, done)
    assert charge["amount_captured"] == 4_000


@pytest.mark.parametrize("kind", BEFORE)
def test_a_capture_that_never_was_is_made_again_once_that_is_sure(service, kind):
    made = charged(service, capture="manual")
    fault(service, "stripe", "payment_intents.capture", kind)
    assert act(service, made, "capture", {"amount": 4_000})["attempts"][0]["status"] == "unknown"
    service.advance(LONG_AGO_S)
    assert sync(service, made)["status"] == "authorized"
    done = sync(service, made)
    assert (done["status"], done["amount_captured"]) == ("captured", 4_000)
    assert outcomes(service, made, "capture") == ["abandoned", "accepted"]


def test_an_unknown_capture_is_asked_about_soon_however_long_the_payment_had_waited(service):
    made = charged(service, capture="manual")
    for hours in (1, 1, 1, 1, 1, 1, 1, 1):
        service.advance(hours * 3600)
        service.run(sweeping.due_payments(service.context))
    fault(service, "stripe", "payment_intents.capture", "error_5xx_after")
    assert act(service, made, "capture")["attempts"][0]["status"] == "unknown"
    service.advance(31)
    service.run(sweeping.due_payments(service.context))
    assert service.payment(made["id"])["status"] == "captured"


# Cancelling at Stripe


@pytest.mark.parametrize("kind", AFTER)
def test_a_cancel_whose_answer_was_lost_is_found_by_reading(service, kind):
    made = service.create()
    fault(service, "stripe", "payment_intents.cancel", kind)
    asked = act(service, made, "cancel")
    assert (asked["status"], asked["attempts"][0]["status"]) == ("pending", "unknown")
    done = sync(service, made)
    assert (done["status"], done["attempts"][0]["status"]) == ("cancelled", "fenced")


@pytest.mark.parametrize("kind", BEFORE)
def test_a_cancel_that_never_was_is_made_again_once_that_is_sure(service, kind):
    made = charged(service, capture="manual")
    fault(service, "stripe", "payment_intents.cancel", kind)
    assert act(service, made, "cancel")["attempts"][0]["status"] == "unknown"
    service.advance(LONG_AGO_S)
    sync(service, made)
    done = sync(service, made)
    assert (done["status"], done["attempts"][0]["status"]) == ("cancelled", "fenced")
    ref = made["attempts"][0]["gateway_reference"]
    (intent,) = [i for i in service.sandbox.truth()["stripe"]["payment_intents"] if i["id"] == ref]
    assert intent["status"] == "canceled"


def test_a_cancel_of_what_the_gateway_had_cancelled_already_is_a_cancel(service):
    made = service.create()
    ref = made["attempts"][0]["gateway_reference"]
    sent = {"authorization": f"Bearer {service.sandbox.config.stripe_secret_key}", "content-type": "application/x-www-form-urlencoded"}  # fmt: skip
    gone = call(service.sandbox.url, "POST", f"/stripe/v1/payment_intents/{ref}/cancel", b"", headers=sent)
    assert gone.status == 200
    assert act(service, made, "cancel")["status"] == "cancelled"


def test_what_is_being_cancelled_is_neither_charged_nor_captured(service):
    service.sandbox.fault("stripe", "payment_intents.cancel", "rate_limit", times=None)
    created, held = service.create(), charged(service, capture="manual")
    for payment, verb, body in (
        (created, "confirm", {"payment_method": "pm_card_visa"}),
        (held, "capture", None),
    ):
        assert (
            act(service, payment, "cancel")["attempts"][0]["status"] == "open"
        )  # the gateway would not have it
        answer = service.post(f"/api/payments/{payment['id']}/{verb}", body)
        assert (answer.status, answer.json["code"]) == (409, "wrong_state")
        assert "cancel" in answer.json["detail"]
        assert captured_charges(service, payment) == []
    service.sandbox.control("DELETE", "faults")
    service.advance(31)
    service.run(sweeping.due_payments(service.context))
    assert [service.payment(p["id"])["status"] for p in (created, held)] == ["cancelled", "cancelled"]


def test_a_payment_whose_time_is_over_is_not_charged_though_nobody_has_ended_it_yet(service):
    made = service.create()
    service.advance(24 * 3600)
    answer = service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    assert (answer.status, answer.json["code"]) == (409, "wrong_state")
    assert "expired" in answer.json["detail"]
    assert captured_charges(service, made) == []
    assert sync(service, made)["status"] == "failed"


# Opening, at both


@pytest.mark.parametrize("kind", [*AFTER, *BEFORE])
def test_an_opening_without_an_answer_was_seen_by_nobody_and_another_gateway_opens(service, kind):
    fault(service, "stripe", "payment_intents.create", kind)
    made = service.create(capture="manual")
    states = [(a["gateway"], a["status"]) for a in made["attempts"]]
    assert (made["status"], states) == ("created", [("stripe", "dead"), ("razorpay", "open")])
    assert made["checkout"]["gateway"] == "razorpay"
    service.pay_razorpay(made["checkout"]["razorpay"]["order_id"], **A_CARD)
    assert sync(service, made)["status"] == "authorized"


A_CARD = {
    "method": "card",
    "card": {"number": "4100 2800 0000 1007", "expiry": "12/39", "cvv": "123", "name": "A Buyer"},
}


@pytest.mark.parametrize("kind", [*AFTER, *BEFORE])
def test_an_order_without_an_answer_was_seen_by_nobody_and_another_gateway_opens(service, kind):
    fault(service, "razorpay", "orders.create", kind)
    made = service.create(50_000, "INR")
    states = [(a["gateway"], a["status"]) for a in made["attempts"]]
    assert (made["status"], states) == ("created", [("razorpay", "dead"), ("stripe", "open")])
    done = act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert (done["status"], len(captured_charges(service, done))) == ("captured", 1)


@pytest.mark.parametrize(("gateway", "name"), [("stripe", "payment_intents.create"), ("razorpay", "orders.create")])  # fmt: skip
def test_a_payment_whose_only_gateway_does_not_open_has_failed_and_says_so(service, gateway, name):
    fault(service, gateway, name, "error_5xx_before")
    made = service.create(50_000, "INR", gateway=gateway)
    assert (made["status"], made["attempts"][0]["status"]) == ("failed", "dead")
    assert made["failure"]["code"] == "gateway_unavailable"
    assert made["checkout"] is None


@pytest.mark.parametrize(("currency", "gateway"), [("USD", "stripe"), ("INR", "razorpay")])
def test_an_opening_whose_process_died_is_found_by_our_own_reference(service, weak, currency, gateway):
    weak.left = 2
    asked = {"amount": 50_000, "currency": currency, "reference": f"died opening at {gateway}"}
    assert service.post("/api/payments", asked).status == 503
    (made,) = service.get("/api/payments", reference=asked["reference"]).json["data"]
    assert (made["status"], made["attempts"][0]["gateway_reference"]) == ("created", None)
    found = sync(service, made)
    assert (found["attempts"][0]["status"], found["checkout"]["gateway"]) == ("open", gateway)
    assert outcomes(service, made, "open") == ["accepted"]


@pytest.mark.parametrize(("currency", "gateway", "name"), [("USD", "stripe", "payment_intents.create"), ("INR", "razorpay", "orders.create")])  # fmt: skip
def test_an_opening_that_never_arrived_is_given_up_after_the_time_and_two_reads(
    service, weak, currency, gateway, name
):
    fault(service, gateway, name, "error_5xx_before")
    weak.left = 2
    asked = {"amount": 50_000, "currency": currency, "gateway": gateway, "reference": f"never {gateway}"}
    assert service.post("/api/payments", asked).status == 503
    (made,) = service.get("/api/payments", reference=asked["reference"]).json["data"]
    assert sync(service, made)["status"] == "created"
    service.advance(LONG_AGO_S)
    assert sync(service, made)["status"] == "created"
    assert sync(service, made)["status"] == "failed"
    assert outcomes(service, made, "open") == ["abandoned"]


# Capturing at Razorpay


def paid_at_razorpay(service: Service, **asked: Any) -> Any:
    made = service.create(50_000, "INR", **asked)
    service.pay_razorpay(made["checkout"]["razorpay"]["order_id"])
    return made


@pytest.mark.parametrize("kind", AFTER)
def test_a_razorpay_capture_whose_answer_was_lost_is_found_by_reading(service, kind):
    made = paid_at_razorpay(service)
    fault(service, "razorpay", "payments.capture", kind)
    asked = sync(service, made)
    assert (asked["status"], asked["attempts"][0]["status"]) == ("authorized", "unknown")
    done = sync(service, made)
    assert (done["status"], len(captured_charges(service, done))) == ("captured", 1)


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after"])
def test_a_razorpay_capture_sent_twice_is_captured_once(service, kind):
    made = paid_at_razorpay(service)
    fault(service, "razorpay", "payments.capture", kind, times=1)
    done = sync(service, made)
    assert (done["status"], len(captured_charges(service, done))) == ("captured", 1)


@pytest.mark.parametrize("kind", BEFORE)
def test_a_razorpay_capture_that_never_was_is_made_again_once_that_is_sure(service, kind):
    made = paid_at_razorpay(service)
    fault(service, "razorpay", "payments.capture", kind)
    assert sync(service, made)["attempts"][0]["status"] == "unknown"
    service.advance(LONG_AGO_S)
    assert sync(service, made)["status"] == "authorized"
    done = sync(service, made)
    assert (done["status"], len(captured_charges(service, done))) == ("captured", 1)


def test_a_cancel_while_a_razorpay_capture_is_unknown_waits_until_it_is_settled(service):
    made = paid_at_razorpay(service)
    fault(service, "razorpay", "payments.capture", "error_5xx_before")
    assert sync(service, made)["attempts"][0]["status"] == "unknown"
    asked = act(service, made, "cancel")
    assert (asked["status"], asked["attempts"][0]["status"]) == ("authorized", "unknown")
    service.advance(LONG_AGO_S)
    sync(service, made)
    done = sync(service, made)
    assert (done["status"], done["attempts"][0]["status"]) == ("cancelled", "fenced")
    assert captured_charges(service, done) == []


# A process that died with a call under way


def test_a_charge_whose_process_died_is_found_by_reading(service, weak):
    made = service.create()
    weak.left = 2
    asked = {"payment_method": "pm_card_visa"}
    assert service.post(f"/api/payments/{made['id']}/confirm", asked).status == 503
    assert outcomes(service, made, "confirm") == ["under way"]
    assert service.payment(made["id"])["status"] == "pending"
    done = sync(service, made)
    assert (done["status"], len(captured_charges(service, done))) == ("captured", 1)


def test_a_charge_whose_process_died_before_it_left_is_unknown_and_then_given_up(service, weak):
    made = service.create()
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_before")
    weak.left = 2
    asked = {"payment_method": "pm_card_visa"}
    assert service.post(f"/api/payments/{made['id']}/confirm", asked).status == 503
    assert sync(service, made)["attempts"][0]["status"] == "open"  # it may be at work in another process
    service.advance(LONG_AGO_S)
    assert sync(service, made)["attempts"][0]["status"] == "unknown"
    assert sync(service, made)["attempts"][0]["status"] == "open"
    assert outcomes(service, made, "confirm") == ["abandoned"]


# The sweeper


def test_a_capture_whose_process_died_before_it_asked_is_made_by_the_sweep(service, weak):
    made = charged(service, capture="manual")
    weak.left = 2  # what is wanted is committed, the intent to ask for it is not
    assert service.post(f"/api/payments/{made['id']}/capture").status == 503
    assert outcomes(service, made, "capture") == []
    service.advance(31)
    service.run(sweeping.due_payments(service.context))
    assert service.payment(made["id"])["status"] == "captured"


def test_the_sweeper_settles_what_nobody_asks_about(service):
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_after")
    made = charged(service)
    service.run(sweeping.due_payments(service.context))
    assert service.payment(made["id"])["attempts"][0]["status"] == "unknown"  # not yet due
    service.advance(31)
    service.run(sweeping.due_payments(service.context))
    assert service.payment(made["id"])["status"] == "captured"


def test_what_is_settled_is_not_asked_about_again(service):
    made = charged(service)
    assert service.rows("SELECT next_check_at FROM payments WHERE id = $1", made["id"]) == [
        {"next_check_at": None}
    ]


def test_a_payment_that_cannot_be_looked_at_does_not_keep_the_sweeper_from_the_others(service):
    fault(service, "stripe", "payment_intents.confirm", "error_5xx_after", times=2)
    broken, other = charged(service), charged(service)
    service.run(lose(service, broken["id"]))
    service.advance(31)
    service.run(sweeping.due_payments(service.context))
    assert service.payment(other["id"])["status"] == "captured"


async def lose(service: Service, payment_id: str) -> None:
    """Give the payment an attempt at an account that this process does not know."""
    async with service.context.db.transaction() as conn:
        await conn.execute(
            "INSERT INTO gateway_accounts SELECT 'gwa_unknown', merchant_id, 'elsewhere', mode, NULL, public_key,"
            " secret_key, secret_last4, secret_updated_at, captures_by_itself, now(), created_at"
            " FROM gateway_accounts LIMIT 1"
        )
        await conn.execute("UPDATE attempts SET account_id = 'gwa_unknown' WHERE payment_id = $1", payment_id)
        await conn.execute(
            "UPDATE payments SET next_check_at = now() - interval '1 day' WHERE id = $1", payment_id
        )


def test_with_a_worker_an_unknown_charge_settles_by_itself(fast_postgres):
    with serving(fast_postgres) as service:
        service.sandbox.webhooks(hold=True)
        fault(service, "stripe", "payment_intents.confirm", "timeout_after")
        made = charged(service)
        assert made["status"] == "pending"
        service.advance(31)
        done = service.until(made["id"], "captured")
        assert len(captured_charges(service, done)) == 1


# What contradicts our record


def test_an_intent_that_is_not_what_we_asked_for_is_not_believed_and_a_person_is_called(service):
    made = service.create()
    sent = {"authorization": f"Bearer {service.sandbox.config.stripe_secret_key}", "content-type": "application/x-www-form-urlencoded"}  # fmt: skip
    foreign = call(
        service.sandbox.url,
        "POST",
        "/stripe/v1/payment_intents",
        b"amount=100&currency=usd",
        headers=sent,
    ).json

    async def mistake() -> None:
        async with service.context.db.transaction() as conn:
            await conn.execute(
                "UPDATE attempts SET ref = $2 WHERE payment_id = $1", made["id"], foreign["id"]
            )

    service.run(mistake())
    read = sync(service, made)
    assert (read["status"], read["amount_captured"]) == ("created", 0)
    answer = act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert (answer["status"], answer["amount_captured"]) == ("pending", 0)
    called = service.rows("SELECT kind, sentence FROM exceptions WHERE payment_id = $1", made["id"])
    assert {row["kind"] for row in called} == {"gateway_contradicts"}
    assert len(called) == 2  # once for what was read, once for what was answered
    assert all("amount" in row["sentence"] for row in called)
