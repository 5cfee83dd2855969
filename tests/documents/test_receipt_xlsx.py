"""What stands in the book, read back as the file it is."""

import io
import re
import zipfile
from xml.etree import ElementTree as ET

import pytest

from counterfoil.documents.receipt_xlsx import render
from counterfoil.domain.receipt import Receipt
from receipt_samples import TRADER, by_hand, receipt, samples

NS = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def rows(made: Receipt) -> list[list[str | float]]:
    """Each row's cells, figures as numbers."""
    with zipfile.ZipFile(io.BytesIO(render(made))) as book:
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))  # noqa: S314  made a moment ago, by us
    return [[_value(cell) for cell in row] for row in sheet.iterfind(".//m:row", NS)]


def _value(cell: ET.Element) -> str | float:
    figure = cell.findtext("m:v", None, NS)
    return float(figure) if figure is not None else cell.findtext("m:is/m:t", "", NS)


def test_a_refund_says_when_it_went_back_and_how_much():
    said = rows(samples()["refund"])
    assert ["Issued", "16 November 2026"] in said
    assert ["Refunded on", "14 November 2026"] in said
    assert ["Total refunded", 2203.0] in said
    assert not any(row and row[0] in {"Paid on", "Total"} for row in said)


def test_what_we_say_ourselves_is_said_in_the_receipts_language():
    said = rows(by_hand("hi-IN"))
    assert ["भुगतान का तरीका", "सीधे लौटाया गया"] in said
    assert [row for row in said if row[:1] == ["समायोजन"]]


def test_an_invoice_has_what_rule_46_asks_for():
    said = rows(samples()["invoice-between-states"])
    assert ["Place of supply", "Tamil Nadu (33)"] in said
    assert ["Tax payable on reverse charge", "Yes"] in said
    assert ["Issued", "12 November 2026"] in said
    assert [row[5:] for row in said if row[:1] == ["Description"]] == [["Taxable value", "Rate", "IGST"]]
    [coffee] = [row for row in said if row[:1] == ["Coffee beans 25 kg"]]
    assert coffee[1:] == ["0901", 4.0, 15750.0, 63000.0, 60000.0, "IGST 5%", 3000.0]


def test_each_line_and_each_tax_comes_to_its_sum():
    made = receipt(buyer=TRADER)
    lines = [row for row in rows(made) if len(row) > 5 and row[0] != "Description"]
    assert len(lines) == len(made.lines)
    for line, row in zip(made.lines, lines, strict=True):
        amount, taxable, *taxes = [round(figure * 100) for figure in row[3:] if isinstance(figure, float)][1:]
        assert (amount, taxable) == (line.amount, line.taxable)
        assert sum(taxes) == sum(tax.amount for tax in line.taxes)


def test_fees_are_said_where_they_are_shown():
    assert ["Of which payment fees", 52.0] in rows(samples()["refunded"])
    assert not any("fees" in str(row[:1]) for row in rows(samples()["payment"]))


def test_where_there_is_no_tax_there_are_no_columns_of_it():
    [head] = [row for row in rows(samples()["zh-TW"]) if row[:1] == ["項目"]]
    assert len(head) == 5


def test_a_text_with_a_nul_is_refused():
    with pytest.raises(ValueError, match=re.escape("U+0000")):
        render(receipt(notes=("a\x00b",)))
