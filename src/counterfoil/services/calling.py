"""Write the intent, call, write the outcome: the three steps that every call which makes or moves something takes.

The intent commits before the call leaves, and no transaction is open while it is under way. A crash between any two
lines leaves a row without an outcome, which `services/settling.py` settles by reading.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from counterfoil.domain.attempt import Attempt
from counterfoil.domain.call import OF_ATTEMPT, Call, Settled, Verb
from counterfoil.domain.dispute import Dispute
from counterfoil.domain.refund import Refund
from counterfoil.gateways.base import Accepted, Declined, Outcome, Refused
from counterfoil.gateways.base import facts as reports_of
from counterfoil.services import dispute_standing, facts, refund_standing, standing
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
    refund: Refund | None = None,
    dispute: Dispute | None = None,
    key: str | None = None,
) -> Call:
    """Write the intent, with the key the gateway will know it by. Raises calls.CallInFlightError."""
    id_ = ctx.new_id("call")
    call = Call(
        id=id_,
        payment_id=attempt.payment_id,
        attempt_id=attempt.id,
        verb=verb,
        key=key or f"counterfoil-{id_}",
        charge_ref=charge_ref,
        amount=amount,
        started_at=ctx.now(),
        settled=None,
        settled_at=None,
        reads=0,
        message=None,
        refund_id=refund.id if refund else None,
        dispute_id=dispute.id if dispute else None,
    )
    await calls.begin(conn, call)
    return call


async def settle(ctx: Context, conn: Connection, call: Call, outcome: Outcome) -> Family:
    """Write what came of the call, and let its facts be learned and the status follow. Locks the payment's row."""
    return await standing.recompute(ctx, conn, await record(ctx, conn, call, outcome))


async def record(ctx: Context, conn: Connection, call: Call, outcome: Outcome) -> Family:
    """The first half of settle: the payment's status is still to be recomputed."""
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
    family = await close(
        ctx, conn, family, call, settled, message, answer=_answer(outcome), failure=_failure(outcome)
    )
    # What the others fail by, a refund or a dispute keeps itself.
    if isinstance(outcome, Declined | Refused) and call.verb in OF_ATTEMPT:
        family = await _remember_failure(conn, family, call, outcome)
    return family


async def close(
    ctx: Context,
    conn: Connection,
    family: Family,
    call: Call,
    settled: Settled,
    message: str | None,
    *,
    answer: bytes | None = None,
    failure: Mapping[str, Any] | None = None,
) -> Family:
    """Write what became of the call, unless that was known already: the first word stands.

    `failure` is why the gateway refused or declined it. A refund that was not carried out may be sent again, or fails.
    """
    now = ctx.now()
    if not await calls.settle(conn, call.id, settled, message=message, answer=answer, now=now):
        return family
    family = family.with_call(replace(call, settled=settled, settled_at=now, message=message))
    if call.refund_id and settled in {Settled.REFUSED, Settled.DECLINED, Settled.ABANDONED}:
        return await refund_standing.came_back(ctx, conn, family, call, failure)
    if call.dispute_id:
        return await dispute_standing.answered(ctx, conn, family, family.call(call.id), failure)
    return family


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


def _failure(outcome: Outcome) -> dict[str, Any] | None:
    """Why it was not carried out; None where it was, or that is not known."""
    if not isinstance(outcome, Declined | Refused):
        return None
    return {
        "code": outcome.code.slug,
        "gateway_code": outcome.gateway_code,
        "message": outcome.message[:MESSAGE_CHARS],
    }


def _answer(outcome: Outcome) -> bytes | None:
    """The gateway's own words, without what would let a browser act."""
    return _CLIENT_SECRET.sub(rb'\1"[removed]"', outcome.raw)[:ANSWER_BYTES] or None


async def _remember_failure(
    conn: Connection, family: Family, call: Call, outcome: Declined | Refused
) -> Family:
    attempt, failure = family.attempt(call.attempt_id), _failure(outcome)
    await payments.update_attempt(conn, attempt.id, failure=failure)
    return family.with_attempt(replace(attempt, failure=failure))
