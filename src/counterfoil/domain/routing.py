"""What each gateway can do, and which one takes a payment.

The capability table is gateway × currency × method; an account may be able to do less, never more. It decides what
routing chooses, what the checkout offers and what the API refuses before anything is sent. Which of those that can is
chosen, the merchant's rules say (domain/routing_policy.py), then how each gateway fares.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from counterfoil.domain.errors import (
    AmountNotValidError,
    GatewayAwayError,
    NoGatewayError,
    NotSupportedError,
)
from counterfoil.domain.money import EXPONENT, Money, to_wire
from counterfoil.domain.routing_policy import Policy, Question


class Feature(StrEnum):
    SERVER_CONFIRM = "server_confirm"  # charge a payment method named in the API
    PARTIAL_CAPTURE = "partial_capture"
    CANCEL = "cancel"  # the gateway itself can end an attempt
    PARTIAL_CONTEST = "partial_contest"  # part of a dispute is contested, and the rest given up


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
        features=frozenset({Feature.PARTIAL_CONTEST}),
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


# At home: UPI and netbanking are worth more to a payer in rupees than a foreign card form.
HOME: Final = {"razorpay": frozenset({"INR"})}
STANDARD: Final = Policy()


@dataclass(frozen=True, slots=True)
class Down:
    """How a gateway fares, where not well. One that is `away` is not asked at all; one in trouble is asked last."""

    because: str
    away: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A gateway, and the sentence that says why: kept on the attempt and shown."""

    gateway: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What routing thinks of one gateway: its place among those that can, or the sentence that says why it cannot."""

    gateway: str
    reason: str
    obstacle: str | None = None
    down: Down | None = None


def choose(
    question: Question,
    enabled: Sequence[str],
    policy: Policy = STANDARD,
    *,
    named: str | None = None,
    needs: Iterable[Feature] = (),
    down: Mapping[str, Down] | None = None,
) -> list[Choice]:
    """The gateways that can take this payment, best first.

    Raises NotSupportedError where the named gateway cannot, NoGatewayError where none can, GatewayAwayError where those
    that could do not answer now; each says why.
    """
    if named is not None and named not in enabled:
        raise NoGatewayError(f"{named} is not configured or not enabled in this mode.", gateway=named)
    verdicts = weigh(question, enabled, policy, named=named, needs=needs, down=down)
    able = [verdict for verdict in verdicts if verdict.obstacle is None]
    if named and not able:
        raise NotSupportedError(f"{verdicts[0].obstacle}.", gateway=named)
    if not able:
        told = "; ".join(f"{verdict.obstacle}" for verdict in verdicts) or "none is configured"
        raise NoGatewayError(f"No gateway can take {question.money}: {told}.")
    there = [verdict for verdict in able if verdict.down is None or not verdict.down.away]
    if not there:
        told = "; ".join(verdict.down.because for verdict in able if verdict.down)
        raise GatewayAwayError(f"No gateway that can take {question.money} answers now: {told}.")
    return [Choice(verdict.gateway, _with_health(verdict, verdicts)) for verdict in there]


def weigh(
    question: Question,
    enabled: Sequence[str],
    policy: Policy = STANDARD,
    *,
    named: str | None = None,
    needs: Iterable[Feature] = (),
    down: Mapping[str, Down] | None = None,
) -> list[Verdict]:
    """What routing thinks of every gateway, best first, those that cannot last."""
    needs, down = tuple(needs), down or {}
    candidates = [named] if named else list(enabled)
    rule = None if named else policy.rule_for(question)
    verdicts = []
    for gateway in candidates:
        why_not = _why_not(gateway, question, needs)
        if why_not is None and rule is not None and gateway not in rule.use:
            why_not = f'the rule "{rule.name}" does not use {gateway}'
        reason = _reason(gateway, question.money, named, rule.name if rule else None)
        verdicts.append(Verdict(gateway, reason, why_not, down.get(gateway)))
    order = [*(rule.use if rule else policy.order), *candidates]

    def rank(verdict: Verdict) -> tuple[bool, bool, bool, int]:
        away_from_home = question.money.currency not in HOME.get(verdict.gateway, ())
        preferred = rule is not None or verdict.gateway in policy.order
        return (
            verdict.obstacle is not None,
            verdict.down is not None,
            away_from_home and not preferred,
            order.index(verdict.gateway),
        )

    return sorted(verdicts, key=rank)


def _why_not(gateway: str, question: Question, needs: Iterable[Feature]) -> str | None:
    lacking = [feature for feature in needs if feature not in CAPABILITIES[gateway].features]
    if lacking:
        return f"{gateway} lacks {', '.join(feature.value for feature in lacking)}"
    if question.method and question.method not in methods(gateway, question.money.currency):
        return f"{gateway} takes no {question.method} in {question.money.currency}"
    return obstacle(gateway, question.money)


def _reason(gateway: str, money: Money, named: str | None, rule: str | None) -> str:
    if named:
        return "named by the caller"
    if rule:
        return f'by the rule "{rule}"'
    if money.currency in HOME.get(gateway, ()):
        return f"{gateway} offers the methods that payers in {money.currency} use"
    return f"first enabled gateway that takes {money.currency}"


def _with_health(chosen: Verdict, verdicts: Sequence[Verdict]) -> str:
    """The reason, and what kept those that would have come before from being asked."""
    if chosen.down is not None:
        return f"{chosen.reason}, although {chosen.down.because}"
    passed = [v.down.because for v in verdicts if v.down is not None and v.obstacle is None]
    return f"{chosen.reason}; {'; '.join(passed)}" if passed else chosen.reason
