"""Evidence on paper: what was written stands there line by line in any script, the same bytes each time."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evidence_samples as samples
from counterfoil.documents import evidence_pdf
from counterfoil.documents.fonts import MARK
from counterfoil.documents.jail import Renderer
from counterfoil.domain.dispute import TEXT_CHARS
from counterfoil.domain.receipt import Party
from counterfoil.gateways.razorpay.disputing import PAPER_BYTES
from pdf_reading import archived_and_accessible, digest_elsewhere, embedded, pages, squeezed

MARGIN = 20 / 25.4 * 72  # to the left and right of the text


def lines(pdf: bytes) -> list[str]:
    """The lines of all pages."""
    with pypdfium2.PdfDocument(pdf) as document:
        found = [page.get_textpage().get_text_range().splitlines() for page in document]
    return [line for page in found for line in page]


def boxes(pdf: bytes) -> dict[str, tuple[float, float]]:
    """Where the letters of each line of the first page begin and end, from the left, in points."""
    with pypdfium2.PdfDocument(pdf) as document:
        page = document[0].get_textpage()
        at, found = 0, {}
        for line in page.get_text_range().splitlines(keepends=True):
            letters = [page.get_charbox(at + n) for n, letter in enumerate(line) if not letter.isspace()]
            if letters:
                found[line.strip()] = (min(box[0] for box in letters), max(box[2] for box in letters))
            at += len(line)
    return found


def test_what_was_written_stands_there_line_by_line():
    found = lines(samples.rendered(samples.sheet()))
    start = next(at for at, line in enumerate(found) if line.startswith("Paid to"))
    stripped = [line.strip() for line in found[start : start + 8]]
    assert stripped == [line.strip() for line in samples.RECEIPT.splitlines() if line]


def test_an_indented_line_stays_so():
    found = boxes(samples.rendered(samples.sheet()))
    left = {line: box[0] - MARGIN for line, box in found.items()}
    assert left["Amount: 1,234.50 INR"] < 2
    assert left["Item: The Book of Tea, 2 at 499.00 INR"] < 2
    assert left['with a card: "Happy birthday"'] > 5
    assert left["and ribbon"] > 5


def test_the_deepest_indentation_leaves_room_for_the_line():
    found = boxes(samples.rendered(samples.sheet(" " * 5_000 + "far away")))
    assert MARGIN < found["far away"][0] < 300


@pytest.mark.parametrize("script", samples.SCRIPTS)
def test_every_script_is_read_back_as_it_was_written(script: str):
    text = samples.SCRIPTS[script]
    found = "".join(pages(samples.rendered(samples.sheet(text))))
    assert MARK not in found
    for line in text.splitlines():
        assert squeezed(line) in squeezed(found)


def test_a_line_is_read_in_the_direction_of_its_first_letter():
    arabic, mixed = "شكرا لكم", "Name: عبد الرحمن"
    found = boxes(samples.rendered(samples.sheet(f"{arabic}\n{mixed}\n12:00")))
    width = 595 - MARGIN
    at = {line: box for line, box in found.items() if re.search(r"[\u0600-\u06ff]|12:00", line)}
    assert len(at) == 3
    ends = [round(box[1]) for line, box in at.items() if "Name" not in line and "12" not in line]
    assert ends[0] == pytest.approx(width, abs=2)
    begins = [box[0] for line, box in at.items() if "Name" in line or "12" in line]
    assert begins == pytest.approx([MARGIN, MARGIN], abs=2)


def test_it_says_whose_it_is_and_what_it_is_about():
    (page,) = pages(samples.rendered(samples.sheet()))
    assert page.startswith("Receipt Kaveri Books & Coffee")
    for said in ("Dispute disp_AHfqOvkldwsbqt", "Payment pay_EsyWjHrfzb59eR", "Date 23 November 2026"):
        assert said in page
    assert page.endswith("Receipt: dispute disp_AHfqOvkldwsbqt Page 1 of 1")
    assert "SANDBOX" not in page


def test_what_is_of_the_sandbox_says_so():
    (page,) = pages(samples.rendered(samples.sheet(sandbox=True)))
    assert "SANDBOX A test: no money has moved." in page


def test_a_text_as_long_as_any_is_many_pages_that_say_which_they_are():
    text = samples.long()
    assert len(text) == TEXT_CHARS
    pdf = samples.rendered(samples.sheet(text))
    found = pages(pdf)
    assert [page[-len("Page 1 of 7") :].strip() for page in found] == [
        f"Page {number} of {len(found)}" for number in range(1, len(found) + 1)
    ]
    said = squeezed("".join(found))
    assert [line for line in text.splitlines() if squeezed(line) not in said] == []
    assert len(pdf) < PAPER_BYTES


def test_a_long_text_of_all_chinese_signs_that_are_in_use_is_small_enough_to_be_sent():
    text = "".join(chr(0x4E00 + at * 7) for at in range(3_000)) * 7
    assert len(samples.rendered(samples.sheet(text[:TEXT_CHARS]))) < PAPER_BYTES


@pytest.mark.parametrize("letters", ["a1b2c3d4", "W", "ஔ", "क्ष्म", "王"])
def test_a_word_of_any_length_stays_on_the_page(letters: str):
    text = "https://kaveri.example/" + letters * 200
    pdf = samples.rendered(samples.sheet(text))
    assert squeezed(text) in squeezed("".join(pages(pdf)))
    assert max(end for _, end in boxes(pdf).values()) <= 595 - MARGIN + 1


def test_what_no_font_draws_is_marked_and_stands_inside_letter_for_letter():
    text = "Thanks 🎂\x07\nsee you"
    pdf = samples.rendered(samples.sheet(text))
    assert f"Thanks {MARK}" in pages(pdf)[0]
    name, relationship, body = embedded(pdf)
    assert (name, relationship) == ("evidence.json", "/Data")
    assert json.loads(body) == {
        "title": "Receipt",
        "dispute": "disp_AHfqOvkldwsbqt",
        "payment": "pay_EsyWjHrfzb59eR",
        "seller": "Kaveri Books & Coffee",
        "made_at": "2026-11-22T18:40:00+00:00",
        "text": text,
    }


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_drawn(text: str):
    assert samples.rendered(samples.sheet(text)).startswith(b"%PDF")


@pytest.mark.parametrize("name", samples.samples())
def test_every_file_keeps_to_the_standards_of_archives_and_of_screen_readers(name: str):
    pdf = samples.rendered(samples.samples()[name])
    assert archived_and_accessible(pdf)
    assert b"D:20261122184000Z" in pdf


def test_the_same_sheet_is_the_same_bytes_in_another_process_and_another_is_not():
    elsewhere = digest_elsewhere("s.rendered(s.samples()['scripts'])", by="evidence_samples as s")
    scripts = samples.samples()["scripts"]
    assert elsewhere == sha256(samples.rendered(scripts)).hexdigest()
    later = replace(scripts, made_at=samples.MADE + timedelta(seconds=1))
    assert samples.rendered(later) != samples.rendered(scripts)


async def test_a_confined_worker_makes_the_same_bytes():
    renderer = Renderer(workers=1)
    try:
        made = await renderer.document(evidence_pdf.job(samples.sheet()))
    finally:
        renderer.close()
    assert made == samples.rendered(samples.sheet())


def test_it_lies_on_the_paper_of_the_business():
    american = samples.sheet(seller=Party(name="Corner", country="US"))
    with pypdfium2.PdfDocument(samples.rendered(american)) as document:
        assert tuple(map(round, document[0].get_size())) == (612, 792)
