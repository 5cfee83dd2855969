"""What a field of the settings may hold. A rule says it in words, and refuses everything else by the field's path."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from counterfoil.domain.countries import COUNTRIES
from counterfoil.domain.cron import fault
from counterfoil.domain.delivery import is_address
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.money import EXPONENT, MAX_MINOR

SHOWN_CHARS: Final = 60  # of what a caller sent, in a sentence
SECRET_CHARS: Final = 255  # the longest key either gateway gives out is half of that
ZONE_CHARS: Final = 64  # the longest name of a time zone has 32

_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]*")
LOCALE_TEXT: Final = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # a financial year begins in every year

Check: TypeAlias = Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """`check` takes a value and the path of its field, and returns what is stored. Raises InvalidRequestError."""

    says: str
    check: Check
    text: bool = False  # a command line gives it as it stands, without quotes


def wrong(where: str, what: str) -> InvalidRequestError:
    """The refusal of a field, as a sentence that begins with its path."""
    return InvalidRequestError(f"{where} {what}.", field=where)


def unknown(where: str, name: str, names: Collection[str]) -> InvalidRequestError:
    """The refusal of a name that is none, with the one that was probably meant."""
    path = f"{where}.{shown(name)}" if where else shown(name)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none here'}."
    return InvalidRequestError(f"{path} is not a setting; {hint}", field=path)


def shown(text: str) -> str:
    """What somebody sent, fit for a sentence: short, and of printable ASCII."""
    return text[:SHOWN_CHARS].encode("unicode_escape").decode("ascii")


def _one_line(value: Any) -> bool:
    """Whether it is text that a database holds and a page shows on one line."""
    return isinstance(value, str) and value.isprintable()


def text(most: int) -> Rule:
    says = f"text of 1 to {most} characters"

    def check(value: Any, where: str) -> str:
        if not _one_line(value) or not 0 < len(value.strip()) <= most:
            raise wrong(where, f"must be a {says} on one line")
        return str(value.strip())

    return Rule(says, check, text=True)


def whole(least: int, most: int) -> Rule:
    says = f"whole number from {least} to {most}"

    def check(value: Any, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise wrong(where, f"must be a {says}")
        return value

    return Rule(says, check)


def one_of(*names: str) -> Rule:
    says = f"one of {', '.join(names)}"

    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise wrong(where, f"must be {says}")
        return value

    return Rule(says, check, text=True)


def matching(says: str, holds: Callable[[str], bool]) -> Rule:
    """A text of which something holds, in words and as a function."""

    def check(value: Any, where: str) -> str:
        if not _one_line(value) or not value.isascii() or not holds(value):
            raise wrong(where, f"must be {says}")
        return str(value)

    return Rule(says, check, text=True)


def several(one: Rule, most: int, *, least: int = 0) -> Rule:
    """A list in which nothing stands twice."""
    says = f"list of {least} to {most}: {one.says}"

    def check(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise wrong(where, f"must be a list of {least} to {most}")
        items = [one.check(item, f"{where}.{n}") for n, item in enumerate(value)]
        if len(set(items)) != len(items):
            raise wrong(where, "holds something twice")
        return items

    return Rule(says, check)


def listed(one: Rule, most: int) -> Rule:
    """A list in which the order counts."""
    says = f"list of at most {most}: {one.says}"

    def check(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise wrong(where, f"must be a list of at most {most}")
        return [one.check(item, f"{where}.{n}") for n, item in enumerate(value)]

    return Rule(says, check)


def named(one: Rule, most: int) -> Rule:
    """An object with names of the merchant's own."""
    name, says = text(40), f"object of at most {most} names, each with a {one.says}"

    def check(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, Mapping) or len(value) > most:
            raise wrong(where, f"must be an object of at most {most} names")
        return {
            name.check(key, f"{where}.{shown(key)}"): one.check(item, f"{where}.{shown(key)}")
            for key, item in value.items()
        }

    return Rule(says, check)


