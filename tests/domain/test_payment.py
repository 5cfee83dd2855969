import random
from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.attempt import ENDED, Attempt, AttemptState, attempt_state
from counterfoil.domain.charge import (
    CHARGE_RANK,
    REFUND_RANK,
    Charge,
    ChargeState,
    RefundState,
    charge_state,
    contradictions,
    refund_state,
)
from counterfoil.domain.errors import WrongStateError
from counterfoil.domain.fact import Kind
from counterfoil.domain.money import Money
from counterfoil.domain.payment import COMMANDS, ChargeView, Command, Payment, Status, status, winner_charge

AT = datetime(2026, 11, 22, tzinfo=UTC)
CHARGE_KINDS = [kind for kind in Kind if kind.noun == "charge"]
REFUND_KINDS = [kind for kind in Kind if kind.noun == "refund"]


# What gateways report is ranked.


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


# An attempt follows from our decisions.


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


# The payment's status. Attempts; charges as state@attempt, with "!" the one that pays; what else is known; the answer.
STATUSES = """
    -               -                               -                       created
    -               -                               expired                 failed
    -               -                               cancel                  cancelled
    -               -                               cancel+expired          cancelled
    -               -                               acting                  pending

    open            -                               -                       created
    open            -                               acting                  pending
    open            -                               expired                 created
    open            -                               acting+expired          pending
    open            -                               cancel                  created
    open            -                               acting+cancel+expired   pending
    unknown         -                               -                       pending
    unknown         -                               cancel+expired          pending

    open            created@open                    acting                  pending
    open            failed@open                     acting                  pending
    open            failed@open,failed@open         acting+expired          pending
    open            voided@open                     acting                  pending
    open            authorized@open                 -                       authorized
    open            failed@open,authorized@open     acting                  authorized
    open            authorized@open                 cancel+expired          authorized
    unknown         authorized@unknown              -                       authorized
    won             authorized@won                  -                       authorized

    fenced          -                               -                       failed
    fenced          -                               cancel                  cancelled
    fenced          failed@fenced                   acting+expired          failed
    fenced          authorized@fenced               acting                  failed
    fenced          authorized@fenced               cancel                  cancelled
    fenced          voided@fenced                   acting+cancel           cancelled
    dead            -                               -                       failed
    dead            -                               cancel                  cancelled
    dead,fenced     failed@fenced                   acting                  failed

    dead,open       -                               -                       created
    fenced,open     failed@fenced                   acting                  pending
    fenced,open     authorized@fenced               -                       created
    fenced,unknown  -                               cancel+expired          pending
    fenced,open     failed@fenced,authorized@open   acting                  authorized

    won             captured@won!                   -                       captured
    won             captured@won!                   acting+cancel+expired   captured
    won             failed@won,captured@won!        acting                  captured
    won,open        captured@won!,authorized@open   acting                  captured
    won,fenced      captured@won!,captured@fenced   -                       captured
    won             captured@won!,captured@won      -                       captured
    unknown         captured@unknown!               -                       captured
    dead            captured@dead!                  -                       captured
    fenced          captured@fenced                 -                       failed
    open            captured@open                   acting                  pending
"""
ROWS = [line.split() for line in STATUSES.splitlines() if line.strip()]


def _charge_view(text: str) -> ChargeView:
    state, _, attempt = text.rstrip("!").partition("@")
    return ChargeView(ChargeState(state), AttemptState(attempt), text.endswith("!"))


@pytest.mark.parametrize(
    ("attempts", "charges", "known", "answer"), ROWS, ids=[" ".join(row) for row in ROWS]
)
def test_the_status_follows_from_attempts_charges_and_what_was_asked(
    attempts: str, charges: str, known: str, answer: str
):
    tries = [] if attempts == "-" else [AttemptState(name) for name in attempts.split(",")]
    views = [] if charges == "-" else [_charge_view(text) for text in charges.split(",")]
    flags = {
        "acting": "acting" in known,
        "cancel_requested": "cancel" in known,
        "expired": "expired" in known,
    }
    for order, turn in product(permutations(tries), permutations(views)):
        assert status(order, turn, **flags) == answer


