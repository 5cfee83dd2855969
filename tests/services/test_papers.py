"""The date of each text on paper: of when it was first sent in these words."""

from datetime import UTC, datetime

from counterfoil.services.papers import dated

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BEFORE = "2026-11-20T12:00:00+00:00"


def test_what_was_never_sent_is_dated_now():
    assert dated({"receipt": "No. 1"}, None, NOW) == {"receipt": NOW.isoformat()}


def test_what_is_sent_again_in_the_same_words_keeps_its_date_and_what_is_not_does_not():
    sent = {
        "texts": {"receipt": "No. 1", "timeline": "12:00"},
        "dated": {"receipt": BEFORE, "timeline": BEFORE},
    }
    again = dated({"receipt": "No. 1", "timeline": "12:01", "terms": "None."}, sent, NOW)
    assert again == {"receipt": BEFORE, "timeline": NOW.isoformat(), "terms": NOW.isoformat()}


def test_evidence_that_was_sent_without_dates_is_dated_now():
    assert dated({"receipt": "No. 1"}, {"texts": {"receipt": "No. 1"}}, NOW) == {"receipt": NOW.isoformat()}
