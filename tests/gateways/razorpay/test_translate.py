import json
from datetime import UTC, datetime

import pytest

from counterfoil.domain.fact import Kind
from counterfoil.domain.money import Money
from counterfoil.gateways.base import UnreadableEventError
from counterfoil.gateways.razorpay import shapes
from counterfoil.gateways.razorpay.translate import (
    masked,
    of_dispute,
    of_order,
    of_payment,
    of_refund,
    reference,
)
from counterfoil.gateways.wire import decode
from gateways.razorpay.entities import ATTEMPT, MADE_AT, ORDER, PAYMENT, dispute, order, payment, refund

INR_500 = Money(50000, "INR")
AT = datetime(2026, 11, 22, tzinfo=UTC)


def read(entity, shape):
    return decode(json.dumps(entity).encode(), shape)


def said_by_payment(**changes):
    return of_payment(read(payment(**changes), shapes.Payment))


def of_its_refund(payment_changes=None, **changes):
    around = None if payment_changes is None else read(payment(**payment_changes), shapes.Payment)
    return of_refund(read(refund(**changes), shapes.Refund), around)


# An order


def test_an_order_says_that_the_attempt_is_open_whatever_its_status():
    for status in ("created", "attempted", "paid"):
        report = of_order(read(order(status=status), shapes.Order))
        assert (report.kind, report.object_id, report.attempt_ref) == (Kind.ATTEMPT_OPENED, ORDER, ORDER)
        assert (report.amount, report.face, report.our_reference) == (INR_500, INR_500, ATTEMPT)
        assert report.at == datetime.fromtimestamp(MADE_AT, UTC)


@pytest.mark.parametrize(
    ("changes", "ours"),
    [
        ({"notes": [], "receipt": "att_r"}, "att_r"),
        ({"notes": None, "receipt": "att_r"}, "att_r"),
        ({"notes": {"counterfoil_attempt": "att_n"}, "receipt": None}, "att_n"),
        ({"notes": {"counterfoil_attempt": 7}, "receipt": ""}, None),
        ({"notes": "text", "receipt": None}, None),
    ],
)
def test_our_reference_is_in_the_notes_or_the_receipt(changes, ours):
    assert of_order(read(order(**changes), shapes.Order)).our_reference == ours


@pytest.mark.parametrize(
    "notes", [None, [], ["a"], {}, {"other": "x"}, {"counterfoil_attempt": None}, "text"]
)
def test_notes_of_any_shape_are_read(notes):
    assert reference(notes) is None


# A payment

PAYMENTS = [
    ({"status": "created", "captured": False}, [Kind.CHARGE_CREATED]),
    ({"status": "authorized", "captured": False}, [Kind.CHARGE_AUTHORIZED]),
    ({"status": "authorized", "captured": True}, [Kind.CHARGE_AUTHORIZED]),
    ({"status": "captured"}, [Kind.CHARGE_CAPTURED]),
    ({"status": "refunded", "captured": True}, [Kind.CHARGE_CAPTURED]),
    ({"status": "refunded", "captured": False}, [Kind.CHARGE_VOIDED]),
    ({"status": "failed", "captured": False}, [Kind.CHARGE_FAILED, Kind.ATTEMPT_DECLINED]),
    ({"status": "failed", "captured": True}, [Kind.CHARGE_FAILED, Kind.ATTEMPT_DECLINED]),
    ({"status": "failed", "order_id": None}, [Kind.CHARGE_FAILED]),
]


@pytest.mark.parametrize(("changes", "kinds"), PAYMENTS)
def test_a_payment_says_what_it_is_now(changes, kinds):
    reports = said_by_payment(**changes)
    assert [report.kind for report in reports] == kinds
    for report in reports:
        assert report.object_id == PAYMENT  # a try that failed is known by the payment that was tried
        assert (report.charge_ref, report.attempt_ref) == (PAYMENT, changes.get("order_id", ORDER))
        assert (report.amount, report.face) == (INR_500, INR_500)
        assert report.at == datetime.fromtimestamp(MADE_AT + 1, UTC)


def test_a_partly_refunded_payment_is_captured_whole():
    (report,) = said_by_payment(amount_refunded=20000, refund_status="partial")
    assert (report.kind, report.amount) == (Kind.CHARGE_CAPTURED, INR_500)


