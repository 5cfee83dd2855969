"""PaymentIntents made, changed, read and listed, as the official SDK sees them."""

import pytest
import stripe

from sandbox_stripe import RETURN, fixture


def test_a_new_intent_waits_for_a_payment_method(merchant):
    intent = merchant.intent(metadata={"order": "A1"}, description="order A1")
    assert (intent.status, intent.amount, intent.currency) == ("requires_payment_method", 10000, "usd")
    assert intent.metadata["order"] == "A1"
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert intent.capture_method == "automatic_async"
    assert merchant.types() == ["payment_intent.created"]


def test_an_intent_with_a_payment_method_waits_for_confirmation(merchant):
    intent = merchant.intent(payment_method="pm_card_visa")
    assert intent.status == "requires_confirmation"
    assert merchant.v1.payment_intents.confirm(intent.id, {"return_url": RETURN}).status == "succeeded"


def test_an_intent_is_made_and_confirmed_in_one_call(merchant):
    intent = merchant.intent(confirm=True, payment_method="pm_card_visa", return_url=RETURN)
    assert intent.status == "succeeded"
    created, *later = merchant.types()
    assert created == "payment_intent.created"
    assert later == ["charge.succeeded", "payment_intent.succeeded"]
    assert merchant.events()[0]["data"]["object"]["status"] == "requires_payment_method"


def test_every_intent_has_the_shape_that_stripe_publishes(merchant):
    assert merchant.intent().to_dict().keys() == fixture("payment_intent").keys()


def test_an_intent_is_read_with_what_it_names_in_full(merchant):
    made = merchant.paid(1000)
    intent = merchant.v1.payment_intents.retrieve(
        made.id, {"expand": ["latest_charge.payment_intent", "payment_method"]}
    )
    assert intent.latest_charge.payment_intent.id == made.id
    assert intent.payment_method.card.last4 == "4242"
    assert isinstance(merchant.again(made).latest_charge, str)


def test_a_list_is_expanded_entry_by_entry(merchant):
    merchant.paid(1000)
    [listed] = merchant.v1.payment_intents.list({"expand": ["data.latest_charge"]}).data
    assert listed.latest_charge.amount == 1000


@pytest.mark.parametrize(
    "path",
    [
        "nonsense",
        "latest_charge.nonsense",
        "latest_charge.payment_intent.latest_charge.payment_intent.customer",
    ],
)
def test_what_cannot_be_expanded_is_an_error(merchant, path):
    made = merchant.paid(1000)
    with pytest.raises(stripe.InvalidRequestError, match="expand"):
        merchant.v1.payment_intents.retrieve(made.id, {"expand": [path]})


def test_an_unconfirmed_intent_can_change(merchant):
    made = merchant.intent(metadata={"a": "1", "b": "2"})
    customer = merchant.v1.customers.create({}).id
    changed = merchant.v1.payment_intents.update(
        made.id,
        {
            "amount": 2000,
            "currency": "eur",
            "metadata": {"a": "", "c": "3"},
            "description": "new",
            "customer": customer,
        },
    )
    assert changed.customer == customer
    assert (changed.amount, changed.currency, changed.description) == (2000, "eur", "new")
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}


def test_metadata_is_cleared_by_an_empty_string(merchant):
    made = merchant.intent(metadata={"a": "1"})
    assert merchant.v1.payment_intents.update(made.id, {"metadata": ""}).metadata.to_dict() == {}


def test_a_payment_method_given_later_makes_the_intent_ready_to_confirm(merchant):
    made = merchant.intent()
    changed = merchant.v1.payment_intents.update(made.id, {"payment_method": "pm_card_mastercard"})
    assert changed.status == "requires_confirmation"


def test_the_amount_of_a_paid_intent_is_settled_but_its_metadata_is_not(merchant):
    made = merchant.paid()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.payment_intents.update(made.id, {"amount": 1})
    assert refused.value.code == "payment_intent_unexpected_state"
    assert (
        merchant.v1.payment_intents.update(made.id, {"metadata": {"late": "yes"}}).metadata["late"] == "yes"
    )


def test_pages_go_from_the_newest_to_the_oldest(merchant):
    made = [merchant.intent().id for _ in range(5)]
    first = merchant.v1.payment_intents.list({"limit": 2})
    assert ([one.id for one in first.data], first.has_more) == (made[:2:-1], True)
    assert first.url == "/v1/payment_intents"
    assert [one.id for one in first.auto_paging_iter()] == made[::-1]


