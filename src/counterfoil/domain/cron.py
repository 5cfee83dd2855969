"""Cron expressions of five fields: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday)."""

import re
from typing import Final

CHARS: Final = 100  # a list of every hour takes sixty
_FIELDS: Final = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
)
_TERM: Final = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def fault(expression: str) -> str | None:
    """What is wrong with the expression, as the end of a sentence; None where it names a time that comes."""
    parts = expression.split()
    if len(expression) > CHARS or len(parts) != len(_FIELDS):
        return "must have five fields: minute, hour, day of the month, month, day of the week"
    values = [_values(part, least, most) for part, (_, least, most) in zip(parts, _FIELDS, strict=True)]
    for part, found, (name, least, most) in zip(parts, values, _FIELDS, strict=True):
        if found is None:
            return f"has {part!r} for the {name}; it must be made of {least} to {most}, *, ranges, lists and steps"
    days, months = values[2] or set(), values[3] or set()
    if parts[4] == "*" and not any(day <= _DAYS[month - 1] for day in days for month in months):
        return "names a day that no month it names has"
    return None


def _values(part: str, least: int, most: int) -> set[int] | None:
    """What a field stands for; None where it is no such field."""
    found: set[int] = set()
    for term in part.split(","):
        values = _term(term, least, most)
        if not values:
            return None
        found.update(values)
    return found


def _term(term: str, least: int, most: int) -> range | None:
    match = _TERM.fullmatch(term) if term.isascii() else None
    if match is None:
        return None
    first, last, step = match.groups()
    start = least if first is None else int(first)
    alone = first is not None and step is None
    end = int(last) if last is not None else start if alone else most
    if not least <= start <= end <= most or (step is not None and int(step) == 0):
        return None
    return range(start, end + 1, int(step or 1))
