import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.gateways.base import UnreadableEventError
from counterfoil.gateways.wire import MAX_TEXT, agree, known, labels, paragraphs, plain, url

OURS = {"counterfoil_attempt": "att_1", "counterfoil_payment": "pmt_1"}


def kept(theirs, *, pairs=5, key=10, value=8):
    return labels(OURS, theirs, pairs=pairs, key=key, value=value)


def test_a_text_keeps_its_lines_and_nothing_else_that_is_not_plain():
    assert paragraphs("one\r\ntwo\x00\n\nthree\ud800", 100) == "one\ntwo \n\nthree "
    assert paragraphs("one\ntwo\n" * 50, 9) == "one\ntwo\no"
    assert paragraphs("", 9) == ""


def test_our_labels_come_first_and_nobody_elses_replace_them():
    assert kept({"counterfoil_attempt": "forged", "a": "1"}, key=40) == {**OURS, "a": "1"}


def test_labels_are_clipped_and_counted():
    assert kept({f"{n}" + "k" * 20: "v" * 20 for n in range(9)}) == {
        **OURS,
        **{f"{n}kkkkkkkkk": "vvvvvvvv" for n in range(3)},
    }


@pytest.mark.parametrize(
    ("theirs", "left"),
    [
        ({"a": ""}, {}),
        ({"": "x"}, {}),
        ({"[]": "x"}, {}),
        ({"a[b]": "x"}, {"ab": "x"}),
        ({"a\x00b": "c\nd"}, {"a b": "c d"}),
        ({"a\ud800": "x\udfff"}, {"a ": "x "}),
    ],
)
def test_what_a_gateway_would_misread_is_left_out(theirs, left):
    assert kept(theirs) == {**OURS, **left}


@given(st.dictionaries(st.text(), st.text()))
def test_labels_never_exceed_what_the_gateway_keeps(theirs):
    made = kept(theirs, pairs=4)
    assert len(made) <= 4
    assert all(len(name) <= 10 and len(text) <= 8 for name, text in made.items() if name not in OURS)


@given(st.text(), st.integers(0, 50))
def test_plain_text_is_one_line_and_short(text, limit):
    made = plain(text, limit)
    assert len(made) <= limit
    assert not any(ord(letter) < 32 or ord(letter) == 127 for letter in made)
    assert plain(made, limit) == made


def test_plain_text_keeps_every_language():
    assert plain("₹ é தமிழ் 中文 عربي 😀") == "₹ é தமிழ் 中文 عربي 😀"
    assert len(plain("x" * 10_000)) == MAX_TEXT


def test_what_was_not_said_is_not_kept_and_nothing_is():
    assert known(a=None, b="", c=0, d=False, e="x\n") == {"c": 0, "d": False, "e": "x "}


@pytest.mark.parametrize(
    ("base", "path", "query", "whole"),
    [
        ("https://api.example", ("v1", "orders"), None, "https://api.example/v1/orders"),
        ("http://127.0.0.1:1/stripe/", ("v1", "x"), {"a": None}, "http://127.0.0.1:1/stripe/v1/x"),
        ("http://h", ("v1", "a/b?c#d"), {"created[gte]": 1}, "http://h/v1/a%2Fb%3Fc%23d?created%5Bgte%5D=1"),
    ],
)
def test_an_address_is_its_parts(base, path, query, whole):
    assert url(base, *path, query=query) == whole


def test_disagreement_is_told_with_both_sides():
    agree("amount", 1, 1)
    with pytest.raises(UnreadableEventError, match="amount is 2 where 1 was asked"):
        agree("amount", 1, 2)