def test_pages_before_an_object_come_oldest_first_from_the_sdk(merchant):
    made = [merchant.intent().id for _ in range(5)]
    newer = merchant.v1.payment_intents.list({"limit": 2, "ending_before": made[0]})
    assert [one.id for one in newer.data] == [made[2], made[1]]
    assert [one.id for one in newer.auto_paging_iter()] == made[1:]


def test_intents_are_found_by_customer_and_time(merchant, sandbox):
    customer = merchant.v1.customers.create({"email": "a@b.example"})
    sandbox.advance(3600)
    mine = merchant.intent(customer=customer.id)
    sandbox.advance(3600)
    merchant.intent()
    assert [one.id for one in merchant.v1.payment_intents.list({"customer": customer.id})] == [mine.id]
    for span in (
        {"gte": mine.created, "lte": mine.created},
        {"gt": mine.created - 1, "lt": mine.created + 1},
    ):
        assert [one.id for one in merchant.v1.payment_intents.list({"created": span})] == [mine.id]
    assert [one.id for one in merchant.v1.payment_intents.list({"created": mine.created})] == [mine.id]


def test_two_cursors_or_an_unknown_one_are_errors(merchant):
    made = merchant.intent()
    with pytest.raises(stripe.InvalidRequestError, match="not both"):
        merchant.v1.payment_intents.list({"starting_after": made.id, "ending_before": made.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.payment_intents.list({"starting_after": "pi_nope"})
    assert (refused.value.code, refused.value.param) == ("resource_missing", "starting_after")


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (49, "usd", "amount_too_small"),
        (29, "gbp", "amount_too_small"),
        (49, "jpy", "amount_too_small"),
        (100_000_000, "usd", "amount_too_large"),
        (0, "usd", "parameter_invalid_integer"),
        (-5, "usd", "parameter_invalid_integer"),
        (1234, "kwd", None),  # thousandths end in 0
        (150, "isk", None),  # two decimals that are 00
        (1000, "zzz", None),
    ],
)
def test_an_amount_that_stripe_would_not_charge_is_refused(merchant, amount, currency, code):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.intent(amount, currency)
    assert refused.value.http_status == 400
    assert refused.value.code == code
    assert merchant.sandbox.truth()["stripe"]["payment_intents"] == []


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        (50, "usd"),
        (30, "gbp"),
        (50, "jpy"),
        (99_999_999, "usd"),
        (1230, "kwd"),
        (500, "isk"),
        (100, "ugx"),
        (1, "vnd"),
    ],
)
def test_the_least_and_the_most_of_a_currency_are_charged(merchant, amount, currency):
    assert merchant.paid(amount, currency=currency).amount_received == amount


def test_the_kinds_of_payment_methods_follow_the_currency(merchant):
    assert merchant.intent().payment_method_types == ["card", "us_bank_account"]
    assert merchant.intent(currency="eur").payment_method_types == ["card", "sepa_debit"]
    off = merchant.intent(automatic_payment_methods={"enabled": False})
    assert (off.payment_method_types, off.automatic_payment_methods) == (["card"], None)
    only = merchant.intent(payment_method_types=["card"])
    assert (only.payment_method_types, only.automatic_payment_methods) == (["card"], None)
    with pytest.raises(stripe.InvalidRequestError, match="not both"):
        merchant.intent(payment_method_types=["card"], automatic_payment_methods={"enabled": True})


@pytest.mark.parametrize("name", ["return_url", "off_session", "confirmation_token"])
def test_what_belongs_to_confirming_needs_confirm(merchant, name):
    value = {"return_url": RETURN, "off_session": True, "confirmation_token": "ctoken_x"}[name]
    with pytest.raises(stripe.InvalidRequestError, match="confirm=true") as refused:
        merchant.intent(**{name: value})
    assert refused.value.param == name


def test_an_unknown_customer_is_missed(merchant):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.intent(customer="cus_nope")
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


def test_money_is_held_to_the_same_account_of_itself_all_along(merchant):
    """amount, amount_capturable, amount_received and the charge's amounts agree at every step."""
    made = merchant.intent(5000, capture_method="manual")
    held = merchant.confirm(made)
    assert (held.amount_capturable, held.amount_received) == (5000, 0)
    done = merchant.v1.payment_intents.capture(made.id, {"amount_to_capture": 3000})
    assert (done.amount_capturable, done.amount_received) == (0, 3000)
    charge = merchant.charge(done)
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (5000, 3000, 0)
