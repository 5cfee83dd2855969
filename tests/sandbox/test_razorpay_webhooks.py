"""Webhooks of the sandbox's Razorpay: what they say, how they are signed, when they are tried again."""

import json

import pytest
import razorpay

from sandbox_razorpay import DATA, GOOD_CARD, Shop, fresh, open_shop
from sandbox_server import eventually

HOUR, DAY = 3600, 86400
PAID = ("payment.authorized", "payment.captured", "order.paid")


@pytest.fixture(scope="module")
def shared():
    with open_shop() as shop:
        yield shop


@pytest.fixture
def shop(shared: Shop):
    with fresh(shared) as shop:
        yield shop


def scenario():
    """The authored life of one payment: event bodies by name."""
    files = sorted((DATA / "events_scenario").glob("*.json"))
    bodies = [json.loads(file.read_text())["body"] for file in files]
    return {body["event"]: body for body in bodies}


def shape(value):
    """The keys of every object, however deep; notes and amounts are the caller's own."""
    if isinstance(value, dict):
        return {
            key: None if key in {"notes", "acquirer_data"} else shape(part) for key, part in value.items()
        }
    return None


def test_one_life_of_a_payment_has_the_shapes_of_the_scenario(shop):
    shop.act(instant_refunds=False)
    order = shop.order(500000, receipt="A1")
    payment = shop.paid(order, method="upi", vpa="retry@razorpay", notes={"order": "A1"})
    shop.client.payment.capture(payment["id"], 500000, {"currency": "INR"})
    shop.client.payment.refund(payment["id"], {"amount": 50000, "speed": "optimum", "notes": {"r": "1"}})
    shop.sandbox.advance(2 * HOUR)
    expected = scenario()
    del expected["settlement.processed"]
    events = shop.endpoint.expect(*expected)
    for name, body in expected.items():
        assert shape(events[name]) == shape(body), name
        assert events[name]["contains"] == body["contains"]
        assert events[name]["account_id"].startswith("acc_")
    captured = events["payment.captured"]["payload"]["payment"]["entity"]
    assert (captured["fee"], captured["tax"]) == (11800, 1800)
    refund = events["refund.processed"]["payload"]
    assert refund["payment"]["entity"]["amount_refunded"] == 50000


def test_a_card_event_carries_the_card(shop):
    payment = shop.captured(method="card", card=GOOD_CARD)
    events = shop.endpoint.expect(*PAID)
    for name in PAID:
        shown = events[name]["payload"]["payment"]["entity"]
        assert shown["card"]["last4"] == "1007"
        assert shown["card"]["id"] == payment["card_id"]


def test_an_event_is_a_snapshot_of_its_moment(shop):
    shop.sandbox.webhooks(hold=True)
    shop.captured()
    shop.sandbox.webhooks(hold=False)
    events = shop.endpoint.expect(*PAID)
    authorized = events["payment.authorized"]["payload"]["payment"]["entity"]
    assert (authorized["status"], authorized["captured"], authorized["fee"]) == ("authorized", False, None)


def test_the_sdk_accepts_the_signature_of_the_raw_body(shop):
    shop.captured(description="₹ 500 for tea")
    shop.endpoint.expect(*PAID)
    secret = shop.sandbox.config.razorpay_webhook_secret
    for headers, body in shop.endpoint.got:
        signature = headers["x-razorpay-signature"]
        assert shop.client.utility.verify_webhook_signature(body.decode(), signature, secret)
        with pytest.raises(razorpay.errors.SignatureVerificationError):
            shop.client.utility.verify_webhook_signature(body.decode() + " ", signature, secret)


def test_the_event_id_is_in_the_header_alone_and_unique(shop):
    shop.captured()
    shop.endpoint.expect(*PAID)
    ids = {headers["x-razorpay-event-id"] for headers, _ in shop.endpoint.got}
    assert len(ids) == 3
    for headers, body in shop.endpoint.got:
        assert headers[":path"] == "/webhooks/razorpay"
        assert headers["content-type"] == "application/json"
        assert headers["x-razorpay-event-id"].encode() not in body


def test_a_failed_try_is_repeated_with_the_same_bytes_and_the_same_signature(shop):
    shop.endpoint.status = 500
    shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    eventually(lambda: len(shop.endpoint.got) == 1)
    shop.endpoint.status = 200
    shop.sandbox.advance(61)
    eventually(lambda: len(shop.endpoint.got) == 2)
    first, second = shop.endpoint.got
    assert first[1] == second[1]
    for name in ("x-razorpay-signature", "x-razorpay-event-id"):
        assert first[0][name] == second[0][name]
    eventually(lambda: shop.sandbox.deliveries()[0]["state"] == "delivered")


