from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.errors import SignatureRefusedError
from counterfoil.gateways.razorpay.signature import sign, verify, vouches
from gateways.vectors import DATA, load

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WEBHOOKS = [case for case in load("razorpay/signatures.json") if case["kind"].startswith("webhook")]
CHECKOUTS = [case for case in load("razorpay/signatures.json") if case["kind"] == "checkout"]
SECRET = b"webhook_secret_counterfoil"
BODY = b'{"event":"payment.captured"}'


def accepts(signature, body=BODY, *, secret=SECRET, name=b"x-razorpay-signature"):
    try:
        verify([(b"host", b"shop.example"), (name, signature)], body, secret=secret, now=NOW)
    except SignatureRefusedError:
        return False
    return True


def message(case):
    return (DATA / case["file"]).read_bytes() if "file" in case else case["message_utf8"].encode()


@pytest.mark.parametrize("case", WEBHOOKS, ids=lambda case: case.get("name", case["kind"]))
def test_every_known_webhook_signature_is_accepted_and_a_changed_body_is_not(case):
    signature, secret = case["signature"].encode(), case["secret"].encode()
    assert accepts(signature, message(case), secret=secret)
    assert not accepts(signature, message(case) + b" ", secret=secret)
    assert not accepts(signature, message(case), secret=secret + b"x")


def test_an_empty_secret_vouches_for_nothing():
    assert not accepts(sign(BODY, b""), secret=b"")


@pytest.mark.parametrize(
    "signature",
    [b"", b"x", b"\xff" * 64, sign(BODY, SECRET).upper(), b" " + sign(BODY, SECRET), b"0" * 100_000],
)
def test_a_hostile_signature_is_refused_and_nothing_else(signature):
    assert not accepts(signature)


def test_one_header_is_needed_and_no_more():
    assert accepts(sign(BODY, SECRET))
    assert not accepts(sign(BODY, SECRET), name=b"x-signature")
    twice = [(b"x-razorpay-signature", sign(BODY, SECRET))] * 2
    with pytest.raises(SignatureRefusedError, match="2 X-Razorpay-Signature headers"):
        verify(twice, BODY, secret=SECRET, now=NOW)


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=20))
def test_no_bytes_make_it_raise_anything_else(signature, body, secret):
    assert not accepts(signature, body, secret=secret)


@pytest.mark.parametrize("case", CHECKOUTS)
def test_what_the_checkout_signed_is_vouched_for(case):
    order, payment = case["fields"].values()
    secret = case["secret"].encode()
    assert vouches(order, payment, case["signature"], key_secret=secret)
    assert not vouches(payment, order, case["signature"], key_secret=secret)
    assert not vouches(order, "pay_other", case["signature"], key_secret=secret)
    assert not vouches(order, payment, case["signature"], key_secret=b"other")


def test_an_empty_key_secret_vouches_for_no_payment():
    assert not vouches("order_1", "pay_1", sign(b"order_1|pay_1", b"").decode(), key_secret=b"")


@given(st.text(), st.text(), st.text() | st.just("\ud800"))
def test_nothing_a_browser_brings_makes_it_raise(order, payment, signature):
    assert not vouches(order, payment, signature, key_secret=SECRET)
