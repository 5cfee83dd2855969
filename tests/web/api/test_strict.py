"""What a body may be: JSON in the narrow sense, and never a card number."""

import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.domain.errors import MalformedRequestError
from counterfoil.web.api.strict import parse

GOOD = {"amount": 100, "currency": "USD"}
CARD = "4242424242424242"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"amount": 100, "amount": 200}', "a name stands twice in one object"),
        (b'{"a": [{"b": {"c": 1, "c": 1}}]}', "a name stands twice in one object"),
        (b'{"amount": NaN}', "NaN is not JSON"),
        (b'{"amount": -Infinity}', "-Infinity is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'\xff\xfe{\x00"\x00a\x00"\x00:\x001\x00}\x00', "not UTF-8"),
        (b'\xef\xbb\xbf{"amount": 1}', "not JSON"),
        (b'{"amount": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"{'amount': 1}", "not JSON"),
        (b'{"amount": 1} {"amount": 2}', "not JSON"),
        (b'{"amount": 1,}', "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_what_is_not_strictly_json_is_refused_with_the_reason(body, reason):
    with pytest.raises(MalformedRequestError, match=reason):
        parse(body)


def test_the_reason_never_quotes_the_body():
    with pytest.raises(MalformedRequestError) as refused:
        parse(b'{"amount": 4242424242424242,}')
    assert CARD not in refused.value.detail


@pytest.mark.parametrize(
    "body", [b'{"amount": 1, "amount": 2}', b'{"amount": NaN}', b"[" * 100_000, b"\xff", b"{"]
)
def test_the_api_answers_malformed_json_with_its_reason(service, body):
    answer = service.post("/api/payments", body)
    assert (answer.status, answer.json["code"]) == (400, "malformed_request")
    assert answer.json["detail"].startswith("The body is")


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_a_body_that_is_not_called_json_is_told_what_to_send(service, kind):
    answer = service.post("/api/payments", json.dumps(GOOD).encode(), headers={"content-type": kind})
    assert (answer.status, answer.json["code"]) == (400, "malformed_request")
    assert "Content-Type: application/json" in answer.json["detail"]


def test_json_may_name_its_charset_and_a_subtype_of_json(service):
    for kind in ("application/json; charset=utf-8", "application/vnd.shop+json", "APPLICATION/JSON"):
        answer = service.post("/api/payments", json.dumps(GOOD).encode(), headers={"content-type": kind})
        assert answer.status == 201, kind


PLACES = {
    "metadata.note": GOOD | {"metadata": {"note": CARD}},
    "description": GOOD | {"description": "card 4242 4242 4242 4242, thanks"},
    "customer.name": GOOD | {"customer": {"name": "4242-4242-4242-4242"}},
    "line_items[1].name": GOOD | {"line_items": [{"name": "a", "amount": 1}, {"name": CARD, "amount": 1}]},
    "amount": GOOD | {"amount": int(CARD)},
    "metadata": GOOD | {"metadata": {CARD: "x"}},
    "a field's name": GOOD | {CARD: "x"},
    "not_a_field": GOOD | {"not_a_field": CARD},
    "reference": GOOD | {"reference": "378282246310005"},
    "payment_method": GOOD | {"payment_method": "6011111111111117", "confirm": True},
}


@pytest.mark.parametrize(("place", "body"), PLACES.items())
def test_a_card_number_anywhere_is_refused_by_its_place_alone(service, place, body):
    answer = service.post("/api/payments", body)
    assert (answer.status, answer.json["code"]) == (400, "pan_not_allowed")
    assert answer.json["field"] == place


def test_a_card_number_written_as_a_fraction_is_refused(service):
    answer = service.post("/api/payments", b'{"amount": 4242424242424242.0, "currency": "USD"}')
    assert (answer.status, answer.json["code"]) == (400, "pan_not_allowed")


def test_a_card_number_as_an_idempotency_key_is_refused(service):
    answer = service.post("/api/payments", GOOD, idempotency_key=f"order {CARD}")
    assert (answer.status, answer.json["code"]) == (400, "pan_not_allowed")
    assert answer.json["field"] == "Idempotency-Key"


def test_a_refused_card_number_is_nowhere(service, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    for body in PLACES.values():
        answer = service.post("/api/payments", body, idempotency_key="a key")
        assert CARD not in answer.body.decode()
    service.post("/api/payments", GOOD, idempotency_key=CARD)
    service.get("/api/payments", reference=CARD)
    service.get(f"/api/payments/{CARD}")
    said = capfd.readouterr()
    assert CARD not in caplog.text + said.out + said.err
    for table in service.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        if table["tablename"] == "alembic_version":
            continue
        rows = service.rows(f"SELECT t::text AS whole FROM {table['tablename']} t")
        assert not [row for row in rows if CARD in row["whole"]], table


def test_digits_that_no_network_issues_are_let_through(service):
    for digits in ("4242424242424241", "1234567890123456", "42424242424242424242424242"):
        service.create(reference=digits)


# Whatever comes, the service answers and does not break

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "amount", "currency", "reference", "description", "customer", "metadata", "line_items", "capture", "gateway",
    "payment_method", "confirmation_token", "confirm", "return_url",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
def test_no_value_in_any_field_breaks_a_create(service, change):
    assert service.post("/api/payments", json.dumps(GOOD | change).encode()).status < 500


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_break_anything(service, body):
    for verb in ("confirm", "capture", "cancel"):
        answer = service.post(f"/api/payments/pmt_01m82q4mexgp9s3vb3tax4n4pn/{verb}", body)
        assert 400 <= answer.status < 500
    assert service.post("/api/payments", body).status < 500


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["status", "currency", "gateway", "reference", "customer_id", "customer_email", "created_from", "created_to", "limit", "cursor"]),
        st.text(max_size=40) | st.datetimes().map(str) | st.integers().map(str),
        max_size=3,
    )
)  # fmt: skip
def test_no_query_breaks_a_list(service, query):
    assert service.get("/api/payments", **query).status in {200, 422}


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=300))
def test_no_header_breaks_anything(service, text):
    value = text.strip(" \t\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0").encode("latin-1")
    for name in ("idempotency-key", "authorization", "content-type"):
        answer = service.call("POST", "/api/payments", GOOD, headers={name: value})
        assert answer.status < 500, name
