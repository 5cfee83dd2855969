"""Each fault, seen by a real client: what it gets, and what was done nevertheless."""

import errno
import http.client
import time

import pytest
import stripe

from sandbox_server import ControlError, eventually

CREATE = "payment_intents.create"
BODY = "amount=1000&currency=usd"


def create(merchant):
    return merchant.call("POST", "/v1/payment_intents", BODY)


def made(sandbox):
    return len(sandbox.truth()["stripe"]["payment_intents"])


@pytest.mark.parametrize(
    ("fault", "params", "error", "done"),
    [
        ("refuse", {}, ConnectionResetError, 0),
        ("reset_before", {}, ConnectionResetError, 0),
        ("reset_after", {}, ConnectionResetError, 1),
        ("timeout_before", {"seconds": 0.2}, ConnectionResetError, 0),
        ("timeout_after", {"seconds": 0.2}, ConnectionResetError, 1),
        ("truncated", {}, http.client.IncompleteRead, 1),
    ],
)
def test_a_connection_that_breaks(merchant, sandbox, fault, params, error, done):
    sandbox.fault("stripe", CREATE, fault, **params)
    started = time.monotonic()
    with pytest.raises(error) as broken:
        create(merchant)
    # A close without a reset would be RemoteDisconnected, which has no error number.
    assert error is not ConnectionResetError or broken.value.errno == errno.ECONNRESET
    assert time.monotonic() - started >= params.get("seconds", 0)
    assert made(sandbox) == done
    assert create(merchant).status == 200


@pytest.mark.parametrize(
    ("fault", "params", "status", "done"),
    [
        ("error_4xx", {}, 400, 0),
        ("error_4xx", {"status": 401}, 401, 0),
        ("error_4xx", {"status": 403}, 403, 0),
        ("error_5xx_before", {}, 500, 0),
        ("error_5xx_before", {"status": 503}, 503, 0),
        ("error_5xx_after", {"status": 502}, 502, 1),
        ("rate_limit", {}, 429, 0),
    ],
)
def test_an_error_in_the_gateways_own_shape(merchant, sandbox, fault, params, status, done):
    sandbox.fault("stripe", CREATE, fault, **params)
    answer = create(merchant)
    assert answer.status == status
    assert answer.error["type"] == ("api_error" if status >= 500 else "invalid_request_error")
    assert made(sandbox) == done


def test_silence_lasts_until_the_client_gives_up(merchant, sandbox):
    sandbox.fault("stripe", CREATE, "timeout_after")
    client = stripe.StripeClient(
        sandbox.config.stripe_secret_key,
        base_addresses={"api": sandbox.stripe},
        http_client=stripe.RequestsClient(timeout=0.3),
    )
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    assert made(sandbox) == 1


def test_a_delay_answers_late(merchant, sandbox):
    sandbox.fault("stripe", CREATE, "delay", seconds=0.3)
    started = time.monotonic()
    assert create(merchant).status == 200
    assert time.monotonic() - started >= 0.3


def test_garbage_is_no_json_although_the_work_was_done(merchant, sandbox):
    sandbox.fault("stripe", CREATE, "garbage")
    answer = create(merchant)
    assert answer.status == 200
    with pytest.raises(ValueError):  # noqa: PT011  no JSON, and no text either
        _ = answer.json
    assert made(sandbox) == 1


def test_a_rate_limit_says_when_to_come_back(merchant, sandbox):
    headers = {"Stripe-Should-Retry": "true"}
    sandbox.fault("stripe", CREATE, "rate_limit", retry_after=7, headers=headers)
    answer = create(merchant)
    assert (answer.headers["retry-after"], answer.headers["stripe-should-retry"]) == ("7", "true")
    assert answer.error["code"] == "rate_limit"


def test_an_error_has_the_body_that_was_asked_for(merchant, sandbox):
    body = {"error": {"type": "invalid_request_error", "code": "api_key_expired", "message": "Expired."}}
    sandbox.fault("stripe", CREATE, "error_4xx", status=401, body=body)
    assert create(merchant).json == body


def test_revoked_keys_refuse_every_call(merchant, sandbox):
    sandbox.fault("stripe", "*", "error_4xx", status=401, times=None)
    for _ in range(2):
        with pytest.raises(stripe.AuthenticationError):
            merchant.v1.events.list()
        with pytest.raises(stripe.AuthenticationError):
            merchant.intent()
    assert sandbox.faults()[0]["fired"] == 4


def test_a_gateway_that_is_down_closes_every_connection_until_it_is_up(merchant, sandbox):
    sandbox.control("POST", "faults", {"gateway": "stripe", "down": True})
    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            create(merchant)
    sandbox.control("POST", "faults", {"gateway": "stripe", "down": False})
    assert create(merchant).status == 200


