"""What the sandbox answers has the shape of Stripe's published fixtures; its events have the order of real ones."""

import json

import pytest
import stripe

from sandbox_stripe import DATA, fixture

# The fixture shows what a charge has when everything is expanded; current versions embed no refund list.
EXPANDED_ONLY = {"charge": {"refunds"}}


@pytest.fixture
def life(merchant, sandbox):
    """One payment with everything that can happen to it: the events, oldest first."""
    paid = merchant.paid(method="pm_card_authenticationRequired")
    merchant.authenticate(paid)
    sandbox.advance(2)
    merchant.v1.refunds.create({"payment_intent": paid.id, "amount": 2500})
    sandbox.advance(3601)
    told = merchant.events()
    sandbox.control("POST", "stripe/dispute", {"payment_intent": paid.id})
    return told


def keys(value, depth):
    """The key sets of an object and of the objects in it, to a depth."""
    if not isinstance(value, dict) or depth == 0:
        return None
    return {key: keys(inner, depth - 1) for key, inner in sorted(value.items())}


@pytest.mark.parametrize("kind", ["payment_intent", "charge", "refund", "balance_transaction", "dispute"])
def test_objects_have_the_keys_of_the_fixtures(life, sandbox, kind):
    expected = fixture(kind).keys() - EXPANDED_ONLY.get(kind, set())
    for one in sandbox.truth()["stripe"][f"{kind}s"]:
        assert one.keys() == expected


def test_a_declined_charge_has_the_keys_of_one_that_succeeded(merchant):
    with pytest.raises(stripe.CardError):
        merchant.paid(method="pm_card_chargeDeclined")
    [charge] = merchant.sandbox.truth()["stripe"]["charges"]
    assert charge.keys() == fixture("charge").keys() - {"refunds"}
    assert charge["outcome"].keys() == fixture("charge")["outcome"].keys() | {"risk_level", "risk_score"}


def test_card_details_have_the_keys_of_the_fixture(life, sandbox):
    [charge] = sandbox.truth()["stripe"]["charges"]
    details = charge["payment_method_details"]
    assert details["card"].keys() == fixture("charge")["payment_method_details"]["card"].keys()
    assert charge["billing_details"].keys() == fixture("charge")["billing_details"].keys()


def test_events_have_the_keys_of_the_fixture(life, sandbox):
    for event in life:
        assert event.keys() == fixture("event").keys()
        assert event["request"].keys() == fixture("event")["request"].keys()
        assert event["api_version"] == "2026-10-28.endive"
        assert event["data"]["object"]["object"] in event["type"].replace("charge.refund.", "refund.")


def test_the_life_of_a_payment_is_told_in_the_order_of_the_scenario(life):
    names = [path.stem.partition("_") for path in sorted((DATA / "events_scenario").glob("[0-9]*.json"))]
    scenario = [name for number, _, name in names if int(number) <= 9]
    assert [event["type"] for event in life] == scenario


@pytest.mark.parametrize(
    "name", ["01_payment_intent.created", "03_charge.succeeded", "05_charge.updated", "06_refund.created"]
)
def test_the_events_carry_what_the_scenario_carries(life, name):
    expected = json.loads((DATA / "events_scenario" / f"{name}.json").read_text())
    [event] = [event for event in life if event["type"] == expected["type"]]
    kind = expected["data"]["object"]["object"]
    assert event["data"].keys() == expected["data"].keys()
    assert event["data"].get("previous_attributes") == expected["data"].get("previous_attributes")
    assert event["data"]["object"].keys() == expected["data"]["object"].keys() - EXPANDED_ONLY.get(
        kind, set()
    )


def test_what_the_customer_causes_names_no_request(life):
    requests = {event["type"]: event["request"]["id"] for event in life}
    assert requests["payment_intent.created"].startswith("req_")
    assert requests["payment_intent.requires_action"].startswith("req_")
    assert requests["payment_intent.succeeded"] is None
    assert requests["refund.created"].startswith("req_")


def test_a_failed_payment_tells_its_error_as_the_scenario_does(merchant):
    with pytest.raises(stripe.CardError):
        merchant.paid(method="pm_card_chargeDeclinedInsufficientFunds")
    expected = json.loads((DATA / "events_scenario" / "x1_payment_intent.payment_failed.json").read_text())
    error = merchant.events()[-1]["data"]["object"]["last_payment_error"]
    said = expected["data"]["object"]["last_payment_error"]
    # The scenario leaves out the method; the fixture's network_advice_code is null.
    assert error.keys() - {"payment_method"} == said.keys() - {"network_advice_code"}
    for name in ("type", "code", "decline_code", "advice_code", "network_decline_code", "doc_url"):
        assert error[name] == said[name]


def test_an_endpoint_has_the_shape_of_the_fixture_and_shows_its_secret_once(merchant):
    made = merchant.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/x", "enabled_events": ["*"]})
    assert made.to_dict().keys() == fixture("webhook_endpoint").keys() | {"secret"}
    assert made.secret.startswith("whsec_")
    assert (
        merchant.v1.webhook_endpoints.retrieve(made.id).to_dict().keys() == fixture("webhook_endpoint").keys()
    )
