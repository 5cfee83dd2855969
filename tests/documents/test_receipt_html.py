"""The receipt as a page: what it says of a file that somebody sent, in the receipt's own language."""

from dataclasses import replace
from html import unescape

import pytest

import receipt_samples
from counterfoil.documents.receipt_html import render
from counterfoil.documents.receipt_signing import Verdict
from counterfoil.documents.receipt_words import LANGUAGES, words

LOCALES = {"en": "en-IN", "hi": "hi-IN", "ta": "ta-IN", "ar": "ar-AE", "zh": "zh-CN", "zh-Hant": "zh-TW", "ja": "ja-JP", "ko": "ko-KR"}  # fmt: skip


def head(receipt, **said):
    """What stands above the receipt, without markup."""
    page = render(receipt, verified=True, **said)
    return " ".join(unescape(page.split('role="status"')[1].partition(">")[2].split("<a ")[0]).split())


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize(
    ("same", "signature", "names"),
    [
        (None, None, []),
        (True, None, ["sent.same"]),
        (False, None, ["sent.changed"]),
        (True, Verdict.INTACT, ["sent.same", "signature.intact"]),
        (True, Verdict.UNSIGNED, ["sent.same", "signature.unsigned"]),
        (False, Verdict.INTACT, ["sent.another", "signature.intact"]),
        (False, Verdict.CHANGED, ["sent.changed", "signature.changed"]),
        (False, Verdict.UNKNOWN_SIGNER, ["sent.changed", "signature.unknown_signer"]),
        (False, Verdict.UNSIGNED, ["sent.changed", "signature.unsigned"]),
    ],
)
def test_a_file_is_judged_in_the_language_of_the_receipt(code, same, signature, names):
    receipt = replace(receipt_samples.receipt(), locale=LOCALES[code])
    said = words(LOCALES[code])
    issued = said["issued_by"].format(seller="Kaveri Books & Coffee", number=receipt.number)
    assert head(receipt, same=same, signature=signature) == " ".join(
        [issued, *(said[name] for name in names)]
    )


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_file_may_be_sent_in_the_language_of_the_receipt_where_it_is_verified(code):
    receipt, said = replace(receipt_samples.receipt(), locale=LOCALES[code]), words(LOCALES[code])
    page = unescape(render(receipt, verified=True))
    assert all(said[name] in page for name in ("compare", "file", "send"))
    assert '<details class="compare" style' in page  # closed until a file was sent
    assert "<form" not in render(receipt)
    assert head(receipt, no_pdf=True).endswith(said["sent.no_pdf"])
    assert '<details class="compare" open' in render(receipt, verified=True, no_pdf=True)


def test_the_name_of_a_seller_is_only_ever_text():
    evil = "{number} {0} <script>alert(1)</script>"
    seller = replace(receipt_samples.SELLER, name=evil)
    page = render(replace(receipt_samples.receipt(), seller=seller), verified=True)
    assert "<script>" not in page
    assert "{number} {0}" in page
