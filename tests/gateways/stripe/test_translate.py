import json
from datetime import UTC, datetime
from typing import Any

import pytest

from counterfoil.domain.fact import Kind
from counterfoil.domain.money import NO_MONEY, Money
from counterfoil.gateways.base import UnreadableEventError
from counterfoil.gateways.stripe import shapes
from counterfoil.gateways.stripe.translate import of_charge, of_dispute, of_intent, of_refund, of_warning
from counterfoil.gateways.wire import decode
from gateways.stripe.objects import (
    ATTEMPT,
    CHARGE,
    INTENT,
    MADE_AT,
    balance_row,
    charge,
    dispute,
    intent,
    refund,
    warning,
)

USD_100 = Money(10000, "USD")
DECLINE = {"code": "card_declined", "decline_code": "lost_card", "message": "Declined.", "charge": CHARGE}


def read(object_, shape):
    return decode(json.dumps(object_).encode(), shape)


def said_by_intent(**changes):
    return of_intent(read(intent(**changes), shapes.Intent))


def said_by_charge(*, given_back=False, **changes):
    (report,) = of_charge(read(charge(**changes), shapes.Charge), given_back=given_back)
    return report


# What an intent's status says: of the attempt, and of its latest charge when that is only an id
INTENTS = [
    ("requires_payment_method", {}, [Kind.ATTEMPT_OPENED]),
    ("requires_payment_method", {"last_payment_error": DECLINE}, [Kind.ATTEMPT_DECLINED, Kind.CHARGE_FAILED]),
    ("requires_payment_method", {"last_payment_error": {"code": "x"}}, [Kind.ATTEMPT_DECLINED]),
    ("requires_payment_method", {"latest_charge": CHARGE}, [Kind.ATTEMPT_OPENED]),
    ("requires_confirmation", {}, [Kind.ATTEMPT_OPENED]),
    ("requires_confirmation", {"last_payment_error": DECLINE}, [Kind.ATTEMPT_OPENED]),
    ("requires_action", {}, [Kind.ATTEMPT_ACTION]),
    ("requires_action", {"latest_charge": CHARGE}, [Kind.ATTEMPT_ACTION]),
    ("processing", {}, [Kind.ATTEMPT_PROCESSING]),
    ("processing", {"latest_charge": CHARGE}, [Kind.ATTEMPT_PROCESSING, Kind.CHARGE_CREATED]),
    ("requires_capture", {"latest_charge": CHARGE}, [Kind.CHARGE_AUTHORIZED]),
    ("succeeded", {"latest_charge": CHARGE, "amount_received": 10000}, [Kind.CHARGE_CAPTURED]),
    ("canceled", {}, [Kind.ATTEMPT_CANCELLED]),
    ("canceled", {"latest_charge": CHARGE}, [Kind.ATTEMPT_CANCELLED]),
]


@pytest.mark.parametrize(("status", "changes", "kinds"), INTENTS)
def test_an_intent_says_one_thing_of_the_attempt_and_one_of_its_latest_charge(status, changes, kinds):
    reports = said_by_intent(status=status, **changes)
    assert [report.kind for report in reports] == kinds
    for report in reports:
        of_the_charge = report.kind.noun == "charge"
        if report.kind is not Kind.ATTEMPT_DECLINED:
            assert report.object_id == (CHARGE if of_the_charge else INTENT)
        assert report.charge_ref == (CHARGE if of_the_charge else None)
        assert (report.attempt_ref, report.our_reference, report.livemode) == (INTENT, ATTEMPT, False)
        assert (report.amount, report.face) == (USD_100, USD_100)


def test_a_captured_intent_says_how_much_was_received_and_how_much_was_asked():
    (report,) = said_by_intent(status="succeeded", latest_charge=CHARGE, amount_received=6000)
    assert (report.amount, report.face) == (Money(6000, "USD"), USD_100)


@pytest.mark.parametrize("status", ["requires_capture", "succeeded"])
def test_money_without_a_charge_is_not_believed(status):
    with pytest.raises(UnreadableEventError, match="names no charge"):
        said_by_intent(status=status, amount_received=10000)