def test_fee_and_tax_are_kept_once_they_are_known():
    assert {"fee": 1180, "tax": 180}.items() <= said_by_payment()[0].detail.items()
    assert "fee" not in said_by_payment(status="authorized", fee=None, tax=None)[0].detail


METHODS = [
    ({}, {"method": "upi", "vpa": "bu***@examplebank"}),
    ({"vpa": None}, {"method": "upi"}),
    (
        {"method": "card", "vpa": "", "card": {"network": "Visa", "last4": "1007", "issuer": "HDFC"}},
        {"method": "card", "brand": "visa", "last4": "1007", "bank": "HDFC"},
    ),
    (
        {
            "method": "emi",
            "vpa": None,
            "card": {"network": "American Express", "last4": "0005"},
            "bank": "HDFC",
        },
        {"method": "emi", "brand": "amex", "last4": "0005", "bank": "HDFC"},
    ),
    ({"method": "card", "vpa": None, "card": {"network": None}}, {"method": "card"}),
    ({"method": "netbanking", "vpa": None, "bank": "SBIN"}, {"method": "netbanking", "bank": "SBIN"}),
    ({"method": "wallet", "vpa": None, "wallet": "payzapp"}, {"method": "wallet", "wallet": "payzapp"}),
    ({"method": "nach", "vpa": None}, {"method": "bank_debit"}),
    ({"method": None, "vpa": None}, {}),
]


@pytest.mark.parametrize(("changes", "detail"), METHODS)
def test_what_was_paid_with_is_kept(changes, detail):
    assert said_by_payment(fee=None, tax=None, **changes)[0].detail == detail


@pytest.mark.parametrize(
    ("vpa", "shown"),
    [
        ("buyer@okbank", "bu***@okbank"),
        ("9999900000@upi", "99***@upi"),
        ("ab@upi", "a***@upi"),
        ("a@b", "***@b"),
        ("noatsign", "no***"),
        ("", None),
        (None, None),
    ],
)
def test_a_upi_address_is_masked(vpa, shown):
    assert masked(vpa) == shown


def test_a_failed_payment_keeps_its_reason():
    told = {
        "error_code": "BAD_REQUEST_ERROR",
        "error_reason": "incorrect_pin",
        "error_description": "Wrong PIN.",
    }
    charge, attempt = said_by_payment(status="failed", fee=None, tax=None, vpa=None, **told)
    assert (
        charge.detail
        == attempt.detail
        == {
            "method": "upi",
            "failure": "incorrect_pin",
            "gateway_code": "incorrect_pin",
            "message": "Wrong PIN.",
        }
    )


def test_an_empty_string_says_nothing_as_null_does():
    empty = dict.fromkeys(("error_code", "error_reason", "error_description", "bank", "wallet", "vpa"), "")
    detail = said_by_payment(status="failed", fee=None, tax=None, **empty)[0].detail
    assert detail == {"method": "upi", "failure": "other"}


# A refund

REFUNDS = [
    ("pending", Kind.REFUND_PENDING, None),
    ("processed", Kind.REFUND_SUCCEEDED, None),
    ("failed", Kind.REFUND_FAILED, "other"),
]


@pytest.mark.parametrize(("status", "kind", "failure"), REFUNDS)
def test_a_refund_says_what_it_is_now(status, kind, failure):
    (report,) = of_its_refund({}, status=status)
    assert (report.kind, report.object_id, report.amount) == (kind, "rfnd_Counterfoil01", Money(20000, "INR"))
    assert (report.charge_ref, report.attempt_ref) == (PAYMENT, ORDER)
    assert report.detail.get("failure") == failure
    assert (report.detail["speed_requested"], report.detail["speed"]) == ("normal", "normal")


def test_a_refund_without_its_payment_names_the_charge_alone():
    (report,) = of_its_refund(None)
    assert (report.kind, report.charge_ref, report.attempt_ref) == (Kind.REFUND_SUCCEEDED, PAYMENT, None)


@pytest.mark.parametrize(
    ("acquirer", "arn"),
    [
        ({"arn": "7433"}, "7433"),
        ({"arn": None, "rrn": "3222"}, "3222"),
        ({"arn": None}, None),
        ([], None),
        (None, None),
    ],
)
def test_a_refund_brings_the_banks_reference_once_it_exists(acquirer, arn):
    (report,) = of_its_refund({}, acquirer_data=acquirer)
    assert report.detail.get("arn") == arn


