from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from counterfoil.domain.attempt import Attempt, AttemptState, attempt_state, disagreement
from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.money import NO_MONEY, Money

AT = datetime(2026, 11, 22, tzinfo=UTC)
OURS = Attempt(
    id="att_1", payment_id="pmt_1", number=1, account_id="gwa_1", gateway="razorpay", mode="sandbox", amount=100,
    currency="INR", capture="manual", reason="", ref="order_1", state=AttemptState.OPEN, failure=None,
    disclosed_at=None, fenced_at=None, dead_at=None, created_at=AT,
)  # fmt: skip


def test_an_attempt_knows_its_money():
    assert OURS.money == Money(100, "INR")


@pytest.mark.parametrize(
    ("won", "fenced", "dead", "unsettled", "state"),
    [
        (False, False, False, 0, "open"),
        (False, False, False, 1, "unknown"),
        (False, True, False, 0, "fenced"),
        (False, True, False, 1, "unknown"),  # a fence does not tell what became of a call
        (True, False, False, 0, "won"),
        (True, True, False, 0, "won"),  # money on a fenced attempt is money
        (True, False, False, 2, "unknown"),
        (False, False, True, 0, "dead"),
        (True, True, True, 3, "dead"),
    ],
)
def test_what_an_attempt_is(won: bool, fenced: bool, dead: bool, unsettled: int, state: str):
    assert attempt_state(won=won, fenced=fenced, dead=dead, unsettled_calls=unsettled) == state


# What a gateway says must be about this attempt.

RIGHT: dict[str, Any] = {
    "kind": Kind.CHARGE_CAPTURED,
    "object_id": "pay_1",
    "amount": Money(100, "INR"),
    "at": AT,
    "attempt_ref": "order_1",
    "face": Money(100, "INR"),
    "our_reference": "att_1",
    "livemode": False,
}


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"attempt_ref": None},
        {"our_reference": None},
        {"livemode": None},
        {"face": None},
        {"amount": Money(40, "INR")},  # a part of it
        {
            "kind": Kind.REFUND_SUCCEEDED,
            "amount": Money(500, "INR"),
            "face": None,
        },  # what it gives back is its own word
        {"kind": Kind.WARNING_EARLY_FRAUD, "amount": NO_MONEY, "face": None},  # about no amount
    ],
)
def test_what_agrees_or_says_nothing_of_it_is_taken(said: dict[str, Any]):
    assert disagreement(OURS, Report(**RIGHT | said)) is None


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"livemode": True}, "mode: the gateway says livemode True, the attempt is sandbox"),
        ({"our_reference": "att_2"}, "reference: the gateway names att_2, the attempt is att_1"),
        ({"attempt_ref": "order_2"}, "reference: the gateway names order_2, ours is order_1"),
        ({"amount": Money(100, "USD")}, "currency: the gateway says USD, the attempt is in INR"),
        ({"face": Money(99, "INR")}, "amount: the gateway says 0.99 INR, the attempt is for 1.00 INR"),
        ({"face": Money(100, "USD")}, "amount: the gateway says 1.00 USD, the attempt is for 1.00 INR"),
        ({"amount": Money(101, "INR")}, "amount: the gateway says 1.01 INR was captured of 1.00 INR"),
    ],
)
def test_what_contradicts_it_is_told_as_a_sentence(said: dict[str, Any], sentence: str):
    assert disagreement(OURS, Report(**RIGHT | said)) == sentence


def test_what_an_imported_attempt_was_called_before_contradicts_nothing():
    imported = replace(OURS, imported=True)
    assert disagreement(imported, Report(**RIGHT | {"our_reference": "order 7 of another program"})) is None
    assert disagreement(imported, Report(**RIGHT | {"attempt_ref": "order_2"})) is not None


def test_in_live_mode_it_is_the_other_way_round():
    live = replace(OURS, mode="live")
    assert disagreement(live, Report(**RIGHT | {"livemode": True})) is None
    assert disagreement(live, Report(**RIGHT)) == "mode: the gateway says livemode False, the attempt is live"


def test_an_attempt_without_a_reference_takes_the_one_that_names_it():
    assert disagreement(replace(OURS, ref=None), Report(**RIGHT | {"attempt_ref": "order_9"})) is None
