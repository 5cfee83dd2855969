from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain import receipt as domain
from counterfoil.domain.money import Money
from counterfoil.domain.receipt import Kind, Line, Party, Receipt, Refunded, Tax

AT = datetime(2026, 11, 23, tzinfo=UTC)
ITEMS = [{"name": "Book", "amount": 999, "quantity": 3, "tax_rate": 1800}, {"name": "Cup", "amount": 250}]


def made(total: int = 3_500) -> Receipt:
    lines = domain.lines(ITEMS, total, "Order", {"CGST": 1, "SGST": 1})
    return Receipt(
        id="rct_1", kind=Kind.PAYMENT, number="R-2026-000001", issued_at=AT, zone="UTC", locale="en",
        seller=Party(name="Shop"), buyer=Party(name="Anna"), currency="USD", lines=lines,
        taxes=domain.totals(lines), total=total, paid_at=AT, method="Card",
    )  # fmt: skip


@given(st.integers(-10_000, 10_000), st.lists(st.integers(0, 1_000), max_size=8))
def test_parts_add_up_to_the_whole(total: int, weights: list[int]):
    parts = domain.share(total, weights)
    assert len(parts) == len(weights)
    assert sum(parts) == (total if weights else 0)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_a_receipt_adds_up_whatever_was_captured_and_refunded(total: int, part: int):
    receipt = made(total)
    domain.check(receipt)
    back = domain.part_of(receipt.lines, min(part, total), "Refund")
    assert sum(line.amount for line in back) == min(part, total)
    assert all(line.taxable + sum(tax.amount for tax in line.taxes) == line.amount for line in back)


HALVES = {"CGST": 1, "SGST": 1}
bought = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["Book", "Cup", "Tea"]),  # and so the same thing twice
            "amount": st.integers(0, 20_000),
            "quantity": st.integers(1, 5),
            "tax_rate": st.sampled_from([None, 0, 25, 500, 1_800, 10_000]),
        }
    ),
    max_size=5,
)
rates = st.sampled_from([HALVES, {"IGST": 1}])


def parts(lines: Iterable[Line]) -> Counter[tuple[str, ...]]:
    """What the lines come to: by taxable value and by tax of each thing."""
    found: Counter[tuple[str, ...]] = Counter()
    for line in lines:
        found[line.description, "taxable"] += line.taxable
        for tax in line.taxes:
            found[line.description, tax.name, str(tax.rate)] += tax.amount
    return +found


@given(bought, st.integers(1, 120_000), rates)
def test_taxes_are_their_rate_of_what_was_taken_whatever_the_items_came_to(items, total, split):
    lines = domain.lines(items, total, "Order", split)
    assert sum(line.amount for line in lines) == total
    for line, item in zip(lines, items, strict=False):
        rate, tax = item["tax_rate"] or 0, sum(tax.amount for tax in line.taxes)
        assert line.taxable + tax == line.amount
        assert abs(2 * (tax * (domain.BASIS + rate) - line.amount * rate)) <= domain.BASIS + rate


@given(bought, st.integers(1, 120_000), rates, st.lists(st.integers(1, 9_000), max_size=12))
def test_the_parts_of_a_refund_are_the_whole_and_each_is_taxed_as_the_whole_is(items, total, split, pieces):
    whole, gone, rest = domain.lines(items, total, "Order", split), [], total
    for piece in [*pieces, total]:
        if amount := min(piece, rest):
            part = domain.part_of(whole, amount, "Refund", gone)
            assert sum(line.amount for line in part) == amount
            assert all(min([line.taxable, *(tax.amount for tax in line.taxes)]) >= 0 for line in part)
            for line in part:
                basis = sum(2 * tax.rate + tax.half for tax in line.taxes)
                due, tax = line.amount * basis, sum(tax.amount for tax in line.taxes)
                # A unit for the rounding here, and what the same thing on several lines was rounded by.
                assert abs(tax * (2 * domain.BASIS + basis) - due) <= 4 * (2 * domain.BASIS + basis)
            gone, rest = [*gone, *part], rest - amount
    assert parts(gone) == parts(whole)


