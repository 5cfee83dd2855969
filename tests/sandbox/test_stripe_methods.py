"""Test cards and bank accounts, customers, and the refusal of anything real."""

import pytest
import stripe

from sandbox_stripe import fixture

CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}


def make(merchant, **card):
    return merchant.v1.payment_methods.create({"type": "card", "card": {**CARD, **card}})


# Number, brand, and what a charge on it comes to: a decline's (code, decline_code), or the intent's status.
CARDS = [
    ("4242424242424242", "visa", "succeeded"),
    ("4000056655665556", "visa", "succeeded"),
    ("4000003560000008", "visa", "succeeded"),
    ("5555555555554444", "mastercard", "succeeded"),
    ("5200828282828210", "mastercard", "succeeded"),
    ("378282246310005", "amex", "succeeded"),
    ("6011111111111117", "discover", "succeeded"),
    ("3056930009020004", "diners", "succeeded"),
    ("3566002020360505", "jcb", "succeeded"),
    ("6200000000000005", "unionpay", "succeeded"),
    ("4000000000000259", "visa", "succeeded"),
    ("4000000000001976", "visa", "succeeded"),
    ("4000000000000002", "visa", ("card_declined", "generic_decline")),
    ("4000000000009995", "visa", ("card_declined", "insufficient_funds")),
    ("4000000000009987", "visa", ("card_declined", "lost_card")),
    ("4000000000009979", "visa", ("card_declined", "stolen_card")),
    ("4100000000000019", "visa", ("card_declined", "fraudulent")),
    ("4000000000006975", "visa", ("card_declined", "card_velocity_exceeded")),
    ("4000000000000069", "visa", ("expired_card", "expired_card")),
    ("4000000000000127", "visa", ("incorrect_cvc", "incorrect_cvc")),
    ("4000000000000119", "visa", ("processing_error", "processing_error")),
    ("4000000000000341", "visa", ("card_declined", "generic_decline")),
    ("4000000000003220", "visa", "requires_action"),
    ("4000002760003184", "visa", "requires_action"),
    ("4000002500003155", "visa", "requires_action"),
    ("4000008260003178", "visa", "requires_action"),
    ("4000008400001629", "visa", "requires_action"),
    ("4000000000000077", "visa", "succeeded"),
    ("4000000000007726", "visa", "succeeded"),
    ("4000000000005126", "visa", "succeeded"),
]


@pytest.mark.parametrize(("number", "brand", "outcome"), CARDS)
def test_every_test_card_has_its_brand_and_its_outcome(merchant, number, brand, outcome):
    method = make(merchant, number=number, cvc="1234" if brand == "amex" else "123")
    assert (method.card.brand, method.card.last4) == (brand, number[-4:])
    intent = merchant.intent()
    if isinstance(outcome, str):
        assert merchant.confirm(intent, method.id).status == outcome
        return
    with pytest.raises(stripe.CardError) as declined:
        merchant.confirm(intent, method.id)
    assert (declined.value.code, declined.value.json_body["error"]["decline_code"]) == outcome


@pytest.mark.parametrize(
    ("token", "last4"),
    [
        ("pm_card_visa", "4242"),
        ("pm_card_mastercard", "4444"),
        ("pm_card_chargeDeclined", "0002"),
        ("pm_card_visa_chargeDeclined", "0002"),
        ("pm_card_chargeCustomerFail", "0341"),
        ("pm_card_authenticationRequired", "3184"),
        ("pm_card_bypassPending", "0077"),
        ("pm_usBankAccount_success", "6789"),
    ],
)
def test_a_token_stands_for_a_new_payment_method_each_time(merchant, token, last4):
    method, another = merchant.v1.payment_methods.retrieve(token), merchant.v1.payment_methods.retrieve(token)
    assert method[method.type].last4 == last4
    assert method.id.startswith("pm_1")
    assert method.id != another.id
    assert merchant.v1.payment_methods.retrieve(method.id).id == method.id


def test_a_card_token_makes_a_payment_method(merchant):
    method = merchant.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    assert method.card.last4 == "4242"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.payment_methods.create({"type": "card", "card": {"token": "tok_nope"}})
    assert refused.value.code == "resource_missing"


