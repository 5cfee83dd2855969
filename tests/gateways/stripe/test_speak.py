import json
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.fact import Kind
from counterfoil.gateways.base import Event, UnreadableEventError
from counterfoil.gateways.stripe import speak
from counterfoil.gateways.stripe.events import IGNORED, NOT_KNOWN, READ
from gateways.hostile import JSON_VALUES, WRECKS, mutated
from gateways.stripe.objects import CHARGE, charge, dispute, event, intent, refund, warning
from gateways.vectors import events, load

TYPES = load("stripe/enums.json")["event_types"]
LIFE = events("stripe")
PI, CH, CH_FAILED = (
    "pi_3TestVec0000000000000001",
    "ch_3TestVec0000000000000001",
    "ch_3TestVec000000000000000F",
)
RE_1, RE_2, DP = "re_3TestVec0000000000000001", "re_3TestVec0000000000000002", "dp_1TestVec000000000000001"

# One payment's whole life: what each event says, of what, and how much in cents
SAID = {
    "01_payment_intent.created": [(Kind.ATTEMPT_OPENED, PI, 10000)],
    "02_payment_intent.requires_action": [(Kind.ATTEMPT_ACTION, PI, 10000)],
    "03_charge.succeeded": [(Kind.CHARGE_CAPTURED, CH, 10000)],
    "04_payment_intent.succeeded": [(Kind.CHARGE_CAPTURED, CH, 10000)],
    "05_charge.updated": [(Kind.CHARGE_CAPTURED, CH, 10000)],
    "06_refund.created": [(Kind.REFUND_SUCCEEDED, RE_1, 2500)],
    "07_charge.refunded": [(Kind.CHARGE_CAPTURED, CH, 10000)],
    "08_refund.updated": [(Kind.REFUND_SUCCEEDED, RE_1, 2500)],
    "09_charge.refund.updated": [(Kind.REFUND_SUCCEEDED, RE_1, 2500)],
    "10_refund.created": [(Kind.REFUND_PENDING, RE_2, 1000)],
    "11_charge.refunded": [(Kind.CHARGE_CAPTURED, CH, 10000)],
    "12_refund.failed": [(Kind.REFUND_FAILED, RE_2, 1000)],
    "13_refund.updated": [(Kind.REFUND_FAILED, RE_2, 1000)],
    "14_charge.refund.updated": [(Kind.REFUND_FAILED, RE_2, 1000)],
    "15_charge.dispute.created": [(Kind.DISPUTE_OPEN, DP, 3000)],
    "16_charge.dispute.funds_withdrawn": [(Kind.DISPUTE_OPEN, DP, 3000), (Kind.DISPUTE_WITHDRAWN, DP, 3000)],
    "17_charge.dispute.updated": [(Kind.DISPUTE_UNDER_REVIEW, DP, 3000), (Kind.DISPUTE_WITHDRAWN, DP, 3000)],
    "18_charge.dispute.closed": [(Kind.DISPUTE_LOST, DP, 3000), (Kind.DISPUTE_WITHDRAWN, DP, 3000)],
    "19_payout.created": [],
    "20_payout.updated": [],
    "21_payout.reconciliation_completed": [],
    "22_payout.paid": [],
    "23_payout.failed": [],
    "x1_payment_intent.payment_failed": [
        (Kind.ATTEMPT_DECLINED, CH_FAILED, 10000),
        (Kind.CHARGE_FAILED, CH_FAILED, 10000),
    ],
    "x2_payment_intent.amount_capturable_updated": [(Kind.CHARGE_AUTHORIZED, CH, 10000)],
    "x3_event_unknown_type": [],
}


def said(name_or_body):
    body = LIFE.get(name_or_body, name_or_body)
    return [(report.kind, report.object_id, report.amount.minor) for report in speak.read([], body).reports]


def test_the_life_is_whole():
    assert set(LIFE) == set(SAID)


@pytest.mark.parametrize("name", SAID)
def test_every_event_of_a_payments_life_is_read(name):
    assert said(name) == SAID[name]
    read = speak.read([], LIFE[name])
    body = json.loads(LIFE[name])
    assert (read.event_id, read.type, read.livemode) == (body["id"], body["type"], False)
    assert read.at == datetime.fromtimestamp(body["created"], UTC)
    assert (read.ignored_because is None) is bool(read.reports)
    for report in read.reports:
        assert report.detail["event_type"] == body["type"]
        assert report.at == read.at
        assert report.kind in READ[body["type"]]
        assert (report.attempt_ref, report.livemode) == (PI, False)
        assert report.charge_ref in {CH, CH_FAILED, None}


