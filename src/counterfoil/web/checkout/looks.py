"""Asking gateways on behalf of waiting customers: now and then, however often they reload."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from counterfoil.gateways.base import Outcome
from counterfoil.services import payments
from counterfoil.services.context import Context
from counterfoil.services.payments import Answer, Caller

# A gateway allows 25 to 100 calls a second for all of a merchant's business (gateways 1.10): one customer who holds
# down the reload key must not use them up.
EVERY_S: Final = 2.0


class Looks:
    """The last look at each payment, shared by all who ask within two seconds."""

    def __init__(self, ctx: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._ctx, self._clock = ctx, clock
        self._looks: dict[str, tuple[float, asyncio.Task[Answer]]] = {}  # oldest first

    async def ask(self, caller: Caller, payment_id: str) -> Outcome | None:
        """What the payment's gateway says of it; what follows from that is in the database when this returns."""
        self._drop_old()
        if payment_id not in self._looks:
            looking = asyncio.create_task(payments.look(self._ctx, caller, payment_id))
            self._looks[payment_id] = self._clock(), looking
        # Shielded: a customer who goes away does not end it for those who wait too.
        return (await asyncio.shield(self._looks[payment_id][1])).outcome

    def forget(self, payment_id: str) -> None:
        """Something was done: the next one asks anew."""
        self._looks.pop(payment_id, None)

    def _drop_old(self) -> None:
        for payment_id, (since, looking) in list(self._looks.items()):
            if self._clock() - since < EVERY_S:
                return
            if looking.done():
                del self._looks[payment_id]
