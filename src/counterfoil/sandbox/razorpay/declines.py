"""Why a payment fails: what Razorpay tells of each reason."""

from dataclasses import dataclass
from typing import Final

from counterfoil.sandbox.calls import Answer
from counterfoil.sandbox.razorpay.errors import BAD_REQUEST, error


@dataclass(frozen=True, slots=True)
class Decline:
    """The error fields of a failed payment."""

    reason: str
    description: str
    source: str
    step: str
    code: str = BAD_REQUEST

    def answer(self, payment_id: str, order_id: str) -> Answer:
        """The same, as the browser is told."""
        return error(
            self.description,
            code=self.code,
            source=self.source,
            step=self.step,
            reason=self.reason,
            metadata={"payment_id": payment_id, "order_id": order_id},
        )


_AUTHENTICATION: Final = "payment_authentication"
_AUTHORIZATION: Final = "payment_authorization"

DECLINES: Final = {
    decline.reason: decline
    for decline in (
        Decline("payment_failed", "Payment failed", "issuer", _AUTHORIZATION),
        Decline("payment_timed_out", "The bank did not answer in time.", "bank", _AUTHORIZATION),
        Decline("insufficient_funds", "The account does not hold enough money.", "customer", _AUTHORIZATION),
        Decline("payment_cancelled", "The customer cancelled the payment.", "customer", _AUTHENTICATION),
        Decline("card_declined", "The card was declined by its bank.", "issuer", _AUTHORIZATION),
        Decline(
            "card_number_invalid", "There is no card with this number.", "customer", "payment_initiation"
        ),
        Decline("card_expired", "The card has expired.", "customer", "payment_initiation"),
        Decline("payment_declined", "The customer's bank declined the payment.", "bank", _AUTHENTICATION),
        Decline("incorrect_pin", "The UPI PIN was wrong.", "customer", _AUTHORIZATION),
        Decline(
            "gateway_technical_error",
            "Payment processing failed due to error at bank or wallet gateway",
            "gateway",
            _AUTHORIZATION,
            "GATEWAY_ERROR",
        ),
    )
}
