import pytest

from counterfoil.domain.failure import Advice, FailureCode
from counterfoil.gateways.stripe import failures
from counterfoil.gateways.stripe.failures import DECLINES, ERRORS, of_decline, of_error
from gateways.vectors import load

CODES = {row["code"]: row["category"] for row in load("stripe/decline_codes.json")["codes"]}
ADVICE = {
    "contact_issuer_retry_once": {Advice.LATER, Advice.OTHER_METHOD},
    "fix_card_details": {Advice.FIX_DETAILS},
    "merchant_side": {Advice.MERCHANT},
    "needs_customer_authentication": {Advice.AUTHENTICATE},
    "never_retry_same_card": {Advice.NEVER_SAME_CARD},
    "retry_later": {Advice.LATER, Advice.NOW},
    "use_other_method_or_gateway": {Advice.OTHER_METHOD},
}
# The only ones that another gateway may answer otherwise at once: the fault is on the way, not in the answer.
PASSING = {"issuer_not_available", "processing_error", "reenter_transaction", "try_again_later"}


@pytest.mark.parametrize("code", CODES)
def test_every_decline_code_has_words_of_ours_that_agree_with_what_may_be_tried_next(code):
    assert code in DECLINES
    assert DECLINES[code].advice in ADVICE[CODES[code]]
    assert (DECLINES[code].advice is Advice.NOW) is (code in PASSING)


def test_no_code_stands_twice():
    for groups in (failures._DECLINES, failures._ERRORS):
        codes = " ".join(groups.values()).split()
        assert len(codes) == len(set(codes))
    assert not set(" ".join(failures._ERRORS.values()).split()) & set(DECLINES)


@pytest.mark.parametrize("code", load("stripe/enums.json")["error_codes"])
def test_every_error_code_means_something(code):
    assert isinstance(of_error(code), FailureCode)
    assert of_error(code) is not FailureCode.OTHER


def test_every_code_of_the_table_is_one_of_stripes():
    real = {*CODES, *load("stripe/enums.json")["error_codes"]}
    assert set(ERRORS) - real == set()


@pytest.mark.parametrize(
    ("code", "decline_code", "ours"),
    [
        ("card_declined", "insufficient_funds", FailureCode.INSUFFICIENT_FUNDS),
        ("expired_card", None, FailureCode.EXPIRED_CARD),
        ("card_declined", "one_that_is_new", FailureCode.CARD_DECLINED),
        ("payment_intent_authentication_failure", None, FailureCode.AUTHENTICATION_FAILED),
        ("one_that_is_new", None, FailureCode.OTHER),
        (None, None, FailureCode.OTHER),
    ],
)
def test_the_issuers_reason_is_nearer_than_the_step_that_failed(code, decline_code, ours):
    assert of_decline(code, decline_code) is ours


def test_a_customer_is_never_told_that_a_card_is_lost_stolen_or_suspected():
    generic = FailureCode.CARD_DECLINED.tell_customer
    for code in ("lost_card", "stolen_card", "pickup_card", "fraudulent", "merchant_blacklist"):
        assert DECLINES[code].tell_customer == generic
