"""One change at Stripe: who asks for it, what it reads and writes, and the events it leaves."""

import re
from typing import Any, Final

from counterfoil.sandbox.calls import Incoming
from counterfoil.sandbox.stripe.errors import no_such
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

GATEWAY: Final = "stripe"
API_VERSION: Final = "2026-10-28.endive"
HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


class Session:
    """Handlers and timers work through this. `call` is the request that asks; None for what happens by itself."""

    def __init__(self, world: World, call: Incoming | None = None, *, publishable: bool = False) -> None:
        self.world = world
        self.call = call
        self.publishable = publishable  # the browser's key, which may do and see less
        self.now = int(world.clock.now())

    @property
    def id(self) -> str:
        """The id in the path."""
        return self.call.ids["id"] if self.call else ""

    @property
    def request_id(self) -> str | None:
        return None if self.call is None else f"req_{self.call.nonce}"

    @property
    def origin(self) -> str:
        """Where the client reaches this Stripe, for the addresses of its pages: http://host/stripe"""
        host = self.call.headers.get("host", "") if self.call else ""
        prefix = self.call.path.partition("/v1/")[0] if self.call else ""
        return f"http://{host if HOST.fullmatch(host) else 'localhost'}{prefix}"

    def new_id(self, prefix: str, generation: int = 3) -> str:
        return self.world.ids.stripe(prefix, generation)

    def get(self, kind: str, id_: str) -> Json | None:
        return self.world.truth.get(GATEWAY, kind, id_)

    def need(self, kind: str, id_: str, param: str = "id") -> Json:
        """The object. Raises RefusedError (404 resource_missing)."""
        found = self.get(kind, id_)
        if found is None:
            raise no_such(kind, id_, param)
        return found

    def hidden(self, id_: str) -> Json:
        return self.world.truth.hidden(GATEWAY, id_)

    def save(self, body: Json, *, parent: str | None = None, hidden: Json | None = None) -> None:
        """Store an object under its own kind, which is its `object`."""
        self.world.truth.put(GATEWAY, body["object"], body, parent=parent, hidden=hidden)

    def later(self, seconds: float, name: str, about: str) -> None:
        """Set the timer stripe.NAME."""
        self.world.clock.at(self.world.clock.now() + seconds, f"{GATEWAY}.{name}", about)

    def emit(self, kind: str, body: Json, previous: Json | None = None) -> None:
        """Make an event of an object as it is now, and send it to the endpoints that want it.

        `previous` holds the former values of the fields that changed, for *.updated and charge.refunded.
        """
        endpoints = [one["id"] for one in self._endpoints() if wants(one, kind)]
        data: Json = (
            {"object": body} if previous is None else {"object": body, "previous_attributes": previous}
        )
        event: Json = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": self.world.config.livemode,
            "pending_webhooks": len(endpoints),
            "request": {"id": self.request_id, "idempotency_key": self._key()},
            "type": kind,
        }
        self.save(event, parent=kind)
        self.world.deliverer.announce(GATEWAY, event["id"], endpoints)

    def _endpoints(self) -> list[Json]:
        return self.world.truth.all(GATEWAY, "webhook_endpoint")

    def _key(self) -> str | None:
        return None if self.call is None else self.call.headers.get("idempotency-key")


def wants(endpoint: Json, kind: str) -> bool:
    """Whether an endpoint is enabled and subscribed to this type of event."""
    events: list[Any] = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in events or kind in events)
