"""The merchant's own rules of routing, as the settings document holds them.

    "routing": {
      "order": ["stripe", "razorpay"],
      "rules": [
        {"name": "large rupee payments at home",
         "when": {"currency": ["INR"], "country": ["IN"], "method": ["card"], "amountFrom": {"INR": 1000000}},
         "use": ["razorpay"]}
      ],
      "breaker": {"failures": 5, "openSeconds": 30},
      "lateAuthorization": "leave"
    }

The first rule whose every condition holds decides, and only the gateways it names are used, in its order. A condition
that names what the payment does not tell (no country, no method) does not hold.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from counterfoil.domain.breaker import BreakerPolicy
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.money import Money

RULES_MOST: Final = 100  # read on one screen, and walked through for every payment
NAME_CHARS: Final = 100  # a name is shown in every reason
CONDITIONS: Final = ("currency", "country", "method", "amountFrom", "amountBelow")
LATE: Final = ("leave", "refund")


@dataclass(frozen=True, slots=True)
class Question:
    """What routing knows of a payment."""

    money: Money
    method: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class When:
    """The conditions of a rule. None asks for nothing."""

    currencies: frozenset[str] | None = None
    countries: frozenset[str] | None = None
    methods: frozenset[str] | None = None
    amount_from: Mapping[str, int] | None = None  # minor units, by currency
    amount_below: Mapping[str, int] | None = None

    def holds(self, asked: Question) -> bool:
        minor, currency = asked.money.minor, asked.money.currency
        return (
            (self.currencies is None or currency in self.currencies)
            and (self.countries is None or asked.country in self.countries)
            and (self.methods is None or asked.method in self.methods)
            and (
                self.amount_from is None
                or (currency in self.amount_from and minor >= self.amount_from[currency])
            )
            and (
                self.amount_below is None
                or (currency in self.amount_below and minor < self.amount_below[currency])
            )
        )


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    when: When
    use: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules, the order of preference where none holds, and how long a gateway that fails is left alone."""

    order: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    late_authorization: str = "leave"

    def rule_for(self, question: Question) -> Rule | None:
        return next((rule for rule in self.rules if rule.when.holds(question)), None)


def read(document: Mapping[str, Any], gateways: Collection[str]) -> Policy:
    """The policy of the settings' section "routing". Raises InvalidRequestError, which names the field."""
    section = _object(document, "routing")
    _known(section, "routing", ("order", "rules", "breaker", "lateAuthorization"))
    rules = section.get("rules", [])
    if not isinstance(rules, list) or len(rules) > RULES_MOST:
        raise _wrong("routing.rules", f"must be a list of at most {RULES_MOST} rules")
    late = section.get("lateAuthorization", "leave")
    if late not in LATE:
        raise _wrong("routing.lateAuthorization", f"must be one of {', '.join(LATE)}")
    return Policy(
        order=_gateways(section.get("order", []), "routing.order", gateways, least=0),
        rules=tuple(_rule(rule, f"routing.rules.{n}", gateways) for n, rule in enumerate(rules)),
        breaker=_breaker(_object(section.get("breaker", {}), "routing.breaker")),
        late_authorization=late,
    )


def _rule(asked: Any, where: str, gateways: Collection[str]) -> Rule:
    rule = _object(asked, where)
    _known(rule, where, ("name", "when", "use"))
    name = rule.get("name")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= NAME_CHARS:
        raise _wrong(f"{where}.name", f"must be a text of 1 to {NAME_CHARS} characters")
    when = _object(rule.get("when", {}), f"{where}.when")
    _known(when, f"{where}.when", CONDITIONS)
    return Rule(
        name.strip(),
        When(
            currencies=_texts(when, f"{where}.when.currency", 3),
            countries=_texts(when, f"{where}.when.country", 2),
            methods=_texts(when, f"{where}.when.method", None),
            amount_from=_amounts(when, f"{where}.when.amountFrom"),
            amount_below=_amounts(when, f"{where}.when.amountBelow"),
        ),
        _gateways(rule.get("use"), f"{where}.use", gateways, least=1),
    )


def _breaker(section: Mapping[str, Any]) -> BreakerPolicy:
    standard = BreakerPolicy()
    _known(section, "routing.breaker", ("failures", "openSeconds"))
    return BreakerPolicy(
        failures=_count(section.get("failures", standard.failures), "routing.breaker.failures", 1_000),
        open_s=_count(section.get("openSeconds", standard.open_s), "routing.breaker.openSeconds", 3_600),
    )


def _count(value: Any, where: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise _wrong(where, f"must be a whole number from 1 to {most}")
    return value


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where, "must be an object")
    return value


def _known(section: Mapping[str, Any], where: str, names: Sequence[str]) -> None:
    for name in section:
        if name not in names:
            raise _wrong(f"{where}.{name}", f"is not a setting; there are {', '.join(names)}")


def _texts(section: Mapping[str, Any], where: str, length: int | None) -> frozenset[str] | None:
    values = section.get(where.rpartition(".")[2])
    if values is None:
        return None
    if (
        not isinstance(values, list)
        or not values
        or not all(isinstance(text, str) and text for text in values)
    ):
        raise _wrong(where, "must be a list of texts, and not empty")
    if length and not all(len(text) == length and text.isalpha() and text.isupper() for text in values):
        raise _wrong(where, f"must hold codes of {length} capital letters")
    return frozenset(values)


def _amounts(section: Mapping[str, Any], where: str) -> Mapping[str, int] | None:
    amounts = section.get(where.rpartition(".")[2])
    if amounts is None:
        return None
    if not isinstance(amounts, Mapping) or not amounts:
        raise _wrong(where, "must map currencies to minor units")
    for currency, minor in amounts.items():
        if not isinstance(minor, int) or isinstance(minor, bool) or minor <= 0 or len(currency) != 3:  # noqa: PLR2004  ISO 4217
            raise _wrong(f"{where}.{currency}", "must be a whole number of minor units above zero")
    return dict(amounts)


def _gateways(value: Any, where: str, gateways: Collection[str], *, least: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) < least or len(set(map(str, value))) != len(value):
        raise _wrong(where, f"must be a list of gateways, each once{' and not empty' if least else ''}")
    for name in value:
        if name not in gateways:
            raise _wrong(where, f"names {name}; there are {', '.join(sorted(gateways))}")
    return tuple(value)


def _wrong(where: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{where} {what}.", field=where)
