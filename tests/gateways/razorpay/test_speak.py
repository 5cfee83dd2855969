import json
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.fact import Kind
from counterfoil.gateways.base import Event, UnreadableEventError
from counterfoil.gateways.razorpay import speak
from counterfoil.gateways.razorpay.events import IGNORED, NOT_KNOWN, READ, TROUBLE
from gateways.hostile import JSON_VALUES, WRECKS, mutated
from gateways.razorpay.entities import MADE_AT, ORDER, PAYMENT, dispute, event, order, payment, refund
from gateways.vectors import events, load

TYPES = load("razorpay/webhook_events.json")
LIFE = events("razorpay")
PAY, ORD, RFND = "pay_9Up14PehPjPB9a", "order_8lMYQOymAAiTdR", "rfnd_tpTDBMf4rpaFQO"

# One payment's whole life: what each event says, of what, and how much in paise
SAID = {
    "01_payment.failed": [(Kind.CHARGE_FAILED, PAY, 500000), (Kind.ATTEMPT_DECLINED, PAY, 500000)],
    "02_payment.authorized": [(Kind.CHARGE_AUTHORIZED, PAY, 500000)],
    "03_payment.captured": [(Kind.CHARGE_CAPTURED, PAY, 500000)],
    "04_order.paid": [(Kind.CHARGE_CAPTURED, PAY, 500000), (Kind.ATTEMPT_OPENED, ORD, 500000)],
    "05_refund.created": [(Kind.REFUND_PENDING, RFND, 50000)],
    "06_refund.speed_changed": [(Kind.REFUND_PENDING, RFND, 50000)],
    "07_refund.processed": [(Kind.REFUND_SUCCEEDED, RFND, 50000)],
    "08_settlement.processed": [],
}


def said(body):
    return [(report.kind, report.object_id, report.amount.minor) for report in speak.read([], body).reports]


@pytest.mark.parametrize("name", LIFE)
def test_every_event_of_a_payments_life_is_read(name):
    assert said(LIFE[name]) == SAID[name]
    read, body = speak.read([], LIFE[name]), json.loads(LIFE[name])
    assert (read.type, read.account, read.livemode) == (body["event"], "acc_MAzSv2gENfMTx0", None)
    assert read.at == datetime.fromtimestamp(body["created_at"], UTC)
    assert (read.ignored_because is None) is bool(read.reports)
    for report in read.reports:
        assert report.detail["event_type"] == body["event"]
        assert report.at == read.at
        assert (report.attempt_ref, report.kind in READ[body["event"]]) == (ORD, True)


def test_a_capture_and_a_paid_order_tell_one_fact():
    assert said(LIFE["03_payment.captured"])[0] == said(LIFE["04_order.paid"])[0]


def test_a_payment_that_failed_may_be_captured_later():
    kinds = [kind for name in LIFE for kind, object_id, _ in said(LIFE[name]) if object_id == PAY]
    assert kinds[0] is Kind.CHARGE_FAILED
    assert kinds[-1] is Kind.CHARGE_CAPTURED


# The table of types


def test_every_type_that_razorpay_sends_is_read_or_ignored_for_a_reason():
    assert READ.keys() | IGNORED.keys() | TROUBLE == set(TYPES)
    assert not READ.keys() & IGNORED.keys()
    assert not (READ.keys() | IGNORED.keys()) & TROUBLE


