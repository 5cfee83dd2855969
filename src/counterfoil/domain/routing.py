"""What each gateway can do, and which one takes a payment.

The capability table is gateway × currency × method; an account may be able to do less, never more. It decides what
routing chooses, what the checkout offers and what the API refuses before anything is sent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from counterfoil.domain.errors import AmountNotValidError, NoGatewayError, NotSupportedError
from counterfoil.domain.money import EXPONENT, Money, to_wire


class Feature(StrEnum):
    SERVER_CONFIRM = "server_confirm"  # charge a payment method named in the API
    PARTIAL_CAPTURE = "partial_capture"
    CANCEL = "cancel"  # the gateway itself can end an attempt


@dataclass(frozen=True, slots=True)
class Capability:
    methods: tuple[str, ...]
    features: frozenset[Feature]
    smallest: dict[str, int]  # minor units, by currency
    without: frozenset[str] = frozenset()  # currencies it does not take


# Sources: Stripe and Razorpay documentation. Razorpay takes foreign currencies by card alone; UPI, netbanking, wallets
# and EMI are for rupees. Bank debit and redirect methods stand for Stripe's delayed and redirecting ones.
CAPABILITIES: Final = {
    "stripe": Capability(
        methods=("card", "redirect", "bank_debit"),
        features=frozenset({Feature.SERVER_CONFIRM, Feature.PARTIAL_CAPTURE, Feature.CANCEL}),
        smallest={
            "USD": 50, "EUR": 50, "GBP": 30, "INR": 50, "JPY": 50, "CAD": 50, "AUD": 50, "CHF": 50, "SGD": 50,
            "HKD": 400, "MXN": 1000, "NZD": 50, "SEK": 300, "NOK": 300, "DKK": 250, "PLN": 200, "BRL": 50, "AED": 200,
            "MYR": 200, "RON": 200, "CZK": 1500, "HUF": 17500, "THB": 1000, "BGN": 100,
        },
        without=frozenset({"CUP", "IRR", "KPW", "SDG", "SYP", "VED", "XAD"}),
    ),
    "razorpay": Capability(
        methods=("card", "upi", "netbanking", "wallet", "emi"),
        features=frozenset(),
        smallest={"INR": 100},
        without=frozenset({"CUP", "IRR", "KPW", "SDG", "SYP", "VED", "CLF", "UYW"}),
    ),
}  # fmt: skip
RUPEES_ONLY: Final = frozenset({"upi", "netbanking", "wallet", "emi"})


def methods(gateway: str, currency: str) -> tuple[str, ...]:
    """The methods a customer may use there in this currency."""
    return tuple(
        method for method in CAPABILITIES[gateway].methods if currency == "INR" or method not in RUPEES_ONLY
    )


def obstacle(gateway: str, money: Money) -> str | None:
    """Why this gateway cannot take this money, as a sentence; None where it can."""
    capability = CAPABILITIES[gateway]
    if money.currency in capability.without or money.currency not in EXPONENT:
        return f"{gateway} does not take {money.currency}"
    smallest = capability.smallest.get(money.currency, 1)
    if money.minor < smallest:
        return f"{gateway} takes no less than {Money(smallest, money.currency)}"
    try:
        to_wire(gateway, money)
    except AmountNotValidError as fine:
        return fine.detail
    return None


def require(gateway: str, feature: Feature, doing: str) -> None:
    """Raise NotSupportedError where the gateway lacks the feature."""
    if feature not in CAPABILITIES[gateway].features:
        raise NotSupportedError(f"{gateway} cannot {doing}.", gateway=gateway, feature=feature.value)


@dataclass(frozen=True, slots=True)
class Choice:
    """A gateway, and the sentence that says why: kept on the attempt and shown."""

    gateway: str
    reason: str


# At home: UPI and netbanking are worth more to a payer in rupees than a foreign card form.
HOME: Final = {"razorpay": frozenset({"INR"})}


def choose(
    money: Money, enabled: Sequence[str], *, named: str | None = None, needs: Iterable[Feature] = ()
) -> list[Choice]:
    """The gateways that can take this payment, best first.

    Raises NotSupportedError where the named gateway cannot, NoGatewayError where none can; each says why.
    """
    if named is not None and named not in enabled:
        raise NoGatewayError(f"{named} is not configured or not enabled in this mode.", gateway=named)
    candidates = [named] if named else list(enabled)
    obstacles = {gateway: _why_not(gateway, money, needs) for gateway in candidates}
    able = [gateway for gateway in candidates if obstacles[gateway] is None]
    if named and not able:
        raise NotSupportedError(f"{obstacles[named]}.", gateway=named)
    if not able:
        told = "; ".join(sentence for sentence in obstacles.values() if sentence) or "none is configured"
        raise NoGatewayError(f"No gateway can take {money}: {told}.")
    ranked = sorted(
        able, key=lambda gateway: (money.currency not in HOME.get(gateway, ()), enabled.index(gateway))
    )
    return [Choice(gateway, _reason(gateway, money, named)) for gateway in ranked]


def _why_not(gateway: str, money: Money, needs: Iterable[Feature]) -> str | None:
    lacking = [feature for feature in needs if feature not in CAPABILITIES[gateway].features]
    if lacking:
        return f"{gateway} lacks {', '.join(feature.value for feature in lacking)}"
    return obstacle(gateway, money)


def _reason(gateway: str, money: Money, named: str | None) -> str:
    if named:
        return "named by the caller"
    if money.currency in HOME.get(gateway, ()):
        return f"{gateway} offers the methods that payers in {money.currency} use"
    return f"first enabled gateway that takes {money.currency}"
