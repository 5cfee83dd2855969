from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.charge import Charge, ChargeState, RefundState
from counterfoil.domain.errors import WrongStateError
from counterfoil.domain.money import Money
from counterfoil.domain.refund import (
    DECISIONS,
    LIVE,
    SAID,
    UNSENT,
    Command,
    Method,
    Refund,
    Source,
    State,
    refundable,
    reserved,
    subject_of,
    to_void,
)

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def refund(**changes: Any) -> Refund:
    """A refund of 10 dollars that waits for one approval."""
    made = Refund(
        id="rfn_1",
        merchant_id="mer_1",
        mode="sandbox",
        payment_id="pmt_1",
        charge_id="chg_1",
        account_id="gwa_1",
        amount=1_000,
        currency="USD",
        reason="requested_by_customer",
        note=None,
        source=Source.REQUEST,
        method=Method.GATEWAY,
        state=State.PENDING_APPROVAL,
        because=None,
        rule="every refund needs an approval",
        needed=1,
        requested_by="key_1",
        person="key_1",
        role="support",
        batch_id=None,
        retry_of=None,
        evidence=None,
        speed="normal",
        subject="customer:cus_1",
        day="2026-11-23",
        gateway_ref=None,
        arn=None,
        speed_processed=None,
        failure=None,
        tries=0,
        requested_at=AT,
        approved_at=None,
        expires_at=None,
        reminded_at=None,
        sent_at=None,
        ended_at=None,
        next_check_at=None,
        checks=0,
        version=1,
        updated_at=AT,
    )
    return replace(made, **changes)


def charge(captured: int = 10_000, **changes: Any) -> Charge:
    made = Charge(
        id="chg_1",
        payment_id="pmt_1",
        attempt_id="att_1",
        account_id="gwa_1",
        ref="ch_1",
        state=ChargeState.CAPTURED,
        amount=captured,
        currency="USD",
        captured=captured,
        refunded_seen=0,
        disputed_held=0,
        reserved=0,
        surplus=False,
        detail={},
        made_at=AT,
        created_at=AT,
    )
    return replace(made, **changes)


# What we decide. A row is a state, a column a command; None is refused.

TABLE: dict[str, dict[str, str | None]] = {
    "pending_approval": {
        "approve": "approved", "reject": "rejected", "cancel": "cancelled", "expire": "cancelled",
        "void": "cancelled", "reopen": "pending_approval", "send": None, "resume": None,
    },
    "approved": {
        "approve": "approved", "reject": "rejected", "cancel": "cancelled", "expire": None,
        "void": "cancelled", "reopen": "pending_approval", "send": "processing", "resume": "approved",
    },
    "processing": {
        "approve": None, "reject": None, "cancel": None, "expire": None,
        "void": None, "reopen": None, "send": "processing", "resume": "approved",
    },
    "succeeded": dict.fromkeys(Command),
    "failed": dict.fromkeys(Command),
    "rejected": dict.fromkeys(Command) | {"reject": "rejected", "void": "rejected"},
    "cancelled": dict.fromkeys(Command) | dict.fromkeys(("cancel", "expire", "void"), "cancelled"),
}  # fmt: skip


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("state", State)
def test_every_decision_has_one_answer_in_every_state(state: State, command: Command):
    expected = TABLE[state][command]
    assert DECISIONS.allows(state, command) is (expected is not None)
    if expected is None:
        with pytest.raises(WrongStateError):
            DECISIONS.next(state, command)
    else:
        assert DECISIONS.next(state, command) is State(expected)


@given(st.lists(st.sampled_from(Command), max_size=30))
def test_nothing_is_sent_that_was_not_approved_and_what_is_over_stays_over(commands: list[Command]):
    state, approved = State.PENDING_APPROVAL, False
    for command in commands:
        if not DECISIONS.allows(state, command):
            continue
        before, state = state, DECISIONS.next(state, command)
        approved = (approved or state is State.APPROVED) and state is not State.PENDING_APPROVAL
        assert approved or state is not State.PROCESSING
        assert before in LIVE or state is before


def test_the_gateways_word_has_a_state_of_ours_each():
    assert {said.value: state.value for said, state in SAID.items()} == {
        "pending": "processing",
        "succeeded": "succeeded",
        "failed": "failed",
    }
    assert set(SAID) == set(RefundState)


# What is kept.


@pytest.mark.parametrize("known", [None, "re_1"])
@pytest.mark.parametrize("state", State)
def test_an_amount_is_kept_while_the_refund_lives_and_the_gateway_does_not_count_it(
    state: State, known: str | None
):
    keeps = state.value in {"pending_approval", "approved", "processing"} and known is None
    assert refund(state=state, gateway_ref=known).reserves is keeps


def test_what_is_kept_of_a_charge_is_the_sum_of_its_own_live_refunds():
    refunds = [
        refund(id="rfn_1", amount=100),
        refund(id="rfn_2", amount=20, state=State.PROCESSING),
        refund(id="rfn_3", amount=3, state=State.PROCESSING, gateway_ref="re_3"),
        refund(id="rfn_4", amount=4, state=State.CANCELLED, because="x"),
        refund(id="rfn_5", amount=5, charge_id="chg_2"),
    ]
    assert (reserved(refunds, "chg_1"), reserved(refunds, "chg_2"), reserved([], "chg_1")) == (120, 5, 0)


