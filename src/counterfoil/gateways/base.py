"""What a gateway is: a sum of parts. A part it lacks is None, and what needs it is refused before anything is sent.

    collect    open, capture, look up: every gateway
    confirm    charge a payment method from the server (Stripe)
    cancel     end an attempt so that the gateway itself will never charge on it (Stripe)
    vouch      check the signature a browser brings back from the gateway's checkout (Razorpay)
    speak      verify and read webhooks: pure, no network, no clock, no database
    refunds    give captured money back, find a refund whose answer was lost, and read how one stands
    disputes   answer a disputed charge with evidence, or accept that it is lost
    recover    read the gateway's own lists again for what its webhooks did not bring
    script     what a customer's browser loads to draw the gateway's own fields

Every call over the network ends in one of four outcomes, and only `Unknown` needs reading before anything else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

from counterfoil.domain.call import Repeat, Verb
from counterfoil.domain.fact import Report
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.money import Money

Raw: TypeAlias = bytes
# As soon as the gateway can, for a fee; it falls back to normal by itself where the bank cannot (Razorpay).
Speed: TypeAlias = Literal["normal", "optimum"]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]  # names in lower case, as ASGI gives them


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The gateway did it, or told us how things stand.

    ref is the PaymentIntent or order; reports are all facts in the answer; client_secret and next_action are for the
    customer's browser alone and are never stored or logged.
    """

    ref: str | None = None
    reports: tuple[Report, ...] = ()
    client_secret: str | None = field(default=None, repr=False)
    next_action: Mapping[str, object] | None = field(default=None, repr=False)
    raw: Raw = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The bank or the customer said no. The attempt lives on; the same key would replay the same no."""

    code: FailureCode
    gateway_code: str  # the gateway's own word, for operators
    message: str
    ref: str | None = None
    reports: tuple[Report, ...] = ()
    raw: Raw = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Certainly not executed: not connected, TLS, 400, 401, 403, 404, 429. May be sent again with the same key."""

    code: FailureCode
    gateway_code: str
    message: str
    status: int | None = None  # None: no connection was made
    retry_after_s: int | None = None
    already: bool = (
        False  # refused because it had been done before (already captured, already cancelled): fetch it
    )
    raw: Raw = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Anything else: timeout, reset, 5xx, an unreadable answer. Read before anything else."""

    message: str
    status: int | None = None
    raw: Raw = field(default=b"", repr=False)


# The gateway_code of a key that was used before with another body, at every gateway.
KEY_CONFLICT: Final = "idempotency_error"

Outcome: TypeAlias = Accepted | Declined | Refused | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an attempt is opened with. `reference` is our attempt id: it goes along and comes back in every event."""

    reference: str
    payment_id: str
    amount: Money
    capture: Literal["automatic", "manual"]
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    redirects: bool = True  # methods that send the customer away and back; a confirm then needs a return_url
    hold_minutes: int = (
        7200  # how long an authorisation may stand before the gateway gives it back (Razorpay)
    )
    customer_ref: str | None = None  # the gateway's own customer, whose saved methods may be charged (Stripe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What to charge: exactly one of a saved or test payment method, or a token the browser made for one use."""

    payment_method: str | None = field(default=None, repr=False)
    confirmation_token: str | None = field(default=None, repr=False)
    off_session: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for a disputed charge. `amount` is the part of it that is contested, in minor units; None is all.

    `texts` are plain texts by our names for them, of several lines: product_description, customer_communication,
    refund_policy, refund_history, cancellation_policy, delivery_log, receipt, access_log, timeline, customer_name and
    the others of `Disputes.fields`. Every gateway takes every name: one that it has no field for goes along under it.
    `papers` are the same texts as PDF, by the same names, for a gateway with `Disputes.paper_bytes`.
    """

    summary: str
    texts: Mapping[str, str] = field(default_factory=dict)
    papers: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    amount: int | None = None


class Collect(Protocol):
    repeat: Mapping[Verb, Repeat]

    async def open(self, opening: Opening, *, key: str) -> Outcome:
        """Make the PaymentIntent or order, unconfirmed and undisclosed. Accepted.ref is its id."""
        ...

    async def capture(self, ref: str, charge_ref: str, amount: Money, *, key: str) -> Outcome:
        """Take the authorised money, all or (where the gateway can) part."""
        ...

    async def look_up(self, ref: str) -> Outcome:
        """How the attempt stands now: Accepted with the facts of it and of every charge in it."""
        ...

    async def find(self, opening: Opening, *, since: datetime) -> Outcome:
        """The attempt of an opening whose answer was lost, by our reference. Accepted.ref is None where none is seen.

        Raises nothing; one empty read proves no absence.
        """
        ...


class Confirm(Protocol):
    async def confirm(self, ref: str, method: Method, *, key: str, return_url: str | None) -> Outcome: ...


class Cancel(Protocol):
    async def cancel(self, ref: str, *, key: str) -> Outcome: ...


class Refunds(Protocol):
    key_life: timedelta  # so long the gateway surely knows a key; a sending after it may be carried out anew

    def body(self, charge_ref: str, amount: Money, *, reference: str, speed: Speed) -> bytes:
        """What a refund of this much is asked for with; `reference` is ours, and goes along. The same bytes each time.

        They are kept: a gateway answers a key only where every sending of it has the same. A gateway that has one
        speed leaves it out. Raises AmountNotValidError where the gateway cannot write the amount.
        """
        ...

    async def refund(self, charge_ref: str, body: bytes, *, key: str) -> Outcome:
        """Give money of a captured charge back. Accepted.ref is the gateway's id of the refund.

        Refused says why by its code: refund_balance_short, refund_too_old, refund_disputed, refund_not_allowed, and
        already_refunded where less is left than was asked: `already` is set there, since it may have been this very
        refund, which find_refund tells. A gateway_code of KEY_CONFLICT is for a person: under this key the gateway was
        sent another body. A key that is still at work is Unknown. A refusal may be kept under its key and given again
        (Stripe): whoever tries again later does so under another.
        """
        ...

    async def find_refund(self, charge_ref: str, *, reference: str) -> Outcome:
        """The refund of a call whose answer was lost, by our reference. Accepted.ref is None where none is seen."""
        ...

    async def look_up_refund(self, ref: str) -> Outcome:
        """How a refund stands now, by the gateway's id of it."""
        ...