def test_a_fault_of_one_gateway_or_call_leaves_the_others_alone(merchant, sandbox):
    sandbox.fault("razorpay", "*", "error_5xx_before", times=None)
    sandbox.fault("stripe", "payment_intents.confirm", "error_5xx_before", times=None)
    assert create(merchant).status == 200


def test_faults_fire_so_often_after_so_many_calls_one_after_another(merchant, sandbox):
    sandbox.fault("stripe", CREATE, "error_5xx_before", after=1, times=2)
    sandbox.fault("stripe", CREATE, "rate_limit")
    assert [create(merchant).status for _ in range(5)] == [429, 500, 500, 200, 200]
    assert [fault["fired"] for fault in sandbox.faults()] == [2, 1]


def test_faults_are_removed_one_by_one_or_all(merchant, sandbox):
    first = sandbox.fault("stripe", CREATE, "rate_limit", times=None)
    sandbox.fault("stripe", CREATE, "error_5xx_before", times=None)
    sandbox.control("DELETE", f"faults/{first['id']}")
    assert create(merchant).status == 500
    assert sandbox.control("DELETE", "faults") == {"removed": 1}
    assert create(merchant).status == 200
    with pytest.raises(ControlError, match="no such fault"):
        sandbox.control("DELETE", "faults/99")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"call": CREATE, "fault": "explode"}, "no fault of"),
        ({"call": "webhooks", "fault": "garbage"}, "duplicate"),
        ({"call": CREATE, "fault": "delay", "sceonds": 1}, "not 'sceonds'"),
        ({"call": CREATE, "fault": "delay", "seconds": -1}, "number of seconds"),
        ({"call": CREATE, "fault": "delay", "seconds": "1"}, "number of seconds"),
        ({"call": CREATE, "fault": "delay", "times": 0}, "times"),
        ({"call": CREATE, "fault": "delay", "times": True}, "times"),
        ({"call": CREATE, "fault": "delay", "after": -1}, "after"),
        ({"call": CREATE, "fault": "error_4xx", "status": 500}, "400 to 499"),
        ({"call": CREATE, "fault": "error_5xx_after", "status": 200}, "500 to 599"),
        ({"call": CREATE, "fault": "rate_limit", "headers": {"a": "b\r\nc: d"}}, "printable"),
        ({"call": "webhooks", "fault": "duplicate", "copies": 1}, "whole number"),
        ({"call": 1, "fault": "delay"}, "names"),
        ({"fault": "delay"}, "names"),
        ({"down": True, "call": CREATE}, "'call'"),
    ],
)
def test_a_wrong_switch_is_refused_with_a_sentence(sandbox, wrong, sentence):
    with pytest.raises(ControlError, match=sentence):
        sandbox.control("POST", "faults", {"gateway": "stripe", **wrong})
    assert sandbox.faults() == []


def test_a_switch_of_no_gateway_is_refused(sandbox):
    with pytest.raises(ControlError, match="stripe, razorpay"):
        sandbox.fault("paypal", CREATE, "delay")


def test_a_webhook_is_delivered_twice(merchant, receiver, sandbox):
    sandbox.fault("stripe", "webhooks", "duplicate", copies=3)
    merchant.intent()
    receiver.expect(*["payment_intent.created"] * 3)
    assert len({body for _, body in receiver.got}) == 1


def test_a_webhook_is_dropped(merchant, receiver, sandbox):
    sandbox.fault("stripe", "webhooks", "drop")
    merchant.intent()
    merchant.v1.customers.create({})
    receiver.expect("customer.created")
    eventually(lambda: [one["state"] for one in sandbox.deliveries()] == ["dropped", "delivered"])
    assert [e.type for e in merchant.v1.events.list({"delivery_success": False}).data] == [
        "payment_intent.created"
    ]


def test_webhooks_come_in_reverse(merchant, receiver, sandbox):
    sandbox.fault("stripe", "webhooks", "reorder", times=3, seconds=0.2)
    merchant.paid()
    eventually(lambda: len(receiver.got) == 3)
    assert receiver.types() == merchant.types()[:3][::-1]


def test_a_webhook_comes_late(merchant, receiver, sandbox):
    sandbox.fault("stripe", "webhooks", "delay", seconds=0.5)
    started = time.monotonic()
    merchant.intent()
    merchant.v1.customers.create({})
    eventually(lambda: len(receiver.got) == 2)
    assert time.monotonic() - started >= 0.5
    assert receiver.types() == ["customer.created", "payment_intent.created"]


def test_a_webhook_is_held_until_released(merchant, receiver, sandbox):
    sandbox.fault("stripe", "webhooks", "hold")
    merchant.intent()
    merchant.v1.customers.create({})
    receiver.expect("customer.created")
    sandbox.webhooks(hold=False)
    receiver.expect("customer.created", "payment_intent.created")
