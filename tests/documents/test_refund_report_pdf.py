"""The report of refunds on paper: every figure of the report, the same bytes each time, and right for a screen reader."""

import json
import re
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

import pypdfium2
import pytest

import refund_report_samples as samples
from counterfoil.documents import receipt_money, refund_report_pdf
from counterfoil.documents.jail import Renderer
from counterfoil.domain import refund_report
from counterfoil.domain.receipt import Party
from counterfoil.domain.refund_report import FATES, MOST_DAYS, GroupBy
from pdf_reading import archived_and_accessible, digest_elsewhere, embedded, pages, squeezed

SAMPLES = samples.samples()
NAMES = sorted(SAMPLES)
# Readers give back a row that begins with a name from right to left in another order: the name among its figures.
ARABIC = re.compile("[\u0600-\u06ff]")
EMPTY = "No refunds and no captured payments in these days."


@cache
def rendered(name: str) -> bytes:
    return samples.rendered(SAMPLES[name])


@cache
def read(name: str) -> list[str]:
    return pages(rendered(name))


def amount(minor: int, currency: str) -> str:
    return receipt_money.plain(minor, currency, "en-IN")


def row(line: dict[str, Any]) -> str:
    """The sums of a line, as JSON has it, in the order in which they stand on paper: how much and how many, or a dash."""
    return squeezed("".join(_sum(line[name], line["currency"]) for name in ("requested", *FATES, "captured")))


def _sum(one: dict[str, int], currency: str) -> str:
    indian = receipt_money.is_indian(currency, "en-IN")
    count = receipt_money.grouped(str(one["count"]), indian=indian)
    return f"{amount(one['amount'], currency)}{count}" if one["count"] else "–"


@pytest.mark.parametrize("name", sorted({*NAMES} - {"nothing"}))
def test_every_sum_of_the_report_stands_on_its_pages_and_the_totals_twice(name: str):
    told, text = refund_report.shown(SAMPLES[name]), ARABIC.sub("", squeezed("".join(read(name))))
    assert [line["group"] for line in told["data"] if row(line) not in text] == []
    assert [line["currency"] for line in told["totals"] if text.count(row(line)) != 2] == []


def test_a_line_is_read_back_in_its_order():
    line = "duplicate 1,234.50 10 246.90 2 246.90 2 246.90 2 246.90 2 246.90 2 41,481.30 42 0.60% 4.76% 2 min 3 h 53 min 23 min 20 s 1 d 1 h"
    assert line in read("three")[0]
    assert "(none) 3,456.60 28 – 864.15 7" in read("people")[0]


def test_the_head_says_what_it_is_of_which_days_and_how_it_was_asked_for():
    first = read("three")[0]
    assert "Refunds 1 November 2026 – 30 November 2026 Kaveri Books & Coffee" in first
    assert "Days of Asia/Kolkata A line for each reason Made 1 December 2026 · 00:10 IST" in first
    assert "SANDBOX A test: no money has moved." in first
    assert "SANDBOX" not in read("days")[0]


def test_a_day_alone_is_one_day():
    span = replace(samples.NOVEMBER, last=samples.NOVEMBER.first)
    (page,) = pages(samples.rendered(replace(SAMPLES["nothing"], span=span)))
    assert "Refunds 1 November 2026 Kaveri" in page


def test_what_it_comes_to_stands_first_a_line_for_each_currency():
    summary = read("people")[0].partition("In all")[2].partition("INR by approver")[0]
    assert [code for code in ("INR", "JPY", "KWD") if code in summary] == ["INR", "JPY", "KWD"]
    for total in SAMPLES["people"].totals:
        assert amount(total.fate("succeeded").amount, total.currency) in summary


def test_a_table_has_the_lines_of_its_currency_alone():
    text = squeezed("".join(read("people")))
    _, *tables = re.split("(?:INR|JPY|KWD)byapprover", text)
    assert [table.count("anna") for table in tables] == [1, 1, 1]
    assert [table.count("(none)") for table in tables] == [1, 1, 1]


