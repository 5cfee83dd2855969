"""One account's line to Stripe: every request goes through here, with its key, its version and its name for metrics."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from counterfoil.domain.call import Repeat, Verb
from counterfoil.gateways.base import Accepted, Outcome, Unknown, UnreadableEventError
from counterfoil.gateways.http import Http, Request
from counterfoil.gateways.stripe import form
from counterfoil.gateways.stripe.answers import judge
from counterfoil.gateways.stripe.shapes import Charge, Intent, Page, Refund
from counterfoil.gateways.stripe.translate import NAME
from counterfoil.gateways.wire import decode, url

# Answers keep this shape whatever the account's own default is; shapes.py was written against it.
VERSION: Final = "2026-10-28.endive"
# A list gives at most a hundred at a time.
PAGE: Final = 100
# Five thousand objects: a shop with more in one hour is asked again later, and nothing is taken for absent.
MAX_PAGES: Final = 50

T = TypeVar("T", Charge, Intent, Refund)
Read = Callable[[bytes], Outcome]


class Line:
    """What the calls of an account share. `live` is what every answer must agree with."""

    def __init__(self, http: Http, *, account_id: str, live: bool, base_url: str, secret_key: str) -> None:
        self._http = http
        self._account_id = account_id
        self._base = base_url
        self.live = live
        self.headers = {"Authorization": f"Bearer {secret_key}", "Stripe-Version": VERSION}

    async def post(
        self, call: str, path: tuple[str, ...], body: bytes, read: Read, *, verb: Verb, key: str
    ) -> Outcome:
        """A call with a key, which may be sent again with it."""
        keyed = {"Idempotency-Key": key}
        return await self._ask(call, path, body, judge(read, verb), keyed, Repeat.KEYED)

    async def put(
        self, call: str, path: tuple[str, ...], params: Mapping[str, form.Value], read: Read
    ) -> Outcome:
        """A call without a key: it leaves the object the same however often it is carried out."""
        return await self._ask(call, path, form.encode(params), judge(read), {}, Repeat.SINGLE_SHOT)

    async def _ask(
        self,
        call: str,
        path: tuple[str, ...],
        body: bytes,
        judged: Callable[..., Outcome],
        more: Mapping[str, str],
        repeat: Repeat,
    ) -> Outcome:
        request = Request(
            gateway=NAME,
            account_id=self._account_id,
            call=call,
            method="POST",
            url=url(self._base, "v1", *path),
            headers={**self.headers, **more, "Content-Type": "application/x-www-form-urlencoded"},
            body=body,
        )
        return await self._http.ask(request, judged, repeat=repeat)

    async def get(self, call: str, path: tuple[str, ...], query: Mapping[str, Any], read: Read) -> Outcome:
        request = Request(
            gateway=NAME,
            account_id=self._account_id,
            call=call,
            method="GET",
            url=url(self._base, "v1", *path, query=query),
            headers=self.headers,
        )
        return await self._http.ask(request, judge(read))

    async def list(
        self, noun: str, query: Mapping[str, Any], shape: type[Page[T]], keep: Callable[[T], None]
    ) -> Outcome:
        """Give every object of a list to `keep`, page by page. Unknown where there are more than can be read.

        Between pages the outcome's ref is where the next one begins; after the last it is None.
        """

        def read(body: bytes) -> Outcome:
            page = decode(body, shape)
            for row in page.data:
                keep(row)
            if page.has_more and not page.data:
                raise UnreadableEventError("an empty page that is not the last")
            return Accepted(ref=page.data[-1].id if page.has_more else None)

        after = None
        for _ in range(MAX_PAGES):
            query_here = {**query, "limit": PAGE, "starting_after": after}
            outcome = await self.get(f"{noun}.list", (noun,), query_here, read)
            if not isinstance(outcome, Accepted) or outcome.ref is None:
                return outcome
            after = outcome.ref
        return Unknown(message=f"Stripe lists more than {MAX_PAGES * PAGE} {noun}; not all were read.")
