from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.attempt import ENDED, AttemptState
from counterfoil.domain.charge import Charge, ChargeState
from counterfoil.domain.errors import WrongStateError
from counterfoil.domain.money import Money
from counterfoil.domain.payment import COMMANDS, ChargeView, Command, Payment, Status, status, winner_charge

AT = datetime(2026, 11, 22, tzinfo=UTC)
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


def test_a_payment_knows_its_money():
    payment = Payment(
        id="pmt_1", merchant_id="mer_1", mode="sandbox", amount=100, currency="INR", reference=None, description=None,
        customer={}, metadata={}, line_items=[], capture="automatic", gateway=None, method=None,
        planned_gateway=None, return_url=None,
        status=Status.CREATED, amount_captured=0, amount_refunded=0, winner_attempt_id=None, cancel_requested_at=None,
        capture_requested=None, expires_at=AT + timedelta(days=1), next_check_at=None, checks=0, version=1,
        created_at=AT, updated_at=AT,
    )  # fmt: skip
    assert payment.money == Money(100, "INR")