def test_the_same_card_has_the_same_fingerprint(merchant):
    one, same, other = make(merchant), make(merchant), make(merchant, number="5555555555554444")
    assert one.card.fingerprint == same.card.fingerprint != other.card.fingerprint


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ({"number": "4242424242424241"}, "incorrect_number"),
        ({"number": "42"}, "invalid_number"),
        ({"number": "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"}, "invalid_number"),
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_month": "²"}, "invalid_expiry_month"),
        ({"exp_year": 2020}, "invalid_expiry_year"),
        ({"exp_year": "twenty"}, "invalid_expiry_year"),
        ({"exp_year": 2300}, "invalid_expiry_year"),
        ({"cvc": "12"}, "invalid_cvc"),
        ({"number": "378282246310005"}, "invalid_cvc"),  # American Express has four digits
    ],
)
def test_a_card_that_cannot_be_right_is_refused(merchant, card, code):
    with pytest.raises(stripe.CardError) as refused:
        make(merchant, **card)
    assert (refused.value.http_status, refused.value.code) == (402, code)


def test_a_real_card_is_never_taken(merchant):
    with pytest.raises(stripe.CardError, match="no real card") as refused:
        make(merchant, number="4111111111111111")
    assert refused.value.json_body["error"]["decline_code"] == "test_mode_live_card"
    assert "4111" not in str(merchant.sandbox.truth())


def test_the_truth_holds_no_card_number(merchant):
    make(merchant)
    assert CARD["number"] not in str(merchant.sandbox.truth())


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("us_bank_account", {"account_number": "000999999999"}),
        ("sepa_debit", {"iban": "DE89370400440532013000"}),
    ],
)
def test_a_real_bank_account_is_never_taken(merchant, kind, facts):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.payment_methods.create({"type": kind, kind: facts})
    assert refused.value.code == "payment_method_invalid_parameter_testmode"


@pytest.mark.parametrize(
    "params", [{}, {"type": "card"}, {"type": "card", "card": {"number": "4242424242424242"}}]
)
def test_a_payment_method_needs_its_facts(merchant, params):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.payment_methods.create(params)
    assert refused.value.code == "parameter_missing"


def test_billing_details_are_kept(merchant):
    method = merchant.v1.payment_methods.create(
        {
            "type": "card",
            "card": CARD,
            "billing_details": {"name": "Jenny Rosen", "address": {"country": "DE"}},
        }
    )
    assert (method.billing_details.name, method.billing_details.address.country) == ("Jenny Rosen", "DE")


def test_a_customer_keeps_a_card_unless_its_bank_declines(merchant):
    customer = merchant.v1.customers.create({"email": "a@b.example", "name": "A"}).id
    kept = merchant.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    assert merchant.v1.payment_methods.retrieve(kept.id, {"expand": ["customer"]}).customer.id == customer
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.payment_methods.attach(kept.id, {"customer": customer})
    assert refused.value.code == "payment_method_unexpected_state"
    with pytest.raises(stripe.CardError):
        merchant.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer})
    bad = merchant.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer})
    with pytest.raises(stripe.CardError):
        merchant.confirm(merchant.intent(customer=customer), bad.id)


def test_customers_are_made_read_and_found(merchant):
    one = merchant.v1.customers.create({"email": "a@b.example", "metadata": {"ours": "1"}})
    other = merchant.v1.customers.create({"email": "c@d.example"})
    assert merchant.v1.customers.retrieve(one.id).metadata["ours"] == "1"
    assert [c.id for c in merchant.v1.customers.list({"email": "c@d.example"}).data] == [other.id]
    assert len(merchant.v1.customers.list().data) == 2


def test_methods_and_customers_have_the_shapes_that_stripe_publishes(merchant):
    method, expected = make(merchant).to_dict(), fixture("payment_method")
    assert method.keys() == expected.keys()
    assert method["card"].keys() == expected["card"].keys()
    assert merchant.v1.customers.create({}).to_dict().keys() == fixture("customer").keys()