@given(bought, st.lists(st.tuples(st.integers(1, 9_000), st.booleans()), max_size=12))
def test_parts_are_the_whole_though_some_came_back_in_between(items, pieces):
    total = 20_000
    whole, gone = domain.lines(items, total, "Order", HALVES), list[tuple[Line, ...]]()
    for piece, fails in [*pieces, (total, False)]:
        if amount := min(piece, total - sum(line.amount for line in chain(*gone))):
            part = domain.part_of(whole, amount, "Refund", chain(*gone))
            gone = [*gone[1:], part] if fails else [*gone, part]
    assert parts(chain(*gone)) == parts(whole)


def test_many_small_parts_are_taxed_together_as_one():
    whole, gone = domain.lines([{"name": "Tea", "amount": 1_180, "tax_rate": 1_800}], 1_180, "", HALVES), []
    for so_far in range(1, 601):
        gone += domain.part_of(whole, 1, "Refund", gone)
        assert abs(sum(tax.amount for line in gone for tax in line.taxes) - so_far * 180 / 1_180) <= 0.5


@pytest.mark.parametrize("taxed", [True, False])
def test_a_part_takes_nothing_back_though_all_the_others_of_its_kind_have_failed(taxed):
    whole, gone = domain.lines([{"name": "Tea", "amount": 100, "tax_rate": 2_500}], 100, "", HALVES), []
    for _ in range(60):
        gone += domain.part_of(whole, 1, "Refund", gone)
    gone = [line for line in gone if any(tax.amount for tax in line.taxes) == taxed]
    [line] = domain.part_of(whole, 1, "Refund", gone)
    assert sorted([line.taxable, *(tax.amount for tax in line.taxes)]) == [0, 0, 1]
    last = domain.part_of(whole, 100 - len(gone), "Refund", gone)
    assert parts([*gone, *last]) == parts(whole)


def test_a_captured_part_and_a_discount_are_taxed_for_what_they_are():
    [line] = domain.lines([{"name": "Tea", "amount": 10_500, "tax_rate": 500}], 5_000, "Order", HALVES)
    assert (line.taxable, [(tax.name, tax.amount) for tax in line.taxes]) == (
        4_762,
        [("CGST", 119), ("SGST", 119)],
    )
    [half] = domain.part_of([line], 2_500, "Refund")
    [other] = domain.part_of([line], 2_500, "Refund", [half])
    assert [sum(tax.amount for tax in part.taxes) for part in (half, other)] == [119, 119]
    [cheaper] = domain.lines([{"name": "Tea", "amount": 1_000, "quantity": 3}], 2_500, "Order", HALVES)
    assert (cheaper.quantity, cheaper.unit, cheaper.amount) == (3, 833, 2_500)


def test_what_was_taken_beyond_the_items_is_a_line_without_tax():
    tea, more = domain.lines([{"name": "Tea", "amount": 1_050, "tax_rate": 500}], 1_500, "Order", HALVES)
    assert (tea.amount, more.description, more.amount, more.taxes) == (1_050, "Adjustment", 450, ())
    assert (tea.word, more.word) == (None, "adjustment")


def test_a_part_beyond_the_whole_is_a_line_of_its_own():
    whole = domain.lines([{"name": "Tea", "amount": 1_050, "tax_rate": 500}], 1_050, "Order", HALVES)
    tea, more = domain.part_of(whole, 1_200, "Refund")
    assert (tea, more.description, more.amount) == (whole[0], "Refund", 150)
    [only] = domain.part_of(whole, 300, "Refund", whole)
    assert (only.description, only.amount) == ("Refund", 300)
    assert domain.part_of(whole, 1_050, "Refund", [only]) == whole  # what is no part of it takes nothing off


def test_half_of_a_rate_is_exact():
    [line] = domain.lines([{"name": "Gem", "amount": 100_250, "tax_rate": 25}], 100_250, "Order", HALVES)
    assert line.taxes == (Tax("CGST", 12, 100_000, 125, half=True), Tax("SGST", 12, 100_000, 125, half=True))
    assert domain.totals([line, line])[0] == Tax("CGST", 12, 200_000, 250, half=True)


