"""What money movements mean in the books. Debits are positive, credits negative, and a journal sums to zero."""

from dataclasses import dataclass
from typing import Final

GATEWAY: Final = "gateway_balance"  # asset: money a gateway holds for us
SALES: Final = "sales"  # income
SURPLUS: Final = "owed_to_customers"  # liability: captured, but not on the winning charge


@dataclass(frozen=True, slots=True)
class Entry:
    account: str
    amount: int


def capture(amount: int, *, surplus: bool) -> tuple[Entry, ...]:
    """Money arrived at the gateway: ours where the payment is owed it, the customer's where it is surplus."""
    return Entry(GATEWAY, amount), Entry(SURPLUS if surplus else SALES, -amount)


def refund(amount: int, *, surplus: bool) -> tuple[Entry, ...]:
    """Money went back. A negative amount is a refund that came back to us."""
    return Entry(GATEWAY, -amount), Entry(SURPLUS if surplus else SALES, amount)
