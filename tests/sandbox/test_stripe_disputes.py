"""Disputes, inquiries and early fraud warnings: their money, what is said against them, and how they end."""

import pytest
import stripe

from sandbox_server import ControlError
from sandbox_stripe import fixture

DAY = 86_400


def disputed(merchant, method="pm_card_createDispute"):
    """A captured payment, and the dispute its card stands for."""
    paid = merchant.paid(method=method)
    [dispute] = merchant.v1.disputes.list({"payment_intent": paid.id}).data
    return paid, dispute


def act(merchant, path, **given):
    return merchant.sandbox.control("POST", f"stripe/{path}", given)


def again(merchant, dispute):
    return merchant.v1.disputes.retrieve(dispute.id)


def money(merchant):
    [row] = merchant.sandbox.control("GET", "money")["stripe"]
    return row["captured"], row["refunded"], row["disputed"], row["left"]


def since(merchant, type_):
    """The types of the events from the first of this type on."""
    types = merchant.types()
    return types[types.index(type_) :]


def test_a_dispute_and_a_warning_have_the_shape_of_the_fixtures(merchant, sandbox):
    _, dispute = disputed(merchant)
    merchant.paid(method="pm_card_createIssuerFraudRecord")
    assert dispute.to_dict().keys() == fixture("dispute").keys()
    assert dispute.evidence.to_dict().keys() == fixture("dispute")["evidence"].keys()
    assert dispute.evidence_details.to_dict().keys() == fixture("dispute")["evidence_details"].keys()
    [warning] = sandbox.truth()["stripe"]["early_fraud_warnings"]
    assert warning.keys() == fixture("radar.early_fraud_warning").keys() | {"payment_intent"}


def test_a_disputed_charge_loses_its_money_and_a_fee_at_once(merchant):
    paid, dispute = disputed(merchant)
    assert (dispute.status, dispute.reason, dispute.is_charge_refundable) == (
        "needs_response",
        "fraudulent",
        False,
    )
    [row] = dispute.balance_transactions
    assert (row.amount, row.fee, row.net, row.type, row.reporting_category) == (
        -10000,
        1500,
        -11500,
        "adjustment",
        "dispute",
    )
    assert (row.source, row.fee_details[0].description) == (dispute.id, "Dispute fee")
    assert merchant.charge(paid).disputed is True
    told = ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert since(merchant, "charge.dispute.created") == told
    assert [len(e["data"]["object"]["balance_transactions"]) for e in merchant.events()[-2:]] == [0, 1]
    assert money(merchant) == (10000, 0, 10000, 0)


def test_a_card_that_is_captured_later_is_disputed_then(merchant, sandbox):
    held = merchant.paid(method="pm_card_createDispute", capture_method="manual")
    assert sandbox.truth()["stripe"]["disputes"] == []
    merchant.v1.payment_intents.capture(held.id, {"amount_to_capture": 600})
    [dispute] = sandbox.truth()["stripe"]["disputes"]
    assert dispute["amount"] == 600


def test_other_cards_are_disputed_for_other_reasons_or_warned_of(merchant, sandbox):
    _, dispute = disputed(merchant, "pm_card_createDisputeProductNotReceived")
    assert dispute.reason == "product_not_received"
    paid = merchant.paid(method="pm_card_createIssuerFraudRecord")
    [warning] = merchant.v1.radar.early_fraud_warnings.list({"payment_intent": paid.id}).data
    assert (warning.charge, warning.actionable) == (paid.latest_charge, True)
    assert merchant.v1.radar.early_fraud_warnings.retrieve(warning.id) == warning
    assert merchant.types()[-1] == "radar.early_fraud_warning.created"
    assert len(sandbox.truth()["stripe"]["disputes"]) == 1


def test_an_inquiry_takes_no_money_and_its_charge_may_be_refunded(merchant):
    paid, dispute = disputed(merchant, "pm_card_createDisputeInquiry")
    assert (dispute.status, dispute.balance_transactions) == ("warning_needs_response", [])
    assert dispute.is_charge_refundable is True
    merchant.v1.refunds.create({"payment_intent": paid.id, "amount": 400})
    assert again(merchant, dispute).status == "warning_needs_response"
    merchant.v1.refunds.create({"payment_intent": paid.id})
    assert again(merchant, dispute).status == "warning_closed"
    assert merchant.types()[-1] == "charge.dispute.closed"
    assert money(merchant) == (10000, 10000, 0, 0)


def test_an_inquiry_may_become_a_chargeback(merchant):
    paid, dispute = disputed(merchant, "pm_card_createDisputeInquiry")
    act(merchant, "dispute_status", dispute=dispute.id, status="needs_response")
    assert since(merchant, "charge.dispute.created") == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
    ]
    assert again(merchant, dispute).is_charge_refundable is False
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.refunds.create({"payment_intent": paid.id})
    assert refused.value.code == "charge_disputed"


