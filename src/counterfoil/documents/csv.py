"""CSV in UTF-8 as RFC 4180 has it, in which no cell is a formula to the spreadsheet that opens it.

A text that begins as a formula would gets an apostrophe before it (OWASP, "CSV Injection"); numbers stay numbers, and
money is a number in major units, whose currency has a column of its own.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from counterfoil.domain.money import Money
from counterfoil.domain.refund_report import Share

Cell: TypeAlias = str | int | Share | Money | None

# What a spreadsheet takes for the beginning of a formula, or passes over and then does; the wide forms in Japanese locales.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
MEDIA_TYPE: Final = "text/csv"


def guarded(text: str) -> str:
    """The text, which no spreadsheet takes for a formula. Raises ValueError where it holds a NUL."""
    if "\x00" in text:
        raise ValueError("a cell may not hold the character U+0000")
    return f"'{text}" if text.startswith(_FORMULA) else text


def line(cells: Sequence[Cell]) -> bytes:
    """One row, with its line's end. Raises ValueError as `guarded`."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(map(_written, cells))
    return written.getvalue().encode()


def _written(cell: Cell) -> str:
    if isinstance(cell, str):
        return guarded(cell)
    if isinstance(cell, Money):
        return cell.major
    return "" if cell is None else str(cell)


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """The header and the rows, one at a time."""
    yield line(header)
    for row in rows:
        yield line(row)
