import re
from email import message_from_bytes
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.gateways.razorpay.paper import COLUMNS, LINES, pdf, upload


def drawn(paper):
    """The lines on every page, as a reader of PDF would show them."""
    streams = re.findall(rb"stream\n(.*?)\nendstream", paper, re.DOTALL)
    pages = [re.findall(r"^\((.*)\) '$", one.decode("cp1252"), re.MULTILINE) for one in streams]
    return [[re.sub(r"\\(.)", r"\1", line) for line in page] for page in pages]


def test_the_title_and_every_line_stand_on_the_page():
    assert drawn(pdf("Receipt", "No. 1\n\nPaid (in full) \\ thanks")) == [
        ["Receipt", "", "No. 1", "", "Paid (in full) \\ thanks"]
    ]


def test_a_long_line_is_wrapped_and_a_long_text_goes_on_on_another_page():
    text = "\n".join(["word " * 40] + [f"line {n}" for n in range(200)])
    pages = drawn(pdf("Log", text))
    lines = [line for page in pages for line in page]
    assert max(map(len, lines)) <= COLUMNS
    assert [len(page) for page in pages[:-1]] == [LINES] * (len(pages) - 1)
    assert [line for line in lines if line.startswith("line")] == [f"line {n}" for n in range(200)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caf\u00e9 \u20ac5", "caf\u00e9 \u20ac5"),
        ("\u20b9 500", "Rs  500"),
        ("\u0161\u0107", "\u0161c"),
        ("\u0928", "?"),
        ("a\x07b", "a?b"),
    ],
)
def test_a_letter_that_the_page_has_not_becomes_the_nearest(text, shown):
    assert drawn(pdf("T", text))[0][2] == shown


def _table(paper):
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF", paper)[1])
    assert paper[start:].startswith(b"xref\n")
    return [int(offset) for offset in re.findall(rb"^(\d{10}) 00000 n $", paper[start:], re.MULTILINE)]


@given(st.text(max_size=300))
def test_the_table_says_where_every_object_is_whatever_the_text(text):
    paper = pdf("T", text)
    offsets = _table(paper)
    assert len(offsets) == paper.count(b" 0 obj\n")
    for number, offset in enumerate(offsets, start=1):
        assert paper[offset:].startswith(f"{number} 0 obj\n".encode())
    for length, body in re.findall(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", paper, re.DOTALL):
        assert len(body) == int(length)


def test_the_same_text_is_the_same_paper():
    assert pdf("T", "text") == pdf("T", "text") != pdf("T", "other")


def test_the_form_carries_the_purpose_and_the_file():
    kind, body = upload('a "b".pdf', b"%PDF\r\nx")
    form = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body, policy=HTTP)
    purpose, file = form.iter_parts()
    assert purpose.get_param("name", header="content-disposition") == "purpose"
    assert purpose.get_payload() == "dispute_evidence"
    assert (file.get_filename(), file.get_content_type()) == ("a__b_.pdf", "application/pdf")
    assert file.get_payload(decode=True) == b"%PDF\r\nx"