def test_evidence_is_kept_and_then_submitted_with_what_was_kept(merchant):
    _, dispute = disputed(merchant)
    kept = merchant.v1.disputes.update(dispute.id, {"evidence": {"customer_name": "A"}, "submit": False})
    assert (kept.status, kept.evidence_details.has_evidence) == ("needs_response", True)
    sent = merchant.v1.disputes.update(dispute.id, {"evidence": {"product_description": "A lamp"}})
    assert (sent.status, sent.evidence_details.submission_count) == ("under_review", 1)
    assert (sent.evidence.customer_name, sent.evidence.product_description) == ("A", "A lamp")
    before = [event["data"]["previous_attributes"] for event in merchant.events()[-2:]]
    assert before == [
        {"evidence": {"customer_name": None}},
        {"evidence": {"product_description": None}, "status": "needs_response"},
    ]
    with pytest.raises(stripe.InvalidRequestError, match="already been submitted"):
        merchant.v1.disputes.update(dispute.id, {"evidence": {"customer_name": "B"}})


TOO_MUCH = dict.fromkeys(
    [
        *("access_activity_log", "customer_signature", "product_description", "receipt"),
        *("refund_policy", "service_date", "shipping_date", "uncategorized_text"),
    ],
    "x" * 20_000,
)


@pytest.mark.parametrize(
    "evidence",
    [{"customer_name": "x" * 20_001}, {"receipt": {"a": "b"}}, {"colour": "red"}, TOO_MUCH],
    ids=["too long", "a map", "unknown", "too much together"],
)
def test_evidence_that_is_none_is_refused(merchant, evidence):
    _, dispute = disputed(merchant)
    with pytest.raises(stripe.InvalidRequestError):
        merchant.v1.disputes.update(dispute.id, {"evidence": evidence})
    assert again(merchant, dispute).status == "needs_response"


@pytest.mark.parametrize(
    ("word", "status", "told", "left"),
    [
        (
            "winning_evidence",
            "won",
            ["charge.dispute.funds_reinstated", "charge.dispute.closed"],
            10000,
        ),
        ("losing_evidence", "lost", ["charge.dispute.closed"], 0),
        ("an honest account", "under_review", [], 0),
    ],
)
def test_the_words_of_the_test_mode_decide(merchant, sandbox, word, status, told, left):
    _, dispute = disputed(merchant)
    sandbox.advance(2)
    merchant.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": f"here: {word}"}})
    sandbox.advance(6)
    assert again(merchant, dispute).status == status
    assert since(merchant, "charge.dispute.updated")[1:] == told
    assert money(merchant)[3] == left


def test_an_inquiry_is_escalated_or_closed_by_the_words_of_the_test_mode(merchant, sandbox):
    for word, status in (
        ("escalate_inquiry_evidence", "needs_response"),
        ("winning_evidence", "warning_closed"),
    ):
        _, dispute = disputed(merchant, "pm_card_createDisputeInquiry")
        merchant.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": word}})
        assert again(merchant, dispute).status == "warning_under_review"
        sandbox.advance(6)
        assert again(merchant, dispute).status == status


def test_a_won_dispute_gives_the_amount_back_and_keeps_the_fee(merchant):
    paid, dispute = disputed(merchant)
    act(merchant, "dispute_status", dispute=dispute.id, status="won")
    taken, back = again(merchant, dispute).balance_transactions
    assert (taken.net + back.net, back.fee, back.reporting_category) == (-1500, 0, "dispute_reversal")
    assert money(merchant) == (10000, 0, 0, 10000)
    assert merchant.v1.refunds.create({"payment_intent": paid.id}).amount == 10000


def test_a_dispute_that_is_closed_is_lost_for_good(merchant):
    _, dispute = disputed(merchant)
    assert merchant.v1.disputes.close(dispute.id).status == "lost"
    for call in (merchant.v1.disputes.close, merchant.v1.disputes.update):
        with pytest.raises(stripe.InvalidRequestError, match="already closed"):
            call(dispute.id)
    with pytest.raises(ControlError, match="is over: lost"):
        act(merchant, "dispute_status", dispute=dispute.id, status="won")


def test_what_was_won_and_is_appealed_takes_its_money_once_more(merchant):
    _, dispute = disputed(merchant)
    rows = []
    for status in ("won", "appeal_needs_response", "appeal_under_review", "won", "needs_response", "lost"):
        act(merchant, "dispute_status", dispute=dispute.id, status=status)
        rows.append([row.amount for row in again(merchant, dispute).balance_transactions])
    assert rows[0] == [-10000, 10000]
    assert rows[1] == rows[2] == [-10000, 10000, -10000]
    assert rows[3] == [-10000, 10000, -10000, 10000]
    assert rows[4] == rows[5] == [-10000, 10000, -10000, 10000, -10000]
    assert money(merchant) == (10000, 0, 10000, 0)
    with pytest.raises(ControlError, match="is over: lost"):
        act(merchant, "dispute_status", dispute=dispute.id, status="needs_response")