class Disputes(Protocol):
    fields: Mapping[str, str]  # of Evidence.texts: our name, and the gateway's own field that it becomes
    paper_bytes: int | None  # texts go as Evidence.papers, each of at most so many bytes; None: as text

    async def draft(self, ref: str, evidence: Evidence) -> Outcome:
        """Keep the evidence at the gateway, where people see it; nothing is submitted, and it may be changed again."""
        ...

    async def submit(self, ref: str, evidence: Evidence, *, key: str) -> Outcome:
        """Send the evidence to the bank: once, and for good."""
        ...

    async def accept(self, ref: str, *, key: str) -> Outcome:
        """Give the dispute up: it is lost, for good."""
        ...

    async def look_up_dispute(self, ref: str) -> Outcome:
        """How a dispute stands now. A refusal to submit or to accept is told apart by it: the dispute may have ended,
        or it may have been done before.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list that a gateway keeps, and how it is read again.

    every: from one reading up to the present to the next. overlap: what of it is read again then, because something may
    appear or change late. kept: how far back the gateway shows it; None where that has no end.
    """

    name: str
    every: timedelta
    overlap: timedelta
    kept: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing on a list: an event, as its webhook would have brought it, or an object with what it says.

    refs are the gateway's ids by which it may be known here; `unreadable` is why the object's facts cannot be told.
    """

    refs: tuple[str, ...] = ()
    event: Raw | None = field(default=None, repr=False)
    reports: tuple[Report, ...] = ()
    unreadable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A window of a list, oldest first; not `whole` where it holds more than is read at once: ask for less."""

    found: tuple[Found, ...] = ()
    whole: bool = True


class Recover(Protocol):
    listings: Sequence[Listing]

    async def read(self, name: str, *, since: datetime, until: datetime) -> Listed | Refused | Unknown:
        """What the list of that name has from `since` to `until`, both included, by the gateway's clock."""
        ...


class Vouch(Protocol):
    def vouch(self, ref: str, charge_ref: str, signature: str) -> bool:
        """Whether the gateway signed that this charge was made on our own stored attempt `ref`."""
        ...


class Speak(Protocol):
    def verify(self, headers: Headers, body: bytes, *, secret: bytes, now: datetime) -> None:
        """Raise SignatureRefusedError unless the secret vouches for these bytes."""
        ...

    def dedupe_key(self, body: bytes) -> str:
        """What two deliveries of one event share: the signed event id, or a digest of the body. Never raises."""
        ...

    def read(self, headers: Headers, body: bytes) -> "Event":
        """What the body says. Raises UnreadableEventError where it cannot be understood."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What a gateway says of one of its banks, networks or handles; an empty instrument is the whole method.

    It is about no payment. `at` is the gateway's time of saying it: reports come in any order.
    """

    id: str
    method: str
    instrument: Mapping[str, str]
    severity: str  # low, medium, high
    began_at: datetime
    ended_at: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A verified webhook, understood. `ignored_because` says why an event yields nothing; None when it yields some."""

    event_id: str | None
    type: str
    at: datetime | None
    account: str | None  # the gateway's account id, where the body names one
    livemode: bool | None
    reports: tuple[Report, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    ignored_because: str | None = None


class UnreadableEventError(ValueError):
    """A rightly signed body that cannot be understood: it goes to the dead letters with this reason."""


@dataclass(frozen=True, slots=True)
class Script:
    """The gateway's own script, and what a page must allow it.

    `allows` maps directives of a Content-Security-Policy to the sources that the script needs there. It changes
    without notice, by design of both gateways, so that no digest of it can be pinned.
    """

    url: str
    allows: Mapping[str, Sequence[str]]

    @classmethod
    def of_one_origin(cls, url: str) -> "Script":
        """A script that talks to nobody but where it came from: a sandbox's stand-in."""
        parts = urlsplit(url)
        origin = (f"{parts.scheme}://{parts.netloc}",)
        return cls(url, {"script-src": origin, "connect-src": origin})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One account at one gateway, with the parts it has."""

    name: str
    account_id: str
    mode: str
    collect: Collect
    speak: Speak
    script: Script
    confirm: Confirm | None = None
    cancel: Cancel | None = None
    vouch: Vouch | None = None
    refunds: Refunds | None = None
    disputes: Disputes | None = None
    recover: Recover | None = None
    public_key: str = ""  # the key that a browser may see


def facts(outcome: Outcome) -> Iterable[Report]:
    return outcome.reports if isinstance(outcome, Accepted | Declined) else ()
