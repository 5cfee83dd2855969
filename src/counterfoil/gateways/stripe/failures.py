"""Why Stripe, or the issuing bank behind it, said no to a payment or a refund: its codes in our words.

Sources: the decline codes and error codes of Stripe's own SDKs; what may be retried, gateways 1.3.
"""

from collections.abc import Mapping
from typing import Final

from counterfoil.domain.failure import FailureCode

_DECLINES = {
    FailureCode.CARD_DECLINED: "card_declined generic_decline",
    FailureCode.CONTACT_ISSUER: "approve_with_id call_issuer do_not_honor no_action_taken refer_to_customer",
    FailureCode.LOST_OR_STOLEN: "lost_card pickup_card stolen_card",
    FailureCode.FRAUD_SUSPECTED: "fraudulent highest_risk_level merchant_blacklist security_violation",
    FailureCode.DO_NOT_TRY_AGAIN: """do_not_try_again restricted_card revocation_of_all_authorizations
        revocation_of_authorization stop_payment_order""",
    FailureCode.INVALID_ACCOUNT: "invalid_account new_account_information_available",
    FailureCode.INSUFFICIENT_FUNDS: "insufficient_funds",
    FailureCode.LIMIT_EXCEEDED: "card_velocity_exceeded pin_try_exceeded withdrawal_count_limit_exceeded",
    FailureCode.INCORRECT_NUMBER: "incorrect_number invalid_number",
    FailureCode.INCORRECT_EXPIRY: "invalid_expiry_month invalid_expiry_year",
    FailureCode.INCORRECT_CVC: "incorrect_cvc invalid_cvc",
    FailureCode.INCORRECT_DETAILS: "incorrect_address incorrect_zip",
    FailureCode.INCORRECT_PIN: "incorrect_pin invalid_pin",
    FailureCode.EXPIRED_CARD: "expired_card",
    FailureCode.AUTHENTICATION_REQUIRED: """authentication_required offline_pin_required
        online_or_offline_pin_required""",
    FailureCode.PROCESSING_ERROR: "processing_error reenter_transaction try_again_later",
    FailureCode.BANK_UNAVAILABLE: "issuer_not_available",
    FailureCode.METHOD_NOT_SUPPORTED: "card_not_supported service_not_allowed",
    FailureCode.CURRENCY_NOT_SUPPORTED: "currency_not_supported",
    FailureCode.NOT_PERMITTED: "not_permitted transaction_not_allowed",
    FailureCode.DUPLICATE: "duplicate_transaction",
    FailureCode.AMOUNT_NOT_ALLOWED: "invalid_amount",
    FailureCode.MERCHANT_SETUP: "testmode_decline",
}

# What a payment can meet beside declines. Any other code means that the request itself was not acceptable.
_ERRORS = {
    FailureCode.AUTHENTICATION_FAILED: """payment_intent_authentication_failure
        setup_intent_authentication_failure""",
    FailureCode.AUTHENTICATION_REQUIRED: "payment_intent_action_required",
    FailureCode.TIMED_OUT: "payment_intent_payment_attempt_expired payment_method_provider_timeout",
    FailureCode.PROCESSING_ERROR: "payment_intent_payment_attempt_failed",
    FailureCode.CANCELLED_BY_CUSTOMER: "payment_method_customer_decline",
    FailureCode.CARD_DECLINED: "bank_account_declined payment_method_provider_decline",
    FailureCode.LIMIT_EXCEEDED: "card_decline_rate_limit_exceeded charge_exceeds_source_limit",
    FailureCode.INVALID_ACCOUNT: """account_closed bank_account_restricted bank_account_unusable debit_not_authorized
        no_account payment_method_bank_account_blocked""",
    FailureCode.INCORRECT_DETAILS: "account_number_invalid postal_code_invalid routing_number_invalid",
    FailureCode.METHOD_NOT_SUPPORTED: """invalid_card_type payment_intent_incompatible_payment_method
        payment_method_not_available payment_method_unactivated payment_method_unsupported_type
        sepa_unsupported_account""",
    FailureCode.CURRENCY_NOT_SUPPORTED: "payment_method_currency_mismatch",
    FailureCode.AMOUNT_NOT_ALLOWED: """amount_too_large amount_too_small charge_exceeds_transaction_limit
        invalid_charge_amount""",
    FailureCode.DUPLICATE: "token_already_used token_in_use",
    FailureCode.GATEWAY_UNAVAILABLE: "lock_timeout rate_limit payment_intent_rate_limit_exceeded",
    FailureCode.MERCHANT_SETUP: """account_invalid api_key_expired livemode_mismatch platform_account_required
        platform_api_key_expired secret_key_required testmode_charges_only tls_version_unsupported""",
    FailureCode.FRAUD_SUSPECTED: "anomalous_money_movement_request request_blocked",
    FailureCode.REFUND_BALANCE_SHORT: "balance_insufficient",
    FailureCode.REFUND_DISPUTED: "charge_disputed refund_disputed_payment",
    FailureCode.REFUND_NOT_ALLOWED: "charge_not_refundable",
    FailureCode.ALREADY_REFUNDED: "charge_already_refunded",
}
# Refusals of a refund that have no code of their own: what Stripe's sentence says.
_SENTENCES = {
    "greater than unrefunded amount": FailureCode.ALREADY_REFUNDED,
    "insufficient funds in": FailureCode.REFUND_BALANCE_SHORT,
}
# Why a refund that was accepted came back, where that is more than that it did (gateways 1.6).
_CAME_BACK = {
    "charge_for_pending_refund_disputed": FailureCode.REFUND_DISPUTED,
    "insufficient_funds": FailureCode.REFUND_BALANCE_SHORT,
}


def _by_code(groups: Mapping[FailureCode, str]) -> dict[str, FailureCode]:
    return {code: ours for ours, codes in groups.items() for code in codes.split()}


DECLINES: Final[Mapping[str, FailureCode]] = _by_code(_DECLINES)
ERRORS: Final[Mapping[str, FailureCode]] = {**DECLINES, **_by_code(_ERRORS)}


def of_decline(code: str | None, decline_code: str | None) -> FailureCode:
    """Why a charge failed. The issuer's reason is the nearer one; without either we know only that it failed."""
    return DECLINES.get(decline_code or "") or ERRORS.get(code or "") or FailureCode.OTHER


def of_error(code: str | None) -> FailureCode:
    """Why a request was refused; GATEWAY_REFUSED where the request itself was not acceptable."""
    return ERRORS.get(code or "") or FailureCode.GATEWAY_REFUSED


def of_refusal(code: str | None, sentence: str) -> FailureCode:
    """Why a refund was refused; by its sentence where Stripe has no code for the reason."""
    said = sentence.lower()
    told = next((ours for part, ours in _SENTENCES.items() if part in said), None)
    return of_error(code) if code or told is None else told


def of_refund(reason: str | None) -> FailureCode:
    """Why a refund failed, or came back days later."""
    return _CAME_BACK.get(reason or "", FailureCode.OTHER)
