"""Which of the merchant's own templates a receipt is drawn by, as the settings document says.

    "receiptGeneration": {
      "customTemplates": [
        {"template": "kaveri-hindi", "when": {"language": ["hi"], "currency": ["INR"]}},
        {"template": "tea-house", "when": {"metadata": {"brand": "tea"}}},
        {"template": "kaveri"}
      ]
    }

The first rule whose every condition holds and whose template is published decides. A condition that asks for what the
receipt does not say does not hold. Where no rule holds, the built-in look is used.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from counterfoil.domain.receipt import Kind, Receipt
from counterfoil.domain.settings_rules import (
    BY_CURRENCY,
    COUNTRY,
    CURRENCY,
    LOCALE,
    Rule,
    listed,
    matching,
    named,
    one_of,
    partly,
    several,
    text,
)

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
NAME_SAYS: Final = "1 to 40 small letters, digits and dashes"
VERSIONS_MOST: Final = 2**31 - 1  # as far as the database counts
RULES_MOST: Final = 50  # walked through for every receipt
CONDITIONS_MOST: Final = 50

NAMED: Final = matching(NAME_SAYS, lambda name: NAME.fullmatch(name) is not None)
_WHEN: Final = partly(
    (),
    kind=several(one_of(*(kind.value for kind in Kind)), len(Kind), least=1),
    currency=several(CURRENCY, CONDITIONS_MOST, least=1),
    language=several(LOCALE, CONDITIONS_MOST, least=1),
    country=several(COUNTRY, CONDITIONS_MOST, least=1),
    amountFrom=BY_CURRENCY,
    amountBelow=BY_CURRENCY,
    metadata=named(text(256), 13),
)
RULES: Final[Rule] = listed(partly(("template",), template=NAMED, when=_WHEN), RULES_MOST)


@dataclass(frozen=True, slots=True)
class Choice:
    """One rule: a template, and when it is used. What is not named asks for nothing."""

    template: str
    when: Mapping[str, Any] = field(default_factory=dict)

    def holds(self, receipt: Receipt, metadata: Mapping[str, str]) -> bool:
        when, total, currency = self.when, receipt.total, receipt.currency
        return (
            receipt.kind.value in when.get("kind", (receipt.kind.value,))
            and currency in when.get("currency", (currency,))
            and ("language" not in when or any(_speaks(receipt.locale, asked) for asked in when["language"]))
            and ("country" not in when or receipt.buyer.country in when["country"])
            and ("amountFrom" not in when or total >= when["amountFrom"].get(currency, total + 1))
            and ("amountBelow" not in when or total < when["amountBelow"].get(currency, total))
            and all(metadata.get(name) == value for name, value in when.get("metadata", {}).items())
        )


def _speaks(locale: str, asked: str) -> bool:
    """Whether a locale is of that language: "hi-IN" is Hindi, and so is "hi"."""
    return locale == asked or locale.startswith(f"{asked}-")


def read(rules: Sequence[Mapping[str, Any]]) -> tuple[Choice, ...]:
    """The rules of the settings' field, which has been checked by RULES."""
    return tuple(Choice(rule["template"], rule.get("when", {})) for rule in rules)


def fitting(choices: Iterable[Choice], receipt: Receipt, metadata: Mapping[str, str]) -> list[str]:
    """The templates whose rules hold, the first of them first."""
    return list(dict.fromkeys(one.template for one in choices if one.holds(receipt, metadata)))


def reference(name: str, version: int) -> str:
    """How a receipt names what it is drawn by: "kaveri@3"."""
    return f"{name}@{version}"


def parts(reference: str) -> tuple[str, int]:
    """Name and version of what `reference` has put together."""
    name, _, version = reference.rpartition("@")
    return name, int(version)
