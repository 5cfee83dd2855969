"""The calls to Stripe: open, confirm, capture and cancel a PaymentIntent, and read it.

An intent is always made unconfirmed, and confirmed by its id in a second call: so its id is committed before money can
move. Every POST carries an idempotency key, which makes all of them `keyed` (gateways 1.2, 1.4, 8).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from counterfoil.domain.call import Repeat, Verb
from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.fact import Report
from counterfoil.domain.money import Money, to_wire
from counterfoil.gateways.base import Accepted, Gateway, Method, Opening, Outcome, Script
from counterfoil.gateways.http import Http, unwritable
from counterfoil.gateways.stripe import form, speak
from counterfoil.gateways.stripe.answers import accepted
from counterfoil.gateways.stripe.disputing import Disputes
from counterfoil.gateways.stripe.line import Line
from counterfoil.gateways.stripe.recovering import Events
from counterfoil.gateways.stripe.refunding import Refunds
from counterfoil.gateways.stripe.shapes import Charge, Intent, Page
from counterfoil.gateways.stripe.translate import ATTEMPT_LABEL, NAME, PAYMENT_LABEL, of_charge
from counterfoil.gateways.wire import agree, decode, labels, plain, url

BASE_URL: Final = "https://api.stripe.com"
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

# Where an intent whose answer was lost is looked for: clocks differ, and a call may have waited before it was sent.
FIND_BEFORE: Final = timedelta(minutes=5)
FIND_AFTER: Final = timedelta(hours=1)

_NAMES: Final = {
    Verb.OPEN: "payment_intents.create",
    Verb.CONFIRM: "payment_intents.confirm",
    Verb.CAPTURE: "payment_intents.capture",
    Verb.CANCEL: "payment_intents.cancel",
}


def connect(
    http: Http, *, account_id: str, mode: str, base_url: str = BASE_URL, secret_key: str, publishable_key: str
) -> Gateway:
    """Stripe for one account and mode ("sandbox" or "live")."""
    line = Line(http, account_id=account_id, live=mode == "live", base_url=base_url, secret_key=secret_key)
    calls = Calls(line)
    return Gateway(
        name=NAME,
        account_id=account_id,
        mode=mode,
        collect=calls,
        confirm=calls,
        cancel=calls,
        refunds=Refunds(line),
        disputes=Disputes(line),
        recover=Events(http, account_id=account_id, base_url=base_url, headers=line.headers),
        speak=speak,
        script=SCRIPT if base_url == BASE_URL else Script.of_one_origin(url(base_url, "js")),
        public_key=publishable_key,
    )


class Calls:
    """Collect, Confirm and Cancel of `gateways.base`."""

    repeat: Mapping[Verb, Repeat] = dict.fromkeys(Verb, Repeat.KEYED)

    def __init__(self, line: Line) -> None:
        self._line = line

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

    async def look_up(self, ref: str) -> Outcome:
        """The intent, and every charge tried on it: the intent itself names only the latest."""
        seen = await self._line.get(
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

        listed = await self._line.list("charges", {"payment_intent": ref}, Page[Charge], keep)
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

        listed = await self._line.list("payment_intents", window, Page[Intent], keep)
        return found[0] if found else listed

    def _opened(self, opening: Opening, body: bytes) -> Outcome:
        intent = decode(body, Intent)
        self._same(opening, intent)
        return accepted(intent, body)

    def _same(self, opening: Opening, intent: Intent) -> None:
        """Raise UnreadableEventError unless this is the intent that the opening asked for."""
        agree("amount", to_wire(NAME, opening.amount), intent.amount)
        agree("currency", opening.amount.currency.lower(), intent.currency)
        agree("livemode", self._line.live, intent.livemode)
        agree("our reference", opening.reference, _reference(intent))

    def _told(self, ref: str, body: bytes, charge_ref: str | None = None) -> Outcome:
        intent = decode(body, Intent)
        agree("id", ref, intent.id)
        agree("livemode", self._line.live, intent.livemode)
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
        return await self._line.post(_NAMES[verb], path, form.encode(params), read, verb=verb, key=key)


def _reference(intent: Intent) -> str | None:
    return (intent.metadata or {}).get(ATTEMPT_LABEL)
