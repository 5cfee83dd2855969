"""What becomes of a charge: the outcomes that test cards and test bank accounts stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


@dataclass(frozen=True, slots=True)
class Decline:
    """The bank said no, in Stripe's words."""

    code: str
    reason: str | None  # decline_code; None where the code says it all
    message: str
    advice: str | None = "try_again_later"  # advice_code
    network: str | None = None  # network_decline_code


class Challenge(Enum):
    """When the bank asks the customer to authenticate (3D Secure)."""

    NEVER = "never"
    ALWAYS = "always"
    UNLESS_SET_UP = "unless set up"  # not off session, once a payment has set the card up for it


class RefundFate(Enum):
    """How a refund to this card goes: a course of refunding.py."""

    SUCCEEDS = "succeeded"
    PENDING_FIRST = "pending"  # then succeeded
    FAILS_LATER = "failing"  # succeeded, then failed


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of a charge. Times are seconds of sandbox time."""

    says: str  # for people
    decline: Decline | None = None
    challenge: Challenge = Challenge.NEVER
    attaches: bool = True  # whether a customer can keep it
    settles_after: int | None = None  # a delayed method: processing for so long, then its outcome
    refund: RefundFate = RefundFate.SUCCEEDS
    available_at_once: bool = False  # the money skips the pending balance
    dispute: str | None = None  # disputed as soon as it is captured: the reason
    inquiry: bool = False  # the dispute is a question first, and takes no money
    warned: bool = False  # the issuer warns of fraud as soon as it is captured


def _declined(reason: str, message: str, *, advice: str = "try_again_later", network: str = "05") -> Decline:
    return Decline("card_declined", reason, message, advice, network)


def _refused(reason: str, message: str) -> Decline:
    """A bank debit that came back."""
    return Decline("payment_intent_payment_attempt_failed", reason, message, None)


_GENERIC: Final = _declined("generic_decline", "Your card was declined.", network="01")
_POOR: Final = _declined("insufficient_funds", "Your card has insufficient funds.", network="51")
_NEVER: Final = "do_not_try_again"
_CHECK: Final = "confirm_card_data"
# The declined cards of the test list cannot be kept by a customer either; 0341 can.
DECLINES: Final[Mapping[str, Decline]] = {
    "declined": _GENERIC,
    "insufficient_funds": _POOR,
    "lost_card": _declined("lost_card", "Your card was declined.", advice=_NEVER, network="41"),
    "stolen_card": _declined("stolen_card", "Your card was declined.", advice=_NEVER, network="43"),
    "fraudulent": _declined("fraudulent", "Your card was declined.", advice=_NEVER, network="59"),
    "velocity": _declined(
        "card_velocity_exceeded", "Your card was declined for making repeated attempts too often."
    ),
    "expired_card": Decline("expired_card", "expired_card", "Your card has expired.", _CHECK, "54"),
    "incorrect_cvc": Decline(
        "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", _CHECK, "N7"
    ),
    "processing_error": Decline(
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
}

# Delayed methods settle in days at the banks; here within seconds, or minutes for the slow ones.
SOON_S, SLOW_S = 5, 180

PLANS: Final[Mapping[str, Plan]] = {
    "paid": Plan("succeeds"),
    **{
        name: Plan(f"declined: {decline.reason}", decline, attaches=False)
        for name, decline in DECLINES.items()
    },
    "charge_fails": Plan("can be kept, but every charge is declined", _GENERIC),
    "challenge": Plan("asks for 3D Secure, then succeeds", challenge=Challenge.ALWAYS),
    "challenge_once": Plan("asks for 3D Secure unless set up", challenge=Challenge.UNLESS_SET_UP),
    "challenge_poor": Plan("asks for 3D Secure, then declined: insufficient_funds", _POOR, Challenge.ALWAYS),
    "challenge_declined": Plan("asks for 3D Secure, then declined", _GENERIC, Challenge.ALWAYS),
    "refund_pending": Plan("succeeds; a refund is pending, then succeeds", refund=RefundFate.PENDING_FIRST),
    "refund_fails": Plan("succeeds; a refund succeeds, then fails", refund=RefundFate.FAILS_LATER),
    "available": Plan("succeeds; the money is available at once", available_at_once=True),
    "disputed": Plan("succeeds, then is disputed as fraudulent", dispute="fraudulent"),
    "not_received": Plan("succeeds, then is disputed as not received", dispute="product_not_received"),
    "asked_about": Plan("succeeds, then is asked about: an inquiry", dispute="fraudulent", inquiry=True),
    "warned": Plan("succeeds, then the issuer warns of fraud", warned=True),
    "debit": Plan("processing, then succeeds", settles_after=SOON_S),
    "debit_slow": Plan("processing for three minutes, then succeeds", settles_after=SLOW_S),
    "debit_poor": Plan(
        "processing, then fails: insufficient_funds",
        _refused(
            "insufficient_funds", "The customer's account has insufficient funds to cover this payment."
        ),
        settles_after=SOON_S,
    ),
    "debit_closed": Plan(
        "processing, then fails: account_closed",
        _refused("account_closed", "The customer's bank account has been closed."),
        settles_after=SOON_S,
    ),
    "debit_slow_poor": Plan(
        "processing for three minutes, then fails: insufficient_funds",
        _refused(
            "insufficient_funds", "The customer's account has insufficient funds to cover this payment."
        ),
        settles_after=SLOW_S,
    ),
}

AUTHENTICATION_REQUIRED: Final = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
AUTHENTICATION_FAILED: Final = Decline(
    "payment_intent_authentication_failure",
    None,
    "The provided PaymentMethod has failed authentication. Provide payment_method or confirmation_token and try again.",
    None,
)
