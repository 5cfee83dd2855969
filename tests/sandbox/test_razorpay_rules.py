"""The pure parts of the sandbox's Razorpay: amounts, signatures, instruments, reading what was sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.money import EXPONENT
from counterfoil.sandbox.calls import RefusedError
from counterfoil.sandbox.ids import Ids
from counterfoil.sandbox.razorpay import amounts
from counterfoil.sandbox.razorpay.declines import DECLINES
from counterfoil.sandbox.razorpay.errors import authentication_failed, failure, unknown_id
from counterfoil.sandbox.razorpay.fields import Fields, Page
from counterfoil.sandbox.razorpay.instruments import (
    APPROVED_CARDS,
    BANKS,
    DECLINED_CARDS,
    WALLETS,
    Course,
    read,
)
from counterfoil.sandbox.razorpay.references import bank_number
from counterfoil.sandbox.razorpay.signatures import of_checkout, of_webhook
from sandbox_razorpay import DATA

SIGNATURES = json.loads((DATA / "signatures.json").read_text())
ERRORS = {case["name"]: case for case in json.loads((DATA / "errors.json").read_text())["cases"]}
REASONS = {row["reason"] for row in json.loads((DATA / "error_reasons.json").read_text())["reasons"]}


def of_kind(kind):
    return [case for case in SIGNATURES if case["kind"] == kind]


@pytest.mark.parametrize("case", of_kind("checkout"))
def test_a_checkout_signature_is_the_documented_one(case):
    order_id, payment_id = case["message_utf8"].split("|")
    assert of_checkout(order_id, payment_id, case["secret"]) == case["signature"]


@pytest.mark.parametrize("case", of_kind("webhook"), ids=lambda case: case["name"])
def test_a_webhook_signature_is_the_documented_one(case):
    assert of_webhook(case["message_utf8"].encode(), case["secret"]) == case["signature"]


def test_a_webhook_signature_agrees_with_the_sdks_own_vector():
    [case] = of_kind("webhook_official")
    body = (DATA.parent / case["file"]).read_bytes()
    assert of_webhook(body, case["secret"]) == case["signature"]


@given(amount=st.integers(0, 10**12), domestic=st.booleans())
def test_a_fee_is_two_percent_and_its_tax_eighteen_percent_of_that(amount, domestic):
    fee, tax = amounts.fee_and_tax(amount, domestic_card=domestic)
    base = fee - tax
    assert abs(base * 100 - amount * 2) <= 50
    free = domestic and amount <= amounts.GST_FREE_CARD
    assert tax == 0 if free else abs(tax * 100 - base * 18) <= 50


@pytest.mark.parametrize(
    ("amount", "currency", "paise"),
    [
        (1, "INR", 1),
        (100, "USD", 8400),
        (1, "JPY", 56),
        (1000, "KWD", 27500),
        (10, "KWD", 275),
        (1, "EUR", 92),
    ],
)
def test_an_amount_is_worth_its_rupees(amount, currency, paise):
    assert amounts.in_paise(amount, currency) == paise


def test_every_currency_of_the_account_is_one_of_the_domain():
    assert amounts.PAISE_PER_UNIT.keys() <= EXPONENT.keys()


@pytest.mark.parametrize("reason", DECLINES)
def test_every_decline_is_a_reason_that_razorpay_knows(reason):
    assert reason in REASONS


@pytest.mark.parametrize("number", [*APPROVED_CARDS, *DECLINED_CARDS])
def test_every_test_card_can_be_tried(number):
    card = {"number": number, "expiry": "01/27", "cvv": "123"}
    instrument = read(Fields({"method": "card", "card": card}), Ids(1), month=(2027, 1))
    assert (instrument.course is Course.DECLINED) == (number in DECLINED_CARDS)
    assert instrument.card["last4"] == number[-4:]
    assert number not in json.dumps(instrument.card)


@pytest.mark.parametrize(
    ("number", "network"),
    [
        ("4100280000001007", "Visa"),
        ("5500670000001002", "MasterCard"),
        ("6527658900001005", "RuPay"),
        ("378282246310005", "American Express"),
        ("36227206271667", "Diners Club"),
        ("2223003122003222", "Unknown"),
    ],
)
def test_a_card_tells_its_network(number, network):
    card = {"number": number, "expiry": "1 2/2039".replace(" ", ""), "cvv": "1234"}
    instrument = read(Fields({"method": "card", "card": card}), Ids(1), month=(2027, 1))
    assert instrument.card["network"] == network


@pytest.mark.parametrize(
    ("method", "name", "known"), [("netbanking", "bank", BANKS), ("wallet", "wallet", WALLETS)]
)
def test_the_browser_offers_the_banks_and_wallets_that_the_stub_takes(method, name, known):
    for code in known:
        assert read(Fields({"method": method, name: code}), Ids(1), month=(2027, 1)).fields[name] == code


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("bad_key", authentication_failed().answer),
        ("unknown_id", unknown_id().answer),
        ("throttled", failure(429)),
        ("server", failure(500)),
    ],
)
def test_an_error_has_the_documented_body(name, answer):
    assert (answer.status, json.loads(answer.body)) == (ERRORS[name]["http"], ERRORS[name]["body"])


def test_a_gateway_error_has_the_documented_body():
    answer = json.loads(DECLINES["gateway_technical_error"].answer("pay_1", "order_1").body)
    answer["error"]["metadata"] = {}
    assert answer == ERRORS["gateway"]["body"]


def test_a_field_is_named_by_its_whole_path():
    inner = Fields({"payment": {"capture_options": {"a": 1}}}).inner("payment").inner("capture_options")
    with pytest.raises(RefusedError) as refused:
        inner.only("b")
    assert (
        "payment.capture_options.a is/are not required"
        in json.loads(refused.value.answer.body)["error"]["description"]
    )


def test_a_page_is_the_first_ten_of_all_time_unless_told_otherwise():
    page = Page.of({})
    assert (page.count, page.skip, page.start) == (10, 0, 0)
    assert Page.of({"count": "100", "from": "946684800", "to": "4765046400"}).count == 100


@given(st.text(), st.integers(1, 30))
def test_a_bank_number_has_its_length_and_stays_the_same(about, length):
    assert bank_number(about, length) == bank_number(about, length)
    assert len(bank_number(about, length)) == length
    assert bank_number(about, length).isdigit()
