"""Downtimes at the sandbox's Razorpay: one instrument that does not work."""

import pytest

from sandbox_razorpay import Shop, fresh, open_shop
from sandbox_server import ControlError

KEYS = {
    *("id", "entity", "method", "begin", "end", "status", "scheduled", "severity", "instrument"),
    *("created_at", "updated_at"),
}
CARD = {"method": "card", "instrument": {"issuer": "SBIN", "card_type": "credit"}}


@pytest.fixture(scope="module")
def shared():
    with open_shop() as shop:
        yield shop


@pytest.fixture
def shop(shared: Shop):
    with fresh(shared) as shop:
        yield shop


def test_a_downtime_is_listed_until_it_is_resolved(shop):
    begun = shop.act("downtime", **CARD, severity="high", status="started")
    assert begun.keys() == KEYS
    assert shop.client.payment.fetchDownTime()["items"] == [begun]
    shop.sandbox.advance(60)
    worse = shop.act("downtime", **CARD, severity="medium", status="updated")
    assert worse == begun | {"severity": "medium", "status": "updated", "updated_at": worse["updated_at"]}
    shop.sandbox.advance(60)
    over = shop.act("downtime", **CARD, severity="medium", status="resolved")
    assert (over["id"], over["end"]) == (begun["id"], over["updated_at"])
    assert over["updated_at"] - begun["updated_at"] == pytest.approx(120, abs=2)
    assert shop.client.payment.fetchDownTime()["count"] == 0
    assert shop.client.payment.fetchDownTimeById(begun["id"]) == over


def test_each_turn_is_told_by_webhook_in_the_webhooks_own_words(shop):
    for status in ("started", "updated", "resolved"):
        shop.act("downtime", **CARD, severity="high", status=status)
    names = [f"payment.downtime.{status}" for status in ("started", "updated", "resolved")]
    events = shop.endpoint.expect(*names)
    for name in names:
        assert events[name]["contains"] == ["payment.downtime"]
        told = events[name]["payload"]["payment.downtime"]["entity"]
        assert told.keys() == KEYS | {"instrument_schema"}
        assert told["instrument"] == {"issuer": "SBIN", "type": "credit"}
        assert told["instrument_schema"] == ["issuer", "type"]


@pytest.mark.parametrize(
    ("method", "instrument"),
    [
        ("card", {"network": "VISA", "card_type": "credit"}),
        ("netbanking", {"bank": "COSB"}),
        ("upi", {"psp": "bhim"}),
        ("upi", {"vpa_handle": "oksbi"}),
        ("upi", {"flow": "in_app"}),
    ],
)
def test_every_kind_of_instrument_can_be_down(shop, method, instrument):
    shop.act("downtime", method=method, instrument=instrument)
    [down] = shop.client.payment.fetchDownTime()["items"]
    assert (down["method"], down["instrument"], down["status"]) == (method, instrument, "started")


def test_two_instruments_are_two_downtimes(shop):
    shop.act("downtime", **CARD)
    shop.act("downtime", method="upi", instrument={"psp": "bhim"})
    shop.act("downtime", **CARD, status="resolved")
    again = shop.act("downtime", **CARD)
    items = shop.client.payment.fetchDownTime()["items"]
    assert [item["method"] for item in items] == ["card", "upi"]
    assert items[0] == again


def test_a_scheduled_downtime_is_listed_and_not_told(shop):
    planned = shop.act("downtime", **CARD, status="scheduled")
    assert planned["scheduled"] is True
    assert shop.client.payment.fetchDownTime()["items"] == [planned]
    assert shop.sandbox.deliveries() == []
    assert shop.act("downtime", **CARD, status="started")["id"] == planned["id"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"method": "cash", "instrument": {"bank": "X"}}, "method is one of"),
        ({"method": "upi"}, "instrument is an object"),
        ({"method": "upi", "instrument": {"colour": "red"}}, "instrument is an object"),
        ({**CARD, "severity": "awful"}, "severity is one of"),
        ({**CARD, "status": "gone"}, "status is one of"),
        ({**CARD, "status": "resolved"}, "there is no such downtime"),
    ],
)
def test_a_downtime_that_makes_no_sense_is_explained(shop, given, sentence):
    with pytest.raises(ControlError, match=sentence):
        shop.act("downtime", **given)
    assert shop.client.payment.fetchDownTime()["count"] == 0
