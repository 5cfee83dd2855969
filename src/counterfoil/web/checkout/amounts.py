"""Amounts as customers write them: ₹1,23,456.78, $1,234.50, CHF 1,234.50. Integers and text only, never a fraction."""

from typing import Final

from counterfoil.domain.money import EXPONENT, Money

# Signs that name one currency to those who pay in it; the code stands beside them. All others go by their code.
_SIGNS: Final = {
    "AUD": "A$",
    "BRL": "R$",
    "CAD": "CA$",
    "CNY": "CN¥",
    "EUR": "€",
    "GBP": "£",
    "HKD": "HK$",
    "ILS": "₪",
    "INR": "₹",
    "JPY": "¥",
    "KRW": "₩",
    "MXN": "MX$",
    "NGN": "₦",
    "NZD": "NZ$",
    "PHP": "₱",
    "SGD": "S$",
    "USD": "$",
    "VND": "₫",
}
# Digits go in threes; in rupees, after the last three, in twos: lakh and crore.
_THREES, _TWOS = 3, 2
_IN_TWOS: Final = frozenset({"INR"})


def written(money: Money) -> str:
    """The amount with its sign or code, grouped, with as many decimals as the currency has."""
    exponent = EXPONENT[money.currency]
    digits = str(abs(money.minor)).rjust(exponent + 1, "0")
    whole, rest = digits[: len(digits) - exponent], digits[len(digits) - exponent :]
    number = _grouped(whole, _TWOS if money.currency in _IN_TWOS else _THREES) + (f".{rest}" if rest else "")
    sign = _SIGNS.get(money.currency, f"{money.currency}\u00a0")
    return f"{'−' if money.minor < 0 else ''}{sign}{number}"


def _grouped(whole: str, step: int) -> str:
    groups = [whole[-_THREES:]]
    left = whole[:-_THREES]
    while left:
        groups.append(left[-step:])
        left = left[:-step]
    return ",".join(reversed(groups))


def has_sign(currency: str) -> bool:
    """Whether amounts of it are written with a sign, so that the code beside it says something new."""
    return currency in _SIGNS