def test_the_three_ways_to_hear_of_one_capture_tell_one_fact():
    told = {
        fact
        for name in LIFE
        if "refund." not in name
        for fact in said(name)
        if fact[0] is Kind.CHARGE_CAPTURED
    }
    assert told == {(Kind.CHARGE_CAPTURED, CH, 10000)}


def test_the_banks_reference_of_a_refund_arrives_with_its_update():
    first, later = (
        speak.read([], LIFE[name]).reports[0] for name in ("06_refund.created", "08_refund.updated")
    )
    assert "arn" not in first.detail
    assert later.detail["arn"] == "0123456789012345"


def test_the_account_of_an_event_is_carried():
    assert (
        speak.read([], event("charge.succeeded", charge(), account="acct_1Counterfoil")).account
        == "acct_1Counterfoil"
    )


# The table of types


def test_every_type_that_stripe_sends_is_read_or_ignored_for_a_reason():
    assert READ.keys() | IGNORED.keys() == set(TYPES)
    assert not READ.keys() & IGNORED.keys()


@pytest.mark.parametrize("type_", [*IGNORED, "something_new.created"])
def test_a_type_that_is_not_read_yields_its_reason_and_its_object_is_not_looked_at(type_):
    read = speak.read([], event(type_, {"whatever": [1.5, None]}))
    assert read.reports == ()
    assert read.ignored_because == IGNORED.get(type_, NOT_KNOWN)


HELD = {"captured": False, "amount_captured": 0}
ANY_REFUND = [refund(status=status) for status in load("stripe/enums.json")["refund.status"]]
EVERY_SHAPE = {
    "payment_intent.created": [intent()],
    "payment_intent.requires_action": [intent(status="requires_action")],
    "payment_intent.partially_funded": [intent(status="requires_action")],
    "payment_intent.processing": [
        intent(status="processing"),
        intent(status="processing", latest_charge=CHARGE),
    ],
    "payment_intent.payment_failed": [intent(last_payment_error={"code": "x", "charge": CHARGE})],
    "payment_intent.amount_capturable_updated": [intent(status="requires_capture", latest_charge=CHARGE)],
    "payment_intent.succeeded": [intent(status="succeeded", latest_charge=CHARGE, amount_received=10000)],
    "payment_intent.canceled": [intent(status="canceled")],
    "charge.pending": [charge(status="pending", **HELD)],
    "charge.failed": [charge(status="failed", **HELD)],
    "charge.succeeded": [charge(), charge(**HELD)],
    "charge.captured": [charge()],
    "charge.expired": [charge(**HELD), charge(**HELD, refunded=True)],
    "charge.refunded": [charge(), charge(refunded=True), charge(**HELD, refunded=True)],
    "charge.updated": [
        charge(),
        charge(**HELD),
        charge(**HELD, refunded=True),
        charge(status="pending", **HELD),
        charge(status="failed", **HELD),
    ],
    "charge.refund.updated": ANY_REFUND,
    "refund.created": ANY_REFUND,
    "refund.updated": ANY_REFUND,
    "refund.failed": [refund(status="failed")],
    "charge.dispute.created": [
        dispute(status=status)
        for status in ("needs_response", "warning_needs_response", "warning_under_review")
    ],
    "charge.dispute.updated": [
        dispute(status=status) for status in load("stripe/enums.json")["dispute.status"]
    ],
    "charge.dispute.funds_withdrawn": [dispute(), dispute(status="under_review")],
    "charge.dispute.funds_reinstated": [dispute(status="won"), dispute(status="under_review")],
    "charge.dispute.closed": [
        dispute(status=status) for status in ("won", "lost", "warning_closed", "prevented")
    ],
    "radar.early_fraud_warning.created": [warning(), warning(actionable=None, payment_intent=None)],
}


