import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.call import Verb
from counterfoil.domain.fact import Kind
from counterfoil.domain.failure import FailureCode
from counterfoil.gateways.base import Accepted, Declined, Refused, Unknown, UnreadableEventError
from counterfoil.gateways.http import Answer
from counterfoil.gateways.stripe.answers import accepted, judge, redacted
from counterfoil.gateways.stripe.shapes import Intent
from counterfoil.gateways.wire import decode
from gateways.hostile import JSON_VALUES, WRECKS
from gateways.stripe.objects import CHARGE, INTENT, intent
from gateways.vectors import load

CASES = {case["name"]: case for case in load("stripe/errors.json")["cases"]}
REFUSED, DECLINED, UNKNOWN = Refused, Declined, Unknown
OUTCOMES = {
    "card_declined": (DECLINED, FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds"),
    "invalid_param": (REFUSED, FailureCode.GATEWAY_REFUSED, "parameter_missing"),
    "not_found": (REFUSED, FailureCode.GATEWAY_REFUSED, "resource_missing"),
    "unexpected_state": (REFUSED, FailureCode.GATEWAY_REFUSED, "payment_intent_unexpected_state"),
    "already_refunded": (REFUSED, FailureCode.ALREADY_REFUNDED, "charge_already_refunded"),
    "refund_disputed": (REFUSED, FailureCode.REFUND_DISPUTED, "charge_disputed"),
    "amount_too_small": (REFUSED, FailureCode.AMOUNT_NOT_ALLOWED, "amount_too_small"),
    "idempotency_mismatch": (REFUSED, FailureCode.GATEWAY_REFUSED, "idempotency_error"),
    "idempotency_in_use": (UNKNOWN, None, None),
    "lock_timeout": (REFUSED, FailureCode.GATEWAY_UNAVAILABLE, "lock_timeout"),
    "rate_limit": (REFUSED, FailureCode.GATEWAY_UNAVAILABLE, "rate_limit"),
    "bad_key": (REFUSED, FailureCode.MERCHANT_SETUP, "invalid_request_error"),
    "forbidden": (REFUSED, FailureCode.MERCHANT_SETUP, "invalid_request_error"),
    "api_error": (UNKNOWN, None, None),
    "html_gateway": (UNKNOWN, None, None),
}


def read(body):
    return accepted(decode(body, Intent), body)


def answer(status, body, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers=headers, body=raw)


def judged(status, body, *, verb=None, **headers):
    return judge(read, verb)(answer(status, body, **headers))


def complaint(**error):
    return {"error": error}


def test_every_known_error_is_expected():
    assert CASES.keys() == OUTCOMES.keys()


@pytest.mark.parametrize("name", CASES)
def test_every_known_error_has_the_outcome_it_should_have(name):
    case, (kind, code, word) = CASES[name], OUTCOMES[name]
    outcome = judged(case["http"], case.get("body", case.get("body_text", "").encode()))
    assert type(outcome) is kind
    assert outcome.raw
    if isinstance(outcome, Declined | Refused):
        assert (outcome.code, outcome.gateway_code) == (code, word)
        assert outcome.message == case["body"]["error"]["message"]
    if isinstance(outcome, Refused | Unknown):
        assert outcome.status == case["http"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "no"}', b'{"error": {"code": 7}}'])
def test_a_refusal_stays_one_when_its_body_is_no_json_of_stripe(status, body):
    outcome = judged(status, body)
    assert isinstance(outcome, Refused)
    assert outcome.gateway_code == f"http_{status}"
    assert not outcome.already


@pytest.mark.parametrize("status", [201, 204, 302, 402, 405, 409, 413, 418, 422, 424, 500, 502, 503, 504])
def test_anything_else_is_unknown(status):
    assert isinstance(judged(status, b"<html>"), Unknown)


def test_a_replayed_500_stays_unknown():
    outcome = judged(500, CASES["api_error"]["body"], **{"idempotent-replayed": "true"})
    assert isinstance(outcome, Unknown)


def test_a_429_says_how_long_to_wait():
    assert judged(429, CASES["rate_limit"]["body"], **{"retry-after": "7"}).retry_after_s == 7
    assert judged(429, CASES["rate_limit"]["body"]).retry_after_s is None


ALREADY = [
    (Verb.CAPTURE, "succeeded", True),
    (Verb.CAPTURE, "canceled", False),
    (Verb.CANCEL, "canceled", True),
    (Verb.CANCEL, "succeeded", False),
    (Verb.CONFIRM, "succeeded", True),
    (Verb.CONFIRM, "processing", True),
    (Verb.CONFIRM, "requires_capture", True),
    (Verb.CONFIRM, "canceled", False),
    (Verb.OPEN, "succeeded", False),
    (None, "succeeded", False),
]


@pytest.mark.parametrize(("verb", "status", "already"), ALREADY)
def test_refused_because_it_had_been_done_before_is_told_from_refused(verb, status, already):
    stub = {"id": INTENT, "object": "payment_intent", "status": status}
    body = complaint(code="payment_intent_unexpected_state", payment_intent=stub)
    outcome = judged(400, body, verb=verb)
    assert (type(outcome), outcome.already) == (Refused, already)
    assert not judged(400, complaint(code="parameter_missing", payment_intent=stub), verb=verb).already


@pytest.mark.parametrize("stub", [None, "pi_x", {"status": 7}])
def test_an_unexpected_state_that_names_none_is_not_already_done(stub):
    body = complaint(code="payment_intent_unexpected_state", payment_intent=stub)
    assert not judged(400, body, verb=Verb.CAPTURE).already


def test_a_charge_that_was_captured_by_itself_is_already_done():
    assert judged(400, complaint(code="charge_already_captured"), verb=Verb.CAPTURE).already


REFUNDS = [
    ({"code": "charge_already_refunded"}, FailureCode.ALREADY_REFUNDED),
    ({"code": "charge_disputed"}, FailureCode.REFUND_DISPUTED),
    ({"code": "refund_disputed_payment"}, FailureCode.REFUND_DISPUTED),
    ({"code": "charge_not_refundable"}, FailureCode.REFUND_NOT_ALLOWED),
    ({"code": "balance_insufficient"}, FailureCode.REFUND_BALANCE_SHORT),
    (
        {"message": "Refund amount ($9.00) is greater than unrefunded amount on charge ($1.00)"},
        FailureCode.ALREADY_REFUNDED,
    ),
    ({"message": "Insufficient funds in your Stripe balance."}, FailureCode.REFUND_BALANCE_SHORT),
    ({"code": "parameter_missing", "message": "Greater than unrefunded amount"}, FailureCode.GATEWAY_REFUSED),
    ({"message": None}, FailureCode.GATEWAY_REFUSED),
]


@pytest.mark.parametrize(("error", "ours"), REFUNDS)
def test_a_refused_refund_says_why_and_whether_it_may_have_been_this_very_one(error, ours):
    outcome = judged(400, complaint(**error), verb=Verb.REFUND)
    assert (type(outcome), outcome.code) == (Refused, ours)
    assert outcome.already is (ours is FailureCode.ALREADY_REFUNDED)


def test_the_sentence_of_a_refund_means_nothing_of_any_other_call():
    body = complaint(message="greater than unrefunded amount")
    assert judged(400, body, verb=Verb.CAPTURE).code is FailureCode.GATEWAY_REFUSED


def test_a_decline_brings_the_facts_of_the_intent_inside():
    error = {"code": "card_declined", "decline_code": "stolen_card", "message": "No.", "charge": CHARGE}
    inside = intent(last_payment_error=error, latest_charge=CHARGE)
    outcome = judged(402, complaint(type="card_error", **error, payment_intent=inside))
    assert (outcome.code, outcome.gateway_code, outcome.ref) == (
        FailureCode.LOST_OR_STOLEN,
        "stolen_card",
        INTENT,
    )
    assert [report.kind for report in outcome.reports] == [Kind.ATTEMPT_DECLINED, Kind.CHARGE_FAILED]
    assert b"secret" not in outcome.raw.replace(b'"client_secret"', b"")


def test_a_decline_without_a_whole_intent_is_one_too():
    assert judged(402, CASES["card_declined"]["body"]).ref == "pi_x"
    assert judged(402, CASES["card_declined"]["body"]).reports == ()
    assert judged(402, complaint(code="expired_card")).ref is None


def test_an_answer_that_cannot_be_read_is_unknown():
    for wreck in WRECKS.values():
        outcome = judged(200, wreck)
        assert isinstance(outcome, Unknown)
        assert outcome.status == 200


def test_an_answer_whose_reader_disbelieves_it_is_unknown():
    def disbelieves(_):
        raise UnreadableEventError("amount is 1 where 2 was asked")

    outcome = judge(disbelieves)(answer(200, b"{}"))
    assert isinstance(outcome, Unknown)
    assert "amount is 1 where 2 was asked" in outcome.message


def test_the_client_secret_is_given_only_where_the_browser_has_to_act():
    acts = judged(200, intent(status="requires_action", next_action={"type": "use_stripe_sdk"}))
    assert isinstance(acts, Accepted)
    assert (acts.client_secret, acts.next_action) == (
        f"{INTENT}_secret_counterfoil",
        {"type": "use_stripe_sdk"},
    )
    assert b"_secret_counterfoil" not in acts.raw
    assert judged(200, intent()).client_secret is None
    assert "secret" not in repr(acts).replace("client_secret", "")


def test_no_client_secret_is_kept_and_the_rest_is():
    url = "https://hooks.example/3ds?client_secret=src_hidden&x=1"
    body = json.dumps(intent(client_secret='pi_hidden"hidden\\', next_action={"url": url})).encode()
    kept = redacted(body)
    assert b"hidden" in body
    assert b"hidden" not in kept
    assert json.loads(kept) == intent(
        client_secret="(not kept)",
        next_action={"url": "https://hooks.example/3ds?client_secret=(not kept)&x=1"},
    )


@given(
    st.integers(100, 599),
    JSON_VALUES | st.fixed_dictionaries({"error": JSON_VALUES}),
    st.sampled_from([None, *Verb]),
)
def test_no_answer_makes_it_raise(status, body, verb):
    outcome = judged(status, body, verb=verb)
    assert isinstance(outcome, Refused | Declined | Unknown)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(body):
    for status in (200, 400, 402, 429, 500):
        assert isinstance(judged(status, body), Refused | Unknown)