attempts_st = st.lists(st.sampled_from(AttemptState), max_size=4)
charges_st = st.lists(
    st.builds(ChargeView, st.sampled_from(ChargeState), st.sampled_from(AttemptState), st.booleans()),
    max_size=4,
)


@given(attempts_st, charges_st, st.booleans(), st.booleans(), st.booleans())
def test_nothing_ends_while_an_attempt_lives_neither_age_nor_a_wish(
    attempts: list[AttemptState], charges: list[ChargeView], acting: bool, cancel: bool, expired: bool
):
    ended = status(attempts, charges, acting=acting, cancel_requested=cancel, expired=expired)
    if set(attempts) - ENDED:
        assert ended not in {Status.FAILED, Status.CANCELLED}


@given(attempts_st, charges_st, st.booleans(), st.booleans(), st.booleans())
def test_money_that_pays_is_captured_whatever_else_is_known(
    attempts: list[AttemptState], charges: list[ChargeView], acting: bool, cancel: bool, expired: bool
):
    pays = any(charge.winner and charge.state is ChargeState.CAPTURED for charge in charges)
    came = status(attempts, charges, acting=acting, cancel_requested=cancel, expired=expired)
    assert (came is Status.CAPTURED) is pays


# What a caller may ask.


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        ("created", {"confirm", "cancel"}),
        ("pending", {"confirm", "cancel"}),
        ("authorized", {"capture", "cancel"}),
        ("captured", set()),
        ("failed", set()),
        ("cancelled", {"cancel"}),
    ],
)
def test_what_may_be_asked_of_a_payment_in_each_state(state: str, allowed: set[str]):
    assert {command.value for command in Command if COMMANDS.allows(Status(state), command)} == allowed
    for command in Command:
        if command.value in allowed:
            assert COMMANDS.next(Status(state), command) == state  # what comes of it, facts decide
        else:
            with pytest.raises(WrongStateError):
                COMMANDS.next(Status(state), command)


# Which charge pays.


def charge(ref: str, **changes: Any) -> Charge:
    made: dict[str, Any] = {
        "id": f"chg_{ref}",
        "payment_id": "pmt_1",
        "attempt_id": "att_1",
        "account_id": "gwa_1",
        "ref": ref,
        "state": ChargeState.CAPTURED,
        "amount": 100,
        "currency": "USD",
        "captured": 100,
        "refunded_seen": 0,
        "disputed_held": 0,
        "reserved": 0,
        "surplus": False,
        "detail": {},
        "made_at": AT,
        "created_at": AT,
    }
    return Charge(**made | changes)


def test_the_charge_that_pays_is_captured_on_the_winning_attempt_and_not_surplus():
    others = [
        charge("pay_elsewhere", attempt_id="att_2"),
        charge("pay_held", state=ChargeState.AUTHORIZED),
        charge("pay_surplus", surplus=True),
    ]
    pays = charge("pay_it")
    for order in permutations([*others, pays]):
        assert winner_charge("att_1", order) is pays
    assert winner_charge("att_1", others) is None
    assert winner_charge(None, [pays]) is None


def test_a_payment_and_its_attempt_know_their_money():
    payment = Payment(
        id="pmt_1", merchant_id="mer_1", mode="sandbox", amount=100, currency="INR", reference=None, description=None,
        customer={}, metadata={}, line_items=[], capture="automatic", gateway=None, return_url=None,
        status=Status.CREATED, amount_captured=0, amount_refunded=0, winner_attempt_id=None, cancel_requested_at=None,
        capture_requested=None, expires_at=AT + timedelta(days=1), next_check_at=None, checks=0, version=1,
        created_at=AT, updated_at=AT,
    )  # fmt: skip
    attempt = Attempt(
        id="att_1", payment_id="pmt_1", number=1, account_id="gwa_1", gateway="razorpay", mode="sandbox", amount=100,
        currency="INR", capture="manual", reason="", ref=None, state=AttemptState.OPEN, failure=None,
        disclosed_at=None, fenced_at=None, dead_at=None, created_at=AT,
    )  # fmt: skip
    assert payment.money == attempt.money == Money(100, "INR")