def test_without_anything_it_says_so_and_has_no_table():
    (page,) = read("nothing")
    assert EMPTY in page
    assert "Requested" not in page
    assert EMPTY not in read("three")[0]


def test_every_page_repeats_the_head_of_its_table_and_says_which_of_how_many_it_is():
    found = read("days")
    assert len(found) > 5
    for number, page in enumerate(found, 1):
        assert "Day (INR) Requested count Succeeded count Failed count" in page
        assert page.endswith(f"Page {number} of {len(found)}")
    assert [page.count("Total") for page in found] == [0] * (len(found) - 1) + [1]


@pytest.mark.parametrize("person", samples.PEOPLE)
def test_names_of_every_script_are_read_back_as_they_were_written(person: str):
    written, text = (squeezed(one).replace("-", "") for one in (person, "".join(read("people"))))
    assert written in text


def test_who_approved_together_is_explained_where_it_matters():
    says = "A refund that two approved stands in both lines, and once in the total."
    assert says in read("people")[-1]
    assert says not in read("three")[-1]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_report_stands_inside_as_data(name: str):
    file, relationship, body = embedded(rendered(name))
    assert (file, relationship) == ("refund_report.json", "/Data")
    assert json.loads(body) == refund_report.shown(SAMPLES[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_file_keeps_to_the_standards_of_archives_and_of_screen_readers(name: str):
    pdf = rendered(name)
    assert archived_and_accessible(pdf)
    assert b"D:20261130184000Z" in pdf


def test_the_same_report_is_the_same_bytes_in_another_process():
    elsewhere = digest_elsewhere("s.rendered(s.samples()['people'])", by="refund_report_samples as s")
    assert elsewhere == sha256(rendered("people")).hexdigest()


async def test_a_worker_makes_the_same_bytes_and_is_not_kept():
    renderer = Renderer(workers=1)
    try:
        assert await renderer.document(samples.job(SAMPLES["people"])) == rendered("people")
        assert renderer._ours == []
    finally:
        renderer.close()


def test_figures_have_room_however_large_they_are():
    """Where a column were too narrow, its amounts would stand over those beside it, and be read as one."""
    read_back = "18,51,75,00,00,000.00 15 3,70,35,00,00,000.00 3 3,70,35,00,00,000.00 3"
    assert read_back in read("large")[0]


@pytest.mark.parametrize(("country", "paper"), [("IN", (842, 595)), (None, (842, 595)), ("US", (792, 612))])
def test_it_lies_on_its_side_on_the_paper_of_the_business(country: str | None, paper: tuple[int, int]):
    job = refund_report_pdf.job(SAMPLES["three"], Party(name="Corner", country=country), "en-US")
    with pypdfium2.PdfDocument(samples.set_here(job)) as document:
        assert tuple(map(round, document[0].get_size())) == paper


def test_days_are_written_and_figures_grouped_as_where_the_business_is():
    dollars = samples.report([samples.line("2026-11", "USD", seed=5, size=100)], GroupBy.MONTH)
    american = refund_report_pdf.job(dollars, samples.BUSINESS, "en-US")
    (page,) = pages(samples.set_here(american))
    assert "November 1, 2026 – November 30, 2026" in page
    assert "4,444,425.00" in page
    tamil = refund_report_pdf.job(dollars, samples.BUSINESS, "ta-IN")
    (page,) = pages(samples.set_here(tamil))
    assert "1 November 2026 – 30 November 2026" in page
    assert "44,44,425.00" in page


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_599, "59 min 59 s"), (3_600, "1 h"), (3_659, "1 h"),
     (86_399, "23 h 59 min"), (86_400, "1 d"), (90_000, "1 d 1 h"), (8_640_000, "100 d")],
)  # fmt: skip
def test_a_time_is_said_in_its_two_largest_units(seconds: int, says: str):
    assert refund_report_pdf.lasted(seconds).replace("\N{NO-BREAK SPACE}", " ") == says


def test_a_line_a_day_of_the_longest_report_is_taken():
    assert refund_report_pdf.MOST_LINES >= MOST_DAYS
