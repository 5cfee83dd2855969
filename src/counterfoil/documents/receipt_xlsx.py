"""A receipt as an Excel book of one sheet: who, what and how much, with figures that are numbers."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import xlsxwriter

from counterfoil.documents import receipt_dates, receipt_india
from counterfoil.documents.receipt_shown import moved_on, rate, total
from counterfoil.documents.receipt_words import named, ours, words
from counterfoil.documents.xlsx import MEDIA_TYPE, OPTIONS, pattern
from counterfoil.domain.receipt import Kind, Line, Party, Receipt, money

__all__ = ["MEDIA_TYPE", "render"]

_WIDTHS = (44, 12, 10, 18, 18)  # characters: description, code, quantity, unit price, amount
_TAX_WIDTH = 18  # and of each column that taxes add


def render(receipt: Receipt) -> bytes:
    """One receipt as a book, whose sheet is named by its number. Raises ValueError where a text holds a NUL."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, OPTIONS) as book:
        book.set_properties({"title": receipt.number, "created": receipt.issued_at.replace(tzinfo=None)})
        _Sheet(book, receipt).fill()
    return out.getvalue()


class _Sheet:
    """One receipt's sheet, written from the top down."""

    def __init__(self, book: Any, receipt: Receipt) -> None:
        self._receipt, self._said, self._row = receipt, words(receipt.locale), 0
        self._taxes = list(dict.fromkeys(tax.name for tax in receipt.taxes))
        self._sheet = book.add_worksheet(receipt.number.replace("/", "-"))
        shape = pattern(money(receipt, 0))
        self._plain, self._big = None, book.add_format({"bold": True, "font_size": 16})
        self._bold = book.add_format({"bold": True, "bottom": 1})
        self._money = book.add_format({"num_format": shape})
        self._total = book.add_format({"num_format": shape, "bold": True, "top": 1})
        self._count = book.add_format({"num_format": "#,##0"})

    def fill(self) -> None:
        self._set_up()
        self._head()
        self._lines()
        self._sums()
        self._foot()

    def _set_up(self) -> None:
        for column, width in enumerate(_WIDTHS):
            self._sheet.set_column(column, column, width)
        if self._taxes:
            self._sheet.set_column(len(_WIDTHS), len(_WIDTHS) + 1 + len(self._taxes), _TAX_WIDTH)
        self._sheet.set_paper(9)  # A4
        self._sheet.fit_to_pages(1, 0)
        self._sheet.set_footer(f"&L{self._receipt.number}&R&P / &N")

    def _head(self) -> None:
        receipt, said = self._receipt, self._said
        self._texts([f"{said[receipt.kind.value]} {receipt.number}"], self._big)
        if receipt.voided:
            self._texts([said["void_because"].format(reason=receipt.voided)], self._bold)
        if receipt.sandbox:
            self._texts([f"{said['sandbox']}: {said['sandbox_means']}"], self._bold)
        for name, value in self._facts():
            self._texts([said[name], value])
        for name, party in ((said["from"], receipt.seller), (said["billed_to"], receipt.buyer)):
            self._row += 1
            self._texts([name], self._bold)
            for text in _party(party):
                self._texts([text])

    def _facts(self) -> Iterator[tuple[str, str]]:
        """What stands beside the parties: the name of a word, and the value."""
        receipt = self._receipt
        yield "issued", receipt_dates.day(receipt.issued_at, receipt.zone, receipt.locale)
        yield moved_on(receipt), receipt_dates.day(receipt.paid_at, receipt.zone, receipt.locale)
        yield "method", ours(self._said, receipt.method_word, receipt.method)
        if receipt.place_of_supply:
            yield "place_of_supply", receipt_india.state(receipt.place_of_supply)
        if receipt.kind is Kind.INVOICE:
            yield "reverse_charge", self._said["yes" if receipt.reverse_charge else "no"]

    def _lines(self) -> None:
        said = self._said
        self._row += 1
        names = [said[name] for name in ("description", "hsn", "quantity", "unit", "amount")]
        taxed = [said["taxable"], said["rate"], *self._taxes] if self._taxes else []
        self._texts([*names, *taxed], self._bold)
        for line in self._receipt.lines:
            self._text(0, ours(said, line.word, line.description))
            self._text(1, line.hsn or "")
            self._sheet.write_number(self._row, 2, line.quantity, self._count)
            self._figure(3, line.unit)
            self._figure(4, line.amount)
            if self._taxes:
                self._taxed(line)
            self._row += 1

    def _taxed(self, line: Line) -> None:
        """Behind the amount: of what it is taxed, at which rates, and what each tax comes to."""
        first = len(_WIDTHS)
        self._figure(first, line.taxable)
        self._text(first + 1, ", ".join(f"{tax.name} {rate(tax)}" for tax in line.taxes))
        for column, name in enumerate(self._taxes, first + 2):
            self._figure(column, sum(tax.amount for tax in line.taxes if tax.name == name))

    def _sums(self) -> None:
        receipt, said = self._receipt, self._said
        if receipt.taxes:
            self._sum(said["taxable"], receipt.taxable)
            for tax in receipt.taxes:
                self._sum(f"{tax.name} {rate(tax)}", tax.amount)
        self._sum(said[total(receipt)], receipt.total, bold=True)
        for refund in receipt.refunds:
            self._sum(f"{said['refunded']} {refund.reference}", -refund.amount)
        if receipt.refunds:
            self._sum(said["net"], receipt.net, bold=True)
        if receipt.fees is not None:
            self._sum(said["fees"], receipt.fees)

    def _foot(self) -> None:
        self._row += 1
        for name, value in self._receipt.references.items():
            self._texts([named(self._said, name), value])
        for note in self._receipt.notes:
            self._texts([note])

    def _sum(self, says: str, minor: int, *, bold: bool = False) -> None:
        self._text(0, says)
        self._figure(4, minor, self._total if bold else self._money)
        self._row += 1

    def _figure(self, column: int, minor: int, form: Any = None) -> None:
        figure = float(money(self._receipt, minor).major)  # a spreadsheet's numbers are doubles
        self._sheet.write_number(self._row, column, figure, form or self._money)

    def _texts(self, texts: Sequence[str], form: Any = None) -> None:
        for column, text in enumerate(texts):
            self._text(column, text, form)
        self._row += 1

    def _text(self, column: int, text: str, form: Any = None) -> None:
        if "\x00" in text:
            raise ValueError("a cell may not hold the character U+0000")
        self._sheet.write_string(self._row, column, text, form or self._plain)


def _party(party: Party) -> list[str]:
    return [text for text in (party.name, *party.address, party.tax_id, party.email, party.phone) if text]
