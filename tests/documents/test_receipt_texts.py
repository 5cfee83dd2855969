"""The text message that brings a receipt: short, with its whole link, in two SMS at most."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from counterfoil.documents import receipt_texts, receipt_words
from counterfoil.domain.receipt import Kind, Party, Receipt, lines

LINK = "https://pay.example.com/r/rct_01m82q4mexgp9s3vb3tax4n4pn~" + "x" * 40
AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RECEIPT = Receipt(
    id="rct_1", kind=Kind.PAYMENT, number="R-2026-000001", issued_at=AT, zone="UTC", locale="en",
    seller=Party(name="Your shop"), buyer=Party(name="Anna"), currency="USD", lines=lines((), 10_000, "Book", {}),
    taxes=(), total=10_000, paid_at=AT, method="Card",
)  # fmt: skip


def test_it_says_of_whom_what_and_where():
    said = receipt_texts.text(RECEIPT, LINK)
    assert said.body == f"Your shop: Receipt R-2026-000001, $100.00\n{LINK}"
    assert said.parts == {
        "business": "Your shop",
        "number": "R-2026-000001",
        "amount": "100.00 USD",
        "link": LINK,
    }


def test_that_of_the_sandbox_says_so():
    said = receipt_texts.text(replace(RECEIPT, sandbox=True), LINK)
    assert said.body.startswith("[Sandbox] Your shop: ")
    assert said.parts["business"] == "[Sandbox] Your shop"
    long = receipt_texts.text(replace(RECEIPT, sandbox=True, locale="ta"), LINK + "x" * 80)
    assert long.body.startswith("[Sandbox] R-2026-000001, 100.00 USD")


@pytest.mark.parametrize("locale", receipt_words.LANGUAGES)
@pytest.mark.parametrize("kind", Kind)
def test_in_every_language_it_is_two_sms_at_most(locale, kind):
    said = receipt_texts.text(replace(RECEIPT, locale=locale, kind=kind, sandbox=True), LINK)
    assert receipt_texts.segments(said.body) <= 2
    assert said.body.endswith(LINK)


@given(name=some.text(max_size=60))
def test_whatever_the_business_is_called_the_link_stays_whole(name):
    said = receipt_texts.text(replace(RECEIPT, seller=Party(name=name)), LINK)
    assert receipt_texts.segments(said.body) <= 2
    assert (said.body.endswith(LINK), said.body.count("\n")) == (True, 1)


@pytest.mark.parametrize(
    ("message", "count"),
    [("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("~" * 80, 1), ("~" * 81, 2),
     ("ह" * 70, 1), ("ह" * 71, 2), ("ह" * 134, 2), ("ह" * 135, 3), ("😀" * 35, 1), ("😀" * 36, 2)],
)  # fmt: skip
def test_sms_are_counted_as_they_are_paid(message, count):
    assert receipt_texts.segments(message) == count
