"""One account's line to Razorpay: every request goes through here, with its keys and its name for metrics."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from counterfoil.domain.call import Repeat, Verb
from counterfoil.gateways.base import Outcome
from counterfoil.gateways.http import Http, Request
from counterfoil.gateways.razorpay.answers import judge
from counterfoil.gateways.razorpay.translate import NAME
from counterfoil.gateways.wire import url

# The most that a list gives at once (gateways 2.8).
PAGE: Final = 100
JSON: Final = "application/json"
# An order that nobody saw may be abandoned; a capture, and the end of a dispute, do nothing the second time; a refund
# has a key.
REPEAT: Final[Mapping[Verb, Repeat]] = {
    Verb.OPEN: Repeat.HARMLESS,
    Verb.CAPTURE: Repeat.SINGLE_SHOT,
    Verb.REFUND: Repeat.KEYED,
    Verb.SUBMIT_EVIDENCE: Repeat.SINGLE_SHOT,
    Verb.ACCEPT_DISPUTE: Repeat.SINGLE_SHOT,
}
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
Read = Callable[[bytes], Outcome]


class Line:
    """What the calls of an account share."""

    def __init__(self, http: Http, *, account_id: str, base_url: str, key_id: str, key_secret: str) -> None:
        self._http = http
        self._account_id = account_id
        self._base = base_url
        self._headers = {"Authorization": f"Basic {b64encode(f'{key_id}:{key_secret}'.encode()).decode()}"}

    async def get(self, call: str, path: tuple[str, ...], query: Mapping[str, Any], read: Read) -> Outcome:
        request = Request(
            gateway=NAME,
            account_id=self._account_id,
            call=call,
            method="GET",
            url=url(self._base, "v1", *path, query=query),
            headers=self._headers,
        )
        return await self._http.ask(request, judge(read))

    async def send(
        self,
        call: str,
        path: tuple[str, ...],
        body: bytes,
        read: Read,
        *,
        verb: Verb | None = None,
        method: str = "POST",
        kind: str = JSON,
        headers: Mapping[str, str] = _NOTHING,
    ) -> Outcome:
        """A call with a body. Its verb says how it may be repeated; one without is not."""
        request = Request(
            gateway=NAME,
            account_id=self._account_id,
            call=call,
            method=method,
            url=url(self._base, "v1", *path),
            headers={**self._headers, "Content-Type": kind, **headers},
            body=body,
        )
        return await self._http.ask(request, judge(read, verb), repeat=REPEAT[verb] if verb else None)