def test_a_decline_keeps_its_reason_and_what_was_tried():
    card = {"type": "card", "card": {"brand": "mastercard", "last4": "0002"}}
    attempt, failed = said_by_intent(last_payment_error={**DECLINE, "payment_method": card})
    assert (
        attempt.detail
        == failed.detail
        == {
            "method": "card",
            "brand": "mastercard",
            "last4": "0002",
            "failure": "lost_or_stolen",
            "gateway_code": "lost_card",
            "message": "Declined.",
        }
    )


@pytest.mark.parametrize(
    ("next_action", "named"),
    [({"type": "redirect_to_url"}, "redirect_to_url"), ({}, "unnamed"), (None, "unnamed")],
)
def test_an_action_names_its_kind(next_action, named):
    (report,) = said_by_intent(status="requires_action", next_action=next_action)
    assert report.detail == {"requires_action": named}


METHOD = "pm_1Counterfoil0000000001"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        ({"charge": CHARGE, "payment_method": {"id": METHOD, "type": "card"}}, CHARGE),
        ({"payment_method": {"id": METHOD, "type": "card"}}, f"{INTENT}/{METHOD}"),
        ({"payment_method": {"type": "card"}}, INTENT),
        ({}, INTENT),
    ],
)
def test_a_decline_is_about_what_was_tried_so_that_every_try_is_told_apart(error, what):
    declined = said_by_intent(last_payment_error={"code": "x", **error})[0]
    assert (declined.kind, declined.object_id, declined.attempt_ref) == (Kind.ATTEMPT_DECLINED, what, INTENT)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "requires_action"},
        {"status": "processing", "latest_charge": CHARGE},
        {"last_payment_error": DECLINE},
        {"status": "requires_capture", "latest_charge": CHARGE},
        {"status": "succeeded", "latest_charge": CHARGE, "amount_received": 10000},
    ],
)
def test_an_intent_alone_does_not_tell_since_when_it_stands_so(changes):
    at = datetime(2026, 11, 22, tzinfo=UTC)
    alone, in_event = (of_intent(read(intent(**changes), shapes.Intent), when) for when in (None, at))
    assert {report.at for report in alone} == {None}
    assert {report.at for report in in_event} == {at}


def test_the_time_is_the_objects_own_unless_an_event_brings_one():
    at = datetime(2026, 11, 22, tzinfo=UTC)
    canceled = read(intent(status="canceled", canceled_at=MADE_AT + 7), shapes.Intent)
    assert of_intent(canceled)[0].at == datetime.fromtimestamp(MADE_AT + 7, UTC)
    assert of_intent(canceled, at)[0].at == at
    assert said_by_intent()[0].at == datetime.fromtimestamp(MADE_AT, UTC)


def test_an_expanded_charge_speaks_for_itself():
    (report,) = said_by_intent(status="succeeded", latest_charge=charge(amount_captured=6000))
    assert (report.kind, report.amount) == (Kind.CHARGE_CAPTURED, Money(6000, "USD"))
    assert report.detail["last4"] == "4242"


def test_the_hold_of_a_cancelled_intent_is_given_back_whatever_the_snapshot_of_its_charge_shows():
    held = charge(captured=False, amount_captured=0, refunded=False)
    assert [report.kind for report in said_by_intent(status="canceled", latest_charge=held)] == [
        Kind.ATTEMPT_CANCELLED,
        Kind.CHARGE_VOIDED,
    ]


def test_another_peoples_intent_has_no_reference_of_ours():
    (report,) = said_by_intent(metadata=None)
    assert report.our_reference is None


CHARGES = [
    ({"status": "failed", "captured": False}, Kind.CHARGE_FAILED),
    ({"status": "pending", "captured": False}, Kind.CHARGE_CREATED),
    ({}, Kind.CHARGE_CAPTURED),
    ({"refunded": True}, Kind.CHARGE_CAPTURED),
    ({"captured": False}, Kind.CHARGE_AUTHORIZED),
    ({"captured": False, "refunded": True}, Kind.CHARGE_VOIDED),
    ({"captured": False, "given_back": True}, Kind.CHARGE_VOIDED),
    ({"given_back": True}, Kind.CHARGE_CAPTURED),
]


