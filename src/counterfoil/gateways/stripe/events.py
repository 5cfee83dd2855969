"""Every type of event that Stripe sends: the facts it yields, or why it yields none. Written for a merchant to read.

Source: the event types of Stripe's own SDK, 16.1.0. A type that is not here is stored, and yields no facts.
"""

from collections.abc import Mapping
from typing import Final

from counterfoil.domain.fact import Kind

NOT_KNOWN: Final = "This version does not know the type; the event is kept."

_CHARGE = (
    Kind.CHARGE_CREATED,
    Kind.CHARGE_FAILED,
    Kind.CHARGE_AUTHORIZED,
    Kind.CHARGE_VOIDED,
    Kind.CHARGE_CAPTURED,
)
_REFUND = (Kind.REFUND_PENDING, Kind.REFUND_SUCCEEDED, Kind.REFUND_FAILED)
_DISPUTE = (Kind.DISPUTE_INQUIRY, Kind.DISPUTE_OPEN, Kind.DISPUTE_UNDER_REVIEW)
_DISPUTE_MONEY = (Kind.DISPUTE_WITHDRAWN, Kind.DISPUTE_REINSTATED)
_DISPUTE_END = (Kind.DISPUTE_WON, Kind.DISPUTE_LOST, Kind.DISPUTE_CLOSED)

READ: Final[Mapping[str, tuple[Kind, ...]]] = {
    "payment_intent.created": (Kind.ATTEMPT_OPENED,),
    "payment_intent.requires_action": (Kind.ATTEMPT_ACTION,),
    "payment_intent.partially_funded": (Kind.ATTEMPT_ACTION,),
    "payment_intent.processing": (Kind.ATTEMPT_PROCESSING, Kind.CHARGE_CREATED),
    "payment_intent.payment_failed": (Kind.ATTEMPT_DECLINED, Kind.CHARGE_FAILED),
    "payment_intent.amount_capturable_updated": (Kind.CHARGE_AUTHORIZED,),
    "payment_intent.succeeded": (Kind.CHARGE_CAPTURED,),
    "payment_intent.canceled": (Kind.ATTEMPT_CANCELLED,),
    "charge.pending": (Kind.CHARGE_CREATED,),
    "charge.failed": (Kind.CHARGE_FAILED,),
    "charge.succeeded": (Kind.CHARGE_AUTHORIZED, Kind.CHARGE_CAPTURED),
    "charge.captured": (Kind.CHARGE_CAPTURED,),
    "charge.expired": (Kind.CHARGE_VOIDED,),
    # The charge's own state: captured still, or a hold that was given back. The refund reports for itself.
    "charge.refunded": (Kind.CHARGE_CAPTURED, Kind.CHARGE_VOIDED),
    "charge.updated": _CHARGE,
    "charge.refund.updated": _REFUND,
    "refund.created": _REFUND,
    "refund.updated": _REFUND,
    "refund.failed": (Kind.REFUND_FAILED,),
    "charge.dispute.created": (*_DISPUTE, *_DISPUTE_MONEY),
    "charge.dispute.updated": (*_DISPUTE, *_DISPUTE_MONEY, *_DISPUTE_END),
    "charge.dispute.funds_withdrawn": (*_DISPUTE, *_DISPUTE_MONEY, *_DISPUTE_END),
    "charge.dispute.funds_reinstated": (*_DISPUTE, *_DISPUTE_MONEY, *_DISPUTE_END),
    "charge.dispute.closed": (*_DISPUTE_MONEY, *_DISPUTE_END),
    "radar.early_fraud_warning.created": (Kind.WARNING_EARLY_FRAUD,),
}