def test_what_nobody_answers_ends_by_itself(merchant, sandbox):
    ends = {}
    for method in ("pm_card_createDispute", "pm_card_createDisputeInquiry"):
        _, dispute = disputed(merchant, method)
        due = dispute.evidence_details.due_by
        sandbox.advance(due - sandbox.now() - 60)
        assert again(merchant, dispute).status == dispute.status
        sandbox.advance(120)
        ended = again(merchant, dispute)
        ends[method] = (ended.status, ended.evidence_details.past_due)
    assert list(ends.values()) == [("lost", True), ("warning_closed", True)]


def test_what_was_answered_outlives_its_deadline(merchant, sandbox):
    _, dispute = disputed(merchant)
    merchant.v1.disputes.update(dispute.id, {"evidence": {"customer_name": "A"}})
    sandbox.advance(30 * DAY)
    assert again(merchant, dispute).status == "under_review"


def test_a_person_opens_and_moves_a_dispute_through_every_stage(merchant):
    paid = merchant.paid()
    dispute = act(merchant, "dispute", payment_intent=paid.id, amount=3000, reason="duplicate")
    assert (dispute["amount"], dispute["reason"], dispute["status"]) == (3000, "duplicate", "needs_response")
    for status in ("under_review", "appeal_needs_response", "appeal_under_review", "lost"):
        assert act(merchant, "dispute_status", dispute=dispute["id"], status=status)["status"] == status
    assert money(merchant) == (10000, 0, 3000, 7000)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        merchant.v1.refunds.create({"payment_intent": paid.id, "amount": 7001})
    assert merchant.v1.refunds.create({"payment_intent": paid.id}).amount == 7000
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.refunds.create({"payment_intent": paid.id})
    assert refused.value.code == "charge_disputed"


def test_a_chargeback_fails_the_refunds_that_were_still_pending(merchant):
    act(merchant, "refunds", course="pending", seconds=DAY)
    paid = merchant.paid()
    back = merchant.v1.refunds.create({"payment_intent": paid.id, "amount": 400})
    act(merchant, "dispute", payment_intent=paid.id, inquiry=True)
    assert merchant.v1.refunds.retrieve(back.id).status == "pending"
    act(merchant, "dispute", payment_intent=paid.id, amount=9600)
    failed = merchant.v1.refunds.retrieve(back.id)
    assert (failed.status, failed.failure_reason) == ("failed", "charge_for_pending_refund_disputed")
    assert merchant.charge(paid).amount_refunded == 0
    assert money(merchant) == (10000, 0, 9600, 400)


def test_an_issuer_warns_on_demand(merchant):
    paid = merchant.paid()
    warning = act(merchant, "early_fraud_warning", charge=str(paid.latest_charge), fraud_type="misc")
    assert (warning["fraud_type"], warning["actionable"]) == ("misc", True)
    merchant.v1.refunds.create({"payment_intent": paid.id})
    late = act(merchant, "early_fraud_warning", payment_intent=paid.id)
    assert late["actionable"] is False


@pytest.mark.parametrize(
    ("path", "given", "sentence"),
    [
        ("dispute", {}, "there is no payment_intent"),
        ("dispute", {"charge": "ch_nope"}, "there is no charge"),
        ("dispute", {"payment_intent": "HELD"}, "was not captured"),
        ("dispute", {"payment_intent": "PAID", "amount": 10001}, "more than was captured"),
        ("dispute", {"payment_intent": "PAID", "amount": 0}, "whole number from 1"),
        ("dispute", {"payment_intent": "PAID", "reason": "mood"}, "reason is one of"),
        ("dispute", {"payment_intent": "PAID", "inquiry": "yes"}, "true or false"),
        ("dispute_status", {"dispute": "dp_nope", "status": "won"}, "there is no dispute"),
        ("early_fraud_warning", {"payment_intent": "PAID", "fraud_type": "mood"}, "fraud_type is one of"),
        ("dashboard_refund", {"payment_intent": "PAID", "amount": "all"}, "whole number from 1"),
        ("refunds", {"course": "sideways"}, "course is one of"),
        ("refunds", {"course": "pending", "times": -1}, "times is"),
        ("refunds", {"course": "pending", "seconds": 1.5}, "seconds is"),
        ("refunds", {"course": "failing", "failure_reason": "mood"}, "failure_reason is one of"),
        ("refunds", {"speed": 9}, "'speed' is unknown"),
        ("refund", {"refund": "re_nope", "status": "failed"}, "there is no refund"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_with_a_sentence(merchant, path, given, sentence):
    known = {"PAID": merchant.paid().id, "HELD": merchant.paid(capture_method="manual").id}
    with pytest.raises(ControlError, match=sentence):
        act(merchant, path, **{name: known.get(str(value), value) for name, value in given.items()})


def test_a_dispute_that_is_none_of_its_statuses_is_not_moved(merchant):
    _, dispute = disputed(merchant)
    with pytest.raises(ControlError, match="status is one of"):
        act(merchant, "dispute_status", dispute=dispute.id, status="forgotten")
    assert again(merchant, dispute).status == "needs_response"
