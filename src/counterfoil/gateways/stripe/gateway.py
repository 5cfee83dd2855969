"""The calls to Stripe: open, confirm, capture and cancel a PaymentIntent, and read it.

An intent is always made unconfirmed, and confirmed by its id in a second call: so its id is committed before money can
move. Every POST carries an idempotency key, which makes all four of them `keyed` (gateways 1.2, 1.4, 8).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from counterfoil.domain.call import Repeat, Verb
from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.fact import Report
from counterfoil.domain.money import Money, to_wire
from counterfoil.gateways.base import (
    Accepted,
    Gateway,
    Method,
    Opening,
    Outcome,
    Script,
    Unknown,
    UnreadableEventError,
)
from counterfoil.gateways.http import Http, Request, unwritable
from counterfoil.gateways.stripe import form, speak
from counterfoil.gateways.stripe.answers import accepted, judge
from counterfoil.gateways.stripe.recovering import Events
from counterfoil.gateways.stripe.shapes import Charge, Intent, Page, Refund
from counterfoil.gateways.stripe.translate import (
    ATTEMPT_LABEL,
    NAME,
    PAYMENT_LABEL,
    REFUND_LABEL,
    of_charge,
    of_refund,
)
from counterfoil.gateways.wire import agree, decode, labels, plain, url

BASE_URL: Final = "https://api.stripe.com"
# Answers keep this shape whatever the account's own default is; shapes.py was written against it.
VERSION: Final = "2026-10-28.endive"

# Stripe.js, and what Stripe asks a page to allow it: its own frames, and the bank's page inside one of them.
SCRIPT: Final = Script(
    "https://js.stripe.com/v3/",
    {
        "script-src": ("https://js.stripe.com", "https://*.js.stripe.com"),
        "connect-src": ("https://api.stripe.com",),
        "frame-src": ("https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"),
        "img-src": ("https://*.stripe.com",),
    },
)

# What Stripe keeps of metadata, and of a description (gateways 1.4).
METADATA: Final[Mapping[str, int]] = {"pairs": 50, "key": 40, "value": 500}
DESCRIPTION_CHARS: Final = 1000

# A list gives at most a hundred at a time.
PAGE: Final = 100
# Five thousand objects: a shop with more in one hour is asked again later, and nothing is taken for absent.
MAX_PAGES: Final = 50
# Where an intent whose answer was lost is looked for: clocks differ, and a call may have waited before it was sent.
FIND_BEFORE: Final = timedelta(minutes=5)
FIND_AFTER: Final = timedelta(hours=1)

_NAMES: Final = {
    Verb.OPEN: "payment_intents.create",
    Verb.CONFIRM: "payment_intents.confirm",
    Verb.CAPTURE: "payment_intents.capture",
    Verb.CANCEL: "payment_intents.cancel",
    Verb.REFUND: "refunds.create",
}
T = TypeVar("T", Charge, Intent, Refund)


def connect(
    http: Http, *, account_id: str, mode: str, base_url: str = BASE_URL, secret_key: str, publishable_key: str
) -> Gateway:
    """Stripe for one account and mode ("sandbox" or "live")."""
    calls = Calls(http, account_id=account_id, live=mode == "live", base_url=base_url, secret_key=secret_key)
    return Gateway(
        name=NAME,
        account_id=account_id,
        mode=mode,
        collect=calls,
        confirm=calls,
        cancel=calls,
        refunds=calls,
        recover=Events(http, account_id=account_id, base_url=base_url, headers=_headers(secret_key)),
        speak=speak,
        script=SCRIPT if base_url == BASE_URL else Script.of_one_origin(url(base_url, "js")),
        public_key=publishable_key,
    )


class Calls:
    """Collect, Confirm, Cancel and Refunds of `gateways.base`."""

    repeat: Mapping[Verb, Repeat] = dict.fromkeys(Verb, Repeat.KEYED)

    def __init__(self, http: Http, *, account_id: str, live: bool, base_url: str, secret_key: str) -> None:
        self._http = http
        self._account_id = account_id
        self._live = live
        self._base = base_url
        self._headers = _headers(secret_key)

    async def open(self, opening: Opening, *, key: str) -> Outcome:
        try:
            amount = to_wire(NAME, opening.amount)
        except AmountNotValidError as error:
            return unwritable(error)
        params: Mapping[str, form.Value] = {
            "amount": amount,
            "currency": opening.amount.currency.lower(),
            "automatic_payment_methods": {
                "enabled": True,
                "allow_redirects": "always" if opening.redirects else "never",
            },
            "capture_method": "automatic_async" if opening.capture == "automatic" else "manual",
            "customer": opening.customer_ref,
            "description": opening.description and plain(opening.description, DESCRIPTION_CHARS),
            "metadata": labels(
                {ATTEMPT_LABEL: opening.reference, PAYMENT_LABEL: opening.payment_id},
                opening.metadata,
                **METADATA,
            ),
        }
        return await self._post(
            Verb.OPEN, ("payment_intents",), params, key, lambda body: self._opened(opening, body)
        )

    async def confirm(self, ref: str, method: Method, *, key: str, return_url: str | None) -> Outcome:
        params: Mapping[str, form.Value] = {
            "payment_method": method.payment_method,
            "confirmation_token": method.confirmation_token,
            "off_session": True if method.off_session else None,
            "return_url": return_url,
            "expand": ["latest_charge"],
        }
        return await self._post(
            Verb.CONFIRM, ("payment_intents", ref, "confirm"), params, key, lambda body: self._told(ref, body)
        )

    async def capture(self, ref: str, charge_ref: str, amount: Money, *, key: str) -> Outcome:
        """Capture all or part: Stripe captures an intent, whose one authorised charge is `charge_ref`."""
        try:
            params: Mapping[str, form.Value] = {
                "amount_to_capture": to_wire(NAME, amount),
                "expand": ["latest_charge"],
            }
        except AmountNotValidError as error:
            return unwritable(error)
        return await self._post(
            Verb.CAPTURE,
            ("payment_intents", ref, "capture"),
            params,
            key,
            lambda body: self._told(ref, body, charge_ref),
        )

    async def cancel(self, ref: str, *, key: str) -> Outcome:
        params: Mapping[str, form.Value] = {"expand": ["latest_charge"]}
        path = ("payment_intents", ref, "cancel")
        return await self._post(Verb.CANCEL, path, params, key, lambda body: self._told(ref, body))

    async def refund(self, charge_ref: str, amount: Money, *, reference: str, key: str) -> Outcome:
        try:
            params: Mapping[str, form.Value] = {
                "charge": charge_ref,
                "amount": to_wire(NAME, amount),
                "metadata": {REFUND_LABEL: reference},
            }
        except AmountNotValidError as error:
            return unwritable(error)
        return await self._post(
            Verb.REFUND,
            ("refunds",),
            params,
            key,
            lambda body: _refunded(charge_ref, decode(body, Refund), body),
        )

    async def find_refund(self, charge_ref: str, *, reference: str) -> Outcome:
        found: list[Accepted] = []

        def keep(refund: Refund) -> None:
            if (refund.metadata or {}).get(REFUND_LABEL) == reference:
                found.append(_refunded(charge_ref, refund, b""))

        listed = await self._list("refunds", {"charge": charge_ref}, Page[Refund], keep)
        return found[0] if found else listed

    async def look_up(self, ref: str) -> Outcome:
        """The intent, and every charge tried on it: the intent itself names only the latest."""
        seen = await self._get(
            "payment_intents.retrieve",
            ("payment_intents", ref),
            {"expand[0]": "latest_charge.balance_transaction"},
            lambda body: self._told(ref, body),
        )
        if not isinstance(seen, Accepted) or not any(report.charge_ref for report in seen.reports):
            return seen
        told = {report.charge_ref for report in seen.reports}
        others: list[Report] = []

        def keep(charge: Charge) -> None:
            others.extend(of_charge(charge) if charge.id not in told else ())

        listed = await self._list("charges", {"payment_intent": ref}, Page[Charge], keep)
        return replace(seen, reports=(*seen.reports, *others)) if isinstance(listed, Accepted) else listed

    async def find(self, opening: Opening, *, since: datetime) -> Outcome:
        """The intent of an opening, looked for among those made around `since`, by our id in its metadata."""
        window = {
            "created[gte]": int((since - FIND_BEFORE).timestamp()),
            "created[lte]": int((since + FIND_AFTER).timestamp()),
        }
        found: list[Accepted] = []

        def keep(intent: Intent) -> None:
            if _reference(intent) == opening.reference:
                self._same(opening, intent)
                found.append(accepted(intent, b""))

        listed = await self._list("payment_intents", window, Page[Intent], keep)
        return found[0] if found else listed

    def _opened(self, opening: Opening, body: bytes) -> Outcome:
        intent = decode(body, Intent)
        self._same(opening, intent)
        return accepted(intent, body)

    def _same(self, opening: Opening, intent: Intent) -> None:
        """Raise UnreadableEventError unless this is the intent that the opening asked for."""
        agree("amount", to_wire(NAME, opening.amount), intent.amount)
        agree("currency", opening.amount.currency.lower(), intent.currency)
        agree("livemode", self._live, intent.livemode)
        agree("our reference", opening.reference, _reference(intent))

    def _told(self, ref: str, body: bytes, charge_ref: str | None = None) -> Outcome:
        intent = decode(body, Intent)
        agree("id", ref, intent.id)
        agree("livemode", self._live, intent.livemode)
        told = accepted(intent, body)
        if charge_ref is not None:
            agree("charge", {charge_ref}, {report.charge_ref for report in told.reports})
        return told

    async def _post(
        self,
        verb: Verb,
        path: tuple[str, ...],
        params: Mapping[str, form.Value],
        key: str,
        read: Callable[[bytes], Outcome],
    ) -> Outcome:
        request = Request(
            gateway=NAME,
            account_id=self._account_id,
            call=_NAMES[verb],
            method="POST",
            url=url(self._base, "v1", *path),
            headers=self._headers
            | {"Idempotency-Key": key, "Content-Type": "application/x-www-form-urlencoded"},
            body=form.encode(params),
        )
        return await self._http.ask(request, judge(read, verb), repeat=self.repeat[verb])

    async def _get(
        self, call: str, path: tuple[str, ...], query: Mapping[str, Any], read: Callable[[bytes], Outcome]
    ) -> Outcome:
        request = Request(
            gateway=NAME,
            account_id=self._account_id,
            call=call,
            method="GET",
            url=url(self._base, "v1", *path, query=query),
            headers=self._headers,
        )
        return await self._http.ask(request, judge(read))

    async def _list(
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
            outcome = await self._get(f"{noun}.list", (noun,), query_here, read)
            if not isinstance(outcome, Accepted) or outcome.ref is None:
                return outcome
            after = outcome.ref
        return Unknown(message=f"Stripe lists more than {MAX_PAGES * PAGE} {noun}; not all were read.")


def _refunded(charge_ref: str, refund: Refund, body: bytes) -> Accepted:
    agree("charge", charge_ref, refund.charge)
    return Accepted(ref=refund.id, reports=(of_refund(refund),), raw=body)


def _reference(intent: Intent) -> str | None:
    return (intent.metadata or {}).get(ATTEMPT_LABEL)


def _headers(secret_key: str) -> dict[str, str]:
    """What every call carries."""
    return {"Authorization": f"Bearer {secret_key}", "Stripe-Version": VERSION}
