"""CSV that means to a spreadsheet what it meant to us."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.documents.csv import guarded, line, table
from counterfoil.domain.money import Money
from counterfoil.domain.refund_report import Share

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


def read(written: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written.decode(), newline=""), strict=True))


@given(texts)
def test_no_cell_is_a_formula_and_nothing_of_it_is_lost(text: str):
    shown = guarded(text)
    assert not shown.startswith(FORMULAS)
    assert shown in {text, f"'{text}"}
    assert (shown == text) == (not text.startswith(FORMULAS))


@given(st.lists(texts, min_size=1))
def test_a_row_reads_back_as_it_was_guarded(cells: list[str]):
    assert read(line(cells)) == [[guarded(cell) for cell in cells]]


@given(texts, texts)
def test_no_cell_ends_its_own_to_begin_another(first: str, second: str):
    """Quotes, separators and line ends within a text stay within it."""
    for tried in (f'{first}",={second}', f"{first}\r\n={second}", f"{first};={second}"):
        assert read(line([tried, 7])) == [[guarded(tried), "7"]]


@pytest.mark.parametrize(
    "attack", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")']
)
def test_what_would_be_carried_out_is_shown_as_text(attack: str):
    assert read(line([attack])) == [[f"'{attack}"]]


def test_numbers_stay_numbers():
    cells = [-1, 0, 7, Share(12_500), Money(-1_250, "USD"), Money(5, "JPY"), None, "", "-1"]
    assert line(cells) == b"-1,0,7,0.012500,-12.50,5,,,'-1\r\n"


def test_what_no_cell_may_hold_is_refused():
    with pytest.raises(ValueError, match=r"U\+0000"):
        line(["a\x00"])


def test_a_table_has_its_header_and_is_utf_8():
    assert b"".join(table(["name"], [["Ærø"], ["=1"]])) == "name\r\nÆrø\r\n'=1\r\n".encode()