@pytest.mark.parametrize(("changes", "kind"), CHARGES)
def test_a_charge_says_what_it_is_now(changes, kind):
    report = said_by_charge(**changes)
    assert (report.kind, report.object_id, report.charge_ref) == (kind, CHARGE, CHARGE)
    assert (report.attempt_ref, report.our_reference, report.face) == (INTENT, ATTEMPT, USD_100)


def test_a_partly_captured_charge_says_what_was_taken_and_any_other_its_whole_amount():
    assert said_by_charge(amount_captured=6000).amount == Money(6000, "USD")
    assert said_by_charge(captured=False, amount_captured=0).amount == USD_100


def test_the_amount_is_in_our_minor_units_whatever_stripe_writes():
    assert said_by_charge(amount=500, amount_captured=500, currency="isk").amount == Money(5, "ISK")
    assert said_by_charge(amount=500, amount_captured=500, currency="jpy").amount == Money(500, "JPY")
    assert said_by_charge(amount=5000, amount_captured=5000, currency="kwd").amount == Money(5000, "KWD")


@pytest.mark.parametrize("changes", [{"currency": "zzz"}, {"currency": "isk", "amount_captured": 1}])
def test_an_amount_that_means_nothing_is_unreadable(changes):
    with pytest.raises(UnreadableEventError):
        said_by_charge(**changes)


METHODS = [
    (None, {}),
    ({"type": "card", "card": None}, {"method": "card"}),
    (
        {
            "type": "card",
            "card": {
                "brand": "visa",
                "last4": "4242",
                "fingerprint": "fp_1",
                "wallet": {"type": "apple_pay"},
            },
        },
        {"method": "card", "brand": "visa", "last4": "4242", "fingerprint": "fp_1", "wallet": "apple_pay"},
    ),
    (
        {"type": "us_bank_account", "us_bank_account": {"bank_name": "STRIPE TEST BANK", "last4": "6789"}},
        {"method": "bank_debit", "bank": "STRIPE TEST BANK", "last4": "6789"},
    ),
    (
        {"type": "sepa_debit", "sepa_debit": {"last4": "3000", "fingerprint": "fp_2"}},
        {"method": "bank_debit", "last4": "3000", "fingerprint": "fp_2"},
    ),
    ({"type": "klarna", "klarna": {}}, {"method": "klarna"}),
]


@pytest.mark.parametrize(("method", "detail"), METHODS)
def test_what_was_paid_with_is_kept(method, detail):
    assert said_by_charge(payment_method_details=method).detail == detail


def test_a_failed_charge_keeps_the_issuers_reason():
    failed = {
        "status": "failed",
        "failure_code": "card_declined",
        "failure_message": "No.",
        "captured": False,
    }
    detail = said_by_charge(**failed, outcome={"reason": "insufficient_funds"}).detail
    assert (detail["failure"], detail["gateway_code"], detail["message"]) == (
        "insufficient_funds",
        "insufficient_funds",
        "No.",
    )
    assert said_by_charge(**failed, outcome=None).detail["gateway_code"] == "card_declined"


def test_fees_are_kept_once_stripe_has_settled():
    row = balance_row(
        9000, fee=320, fee_details=[{"amount": 300, "type": "stripe_fee"}, {"amount": 20, "type": "tax"}]
    )
    detail = said_by_charge(balance_transaction=row).detail
    assert (detail["fee"], detail["tax"], detail["fee_currency"]) == (320, 20, "EUR")
    assert "fee" not in said_by_charge(balance_transaction="txn_1").detail


REFUNDS = [
    ("pending", Kind.REFUND_PENDING, None),
    ("requires_action", Kind.REFUND_PENDING, None),
    ("succeeded", Kind.REFUND_SUCCEEDED, None),
    ("failed", Kind.REFUND_FAILED, "other"),
    ("canceled", Kind.REFUND_FAILED, "other"),
]


