"""How Razorpay delivers webhooks: signed with the event's secret, tried for a day, then switched off."""

from typing import Final

import msgspec

from counterfoil.sandbox.razorpay.account import EVENT, Account
from counterfoil.sandbox.razorpay.dialect import GATEWAY
from counterfoil.sandbox.razorpay.signatures import of_webhook
from counterfoil.sandbox.webhooks import Delivery, Target
from counterfoil.sandbox.world import World

TRY_FOR_S: Final = 24 * 3600
FIRST_WAIT_S: Final = 60


class Hooks:
    """The carrier of Razorpay's webhooks. Nothing that is signed tells the time of a try."""

    timeout_s = 5.0

    def __init__(self, world: World) -> None:
        self._world = world
        self._account = Account(world)

    def target(self, delivery: Delivery) -> Target | None:
        """Where to, signed with the secret of the event's own time: retries of older events keep the older one."""
        base = self._world.deliver_to
        event = self._world.truth.get(GATEWAY, EVENT, delivery.event)
        if base is None or event is None or not self._account.switches.webhook_enabled:
            return None
        body = msgspec.json.encode(event["body"])
        secret = self._world.secrets.when(GATEWAY, delivery.created)
        headers = {
            "content-type": "application/json",
            "user-agent": "Razorpay-Webhook/v1",
            "x-razorpay-event-id": delivery.event,
            "x-razorpay-signature": of_webhook(body, secret),
        }
        return Target(base + delivery.endpoint, headers, body)

    def wait(self, delivery: Delivery) -> float | None:
        """A minute, doubled each time, for a day from the event."""
        seconds = FIRST_WAIT_S * 2.0 ** (delivery.tries - 1)
        over = self._world.clock.now() + seconds > delivery.created + TRY_FOR_S
        return None if over else seconds

    def settled(self, delivery: Delivery, *, ok: bool) -> None:  # noqa: ARG002  any delivery given up counts
        """A day of failures switches the endpoint off, until a person switches it on again."""
        if not ok:
            self._account.switch({"webhook_enabled": False})
