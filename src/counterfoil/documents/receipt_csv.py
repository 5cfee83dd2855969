"""A receipt as CSV: a row for each line, each tax and each refund, which add up to what stays paid.

Amounts are in major units with a point, as spreadsheets read them, and negative where money went back.
"""

from collections.abc import Iterator

from counterfoil.documents.csv import Cell, table
from counterfoil.documents.receipt_shown import rate
from counterfoil.domain.receipt import Receipt, money

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
HEADER = (
    "number", "kind", "issued_at", "row", "description", "hsn", "quantity", "rate", "amount", "currency",
    "reference",
)  # fmt: skip


def render(receipt: Receipt) -> bytes:
    return b"".join(table(HEADER, rows(receipt)))


def rows(receipt: Receipt) -> Iterator[tuple[Cell, ...]]:
    """Lines without their taxes, the taxes by name and rate, and what went back."""
    head = (receipt.number, receipt.kind.value, receipt.issued_at.isoformat())
    for line in receipt.lines:
        yield (
            *head,
            "line",
            line.description,
            line.hsn,
            line.quantity,
            None,
            money(receipt, line.taxable),
            receipt.currency,
            None,
        )
    for tax in receipt.taxes:
        yield (
            *head,
            "tax",
            tax.name,
            None,
            None,
            rate(tax.rate),
            money(receipt, tax.amount),
            receipt.currency,
            None,
        )
    for refund in receipt.refunds:
        yield (
            *head,
            "refund",
            None,
            None,
            None,
            None,
            money(receipt, -refund.amount),
            receipt.currency,
            refund.reference,
        )
