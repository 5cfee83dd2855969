"""Workbooks, read back as the files they are: a zip of XML."""

import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from counterfoil.documents.xlsx import Cell, workbook
from counterfoil.domain.money import Money
from counterfoil.domain.refund_report import Share

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NS = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


class Read(NamedTuple):
    """A cell as a spreadsheet has it: its type, its value, and how it is shown."""

    type: str
    value: str
    format: str


def part(book: bytes, name: str) -> ET.Element:
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        return ET.fromstring(archive.read(name))  # noqa: S314  made a moment ago, by us


def made(*rows: Sequence[Cell], title: str = "Refunds", header: Sequence[str] = ("a",)) -> bytes:
    return workbook(title, header, rows, made_at=AT)


def cells(book: bytes) -> dict[str, Read]:
    """The cells below the header, by their names."""
    styles = part(book, "xl/styles.xml")
    patterns = {
        found.get("numFmtId"): found.get("formatCode", "") for found in styles.iterfind(".//m:numFmt", NS)
    }
    builtin = {"0": "", "3": "#,##0", "10": "0.00%"}
    shown = [found.get("numFmtId", "") for found in styles.iterfind("m:cellXfs/m:xf", NS)]
    found = {}
    for cell in part(book, "xl/worksheets/sheet1.xml").iterfind(".//m:c", NS):
        name, number = cell.get("r", ""), shown[int(cell.get("s", "0"))]
        assert cell.find("m:f", NS) is None, f"{name} is a formula"
        value = "".join(cell.itertext())
        found[name] = Read(cell.get("t", "n"), value, patterns.get(number) or builtin[number])
    return {name: read for name, read in found.items() if not name.endswith("1") or len(name) > 2}


def test_money_is_a_number_in_the_format_of_its_currency():
    book = made((Money(123_456, "USD"), Money(500, "JPY"), Money(1_234, "KWD")))
    assert cells(book) == {
        "A2": Read("n", "1234.56", '#,##0.00\\ "USD"'),
        "B2": Read("n", "500", '#,##0\\ "JPY"'),
        "C2": Read("n", "1.234", '#,##0.000\\ "KWD"'),
    }


def test_the_largest_amount_loses_nothing():
    assert cells(made((Money(999_999_999_999, "USD"),)))["A2"].value == "9999999999.99"


def test_counts_and_shares_are_numbers_and_nothing_is_empty():
    book = made((7, Share(12_500), None, "text"))
    assert cells(book) == {
        "A2": Read("n", "7", "#,##0"),
        "B2": Read("n", "0.0125", "0.00%"),
        "D2": Read("inlineStr", "text", ""),
    }


@pytest.mark.parametrize("attack", ["=1+1", "+1", "-1", "@SUM(A1)", "{=1}", "http://x.example", "7"])
def test_a_text_is_a_text(attack: str):
    assert cells(made((attack,)))["A2"] == Read("inlineStr", attack, "")


def test_what_no_cell_may_hold_is_refused():
    with pytest.raises(ValueError, match=r"U\+0000"):
        made(("a\x00",))


def test_it_prints_a_page_wide_with_its_header_on_every_page():
    book = made(header=("one", "two"), title="R&D [2026]: /all refunds of the year/")
    sheet = part(book, "xl/worksheets/sheet1.xml")
    setup = sheet.find("m:pageSetup", NS)
    assert setup is not None
    assert (setup.get("orientation"), setup.get("paperSize"), setup.get("fitToHeight")) == (
        "landscape",
        "9",
        "0",
    )
    foot = sheet.findtext("m:headerFooter/m:oddFooter", namespaces=NS)
    assert foot == "&LR&&D [2026]: /all refunds of the year/&R&P / &N"
    whole = part(book, "xl/workbook.xml")
    name = whole.find("m:sheets/m:sheet", NS)
    assert name is not None
    assert name.get("name") == "R&D  2026    all refunds of the"
    (titles,) = whole.iterfind("m:definedNames/m:definedName", NS)
    assert (titles.get("name"), (titles.text or "").endswith("!$1:$1")) == ("_xlnm.Print_Titles", True)


def test_the_same_report_is_the_same_file():
    rows = [("a", 1, Money(100, "EUR"))]
    assert made(*rows) == made(*rows)
