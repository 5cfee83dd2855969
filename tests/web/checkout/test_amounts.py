"""Amounts as customers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.money import EXPONENT, MAX_MINOR, Money
from counterfoil.web.checkout.amounts import has_sign, written


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1, "INR", "₹0.01"),
        (99_900, "INR", "₹999.00"),
        (100_000, "INR", "₹1,000.00"),
        (12_345_678, "INR", "₹1,23,456.78"),
        (1_234_567_890, "INR", "₹1,23,45,678.90"),
        (999_999_999_999, "INR", "₹9,99,99,99,999.99"),
        (5, "USD", "$0.05"),
        (123_450, "USD", "$1,234.50"),
        (123_456_789, "EUR", "€1,234,567.89"),
        (500, "JPY", "¥500"),
        (1_000_000, "JPY", "¥1,000,000"),
        (1_230, "KWD", "KWD\u00a01.230"),
        (12_345, "CLF", "CLF\u00a01.2345"),
        (123_450, "CHF", "CHF\u00a01,234.50"),
        (0, "USD", "$0.00"),
        (-123_450, "USD", "−$1,234.50"),
    ],
)
def test_amounts_are_written_as_those_who_pay_in_the_currency_write_them(minor, currency, text):
    assert written(Money(minor, currency)) == text


@given(st.integers(0, MAX_MINOR), st.sampled_from(sorted(EXPONENT)))
def test_no_digit_is_lost_and_none_is_made_up(minor, currency):
    text = written(Money(minor, currency))
    assert int("".join(filter(str.isdigit, text))) == minor
    assert len(text.partition(".")[2]) == EXPONENT[currency]


def test_the_code_stands_beside_a_sign_only():
    assert has_sign("USD")
    assert not has_sign("CHF")