@pytest.mark.parametrize(("status", "kind", "failure"), REFUNDS)
def test_a_refund_says_what_it_is_now(status, kind, failure):
    report = of_refund(read(refund(status=status), shapes.Refund), livemode=True)
    assert (report.kind, report.amount) == (kind, Money(2500, "USD"))
    assert (report.attempt_ref, report.charge_ref, report.livemode) == (INTENT, CHARGE, True)
    assert report.detail.get("failure") == failure


@pytest.mark.parametrize(
    ("destination", "arn"),
    [
        ({"type": "card", "card": {"reference": "7433274000", "type": "refund"}}, "7433274000"),
        ({"type": "card", "card": {"type": "refund"}}, None),
        ({"type": "klarna", "klarna": {}}, None),
        (None, None),
    ],
)
def test_a_refund_brings_the_banks_reference_once_it_exists(destination, arn):
    assert of_refund(read(refund(destination_details=destination), shapes.Refund)).detail.get("arn") == arn


def test_a_refund_names_ours_that_it_was_asked_for_with_and_one_made_elsewhere_none():
    for metadata, ours in (({"counterfoil_refund": "rfn_1"}, "rfn_1"), ({}, None), (None, None)):
        assert of_refund(read(refund(metadata=metadata), shapes.Refund)).detail.get("refund") == ours


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("insufficient_funds", "refund_balance_short"),
        ("charge_for_pending_refund_disputed", "refund_disputed"),
        ("expired_or_canceled_card", "other"),
        ("one_that_is_new", "other"),
    ],
)
def test_a_refund_that_came_back_says_why(reason, failure):
    detail = of_refund(read(refund(status="failed", failure_reason=reason), shapes.Refund)).detail
    assert (detail["failure"], detail["failure_reason"]) == (failure, reason)


DISPUTES = [
    ("warning_needs_response", Kind.DISPUTE_INQUIRY, "inquiry"),
    ("warning_under_review", Kind.DISPUTE_INQUIRY, "inquiry"),
    ("warning_closed", Kind.DISPUTE_CLOSED, "inquiry"),
    ("needs_response", Kind.DISPUTE_OPEN, "chargeback"),
    ("under_review", Kind.DISPUTE_UNDER_REVIEW, "chargeback"),
    ("appeal_needs_response", Kind.DISPUTE_OPEN, "appeal"),
    ("appeal_under_review", Kind.DISPUTE_UNDER_REVIEW, "appeal"),
    ("won", Kind.DISPUTE_WON, "chargeback"),
    ("lost", Kind.DISPUTE_LOST, "chargeback"),
    ("prevented", Kind.DISPUTE_CLOSED, "chargeback"),
]


@pytest.mark.parametrize(("status", "kind", "phase"), DISPUTES)
def test_a_dispute_says_what_it_is_now(status, kind, phase):
    (report,) = of_dispute(read(dispute(status=status), shapes.Dispute))
    assert (report.kind, report.amount) == (kind, Money(3000, "USD"))
    assert (report.attempt_ref, report.charge_ref) == (INTENT, CHARGE)
    assert report.detail == {
        "reason": "fraudulent",
        "gateway_status": status,
        "refundable": False,
        "respond_by": MADE_AT + 900_000,
        "evidence_count": 0,
        "phase": phase,
    }


def test_a_dispute_that_the_bank_lets_nobody_answer_has_no_time_to_answer_by():
    evidence = {"due_by": 0, "submission_count": 2}
    (report,) = of_dispute(read(dispute(evidence_details=evidence), shapes.Dispute))
    assert (report.detail.get("respond_by"), report.detail["evidence_count"]) == (None, 2)


def test_an_inquiry_may_say_that_its_charge_can_be_refunded():
    asked = dispute(status="warning_needs_response", is_charge_refundable=True)
    (report,) = of_dispute(read(asked, shapes.Dispute))
    assert report.detail["refundable"] is True


