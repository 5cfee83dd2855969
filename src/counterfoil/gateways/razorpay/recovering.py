"""Razorpay's object lists, read again for what its webhooks did not bring: it keeps no list of events (gateways 2.6).

A list is narrowed by when its objects were made, not by when they changed. So each is read twice: often, for what is
new; and now and then far back, for what took days to change. What is not settled here is asked about besides, one by
one: a dispute, which takes months, by that alone. Orders need no reading: what comes of one, its payments tell.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from counterfoil.domain.fact import Report
from counterfoil.gateways.base import (
    Accepted,
    Found,
    Listed,
    Listing,
    Outcome,
    Refused,
    Unknown,
    UnreadableEventError,
)
from counterfoil.gateways.razorpay.line import PAGE, Line
from counterfoil.gateways.razorpay.shapes import Collection, Dispute, Entity, Payment, Refund
from counterfoil.gateways.razorpay.translate import of_dispute, of_payment, of_refund
from counterfoil.gateways.wire import decode

# Two thousand objects held at once; a window with more is asked for in parts.
MAX_PAGES: Final = 20
# As often as Stripe's events; a customer in the middle of a bank's page changes within a quarter of an hour.
EVERY: Final = timedelta(minutes=3)
OVERLAP: Final = timedelta(minutes=15)
# Razorpay authorises late for up to three days and gives back uncaptured money after up to five; a refund by a slow
# bank is processed, or fails, within ten (gateways 2.2, 2.3, 2.4).
EVERY_LATE: Final = timedelta(hours=6)
LATE_PAYMENTS: Final = timedelta(days=6)
LATE_REFUNDS: Final = timedelta(days=10)


class Roll(NamedTuple):
    """Where a list is, what is asked for besides, and what an object on it says."""

    path: str
    query: Mapping[str, str]
    tell: Callable[[msgspec.Raw], tuple[Report, ...]]


def _payment(raw: msgspec.Raw) -> tuple[Report, ...]:
    return of_payment(decode(raw, Payment))


def _refund(raw: msgspec.Raw) -> tuple[Report, ...]:
    """Without its payment; whether that was ever captured is for the caller to know."""
    return of_refund(decode(raw, Refund), None)


def _dispute(raw: msgspec.Raw) -> tuple[Report, ...]:
    return of_dispute(decode(raw, Dispute), None)


_PAYMENTS: Final = Roll("payments", {"expand[]": "card"}, _payment)
_REFUNDS: Final = Roll("refunds", {}, _refund)
_DISPUTES: Final = Roll("disputes", {}, _dispute)
_ROLLS: Final[Mapping[str, Roll]] = {
    "payments": _PAYMENTS,
    "refunds": _REFUNDS,
    "disputes": _DISPUTES,
    "late payments": _PAYMENTS,
    "late refunds": _REFUNDS,
}


class Objects:
    """Recover of `gateways.base`."""

    listings: Sequence[Listing] = (
        Listing(name="payments", every=EVERY, overlap=OVERLAP),
        Listing(name="refunds", every=EVERY, overlap=OVERLAP),
        Listing(name="disputes", every=EVERY, overlap=OVERLAP),
        Listing(name="late payments", every=EVERY_LATE, overlap=LATE_PAYMENTS),
        Listing(name="late refunds", every=EVERY_LATE, overlap=LATE_REFUNDS),
    )

    def __init__(self, line: Line) -> None:
        self._line = line

    async def read(self, name: str, *, since: datetime, until: datetime) -> Listed | Refused | Unknown:
        """Every page of the window. Its end is fixed, so that what comes late can only push objects to a page that is
        still to be read: one may be met twice, and none is passed over (gateways 2.8).
        """
        window = {"from": int(since.timestamp()), "to": int(until.timestamp()), "count": PAGE}
        found: dict[str, Found] = {}
        for number in range(MAX_PAGES):
            outcome = await self._page(_ROLLS[name], {**window, "skip": number * PAGE}, found)
            if isinstance(outcome, Refused | Unknown):
                return outcome
            if not isinstance(outcome, Accepted):
                return Unknown(message=outcome.message)
            if outcome.ref is None:
                return Listed(found=tuple(reversed(found.values())))
        return Listed(whole=False)

    async def _page(self, of: Roll, window: Mapping[str, Any], found: dict[str, Found]) -> Outcome:
        """One page, added to `found` by id; the outcome's ref is its last id, None where there is no page after it."""

        def read(body: bytes) -> Outcome:
            items = decode(body, Collection[msgspec.Raw]).items
            entities = [decode(item, Entity) for item in items]
            for entity, item in zip(entities, items, strict=True):
                found.setdefault(entity.id, _found(of, entity, item))
            return Accepted(ref=entities[-1].id if len(items) == PAGE else None)

        return await self._line.get(f"{of.path}.list", (of.path,), {**of.query, **window}, read)


def _found(of: Roll, entity: Entity, item: msgspec.Raw) -> Found:
    """The object; one that cannot be understood is told as that, and does not hide the rest of its page."""
    refs = tuple(ref for ref in (entity.id, entity.order_id, entity.payment_id) if ref)
    try:
        return Found(refs=refs, reports=of.tell(item))
    except UnreadableEventError as unreadable:
        return Found(refs=refs, unreadable=str(unreadable))
