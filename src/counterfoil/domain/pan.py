"""Recognising what looks like a card number, so that it is refused and never stored."""

import re
from itertools import accumulate
from typing import Any, Final

# Digits, with a space or dash between any two of them.
RUN: Final = re.compile(r"\d(?:[ -]?\d)*", re.ASCII)
LENGTHS: Final = range(13, 20)
# Merchants name their orders by UUIDs; one in a thousand would else hold a card number across its dashes.
_UUID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_TWICE: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # the sum of the digits of each digit's double
# First digits that card networks issue: Amex, Diners, JCB, Visa, Mastercard, Discover, Maestro, RuPay, UnionPay.
_ISSUED: Final = re.compile(r"3[04-9]|4|5|6|2[2-7]|81|82")


def looks_like_card(text: str) -> bool:
    """Whether the text holds digits that a card network could have issued (length, first digits and Luhn).

    They may stand beside others, as an expiry date or a security code. Not within an unbroken row of digits, or every
    long number would hold one; nor between two letters, as in a hexadecimal digest; nor in a UUID.
    """
    if len(text) < LENGTHS.start:  # most values of a body: a hundred thousand of them are one request
        return False
    rest = _UUID.sub(" ", text)
    return any(_holds_card(run.group()) for run in RUN.finditer(rest) if not _inside_word(rest, run))


def _inside_word(text: str, run: re.Match[str]) -> bool:
    return text[run.start() - 1 : run.start()].isalpha() and text[run.end() : run.end() + 1].isalpha()


def _holds_card(run: str) -> bool:
    """Whether some neighbouring groups of a run's digits are a card number together."""
    groups = re.split("[ -]", run)
    digits, edges = "".join(groups), [0, *accumulate(map(len, groups))]
    ends, sums = frozenset(edges), _luhn_sums(digits)
    return any(
        end in ends and (sums[end % 2][end] - sums[end % 2][start]) % 10 == 0
        for start in edges
        if _ISSUED.match(digits, start)
        for end in range(start + LENGTHS.start, start + LENGTHS.stop)
    )


def find_card(value: Any, path: str = "") -> str | None:
    """The path of the first string or number in plain JSON values that looks like a card number."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if looks_like_card(str(name)):
                return path or "a field's name"
            if found := find_card(inner, f"{path}.{name}" if path else str(name)):
                return found
        return None
    if isinstance(value, list):
        return next(
            (found for n, inner in enumerate(value) if (found := find_card(inner, f"{path}[{n}]"))), None
        )
    if isinstance(value, str | int | float):
        return (path or "the body") if looks_like_card(str(value)) else None
    return None


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """Luhn's sum up to each digit, as it counts for numbers that end before an even place, and before an odd one.

    Every second digit counts twice, from the last but one on. Summed once, since a body of nothing but digits and spaces
    holds a million numbers, and whoever sends it need not say who they are.
    """
    once = [int(digit) for digit in digits]
    sums = once.copy(), once.copy()
    for parity, counted in enumerate(sums):
        counted[parity::2] = [_TWICE[digit] for digit in once[parity::2]]
    even, odd = ([0, *accumulate(counted)] for counted in sums)
    return even, odd
