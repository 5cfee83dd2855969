"""Stripe's webhooks: signed, delivered, tried again, and stopped with their endpoint."""

import pytest
import stripe

from counterfoil.sandbox.config import Config
from counterfoil.sandbox.stripe.carrier import StripeCarrier
from counterfoil.sandbox.webhooks import Delivery
from counterfoil.sandbox.world import make_world
from sandbox_server import Endpoint, eventually, run_sandbox
from sandbox_stripe import Merchant

HOUR = 3600


def event(receiver, secret, which=0):
    """The event as the official SDK verifies it at the sandbox's time."""
    headers, body = receiver.got[which]
    return stripe.Webhook.construct_event(body, headers["stripe-signature"], secret)


def test_the_sdk_verifies_every_webhook(merchant, receiver):
    paid = merchant.paid()
    receiver.expect(*merchant.types())
    secret = merchant.sandbox.config.stripe_webhook_secret
    for which in range(3):
        assert event(receiver, secret, which).data.object["object"] in {"payment_intent", "charge"}
        with pytest.raises(stripe.SignatureVerificationError):
            event(receiver, "whsec_of_somebody_else", which)
    assert {headers[":path"] for headers, _ in receiver.got} == {"/webhooks/stripe"}
    assert paid.id in str(receiver.events())


def test_the_delivered_event_is_the_one_that_can_be_read(merchant, receiver):
    merchant.intent()
    receiver.expect("payment_intent.created")
    [delivered] = receiver.events()
    assert delivered["pending_webhooks"] == 1
    eventually(lambda: merchant.sandbox.deliveries()[0]["state"] == "delivered")
    read = merchant.v1.events.retrieve(delivered["id"]).to_dict()
    assert read == {**delivered, "pending_webhooks": 0}


def test_a_delivery_is_recorded_with_its_tries(merchant, receiver, sandbox):
    merchant.intent()
    [delivery] = eventually(lambda: [d for d in sandbox.deliveries() if d["tries"]])
    assert (delivery["state"], delivery["tries"][0]["status"], delivery["tries"][0]["error"]) == (
        "delivered",
        200,
        None,
    )


@pytest.mark.parametrize("status", [500, 400, 301])
def test_anything_but_2xx_is_a_failed_try(merchant, receiver, sandbox, status):
    receiver.status = status
    merchant.intent()
    [delivery] = eventually(lambda: [d for d in sandbox.deliveries() if d["tries"]])
    assert (delivery["state"], delivery["tries"][0]["status"]) == ("pending", status)
    assert delivery["next_at"] - delivery["created"] == pytest.approx(HOUR, abs=5)


def test_a_sandbox_webhook_is_tried_three_times_over_hours(merchant, receiver, sandbox):
    receiver.status = 500
    merchant.intent()
    for tries, wait in ((1, HOUR), (2, 2 * HOUR), (3, 0)):
        eventually(lambda tries=tries: len(sandbox.deliveries()[0]["tries"]) == tries)
        sandbox.advance(wait)
    assert sandbox.deliveries()[0]["state"] == "failed"
    bodies = {body for _, body in receiver.got}
    signatures = {headers["stripe-signature"] for headers, _ in receiver.got}
    assert (len(bodies), len(signatures)) == (1, 3)


def test_a_retry_succeeds_once_the_endpoint_is_well(merchant, receiver, sandbox):
    receiver.status = 503
    merchant.intent()
    eventually(lambda: sandbox.deliveries()[0]["tries"])
    receiver.status = 200
    sandbox.advance(HOUR)
    eventually(lambda: sandbox.deliveries()[0]["state"] == "delivered")
    moment = int(receiver.got[1][0]["stripe-signature"].partition(",")[0].removeprefix("t="))
    assert abs(moment - sandbox.now()) < 10


def test_an_endpoint_that_is_not_there_is_tried_again(merchant, sandbox):
    sandbox.webhooks(deliver_to="http://127.0.0.1:9")
    merchant.intent()
    [delivery] = eventually(lambda: [d for d in sandbox.deliveries() if d["tries"]])
    assert (delivery["state"], delivery["tries"][0]["status"]) == ("pending", None)
    assert "Connect" in delivery["tries"][0]["error"]


