from datetime import UTC, datetime, timedelta
from hmac import digest

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.errors import SignatureRefusedError
from counterfoil.gateways.stripe.signature import MAX_HEADER_BYTES, verify
from gateways.vectors import load

CASES = {case["name"]: case for case in load("stripe/signatures.json")}
BODY = b'{"id":"evt_1"}'
SECRET = "whsec_counterfoil"
KEY = SECRET.encode()
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def signed(body=BODY, *, at=NOW, secret=SECRET):
    return stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, int(at.timestamp())
    ).encode()


def accepts(header, body=BODY, *, secret=KEY, now=NOW, name=b"stripe-signature"):
    try:
        verify([(b"host", b"shop.example"), (name, header)], body, secret=secret, now=now)
    except SignatureRefusedError:
        return False
    return True


@pytest.mark.parametrize("name", CASES)
def test_every_known_case_is_decided_as_it_should_be(name):
    case = CASES[name]
    now = datetime.fromtimestamp(case["verify_at_unix"], UTC)
    accepted = accepts(
        case["header"].encode(), case["payload_utf8"].encode(), secret=case["secret"].encode(), now=now
    )
    assert accepted is (case["ours"] == "accept")


def test_what_the_sdk_signs_is_accepted():
    assert accepts(signed())


@pytest.mark.parametrize(("seconds", "accepted"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_a_signature_is_good_for_five_minutes_before_and_after_it_was_made(seconds, accepted):
    assert accepts(signed(), now=NOW + timedelta(seconds=seconds)) is accepted


def test_an_empty_secret_vouches_for_nothing():
    assert not accepts(signed(secret="x"), secret=b"")
    with pytest.raises(SignatureRefusedError, match="no webhook secret"):
        verify([], BODY, secret=b"", now=NOW)


def test_bytes_that_are_no_text_are_verified_as_bytes():
    body = b"\xff\x00\xfe"
    at = str(int(NOW.timestamp())).encode()
    header = b"t=" + at + b",v1=" + digest(KEY, at + b"." + body, "sha256").hex().encode()
    assert accepts(header, body)
    assert not accepts(header, body + b"\x00")


HONEST = signed()
V1 = HONEST.partition(b"v1=")[2]
HOSTILE = {
    "nothing": b"",
    "no time": b"v1=" + V1,
    "two times": HONEST + b",t=1",
    "a time that is no number": HONEST.replace(b"t=1", b"t=x1"),
    "a negative time": HONEST.replace(b"t=", b"t=-"),
    "a time in other digits": b"t=\xd9\xa1,v1=" + V1,
    "a time beyond any clock": b"t=" + b"9" * 400 + b",v1=" + V1,
    "a time with a point": HONEST.replace(b",v1", b".0,v1"),
    "no signature": HONEST.partition(b",")[0],
    "an empty signature": HONEST.partition(b",")[0] + b",v1=",
    "capitals": HONEST.upper(),
    "a space": HONEST.replace(b",", b", "),
    "not ASCII": HONEST + b"\xff",
    "a thousand signatures": HONEST.partition(b",")[0] + b",v1=0" * 1000,
    "too long": HONEST + b"," + b"x" * MAX_HEADER_BYTES,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused_and_nothing_else(name):
    assert not accepts(HOSTILE[name])


def test_several_headers_are_refused_even_when_one_is_honest():
    headers = [(b"stripe-signature", HONEST), (b"stripe-signature", HONEST)]
    with pytest.raises(SignatureRefusedError, match="2 Stripe-Signature headers"):
        verify(headers, BODY, secret=KEY, now=NOW)


def test_a_missing_header_is_refused():
    assert not accepts(HONEST, name=b"x-stripe-signature")


@given(header=st.binary(max_size=300), body=st.binary(max_size=100), secret=st.binary(max_size=20))
def test_no_bytes_make_it_raise_anything_else(header, body, secret):
    assert not accepts(header, body, secret=secret)


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
def test_one_changed_byte_of_the_body_is_refused(body, place, change):
    at = str(int(NOW.timestamp())).encode()
    header = b"t=" + at + b",v1=" + digest(KEY, at + b"." + body, "sha256").hex().encode()
    changed = bytearray(body)
    if body:
        changed[place % len(body)] ^= change
    assert accepts(header, bytes(changed)) is (bytes(changed) == body)


def test_no_refusal_tells_the_secret():
    with pytest.raises(SignatureRefusedError) as caught:
        verify([(b"stripe-signature", HONEST)], b"other", secret=KEY, now=NOW)
    assert SECRET not in f"{caught.value!r}{caught.value.facts}"
