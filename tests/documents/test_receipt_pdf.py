import hashlib
import json
import re
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path

import pypdfium2
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

import receipt_samples
from counterfoil.documents import fonts, receipt_json, receipt_pdf
from counterfoil.documents.receipt_shown import shown
from counterfoil.documents.template import Template, TemplateError
from counterfoil.documents.typesetting import Setter
from pdf_reading import archived_and_accessible, digest_elsewhere, embedded, pages, squeezed

rendered = cache(receipt_samples.rendered)
NAMES = sorted([*receipt_samples.samples(), "plain"])
# What a reader of files gives back in another order, or joined, where the text runs from right to left.
LATIN = re.compile(r"[\x00-\x7f]")


@pytest.mark.parametrize("name", NAMES)
def test_the_bytes_are_the_ones_that_were_looked_at(name):
    golden = json.loads(receipt_samples.GOLDEN.read_text())
    assert sorted(golden) == NAMES
    assert receipt_samples.digest(rendered()[name][1]) == golden[name]


def test_another_process_makes_the_same_bytes():
    elsewhere = digest_elsewhere(
        "receipt_pdf.render(receipt_samples.samples()['ar'])",
        by="receipt_samples, counterfoil.documents.receipt_pdf as receipt_pdf",
    )
    assert elsewhere == hashlib.sha256(rendered()["ar"][1]).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_receipt_stands_inside_as_data(name):
    receipt, pdf = rendered()[name]
    file, relationship, body = embedded(pdf)
    assert (file, relationship) == ("receipt.json", "/Data")
    assert body == receipt_json.render(receipt)
    assert json.loads(body)["net"] == receipt.net


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"ar"}))
def test_what_is_read_back_is_what_the_receipt_says(name):
    receipt, pdf = rendered()[name]
    read = squeezed("".join(pages(pdf)))
    page = shown(receipt)
    said = [
        page["heading"],
        page["number"],
        page["seller"]["name"],
        page["buyer"]["name"],
        page["headline"]["amount"],
    ]
    said += [part for fact in page["facts"] for part in fact]
    said += [part for row in page["rows"] for cell in row for part in cell]
    said += [part for line in page["sums"] for part in (line["says"], line["amount"], line["note"])]
    said += [*page["notes"], *(part for reference in page["references"] for part in reference)]
    assert [text for text in said if squeezed(text) not in read] == []


def test_arabic_is_read_back_as_it_was_written():
    receipt, pdf = rendered()["ar"]
    read = pages(pdf)[0]
    page = shown(receipt)
    said = [page["seller"]["name"], page["buyer"]["name"], page["heading"], *page["notes"], "صافي المدفوع"]
    assert [text for text in said if text not in read] == []
    amounts = [row[-1][0] for row in page["rows"]] + [LATIN.sub("", "")]
    assert all(amount in read for amount in [*amounts, "2,153.00", "1,654.00", "102.52"])


@pytest.mark.parametrize("name", NAMES)
def test_every_file_says_what_it_keeps_to_and_when_it_was_made(name):
    receipt, pdf = rendered()[name]
    assert archived_and_accessible(pdf)
    reader = PdfFileReader(BytesIO(pdf))
    assert reader.root["/MarkInfo"]["/Marked"] == True  # noqa: E712  a value of the file, not Python's
    assert str(reader.root["/Lang"]).startswith(receipt.locale[:2])
    made = receipt.issued_at.astimezone(UTC)
    assert f"{made:D:%Y%m%d%H%M%SZ}".encode() in pdf


@pytest.mark.parametrize("name", NAMES)
def test_one_page_serves_where_it_can(name):
    assert len(pages(rendered()[name][1])) == (3 if name == "long" else 1)


def test_a_long_receipt_repeats_its_head_and_counts_its_pages():
    read = pages(rendered()["long"][1])
    for number, page in enumerate(read, 1):
        assert "Description Qty Unit price Amount (INR)" in page
        assert f"Page {number} of 3" in page
    assert [page.count("Total") for page in read] == [0, 0, 1]
    assert all(f"Item {row} " in " ".join(read) for row in range(1, 75))


def test_a_test_receipt_and_a_void_one_say_so_in_words():
    assert "SANDBOX A test: no money has moved." in pages(rendered()["refunded"][1])[0]
    assert "VOID This document is void: Issued twice by mistake" in pages(rendered()["void"][1])[0]
    assert "SANDBOX" not in pages(rendered()["payment"][1])[0]