def test_without_items_there_is_one_line_and_a_part_of_nothing_is_one_too():
    [line] = domain.lines([], 500, "Order", {})
    assert (line.description, line.amount, line.taxes) == ("Order", 500, ())
    assert domain.part_of((), 300, "Refund")[0].amount == 300


def test_sums_that_follow():
    receipt = replace(made(), refunds=(Refunded(AT, 500, "rfn_1"),))
    assert (receipt.refunded, receipt.net, domain.money(receipt, 5)) == (500, 3_000, Money(5, "USD"))
    assert receipt.taxable + sum(tax.amount for tax in receipt.taxes) == receipt.total


def test_sums_that_do_not_agree_are_refused():
    good = made()
    line = good.lines[0]
    wrong = (
        replace(good, total=1),
        replace(good, lines=(replace(line, taxable=line.taxable + 1), *good.lines[1:])),
        replace(good, taxes=()),
        replace(good, refunds=(Refunded(AT, 9_999, "rfn_1"),)),
    )
    for receipt in wrong:
        with pytest.raises(ValueError, match=r"add up|went back"):
            domain.check(receipt)


def test_taxes_split_by_where_it_is_supplied():
    seller = Party(name="Shop", country="IN", state="29", tax_id="29AAA")
    assert domain.rates_for(seller, Party(name="A", state="29")) == {"CGST": 1, "SGST": 1}
    assert domain.rates_for(seller, Party(name="A", state="07")) == {"IGST": 1}
    assert domain.rates_for(seller, Party(name="A", country="DE")) == {"IGST": 1}
    assert domain.rates_for(Party(name="Shop"), Party(name="A")) == {"Tax": 1}


def test_a_state_is_known_by_the_gstin_where_none_is_named():
    seller = Party(name="Shop", country="IN", tax_id="29ABCDE1234F1Z5")
    near, trader = Party(name="A", state="29"), Party(name="B", tax_id="33ABCDE1234F1Z5")
    assert (domain.rates_for(seller, near), domain.place_of_supply(seller, near)) == (HALVES, "29")
    assert (domain.rates_for(seller, trader), domain.place_of_supply(seller, trader)) == ({"IGST": 1}, "33")
    nobody = Party(name="C")
    assert (domain.rates_for(seller, nobody), domain.place_of_supply(seller, nobody)) == (HALVES, "29")
    assert domain.place_of_supply(Party(name="Shop"), Party(name="D", tax_id="100123456700003")) is None


def test_what_leaves_india_is_supplied_to_another_country():
    seller = Party(name="Shop", country="IN", state="29", tax_id="29ABCDE1234F1Z5")
    abroad = Party(name="A", country="DE", state="29")
    assert (domain.rates_for(seller, abroad), domain.place_of_supply(seller, abroad)) == ({"IGST": 1}, "96")


def test_numbers_count_in_financial_years():
    assert domain.financial_year(date(2026, 3, 31), "04-01") == 2025
    assert domain.financial_year(date(2026, 4, 1), "04-01") == 2026
    assert domain.series("R", 2026) == "R-2026-"


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({"brand": "visa", "last4": "4242"}, "Visa •••• 4242"),
        ({"last4": "4242"}, "Card •••• 4242"),
        ({"vpa": "anna@bank"}, "UPI an••••@bank"),
        ({"vpa": "anna"}, "UPI an••••"),
        ({"vpa": "ab@upi"}, "UPI a••••@upi"),
        ({"vpa": "a@upi"}, "UPI ••••@upi"),
        ({"vpa": "an***@upi"}, "UPI an••••@upi"),
        ({"vpa": "a***@upi"}, "UPI a••••@upi"),
        ({"method": "netbanking", "bank": "HDFC"}, "Netbanking, HDFC"),
        ({}, "Payment"),
    ],
)
def test_a_method_is_named_and_never_enough_to_pay_with(detail: dict[str, str], said: str):
    assert domain.method_of(detail) == said
