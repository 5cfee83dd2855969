"""Made-up receipts, to see a template by: each kind, and what a template should be ready for."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from counterfoil.domain.receipt import Kind, Party, Receipt, Refunded, check, lines, rates_for, totals

PAID: Final = datetime(2026, 11, 12, 8, 35, tzinfo=UTC)
SELLER: Final = Party(
    name="Sample Books & Coffee",
    address=("14 Church Street", "Bengaluru 560001"),
    country="IN",
    state="29",
    tax_id="29ABCDE1234F1Z5",
    email="hello@example.com",
    phone="+91 80 4000 1234",
)
BUYER: Final = Party(
    name="Asha Raman",
    address=("7 Lake View Road", "Chennai 600028"),
    country="IN",
    state="33",
    email="asha@example.com",
)
ITEMS: Final = (
    {"name": "The Book of Tea, hardback", "quantity": 2, "amount": 49900, "tax_rate": 500, "hsn": "4901"},
    {"name": "Filter coffee powder 500 g", "quantity": 3, "amount": 38500, "tax_rate": 1800, "hsn": "0901"},
    {"name": "Gift wrapping", "quantity": 1, "amount": 5000},
)
MANY: Final = 60  # lines, so that a template meets its second page
_NUMBERS: Final = {
    Kind.PAYMENT: "R-2026-000123",
    Kind.REFUND: "RF-2026-000007",
    Kind.INVOICE: "INV-2026-000042",
}


def of(kind: Kind, locale: str = "en-IN", *, seller: Party = SELLER) -> Receipt:
    """A receipt of that kind and locale, in rupees."""
    bought = lines(ITEMS, 220300, "Order 20411", rates_for(seller, BUYER))
    made = Receipt(
        id="rct_sample",
        kind=kind,
        number=_NUMBERS[kind],
        issued_at=PAID.replace(second=12),
        zone="Asia/Kolkata",
        locale=locale,
        seller=seller,
        buyer=BUYER,
        currency="INR",
        lines=bought,
        taxes=totals(bought),
        total=sum(line.amount for line in bought),
        paid_at=PAID,
        method="Visa •••• 4242",
        references={"payment": "pmt_sample", "reference": "ORDER-20411"},
        notes=("Thank you for shopping with us.",),
        place_of_supply=BUYER.state if kind is Kind.INVOICE else None,
        sandbox=True,
        verify_url="https://pay.example.com/r/rct_sample~0",
    )
    check(made)
    return made


def _long(paid: Receipt) -> Receipt:
    """More than a page, to nobody in particular."""
    items = [{"name": f"Item {n}", "amount": 9900 + n, "tax_rate": 1800} for n in range(MANY)]
    bought = lines(items, sum(9900 + n for n in range(MANY)), "", {"VAT": 1})
    total = sum(line.amount for line in bought)
    return replace(
        paid,
        lines=bought,
        taxes=totals(bought),
        total=total,
        buyer=Party(name=""),
        references={},
        notes=(),
    )


def every() -> tuple[Receipt, ...]:
    """What a template must be able to draw before it is published."""
    paid = of(Kind.PAYMENT)
    back = Refunded(PAID.replace(day=14), 49900, "rfn_sample")
    return (
        paid,
        of(Kind.REFUND),
        of(Kind.INVOICE),
        of(Kind.PAYMENT, "ar-AE"),
        replace(paid, refunds=(back,), fees=5200),
        replace(paid, sandbox=False, verify_url=None),
        _long(paid),
    )