def test_live_webhooks_are_tried_for_three_days_ever_more_rarely():
    world = make_world(Config(livemode=True))
    started, waits = world.clock.now(), []
    while (
        wait := StripeCarrier(world).wait(Delivery(1, "stripe", "evt", "we", started, len(waits) + 1))
    ) is not None:
        waits.append(wait)
        world.clock.advance(wait)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (300, 12 * HOUR)
    assert 2.5 * 86400 < sum(waits) <= 3 * 86400
    world.truth.close()


def test_a_live_sandbox_says_so():
    with run_sandbox(livemode=True) as live:
        merchant = Merchant(live)
        assert merchant.intent().livemode is True
        assert merchant.events()[0]["livemode"] is True
        merchant.session.close()


def test_an_endpoint_made_through_the_api_gets_what_it_asks_for(merchant, sandbox):
    receiver = Endpoint()
    made = merchant.v1.webhook_endpoints.create(
        {"url": f"{receiver.url}/mine", "enabled_events": ["charge.succeeded"], "description": "mine"}
    )
    merchant.paid()
    receiver.expect("charge.succeeded")
    assert event(receiver, made.secret).type == "charge.succeeded"
    assert receiver.got[0][0][":path"] == "/mine"
    assert [one.id for one in merchant.v1.webhook_endpoints.list().data] == [made.id]
    receiver.close()


def test_a_disabled_or_deleted_endpoint_gets_nothing_more(merchant, sandbox):
    receiver = Endpoint()
    made = merchant.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    receiver.status = 500
    merchant.intent()
    eventually(lambda: sandbox.deliveries()[0]["tries"])
    assert merchant.v1.webhook_endpoints.update(made.id, {"disabled": True}).status == "disabled"
    sandbox.advance(HOUR)
    eventually(lambda: sandbox.deliveries()[0]["state"] == "cancelled")
    merchant.intent()
    assert merchant.v1.webhook_endpoints.update(made.id, {"disabled": False}).status == "enabled"
    assert merchant.v1.webhook_endpoints.delete(made.id).deleted is True
    with pytest.raises(stripe.InvalidRequestError):
        merchant.v1.webhook_endpoints.retrieve(made.id)
    merchant.intent()
    assert len(sandbox.deliveries()) == 1
    receiver.close()


@pytest.mark.parametrize("events", ["", "[]="])
def test_an_endpoint_asks_for_something(merchant, events):
    answer = merchant.call(
        "POST", "/v1/webhook_endpoints", f"url=http://127.0.0.1:9/&enabled_events{events or '='}"
    )
    assert answer.status == 400


def test_an_endpoint_is_changed(merchant):
    made = merchant.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/a", "enabled_events": ["*"]})
    changed = merchant.v1.webhook_endpoints.update(
        made.id, {"url": "http://127.0.0.1:9/b", "enabled_events": ["charge.failed"], "metadata": {"a": "1"}}
    )
    assert (changed.url, changed.enabled_events, changed.metadata["a"]) == (
        "http://127.0.0.1:9/b",
        ["charge.failed"],
        "1",
    )


def test_while_a_secret_is_rolled_both_sign(merchant, receiver, sandbox):
    old, new = sandbox.config.stripe_webhook_secret, "whsec_counterfoil_new"
    sandbox.webhooks(roll_secret={"gateway": "stripe", "secret": new, "overlap_seconds": 3600})
    merchant.intent()
    eventually(lambda: receiver.got)
    assert receiver.got[0][0]["stripe-signature"].count("v1=") == 2
    assert event(receiver, old).id == event(receiver, new).id
    sandbox.advance(3601)
    merchant.intent()
    eventually(lambda: len(receiver.got) == 2)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(
            receiver.got[1][1], receiver.got[1][0]["stripe-signature"], old, tolerance=7200
        )
    assert stripe.Webhook.construct_event(receiver.got[1][1], receiver.got[1][0]["stripe-signature"], new)


def test_an_event_is_delivered_once_more_on_demand(merchant, receiver, sandbox):
    merchant.intent()
    receiver.expect("payment_intent.created")
    assert sandbox.webhooks(replay=merchant.events()[0]["id"])["deliveries"] == 1
    receiver.expect("payment_intent.created", "payment_intent.created")
    assert receiver.got[0][1] == receiver.got[1][1]


def test_a_burst_of_payments_is_delivered(merchant, receiver):
    for _ in range(40):
        merchant.intent()
    receiver.expect(*["payment_intent.created"] * 40)
