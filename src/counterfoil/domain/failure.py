"""Why a payment or a refund did not go through: one closed list for both gateways, and what the customer may be told.

A customer is never told that a card is lost, stolen or suspected: whoever holds it may not be its owner.
"""

from enum import Enum, StrEnum
from typing import NamedTuple


class Advice(StrEnum):
    """What may sensibly be tried next."""

    NEVER_SAME_CARD = (
        "never_same_card"  # the issuer will not have it; asking again counts against the merchant
    )
    FIX_DETAILS = "fix_details"  # the customer mistyped
    AUTHENTICATE = "authenticate"  # 3-D Secure is wanted
    LATER = "later"  # the same method later; another gateway asks the same issuer
    OTHER_METHOD = "other_method"  # another method or gateway can do it
    NOW = "now"  # a passing fault: the other gateway may well succeed
    MERCHANT = "merchant"  # nothing the customer can do: settings or the account


class Failure(NamedTuple):
    slug: str
    advice: Advice
    tell_customer: str


_GENERIC = "The bank declined the payment. Please use another card or method."


class FailureCode(Failure, Enum):
    CARD_DECLINED = Failure("card_declined", Advice.OTHER_METHOD, _GENERIC)
    LOST_OR_STOLEN = Failure("lost_or_stolen", Advice.NEVER_SAME_CARD, _GENERIC)
    FRAUD_SUSPECTED = Failure("fraud_suspected", Advice.NEVER_SAME_CARD, _GENERIC)
    DO_NOT_TRY_AGAIN = Failure("do_not_try_again", Advice.NEVER_SAME_CARD, _GENERIC)
    INVALID_ACCOUNT = Failure("invalid_account", Advice.NEVER_SAME_CARD, _GENERIC)
    INSUFFICIENT_FUNDS = Failure(
        "insufficient_funds",
        Advice.LATER,
        "There are not enough funds. Please use another card or try later.",
    )
    LIMIT_EXCEEDED = Failure(
        "limit_exceeded", Advice.LATER, "This is above a limit of the card or account. Please use another."
    )
    CONTACT_ISSUER = Failure(
        "contact_issuer", Advice.LATER, "Please call the bank that issued the card, or use another card."
    )
    INCORRECT_NUMBER = Failure("incorrect_number", Advice.FIX_DETAILS, "Please check the card number.")
    INCORRECT_EXPIRY = Failure("incorrect_expiry", Advice.FIX_DETAILS, "Please check the expiry date.")
    INCORRECT_CVC = Failure("incorrect_cvc", Advice.FIX_DETAILS, "Please check the security code.")
    INCORRECT_DETAILS = Failure("incorrect_details", Advice.FIX_DETAILS, "Please check what you entered.")
    INCORRECT_PIN = Failure("incorrect_pin", Advice.FIX_DETAILS, "The PIN was not right. Please try again.")
    EXPIRED_CARD = Failure("expired_card", Advice.FIX_DETAILS, "The card has expired. Please use another.")
    AUTHENTICATION_REQUIRED = Failure(
        "authentication_required", Advice.AUTHENTICATE, "Your bank wants you to confirm this payment."
    )
    AUTHENTICATION_FAILED = Failure(
        "authentication_failed",
        Advice.AUTHENTICATE,
        "Your bank could not confirm that it was you. Please try again.",
    )
    CANCELLED_BY_CUSTOMER = Failure("cancelled_by_customer", Advice.NOW, "The payment was cancelled.")
    TIMED_OUT = Failure("timed_out", Advice.NOW, "The bank did not answer in time. Please try again.")
    PROCESSING_ERROR = Failure(
        "processing_error", Advice.NOW, "The payment could not be processed. Please try again."
    )
    BANK_UNAVAILABLE = Failure(
        "bank_unavailable", Advice.NOW, "The bank cannot be reached right now. Please use another method."
    )
    METHOD_NOT_SUPPORTED = Failure(
        "method_not_supported", Advice.OTHER_METHOD, "This method cannot be used here. Please use another."
    )
    CURRENCY_NOT_SUPPORTED = Failure(
        "currency_not_supported",
        Advice.OTHER_METHOD,
        "The card cannot pay in this currency. Please use another.",
    )
    NOT_PERMITTED = Failure(
        "not_permitted", Advice.OTHER_METHOD, "The card does not allow this payment. Please use another."
    )
    DUPLICATE = Failure(
        "duplicate", Advice.MERCHANT, "A payment like this was made just now. Please check first."
    )
    AMOUNT_NOT_ALLOWED = Failure(
        "amount_not_allowed", Advice.MERCHANT, "This amount cannot be paid this way."
    )
    MERCHANT_SETUP = Failure(
        "merchant_setup", Advice.MERCHANT, "The payment could not be taken. Please tell the shop."
    )
    GATEWAY_UNAVAILABLE = Failure(
        "gateway_unavailable", Advice.NOW, "The payment service cannot be reached. Please try again."
    )
    GATEWAY_REFUSED = Failure(
        "gateway_refused", Advice.MERCHANT, "The payment could not be taken. Please tell the shop."
    )
    REFUND_BALANCE_SHORT = Failure(
        "refund_balance_short", Advice.LATER, "The refund is delayed. The shop will send it again."
    )
    REFUND_TOO_OLD = Failure(
        "refund_too_old",
        Advice.MERCHANT,
        "The payment is too old to be refunded the way it was made. The shop will refund it another way.",
    )
    REFUND_DISPUTED = Failure(
        "refund_disputed",
        Advice.MERCHANT,
        "Your bank is looking into this payment and returns the money if it decides so.",
    )
    ALREADY_REFUNDED = Failure("already_refunded", Advice.MERCHANT, "This payment has been refunded already.")
    REFUND_NOT_ALLOWED = Failure(
        "refund_not_allowed",
        Advice.MERCHANT,
        "This payment cannot be refunded the way it was made. The shop will refund it another way.",
    )
    OTHER = Failure("other", Advice.OTHER_METHOD, _GENERIC)


BY_SLUG = {code.slug: code for code in FailureCode}