@pytest.mark.parametrize(
    ("notes", "ours"), [({"counterfoil_refund": "rfn_1"}, "rfn_1"), ({"request": "R1"}, None), ([], None)]
)
def test_a_refund_names_ours_that_it_was_asked_for_with_and_one_made_elsewhere_none(notes, ours):
    (report,) = of_its_refund(None, notes=notes)
    assert report.detail.get("refund") == ours


@pytest.mark.parametrize("status", ["pending", "processed"])
def test_the_refund_of_a_payment_never_captured_is_a_hold_given_back(status):
    (report,) = of_its_refund({"captured": False, "status": "refunded"}, status=status, amount=50000)
    assert (report.kind, report.object_id, report.amount) == (Kind.CHARGE_VOIDED, PAYMENT, INR_500)


def test_a_hold_whose_return_failed_is_not_given_back():
    (report,) = of_its_refund({"captured": False, "status": "authorized"}, status="failed")
    assert report.kind is Kind.CHARGE_AUTHORIZED


# A dispute

DISPUTES = [
    ("open", "chargeback", Kind.DISPUTE_OPEN),
    ("open", "pre_arbitration", Kind.DISPUTE_OPEN),
    ("open", None, Kind.DISPUTE_OPEN),
    ("open", "fraud", Kind.DISPUTE_INQUIRY),
    ("open", "retrieval", Kind.DISPUTE_INQUIRY),
    ("under_review", "retrieval", Kind.DISPUTE_INQUIRY),
    ("under_review", "arbitration", Kind.DISPUTE_UNDER_REVIEW),
    ("won", "retrieval", Kind.DISPUTE_WON),
    ("won", "chargeback", Kind.DISPUTE_WON),
    ("closed", "fraud", Kind.DISPUTE_CLOSED),
    ("lost", "chargeback", Kind.DISPUTE_LOST),
]


@pytest.mark.parametrize(("status", "phase", "kind"), DISPUTES)
def test_a_dispute_says_what_it_is_now(status, phase, kind):
    around = read(payment(), shapes.Payment)
    (report,) = of_dispute(read(dispute(status=status, phase=phase), shapes.Dispute), around)
    assert (report.kind, report.amount) == (kind, Money(30000, "INR"))
    assert (report.charge_ref, report.attempt_ref) == (PAYMENT, ORDER)
    assert (report.detail["reason"], report.detail["gateway_status"]) == ("goods_not_received", status)
    assert report.detail["respond_by"] == MADE_AT + 900_000
    assert report.detail["refundable"] is False
    assert report.detail.get("phase") == phase


@pytest.mark.parametrize(
    ("evidence", "count"), [(None, 0), ({"submitted_at": None}, 0), ({"submitted_at": MADE_AT}, 1)]
)
def test_a_dispute_says_whether_evidence_was_submitted(evidence, count):
    (report,) = of_dispute(read(dispute(evidence=evidence), shapes.Dispute), None)
    assert report.detail["evidence_count"] == count


def test_a_lost_dispute_says_how_much_was_taken():
    lost = read(dispute(status="lost", amount_deducted=25000), shapes.Dispute)
    state, taken = of_dispute(lost, None, AT)
    assert (state.kind, state.amount) == (Kind.DISPUTE_LOST, Money(30000, "INR"))
    assert (taken.kind, taken.amount, taken.at) == (Kind.DISPUTE_WITHDRAWN, Money(25000, "INR"), AT)
    assert (state.attempt_ref, state.charge_ref) == (None, PAYMENT)


# Money


def test_the_amount_is_in_our_minor_units_whatever_razorpay_writes():
    assert said_by_payment(amount=5000, currency="KWD")[0].amount == Money(5000, "KWD")
    assert said_by_payment(amount=500, currency="JPY")[0].amount == Money(500, "JPY")


@pytest.mark.parametrize("currency", ["ZZZ", "", "in"])
def test_an_amount_that_means_nothing_is_unreadable(currency):
    with pytest.raises(UnreadableEventError):
        said_by_payment(currency=currency)
