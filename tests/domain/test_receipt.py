from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain import receipt as domain
from counterfoil.domain.errors import ConfigurationError
from counterfoil.domain.money import Money
from counterfoil.domain.receipt import Kind, Party, Receipt, Refunded

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


def test_numbers_count_in_financial_years_and_stay_short():
    assert domain.financial_year(date(2026, 3, 31), "04-01") == 2025
    assert domain.financial_year(date(2026, 4, 1), "04-01") == 2026
    assert domain.number("R", 2026, 7) == "R-2026-000007"
    with pytest.raises(ConfigurationError, match="shorter prefix"):
        domain.number("ABCD", 2026, 10_000_000)


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({"brand": "visa", "last4": "4242"}, "Visa •••• 4242"),
        ({"last4": "4242"}, "Card •••• 4242"),
        ({"vpa": "anna@bank"}, "UPI an••••@bank"),
        ({"vpa": "anna"}, "UPI an••••"),
        ({"method": "netbanking", "bank": "HDFC"}, "Netbanking, HDFC"),
        ({}, "Payment"),
    ],
)
def test_a_method_is_named_and_never_enough_to_pay_with(detail: dict[str, str], said: str):
    assert domain.method_of(detail) == said