# A warning


def test_an_early_fraud_warning_is_about_a_charge_and_about_no_amount():
    report = of_warning(read(warning(), shapes.FraudWarning))
    assert (report.kind, report.object_id) == (Kind.WARNING_EARLY_FRAUD, "issfr_1Counterfoil00000001")
    assert (report.charge_ref, report.attempt_ref, report.livemode) == (CHARGE, INTENT, False)
    assert report.amount == NO_MONEY
    assert report.at == datetime.fromtimestamp(MADE_AT + 80, UTC)
    assert report.detail == {"fraud_type": "unauthorized_use_of_card", "actionable": True}


def test_a_dispute_without_evidence_details_is_read_too():
    (report,) = of_dispute(read(dispute(evidence_details=None), shapes.Dispute))
    assert "respond_by" not in report.detail


def test_the_money_a_dispute_moved_is_told_in_the_charges_currency_with_the_row_beside_it():
    rows = [balance_row(-2800), balance_row(2800, id="txn_2", fee=0)]
    _, withdrawn, reinstated = of_dispute(read(dispute(balance_transactions=rows), shapes.Dispute))
    assert (withdrawn.kind, reinstated.kind) == (Kind.DISPUTE_WITHDRAWN, Kind.DISPUTE_REINSTATED)
    assert withdrawn.amount == reinstated.amount == Money(3000, "USD")
    row = {
        name: withdrawn.detail[name] for name in ("balance_transaction", "settled", "settled_currency", "fee")
    }
    assert row == {
        "balance_transaction": "txn_1Counterfoil000000001",
        "settled": -2800,
        "settled_currency": "EUR",
        "fee": 1500,
    }


def test_a_movement_that_an_event_names_is_told_even_before_its_row_is_there():
    _, moved = of_dispute(read(dispute(), shapes.Dispute), moved=Kind.DISPUTE_WITHDRAWN)
    assert (moved.kind, "settled" in moved.detail) == (Kind.DISPUTE_WITHDRAWN, False)


OUT, BACK = balance_row(-3000, currency="usd"), balance_row(3000, currency="usd")


@pytest.mark.parametrize(
    ("rows", "moved", "withdrawn", "reinstated"),
    [
        ([OUT], None, 3000, 0),
        ([OUT, BACK], None, 3000, 3000),
        ([OUT, BACK, OUT], None, 6000, 3000),
        ([OUT, BACK], Kind.DISPUTE_WITHDRAWN, 6000, 3000),
        ([OUT, BACK, OUT], Kind.DISPUTE_WITHDRAWN, 6000, 3000),
        ([OUT, BACK, OUT], Kind.DISPUTE_REINSTATED, 6000, 6000),
        ([OUT], Kind.DISPUTE_REINSTATED, 3000, 3000),
        ([], Kind.DISPUTE_REINSTATED, 0, 3000),
        ([OUT, balance_row(1000, currency="usd")], None, 3000, 1000),
        ([balance_row(-2800), BACK, balance_row(-2700)], None, 6000, 3000),
    ],
)
def test_money_that_a_dispute_takes_more_than_once_is_told_as_its_sum(
    rows: list[dict[str, Any]], moved: Kind | None, withdrawn: int, reinstated: int
):
    reports = of_dispute(read(dispute(balance_transactions=rows), shapes.Dispute), moved=moved)
    told = {report.kind: report.amount.minor for report in reports[1:]}
    due = {Kind.DISPUTE_WITHDRAWN: withdrawn, Kind.DISPUTE_REINSTATED: reinstated}
    assert told == {kind: amount for kind, amount in due.items() if amount}


def test_a_movement_that_an_event_names_is_told_once():
    rows = dispute(balance_transactions=[balance_row(-3000)])
    reports = of_dispute(read(rows, shapes.Dispute), moved=Kind.DISPUTE_WITHDRAWN)
    assert [report.kind for report in reports] == [Kind.DISPUTE_OPEN, Kind.DISPUTE_WITHDRAWN]
