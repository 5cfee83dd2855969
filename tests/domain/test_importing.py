"""Rows of past payments: what is read of them, and every way in which one is refused."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain import importing
from counterfoil.domain.charge import weigh
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.fact import Fact, Kind
from counterfoil.domain.importing import MAX_LINE, Past, PastRefund, RowRefusedError, Told
from counterfoil.domain.ledger import GATEWAY

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TAKEN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
STRIPE: dict[str, Any] = {
    "gateway": "stripe",
    "payment_intent": "pi_1",
    "charge": "ch_1",
    "amount": 10_000,
    "currency": "USD",
    "captured": 10_000,
    "captured_at": "2026-01-31T12:00:00Z",
}
RAZORPAY = {
    "gateway": "razorpay",
    "order": "order_1",
    "charge": "pay_1",
    "amount": 50_000,
    "currency": "INR",
    "captured": 50_000,
    "captured_at": 1_769_860_800,
}


def refund(
    ref: str = "re_1", amount: Any = 100, at: Any = "2026-02-01T00:00:00Z", **more: Any
) -> dict[str, Any]:
    return {"refund": ref, "amount": amount, "refunded_at": at, **more}


def past(of: dict[str, Any] = STRIPE, **changes: Any) -> Past:
    return importing.read(Told(1, {**of, **changes}), now=NOW)


def refusal(row: dict[str, Any]) -> str:
    with pytest.raises(RowRefusedError) as refused:
        importing.read(Told(1, row), now=NOW)
    return str(refused.value)


def test_a_row_says_what_was_taken_where_and_when():
    assert past() == Past(
        gateway="stripe",
        account_id=None,
        attempt_ref="pi_1",
        charge_ref="ch_1",
        amount=10_000,
        currency="USD",
        captured=10_000,
        captured_at=TAKEN,
    )
    assert past().money.minor == 10_000
    assert past(RAZORPAY).captured_at == TAKEN
    assert past(payment_intent=None).attempt_ref is None


def test_a_row_may_say_more():
    told = past(
        account="gwa_01m82q4mexgp9s3vb3tax4n4pn",
        currency="usd",
        captured=9_000,
        refunded=500,
        refunds=[refund(), refund("pyr_2", "200")],
        reference="order 7",
        description="Two tickets",
        customer={"id": "7", "email": "a@example.org", "phone": "+49 30 1234", "name": "A", "country": "DE"},
        metadata={"shop": "north"},
        method={"type": "card", "brand": "visa", "last4": "4242", "bank": "A bank", "wallet": "a_pay"},
    )
    assert (told.account_id, told.currency, told.captured) == ("gwa_01m82q4mexgp9s3vb3tax4n4pn", "USD", 9_000)
    made = datetime(2026, 2, 1, tzinfo=UTC)
    assert told.refunds == (
        PastRefund(ref="re_1", amount=100, at=made),
        PastRefund(ref="pyr_2", amount=200, at=made),
    )
    assert told.refunded == 500
    assert (told.reference, told.description, told.metadata) == ("order 7", "Two tickets", {"shop": "north"})
    assert told.customer["email"] == "a@example.org"
    assert told.detail == {
        "method": "card",
        "brand": "visa",
        "last4": "4242",
        "bank": "A bank",
        "wallet": "a_pay",
    }


def test_refunds_that_are_named_need_no_sum():
    assert past(refunds=[refund(), refund("re_2", 50)]).refunded == 150


def test_digits_in_a_gateways_own_id_are_no_card_number():
    assert past(payment_intent="pi_3a4242424242424242b").attempt_ref == "pi_3a4242424242424242b"


def test_times_have_their_offset():
    assert past(captured_at="2026-01-31T17:30:00+05:30").captured_at == TAKEN
    assert past(captured_at="1769860800").captured_at == TAKEN


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gateway": None}, "gateway is missing"),
        ({"gateway": "paypal"}, "gateway must be one of razorpay, stripe"),
        ({"gateway": 7}, "gateway must be one of razorpay, stripe"),
        ({"charge": None}, "charge is missing"),
        ({"charge": "pay_1"}, "charge must be an id of stripe's"),
        ({"charge": "ch_ü"}, "charge must be an id of stripe's"),
        ({"charge": f"ch_{'1' * 251}"}, "charge must be an id of stripe's"),
        ({"payment_intent": "order_1"}, "payment_intent must be an id of stripe's"),
        ({"order": "order_1"}, "order is not stripe's; its own is payment_intent"),
        ({"account": "acct_1"}, "account must be an id such as gwa_…"),
        ({"amount": None}, "amount is missing"),
        ({"amount": 100.0}, "amount must be an integer of minor units"),
        ({"amount": True}, "amount must be an integer of minor units"),
        ({"amount": "12.50"}, "amount must be an integer of minor units"),
        ({"amount": "٣"}, "amount must be an integer of minor units"),
        ({"amount": 0}, "amount must be between 1 and 999999999999"),
        ({"amount": -10_000}, "amount must be between 1 and 999999999999"),
        ({"amount": 1_000_000_000_000}, "amount must be between 1 and 999999999999"),
        ({"currency": None}, "currency must be a code of ISO 4217"),
        ({"currency": "XYZ"}, "'XYZ' is not a currency of ISO 4217"),
        ({"currency": "XXX"}, "'XXX' is not a currency of ISO 4217"),
        ({"currency": "KPW"}, "stripe does not take KPW"),
        ({"currency": "KWD", "amount": 10_001}, "10.001 KWD is finer than stripe can charge"),
        ({"currency": "KWD", "captured": 9_999}, "9.999 KWD is finer than stripe can charge"),
        ({"captured": None}, "captured is missing"),
        ({"captured": 0}, "captured must be between 1 and the amount, 10000; it is 0"),
        ({"captured": 10_001}, "captured must be between 1 and the amount, 10000; it is 10001"),
        ({"refunded": -1}, "refunded may not be negative; it is -1"),
        ({"refunded": 10_001}, "refunded is 10001, more than the captured 10000"),
        ({"refunded": 99, "refunds": [refund()]}, "refunded is 99, less than the 100 of the refunds named"),
        ({"refunds": {}}, "refunds must be a list of objects with refund, amount and refunded_at"),
        ({"refunds": ["re_1"]}, "refunds must be a list of objects with refund, amount and refunded_at"),
        ({"refunds": [refund(f"re_{n}", 1) for n in range(101)]}, "refunds may be 100 at most"),
        ({"refunds": [refund(), refund()]}, "refunds names one refund twice"),
        ({"refunds": [refund(amount=0)]}, "the amount of a refund must be more than 0; it is 0"),
        ({"refunds": [refund("rfnd_1")]}, "refund must be an id of the gateway's"),
        ({"refunds": [refund(arn="7")]}, "refunds.arn is not known here"),
        ({"refunds": [refund(at="2026-01-31T11:59:59Z")]}, "refunded_at is before 2026-01-31T12:00:00Z"),
        ({"captured_at": None}, "captured_at is missing"),
        ({"captured_at": "yesterday"}, "captured_at must be a time as 2026-01-31T12:00:00Z, or Unix seconds"),
        ({"captured_at": 1e9}, "captured_at must be a time as 2026-01-31T12:00:00Z, or Unix seconds"),
        ({"captured_at": 10**17}, "captured_at must be a time as 2026-01-31T12:00:00Z, or Unix seconds"),
        ({"captured_at": "2026-01-31T12:00:00"}, "captured_at must say its offset from UTC, as 2026-01-31T12:00:00Z does"),
        ({"captured_at": "0001-01-01T00:00:00+23:00"}, "captured_at must be a time as 2026-01-31T12:00:00Z, or Unix seconds"),
        ({"captured_at": "2026-11-22T12:00:01Z"}, "captured_at is in the future"),
        ({"captured_at": 0}, "captured_at is before 2010-01-01T00:00:00Z"),
        ({"reference": ""}, "reference must be a text of 1 to 100 characters"),
        ({"reference": "x" * 101}, "reference must be a text of 1 to 100 characters"),
        ({"reference": 7}, "reference must be a text of 1 to 100 characters"),
        ({"description": "x" * 501}, "description must be a text of 1 to 500 characters"),
        ({"customer": "A"}, "customer must be an object"),
        ({"customer": {"shoe": "42"}}, "customer.shoe is not known here"),
        ({"customer": {"email": "nobody"}}, "customer.email is not of the form it should have"),
        ({"customer": {"email": "a" * 250 + "@b.org"}}, "customer.email is not of the form it should have"),
        ({"customer": {"country": 7}}, "customer.country is not of the form it should have"),
        ({"method": {"last4": "42424"}}, "method.last4 is not of the form it should have"),
        ({"metadata": ["x"]}, "metadata must be an object of at most 50 pairs"),
        ({"metadata": {str(n): "x" for n in range(51)}}, "metadata must be an object of at most 50 pairs"),
        ({"metadata": {"x": 7}}, "metadata holds texts of up to 500 characters, under names of up to 40"),
        ({"metadata": {"x" * 41: ""}}, "metadata holds texts of up to 500 characters, under names of up to 40"),
        ({"paid": True}, "paid is not known here"),
        ({"reference": "4242 4242 4242 4242"}, "reference looks like a card number"),
        ({"metadata": {"note": "pan 5555555555554444"}}, "metadata.note looks like a card number"),
        ({"charge": "ch_4242424242424242"}, "charge looks like a card number"),
        ({"reference": "a\x00b"}, "reference holds the character U+0000"),
        ({"metadata": {"a\x00": "b"}}, "a field's name holds the character U+0000"),
        ({"refunds": [refund("re_\x00")]}, "refund holds the character U+0000"),
        ({"refunds": ["\x00"]}, "refunds holds the character U+0000"),
        ({"reference": "M\udce4rz"}, "reference is not UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_reason(changes: dict[str, Any], reason: str):
    assert refusal({**STRIPE, **changes}) == reason


def test_a_row_that_is_nested_deeper_than_any_can_be_is_refused():
    line = json.dumps({**STRIPE, "metadata": {"a": "deep"}}).replace('"deep"', "[" * 600 + "]" * 600)
    (told,) = importing.of_json_lines([line])
    assert refusal({**(told.row or {})}) == "it is nested too deeply"


def test_razorpay_captures_no_part():
    assert (
        refusal({**RAZORPAY, "captured": 40_000})
        == "captured is 40000 of 50000, but razorpay captures no part"
    )
    assert past(captured=9_000).captured == 9_000


def test_a_row_that_could_not_be_read_says_why():
    with pytest.raises(RowRefusedError, match="it is not JSON"):
        importing.read(Told(1, refused="it is not JSON"), now=NOW)


# What is taken over


def figures(known: Past, *more: Fact, as_of: datetime = NOW) -> tuple[int, int]:
    facts = [
        fact(one.report.kind, one.report.object_id, one.report.amount.minor, one.report.at)
        for one in importing.openings(known, as_of=as_of)
    ]
    weighed = weigh("ch_1", [*facts, *more])
    return weighed.captured, weighed.refunded


def fact(kind: Kind, object_id: str, amount: int, at: datetime | None) -> Fact:
    return Fact(
        id=0,
        object_id=object_id,
        kind=kind,
        amount=amount,
        currency="USD",
        attempt_id="att_1",
        charge_ref="ch_1",
        detail={},
        said_at=at or NOW,
    )


def test_the_opening_facts_are_of_the_gateways_own_objects():
    told = importing.openings(past(refunded=500, refunds=[refund()], method={"last4": "4242"}), as_of=TAKEN)
    assert [(one.report.kind, one.report.object_id, one.report.amount.minor) for one in told] == [
        (Kind.CHARGE_CAPTURED, "ch_1", 10_000),
        (Kind.REFUND_SUCCEEDED, "re_1", 100),
        (Kind.OPENING_REFUNDED, "ch_1", 500),
    ]
    assert [one.rule for one in told] == ["opening", "opening_refund", "opening_refund"]
    assert [dict(one.report.detail) for one in told] == [{"last4": "4242"}, {}, {}]
    # The figures cannot be older than the refunds that they name.
    assert told[2].report.at == datetime(2026, 2, 1, tzinfo=UTC)


@given(
    captured=st.integers(1, 10_000),
    named=st.lists(st.integers(1, 300), max_size=5),
    unnamed=st.integers(0, 500),
)
def test_facts_and_books_come_to_what_the_row_says(captured: int, named: list[int], unnamed: int):
    refunded = min(sum(named) + unnamed, captured)
    if sum(named) > captured:
        named, refunded = [], min(unnamed, captured)
    row = past(
        captured=captured, refunded=refunded, refunds=[refund(f"re_{n}", x) for n, x in enumerate(named)]
    )
    assert figures(row) == (captured, refunded)
    told = importing.openings(row, as_of=TAKEN)
    assert all(sum(entry.amount for entry in one.entries) == 0 for one in told)
    held = [entry.amount for one in told for entry in one.entries if entry.account == GATEWAY]
    assert sum(held) == captured - refunded


AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
BEFORE, SINCE = AS_OF - timedelta(days=1), AS_OF + timedelta(days=1)


def test_a_refund_of_before_that_gets_a_name_later_is_not_counted_twice():
    row = past(refunded=500)
    named = fact(Kind.REFUND_SUCCEEDED, "re_9", 200, BEFORE)
    assert figures(row, named, as_of=AS_OF) == (10_000, 500)
    assert figures(row, fact(Kind.REFUND_SUCCEEDED, "re_9", 900, BEFORE), as_of=AS_OF) == (10_000, 900)


def test_a_refund_made_since_is_added():
    assert figures(past(refunded=500), fact(Kind.REFUND_SUCCEEDED, "re_9", 200, SINCE), as_of=AS_OF) == (
        10_000,
        700,
    )


def test_a_refund_of_before_that_fails_since_gives_its_money_back():
    bounced = (fact(Kind.REFUND_PENDING, "re_9", 200, BEFORE), fact(Kind.REFUND_FAILED, "re_9", 200, SINCE))
    assert figures(past(refunded=500), *bounced, as_of=AS_OF) == (10_000, 300)


def test_a_refund_that_had_failed_before_was_never_counted():
    failed = fact(Kind.REFUND_FAILED, "re_9", 200, BEFORE)
    assert figures(past(refunded=500), failed, as_of=AS_OF) == (10_000, 500)


# Files


def csv(*lines: str) -> list[Told]:
    return list(importing.of_csv(f"{line}\r\n" for line in lines))


HEADER = "gateway,charge,amount,currency,captured,captured_at"


def test_csv_and_json_lines_say_the_same():
    row = {
        **STRIPE,
        "customer": {"email": "a@example.org"},
        "metadata": {"shop.no": "7"},
        "refunds": [refund()],
    }
    header = f"{HEADER},payment_intent,order,customer.email,customer.name,metadata.shop.no,refunds"
    cell = json.dumps(row["refunds"]).replace('"', '""')
    (told,) = csv(header, f'stripe,ch_1,10000,USD,10000,2026-01-31T12:00:00Z,pi_1,,a@example.org,,7,"{cell}"')
    (same,) = importing.of_json_lines([json.dumps(row)])
    assert importing.read(told, now=NOW) == importing.read(same, now=NOW)
    assert (told.line, same.line) == (2, 1)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("", "The file has no column gateway, charge, amount, currency, captured, captured_at."),
        ("gateway,charge,amount", "The file has no column currency, captured, captured_at."),
        (f"{HEADER},card", "Not known here: the column 'card'."),
        (f"{HEADER},customer,customer.shoe,metadata.", "Not known here: the column 'customer', 'customer.shoe', 'metadata.'."),
        (f"{HEADER},gateway", "A column stands twice."),
        (f'{HEADER},"x', "Line 1 is not CSV: unexpected end of data."),
    ],
)  # fmt: skip
def test_a_header_that_is_wrong_refuses_the_file(header: str, sentence: str):
    with pytest.raises(InvalidRequestError) as refused:
        list(importing.of_csv([header]))
    assert refused.value.detail == sentence


def test_a_row_that_does_not_fit_its_header_is_refused_alone():
    short, whole = csv(HEADER, "stripe,ch_1", "", "stripe,ch_1,1,USD,1,1769860800")[:2]
    assert short == Told(2, refused="it has 2 cells under 6 columns")
    assert whole.line == 4
    assert importing.read(whole, now=NOW).captured == 1


@pytest.mark.parametrize("cell", ["re_1", '[], ""amount"": 7', "{", "[" * 60_000])
def test_refunds_in_csv_that_are_no_json_are_refused(cell: str):
    (told,) = csv(f"{HEADER},refunds", f'stripe,ch_1,1,USD,1,1769860800,"{cell}"')
    assert told == Told(2, refused="refunds is not JSON")


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("{", "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ('{"amount": NaN}', "it is not JSON"),
        ('{"amount": 1, "amount": 2}', "it is not JSON"),
        ("[" * 60_000, "it is nested too deeply"),
    ],
)
def test_a_line_that_is_no_object_is_refused_alone(line: str, refused: str):
    assert list(importing.of_json_lines([" \n", line])) == [Told(2, refused=refused)]


def test_bytes_that_are_no_utf_8_refuse_their_row_alone():
    lines = [b"\xef\xbb\xbf" + json.dumps(STRIPE).encode(), json.dumps({**STRIPE, "reference": "?"}).encode().replace(b"?", b"\xe4")]  # fmt: skip
    good, bad = importing.of_json_lines(importing.texts(lines))
    assert importing.read(good, now=NOW) == past()
    with pytest.raises(RowRefusedError, match=r"^reference is not UTF-8$"):
        importing.read(bad, now=NOW)


def test_a_line_that_is_too_long_refuses_the_file():
    assert list(importing.texts([b"x" * MAX_LINE])) == ["x" * MAX_LINE]
    with pytest.raises(InvalidRequestError, match=r"^Line 2 is longer than 65536 bytes\.$"):
        list(importing.texts([b"", b"x" * (MAX_LINE + 1)]))


def test_a_charge_is_shown_where_it_can_be_nothing_else():
    assert importing.is_charge("ch_1")
    assert importing.is_charge("pay_1")
    assert importing.is_charge("ch_3a4242424242424242")
    for text in (None, 7, "4242424242424242", "ch_4242424242424242", "=ch_1", "pi_1"):
        assert not importing.is_charge(text)
