import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.documents import receipt_money
from counterfoil.domain.money import EXPONENT


@pytest.mark.parametrize(
    ("minor", "currency", "locale", "shown"),
    [
        (12345678, "INR", "en", "₹1,23,456.78"),
        (1234567800, "INR", "en-US", "₹1,23,45,678.00"),
        (99900, "INR", "en-IN", "₹999.00"),
        (100000, "INR", "en-IN", "₹1,000.00"),
        (5, "INR", "en-IN", "₹0.05"),
        (0, "INR", "en-IN", "₹0.00"),
        (12345678, "USD", "en-IN", "$1,23,456.78"),
        (12345678, "USD", "en-US", "$123,456.78"),
        (-123456, "EUR", "en", "−€1,234.56"),
        (1234567, "JPY", "ja-JP", "¥1,234,567"),
        (1234567, "KWD", "ar-KW", "KWD\N{NO-BREAK SPACE}1,234.567"),
    ],
)
def test_an_amount_has_its_sign_its_groups_and_all_its_decimals(minor, currency, locale, shown):
    assert receipt_money.shown(minor, currency, locale) == shown


@given(st.integers(-(10**15), 10**15), st.sampled_from(sorted(EXPONENT)), st.sampled_from(["en", "hi-IN"]))
def test_no_digit_of_an_amount_is_lost_or_made(minor, currency, locale):
    shown = receipt_money.plain(minor, currency, locale)
    digits = int("".join(filter(str.isdigit, shown)))
    assert digits == abs(minor)
    assert shown.startswith(receipt_money.MINUS) == (minor < 0)
    assert all(1 <= len(group) <= 3 for group in shown.strip("−").partition(".")[0].split(","))
