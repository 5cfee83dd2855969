import re

import pytest

from counterfoil.domain.failure import BY_SLUG, Advice, FailureCode

# What whoever holds a card must not learn from us: it may not be theirs.
TELLS = re.compile(
    r"lost|stolen|fraud|suspect|blocked|report|police|pick.?up|risk|blacklist|black list", re.IGNORECASE
)


@pytest.mark.parametrize("code", FailureCode)
def test_a_customer_is_told_a_sentence_that_betrays_nothing(code: FailureCode):
    assert code.tell_customer.endswith(".")
    assert code.tell_customer[0].isupper()
    assert not TELLS.search(code.tell_customer)


@pytest.mark.parametrize("code", [code for code in FailureCode if code.advice is Advice.NEVER_SAME_CARD])
def test_a_card_that_must_not_be_tried_again_sounds_like_any_declined_one(code: FailureCode):
    assert code.tell_customer == FailureCode.CARD_DECLINED.tell_customer


def test_slugs_are_unique_and_found_again():
    assert len({code.slug for code in FailureCode}) == len(FailureCode) == len(BY_SLUG)
    assert all(BY_SLUG[code.slug] is code for code in FailureCode)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code.slug) for code in FailureCode)
