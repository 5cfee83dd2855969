"""The link of a receipt: its id, signed, for whoever has it."""

from datetime import datetime, timedelta
from typing import Final

from counterfoil.services.context import Context

# A receipt can be verified for as long as books are kept: eight years in India (CGST Rules 56), ten in much of Europe.
VERIFIED_FOR: Final = timedelta(days=3653)


def link(ctx: Context, receipt_id: str, issued_at: datetime, *, at: str | None) -> str:
    """Where whoever has it sees the receipt: at the address that the service had then, or has now. The same each time."""
    mark = ctx.vault.sign_link(receipt_id, issued_at + VERIFIED_FOR)
    return f"{at or ctx.public_url}/r/{receipt_id}~{mark}"
