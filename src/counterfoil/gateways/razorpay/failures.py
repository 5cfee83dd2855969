"""Why Razorpay, or the bank behind it, said no: its reasons in our words.

Source: the error reasons of Razorpay's documentation. A failed payment may still be authorised later whatever its
reason says (gateways 2.3), so none of these ends an attempt.
"""

from collections.abc import Mapping
from typing import Final

from counterfoil.domain.failure import FailureCode

_REASONS = {
    FailureCode.CARD_DECLINED: "card_declined credit_failed debit_declined payment_declined",
    FailureCode.FRAUD_SUSPECTED: "payment_risk_check_failed",
    FailureCode.INVALID_ACCOUNT: """bank_account_invalid bank_account_validation_failed debit_instrument_blocked
        debit_instrument_inactive""",
    FailureCode.INSUFFICIENT_FUNDS: "funds_blocked_by_mandate insufficient_fund insufficient_funds",
    FailureCode.LIMIT_EXCEEDED: """credit_limit_exceeded otp_attempts_exceeded pin_attempts_exceeded
        transaction_daily_count_exceeded transaction_daily_limit_exceeded transaction_frequency_limit_exceeded
        transaction_limit_exceeded""",
    FailureCode.INCORRECT_NUMBER: "card_number_invalid",
    FailureCode.INCORRECT_EXPIRY: "incorrect_card_expiry_date",
    FailureCode.INCORRECT_CVC: "incorrect_cvv",
    FailureCode.INCORRECT_DETAILS: """incorrect_card_details incorrect_cardholder_name invalid_device invalid_email
        invalid_mobile_number invalid_user_details invalid_vpa mobile_number_invalid psp_not_registered""",
    FailureCode.INCORRECT_PIN: "incorrect_atm_pin incorrect_pin pin_not_set",
    FailureCode.EXPIRED_CARD: "card_expired",
    FailureCode.AUTHENTICATION_FAILED: """authentication_failed authorisation_declined_by_psp incorrect_otp invalid_otp
        otp_expired""",
    FailureCode.CANCELLED_BY_CUSTOMER: "payment_cancelled",
    FailureCode.TIMED_OUT: """collect_request_pending deemed_transaction payment_collect_request_expired
        payment_pending payment_pending_approval payment_session_expired payment_timed_out request_timed_out""",
    FailureCode.PROCESSING_ERROR: """capture_failed duplicate_rrn_found gateway_technical_error
        invalid_response_from_gateway payment_declined_due_to_high_traffic payment_failed record_not_found
        reqauth_mandate_not_acknowledged server_error upi_app_technical_error verification_failed
        vpa_resolution_failed""",
    FailureCode.BANK_UNAVAILABLE: """bank_cutoff_in_progress bank_not_available bank_technical_error
        issuer_technical_error psp_app_not_available psp_not_available""",
    FailureCode.METHOD_NOT_SUPPORTED: """card_not_enrolled card_type_invalid emi_plan_unavailable
        psp_app_not_supported upi_autopay_not_supported_on_psp user_not_eligible user_not_registered_for_netbanking""",
    FailureCode.NOT_PERMITTED: """compliance_violation credit_limit_expired credit_limit_inactive
        credit_limit_not_approved credit_not_permitted emi_greater_than_max_amount mandate_creation_declined
        mandate_creation_expired mandate_creation_failed mandate_creation_timeout transaction_on_vpa_restricted""",
    FailureCode.DUPLICATE: "duplicate_refund_id duplicate_request order_already_paid",
    FailureCode.AMOUNT_NOT_ALLOWED: """amount_less_than_minimum_amount invalid_amount order_amount_mismatch
        payment_amount_tampered refund_limit_crossed""",
    FailureCode.MERCHANT_SETUP: """bank_not_enabled beneficiary_account_does_not_exist beneficiary_account_dormant
        card_network_not_enabled collect_on_mcc_blocked international_transaction_not_allowed invalid_currency
        live_mode_not_enabled merchant_not_activated payment_method_not_enabled recurring_payment_not_enabled
        upi_collect_not_enabled upi_intent_not_enabled""",
    FailureCode.GATEWAY_REFUSED: """input_validation_failed invalid_order_id invalid_request
        mismatch_in_transaction_details order_payment_method_mismatch""",
}
REASONS: Final[Mapping[str, FailureCode]] = {
    reason: ours for ours, reasons in _REASONS.items() for reason in reasons.split()
}
# Why a refund is refused: Razorpay has one reason for all of it, so that only its sentence tells (gateways 2.4).
_SENTENCES: Final = {
    "fully refunded": FailureCode.ALREADY_REFUNDED,
    "greater than amount captured": FailureCode.ALREADY_REFUNDED,
    "greater than the refund": FailureCode.ALREADY_REFUNDED,
    "enough balance": FailureCode.REFUND_BALANCE_SHORT,
    "too old": FailureCode.REFUND_TOO_OLD,
    "6 months": FailureCode.REFUND_TOO_OLD,
    "six months": FailureCode.REFUND_TOO_OLD,
    "dispute": FailureCode.REFUND_DISPUTED,
    "should be captured": FailureCode.REFUND_NOT_ALLOWED,
}
# The three classes of error, for a payment that failed without a reason.
_CODES: Final = {
    "GATEWAY_ERROR": FailureCode.PROCESSING_ERROR,
    "SERVER_ERROR": FailureCode.PROCESSING_ERROR,
}


def of_payment(reason: str | None, code: str | None) -> FailureCode:
    """Why a payment failed; the reason is the nearer one, and card samples give neither."""
    return REASONS.get(reason or "") or _CODES.get(code or "") or FailureCode.OTHER


def of_error(reason: str | None) -> FailureCode:
    """Why a request was refused; GATEWAY_REFUSED where the request itself was not acceptable."""
    return REASONS.get(reason or "") or FailureCode.GATEWAY_REFUSED


def of_refusal(reason: str | None, sentence: str) -> FailureCode:
    """Why a refund was refused, by what is said of it."""
    said = sentence.lower()
    return next((ours for part, ours in _SENTENCES.items() if part in said), None) or of_error(reason)
