"""The webhook secrets of both gateways, and their rolling."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from counterfoil.sandbox.truth import Truth


class Secret(NamedTuple):
    """A secret and the time in which it is valid, in unix seconds."""

    text: str
    since: float = 0.0
    until: float | None = None  # None: for ever


class Secrets:
    """Each gateway's webhook secrets, oldest first: the last one is current, earlier ones live on until their end."""

    def __init__(self, truth: Truth, first: Mapping[str, str]) -> None:
        self._truth = truth
        self._first = first

    def roll(self, gateway: str, secret: str, *, now: float, overlap_s: float) -> None:
        """Make a secret the current one; the one before is valid for `overlap_s` more seconds."""
        *older, current = self._all(gateway)
        self._truth.set(
            f"secrets_{gateway}", [*older, current._replace(until=now + overlap_s), Secret(secret, now)]
        )

    def valid(self, gateway: str, at: float) -> list[str]:
        """The secrets that are valid at a moment, the current one first: Stripe signs with each."""
        return [one.text for one in self._all(gateway)[::-1] if at < (one.until or math.inf)]

    def when(self, gateway: str, at: float) -> str:
        """The secret that was current at a moment: Razorpay signs retries with the one of the event's time."""
        return [one.text for one in self._all(gateway) if one.since <= at][-1]

    def _all(self, gateway: str) -> list[Secret]:
        rows = self._truth.setting(f"secrets_{gateway}") or [Secret(self._first[gateway])]
        return [Secret(*row) for row in rows]
