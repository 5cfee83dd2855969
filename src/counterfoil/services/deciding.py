"""The fraud decision's place in a payment's life: before a browser learns of an attempt, and before it is confirmed.

Every path to a gateway's money passes here. Today every payment is let through.
"""

from counterfoil.domain.payment import Payment
from counterfoil.services.context import Context


async def before_disclosure(ctx: Context, payment: Payment) -> None:
    """Decide whether a customer may be shown a way to pay this."""
    del ctx, payment


async def before_confirmation(ctx: Context, payment: Payment) -> None:
    """Decide whether this payment may be sent to the gateway now."""
    del ctx, payment
