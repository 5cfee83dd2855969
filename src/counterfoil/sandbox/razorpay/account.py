"""The merchant's account at Razorpay: its objects, its switches, its announcements."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Final

from counterfoil.sandbox.razorpay.dialect import GATEWAY
from counterfoil.sandbox.razorpay.errors import unknown_id
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

ACCOUNT_ID: Final = "acc_CounterfoilBox"
# The one webhook endpoint, by its path at the service.
ENDPOINT: Final = "/webhooks/razorpay"
ORDER, PAYMENT, REFUND, DOWNTIME, EVENT = "order", "payment", "refund", "downtime", "event"
DISPUTE, DOCUMENT, ADJUSTMENT = "dispute", "document", "adjustment"
# Pending ones end after `refund_seconds`: processed, or failed; failing_late is processed first, and fails then.
REFUND_COURSES: Final = ("processed", "pending", "failing", "failing_late", "no_balance")

_SETTING: Final = "razorpay_account"


@dataclass(frozen=True, slots=True)
class Switches:
    """How the account behaves; changed by POST /_sandbox/razorpay."""

    captures_by_itself: bool = (
        False  # Direct Settlement: every authorised payment is captured, whatever its order says
    )
    refunds: str = "processed"  # what comes of new refunds: one of REFUND_COURSES
    refund_seconds: int = 5400  # after how much sandbox time a refund goes on
    instant_refunds: bool = True  # off: `optimum` falls back to normal, with refund.speed_changed
    sample_quirks: bool = False  # webhooks deviate from the entities as the documentation's samples do
    webhook_enabled: bool = (
        True  # Razorpay switches it off after 24 h of failures; only a person switches it on
    )

    def __post_init__(self) -> None:
        for switch in fields(self):
            if type(getattr(self, switch.name)) is not switch.type:
                raise ValueError(f"{switch.name} is a {getattr(switch.type, '__name__', switch.type)}")
        if self.refunds not in REFUND_COURSES:
            raise ValueError(f"refunds is one of {', '.join(REFUND_COURSES)}")
        if self.refund_seconds < 0:
            raise ValueError("refund_seconds is a whole number from 0")


@dataclass(slots=True)
class Held:
    """An object: what Razorpay shows of it, and what it knows besides."""

    kind: str
    body: Json
    hidden: Json = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.body["id"])


class Account:
    """A handler's way to the truth. Everything happens inside the caller's transaction."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def now(self) -> int:
        """Unix seconds of sandbox time."""
        return int(self.world.clock.now())

    def find(self, kind: str, id_: str) -> Held:
        """Raises RefusedError where the account has no such object."""
        body = self.world.truth.get(GATEWAY, kind, id_)
        if body is None:
            raise unknown_id()
        return Held(kind, body, self.world.truth.hidden(GATEWAY, id_))

    def save(self, held: Held, *, parent: str | None = None) -> None:
        """Write an object; `parent` only when it is new."""
        self.world.truth.put(GATEWAY, held.kind, held.body, parent=parent, hidden=held.hidden or None)

    def of(self, kind: str, parent: str) -> list[Json]:
        """The objects that belong to another one, oldest first."""
        return self.world.truth.all(GATEWAY, kind, parent=parent)

    def every(self, kind: str) -> list[Json]:
        """All objects of a kind, oldest first."""
        return self.world.truth.all(GATEWAY, kind)

    def later(self, seconds: float, name: str, about: str) -> None:
        """Set a timer, counted from now."""
        self.world.clock.at(self.world.clock.now() + seconds, name, about)

    @property
    def switches(self) -> Switches:
        return Switches(**self.world.truth.setting(_SETTING, {}))

    def switch(self, changed: Json) -> Switches:
        """Change some switches. Raises ValueError for an unknown one or a value it cannot take."""
        known = [switch.name for switch in fields(Switches)]
        if unknown := [name for name in changed if name not in known]:
            raise ValueError(f"there is no switch {unknown[0]!r}; there are: {', '.join(known)}")
        switches = replace(self.switches, **changed)
        self.world.truth.set(_SETTING, asdict(switches))
        return switches

    def announce(self, name: str, payload: Json) -> None:
        """Write an event down as it will be delivered, and queue it. `payload` holds entities by their names."""
        switches = self.switches
        body: Json = {
            "entity": "event",
            "account_id": ACCOUNT_ID,
            "event": name,
            "contains": list(payload),
            "payload": {key: {"entity": entity} for key, entity in payload.items()},
            "created_at": self.now,
        }
        if switches.sample_quirks:
            _deviate(body)
        event_id = self.world.ids.word(14)
        # The id travels in a header alone: the body that is signed does not have it.
        self.world.truth.put(GATEWAY, EVENT, {"id": event_id, "created_at": self.now, "body": body})
        listens = switches.webhook_enabled and self.world.deliver_to is not None
        self.world.deliverer.announce(GATEWAY, event_id, [ENDPOINT] if listens else [])


def _deviate(event: Json) -> None:
    """What the documentation's own samples do, so that a receiver can be shown to bear it.

    Their card events are all `captured`, without errors and without a fee, whatever the status says.
    """
    payment: Json = event["payload"].get("payment", {}).get("entity", {})
    if event["event"] in _SAMPLES_OF_CARDS and payment["method"] == "card":
        payment.update(dict.fromkeys(_EMPTIED), captured=True, error_code="", error_description="")
        del payment["base_amount"]
    if event["event"] == "refund.speed_changed":
        event["payload"]["created_at"] = event.pop("created_at")


_SAMPLES_OF_CARDS: Final = ("payment.authorized", "payment.captured", "payment.failed")
_EMPTIED: Final = ("fee", "tax", "error_source", "error_step", "error_reason")
