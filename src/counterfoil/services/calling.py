"""Write the intent, call, write the outcome: the three steps that every call which makes or moves something takes.

The intent commits before the call leaves, and no transaction is open while it is under way. A crash between any two
lines leaves a row without an outcome, which `services/settling.py` settles by reading.
"""

import re
from dataclasses import replace
from typing import Final

from counterfoil.domain.attempt import Attempt
from counterfoil.domain.call import Call, Settled, Verb
from counterfoil.gateways.base import Accepted, Declined, Outcome, Refused
from counterfoil.gateways.base import facts as reports_of
from counterfoil.services import facts, standing
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person
from counterfoil.services.facts import DisagreementError
from counterfoil.store import calls, payments
from counterfoil.store.database import Connection
from counterfoil.store.facts import Source
from counterfoil.store.payments import Family

MESSAGE_CHARS: Final = 500  # a gateway's sentence; longer ones are markup or garbage
ANSWER_BYTES: Final = 65_536  # the largest answer worth keeping beside what was understood of it
_CLIENT_SECRET: Final = re.compile(rb'("client_secret"\s*:\s*)"[^"]*"')


async def begin(
    ctx: Context,
    conn: Connection,
    attempt: Attempt,
    verb: Verb,
    *,
    charge_ref: str | None = None,
    amount: int | None = None,
) -> Call:
    """Write the intent, with the key the gateway will know it by. Raises calls.CallInFlightError."""
    id_ = ctx.new_id("call")
    call = Call(
        id=id_,
        payment_id=attempt.payment_id,
        attempt_id=attempt.id,
        verb=verb,
        key=f"counterfoil-{id_}",
        charge_ref=charge_ref,
        amount=amount,
        started_at=ctx.now(),
        settled=None,
        settled_at=None,
        reads=0,
        message=None,
    )
    await calls.begin(conn, call)
    return call


async def settle(ctx: Context, conn: Connection, call: Call, outcome: Outcome) -> Family:
    """Write what came of the call, and let its facts be learned. Locks the payment's row."""
    family = await _refer(conn, await payments.lock(conn, call.payment_id), call, outcome)
    settled, message = _summary(outcome)
    try:
        source = Source(kind="api", id=call.id)
        family = await facts.learn(ctx, conn, family, tuple(reports_of(outcome)), source)
    except DisagreementError as lie:
        settled, message = Settled.UNKNOWN, f"The gateway's answer contradicts our record: {lie}"
        await call_a_person(
            ctx, conn, family.payment, kind="gateway_contradicts", subject=call.id, sentence=message
        )
    family = await close(ctx, conn, family, call, settled, message, _answer(outcome))
    if isinstance(outcome, Declined | Refused):
        family = await _remember_failure(conn, family, call, outcome)
    return await standing.recompute(ctx, conn, family)


async def close(
    ctx: Context,
    conn: Connection,
    family: Family,
    call: Call,
    settled: Settled,
    message: str | None,
    answer: bytes | None = None,
) -> Family:
    """Write what became of the call, unless that was known already: the first word stands."""
    now = ctx.now()
    if not await calls.settle(conn, call.id, settled, message=message, answer=answer, now=now):
        return family
    return family.with_call(replace(call, settled=settled, settled_at=now, message=message))


async def _refer(conn: Connection, family: Family, call: Call, outcome: Outcome) -> Family:
    """Keep the PaymentIntent or order that an opening made, before anything is done with it."""
    attempt = family.attempt(call.attempt_id)
    ref = outcome.ref if isinstance(outcome, Accepted | Declined) else None
    if ref is None or attempt.ref is not None:
        return family
    await payments.update_attempt(conn, attempt.id, ref=ref)
    return family.with_attempt(replace(attempt, ref=ref))


def _summary(outcome: Outcome) -> tuple[Settled, str | None]:
    if isinstance(outcome, Accepted):
        return Settled.ACCEPTED, None
    kinds = {Declined: Settled.DECLINED, Refused: Settled.REFUSED}
    return kinds.get(type(outcome), Settled.UNKNOWN), outcome.message[:MESSAGE_CHARS]


def _answer(outcome: Outcome) -> bytes | None:
    """The gateway's own words, without what would let a browser act."""
    return _CLIENT_SECRET.sub(rb'\1"[removed]"', outcome.raw)[:ANSWER_BYTES] or None


async def _remember_failure(
    conn: Connection, family: Family, call: Call, outcome: Declined | Refused
) -> Family:
    attempt = family.attempt(call.attempt_id)
    failure = {
        "code": outcome.code.slug,
        "gateway_code": outcome.gateway_code,
        "message": outcome.message[:MESSAGE_CHARS],
    }
    await payments.update_attempt(conn, attempt.id, failure=failure)
    return family.with_attempt(replace(attempt, failure=failure))
