"""What the merchant's own backend is told of: one closed list of event types, and how one is chosen."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from counterfoil.domain.payment import Status

# A type, once published, never changes its meaning. Whoever listens must expect new ones.
TYPES: Final = {
    "payment.created": "a payment was taken on",
    "payment.pending": "the customer or the bank is acting, or an outcome is not known yet",
    "payment.authorized": "the money is held and may be captured",
    "payment.captured": "the money is taken",
    "payment.failed": "no attempt can succeed any more",
    "payment.cancelled": "the payment was ended before money was taken",
    "payment.updated": "something else changed, as the amount refunded",
    "alert.opened": "something needs a person",
}
# Sent only by hand, to try an endpoint out; it is no event of the list and nothing is kept of it.
TEST: Final = "endpoint.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `object` is the thing as the API showed it at that moment, `version` its version.

    `sequence` counts in the order of commit and has no gaps; it is None until the worker has given one.
    """

    id: str
    merchant_id: str
    mode: str
    type: str
    object_id: str
    version: int
    object: dict[str, Any] = field(repr=False)
    created_at: datetime
    sequence: int | None = None


def of_payment(before: Status | None, after: Status) -> str:
    """The type that tells how a payment's status went on; `before` is None for a new payment."""
    if before is None:
        return "payment.created"
    return "payment.updated" if before is after else f"payment.{after.value}"


def is_filter(text: str) -> bool:
    """Whether an endpoint may ask for this: a type, or all types of a noun as payment.*"""
    noun, _, rest = text.partition(".")
    return text in TYPES or (rest == "*" and any(type_.startswith(f"{noun}.") for type_ in TYPES))
