from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.call import Verb
from counterfoil.domain.dispute import (
    ALLOWED,
    ANSWERS,
    OPEN,
    Answer,
    Command,
    Dispute,
    DisputeState,
    contradiction,
    follow,
    held,
    seen,
    weigh,
)
from counterfoil.domain.errors import WrongStateError
from counterfoil.domain.fact import Fact, Kind, Report
from counterfoil.domain.money import Money

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DUE = int((NOW + timedelta(days=7)).timestamp())
LATER = int((NOW + timedelta(days=20)).timestamp())


def opened(gateway: str = "stripe", **changes: Any) -> Dispute:
    """A dispute that was just heard of, before anything is made of what was said."""
    made = Dispute(
        id="dsp_1",
        merchant_id="mer_1",
        mode="sandbox",
        payment_id="pmt_1",
        charge_id="chg_1",
        account_id="gwa_1",
        gateway=gateway,
        ref="dp_1",
        state=DisputeState.NEEDS_RESPONSE,
        amount=3000,
        currency="USD",
        reason=None,
        phase=None,
        respond_by=None,
        answered_until=None,
        refundable=False,
        submissions=0,
        submissions_before=0,
        asked_round=0,
        decided_round=0,
        held=0,
        withdrawn=0,
        reinstated=0,
        lost=0,
        answer=Answer.NONE,
        failure=None,
        submitted_at=None,
        submitted_by=None,
        accepted_at=None,
        accepted_by=None,
        next_check_at=None,
        checks=0,
        version=1,
        opened_at=NOW,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(made, **changes)


def told(kind: Kind, amount: int = 3000, *, at: datetime = NOW, **detail: Any) -> Report:
    return Report(
        kind=kind,
        object_id="dp_1",
        amount=Money(amount, "USD"),
        at=at,
        charge_ref="ch_1",
        detail=detail,
    )


def fact(report: Report) -> Fact:
    return Fact(
        id=0,
        object_id=report.object_id,
        kind=report.kind,
        amount=report.amount.minor,
        currency="USD",
        attempt_id="att_1",
        charge_ref="ch_1",
        detail=dict(report.detail),
        said_at=report.at or NOW,
    )


def hear(*reports: Report, gateway: str = "stripe", start: Dispute | None = None) -> Dispute:
    """What a dispute is once these were told in this order; each fact is kept once, as its first telling had it."""
    known: dict[tuple[Kind, int], Fact] = {}
    dispute = start or opened(gateway)
    for report in reports:
        known.setdefault((report.kind, report.amount.minor), fact(report))
        dispute = follow(dispute, list(known.values()), report)
    return dispute


INQUIRY = told(Kind.DISPUTE_INQUIRY, refundable=True, respond_by=DUE, gateway_status="warning_needs_response")
ASKED = told(Kind.DISPUTE_OPEN, respond_by=DUE, gateway_status="needs_response", reason="fraudulent")
TAKEN = told(Kind.DISPUTE_WITHDRAWN, respond_by=DUE, gateway_status="needs_response")
REVIEW = told(Kind.DISPUTE_UNDER_REVIEW, respond_by=DUE, gateway_status="under_review")
BACK = told(Kind.DISPUTE_REINSTATED)
WON, LOST, CLOSED = told(Kind.DISPUTE_WON), told(Kind.DISPUTE_LOST), told(Kind.DISPUTE_CLOSED)
ASKED_AGAIN = told(Kind.DISPUTE_OPEN, respond_by=LATER, gateway_status="open", reason="fraudulent")


@pytest.mark.parametrize(
    ("reports", "state", "holds"),
    [
        ((INQUIRY,), "inquiry", 0),
        ((told(Kind.DISPUTE_INQUIRY, refundable=False),), "inquiry", 3000),
        ((told(Kind.DISPUTE_INQUIRY),), "inquiry", 3000),
        ((ASKED,), "needs_response", 3000),
        ((INQUIRY, ASKED), "needs_response", 3000),
        ((ASKED, TAKEN, REVIEW), "under_review", 3000),
        ((ASKED, TAKEN, REVIEW, WON), "won", 0),
        ((ASKED, TAKEN, REVIEW, WON, BACK), "won", 0),
        ((ASKED, TAKEN, LOST), "lost", 3000),
        ((INQUIRY, CLOSED), "closed", 0),
    ],
)
def test_an_open_or_lost_dispute_holds_its_amount_and_one_that_was_won_or_closed_gives_it_back(
    reports: tuple[Report, ...], state: str, holds: int
):
    for order in permutations(reports):
        dispute = hear(*order)
        assert (dispute.state, dispute.held) == (state, holds), [report.kind for report in order]


def test_an_inquiry_that_becomes_a_dispute_after_it_was_closed_holds_its_amount_at_stripe():
    for order in permutations((INQUIRY, CLOSED, ASKED)):
        assert (hear(*order).state, hear(*order).held) == ("needs_response", 3000)


def test_at_razorpay_closing_is_the_end():
    for order in permutations((ASKED, REVIEW, CLOSED)):
        assert (hear(*order, gateway="razorpay").state, hear(*order, gateway="razorpay").held) == (
            "closed",
            0,
        )


def test_a_bank_that_asks_again_after_its_review_is_known_by_its_later_deadline():
    for order in permutations((ASKED, REVIEW, ASKED_AGAIN)):
        dispute = hear(*order, gateway="razorpay")
        assert (dispute.state, dispute.waits_for_us) == ("needs_response", True), [r.kind for r in order]
        assert dispute.respond_by == datetime.fromtimestamp(LATER, UTC)


def test_a_review_with_the_same_deadline_stays_a_review():
    assert hear(REVIEW, ASKED).state == "under_review"


def test_what_we_submitted_is_open_again_when_the_bank_asks_for_more():
    submitted = opened(
        answer=Answer.SUBMITTED,
        submitted_by="key_1",
        respond_by=datetime.fromtimestamp(DUE, UTC),
        answered_until=datetime.fromtimestamp(DUE, UTC),
    )
    same = hear(ASKED, start=submitted)
    assert (same.answer, same.waits_for_us) == (Answer.SUBMITTED, False)
    again = hear(ASKED, ASKED_AGAIN, start=submitted)
    assert (again.answer, again.waits_for_us) == (Answer.NONE, True)


def test_an_inquiry_that_is_looked_into_waits_for_nobody():
    looked_into = told(Kind.DISPUTE_INQUIRY, respond_by=DUE, gateway_status="warning_under_review")
    for order in permutations((INQUIRY, looked_into)):
        assert (hear(*order).state, hear(*order).waits_for_us) == ("inquiry", False)


def test_the_movement_of_money_is_no_answer():
    assert hear(ASKED, TAKEN).waits_for_us


def test_a_lost_dispute_costs_what_the_gateway_kept():
    assert hear(ASKED, LOST).lost == 3000  # told before the money moves
    assert hear(ASKED, LOST, TAKEN).lost == 3000
    part = told(Kind.DISPUTE_WITHDRAWN, 1000)
    assert (hear(ASKED, LOST, part).lost, hear(ASKED, LOST, part).held) == (1000, 1000)
    assert hear(ASKED, LOST, TAKEN, BACK).held == 0


def test_the_amount_is_that_of_the_highest_stage():
    smaller = told(Kind.DISPUTE_OPEN, 2000)
    for order in permutations((INQUIRY, smaller)):
        assert hear(*order).amount == 2000


def test_reason_and_phase_are_kept_and_the_opening_is_the_earliest_that_was_told():
    early = told(Kind.DISPUTE_OPEN, at=NOW - timedelta(days=1), reason="fraudulent", phase="chargeback")
    for order in permutations((early, REVIEW, LOST)):
        dispute = hear(*order)
        assert (dispute.reason, dispute.phase) == ("fraudulent", "chargeback")
        assert dispute.opened_at == NOW - timedelta(days=1)


TAKEN_TWICE, BACK_TWICE = told(Kind.DISPUTE_WITHDRAWN, 6000), told(Kind.DISPUTE_REINSTATED, 6000)
APPEALED = told(
    Kind.DISPUTE_OPEN,
    respond_by=LATER,
    gateway_status="appeal_needs_response",
    reason="fraudulent",
    phase="appeal",
)
LOOKED_INTO = told(
    Kind.DISPUTE_UNDER_REVIEW, respond_by=LATER, gateway_status="appeal_under_review", phase="appeal"
)
FIRST = (ASKED, TAKEN, REVIEW, WON, BACK)


@pytest.mark.parametrize(
    ("then", "state", "holds", "lost"),
    [
        ((TAKEN_TWICE,), "under_review", 3000, 0),
        ((TAKEN_TWICE, APPEALED), "needs_response", 3000, 0),
        ((TAKEN_TWICE, APPEALED, LOOKED_INTO), "under_review", 3000, 0),
        ((TAKEN_TWICE, LOST), "lost", 3000, 3000),
        ((TAKEN_TWICE, BACK_TWICE), "won", 0, 0),
        ((APPEALED,), "won", 0, 0),  # the gateway took nothing for it
    ],
)
def test_a_dispute_that_was_won_is_open_and_held_again_where_its_money_is_taken_again(
    then: tuple[Report, ...], state: str, holds: int, lost: int
):
    for order in permutations((*FIRST[2:], *then)):
        dispute = hear(*FIRST[:2], *order)
        assert (dispute.state, dispute.held, dispute.lost) == (state, holds, lost), [r.kind for r in order]


def test_of_two_verdicts_the_one_stands_that_the_money_follows():
    for order in permutations((ASKED, TAKEN, LOST, WON)):
        assert (hear(*order).state, hear(*order).held) == ("lost", 3000)
    for order in permutations((ASKED, TAKEN, LOST, WON, BACK)):
        assert (hear(*order).state, hear(*order).held, hear(*order).lost) == ("won", 0, 0)


def test_a_part_that_was_kept_of_a_dispute_that_was_won_is_no_other_round():
    part = told(Kind.DISPUTE_REINSTATED, 1000)
    assert (hear(ASKED, TAKEN, WON, part).state, hear(ASKED, TAKEN, WON, part).held) == ("won", 0)


PRE_ARBITRATION = told(
    Kind.DISPUTE_OPEN, respond_by=LATER, gateway_status="open", reason="fraudulent", phase="pre_arbitration"
)
THERE_TOO = told(Kind.DISPUTE_WON, phase="pre_arbitration")
DEDUCTED = (
    told(Kind.DISPUTE_LOST, phase="arbitration"),
    told(Kind.DISPUTE_WITHDRAWN, phase="arbitration"),
)


@pytest.mark.parametrize(
    ("then", "state", "holds"),
    [
        ((PRE_ARBITRATION,), "needs_response", 3000),
        ((PRE_ARBITRATION, THERE_TOO), "won", 0),
        ((PRE_ARBITRATION, *DEDUCTED), "lost", 3000),
    ],
)
def test_a_dispute_at_razorpay_that_was_won_is_open_and_held_again_in_a_later_phase(
    then: tuple[Report, ...], state: str, holds: int
):
    first = (
        told(Kind.DISPUTE_UNDER_REVIEW, respond_by=DUE, phase="chargeback"),
        told(Kind.DISPUTE_WON, phase="chargeback"),
    )
    for order in permutations((*first, *then)):
        dispute = hear(*order, gateway="razorpay")
        assert (dispute.state, dispute.held) == (state, holds), [r.kind for r in order]


@pytest.mark.parametrize(
    ("gateway", "reports", "told_to_a_person"),
    [
        ("stripe", (WON, LOST), "lost and won"),
        ("razorpay", (CLOSED, WON), "closed and won"),
        ("razorpay", (CLOSED, LOST), "closed and lost"),
        ("stripe", (CLOSED, WON), None),
        ("stripe", (INQUIRY, ASKED, REVIEW, LOST), None),
    ],
)
def test_two_ends_of_one_dispute_contradict(
    gateway: str, reports: tuple[Report, ...], told_to_a_person: str | None
):
    dispute = hear(*reports, gateway=gateway)
    assert contradiction(dispute, [fact(report) for report in reports]) == told_to_a_person


def test_lost_stands_above_won_so_that_money_is_kept_until_a_person_has_looked():
    assert (hear(LOST, WON).state, hear(LOST, WON).held) == ("lost", 3000)


def test_a_movement_of_money_alone_is_a_dispute_that_holds_its_amount():
    assert (hear(TAKEN).state, hear(TAKEN).held) == ("needs_response", 3000)


EVERYTHING = (
    *(INQUIRY, CLOSED, ASKED, TAKEN, REVIEW, ASKED_AGAIN, WON, BACK, LOST),
    *(TAKEN_TWICE, BACK_TWICE, APPEALED, PRE_ARBITRATION, THERE_TOO),
)


@given(
    heard=st.lists(st.sampled_from(EVERYTHING), min_size=1, max_size=7),
    gateway=st.sampled_from(["stripe", "razorpay"]),
    data=st.data(),
)
def test_the_order_and_number_of_tellings_play_no_part(
    heard: list[Report], gateway: str, data: st.DataObject
):
    other = data.draw(st.permutations(heard))
    assert hear(*heard, *heard, gateway=gateway) == hear(*other, gateway=gateway)


@given(heard=st.lists(st.sampled_from(EVERYTHING), min_size=1, max_size=7))
def test_facts_alone_derive_what_telling_has_made(heard: list[Report]):
    known = list({(r.kind, r.amount.minor): fact(r) for r in reversed(heard)}.values())
    dispute = hear(*heard)
    assert weigh(dispute, known) == dispute


def test_a_charge_is_held_for_by_its_own_disputes_alone():
    one, other = hear(ASKED), replace(hear(ASKED), id="dsp_2", charge_id="chg_2", held=7)
    assert (held([one, other], "chg_1"), held([one, other], "chg_2"), held([], "chg_1")) == (3000, 7, 0)


def counted(kind: Kind, count: int) -> Report:
    return told(kind, evidence_count=count, gateway_status="needs_response")


@pytest.mark.parametrize(
    ("verb", "reports", "effect"),
    [
        (Verb.SUBMIT_EVIDENCE, [ASKED], None),
        (Verb.SUBMIT_EVIDENCE, [counted(Kind.DISPUTE_OPEN, 1)], None),
        (Verb.SUBMIT_EVIDENCE, [counted(Kind.DISPUTE_OPEN, 2)], True),
        (Verb.SUBMIT_EVIDENCE, [REVIEW], True),
        (Verb.SUBMIT_EVIDENCE, [LOST], False),
        (Verb.SUBMIT_EVIDENCE, [WON], False),
        (Verb.SUBMIT_EVIDENCE, [], None),
        (Verb.ACCEPT_DISPUTE, [ASKED], None),
        (Verb.ACCEPT_DISPUTE, [REVIEW], None),
        (Verb.ACCEPT_DISPUTE, [LOST, TAKEN], True),
        (Verb.ACCEPT_DISPUTE, [WON], False),
        (Verb.ACCEPT_DISPUTE, [replace(LOST, object_id="dp_2")], None),
    ],
)
def test_a_reading_shows_whether_an_answer_arrived(verb: Verb, reports: list[Report], effect: bool | None):
    assert seen(verb, opened(submissions_before=1), reports) is effect


def test_only_what_the_bank_still_waits_for_may_be_answered():
    for state in set(DisputeState) - {DisputeState.INQUIRY, DisputeState.NEEDS_RESPONSE}:
        assert not ALLOWED.allows(state, Command.SUBMIT)
        assert not ALLOWED.allows(state, Command.ACCEPT)
    with pytest.raises(WrongStateError):  # an inquiry took no money: there is nothing to give up
        ALLOWED.next(DisputeState.INQUIRY, Command.ACCEPT)
    assert {DisputeState.INQUIRY, DisputeState.NEEDS_RESPONSE, DisputeState.UNDER_REVIEW} == OPEN


def test_one_answer_is_on_its_way_at_a_time():
    for answer in (Answer.SUBMITTING, Answer.ACCEPTING):
        for command in (Command.EDIT, Command.SUBMIT, Command.ACCEPT):
            assert not ANSWERS.allows(answer, command)
    assert ANSWERS.next(Answer.ACCEPTED, Command.ACCEPT) is Answer.ACCEPTED
    assert not ANSWERS.allows(Answer.ACCEPTED, Command.SUBMIT)