@pytest.mark.parametrize(
    ("instrument", "whole"),
    [({"bank": "HDFC"}, False), ({"bank": "ALL"}, True), ({"issuer": "ICIC", "type": None}, False)],
)
def test_a_downtime_tells_of_one_instrument_or_of_the_whole_method(instrument, whole):
    entity = {
        "id": "down_1", "entity": "payment.downtime", "method": "netbanking", "begin": 1_700_000_000, "end": None,
        "status": "started", "scheduled": False, "severity": "high", "instrument": instrument,
        "created_at": 1_700_000_000, "updated_at": 1_700_000_060,
    }  # fmt: skip
    body = {"event": "payment.downtime.started", "payload": {"payment.downtime": {"entity": entity}}}
    event = speak.read([], json.dumps(body).encode())
    [trouble] = event.troubles
    assert (event.reports, event.ignored_because, trouble.ended_at) == ((), None, None)
    assert (trouble.id, trouble.method, trouble.severity) == ("down_1", "netbanking", "high")
    assert trouble.instrument == (
        {} if whole else {name: value for name, value in instrument.items() if value}
    )


@pytest.mark.parametrize("name", [*IGNORED, "something_new.created"])
def test_a_type_that_is_not_read_yields_its_reason_and_its_payload_is_not_looked_at(name):
    read = speak.read([], event(name, more={"payment": [1.5], "payment.downtime": {"entity": {"id": 7}}}))
    assert read.reports == ()
    assert read.ignored_because == IGNORED.get(name, NOT_KNOWN)


HELD = {"captured": False, "fee": None, "tax": None}
BOTH_PHASES = ("chargeback", "retrieval")
ANY_REFUND = [
    *(
        {"payment": payment(), "refund": refund(status=status)}
        for status in ("pending", "processed", "failed")
    ),
    {"payment": payment(status="refunded", **HELD), "refund": refund()},
    {"refund": refund()},
]
OPEN_DISPUTES = [{"payment": payment(), "dispute": dispute(phase=phase)} for phase in BOTH_PHASES]
EVERY_SHAPE = {
    "payment.authorized": [{"payment": payment(status="authorized", **HELD)}],
    "payment.captured": [{"payment": payment()}],
    "payment.failed": [{"payment": payment(status="failed", **HELD)}],
    "order.paid": [{"payment": payment(), "order": order(status="paid")}, {"payment": payment()}],
    "refund.created": ANY_REFUND,
    "refund.speed_changed": ANY_REFUND,
    "refund.processed": [
        {"payment": payment(), "refund": refund()},
        {"payment": payment(status="refunded", **HELD), "refund": refund()},
    ],
    "refund.failed": [{"payment": payment(), "refund": refund(status="failed")}],
    "payment.dispute.created": OPEN_DISPUTES,
    "payment.dispute.action_required": OPEN_DISPUTES,
    "payment.dispute.under_review": [
        {"dispute": dispute(status="under_review", phase=phase)} for phase in BOTH_PHASES
    ],
    "payment.dispute.won": [{"dispute": dispute(status="won")}],
    "payment.dispute.lost": [{"dispute": dispute(status="lost", amount_deducted=30000)}],
    "payment.dispute.closed": [{"dispute": dispute(status="closed")}],
}


@pytest.mark.parametrize("name", READ)
def test_every_type_that_is_read_yields_the_facts_that_the_table_names_and_no_others(name):
    told = [speak.read([], event(name, **entities)).reports for entities in EVERY_SHAPE[name]]
    assert all(told)
    assert {report.kind for reports in told for report in reports} == set(READ[name])


def test_the_return_of_a_payment_never_captured_is_no_refund():
    body = event("refund.processed", payment=payment(status="refunded", **HELD), refund=refund(amount=50000))
    assert said(body) == [(Kind.CHARGE_VOIDED, PAYMENT, 50000)]


def test_a_paid_order_names_our_reference_that_its_payment_lacks():
    reports = speak.read([], event("order.paid", payment=payment(), order=order(status="paid"))).reports
    assert [(report.object_id, report.our_reference is None) for report in reports] == [
        (PAYMENT, True),
        (ORDER, False),
    ]


# What the documented samples show and the documentation does not say


def test_the_time_may_stand_inside_the_payload():
    body = event("refund.speed_changed", at=None, more={"created_at": MADE_AT + 5}, refund=refund())
    assert speak.read([], body).at == datetime.fromtimestamp(MADE_AT + 5, UTC)


