"""Excel workbooks: numbers that are numbers, money in the format of its currency, and a print that fits its page.

Texts are written as texts: nothing is taken for a formula or a link. Rows are written as they come (constant memory).
"""

import io
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from counterfoil.domain.money import EXPONENT, Money
from counterfoil.domain.refund_report import Share

Cell: TypeAlias = str | int | Share | Money | None

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OPTIONS: Final = {
    "in_memory": False,
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
}
ROWS_MOST: Final = 1_048_576  # of a sheet, by Excel's own limit: XlsxWriter leaves out what comes behind
_A4: Final = 9
_WIDTH: Final = 14  # characters: an amount of a billion with its currency
_SHARE: Final = "0.00%"
_COUNT: Final = "#,##0"


def workbook(
    title: str, header: Sequence[str], rows: Iterable[Sequence[Cell]], *, made_at: datetime
) -> bytes:
    """A workbook of one sheet. An int is a count, money is in major units.

    Raises ValueError where a text holds a NUL.
    """
    out = io.BytesIO()
    with Rows(out, title, header, made_at=made_at) as book:
        for row in rows:
            book.add(row)
    return out.getvalue()


class Rows:
    """A workbook of one sheet that is written row by row, to a file or into memory.

    Its methods may be called in any thread, one after the other. Raises OSError where the file cannot be written.
    """

    def __init__(
        self, out: io.BytesIO | Path, title: str, header: Sequence[str], *, made_at: datetime
    ) -> None:
        self._busy = threading.Lock()  # whoever is cancelled closes it while rows are still being written
        self._book = xlsxwriter.Workbook(out if isinstance(out, io.BytesIO) else str(out), OPTIONS)
        self._book.set_properties(
            {"title": title, "author": "Counterfoil", "created": made_at.replace(tzinfo=None)}
        )
        self._sheet, self._formats, self._row = (
            self._book.add_worksheet(_sheet_name(title)),
            _Formats(self._book),
            0,
        )
        _set_up(self._sheet, title, len(header))
        for column, name in enumerate(header):
            _write(self._sheet, 0, column, name, self._formats.bold)

    def add(self, row: Sequence[Cell]) -> None:
        """The next row. Raises ValueError where a text holds a NUL."""
        self._row += 1
        for column, cell in enumerate(row):
            _write(self._sheet, self._row, column, cell, self._formats.of(cell))

    def add_all(self, rows: Iterable[Sequence[Cell]]) -> None:
        """The next rows."""
        with self._busy:
            for row in rows:
                self.add(row)

    def close(self) -> None:
        """Write the book."""
        with self._busy:
            try:
                self._book.close()
            except FileCreateError as refused:
                raise refused.args[0] from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sheet_name(title: str) -> str:
    """Excel's own limits: 31 characters, and none of seven."""
    return "".join(" " if letter in "[]:*?/\\" else letter for letter in title)[:31].strip(" '")


def _set_up(sheet: Any, title: str, columns: int) -> None:
    """One page wide, the header on every page, which page of how many at its foot."""
    sheet.set_landscape()
    sheet.set_paper(_A4)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.freeze_panes(1, 1)
    sheet.set_footer(f"&L{title.replace('&', '&&')}&R&P / &N")
    sheet.set_column(0, columns - 1, _WIDTH)


class _Formats:
    """The formats of a workbook, each made once."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._made: dict[str, Any] = {}
        self.bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})

    def of(self, cell: Cell) -> Any:
        if cell is None or isinstance(cell, str):
            return None
        shape = pattern(cell)
        if shape not in self._made:
            self._made[shape] = self._book.add_format({"num_format": shape})
        return self._made[shape]


def pattern(cell: int | Share | Money) -> str:
    """Excel's format of a number: a share in per cent, money with the digits and the code of its currency."""
    if isinstance(cell, Money):
        digits = EXPONENT[cell.currency]
        return f'#,##0{"." + "0" * digits if digits else ""}\\ "{cell.currency}"'
    return _SHARE if isinstance(cell, Share) else _COUNT


def _write(sheet: Any, row: int, column: int, cell: Cell, form: Any) -> None:
    if isinstance(cell, str):
        if "\x00" in cell:
            raise ValueError("a cell may not hold the character U+0000")
        sheet.write_string(row, column, cell, form)
    elif cell is not None:
        sheet.write_number(row, column, _number(cell), form)


def _number(cell: int | Share | Money) -> float:
    """A spreadsheet's numbers are doubles, whose fifteen digits hold every amount that is taken exactly."""
    return float(cell.major if isinstance(cell, Money) else str(cell))