def record(**parts: Rule) -> Rule:
    """An object with exactly these parts."""
    return partly(tuple(parts), **parts)


def partly(needed: Collection[str], /, **parts: Rule) -> Rule:
    """An object with some of these parts; those `needed` must be there."""
    says = "object: " + "; ".join(f"{name} ({rule.says})" for name, rule in parts.items())

    def check(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise wrong(where, f"must be an object with {', '.join(parts)}")
        for name in value:
            if name not in parts:
                raise unknown(where, name, parts)
        for name in needed:
            if name not in value:
                raise wrong(f"{where}.{name}", "is needed beside the rest")
        return {
            name: rule.check(value[name], f"{where}.{name}") for name, rule in parts.items() if name in value
        }

    return Rule(says, check)


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise wrong(where, "must be true or false")
    return value


def _amounts(says: str, refusal: str) -> Rule:
    amount = whole(0, MAX_MINOR)

    def check(value: Any, where: str) -> dict[str, int]:
        if not isinstance(value, Mapping):
            raise wrong(where, refusal)
        for code in value:
            if code not in EXPONENT:
                raise wrong(f"{where}.{shown(code)}", "is not a currency of ISO 4217")
        return {code: amount.check(minor, f"{where}.{code}") for code, minor in value.items()}

    return Rule(says, check)


def _cron(value: Any, where: str) -> str:
    if not _one_line(value) or not value.isascii():
        raise wrong(where, "must be a cron expression, as 0 3 * * *")
    if what := fault(value):
        raise wrong(where, what)
    return " ".join(value.split())


def _is_zone(value: str) -> bool:
    if len(value) > ZONE_CHARS or not _ZONE.fullmatch(value):
        return False
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown, outside the data, or one of its folders
        return False
    return True


def _is_day(value: str) -> bool:
    month, _, day = value.partition("-")
    if not re.fullmatch(r"[0-9]{2}-[0-9]{2}", value) or not 1 <= int(month) <= len(_MONTH_DAYS):
        return False
    return 1 <= int(day) <= _MONTH_DAYS[int(month) - 1]


def as_it_is(value: Any, where: str) -> Any:
    """The check of what is read elsewhere: by its own section's rules, or before it comes here."""
    del where
    return value


FLAG: Final = Rule("true or false", _flag)
AMOUNTS: Final = _amounts(
    "minor units by currency, or one number of the default currency",
    "must map currencies to minor units, or be one number of the default currency",
)
BY_CURRENCY: Final = _amounts(
    "minor units by currency", 'must map currencies to minor units, as {"INR": 100000}'
)
CRON: Final = Rule("cron expression of five fields", _cron, text=True)
ZONE: Final = matching("a time zone of the IANA list, as Asia/Kolkata", _is_zone)
COUNTRY: Final = matching("a country of ISO 3166, as IN", COUNTRIES.__contains__)
CURRENCY: Final = matching("a currency of ISO 4217, as INR", EXPONENT.__contains__)
LOCALE: Final = matching("a locale, as en or hi-IN", lambda text: bool(LOCALE_TEXT.fullmatch(text)))
DAY_OF_YEAR: Final = matching("a day of every year, MM-DD", _is_day)
TIME_OF_DAY: Final = matching(
    "a time of day, HH:MM", lambda text: bool(re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text))
)
STATE: Final = matching(
    "a state of India by its two digits, as 29", lambda text: bool(re.fullmatch(r"[0-9]{2}", text))
)
PREFIX: Final = matching(
    "one to four capital letters or digits", lambda text: bool(re.fullmatch(r"[A-Z0-9]{1,4}", text))
)
EMAIL: Final = matching("an e-mail address", is_address)
SECRET: Final = Rule(
    f"text of at most {SECRET_CHARS} printable ASCII characters without spaces", as_it_is, text=True
)
COMPUTED: Final = Rule("", as_it_is)