def test_the_plain_look_says_the_same_in_black_on_white():
    full, plain = rendered()["payment"][1], rendered()["plain"][1]
    assert pages(plain) == pages(full)
    assert set(colours(plain)) == {(0, 0, 0), (255, 255, 255)}
    assert len(set(colours(full))) > 2


def colours(pdf):
    """Of everything that is drawn on the first page."""
    with pypdfium2.PdfDocument(pdf) as document:
        image = document[0].render(scale=1)
        body, width = bytes(image.buffer), image.n_channels
    seen = {body[at : at + 3] for at in range(0, len(body), width)}
    # Edges are drawn in between: grey is black on white.
    return {(0, 0, 0) if len({*pixel}) == 1 and pixel[0] < 255 else tuple(pixel) for pixel in seen}


def test_what_no_font_draws_stops_no_receipt():
    receipt = receipt_samples.receipt(items=({"name": "Party 🎉 తెలుగు", "quantity": 1, "amount": 100},))
    pdf = receipt_pdf.render(receipt)
    assert f"Party {fonts.MARK} {fonts.MARK} 1 1.00" in pages(pdf)[0]
    assert json.loads(embedded(pdf)[2])["lines"][0]["description"] == "Party 🎉 తెలుగు"


def test_a_font_of_a_template_serves_what_the_built_in_ones_lack():
    receipt = receipt_samples.receipt(items=({"name": "Party 🎉 తెలుగు", "quantity": 1, "amount": 100},))
    source = b"#json(bytes(sys.inputs.data)).receipt.lines.first().description"
    font = (Path(__file__).parents[1] / "data/fonts/boxes.ttf").read_bytes()
    with_it, without = Template({"main.typ": source, "own/boxes.ttf": font}), Template({"main.typ": source})
    assert pages(receipt_pdf.render(receipt, template=with_it)) == [f"Party {fonts.MARK} తెలుగు"]
    assert pages(receipt_pdf.render(receipt, template=without)) == [f"Party {fonts.MARK} {fonts.MARK}"]


def test_what_is_bought_is_text_and_never_part_of_the_template():
    name = '#read("/etc/passwd") *bold* $x$ \\ <b> [#import "@preview/x:1.0.0"]'
    receipt = receipt_samples.receipt(items=({"name": name, "quantity": 1, "amount": 100},))
    assert squeezed(name) in squeezed(pages(receipt_pdf.render(receipt))[0])


def test_a_template_of_ones_own_sees_the_receipt_and_carries_it():
    source = (
        b"#let data = json(bytes(sys.inputs.data))\n"
        b"= #data.shown.seller.name\n"
        b'#image("logo.svg", alt: "Logo")\n'
        b'#include "parts/sum.typ"\n'
    )
    files = {
        "main.typ": source,
        "logo.svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>",
        "parts/sum.typ": b"#json(bytes(sys.inputs.data)).receipt.total paise",
    }
    receipt = receipt_samples.receipt()
    pdf = receipt_pdf.render(receipt, template=Template(files))
    assert pages(pdf) == ["Kaveri Books & Coffee 220300 paise"]
    assert embedded(pdf)[2] == receipt_json.render(receipt)
    assert pdf == receipt_pdf.render(receipt, template=Template(files))


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        (b"Hello\n#let x = (1,\n", 2, "unclosed delimiter"),
        (b"\n\n#json(bytes(sys.inputs.data)).nope", 3, 'does not contain key "nope"'),
        (b"#image(bytes(\"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>\"))", 1, "missing alt text"),
        (b"\xff\xfe", None, "not valid UTF-8"),
    ],
)  # fmt: skip
def test_a_faulty_template_gives_its_line_and_the_reason(source, line, reason):
    with pytest.raises(TemplateError, match=reason) as caught:
        receipt_pdf.render(receipt_samples.receipt(), template=Template({"main.typ": source}))
    assert caught.value.line == line


def test_a_place_is_told_within_the_template_and_not_on_this_machine(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "main.typ").write_bytes(b'#include "parts/foot.typ"')
    (tmp_path / "parts/foot.typ").write_bytes(b'#read("/none")')
    job = receipt_pdf.job(receipt_samples.receipt(), template=Template({"main.typ": b""}))
    with pytest.raises(TemplateError) as caught:
        Setter(tmp_path).pdf(job)
    assert (caught.value.file, caught.value.line, caught.value.column) == ("parts/foot.typ", 1, 6)
    assert tmp_path.name not in str(caught.value)


def test_a_receipt_of_last_century_has_its_own_date():
    old = receipt_samples.receipt(issued_at=datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert b"D:19991231235959Z" in receipt_pdf.render(old)
