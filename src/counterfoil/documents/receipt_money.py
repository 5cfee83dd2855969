"""Amounts as a receipt shows them: the currency's sign, groups of digits, and all the decimals that the currency has."""

from collections.abc import Mapping
from typing import Final

from counterfoil.domain.money import Money

MINUS: Final = "\N{MINUS SIGN}"
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
# Signs that mean one currency to everybody. Where many share one, as with the dollar, its code stands before it.
_SIGNS: Final[Mapping[str, str]] = {
    "INR": "₹", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "KRW": "₩", "CNY": "CN¥",
    "AUD": "A$", "CAD": "CA$", "NZD": "NZ$", "HKD": "HK$", "SGD": "S$", "TWD": "NT$",
    "ILS": "₪", "VND": "₫", "PHP": "₱", "NGN": "₦", "THB": "฿",
}  # fmt: skip


def shown(minor: int, currency: str, locale: str = "en") -> str:
    """An amount in minor units with its currency's sign or code: "₹1,23,456.78", "$1,234.50", "AED 99.00", "−¥500"."""
    sign = _SIGNS.get(currency) or f"{currency}{_NO_BREAK}"
    return f"{MINUS if minor < 0 else ''}{sign}{plain(abs(minor), currency, locale)}"


def plain(minor: int, currency: str, locale: str = "en") -> str:
    """The same without a sign of the currency, as in a column that names it once."""
    whole, point, rest = Money(abs(minor), currency).major.partition(".")
    return f"{MINUS if minor < 0 else ''}{grouped(whole, indian=is_indian(currency, locale))}{point}{rest}"


def is_indian(currency: str, locale: str) -> bool:
    """Whether digits are grouped by lakh and crore: rupees, and everything in a locale of India."""
    return currency == "INR" or locale.upper().endswith("-IN")


def grouped(digits: str, *, indian: bool) -> str:
    """Digits in groups: of three, or three and then of two."""
    step = 2 if indian else 3
    head, tail = digits[:-3], digits[-3:]
    parts = [head[max(end - step, 0) : end] for end in range(len(head), 0, -step)]
    return ",".join([*reversed(parts), tail])
