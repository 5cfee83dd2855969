import random
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.charge import (
    CHARGE_RANK,
    REFUND_RANK,
    ChargeState,
    Figures,
    RefundState,
    charge_state,
    contradictions,
    described,
    refund_state,
    weigh,
)
from counterfoil.domain.fact import Fact, Kind

AT = datetime(2026, 11, 22, tzinfo=UTC)
CHARGE_KINDS = [kind for kind in Kind if kind.noun == "charge"]
REFUND_KINDS = [kind for kind in Kind if kind.noun == "refund"]


def test_every_state_of_a_charge_and_of_a_refund_has_one_rank():
    assert sorted(CHARGE_RANK) == sorted(ChargeState)
    assert sorted(REFUND_RANK) == sorted(RefundState)


@given(st.lists(st.sampled_from(CHARGE_KINDS)), st.randoms())
def test_a_charge_is_the_same_in_whatever_order_and_however_often_it_is_told(
    said: list[Kind], chance: random.Random
):
    again = [*said, *said]
    chance.shuffle(again)
    assert charge_state(again) is charge_state(said)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([], "created"),
        (["created"], "created"),
        (["failed", "created"], "failed"),
        (["authorized", "failed"], "authorized"),  # a late authorisation
        (["voided", "authorized"], "voided"),
        (["failed", "captured"], "captured"),
        (["captured", "voided", "failed", "authorized", "created"], "captured"),
    ],
)
def test_a_charge_is_the_highest_that_was_ever_said_of_it(said: list[str], state: str):
    for order in permutations(said):
        assert charge_state(Kind(f"charge.{word}") for word in order) == state


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([], "pending"),
        (["pending", "succeeded"], "succeeded"),
        (["succeeded", "failed"], "failed"),  # it bounced, days later
        (["pending", "succeeded", "failed"], "failed"),
    ],
)
def test_a_refund_that_failed_has_failed_whatever_was_said_before(said: list[str], state: str):
    for order in permutations(said):
        assert refund_state(Kind(f"refund.{word}") for word in order) == state


@given(st.sets(st.sampled_from(CHARGE_KINDS)))
def test_only_voided_and_captured_contradict_one_another(said: set[Kind]):
    expected = ["captured and voided"] if {Kind.CHARGE_VOIDED, Kind.CHARGE_CAPTURED} <= said else []
    assert contradictions(said) == expected


# What all facts of a charge come to.


def fact(kind: str, amount: int = 100, object_id: str = "ch_1", **more: Any) -> Fact:
    made: dict[str, Any] = {
        "id": 0,
        "object_id": object_id,
        "kind": Kind(kind),
        "amount": amount,
        "currency": "USD",
        "attempt_id": "att_1",
        "charge_ref": "ch_1",
        "detail": {},
        "said_at": AT,
    }
    return Fact(**made | more)


def test_a_charge_nobody_spoke_of_is_nothing_yet():
    assert weigh("ch_1", []) == Figures(ChargeState.CREATED, 0, 0, {})
    assert weigh("ch_2", [fact("charge.captured")]) == Figures(ChargeState.CREATED, 0, 0, {})


@pytest.mark.parametrize(
    ("told", "captured", "refunded"),
    [
        ([fact("charge.authorized")], 0, 0),
        ([fact("charge.captured", 40), fact("charge.captured", 100)], 100, 0),  # cumulative
        ([fact("charge.captured"), fact("refund.pending", 30, "re_1")], 100, 30),
        (
            [
                fact("charge.captured"),
                fact("refund.pending", 30, "re_1"),
                fact("refund.succeeded", 30, "re_1"),
            ],
            100,
            30,
        ),
        (
            [
                fact("charge.captured"),
                fact("refund.succeeded", 30, "re_1"),
                fact("refund.failed", 30, "re_1"),
            ],
            100,
            0,
        ),
        (
            [
                fact("charge.captured"),
                fact("refund.succeeded", 30, "re_1"),
                fact("refund.pending", 20, "re_2"),
            ],
            100,
            50,
        ),
        ([fact("charge.captured"), fact("refund.succeeded", 300, "re_1")], 100, 300),
        ([fact("refund.succeeded", 30, "re_1")], 0, 0),  # no money of ours came yet
        ([fact("charge.voided"), fact("refund.succeeded", 100, "re_1")], 0, 0),
    ],
)
def test_what_was_captured_and_given_back_in_any_order(told: list[Fact], captured: int, refunded: int):
    for order in permutations(told):
        figures = weigh("ch_1", order)
        assert (figures.captured, figures.refunded) == (captured, refunded)


def test_what_is_said_of_a_higher_state_describes_the_charge_whatever_the_times():
    told = [
        fact(
            "charge.failed", detail={"vpa": "old", "failure": "incorrect_pin"}, said_at=AT + timedelta(days=9)
        ),
        fact(
            "charge.captured", detail={"vpa": "new", "fee": 2, "tax": None, "event_type": "payment.captured"}
        ),
    ]
    for order in permutations(told):
        assert weigh("ch_1", order).detail == {"vpa": "new", "fee": 2, "failure": "incorrect_pin"}


def test_the_name_of_an_event_and_what_is_not_said_describe_nothing():
    assert described({"brand": "visa", "last4": None, "event_type": "charge.succeeded"}) == {"brand": "visa"}


facts_st = st.lists(
    st.builds(
        fact,
        st.sampled_from([*CHARGE_KINDS, *REFUND_KINDS]).map(str),
        st.integers(0, 200),
        st.sampled_from(["ch_1", "re_1", "re_2"]),
        said_at=st.integers(0, 99).map(lambda seconds: AT + timedelta(seconds=seconds)),
    ),
    max_size=6,
    unique_by=lambda one: (one.object_id, one.kind, one.amount),
)


@given(facts_st, st.randoms())
def test_the_order_and_the_times_of_facts_play_no_part(told: list[Fact], chance: random.Random):
    other = list(told)
    chance.shuffle(other)
    assert weigh("ch_1", other) == weigh("ch_1", told)
