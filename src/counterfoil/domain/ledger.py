"""What money movements mean in the books. Debits are positive, credits negative, and a journal sums to zero."""

from dataclasses import dataclass
from typing import Final

GATEWAY: Final = "gateway_balance"  # asset: money a gateway holds for us
SALES: Final = "sales"  # income
SURPLUS: Final = "owed_to_customers"  # liability: captured, but not on the winning charge
BANK: Final = "bank"  # asset: the business's own account, from which a manual refund is paid
DISPUTED: Final = "disputes_held"  # asset: taken out of the balance by open disputes, and still ours to win
DISPUTE_LOSSES: Final = "dispute_losses"  # expense
OPENING: Final = "opening_balance"  # equity: what was booked elsewhere before

# The rules by which an import posts what was captured and given back before.
OPENED: Final = "opening"
OPENED_REFUND: Final = "opening_refund"


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


def manual_refund(amount: int, *, surplus: bool) -> tuple[Entry, ...]:
    """Money went back past the gateway."""
    return Entry(BANK, -amount), Entry(SURPLUS if surplus else SALES, amount)


def dispute(taken: int, lost: int) -> tuple[Entry, ...]:
    """A gateway took money out of its balance for a dispute, or, negative, gave it back; so much of it is lost.

    Empty where nothing moved. A gateway that takes it only when the dispute is lost moves both at once.
    """
    moved = Entry(GATEWAY, -taken), Entry(DISPUTED, taken - lost), Entry(DISPUTE_LOSSES, lost)
    return tuple(entry for entry in moved if entry.amount)


def opening(amount: int) -> tuple[Entry, ...]:
    """Money taken before this service was there, or, negative, given back: its income was booked elsewhere."""
    return Entry(GATEWAY, amount), Entry(OPENING, -amount)
