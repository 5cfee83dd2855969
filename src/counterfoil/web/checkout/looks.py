"""Asking gateways on behalf of waiting customers: now and then, however often they reload."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from counterfoil.gateways.base import Outcome
from counterfoil.services.payments import Answer, Caller

Look: TypeAlias = Callable[[Caller, str], Coroutine[Any, Any, Answer]]

# A gateway allows 25 to 100 calls a second for all of a merchant's business (gateways 1.10): one customer who holds
# down the reload key must not use them up.
EVERY_S: Final = 2.0
# A page that says "we are checking" now is better than one that says more in half a minute.
PATIENCE_S: Final = 5.0


class Looks:
    """The last look at each payment, shared by all who ask within two seconds, unless it has changed since."""

    def __init__(
        self, look: Look, *, clock: Callable[[], float] = time.monotonic, patience_s: float = PATIENCE_S
    ) -> None:
        self._look, self._clock, self._patience_s = look, clock, patience_s
        self._looks: dict[str, tuple[float, int, asyncio.Task[Answer]]] = {}  # oldest first

    async def ask(self, caller: Caller, payment_id: str, version: int) -> Outcome | None:
        """What the payment's gateway says of it, unless it takes too long; what follows is in the database by then.

        What it said of an earlier version than the asker has seen is not said again: a decline that a webhook has brought
        meanwhile would be shown as if nothing were known.

        A look goes on without whoever asked for it.
        """
        self._drop_old()
        if payment_id in self._looks and self._looks[payment_id][1] < version:
            self.forget(payment_id)
        if payment_id not in self._looks:
            looking = asyncio.create_task(self._look(caller, payment_id))
            self._looks[payment_id] = self._clock(), version, looking
        looking = self._looks[payment_id][2]
        done, _ = await asyncio.wait({looking}, timeout=self._patience_s)
        return looking.result().outcome if done else None

    def forget(self, payment_id: str) -> None:
        """Something was done: the next one asks anew."""
        self._looks.pop(payment_id, None)

    def _drop_old(self) -> None:
        for payment_id, (since, _, looking) in list(self._looks.items()):
            if self._clock() - since < EVERY_S:
                return
            if looking.done():
                del self._looks[payment_id]
