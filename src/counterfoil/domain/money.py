"""Money: an integer of minor units and a currency; and how each gateway wants it written.

Sources: ISO 4217 exponents; Stripe's and Razorpay's exceptions as in their documentation on currencies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from counterfoil.domain.errors import AmountNotValidError

# A PostgreSQL bigint holds 9.2e18; Stripe takes eight digits, Razorpay ten. Twelve leaves room for both and for sums.
MAX_MINOR: Final = 999_999_999_999

_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"
_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
    "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
    "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)

EXPONENT: Final[Mapping[str, int]] = {
    code: exponent
    for codes, exponent in ((_ZERO, 0), (_TWO, 2), (_THREE, 3), (_FOUR, 4))
    for code in codes.split()
}


# ISO 4217's own code for where no currency is involved. Only zero is of it.
_NO_CURRENCY: Final = "XXX"


@dataclass(frozen=True, slots=True)
class Wire:
    """How a gateway writes amounts of one currency: decimals on the wire, and the step they must be a multiple of."""

    exponent: int
    step: int = 1


# Where a gateway differs from ISO 4217. ISK and UGX go to Stripe as two decimals that must be 00; MGA as whole units;
# three-decimal currencies end in 0 at both gateways.
WIRE: Final[Mapping[str, Mapping[str, Wire]]] = {
    "stripe": {
        "MGA": Wire(0),
        "ISK": Wire(2, 100),
        "UGX": Wire(2, 100),
        **{code: Wire(3, 10) for code in ("BHD", "JOD", "KWD", "OMR", "TND")},
    },
    "razorpay": {code: Wire(3, 10) for code in ("BHD", "KWD", "OMR")},
}


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units of an ISO 4217 currency (upper case). Two currencies never mix."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise AmountNotValidError(
                f"amount must be an integer of minor units, not {type(self.minor).__name__}", field="amount"
            )
        if self.currency not in EXPONENT and (self.minor, self.currency) != (0, _NO_CURRENCY):
            raise AmountNotValidError(f"{self.currency!r} is not a currency of ISO 4217", field="currency")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other).minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other).minor

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other).minor

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise AmountNotValidError(f"{self.currency} and {other.currency} do not mix", field="currency")
        return other

    @property
    def major(self) -> str:
        """The amount in major units, with all the digits that its currency has, as "12.50"."""
        exponent = EXPONENT.get(self.currency, 0)
        if exponent == 0:
            return str(self.minor)
        sign, digits = ("-" if self.minor < 0 else ""), str(abs(self.minor)).rjust(exponent + 1, "0")
        return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"

    def __str__(self) -> str:
        """The amount in major units and its currency, as "12.50 USD"."""
        return f"{self.major} {self.currency}"


NO_MONEY: Final = Money(0, _NO_CURRENCY)


def owed(minor: int, currency: str) -> Money:
    """Money that someone may be asked to pay: positive and at most MAX_MINOR."""
    money = Money(minor, currency.upper())
    if not 0 < minor <= MAX_MINOR:
        raise AmountNotValidError(f"amount must be between 1 and {MAX_MINOR}", field="amount")
    return money


def wire_of(gateway: str, currency: str) -> Wire:
    return WIRE.get(gateway, {}).get(currency) or Wire(EXPONENT[currency])


def to_wire(gateway: str, money: Money) -> int:
    """The integer this gateway wants. Raises AmountNotValidError where the amount cannot be written there."""
    wire = wire_of(gateway, money.currency)
    shift = wire.exponent - EXPONENT[money.currency]
    scaled, lost = _shift(money.minor, shift)
    if lost or scaled % wire.step:
        raise AmountNotValidError(
            f"{money} is finer than {gateway} can charge", field="amount", gateway=gateway
        )
    return scaled


def from_wire(gateway: str, amount: int, currency: str) -> Money:
    """What the gateway's integer means. Raises AmountNotValidError for fractions our minor unit cannot hold."""
    code = currency.upper()
    if code not in EXPONENT:
        raise AmountNotValidError(f"{currency!r} is not a currency of ISO 4217", field="currency")
    shift = wire_of(gateway, code).exponent - EXPONENT[code]
    minor, lost = _shift(amount, -shift)
    if lost:
        raise AmountNotValidError(
            f"{amount} {code} from {gateway} is finer than the currency", field="amount"
        )
    return Money(minor, code)


def _shift(amount: int, places: int) -> tuple[int, int]:
    """The amount times ten to the places, and what a division lost."""
    if places >= 0:
        return amount * int(10**places), 0
    return divmod(amount, int(10**-places))
