"""Pages of an operator's own: what they may say, what is refused and where, and that no value breaks out of its place."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import receipt_samples
from counterfoil.documents import markup, page_template, receipt_html
from counterfoil.documents.template import TemplateError

GIVEN = {
    "shown": {"number": "R-1", "rows": [["a", "1"], ["b", "2"]], "void": None, "empty": [], "one": 1},
    "receipt": {"total": 100},
    "files": {"logo.svg": "data:image/svg+xml;base64,PHN2Zy8+"},
    "qr": "",
}


def page(source, **given):
    return page_template.render("main.html", source.encode(), GIVEN | given).removeprefix(markup.HEAD)


def refused(source, **given):
    with pytest.raises(TemplateError) as caught:
        page(source, **given)
    return caught.value


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ shown.number }} {{ receipt.total }}", "R-1 100"),
        ("{% for row in shown.rows %}{{ loop.index }}{{ row[0] }}{% if not loop.last %}, {% endif %}{% endfor %}", "1a, 2b"),
        ("{% for name, value in shown.rows %}{{ name }}={{ value }};{% endfor %}", "a=1;b=2;"),
        ("{% for row in shown.empty %}x{% else %}none{% endfor %}", "none"),
        ("{% if shown.void %}void{% elif shown.one == 1 and not shown.empty %}fine{% endif %}", "fine"),
        ("{{ 'yes' if shown.one > 0 else 'no' }}", "yes"),
        ("[{{ shown.void }}]", "[]"),
        ("{# a note #}{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ('<img src="{{ files["logo.svg"] }}" alt="Kaveri">', '<img src="data:image/svg+xml;base64,PHN2Zy8+" alt="Kaveri">'),
    ],
)  # fmt: skip
def test_a_page_says_what_it_was_given(source, said):
    assert page(source) == said


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("{{ shown.number.upper() }}", 1, "call is not understood"),
        ("a\n{{ shown.number|upper }}", 2, "filter is not understood"),
        ("{% set x = 1 %}", 1, "assign is not understood"),
        ("{% include 'other.html' %}", 1, "include is not understood"),
        ("{% import 'other.html' as x %}", 1, "import is not understood"),
        ("{% extends 'other.html' %}", 1, "extends is not understood"),
        ("{% macro x() %}{% endmacro %}", 1, "macro is not understood"),
        ("{{ 'x' * 1000000000 }}", 1, "mul is not understood"),
        ("{{ 'x' ~ 'y' }}", 1, "concat is not understood"),
        ("{% for x in 'abc' %}{% endfor %}", 1, "a loop goes over a given list"),
        ("{% for x in shown.rows recursive %}{% endfor %}", 1, "a loop goes over a given list"),
        ("{{ shown.rows[0:1] }}", 1, "slice is not understood"),
        ("{{ request }}", 1, "there is no request; there are files, loop, qr, receipt, shown"),
        ("{{ self }}", 1, "there is no self"),
        ("\n\n{{ shown.numbr }}", 3, "there is no numbr here"),
        ("{{ shown.__class__ }}", 1, "there is no __class__ here"),
        ("{{ shown.items }}", 1, "there is no items here"),
        ("{{ shown.number.upper }}", 1, "there is no upper here"),
        ("{% for row in shown.rows %}{{ loop.cycle }}{% endfor %}", 1, "there is no cycle here"),
        ("{{ files['passwd'] }}", 1, "there is no passwd here"),
        ("{% for row in shown.one %}{% endfor %}", 1, "not iterable"),
        ("{% if shown.one < shown.number %}{% endif %}", 1, "not supported between"),
        ("{{ shown.number", 1, "unexpected end of template"),
        ("<p>\n{% if shown.one %}", 2, "Unexpected end of template"),
        ("{% for a, b, c in shown.rows %}{% endfor %}", 1, "not enough values"),
    ],
)  # fmt: skip
def test_whatever_else_a_page_says_is_refused_at_its_line(source, line, reason):
    error = refused(source)
    assert reason in error.reason
    assert (error.file, error.line) == ("main.html", line)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(TemplateError, match="not UTF-8"):
        page_template.render("main.html", b"\xff", GIVEN)


def test_a_page_ends_somewhere(monkeypatch):
    monkeypatch.setattr(page_template, "MAX_CHARS", 100)
    assert "0 MB of text" in refused("{% for row in shown.rows %}" + "x" * 60 + "{% endfor %}").reason


@pytest.mark.parametrize(
    "deep",
    [
        "{% if " + "not " * 5_000 + "shown.one %}x{% endif %}",
        "{{ shown" + ".a" * 3_000 + " }}",
        "{{ qr" + " and qr" * 3_000 + " }}",
        "{% for row in shown.rows %}" * 25 + "{% endfor %}" * 25,
    ],
    ids=["conditions", "reaching", "joining", "loops"],
)
def test_what_is_nested_too_deeply_is_refused(deep):
    assert "nested too deeply" in refused(deep).reason


def test_what_would_take_long_to_read_is_refused():
    most = page_template.MAX_SOURCE
    assert page("x" * most) == "x" * most
    assert "more than 256 kB" in refused("x" * (most + 1)).reason


def test_a_number_without_measure_is_refused():
    assert "4300 digits" in refused("{{ " + "9" * 5_000 + " }}").reason


@given(st.text())
def test_no_value_breaks_out_of_its_place(value):
    sources = {
        "text": "<p>{{ shown.number }}</p>",
        "title": '<p title="{{ shown.number }}">x</p>',
        "bare": "<p title={{ shown.number }}>x</p>",
    }
    for place, source in sources.items():
        try:
            made = page(source, shown={"number": value})
        except TemplateError:
            assert place == "bare"  # there a value can make attributes, which are then refused
            continue
        assert set(re.findall("<([a-z]*)", made)) == {"p", ""}
        assert place == "bare" or re.fullmatch('<p( title="[^"<>]*")?>[^<>]*</p>', made)


def test_only_pictures_and_fonts_are_shown():
    beside = {"main.typ": b"x", "logo.PNG": b"x", "own.woff2": b"x", "key.pem": b"x"}
    assert page_template.files(beside) == {
        "logo.PNG": "data:image/png;base64,eA==",
        "own.woff2": "data:font/woff2;base64,eA==",
    }


def test_a_receipt_is_given_with_its_words_and_its_code():
    given = receipt_html.given(receipt_samples.receipt())
    assert page('<img src="{{ qr }}" alt="{{ shown.words.verify }}">{{ receipt.total }}', **given).startswith(
        '<img src="data:image/svg+xml;base64,PHN2Z'
    )
    assert receipt_html.given(receipt_samples.receipt(verify_url=None))["qr"] == ""
