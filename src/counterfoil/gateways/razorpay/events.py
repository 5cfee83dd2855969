"""Every type of event that Razorpay sends: the facts it yields, or why it yields none. Written for a merchant to read.

Source: the webhook events of Razorpay's documentation. A type that is not here is stored, and yields no facts.
"""

from collections.abc import Mapping
from typing import Final

from counterfoil.domain.fact import Kind

NOT_KNOWN: Final = "This version does not know the type; the event is kept."

_REFUND = (Kind.REFUND_PENDING, Kind.REFUND_SUCCEEDED, Kind.REFUND_FAILED)
# The refund of a payment that was never captured is its hold given back.
_GIVEN_BACK = (Kind.CHARGE_VOIDED,)
_DISPUTE = (Kind.DISPUTE_INQUIRY, Kind.DISPUTE_OPEN)

READ: Final[Mapping[str, tuple[Kind, ...]]] = {
    "payment.authorized": (Kind.CHARGE_AUTHORIZED,),
    "payment.captured": (Kind.CHARGE_CAPTURED,),
    "payment.failed": (Kind.CHARGE_FAILED, Kind.ATTEMPT_DECLINED),
    "order.paid": (Kind.CHARGE_CAPTURED, Kind.ATTEMPT_OPENED),
    "refund.created": (*_REFUND, *_GIVEN_BACK),
    "refund.processed": (Kind.REFUND_SUCCEEDED, *_GIVEN_BACK),
    "refund.failed": (Kind.REFUND_FAILED,),
    "refund.speed_changed": (*_REFUND, *_GIVEN_BACK),
    "payment.dispute.created": _DISPUTE,
    "payment.dispute.action_required": _DISPUTE,
    "payment.dispute.under_review": (Kind.DISPUTE_INQUIRY, Kind.DISPUTE_UNDER_REVIEW),
    "payment.dispute.won": (Kind.DISPUTE_WON,),
    "payment.dispute.lost": (Kind.DISPUTE_LOST, Kind.DISPUTE_WITHDRAWN),
    "payment.dispute.closed": (Kind.DISPUTE_CLOSED,),
}

# About no payment: how one bank, network or app fares, which routing and the checkout take note of.
TROUBLE: Final = frozenset(
    {"payment.downtime.started", "payment.downtime.updated", "payment.downtime.resolved"}
)

_IGNORED_BECAUSE = {
    "Settlements are read by API, complete and with every row, once Razorpay has processed them.": """
        settlement.processed
    """,
    "Counterfoil makes its own orders; what is paid through this comes as payment.captured too.": """
        invoice.expired invoice.paid invoice.partially_paid payment_link.cancelled payment_link.expired
        payment_link.paid payment_link.partially_paid qr_code.closed qr_code.created qr_code.credited
        subscription.activated subscription.authenticated subscription.cancelled subscription.charged
        subscription.completed subscription.halted subscription.paused subscription.pending subscription.resumed
        subscription.updated virtual_account.closed virtual_account.created virtual_account.credited
    """,
    "Of RazorpayX, which pays money out; Counterfoil takes payments.": """
        fund_account.validation.completed fund_account.validation.failed payout.downtime.resolved
        payout.downtime.started payout.failed payout.initiated payout.pending payout.processed payout.queued
        payout.rejected payout.reversed payout.updated payout_link.attempted payout_link.cancelled
        payout_link.expired payout_link.issued payout_link.pending payout_link.processed payout_link.processing
        payout_link.rejected transaction.created
    """,
    "For marketplaces on Razorpay Route; Counterfoil takes payments for its own account.": """
        product.route.activated product.route.needs_clarification product.route.under_review
        transfer.failed transfer.processed
    """,
    "About the Razorpay account, not about a payment.": """
        account.app.authorization_revoked
    """,
}
IGNORED: Final[Mapping[str, str]] = {
    name: because for because, names in _IGNORED_BECAUSE.items() for name in names.split()
}
