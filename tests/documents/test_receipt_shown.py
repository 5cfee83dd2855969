from dataclasses import replace

import pytest

import receipt_samples
from counterfoil.documents.receipt_shown import breakable, rate, shown
from counterfoil.documents.receipt_words import LANGUAGES
from counterfoil.domain.receipt import Kind, Party, Tax


def minor(text):
    """An amount that is shown, back in minor units of a currency with two decimals."""
    sign = -1 if text.startswith("−") else 1
    return sign * int("".join(filter(str.isdigit, text)))


@pytest.mark.parametrize("name", ["payment", "refunded", "refund", "invoice", "long", "hi", "ar"])
def test_what_is_shown_adds_up(name):
    receipt = receipt_samples.samples()[name]
    page = shown(receipt)
    assert sum(minor(row[-1][0]) for row in page["rows"]) == receipt.total
    totals = [minor(total["amount"]) for total in page["sums"] if total["weight"] == "total"]
    assert totals == [receipt.total, receipt.net][: len(totals)]
    before, after = [], []
    for line in page["sums"]:
        (before if line["weight"] == "plain" and not line["note"] else after).append(minor(line["amount"]))
    assert sum(before) == receipt.total
    assert minor(page["headline"]["amount"]) == receipt.total


def test_an_invoice_shows_what_rule_46_asks_for():
    page = shown(receipt_samples.samples()["invoice"])
    assert [column["says"] for column in page["columns"]] == [
        "Description", "HSN/SAC", "Qty", "Taxable value", "CGST", "SGST", "Amount (INR)",
    ]  # fmt: skip
    assert page["rows"][0] == [
        ["Espresso machine, two groups"],
        ["8419"],
        ["1"],
        ["1,04,624.39"],
        ["9,416.20", "9%"],
        ["9,416.19", "9%"],
        ["1,23,456.78"],
    ]
    assert ["Place of supply", "Karnataka (29)"] in page["facts"]
    assert ["Tax payable on reverse charge", "No"] in page["facts"]
    assert page["seller"]["tax"] == ["GSTIN", "29ABCDE1234F1Z5"]
    assert page["buyer"]["tax"] == ["GSTIN", "29AAAAA0000A1Z5"]
    assert page["in_words"] == "Rupees two lakh ten thousand fifty-six and seventy-eight paise only"


def test_an_item_without_a_tax_has_a_dash_where_others_have_theirs():
    rows = shown(receipt_samples.receipt(kind=Kind.INVOICE))["rows"]
    assert [row[4][0] for row in rows] == ["47.52", "176.19", "–"]


def test_a_refund_says_what_went_back():
    page = shown(receipt_samples.samples()["refund"])
    assert (page["headline"]["says"], page["sums"][-1]["says"]) == ("Refunded", "Total refunded")
    assert page["headline"]["day"] == "14 November 2026"
    assert [fact[:2] for fact in page["facts"][:1]] == [["Issued", "16 November 2026"]]
    assert (page["facts"][1][0], page["facts"][1][1][:16]) == ("Refunded on", "14 November 2026")


def test_half_of_a_quarter_of_a_percent_is_shown_as_it_is():
    gem = ({"name": "Gem", "quantity": 1, "amount": 100_250, "tax_rate": 25},)
    page = shown(receipt_samples.receipt(kind=Kind.INVOICE, buyer=receipt_samples.TRADER, items=gem))
    assert page["rows"][0][-3:-1] == [["1.25", "0.125%"], ["1.25", "0.125%"]]
    assert [line["says"] for line in page["sums"][1:3]] == ["CGST 0.125%", "SGST 0.125%"]


def test_what_leaves_india_is_supplied_to_another_country():
    invoice = receipt_samples.receipt(kind=Kind.INVOICE, place_of_supply="96")
    assert ["Place of supply", "Other country (96)"] in shown(invoice)["facts"]


def test_paper_is_that_of_the_sellers_country():
    assert shown(receipt_samples.samples()["en-US"])["paper"] == "us-letter"
    assert shown(receipt_samples.receipt())["paper"] == "a4"


def test_a_name_can_turn_no_text_round_and_hide_none():
    turned = Party(name="Asha\u202e4242\u2066\x00\r\nRaman\u200f")
    assert shown(replace(receipt_samples.receipt(), buyer=turned))["buyer"]["name"] == "Asha 4242 Raman"


def test_a_word_too_long_for_its_column_may_be_broken_and_others_not():
    items = (
        {"name": "W" * 50, "quantity": 1, "amount": 1},
        {"name": "Anticonstitutionnel", "quantity": 1, "amount": 1},
    )
    rows = shown(receipt_samples.receipt(items=items))["rows"]
    assert [len(part) for part in rows[0][0][0].split("\N{ZERO WIDTH SPACE}")] == [22, 22, 6]
    assert rows[1][0][0] == "Anticonstitutionnel"


@pytest.mark.parametrize(
    ("basis", "half", "text"),
    [
        (1800, False, "18%"),
        (250, False, "2.5%"),
        (825, False, "8.25%"),
        (2000, False, "20%"),
        (0, False, "0%"),
        (5, False, "0.05%"),
        (12, True, "0.125%"),
        (450, True, "4.505%"),
    ],
)
def test_a_rate_is_shown_without_needless_zeros(basis, half, text):
    assert rate(Tax("CGST", basis, 0, 0, half=half)) == text


def test_a_receipt_without_a_link_has_no_code_to_scan():
    page = shown(receipt_samples.receipt(verify_url=None))
    assert (page["qr"], page["verify_url"]) == (None, None)


@pytest.mark.parametrize("syllable", ["a", "கொ", "ப்ப", "क्ष्मि", "र्\u200dय"])
def test_a_long_word_is_broken_only_between_syllables(syllable):
    broken = breakable(syllable * 100)
    assert broken.replace("\u200b", "") == syllable * 100
    parts = broken.split("\u200b")
    assert {part.replace(syllable, "") for part in parts} == {""}
    assert max(map(len, parts)) < 22 + len(syllable)


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_what_we_say_ourselves_is_said_in_the_receipts_language(code):
    made, said = receipt_samples.by_hand(code), LANGUAGES[code]
    assert shown(made)["facts"][2][1] == said["by_hand"]
    assert shown(made)["rows"][-1][0] == [said["adjustment"]]
    assert (code == "en") == (said["by_hand"] == "Paid back by hand")


def test_what_was_stored_before_and_what_others_say_is_shown_as_it_is():
    before = receipt_samples.unworded(receipt_samples.by_hand("hi-IN"))
    assert shown(before)["facts"][2][1] == "Paid back by hand"
    assert shown(before)["rows"][-1][0] == ["Adjustment"]
    own = receipt_samples.receipt(
        locale="hi-IN", items=[{"name": "Adjustment", "quantity": 1, "amount": 100}]
    )
    assert shown(own)["rows"][0][0] == ["Adjustment"]
