import base64

import pytest

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.signing import CERTIFICATE_CHARS, CERTIFICATES_MOST, certificates, read

WHERE = "receiptGeneration.signing.certificates"


def pem(body: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def sealed(text: str):
    return {"sealed": base64.b64encode(text.encode()).decode(), "last4": None}


def document(**signing):
    return {"receiptGeneration": {"signing": signing}}


def test_nothing_is_signed_until_somebody_says_so():
    for nothing in ({}, {"receiptGeneration": {}}, document(key=None, certificates=[])):
        told = read(nothing)
        assert (told.key, told.password, told.certificates) == (None, None, ())


def test_key_and_password_are_as_the_vault_has_sealed_them_and_never_printed():
    told = read(document(key=sealed("a key"), password=sealed("a word"), certificates=[pem("AA")]))
    assert (told.key, told.password, told.certificates) == (b"a key", b"a word", (pem("AA"),))
    assert "key" not in repr(told)
    assert "word" not in repr(told)


def test_certificates_alone_are_those_of_before():
    assert read(document(certificates=[pem("AA"), pem("BB")])).certificates == (pem("AA"), pem("BB"))


@pytest.mark.parametrize(
    ("signing", "field"),
    [
        ({"key": sealed("a key")}, "certificates"),
        ({"key": sealed("a key"), "certificates": []}, "certificates"),
        ({"password": sealed("a word"), "certificates": [pem("AA")]}, "password"),
        ({"key": {"sealed": "?"}, "certificates": [pem("AA")]}, "key"),
        ({"key": "a key", "certificates": [pem("AA")]}, "key"),
        ({"key": {}, "certificates": [pem("AA")]}, "key"),
    ],
)
def test_what_does_not_go_together_is_refused_by_its_field(signing, field):
    with pytest.raises(InvalidRequestError) as refused:
        read(document(**signing))
    assert refused.value.facts == {"field": f"receiptGeneration.signing.{field}"}


def test_certificates_are_taken_one_by_one_from_text_or_list_and_each_once():
    one, two = pem("AAAA\nBBBB"), pem("CC==")
    assert certificates(one + two, WHERE) == [one, two]
    assert certificates([two + one, one], WHERE) == [two, one]
    assert certificates([], WHERE) == []
    assert certificates(one.replace("\n", "\r\n  "), WHERE) == [one]


def test_what_stands_around_a_certificate_is_left_out_and_a_key_above_all():
    key = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"
    assert certificates(f"subject=CN = x\n{key}{pem('AA')}{key}", WHERE) == [pem("AA")]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "no certificate",
        [pem("AA"), "no certificate"],
        [pem("AA"), 7],
        7,
        {"own": pem("AA")},
        pem("AA").replace("END", "ENDE"),
        "".join(pem(f"{n:04}") for n in range(CERTIFICATES_MOST + 1)),
        pem("A" * CERTIFICATE_CHARS),
    ],
    ids=[
        "empty",
        "text",
        "one of two",
        "number in it",
        "number",
        "object",
        "cut off",
        "too many",
        "too long",
    ],
)
def test_what_is_no_list_of_certificates_is_refused(value):
    with pytest.raises(InvalidRequestError) as refused:
        certificates(value, WHERE)
    assert refused.value.facts == {"field": WHERE}
    assert "SECRET" not in refused.value.detail


def test_as_many_as_may_be_are_taken():
    assert len(certificates([pem(f"{n:04}") for n in range(CERTIFICATES_MOST)], WHERE)) == CERTIFICATES_MOST
