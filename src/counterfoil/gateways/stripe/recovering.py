"""Stripe's event list: what its webhooks should have brought, for as long as Stripe keeps it (gateways 1.8, 1.9).

Read by groups of types, so that a shop's thousands of invoice events, which mean nothing here, are not carried over.
Which of the events were delivered is not asked: where an endpoint is switched off or was never made, none is owed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from counterfoil.gateways.base import Accepted, Found, Listed, Listing, Outcome, Refused, Unknown
from counterfoil.gateways.http import Http, Request
from counterfoil.gateways.stripe.answers import judge
from counterfoil.gateways.stripe.shapes import EventId, Page
from counterfoil.gateways.stripe.translate import NAME
from counterfoil.gateways.wire import decode, url

# Together, every type that yields facts (events.READ).
GROUPS: Final = ("payment_intent.*", "charge.*", "refund.*", "radar.early_fraud_warning.*")
# A list gives at most a hundred at a time; events of these types are a few kilobytes each.
PAGE: Final = 100
# Two thousand events, some ten megabytes, held at once; a window with more is asked for in parts.
MAX_PAGES: Final = 20
# Half the patience of whoever waits for a payment that only an event can settle, at a cost of four calls.
EVERY: Final = timedelta(minutes=3)
# Events become visible out of the order of their making, by seconds as a rule.
OVERLAP: Final = timedelta(minutes=10)
# Stripe keeps events for thirty days; an hour less, so that the end of a window is there still when it is asked for.
KEPT: Final = timedelta(days=30) - timedelta(hours=1)


class Events:
    """Recover of `gateways.base`. The lists are the groups of types."""

    listings: Sequence[Listing] = tuple(
        Listing(name=group, every=EVERY, overlap=OVERLAP, kept=KEPT) for group in GROUPS
    )

    def __init__(self, http: Http, *, account_id: str, base_url: str, headers: Mapping[str, str]) -> None:
        self._http, self._account_id, self._base, self._headers = http, account_id, base_url, headers

    async def read(self, name: str, *, since: datetime, until: datetime) -> Listed | Refused | Unknown:
        """Every page of the window. Stripe pages from the newest back, by id, so that what is new moves nothing."""
        window = {
            "type": name,
            "created[gte]": int(since.timestamp()),
            "created[lte]": int(until.timestamp()),
            "limit": PAGE,
        }
        found: list[Found] = []
        after = None
        for _ in range(MAX_PAGES):
            outcome = await self._page({**window, "starting_after": after}, found)
            if isinstance(outcome, Refused | Unknown):
                return outcome
            if not isinstance(outcome, Accepted):
                return Unknown(message=outcome.message)
            if outcome.ref is None:
                return Listed(found=tuple(reversed(found)))
            after = outcome.ref
        return Listed(whole=False)

    async def _page(self, query: Mapping[str, Any], found: list[Found]) -> Outcome:
        """One page, added to `found`; the outcome's ref is where the next one begins, None after the last."""

        def read(body: bytes) -> Outcome:
            page = decode(body, Page[msgspec.Raw])
            ids = [decode(event, EventId).id for event in page.data]
            found.extend(Found(event=bytes(event)) for event in page.data)
            return Accepted(ref=ids[-1] if page.has_more and ids else None)

        request = Request(
            gateway=NAME,
            account_id=self._account_id,
            call="events.list",
            method="GET",
            url=url(self._base, "v1", "events", query=query),
            headers=self._headers,
        )
        return await self._http.ask(request, judge(read))
