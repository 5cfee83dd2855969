"""What mails say, and that nothing put into them is more than text."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as some

from counterfoil.documents import mails
from counterfoil.documents.mails import ENGLISH, LANGUAGES, Words
from counterfoil.domain.failure import FailureCode

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAMES = (
    "business",
    "amount",
    "because",
    "until",
    "payment",
    "reference",
    "attempts",
    "code",
    "gateway",
    "said",
    "customer",
    "endpoint",
    "host",
    "days",
    "since",
    "dispute",
    "reason",
    "refund",
    "paid",
    "note",
    "rule",
    "requester",
    "needs",
    "batch",
    "name",
    "rows",
)
FACTS = {name: f"the {name}" for name in NAMES}


def made(kind, facts=FACTS, *, link="https://pay.example/pay/pmt_1?token=1&x=2", language="en", **more):
    given = {
        "id_": "eml_1",
        "sender": "shop@shop.example",
        "sender_name": "Your shop",
        "recipient": "anna@example.com",
        "link": link,
        "at": AT,
        **more,
    }
    mail = mails.message(mails.words(kind, language, facts), **given)
    return message_from_bytes(mail.as_bytes(), policy=policy.default)


@pytest.mark.parametrize("kind", ENGLISH)
def test_every_mail_is_text_and_html_and_says_the_same(kind):
    mail = made(kind)
    text = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    assert (mail["To"], mail["From"], mail["Message-ID"]) == (
        "anna@example.com",
        "Your shop <shop@shop.example>",
        "<eml_1@shop.example>",
    )
    assert (mail["Auto-Submitted"], mail["Date"].datetime) == ("auto-generated", AT)
    for paragraph in mails.words(kind, "en", FACTS).paragraphs:
        assert paragraph in text
        assert f"<p>{paragraph}</p>" in html
    if ENGLISH[kind].button:
        assert text.rstrip().endswith("/pay/pmt_1?token=1&x=2")
        assert 'href="https://pay.example/pay/pmt_1?token=1&amp;x=2"' in html


def test_every_language_says_everything_with_the_same_facts():
    fields = re.compile(r"\{(\w+)\}")
    for language, table in LANGUAGES.items():
        assert table.keys() == ENGLISH.keys(), language
        for kind, said in table.items():
            named = {*fields.findall("".join((said.subject, *said.paragraphs, said.button)))}
            assert named <= set(NAMES), (language, kind)


def test_where_a_language_is_missing_english_is_spoken():
    mail = made("invitation", language="xx")
    assert (mail["Content-Language"], "could not be taken" in mail.get_body().get_content()) == ("en", True)


@pytest.mark.parametrize("code", FailureCode)
def test_no_customer_is_told_that_a_card_is_lost_or_suspected(code):
    mail = made("payment_failed", FACTS | {"because": code.tell_customer}).as_string().lower()
    assert not any(word in mail for word in ("lost", "stolen", "fraud", "suspect"))


@given(evil=some.text(max_size=80))
def test_nothing_that_is_put_in_breaks_a_header_or_the_page(evil):
    said = Words("{business}", ("{business}",))
    facts = {"business": f"{evil}\r\nBcc: all@example.com\r\n\r\n<b>{evil}"}
    clean = mails.one_line(facts["business"])
    mail = mails.message(
        said._replace(subject=said.subject.format_map({"business": clean}), paragraphs=(clean,)),
        id_="eml_1", sender="shop@shop.example", sender_name=evil, recipient="anna@example.com", link=None,
        at=AT,
    )  # fmt: skip
    read = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert (read["Bcc"], read["To"], len(read.get_all("Subject"))) == (None, "anna@example.com", 1)
    assert "<b>" not in read.get_body(("html",)).get_content()


@pytest.mark.parametrize("evil", ["a@b\r\nBcc: c@d", "a b@c", "a@b, c@d"])
def test_what_is_no_address_makes_no_mail(evil):
    with pytest.raises(ValueError, match=r".*"):
        made("invitation", recipient=evil)


def test_a_very_long_fact_is_cut():
    assert len(mails.one_line("x" * 9_000)) == mails.FACT_CHARS
