"""Idempotency keys: replayed, refused for another request, busy while the first runs, forgotten after a day."""

import threading

import pytest
import stripe

from sandbox_stripe import RETURN, Merchant

BODY = "amount=1000&currency=usd"


def create(merchant, key, body=BODY):
    return merchant.call("POST", "/v1/payment_intents", body, idempotency_key=key)


def test_the_same_key_gives_the_same_answer_and_does_nothing_again(merchant):
    first, again = create(merchant, "k1"), create(merchant, "k1")
    assert (again.status, again.body) == (first.status, first.body)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.headers["request-id"] != again.headers["request-id"]
    assert first.headers["idempotency-key"] == "k1"
    assert len(merchant.sandbox.truth()["stripe"]["payment_intents"]) == 1


def test_the_order_of_the_parameters_does_not_matter(merchant):
    create(merchant, "k1")
    assert create(merchant, "k1", "currency=usd&amount=1000").headers["idempotent-replayed"] == "true"


def test_the_sdk_sees_a_replay(merchant):
    options = {"idempotency_key": "order-1"}
    params = {"amount": 1000, "currency": "usd"}
    first = merchant.v1.payment_intents.create(params, options)
    again = merchant.v1.payment_intents.create(params, options)
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"


def test_another_request_with_the_key_is_an_idempotency_error(merchant):
    options = {"idempotency_key": "order-1"}
    made = merchant.v1.payment_intents.create({"amount": 1000, "currency": "usd"}, options)
    with pytest.raises(stripe.IdempotencyError) as refused:
        merchant.v1.payment_intents.create({"amount": 2000, "currency": "usd"}, options)
    assert refused.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        merchant.v1.payment_intents.cancel(made.id, {}, options)


def test_a_decline_is_replayed_so_another_card_needs_another_key(merchant):
    made = merchant.intent()
    options = {"idempotency_key": "try-1"}
    params = {"payment_method": "pm_card_chargeDeclined", "return_url": RETURN}
    charges = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            merchant.v1.payment_intents.confirm(made.id, params, options)
        charges.add(declined.value.json_body["error"]["charge"])
    assert len(charges) == 1
    assert len(merchant.sandbox.truth()["stripe"]["charges"]) == 1


def test_a_refusal_after_execution_began_is_replayed(merchant):
    paid = merchant.paid()
    path, body = f"/v1/payment_intents/{paid.id}/capture", ""
    for replayed in (None, "true"):
        answer = merchant.call("POST", path, body, idempotency_key="c1")
        assert (answer.status, answer.error["code"]) == (400, "payment_intent_unexpected_state")
        assert answer.headers.get("idempotent-replayed") == replayed


def test_parameters_that_are_not_valid_leave_the_key_free(merchant):
    for wrong in ("amount=1000", "amount=1&currency=usd", "amount=1000&currency=usd&x=1"):
        assert create(merchant, "k1", wrong).status == 400
    assert create(merchant, "k1").status == 200


def test_a_stored_500_is_replayed_although_the_work_was_done(merchant, sandbox):
    sandbox.fault("stripe", "payment_intents.create", "error_5xx_after")
    for replayed in (None, "true"):
        answer = create(merchant, "k1")
        assert (answer.status, answer.error["type"]) == (500, "api_error")
        assert answer.headers.get("idempotent-replayed") == replayed
    assert len(sandbox.truth()["stripe"]["payment_intents"]) == 1
    assert create(merchant, "k2").status == 200


@pytest.mark.parametrize("fault", ["error_5xx_before", "rate_limit", "error_4xx"])
def test_what_failed_before_execution_leaves_the_key_free(merchant, sandbox, fault):
    sandbox.fault("stripe", "payment_intents.create", fault)
    assert create(merchant, "k1").status >= 400
    assert create(merchant, "k1").status == 200


def test_the_key_is_in_use_while_the_first_request_runs(merchant, sandbox):
    sandbox.fault("stripe", "payment_intents.create", "delay", seconds=0.5)
    answers = []
    slow = threading.Thread(target=lambda: answers.append(create(merchant, "k1")))
    slow.start()
    while not sandbox.faults()[0]["fired"]:
        pass
    busy = create(merchant, "k1")
    assert (busy.status, busy.error["type"], busy.error["code"]) == (
        409,
        "idempotency_error",
        "idempotency_key_in_use",
    )
    assert create(merchant, "k2").status == 200
    slow.join()
    assert answers[0].status == 200
    assert create(merchant, "k1").body == answers[0].body


def test_a_key_is_forgotten_after_a_day(merchant, sandbox):
    first = create(merchant, "k1").json["id"]
    sandbox.advance(24 * 3600 - 60)
    assert create(merchant, "k1").json["id"] == first
    sandbox.advance(120)
    assert create(merchant, "k1").json["id"] != first


def test_keys_mean_nothing_to_a_get(merchant):
    made = merchant.intent()
    for _ in range(2):
        answer = merchant.call("GET", f"/v1/payment_intents/{made.id}", idempotency_key="k1")
        assert "idempotent-replayed" not in answer.headers


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_has_1_to_255_characters(merchant, key):
    assert create(merchant, key).status == 400
    assert create(merchant, "k" * 255).status == 200


def test_the_sdk_retries_with_one_key_and_pays_once(sandbox, merchant):
    patient = Merchant(sandbox, retries=2)
    sandbox.fault("stripe", "payment_intents.create", "reset_after")
    made = patient.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    assert [one["id"] for one in sandbox.truth()["stripe"]["payment_intents"]] == [made.id]
    patient.session.close()
