import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.call import Verb
from counterfoil.domain.failure import FailureCode
from counterfoil.gateways.base import KEY_CONFLICT, Accepted, Refused, Unknown
from counterfoil.gateways.http import Answer
from counterfoil.gateways.razorpay.answers import judge
from counterfoil.gateways.razorpay.shapes import Order
from counterfoil.gateways.wire import decode
from gateways.hostile import JSON_VALUES, WRECKS
from gateways.vectors import load

CASES = {case["name"]: case for case in load("razorpay/errors.json")["cases"]}
OUTCOMES = {
    "validation": (Refused, FailureCode.GATEWAY_REFUSED, "input_validation_failed"),
    "min_amount": (Refused, FailureCode.GATEWAY_REFUSED, "input_validation_failed"),
    "bad_key": (Refused, FailureCode.MERCHANT_SETUP, "BAD_REQUEST_ERROR"),
    "unknown_id": (Refused, FailureCode.GATEWAY_REFUSED, "input_validation_failed"),
    "capture_amount": (Refused, FailureCode.GATEWAY_REFUSED, "input_validation_failed"),
    "already_captured": (Refused, FailureCode.GATEWAY_REFUSED, "input_validation_failed"),
    "refund_too_big": (Refused, FailureCode.GATEWAY_REFUSED, "input_validation_failed"),
    "refunded_already": (Refused, FailureCode.GATEWAY_REFUSED, "input_validation_failed"),
    "idem_mismatch": (Refused, FailureCode.GATEWAY_REFUSED, KEY_CONFLICT),
    "idem_in_progress": (Unknown, None, None),
    "idem_short": (Refused, FailureCode.GATEWAY_REFUSED, "BAD_REQUEST_ERROR"),
    "otp": (Refused, FailureCode.AUTHENTICATION_FAILED, "invalid_otp"),
    "throttled": (Refused, FailureCode.GATEWAY_UNAVAILABLE, "input_validation_failed"),
    "gateway": (Unknown, None, None),
    "server": (Unknown, None, None),
    "html": (Unknown, None, None),
}


def judged(status, body, *, verb=None, **headers):
    def read(raw):
        return Accepted(ref=decode(raw, Order).id)

    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(read, verb)(Answer(status=status, headers=headers, body=raw))


def test_every_known_error_is_expected():
    assert CASES.keys() == OUTCOMES.keys()


@pytest.mark.parametrize("name", CASES)
def test_every_known_error_has_the_outcome_it_should_have(name):
    case, (kind, code, word) = CASES[name], OUTCOMES[name]
    outcome = judged(case["http"], case.get("body", case.get("body_text", "").encode()))
    assert type(outcome) is kind
    assert outcome.status == case["http"]
    assert outcome.raw
    if isinstance(outcome, Refused):
        assert (outcome.code, outcome.gateway_code) == (code, word)
        assert outcome.message == case["body"]["error"]["description"]
        assert outcome.already is (name == "already_captured")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "no"}', b'{"error": {"code": 7}}'])
def test_a_refusal_stays_one_when_its_body_is_no_json_of_razorpay(status, body):
    outcome = judged(status, body)
    assert (type(outcome), outcome.gateway_code) == (Refused, f"http_{status}")


@pytest.mark.parametrize("status", [201, 204, 302, 402, 405, 409, 413, 422, 500, 502, 503, 504])
def test_anything_else_is_unknown(status):
    assert isinstance(judged(status, b"<html>"), Unknown)


REFUNDS = [
    ("The payment has been fully refunded already", FailureCode.ALREADY_REFUNDED),
    ("The refund amount provided is greater than amount captured", FailureCode.ALREADY_REFUNDED),
    ("The total refund amount is greater than the refund payment amount", FailureCode.ALREADY_REFUNDED),
    ("Your account does not have enough balance to carry out the refund.", FailureCode.REFUND_BALANCE_SHORT),
    ("The payment is too old to be refunded at normal speed", FailureCode.REFUND_TOO_OLD),
    ("Payments older than 6 months cannot be refunded", FailureCode.REFUND_TOO_OLD),
    ("Refund is not allowed: a Dispute is open on the payment", FailureCode.REFUND_DISPUTED),
    ("The payment status should be captured for action to be taken", FailureCode.REFUND_NOT_ALLOWED),
    ("The amount must be at least INR 1.00", FailureCode.GATEWAY_REFUSED),
]


@pytest.mark.parametrize(("sentence", "ours"), REFUNDS)
def test_a_refused_refund_says_why_and_whether_it_may_have_been_this_very_one(sentence, ours):
    body = {"error": {"description": sentence, "reason": "input_validation_failed"}}
    outcome = judged(400, body, verb=Verb.REFUND)
    assert (type(outcome), outcome.code) == (Refused, ours)
    assert outcome.already is (ours is FailureCode.ALREADY_REFUNDED)
    assert judged(400, body, verb=Verb.CAPTURE).code is FailureCode.GATEWAY_REFUSED


def test_a_429_says_how_long_to_wait():
    assert judged(429, CASES["throttled"]["body"], **{"retry-after": "7"}).retry_after_s == 7


def test_an_answer_that_cannot_be_read_is_unknown():
    for wreck in WRECKS.values():
        outcome = judged(200, wreck)
        assert (type(outcome), outcome.status) == (Unknown, 200)


@given(st.integers(100, 599), JSON_VALUES | st.fixed_dictionaries({"error": JSON_VALUES}))
def test_no_answer_makes_it_raise(status, body):
    assert isinstance(judged(status, body), Refused | Unknown)
