"""Listing and reading events."""

import pytest
import stripe

from sandbox_server import eventually


def listed(merchant, **params):
    return merchant.v1.events.list(params)


def test_events_are_listed_newest_first_and_read_one_by_one(merchant):
    merchant.paid()
    types = [event.type for event in listed(merchant).data]
    assert types == ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]
    newest = listed(merchant, limit=1).data[0]
    assert merchant.v1.events.retrieve(newest.id).to_dict() == newest.to_dict()


def test_what_came_after_an_event_is_paged_oldest_first(merchant):
    merchant.intent()
    known = listed(merchant, limit=1).data[0].id
    for _ in range(3):
        merchant.paid()
    new = [event.id for event in listed(merchant, ending_before=known, limit=2).auto_paging_iter()]
    assert new == [event["id"] for event in merchant.events()[1:10]]


def test_events_are_found_by_type_types_and_wildcard(merchant):
    merchant.paid()
    assert [e.type for e in listed(merchant, type="charge.succeeded").data] == ["charge.succeeded"]
    assert [e.type for e in listed(merchant, type="charge.*").data] == ["charge.succeeded"]
    several = listed(merchant, types=["payment_intent.created", "charge.succeeded"]).data
    assert [e.type for e in several] == ["charge.succeeded", "payment_intent.created"]
    assert listed(merchant, type="refund.*").data == []


@pytest.mark.parametrize(
    "params",
    [
        {"type": "charge.[a-z]*"},
        {"type": "charge.*", "types": ["charge.failed"]},
        {"types": [f"t{n}" for n in range(21)]},
    ],
)
def test_a_filter_that_stripe_does_not_know_is_an_error(merchant, params):
    with pytest.raises(stripe.InvalidRequestError):
        listed(merchant, **params)


def test_events_are_found_by_time_and_forgotten_after_thirty_days(merchant, sandbox):
    merchant.intent()
    old = listed(merchant).data[0]
    sandbox.advance(29 * 86400)
    assert listed(merchant, created={"lte": old.created}).data[0].id == old.id
    merchant.intent()
    assert len(listed(merchant, created={"gt": old.created}).data) == 1
    sandbox.advance(2 * 86400)
    assert len(listed(merchant).data) == 1
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.events.retrieve(old.id)
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


def test_undelivered_events_can_be_asked_for(merchant, receiver):
    merchant.intent()
    eventually(lambda: merchant.sandbox.deliveries()[0]["state"] == "delivered")
    receiver.status = 500
    merchant.v1.customers.create({})
    receiver.expect("payment_intent.created", "customer.created")
    assert [e.type for e in listed(merchant, delivery_success=False).data] == ["customer.created"]
    assert [e.type for e in listed(merchant, delivery_success=True).data] == ["payment_intent.created"]
    waiting = {event.type: event.pending_webhooks for event in listed(merchant).data}
    assert waiting == {"customer.created": 1, "payment_intent.created": 0}