_IGNORED_BECAUSE = {
    "Settlements are read by API, complete and with every row, when the payout is reconciled.": """
        balance.available cash_balance.funds_available customer_cash_balance_transaction.created
        payout.canceled payout.created payout.failed payout.paid payout.reconciliation_completed
        payout.updated reserve.hold.created reserve.hold.updated reserve.plan.created
        reserve.plan.disabled reserve.plan.expired reserve.plan.updated reserve.release.created
        topup.canceled topup.created topup.failed topup.reversed topup.succeeded
    """,
    "Counterfoil opens PaymentIntents itself; what is paid through this reports as its own PaymentIntent.": """
        checkout.session.async_payment_failed checkout.session.async_payment_succeeded
        checkout.session.completed checkout.session.expired payment_link.created payment_link.updated
    """,
    "Counterfoil does not bill through Stripe; what is paid for a bill reports as its own PaymentIntent.": """
        billing.alert.triggered billing.credit_balance_transaction.created billing.credit_grant.created
        billing.credit_grant.updated billing.meter.created billing.meter.deactivated
        billing.meter.reactivated billing.meter.updated billing_portal.configuration.created
        billing_portal.configuration.updated billing_portal.session.created coupon.created coupon.deleted
        coupon.updated credit_note.created credit_note.updated credit_note.voided
        customer.discount.created customer.discount.deleted customer.discount.updated
        customer.subscription.created customer.subscription.deleted customer.subscription.paused
        customer.subscription.pending_update_applied customer.subscription.pending_update_expired
        customer.subscription.resumed customer.subscription.trial_will_end customer.subscription.updated
        customer.tax_id.created customer.tax_id.deleted customer.tax_id.updated
        entitlements.active_entitlement_summary.updated invoice.created invoice.deleted
        invoice.finalization_failed invoice.finalized invoice.marked_uncollectible invoice.overdue
        invoice.overpaid invoice.paid invoice.payment_action_required invoice.payment_attempt_required
        invoice.payment_failed invoice.payment_succeeded invoice.sent invoice.upcoming invoice.updated
        invoice.voided invoice.will_be_due invoice_payment.paid invoiceitem.created invoiceitem.deleted
        plan.created plan.deleted plan.updated price.created price.deleted price.updated product.created
        product.deleted product.updated promotion_code.created promotion_code.updated quote.accepted
        quote.canceled quote.created quote.finalized subscription_schedule.aborted
        subscription_schedule.canceled subscription_schedule.completed subscription_schedule.created
        subscription_schedule.expiring subscription_schedule.released subscription_schedule.updated
        tax.settings.updated tax_rate.created tax_rate.updated
    """,
    "A customer or a saved method changed; no money moved.": """
        customer.created customer.deleted customer.source.created customer.source.deleted
        customer.source.expiring customer.source.updated customer.updated mandate.updated
        payment_method.attached payment_method.automatically_updated payment_method.detached
        payment_method.updated setup_intent.canceled setup_intent.created setup_intent.requires_action
        setup_intent.setup_failed setup_intent.succeeded source.canceled source.chargeable source.failed
        source.mandate_notification source.refund_attributes_required source.transaction.created
        source.transaction.updated
    """,
    "The warning itself was told when it was made; only whether it is still to be acted on changes.": """
        radar.early_fraud_warning.updated
    """,
    "A review moves no money; act on it at Stripe, and what comes of it is reported.": """
        review.closed review.opened
    """,
    "For platforms on Stripe Connect; Counterfoil takes payments for its own account.": """
        account.application.authorized account.application.deauthorized application_fee.created
        application_fee.refund.updated application_fee.refunded capability.updated person.created
        person.deleted person.updated transfer.created transfer.reversed transfer.updated
    """,
    "About the Stripe account, not about a payment.": """
        account.external_account.created account.external_account.deleted account.external_account.updated
        account.updated apps.install.created apps.install.deleted apps.install.updated
        balance_settings.updated
    """,
    "A step on the way; the PaymentIntent reports what came of it.": """
        three_d_secure.authentication.canceled three_d_secure.authentication.challenge_started
        three_d_secure.authentication.errored three_d_secure.authentication.failed
        three_d_secure.authentication.requires_challenge three_d_secure.authentication.requires_submission
        three_d_secure.authentication.succeeded
    """,
    "A file or a report is ready; no money moved.": """
        file.created reporting.report_run.failed reporting.report_run.succeeded
        reporting.report_type.updated sigma.scheduled_query_run.created
    """,
    "Of a Stripe product that Counterfoil does not use.": """
        climate.order.canceled climate.order.created climate.order.delayed climate.order.delivered
        climate.order.product_substituted climate.product.created climate.product.pricing_updated
        financial_connections.account.account_numbers_updated financial_connections.account.created
        financial_connections.account.deactivated financial_connections.account.disconnected
        financial_connections.account.expected_deactivation_date_updated
        financial_connections.account.reactivated financial_connections.account.refreshed_balance
        financial_connections.account.refreshed_ownership
        financial_connections.account.refreshed_transactions
        financial_connections.account.supported_payment_method_types_updated
        financial_connections.account.upcoming_account_number_expiry
        financial_connections.account.upcoming_deactivation
        financial_connections.authorization.expected_deactivation_date_updated
        financial_connections.authorization.upcoming_deactivation identity.verification_session.canceled
        identity.verification_session.created identity.verification_session.processing
        identity.verification_session.redacted identity.verification_session.requires_input
        identity.verification_session.verified issuing_authorization.created issuing_authorization.request
        issuing_authorization.updated issuing_card.created issuing_card.updated issuing_cardholder.created
        issuing_cardholder.updated issuing_dispute.closed issuing_dispute.created
        issuing_dispute.funds_reinstated issuing_dispute.funds_rescinded issuing_dispute.submitted
        issuing_dispute.updated issuing_personalization_design.activated
        issuing_personalization_design.deactivated issuing_personalization_design.rejected
        issuing_personalization_design.updated issuing_token.created issuing_token.updated
        issuing_transaction.created issuing_transaction.purchase_details_receipt_updated
        issuing_transaction.updated terminal.reader.action_failed terminal.reader.action_succeeded
        terminal.reader.action_updated treasury.credit_reversal.created treasury.credit_reversal.posted
        treasury.debit_reversal.completed treasury.debit_reversal.created
        treasury.debit_reversal.initial_credit_granted treasury.financial_account.closed
        treasury.financial_account.created treasury.financial_account.features_status_updated
        treasury.inbound_transfer.canceled treasury.inbound_transfer.created
        treasury.inbound_transfer.failed treasury.inbound_transfer.succeeded
        treasury.outbound_payment.canceled treasury.outbound_payment.created
        treasury.outbound_payment.expected_arrival_date_updated treasury.outbound_payment.failed
        treasury.outbound_payment.posted treasury.outbound_payment.returned
        treasury.outbound_payment.tracking_details_updated treasury.outbound_transfer.canceled
        treasury.outbound_transfer.created treasury.outbound_transfer.expected_arrival_date_updated
        treasury.outbound_transfer.failed treasury.outbound_transfer.posted
        treasury.outbound_transfer.returned treasury.outbound_transfer.tracking_details_updated
        treasury.received_credit.created treasury.received_credit.failed
        treasury.received_credit.succeeded treasury.received_debit.created
    """,
    "Stripe's own test clock; no money is involved.": """
        test_helpers.test_clock.advancing test_helpers.test_clock.created test_helpers.test_clock.deleted
        test_helpers.test_clock.internal_failure test_helpers.test_clock.ready
    """,
}
IGNORED: Final[Mapping[str, str]] = {
    name: because for because, names in _IGNORED_BECAUSE.items() for name in names.split()
}
