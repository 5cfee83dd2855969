import re

import pytest

from counterfoil.documents.receipt_words import ENGLISH, LANGUAGES, language, words

# Written in Latin letters in India, whatever the language.
SAME_EVERYWHERE = {"hsn", "gstin"}


@pytest.mark.parametrize("code", sorted(set(LANGUAGES) - {"en"}))
def test_every_language_has_every_word_with_the_same_places_to_fill(code):
    said = LANGUAGES[code]
    assert set(said) | SAME_EVERYWHERE == set(ENGLISH)
    for name, word in said.items():
        assert re.findall(r"{\w+}", word) == re.findall(r"{\w+}", ENGLISH[name]), name
        assert name in SAME_EVERYWHERE or word != ENGLISH[name]


@pytest.mark.parametrize(
    ("locale", "code"),
    [
        ("en-IN", "en"),
        ("hi-IN", "hi"),
        ("ta_LK", "ta"),
        ("zh-CN", "zh"),
        ("zh-Hant-HK", "zh-Hant"),
        ("zh-TW", "zh-Hant"),
        ("fr-FR", "en"),
        ("", "en"),
    ],
)
def test_a_locale_speaks_its_language_and_english_where_there_is_none(locale, code):
    assert language(locale) == code


def test_a_word_without_translation_is_said_in_english():
    assert words("hi-IN")["gstin"] == "GSTIN"
