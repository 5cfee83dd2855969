"""Keys, parameters, hostile input: always Stripe's own error shape, never a 500."""

import base64

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_stripe import Merchant


def test_bearer_and_basic_are_accepted(merchant):
    secret = merchant.sandbox.config.stripe_secret_key
    basic = base64.b64encode(f"{secret}:".encode()).decode()
    for given_ in (f"Bearer {secret}", f"bearer {secret}", f"Basic {basic}"):
        assert merchant.call("GET", "/v1/events", authorization=given_).status == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer sk_test_counterfoil_of_another", "Basic !!!", "Basic //8=", "Digest x", "Bearer"],
)
def test_a_wrong_key_is_a_401_that_does_not_show_it(merchant, authorization):
    answer = merchant.call("GET", "/v1/events", key="", authorization=authorization)
    assert (answer.status, answer.error["type"]) == (401, "invalid_request_error")
    assert "of_another" not in answer.error["message"]


def test_the_sdk_knows_a_wrong_key(sandbox):
    client = stripe.StripeClient("sk_test_counterfoil_wrong", base_addresses={"api": sandbox.stripe})
    with pytest.raises(stripe.AuthenticationError):
        client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/payment_intents"),
        ("GET", "/v1/events"),
        ("POST", "/v1/refunds"),
        ("POST", "/v1/payment_intents/pi_1/confirm"),
        ("POST", "/v1/test_helpers/confirmation_tokens"),
    ],
)
def test_the_browsers_key_does_nothing_that_is_the_servers(merchant, method, path):
    answer = merchant.call(method, path, key=merchant.sandbox.config.stripe_publishable_key)
    assert (answer.status, answer.error["code"]) == (403, "secret_key_required")


def test_a_browser_sees_an_intent_only_with_its_client_secret(merchant):
    made = merchant.intent(metadata={"ours": "alone"})
    key = merchant.sandbox.config.stripe_publishable_key
    path = f"/v1/payment_intents/{made.id}"
    assert merchant.call("GET", path, key=key).error["code"] == "parameter_missing"
    assert merchant.call("GET", f"{path}?client_secret=x", key=key).status == 400
    seen = merchant.call("GET", f"{path}?client_secret={made.client_secret}", key=key).json
    assert seen["status"] == "requires_payment_method"
    assert "metadata" not in seen


def test_a_browser_cannot_make_a_token_of_a_saved_card(merchant):
    key = merchant.sandbox.config.stripe_publishable_key
    answer = merchant.call("POST", "/v1/confirmation_tokens", "payment_method=pm_card_visa", key=key)
    assert answer.error["code"] == "parameter_missing"


def test_every_answer_names_its_request_and_the_version(merchant):
    made, wrong = merchant.call("GET", "/v1/events"), merchant.call("GET", "/v1/events/evt_nope")
    assert made.headers["request-id"] != wrong.headers["request-id"]
    assert made.headers["stripe-version"] == "2026-10-28.endive"
    asked = merchant.call("GET", "/v1/events", stripe_version="2024-04-10")
    assert asked.headers["stripe-version"] == "2024-04-10"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("payment_intents/pi_nope", "payment_intent"),
        ("charges/ch_nope", "charge"),
        ("refunds/re_nope", "refund"),
        ("events/evt_nope", "event"),
        ("customers/cus_nope", "customer"),
        ("payment_methods/pm_nope", "payment_method"),
        ("webhook_endpoints/we_nope", "webhook_endpoint"),
        ("balance_transactions/txn_nope", "balance_transaction"),
        ("confirmation_tokens/ctoken_nope", "confirmation_token"),
    ],
)
def test_what_does_not_exist_is_a_404(merchant, path, kind):
    answer = merchant.call("GET", f"/v1/{path}")
    assert (answer.status, answer.error["code"]) == (404, "resource_missing")
    assert answer.error["message"].startswith(f"No such {kind}")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nonsense"), ("DELETE", "/v1/payment_intents/pi_1"), ("POST", "/v1/charges"), ("GET", "/")],
)
def test_what_is_no_endpoint_is_a_404_in_the_shape_of_an_error(merchant, method, path):
    answer = merchant.call(method, path)
    assert (answer.status, answer.error["type"]) == (404, "invalid_request_error")
    assert answer.error["message"].startswith("Unrecognized request URL")


