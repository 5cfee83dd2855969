import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain import ids

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
nouns = st.sampled_from(sorted(ids.PREFIXES))
moments = st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  given its zone


@given(nouns, moments, st.binary(min_size=10, max_size=10))
def test_an_id_is_well_formed_for_its_own_noun_and_no_other(noun: str, at: datetime, chance: bytes):
    made = ids.make(noun, at, chance)
    assert [known for known in ids.PREFIXES if ids.is_id(known, made)] == [noun]
    assert re.fullmatch(ids.pattern(noun), made)
    assert len(made) == len(ids.PREFIXES[noun]) + 27


@given(
    moments, st.integers(1, 10**9), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10)
)
def test_ids_sort_by_the_millisecond_of_their_making(at: datetime, later_ms: int, one: bytes, other: bytes):
    after = at + timedelta(milliseconds=later_ms)
    assert ids.make("payment", at, one) < ids.make("payment", after, other)


def test_other_chance_is_another_id():
    assert ids.make("payment", AT, bytes(10)) != ids.make("payment", AT, bytes(9) + b"\x01")
    assert ids.make("payment", AT, bytes(10)).endswith("0" * 16)
    assert ids.make("payment", AT, b"\xff" * 10).endswith("z" * 16)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pmt_",
        "pmt_01jd",
        "01jd9yq2h0abcdefghjkmnpqrs",
        "pmt_01jd9yq2h0abcdefghjkmnpqri",  # i, l, o and u are no digits of it
        "pmt_01JD9YQ2H0ABCDEFGHJKMNPQRS",
        "pmt_81jd9yq2h0abcdefghjkmnpqrs",  # past the year 10889
        "pmt_01jd9yq2h0abcdefghjkmnpqrs\n",
        "pmt_01jd9yq2h0abcdefghjkmnpqrst",
        "att_01jd9yq2h0abcdefghjkmnpqrs",
        "pmt_01jd9yq2h0abcdefghjkmnpq'--",
    ],
)
def test_anything_else_is_no_payment_id(text: str):
    assert not ids.is_id("payment", text)


def test_prefixes_are_short_distinct_and_no_gateways():
    prefixes = list(ids.PREFIXES.values())
    assert len(prefixes) == len(set(prefixes))
    gateways = {
        "pi",
        "ch",
        "re",
        "evt",
        "pm",
        "po",
        "txn",
        "dp",
        "pay",
        "order",
        "rfnd",
        "setl",
        "acc",
        "disp",
    }
    assert not gateways & set(prefixes)
    assert all(re.fullmatch("[a-z]{3}", prefix) for prefix in prefixes)
