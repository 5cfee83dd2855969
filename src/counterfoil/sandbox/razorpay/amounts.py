"""Amounts as Razorpay takes, converts and charges for them. Integers only."""

from typing import Final

from counterfoil.domain.money import EXPONENT, wire_of
from counterfoil.sandbox.razorpay.errors import refused

HOME: Final = "INR"
ONE_RUPEE: Final = 100
MAX_AMOUNT: Final = 9_999_999_999  # ten digits, as Razorpay writes amounts

# Paise for one whole unit: the currencies this account accepts, at a rate that never moves so that sums can be told.
PAISE_PER_UNIT: Final = {
    "INR": 100,
    "AED": 2_300,
    "AUD": 5_500,
    "BHD": 22_400,
    "CAD": 6_100,
    "CHF": 9_700,
    "EUR": 9_200,
    "GBP": 10_800,
    "HKD": 1_080,
    "JPY": 56,
    "KWD": 27_500,
    "MYR": 1_900,
    "OMR": 21_900,
    "SAR": 2_240,
    "SGD": 6_300,
    "USD": 8_400,
}

FEE_PERCENT: Final = 2
GST_PERCENT: Final = 18
# Indian card payments up to this bear no GST on their fee.
GST_FREE_CARD: Final = 200_000


def check_order(amount: int, currency: str) -> None:
    """Raises RefusedError unless an order of this amount may be made."""
    if currency not in PAISE_PER_UNIT:
        raise refused("Currency is not supported", field="currency")
    _check(amount, currency, least=ONE_RUPEE if currency == HOME else 1)


def check_refund(amount: int, currency: str, *, instant: bool) -> None:
    """Raises RefusedError for less than a rupee, which only an instant refund may be, and for what no order may be."""
    _check(amount, currency, least=ONE_RUPEE if currency == HOME and not instant else 1)


def _check(amount: int, currency: str, *, least: int) -> None:
    if amount < least:
        shown = "INR 1.00" if least == ONE_RUPEE else f"{least}."
        raise refused(f"The amount must be at least {shown}", field="amount")
    if amount > MAX_AMOUNT:
        raise refused("Amount exceeds maximum amount allowed.", field="amount")
    if amount % wire_of("razorpay", currency).step:
        raise refused(f"The amount of {currency} must end in 0", field="amount")


def in_paise(amount: int, currency: str) -> int:
    """The INR value of an amount, rounded half up."""
    return _half_up(amount * PAISE_PER_UNIT[currency], 10 ** EXPONENT[currency])


def fee_and_tax(base_amount: int, *, domestic_card: bool) -> tuple[int, int]:
    """The fee of a capture in paise, its tax included, and that tax alone (500000 gives 11800 and 1800)."""
    fee = _half_up(base_amount * FEE_PERCENT, 100)
    free = domestic_card and base_amount <= GST_FREE_CARD
    tax = 0 if free else _half_up(fee * GST_PERCENT, 100)
    return fee + tax, tax


def _half_up(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)
