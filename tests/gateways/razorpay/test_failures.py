import pytest

from counterfoil.domain.failure import Advice, FailureCode
from counterfoil.gateways.razorpay import failures
from counterfoil.gateways.razorpay.failures import REASONS, of_error, of_payment
from gateways.vectors import load

KNOWN = {row["reason"]: row["category"] for row in load("razorpay/error_reasons.json")["reasons"]}
ADVICE = {
    "customer_can_retry_same_method": {Advice.AUTHENTICATE, Advice.FIX_DETAILS, Advice.NOW},
    "merchant_side": {Advice.MERCHANT},
    "outcome_unknown_poll": {Advice.NOW},
    "transient_failover_ok": {Advice.NOW},
    "use_other_method": {Advice.FIX_DETAILS, Advice.LATER, Advice.NEVER_SAME_CARD, Advice.OTHER_METHOD},
}
# Beside the documented list: one that an error sample names, and one of the test cards.
BESIDE = {"invalid_otp", "insufficient_fund"}


@pytest.mark.parametrize("reason", KNOWN)
def test_every_reason_has_words_of_ours_that_agree_with_what_may_be_tried_next(reason):
    assert reason in REASONS
    assert REASONS[reason].advice in ADVICE[KNOWN[reason]]


def test_the_table_has_no_reason_that_razorpay_does_not_and_none_twice():
    reasons = " ".join(failures._REASONS.values()).split()
    assert set(reasons) - set(KNOWN) == BESIDE
    assert len(reasons) == len(set(reasons))


@pytest.mark.parametrize(
    ("reason", "code", "ours"),
    [
        ("insufficient_funds", "BAD_REQUEST_ERROR", FailureCode.INSUFFICIENT_FUNDS),
        ("", "GATEWAY_ERROR", FailureCode.PROCESSING_ERROR),
        (None, "SERVER_ERROR", FailureCode.PROCESSING_ERROR),
        ("one_that_is_new", "BAD_REQUEST_ERROR", FailureCode.OTHER),
        ("", "", FailureCode.OTHER),
        (None, None, FailureCode.OTHER),
    ],
)
def test_the_reason_is_nearer_than_the_class_of_error(reason, code, ours):
    assert of_payment(reason, code) is ours


@pytest.mark.parametrize("reason", [None, "", "NA", "input_validation_failed"])
def test_a_request_refused_for_no_reason_we_know_was_not_acceptable(reason):
    assert of_error(reason) is FailureCode.GATEWAY_REFUSED