def test_after_a_day_of_failures_the_endpoint_is_switched_off(shop):
    shop.endpoint.status = 500
    shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    eventually(lambda: len(shop.endpoint.got) == 1)
    assert shop.act()["webhook_enabled"] is True
    shop.sandbox.advance(DAY)
    eventually(lambda: shop.sandbox.deliveries()[0]["state"] == "failed")
    assert shop.act()["webhook_enabled"] is False
    shop.endpoint.status = 200
    shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    assert len(shop.sandbox.deliveries()) == 1
    shop.act(webhook_enabled=True)
    shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    eventually(lambda: shop.endpoint.types() == ["payment.failed"] * 3)


def test_a_switched_off_endpoint_gets_no_further_try_of_anything(shop):
    shop.endpoint.status = 500
    shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    eventually(lambda: len(shop.endpoint.got) == 1)
    shop.sandbox.advance(2 * HOUR)
    shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    eventually(lambda: len(shop.endpoint.got) == 3)
    shop.sandbox.advance(DAY - HOUR)
    eventually(lambda: shop.act()["webhook_enabled"] is False)
    eventually(lambda: len(shop.endpoint.got) == 5)
    shop.sandbox.advance(HOUR // 2)
    eventually(lambda: [one["state"] for one in shop.sandbox.deliveries()] == ["failed", "cancelled"])
    assert len(shop.endpoint.got) == 5


def test_after_a_new_secret_older_events_are_still_signed_with_the_old_one(shop):
    shop.endpoint.status = 500
    shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    eventually(lambda: len(shop.endpoint.got) == 1)
    shop.sandbox.webhooks(roll_secret={"gateway": "razorpay", "secret": "counterfoil_new"})
    shop.endpoint.status = 200
    shop.sandbox.advance(61)
    shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    eventually(lambda: len(shop.endpoint.got) == 3)
    older = shop.endpoint.got[0][0]["x-razorpay-event-id"]
    for headers, body in shop.endpoint.got:
        first = headers["x-razorpay-event-id"] == older
        secret = shop.sandbox.config.razorpay_webhook_secret if first else "counterfoil_new"
        assert shop.client.utility.verify_webhook_signature(
            body.decode(), headers["x-razorpay-signature"], secret
        )


def test_a_replay_is_signed_with_the_current_secret(shop):
    shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    eventually(lambda: len(shop.endpoint.got) == 1)
    shop.sandbox.webhooks(roll_secret={"gateway": "razorpay", "secret": "counterfoil_new"})
    shop.sandbox.webhooks(replay=shop.endpoint.got[0][0]["x-razorpay-event-id"])
    eventually(lambda: len(shop.endpoint.got) == 2)
    headers, body = shop.endpoint.got[1]
    assert body == shop.endpoint.got[0][1]
    assert shop.client.utility.verify_webhook_signature(
        body.decode(), headers["x-razorpay-signature"], "counterfoil_new"
    )


def test_the_quirks_of_the_documented_samples_can_be_switched_on(shop):
    quirks = json.loads((DATA / "webhook_sample_quirks.json").read_text())
    shop.act(sample_quirks=True, instant_refunds=False)
    order = shop.order(capture="automatic")
    shop.pay(order, method="card", card=GOOD_CARD | {"number": "4100280000060003"})
    payment = shop.paid(order, method="card", card=GOOD_CARD)
    shop.client.payment.refund(payment["id"], {"speed": "optimum"})
    shop.sandbox.advance(200)
    events = shop.endpoint.expect("payment.failed", *PAID, "refund.created", "refund.speed_changed")
    deviating = {quirk.split(" ")[0] for quirk in quirks}
    assert deviating == {"payment.authorized", "payment.captured", "payment.failed", "refund.speed_changed"}
    changed = events["refund.speed_changed"]
    assert "created_at" not in changed
    assert isinstance(changed["payload"]["created_at"], int)
    for name in deviating - {"refund.speed_changed"}:
        shown = events[name]["payload"]["payment"]["entity"]
        assert shown["status"] == name.removeprefix("payment.")
        assert (shown["error_code"], shown["error_reason"]) == ("", None)
        assert (shown["captured"], shown["fee"]) == (True, None)
    assert events["order.paid"]["payload"]["payment"]["entity"]["fee"] is not None
    assert shop.payment(payment["id"])["error_code"] is None


def test_nothing_is_delivered_without_an_endpoint(shop):
    shop.sandbox.webhooks(deliver_to=None)
    shop.captured()
    assert shop.sandbox.deliveries() == []


@pytest.mark.parametrize("fault", ["drop", "hold"])
def test_a_webhook_can_be_lost_or_kept_back(shop, fault):
    shop.sandbox.fault("razorpay", "webhooks", fault)
    shop.captured()
    shop.endpoint.expect("payment.captured", "order.paid")


def test_a_webhook_can_come_twice(shop):
    shop.sandbox.fault("razorpay", "webhooks", "duplicate")
    shop.captured()
    shop.endpoint.expect("payment.authorized", *PAID)


def test_webhooks_can_come_in_reverse(shop):
    shop.sandbox.fault("razorpay", "webhooks", "reorder", times=3)
    shop.captured()
    eventually(lambda: shop.endpoint.types() == ["order.paid", "payment.captured", "payment.authorized"])