def test_an_id_of_another_kind_does_not_exist(merchant):
    made = merchant.intent()
    assert merchant.call("GET", f"/v1/charges/{made.id}").status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/payment_intents"),
        ("POST", "/v1/payment_methods"),
        ("POST", "/v1/customers"),
        ("POST", "/v1/refunds"),
        ("POST", "/v1/webhook_endpoints"),
        ("POST", "/v1/test_helpers/confirmation_tokens"),
        ("POST", "/v1/payment_intents/pi_1"),
        ("POST", "/v1/payment_intents/pi_1/confirm"),
        ("POST", "/v1/payment_intents/pi_1/capture"),
        ("POST", "/v1/payment_intents/pi_1/cancel"),
        ("POST", "/v1/payment_methods/pm_1/attach"),
        ("GET", "/v1/events"),
        ("GET", "/v1/payment_intents"),
    ],
)
def test_an_unknown_parameter_is_an_error_everywhere(merchant, method, path):
    body, query = ("nonsense=1", "") if method == "POST" else (None, "?nonsense=1")
    answer = merchant.call(method, path + query, body)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (
        400,
        "parameter_unknown",
        "nonsense",
    )


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ("currency=usd", "parameter_missing", "amount"),
        ("amount=x&currency=usd", "parameter_invalid_integer", "amount"),
        ("amount=1.5&currency=usd", "parameter_invalid_integer", "amount"),
        (f"amount={'9' * 4000}&currency=usd", "parameter_invalid_integer", "amount"),
        ("amount=&currency=usd", "parameter_invalid_empty", "amount"),
        ("amount[a]=1&currency=usd", None, "amount"),
        ("amount=1000&currency=usd&confirm=yes", None, "confirm"),
        ("amount=1000&currency=usd&capture_method=later", None, "capture_method"),
        ("amount=1000&currency=usd&shipping[nonsense]=1", "parameter_unknown", "shipping[nonsense]"),
        ("amount=1000&currency=usd&shipping[phone]=1", "parameter_missing", "shipping[name]"),
        ("amount=1000&currency=usd&shipping=x", None, "shipping"),
        ("amount=1000&currency=usd&metadata=x", None, "metadata"),
        ("amount=1000&currency=usd&metadata[k][l]=x", None, "metadata"),
        (f"amount=1000&currency=usd&metadata[k]={'x' * 501}", None, "metadata"),
        (f"amount=1000&currency=usd&description={'x' * 5001}", None, "description"),
        ("amount=1000&currency=usd&payment_method_types=card", None, "payment_method_types"),
        ("amount=1000&currency=usd&payment_method_types[x]=card", None, "payment_method_types"),
        ("amount=1000&currency=usd&confirm=true&return_url=javascript:x", "url_invalid", "return_url"),
        ("amount=1000&currency=usd&confirm=true&return_url=http://[", "url_invalid", "return_url"),
        ("a[=1&amount=1000&currency=usd", None, "a["),
        ("a[b]=1&a=2", None, "a"),
        ("a=2&a[b]=1", None, "a[b]"),
        ("a" + "[b]" * 9 + "=1", None, "a"),
        ("amount=1000&currency=%ff%fe", None, None),
        ("&".join(f"x{n}=1" for n in range(1001)), None, None),
    ],
)
def test_a_wrong_parameter_is_named(merchant, body, code, param):
    answer = merchant.call("POST", "/v1/payment_intents", body)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert (answer.error.get("code"), answer.error.get("param")) == (code, param)


def test_too_much_metadata_is_refused_at_once_and_by_growth(merchant):
    many = {f"k{n}": "v" for n in range(50)}
    made = merchant.intent(metadata=many)
    with pytest.raises(stripe.InvalidRequestError, match="50"):
        merchant.v1.payment_intents.update(made.id, {"metadata": {"one": "more"}})
    with pytest.raises(stripe.InvalidRequestError, match="50"):
        merchant.intent(metadata={**many, "one": "more"})


def test_lists_are_written_in_both_bracket_styles(merchant):
    for style in (
        "payment_method_types[]=card",
        "payment_method_types[0]=card",
        "payment_method_types%5B0%5D=card",
    ):
        answer = merchant.call("POST", "/v1/payment_intents", f"amount=1000&currency=usd&{style}")
        assert answer.json["payment_method_types"] == ["card"]


def test_a_body_of_another_kind_is_refused(merchant):
    answer = merchant.call("POST", "/v1/payment_intents", b'{"amount":1000}', content_type="application/json")
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


def test_a_huge_body_is_refused_in_the_shape_of_an_error(merchant):
    answer = merchant.call("POST", "/v1/payment_intents", b"x=" + b"y" * 1_100_000)
    assert (answer.status, answer.error["type"]) == (413, "invalid_request_error")


@pytest.mark.parametrize("limit", ["0", "101", "x", "-1"])
def test_a_page_has_1_to_100_entries(merchant, limit):
    assert merchant.call("GET", f"/v1/events?limit={limit}").error["param"] == "limit"


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=200), path=st.sampled_from(["", "/pi_1", "/pi_1/confirm", "/pi_1/capture"]))
def test_hostile_bytes_never_break_stripe(running_sandbox, body, path):
    merchant = Merchant(running_sandbox)
    answer = merchant.call("POST", f"/v1/payment_intents{path}", body, idempotency_key="hostile")
    assert answer.status in {400, 404}
    assert answer.error["type"] in {"invalid_request_error", "idempotency_error"}


@settings(max_examples=60, deadline=None)
@given(
    number=st.text(min_size=1, max_size=20),
    month=st.text(min_size=1, max_size=6),
    year=st.text(min_size=1, max_size=6),
)
def test_hostile_cards_never_break_stripe(running_sandbox, number, month, year):
    merchant = Merchant(running_sandbox)
    card = {"number": number, "exp_month": month, "exp_year": year}
    with pytest.raises((stripe.CardError, stripe.InvalidRequestError)):
        merchant.v1.payment_methods.create({"type": "card", "card": card})
