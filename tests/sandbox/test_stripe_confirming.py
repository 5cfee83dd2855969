"""Confirming: paid, declined, asked for 3D Secure, captured, cancelled, expired."""

import pytest
import stripe

from sandbox_server import ControlError, eventually
from sandbox_stripe import RETURN

DAY = 86400


def test_a_payment_that_succeeds_leaves_its_charge_and_its_events(merchant):
    intent = merchant.paid(metadata={"order": "A1"})
    assert (intent.status, intent.amount_received) == ("succeeded", 10000)
    charge = merchant.charge(intent)
    assert (charge.status, charge.paid, charge.captured, charge.amount_captured) == (
        "succeeded",
        True,
        True,
        10000,
    )
    assert (charge.payment_intent, charge.metadata["order"]) == (intent.id, "A1")
    assert merchant.types() == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


def test_the_balance_transaction_comes_later_with_charge_updated(merchant):
    charge = merchant.charge(merchant.paid(10000))
    assert charge.balance_transaction is None
    eventually(lambda: "charge.updated" in merchant.types())
    charge = merchant.v1.charges.retrieve(charge.id, {"expand": ["balance_transaction"]})
    row = charge.balance_transaction
    assert (row.amount, row.fee, row.net, row.source) == (10000, 320, 9680, charge.id)
    event = merchant.events()[-1]
    assert event["data"]["previous_attributes"] == {"balance_transaction": None}
    assert event["request"] == {"id": None, "idempotency_key": None}


def test_a_synchronous_capture_knows_its_balance_transaction_at_once(merchant):
    charge = merchant.charge(merchant.paid(capture_method="automatic"))
    row = merchant.v1.balance_transactions.retrieve(charge.balance_transaction, {"expand": ["source"]})
    assert (row.reporting_category, row.status, row.source.id) == ("charge", "pending", charge.id)


def test_money_becomes_available_after_two_days_or_at_once(merchant, sandbox):
    slow = merchant.charge(merchant.paid(capture_method="automatic")).balance_transaction
    quick = merchant.charge(merchant.paid(method="pm_card_bypassPending", capture_method="automatic"))
    assert merchant.v1.balance_transactions.retrieve(quick.balance_transaction).status == "available"
    sandbox.advance(2 * DAY)
    assert merchant.v1.balance_transactions.retrieve(slow).status == "available"


def test_a_decline_is_a_402_and_the_intent_waits_for_another_card(merchant):
    made = merchant.intent()
    with pytest.raises(stripe.CardError) as declined:
        merchant.confirm(made, "pm_card_chargeDeclinedInsufficientFunds")
    error = declined.value.json_body["error"]
    assert declined.value.http_status == 402
    assert (error["type"], error["code"], error["decline_code"]) == (
        "card_error",
        "card_declined",
        "insufficient_funds",
    )
    assert (error["advice_code"], error["network_decline_code"]) == ("try_again_later", "51")
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert error["payment_method"]["card"]["last4"] == "9995"
    intent = merchant.again(made)
    assert intent.payment_method is None
    assert intent.last_payment_error.decline_code == "insufficient_funds"
    assert intent.latest_charge == error["charge"]
    charge = merchant.charge(intent)
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, "card_declined")
    assert charge.outcome.reason == "insufficient_funds"
    assert merchant.types() == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


