from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.gateways.stripe.form import encode

CASES = [
    ({"amount": 100, "currency": "usd"}, "amount=100&currency=usd"),
    ({"a": None, "b": 1}, "b=1"),
    ({"a": True, "b": False}, "a=true&b=false"),
    ({"metadata": {"order": "A 1&b"}}, "metadata[order]=A+1%26b"),
    ({"metadata": {"a=b": "x"}}, "metadata[a%3Db]=x"),
    ({"expand": ["latest_charge", "customer"]}, "expand[0]=latest_charge&expand[1]=customer"),
    ({"line_items": [{"price": "p_1"}]}, "line_items[0][price]=p_1"),
    ({"metadata": {}}, ""),
    ({"description": ""}, "description="),
    ({"description": "a\ud800"}, "description=a%3F"),
]


@pytest.mark.parametrize(("params", "body"), CASES)
def test_parameters_are_written_as_stripe_reads_them(params, body):
    assert encode(params).decode() == body


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_whatever_is_written_is_read_back_the_same(params):
    read = parse_qsl(
        encode({"metadata": params}).decode(), keep_blank_values=True, strict_parsing=bool(params)
    )
    assert dict(read) == {f"metadata[{name}]": text for name, text in params.items()}