@pytest.mark.parametrize(
    ("figures", "left"),
    [
        ({}, 10_000),
        ({"refunded_seen": 1_000, "disputed_held": 200, "reserved": 30}, 8_770),
        ({"refunded_seen": 10_000}, 0),
        ({"refunded_seen": 9_000, "disputed_held": 9_000}, 0),  # the gateway may report more than there was
    ],
)
def test_what_may_still_be_asked_for_is_never_less_than_nothing(figures: dict[str, int], left: int):
    assert refundable(charge(**figures)) == left


# What cannot be paid any more.

SOME_REFUNDS = st.lists(
    st.builds(
        refund,
        id=st.integers(1, 999).map("rfn_{:03}".format),
        amount=st.integers(1, 5_000),
        state=st.sampled_from(State),
        charge_id=st.sampled_from(["chg_1", "chg_1", "chg_2"]),
        gateway_ref=st.none(),
    ),
    max_size=8,
    unique_by=lambda one: one.id,
)


@given(SOME_REFUNDS, st.integers(0, 12_000), st.integers(0, 12_000), st.integers(0, 12_000))
def test_no_more_is_voided_than_is_missing_and_the_oldest_first(
    refunds: list[Refund], captured: int, went_back: int, held: int
):
    of_charge = charge(
        captured, refunded_seen=went_back, disputed_held=held, reserved=reserved(refunds, "chg_1")
    )
    missing = went_back + held + of_charge.reserved - captured
    unsent = sorted(
        (one for one in refunds if one.charge_id == "chg_1" and one.state in UNSENT), key=lambda one: one.id
    )
    voided = to_void(refunds, of_charge)
    assert voided == unsent[: len(voided)]
    assert sum(one.amount for one in voided) >= missing or voided == unsent
    assert sum(one.amount for one in voided[:-1]) < max(missing, 1)
    assert voided == [] or missing > 0


def test_a_charge_that_has_enough_voids_nothing():
    assert to_void([refund()], charge(1_000, reserved=1_000)) == []


def test_what_is_on_its_way_is_not_voided():
    sent = refund(id="rfn_1", state=State.PROCESSING)
    waits = refund(id="rfn_2")
    assert to_void([sent, waits], charge(1_000, reserved=2_000)) == [waits]


# How it is told.


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "waits for an approval"),
        ({"needed": 2}, "waits for approvals"),
        ({"state": State.APPROVED}, "approved, not yet sent"),
        (
            {"state": State.APPROVED, "failure": {"code": "x", "message": "the balance is too short"}},
            "approved, not yet sent: the balance is too short",
        ),
        (
            {"state": State.APPROVED, "failure": {"code": "refund_balance_short", "message": None}},
            "approved, not yet sent: refund_balance_short",
        ),
        (
            {"state": State.APPROVED, "method": Method.MANUAL, "evidence": "UTR 1"},
            "approved, not yet recorded",
        ),
        ({"state": State.PROCESSING}, "sent, the gateway has not answered yet"),
        ({"state": State.PROCESSING, "gateway_ref": "re_1"}, "with the gateway, not yet paid out"),
        ({"state": State.SUCCEEDED, "gateway_ref": "re_1"}, "sent, no bank reference yet"),
        ({"state": State.SUCCEEDED, "gateway_ref": "re_1", "arn": "74"}, "paid out, bank reference 74"),
        (
            {"state": State.SUCCEEDED, "method": Method.MANUAL, "evidence": "UTR 1"},
            "paid back in another way: UTR 1",
        ),
        (
            {"state": State.FAILED, "failure": {"code": "refund_too_old", "message": "it is too old"}},
            "failed, the money is back: it is too old",
        ),
        (
            {"state": State.FAILED, "failure": {"code": "refund_too_old", "message": None}},
            "failed, the money is back: refund_too_old",
        ),
        (
            {"state": State.FAILED, "failure": {"code": "other", "message": None}},
            "failed, the money is back: the gateway does not say why",
        ),
        ({"state": State.FAILED}, "failed, the money is back: the gateway does not say why"),
        ({"state": State.REJECTED, "because": "goods were used"}, "rejected: goods were used"),
        ({"state": State.CANCELLED, "because": "nobody decided in time"}, "cancelled: nobody decided in time"),
    ],
)  # fmt: skip
def test_its_stage_says_how_it_truly_stands(changes: dict[str, Any], sentence: str):
    assert refund(**changes).stage == sentence


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (None, "the gateway does not say why"),
        ({"code": "other"}, "the gateway does not say why"),
        ({"code": "refund_too_old"}, "refund_too_old"),
        ({"code": "other", "message": "the gateway says: lost_or_stolen_card"}, "the gateway says: lost_or_stolen_card"),
    ],
)  # fmt: skip
def test_why_it_failed_is_never_told_as_nothing(failure: dict[str, Any] | None, why: str):
    assert refund(failure=failure).why == why


@pytest.mark.parametrize(
    ("customer", "subject"),
    [
        ({"id": "cus_7", "email": "anna@example.com"}, "customer:cus_7"),
        ({"email": "Anna@Example.com"}, f"email:{sha256(b'anna@example.com').hexdigest()[:32]}"),
        ({"name": "Anna"}, "card:fp_1"),
    ],
)
def test_refunds_of_a_day_count_together_by_the_closest_that_is_known(customer: Any, subject: str):
    payment: Any = SimpleNamespace(id="pmt_1", customer=customer)
    assert subject_of(payment, charge(detail={"fingerprint": "fp_1"})) == subject


def test_refunds_of_somebody_unknown_count_for_their_payment_alone():
    payment: Any = SimpleNamespace(id="pmt_1", customer={})
    assert subject_of(payment, charge(detail={})) == "payment:pmt_1"


def test_its_amount_is_money():
    assert refund(amount=1_250).money == Money(1_250, "USD")
