"""A receipt as CSV: a row for each line, each tax and each refund, which add up to what stays paid.

Amounts are in major units with a point, as spreadsheets read them, and negative where money went back. What is said of the
receipt as a whole stands in each row, but for the fees: in the first alone, so that they too can be added up.
"""

from collections.abc import Iterator

from counterfoil.documents.csv import Cell, table
from counterfoil.documents.receipt_shown import rate
from counterfoil.domain.receipt import Kind, Receipt, money

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
HEADER = (
    "number", "kind", "issued_at", "row", "description", "hsn", "quantity", "rate", "amount", "currency",
    "reference", "place_of_supply", "reverse_charge", "fees",
)  # fmt: skip


def render(receipt: Receipt) -> bytes:
    return b"".join(table(HEADER, rows(receipt)))


def rows(receipt: Receipt) -> Iterator[tuple[Cell, ...]]:
    """Lines without their taxes, the taxes by name and rate, and what went back."""
    head = (receipt.number, receipt.kind.value, receipt.issued_at.isoformat())
    charged = None if receipt.kind is not Kind.INVOICE else "yes" if receipt.reverse_charge else "no"
    fees = None if receipt.fees is None else money(receipt, receipt.fees)
    for row in _rows(receipt):
        yield (*head, *row, receipt.place_of_supply, charged, fees)
        fees = None


def _rows(receipt: Receipt) -> Iterator[tuple[Cell, ...]]:
    """From what a row is of to its reference."""
    for line in receipt.lines:
        yield _row(receipt, "line", line.taxable, line.description, line.hsn, line.quantity)
    for tax in receipt.taxes:
        yield _row(receipt, "tax", tax.amount, tax.name, of=rate(tax))
    for refund in receipt.refunds:
        yield _row(receipt, "refund", -refund.amount, reference=refund.reference)


def _row(
    receipt: Receipt,
    kind: str,
    minor: int,
    description: str | None = None,
    hsn: str | None = None,
    quantity: int | None = None,
    *,
    of: str | None = None,
    reference: str | None = None,
) -> tuple[Cell, ...]:
    return kind, description, hsn, quantity, of, money(receipt, minor), receipt.currency, reference
