"""The service with one of its rules broken, from outside: whoever looks for double charges must find them here.

A proof that also holds without the rule it is about proves nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from counterfoil.domain import surplus
from counterfoil.domain.attempt import Attempt
from counterfoil.domain.call import Call, Settled
from counterfoil.services import attempts, calling, failover, idempotency, refunding, settling, standing
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store.payments import Family


@contextmanager
def forgetful() -> Iterator[None]:
    """A retry is taken for a new request: no idempotency record is kept, none is looked at."""

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    with patch.object(idempotency, "claim", nothing), patch.object(idempotency, "claim_alone", nothing):
        yield


@contextmanager
def hasty() -> Iterator[None]:
    """A fence is only our word: the gateway is not asked to cancel, and an outcome that is not known is taken for a no.

    What is taken twice is given back by itself, which would hide what became of it: that is off too.
    """

    async def in_name_only(ctx: Context, payment_id: str, attempt_id: str) -> Family:
        async with ctx.db.transaction() as conn:
            family = await payments.lock(conn, payment_id)
            for call in family.unsettled:
                if call.attempt_id == attempt_id:
                    family = await calling.close(ctx, conn, family, call, Settled.ABANDONED, "not waited for")
            await payments.update_attempt(conn, attempt_id, fenced_at=ctx.now())
            await payments.release_winner(conn, payment_id, attempt_id)
            return await standing.recompute(ctx, conn, await payments.get(conn, payment_id))

    with (
        patch.object(attempts, "fence", in_name_only),
        patch.object(failover, "_obstacle", lambda *_: None),
        patch.object(surplus, "due", lambda *_: None),
    ):
        yield


@contextmanager
def blind() -> Iterator[None]:
    """A refund whose outcome is not known is sent again without a look whether it was made, and under another key."""

    async def taken_for_a_no(ctx: Context, call: Call, _: Attempt) -> None:
        async with ctx.db.transaction() as conn:
            family = await payments.lock(conn, call.payment_id)
            await calling.close(ctx, conn, family, call, Settled.ABANDONED, "not looked for")

    with (
        patch.object(settling, "_look_for", taken_for_a_no),
        patch.object(refunding, "_key", lambda _, refund: f"{refund.id}-{refund.tries}"),
    ):
        yield


RULES: Final[dict[str, Callable[[], Any]]] = {
    "idempotency": forgetful,
    "fencing": hasty,
    "refund keys": blind,
}