def test_without_any_time_of_the_event_a_report_has_the_entitys_own():
    read = speak.read([], event("payment.captured", at=None, payment=payment()))
    assert read.at is None
    assert read.reports[0].at == datetime.fromtimestamp(MADE_AT + 1, UTC)


def test_contains_is_not_relied_upon():
    body = json.loads(event("payment.captured", payment=payment()))
    assert said(json.dumps({**body, "contains": ["nothing"]}).encode()) == [
        (Kind.CHARGE_CAPTURED, PAYMENT, 50000)
    ]


def test_the_account_may_be_missing():
    body = json.loads(event("payment.captured", payment=payment()))
    del body["account_id"]
    assert speak.read([], json.dumps(body).encode()).account is None


@pytest.mark.parametrize(
    ("headers", "id_"),
    [
        ([], None),
        ([(b"x-razorpay-event-id", b"evt4b0434ffd40")], "evt4b0434ffd40"),
        ([(b"x-razorpay-event-id", b"\xff" * 200)], "\ufffd" * 64),
        ([(b"x-razorpay-event-id", b"a\x00b")], "a b"),
    ],
)
def test_the_event_id_of_the_header_is_a_hint(headers, id_):
    assert speak.read(headers, event("payment.captured", payment=payment())).event_id == id_


# What is not understood


@pytest.mark.parametrize(
    "body",
    [
        event("payment.captured"),
        event("payment.captured", order=order()),
        event("order.paid", order=order()),
        event("refund.created", payment=payment()),
        event("payment.dispute.created", payment=payment()),
        event("payment.captured", payment=payment(amount="50000")),
        event("payment.captured", payment=payment(amount=50000.0)),
        event("payment.captured", payment=payment(amount=-1)),
        event("payment.captured", payment=payment(amount=10**30)),
        event("payment.captured", payment=payment(currency="ZZZ")),
        event("payment.captured", payment=payment(status="perhaps")),
        event("payment.captured", payment=payment(id="../orders")),
        event("payment.captured", payment=payment(created_at=10**15)),
        event("payment.captured", payment=payment(), more={"created_at": "now"}, at=None),
        event("payment.captured", at=-5, payment=payment()),
        b'{"event": 7, "payload": {}}',
        b'{"payload": {}}',
    ],
)
def test_what_cannot_be_believed_is_unreadable(body):
    with pytest.raises(UnreadableEventError):
        speak.read([], body)


@pytest.mark.parametrize("name", WRECKS)
def test_hostile_json_is_unreadable_and_nothing_worse(name):
    with pytest.raises(UnreadableEventError):
        speak.read([], WRECKS[name])


BODIES = [
    *LIFE.values(),
    *(event(name, **entities[0]) for name, entities in EVERY_SHAPE.items()),
    event("refund.speed_changed", at=None, more={"created_at": MADE_AT}, refund=refund()),
]


@given(st.sampled_from(BODIES), st.data())
def test_no_changed_body_makes_it_raise_anything_else(body, data):
    changed = mutated(data, body)
    with suppress(UnreadableEventError):
        assert isinstance(speak.read([], changed), Event)
    assert speak.dedupe_key(changed) == sha256(changed).hexdigest()


@given(st.sampled_from(list(READ)), JSON_VALUES, st.binary(max_size=20))
def test_no_payload_and_no_header_makes_it_raise_anything_else(name, payload, header):
    body = json.dumps({"event": name, "payload": payload}).encode()
    with suppress(UnreadableEventError):
        assert isinstance(speak.read([(b"x-razorpay-event-id", header)], body), Event)


def test_the_whole_body_tells_two_events_apart_because_the_id_is_not_signed():
    one, other = (event("payment.captured", at=at, payment=payment()) for at in (MADE_AT, MADE_AT + 1))
    assert speak.dedupe_key(one) == sha256(one).hexdigest() != speak.dedupe_key(other)