@pytest.mark.parametrize("type_", READ)
def test_every_type_that_is_read_yields_the_facts_that_the_table_names_and_no_others(type_):
    for object_ in EVERY_SHAPE[type_]:
        reports = speak.read([], event(type_, object_)).reports
        assert reports
        assert {report.kind for report in reports} <= set(READ[type_])


def test_an_expired_hold_is_given_back_though_its_snapshot_does_not_say_so():
    assert said(event("charge.expired", charge(**HELD))) == [(Kind.CHARGE_VOIDED, CHARGE, 10000)]


def test_a_dispute_that_took_money_says_so_though_its_row_is_not_there_yet():
    body = event("charge.dispute.funds_withdrawn", dispute())
    assert [kind for kind, *_ in said(body)] == [Kind.DISPUTE_OPEN, Kind.DISPUTE_WITHDRAWN]


# What is not understood


def test_a_thin_event_is_unreadable_and_says_what_to_do():
    thin = {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": "v1.charge.succeeded",
        "created": 1,
        "livemode": False,
    }
    with pytest.raises(UnreadableEventError, match="subscribe to snapshot events"):
        speak.read([], json.dumps(thin).encode())


@pytest.mark.parametrize(
    "body",
    [
        event("charge.succeeded", {"object": "source", "id": "src_1"}),
        event("charge.succeeded", None),
        event("charge.succeeded", charge(amount="10000")),
        event("charge.succeeded", charge(amount=10000.0)),
        event("charge.succeeded", charge(amount=-1)),
        event("charge.succeeded", charge(amount=10**30)),
        event("charge.succeeded", charge(currency="zzz")),
        event("charge.succeeded", charge(status="perhaps")),
        event("charge.succeeded", charge(id="../../refunds")),
        event("charge.succeeded", charge(id="ch_1\n")),
        event("charge.succeeded", charge(id="")),
        event("charge.succeeded", charge(created=10**15)),
        event("payment_intent.succeeded", intent(status="succeeded")),
        event("charge.succeeded", charge(), id=None),
        event("charge.succeeded", charge(), created=-1),
        event("charge.succeeded", charge(), livemode="false"),
    ],
)
def test_what_cannot_be_believed_is_unreadable(body):
    with pytest.raises(UnreadableEventError):
        speak.read([], body)


@pytest.mark.parametrize("name", WRECKS)
def test_hostile_json_is_unreadable_and_nothing_worse(name):
    with pytest.raises(UnreadableEventError):
        speak.read([], WRECKS[name])
    assert speak.dedupe_key(WRECKS[name]) == sha256(WRECKS[name]).hexdigest()


def test_of_two_equal_keys_one_is_taken_and_the_signature_vouches_for_both():
    body = event("charge.succeeded", charge()).replace(b'"id":', b'"id": "evt_0", "id":', 1)
    assert isinstance(speak.read([], body), Event)


def test_text_that_is_kept_is_plain():
    failed = charge(status="failed", captured=False, failure_message="No\x00pe\n" + "x" * 9000)
    message = speak.read([], event("charge.failed", failed)).reports[0].detail["message"]
    assert message == "No pe " + "x" * 494


BODIES = [*LIFE.values(), *(event(type_, objects[0]) for type_, objects in EVERY_SHAPE.items())]


@given(st.sampled_from(BODIES), st.data())
def test_no_changed_body_makes_it_raise_anything_else(body, data):
    changed = mutated(data, body)
    with suppress(UnreadableEventError):
        assert isinstance(speak.read([], changed), Event)
    assert speak.dedupe_key(changed)


@given(st.sampled_from(list(READ)), JSON_VALUES)
def test_no_object_makes_it_raise_anything_else(type_, object_):
    with suppress(UnreadableEventError):
        assert isinstance(speak.read([], event(type_, object_)), Event)


# Which deliveries are the same


def test_the_signed_id_tells_two_events_apart():
    one, again = event("charge.updated", charge()), event("charge.updated", charge(), pending_webhooks=2)
    other = event("charge.updated", charge(), id="evt_2")
    assert speak.dedupe_key(one) == speak.dedupe_key(again) == "evt_1Counterfoil000000001"
    assert speak.dedupe_key(other) == "evt_2"


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"id": 7}', b'{"id": "a b"}', b'{"type": "x"}'])
def test_without_an_id_the_whole_body_tells_them_apart(body):
    assert speak.dedupe_key(body) == sha256(body).hexdigest()
