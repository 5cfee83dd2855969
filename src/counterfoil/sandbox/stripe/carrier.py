"""How Stripe delivers webhooks: signed anew at each try, tried for hours in a sandbox and for days in live mode."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from counterfoil.sandbox.stripe.endpoints import CONFIGURED
from counterfoil.sandbox.stripe.session import GATEWAY
from counterfoil.sandbox.webhooks import Delivery, Target
from counterfoil.sandbox.world import World

# Three tries over a few hours; the intervals are not published.
SANDBOX_WAITS_S: Final = (3600, 7200)
# Doubling from five minutes, at most twelve hours apart, until three days have passed.
LIVE_FIRST_S, LIVE_MOST_S, LIVE_FOR_S = 300, 12 * 3600, 3 * 86400
AGENT: Final = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


def signature(secrets: Sequence[str], moment: int, body: bytes) -> str:
    """The Stripe-Signature header: one v1 for every secret that is valid."""
    signed = f"{moment}.".encode() + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={moment}", *(f"v1={mark}" for mark in marks)])


class StripeCarrier:
    """The Carrier of Stripe's events."""

    timeout_s = 20.0

    def __init__(self, world: World) -> None:
        self._world = world

    def target(self, delivery: Delivery) -> Target | None:
        truth, moment = self._world.truth, int(self._world.clock.now())
        endpoint = truth.get(GATEWAY, "webhook_endpoint", delivery.endpoint)
        body = truth.raw(GATEWAY, delivery.event)
        if endpoint is None or body is None or endpoint["status"] != "enabled":
            return None
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": AGENT,
            "stripe-signature": signature(self._secrets(delivery.endpoint, moment), moment, body),
        }
        return Target(endpoint["url"], headers, body)

    def _secrets(self, endpoint: str, moment: int) -> list[str]:
        if endpoint == self._world.truth.setting(CONFIGURED):
            return self._world.secrets.valid(GATEWAY, moment)
        return [self._world.truth.hidden(GATEWAY, endpoint)["secret"]]

    def wait(self, delivery: Delivery) -> float | None:
        if not self._world.config.livemode:
            waits = dict(enumerate(SANDBOX_WAITS_S, 1))
            return waits.get(delivery.tries)
        wait = min(LIVE_FIRST_S * 2 ** (delivery.tries - 1), LIVE_MOST_S)
        late = self._world.clock.now() + wait - delivery.created > LIVE_FOR_S
        return None if late else wait

    def settled(self, delivery: Delivery, *, ok: bool) -> None:
        """Stripe changes nothing: pending_webhooks is counted from the deliveries."""