def test_after_a_decline_another_card_pays_the_same_intent(merchant):
    made = merchant.intent()
    with pytest.raises(stripe.CardError):
        merchant.confirm(made, "pm_card_chargeDeclined")
    paid = merchant.confirm(made)
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    charges = merchant.v1.charges.list({"payment_intent": made.id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]


def test_a_decline_at_creation_leaves_the_intent(merchant):
    with pytest.raises(stripe.CardError) as declined:
        merchant.intent(confirm=True, payment_method="pm_card_chargeDeclined", return_url=RETURN)
    [intent] = merchant.sandbox.truth()["stripe"]["payment_intents"]
    assert intent["id"] == declined.value.json_body["error"]["payment_intent"]["id"]


def test_confirming_without_a_payment_method_is_refused(merchant):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.payment_intents.confirm(merchant.intent().id, {"return_url": RETURN})
    assert refused.value.code == "payment_intent_unexpected_state"


def test_a_paid_intent_cannot_be_confirmed_again(merchant):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.confirm(merchant.paid())
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.json_body["error"]["payment_intent"]["status"] == "succeeded"
    assert merchant.types().count("charge.succeeded") == 1


def test_an_intent_that_may_redirect_needs_a_return_url(merchant):
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        merchant.v1.payment_intents.confirm(merchant.intent().id, {"payment_method": "pm_card_visa"})
    never = merchant.intent(automatic_payment_methods={"enabled": True, "allow_redirects": "never"})
    assert (
        merchant.v1.payment_intents.confirm(never.id, {"payment_method": "pm_card_visa"}).status
        == "succeeded"
    )


def test_3d_secure_sends_the_customer_away_and_then_succeeds(merchant, sandbox):
    intent = merchant.paid(method="pm_card_authenticationRequired")
    assert (intent.status, intent.latest_charge) == ("requires_action", None)
    action = intent.next_action.redirect_to_url
    assert (action.url, action.return_url) == (f"{sandbox.stripe}/3ds/{intent.id}", RETURN)
    assert merchant.authenticate(intent) == "succeeded"
    assert merchant.again(intent).next_action is None
    assert merchant.types()[1:] == [
        "payment_intent.requires_action",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_a_failed_authentication_leaves_no_charge(merchant):
    intent = merchant.paid(method="pm_card_authenticationRequired")
    assert merchant.authenticate(intent, "fail") == "requires_payment_method"
    intent = merchant.again(intent)
    assert intent.last_payment_error.code == "payment_intent_authentication_failure"
    assert intent.latest_charge is None
    assert merchant.types()[-1] == "payment_intent.payment_failed"


def test_a_bank_may_decline_after_the_customer_authenticated(merchant):
    intent = merchant.paid(method="pm_card_authenticationRequiredChargeDeclinedInsufficientFunds")
    assert intent.status == "requires_action"
    assert merchant.authenticate(intent) == "requires_payment_method"
    assert merchant.again(intent).last_payment_error.decline_code == "insufficient_funds"
    assert merchant.types()[-2:] == ["charge.failed", "payment_intent.payment_failed"]


@pytest.mark.parametrize("name", ["off_session", "error_on_requires_action"])
def test_with_the_customer_away_3d_secure_is_a_decline(merchant, name):
    made = merchant.intent()
    with pytest.raises(stripe.CardError) as declined:
        merchant.confirm(made, "pm_card_authenticationRequired", **{name: True})
    assert declined.value.code == "authentication_required"
    assert merchant.again(made).status == "requires_payment_method"


def test_nobody_can_authenticate_what_asks_for_nothing(merchant, sandbox):
    paid = merchant.paid()
    with pytest.raises(ControlError, match="succeeded"):
        merchant.authenticate(paid)
    waiting = merchant.paid(method="pm_card_authenticationRequired")
    with pytest.raises(ControlError, match="succeed or fail"):
        merchant.authenticate(waiting, "maybe")
    with pytest.raises(ControlError, match="no payment intent"):
        sandbox.control("POST", "stripe/authenticate", {"payment_intent": "pi_x", "outcome": "fail"})


def test_without_a_return_url_the_next_action_is_for_stripe_js(merchant, sandbox):
    made = merchant.intent(payment_method_types=["card"])
    intent = merchant.v1.payment_intents.confirm(
        made.id, {"payment_method": "pm_card_authenticationRequired"}
    )
    assert intent.next_action.type == "use_stripe_sdk"
    assert intent.next_action.use_stripe_sdk["stripe_js"] == f"{sandbox.stripe}/3ds/{intent.id}"


def test_a_saved_card_pays_again_with_the_customer_away(merchant):
    customer = merchant.v1.customers.create({}).id
    first = merchant.intent(customer=customer, setup_future_usage="off_session")
    first = merchant.confirm(first, "pm_card_authenticationRequiredOnSetup")
    assert merchant.authenticate(first) == "succeeded"
    card = merchant.again(first).payment_method
    later = merchant.intent(customer=customer)
    assert merchant.confirm(later, card, off_session=True).status == "succeeded"


def test_a_card_that_nobody_kept_pays_once(merchant):
    first = merchant.paid()
    with pytest.raises(stripe.InvalidRequestError, match="used before"):
        merchant.confirm(merchant.intent(), str(first.payment_method))


def test_a_customers_card_pays_only_for_that_customer(merchant):
    customer = merchant.v1.customers.create({}).id
    card = merchant.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    with pytest.raises(stripe.InvalidRequestError, match="belongs to a customer"):
        merchant.confirm(merchant.intent(), card.id)
    assert merchant.confirm(merchant.intent(customer=customer), card.id).status == "succeeded"


def test_a_manual_payment_is_held_and_then_captured_whole(merchant):
    held = merchant.paid(capture_method="manual")
    assert (held.status, held.amount_capturable) == ("requires_capture", 10000)
    assert merchant.charge(held).captured is False
    done = merchant.v1.payment_intents.capture(held.id)
    assert (done.status, done.amount_received) == ("succeeded", 10000)
    assert merchant.charge(held).balance_transaction is not None
    assert merchant.types()[1:] == [
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]


def test_a_part_is_captured_and_the_rest_released(merchant):
    held = merchant.paid(capture_method="manual")
    done = merchant.v1.payment_intents.capture(
        held.id, {"amount_to_capture": 4000, "metadata": {"part": "1"}}
    )
    assert (done.amount_received, done.amount_capturable, done.metadata["part"]) == (4000, 0, "1")
    charge = merchant.charge(held, "balance_transaction")
    assert (charge.amount_captured, charge.balance_transaction.amount) == (4000, 4000)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"amount_to_capture": 10001}, "amount_too_large"),
        ({"amount_to_capture": 0}, "parameter_invalid_integer"),
        ({"final_capture": False}, None),
    ],
)
def test_a_capture_that_cannot_be_is_refused(merchant, params, code):
    held = merchant.paid(capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.payment_intents.capture(held.id, params)
    assert refused.value.code == code
    assert merchant.again(held).status == "requires_capture"


def test_only_a_held_payment_is_captured(merchant):
    for intent in (merchant.intent(), merchant.paid()):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            merchant.v1.payment_intents.capture(intent.id)
        assert refused.value.code == "payment_intent_unexpected_state"


def test_cancelling_a_held_payment_releases_it(merchant):
    held = merchant.paid(capture_method="manual")
    gone = merchant.v1.payment_intents.cancel(held.id, {"cancellation_reason": "requested_by_customer"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "requested_by_customer")
    assert gone.canceled_at is not None
    charge = merchant.charge(held)
    assert (charge.captured, charge.refunded, charge.amount_captured) == (False, True, 0)
    assert merchant.types()[-2:] == ["charge.refunded", "payment_intent.canceled"]


def test_an_open_intent_is_cancelled_and_a_finished_one_is_not(merchant):
    waiting = merchant.paid(method="pm_card_authenticationRequired")
    assert merchant.v1.payment_intents.cancel(waiting.id).next_action is None
    for intent in (waiting, merchant.paid()):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            merchant.v1.payment_intents.cancel(intent.id)
        assert refused.value.code == "payment_intent_unexpected_state"


def test_a_cancelled_intent_cannot_be_confirmed(merchant):
    made = merchant.intent()
    merchant.v1.payment_intents.cancel(made.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.confirm(made)
    assert refused.value.code == "payment_intent_unexpected_state"


def test_what_is_not_captured_within_seven_days_is_released(merchant, sandbox):
    held = merchant.paid(capture_method="manual")
    sandbox.advance(7 * DAY - 60)
    assert merchant.again(held).status == "requires_capture"
    sandbox.advance(61)
    gone = merchant.again(held)
    assert (gone.status, gone.cancellation_reason) == ("canceled", "automatic")
    assert merchant.types()[-2:] == ["charge.expired", "payment_intent.canceled"]
    assert merchant.charge(held).captured is False


def test_a_captured_payment_does_not_expire(merchant, sandbox):
    held = merchant.paid(capture_method="manual")
    merchant.v1.payment_intents.capture(held.id)
    sandbox.advance(8 * DAY)
    assert merchant.again(held).status == "succeeded"


@pytest.mark.parametrize(("method", "currency"), [("pm_usBankAccount_success", "usd"), ("sepa", "eur")])
def test_a_bank_debit_is_processing_and_succeeds_later(merchant, sandbox, method, currency):
    if method == "sepa":
        iban = {"iban": "AT611904300234573201"}
        method = merchant.v1.payment_methods.create({"type": "sepa_debit", "sepa_debit": iban}).id
    made = merchant.paid(currency=currency, method=method)
    assert made.status == "processing"
    assert merchant.charge(made).status == "pending"
    with pytest.raises(stripe.InvalidRequestError):
        merchant.v1.payment_intents.cancel(made.id)
    sandbox.advance(5)
    assert (merchant.again(made).status, merchant.charge(made).status) == ("succeeded", "succeeded")
    assert merchant.charge(made).id.startswith("py_")
    assert merchant.types()[1:] == [
        "charge.pending",
        "payment_intent.processing",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_a_slow_bank_debit_takes_three_minutes(merchant, sandbox):
    made = merchant.paid(method="pm_usBankAccount_processing")
    sandbox.advance(170)
    assert merchant.again(made).status == "processing"
    sandbox.advance(11)
    assert merchant.again(made).status == "succeeded"


def test_a_bank_debit_may_fail_later(merchant, sandbox):
    made = merchant.paid(method="pm_usBankAccount_accountClosed")
    sandbox.advance(6)
    failed = merchant.again(made)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error.decline_code == "account_closed"
    charge = merchant.charge(made)
    assert (charge.status, charge.failure_code, charge.amount_captured) == ("failed", "account_closed", 0)
    assert merchant.types()[-2:] == ["charge.failed", "payment_intent.payment_failed"]


def test_a_payment_method_must_be_of_a_kind_the_intent_takes(merchant):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.confirm(merchant.intent(currency="eur"), "pm_usBankAccount_success")
    assert refused.value.code == "payment_intent_incompatible_payment_method"
    with pytest.raises(stripe.InvalidRequestError, match="manual capture"):
        merchant.confirm(merchant.intent(capture_method="manual"), "pm_usBankAccount_success")


def test_a_confirmation_token_pays_once(merchant):
    token = merchant.v1.test_helpers.confirmation_tokens.create(
        {"payment_method": "pm_card_visa", "return_url": RETURN, "setup_future_usage": "off_session"}
    )
    assert token.payment_method_preview.card.last4 == "4242"
    made = merchant.intent()
    paid = merchant.v1.payment_intents.confirm(made.id, {"confirmation_token": token.id})
    assert (paid.status, paid.setup_future_usage) == ("succeeded", "off_session")
    assert merchant.v1.confirmation_tokens.retrieve(token.id).payment_intent == made.id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.v1.payment_intents.confirm(
            merchant.intent().id, {"confirmation_token": token.id, "return_url": RETURN}
        )
    assert refused.value.code == "token_already_used"


def test_a_confirmation_token_lives_half_a_day(merchant, sandbox):
    data = {"type": "card", "card": {"number": "4242424242424242", "exp_month": "4", "exp_year": "2034"}}
    token = merchant.v1.test_helpers.confirmation_tokens.create({"payment_method_data": data})
    sandbox.advance(12 * 3600)
    with pytest.raises(stripe.InvalidRequestError, match="expired"):
        merchant.v1.payment_intents.confirm(
            merchant.intent().id, {"confirmation_token": token.id, "return_url": RETURN}
        )


def test_a_card_may_come_with_the_confirmation_itself(merchant):
    data = {"type": "card", "card": {"token": "tok_visa"}}
    made = merchant.v1.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method_data": data}
    )
    assert made.status == "requires_confirmation"
    paid = merchant.v1.payment_intents.confirm(
        made.id, {"return_url": RETURN, "receipt_email": "a@b.example"}
    )
    assert (paid.status, paid.receipt_email) == ("succeeded", "a@b.example")


def test_the_capture_method_can_still_change_at_the_confirmation(merchant):
    held = merchant.confirm(merchant.intent(), capture_method="manual")
    assert held.status == "requires_capture"


def test_a_token_without_a_return_url_leaves_it_to_the_call(merchant):
    token = merchant.v1.test_helpers.confirmation_tokens.create({"payment_method": "pm_card_visa"}).id
    made = merchant.intent()
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        merchant.v1.payment_intents.confirm(made.id, {"confirmation_token": token})
    paid = merchant.v1.payment_intents.confirm(made.id, {"confirmation_token": token, "return_url": RETURN})
    assert paid.status == "succeeded"


def test_a_capture_in_thousandths_ends_in_0(merchant):
    held = merchant.paid(10000, currency="kwd", capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError, match="multiples of 10"):
        merchant.v1.payment_intents.capture(held.id, {"amount_to_capture": 1234})


def test_one_call_names_one_payment_method(merchant):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.confirm(merchant.intent(), confirmation_token="ctoken_1")
    assert refused.value.code == "parameters_exclusive"


def test_a_card_is_declined_as_often_as_it_was_told_and_then_pays(merchant, sandbox):
    customer = merchant.v1.customers.create({}).id
    card = merchant.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    asked = {"payment_method": card, "decline": "insufficient_funds", "times": 2}
    assert sandbox.control("POST", "stripe/decline", asked) == asked
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            merchant.confirm(merchant.intent(customer=customer), card, off_session=True)
        assert declined.value.json_body["error"]["decline_code"] == "insufficient_funds"
    assert merchant.confirm(merchant.intent(customer=customer), card, off_session=True).status == "succeeded"


@pytest.mark.parametrize(
    "wrong",
    [
        {"payment_method": "pm_x", "decline": "insufficient_funds", "times": 1},
        {"decline": "insufficient_funds", "times": True},
        {"decline": "insufficient_funds", "times": -1},
        {"decline": "bad_mood", "times": 1},
    ],
)
def test_a_decline_that_cannot_be_is_refused_by_the_control(merchant, sandbox, wrong):
    card = {
        "payment_method": merchant.v1.payment_methods.create(
            {"type": "card", "card": {"token": "tok_visa"}}
        ).id
    }
    with pytest.raises(ControlError):
        sandbox.control("POST", "stripe/decline", card | wrong)
