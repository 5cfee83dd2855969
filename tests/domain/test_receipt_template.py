"""Which template a receipt is drawn by."""

from dataclasses import replace

import pytest

from counterfoil.domain import receipt_template
from counterfoil.domain.receipt import Kind, check
from counterfoil.domain.receipt_sample import every, of
from counterfoil.domain.receipt_template import RULES, Choice

PAID = of(Kind.PAYMENT)  # ₹2,203.00 in en-IN, to somebody in India


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({}, True),
        ({"kind": ["payment", "refund"]}, True),
        ({"kind": ["invoice"]}, False),
        ({"currency": ["INR"]}, True),
        ({"currency": ["USD"]}, False),
        ({"language": ["en"]}, True),
        ({"language": ["en-IN"]}, True),
        ({"language": ["en-GB", "hi"]}, False),
        ({"language": ["e"]}, False),
        ({"country": ["IN"]}, True),
        ({"country": ["US"]}, False),
        ({"amountFrom": {"INR": 220_300}}, True),
        ({"amountFrom": {"INR": 220_301}}, False),
        ({"amountFrom": {"USD": 1}}, False),
        ({"amountBelow": {"INR": 220_301}}, True),
        ({"amountBelow": {"INR": 220_300}}, False),
        ({"amountBelow": {"USD": 999_999}}, False),
        ({"metadata": {"brand": "tea"}}, True),
        ({"metadata": {"brand": "coffee"}}, False),
        ({"metadata": {"shop": "x"}}, False),
        ({"currency": ["INR"], "kind": ["refund"]}, False),
    ],
)
def test_every_condition_must_hold(when, holds):
    assert Choice("kaveri", when).holds(PAID, {"brand": "tea"}) is holds


def test_what_the_receipt_does_not_say_does_not_hold():
    nobody = replace(PAID, buyer=replace(PAID.buyer, country=None))
    assert not Choice("kaveri", {"country": ["IN"]}).holds(nobody, {})


def test_the_templates_of_all_rules_that_hold_come_in_their_order():
    rules = [
        {"template": "b", "when": {"kind": ["refund"]}},
        {"template": "d", "when": {"metadata": {"brand": "tea"}}},
        {"template": "c"},
        {"template": "a"},
        {"template": "c"},
    ]
    choices = receipt_template.read(RULES.check(rules, "customTemplates"))
    assert receipt_template.fitting(choices, PAID, {}) == ["c", "a"]
    assert receipt_template.fitting(choices, of(Kind.REFUND), {"brand": "tea"}) == ["b", "d", "c", "a"]


def test_a_reference_is_read_as_it_is_written():
    assert receipt_template.reference("tea-house", 12) == "tea-house@12"
    assert receipt_template.parts("tea-house@12") == ("tea-house", 12)


def test_the_sums_of_made_up_receipts_agree():
    for sample in every():
        check(sample)
    assert {sample.kind for sample in every()} == set(Kind)
    assert max(len(sample.lines) for sample in every()) > 50
