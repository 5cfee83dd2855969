"""How a payment stands: attempt states, its status and its next check, from decisions, calls and facts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from counterfoil.domain import surplus
from counterfoil.domain.attempt import ENDED, Attempt, AttemptState, attempt_state
from counterfoil.domain.call import FIRST_CHECK, OF_ATTEMPT, Settled, Verb
from counterfoil.domain.fact import DECLINES, Fact, Kind
from counterfoil.domain.payment import ChargeView, Payment, Status, status, winner_charge
from counterfoil.services import issuing, planning, publishing
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family

# The customer or the bank has been heard of: more than our own opening.
ACTING: Final = frozenset(
    {
        Kind.ATTEMPT_ACTION,
        Kind.ATTEMPT_PROCESSING,
        Kind.ATTEMPT_DECLINED,
        Kind.CHARGE_CREATED,
        Kind.CHARGE_FAILED,
    }
)


SETTLED: Final = frozenset({Status.CAPTURED, Status.FAILED, Status.CANCELLED})


async def recompute(ctx: Context, conn: Connection, family: Family) -> Family:
    """Attempt states, payment status and the next check, from decisions, calls and facts; written where they changed."""
    was_unknown = unknown(family)
    for attempt in family.attempts:
        family = family.with_attempt(await _settle_attempt(conn, family, attempt))
    before = family
    if planning.concerns(family):
        family = await planning.follow(ctx, conn, family, _payment_after(ctx, family).status)
    after = _payment_after(ctx, family)
    if unknown(family) and not was_unknown:  # asked about soon, however long the payment has waited before
        after = replace(after, next_check_at=ctx.now() + FIRST_CHECK, checks=0)
    if after != before.payment or family.retries != before.retries:
        after = replace(after, version=after.version + 1, updated_at=ctx.now())
        event = publishing.of_version(ctx, replace(family, payment=after), before=before.payment.status)
        await payments.advance(conn, after, event)
    if after.status is Status.CAPTURED and before.payment.status is not Status.CAPTURED:
        await issuing.on_capture(ctx, conn, replace(family, payment=after))
    if after.status is Status.FAILED and before.payment.status is not Status.FAILED:
        await planning.failed(ctx, conn, replace(family, payment=after))
    return replace(family, payment=after)


def state_of(family: Family, attempt: Attempt) -> AttemptState:
    """How an attempt stands, by what is decided, called and known."""
    in_doubt = [
        c
        for c in family.calls
        if c.attempt_id == attempt.id and c.settled is Settled.UNKNOWN and c.verb in OF_ATTEMPT
    ]
    return attempt_state(
        won=family.payment.winner_attempt_id == attempt.id
        and any(c.captured for c in family.charges if c.attempt_id == attempt.id),
        fenced=attempt.fenced_at is not None,
        dead=attempt.dead_at is not None,
        unsettled_calls=len(in_doubt),
    )


async def _settle_attempt(conn: Connection, family: Family, attempt: Attempt) -> Attempt:
    state = state_of(family, attempt)
    failure = _last_failure(attempt, family.facts) or attempt.failure
    if state == attempt.state and failure == attempt.failure:
        return attempt
    await payments.update_attempt(conn, attempt.id, state=state.value, failure=failure)
    return replace(attempt, state=state, failure=failure)


def _last_failure(attempt: Attempt, known: Sequence[Fact]) -> dict[str, Any] | None:
    declines = [fact for fact in known if fact.attempt_id == attempt.id and fact.kind in DECLINES]
    if not declines:
        return None
    last = max(declines, key=lambda fact: (fact.said_at, fact.kind.noun == "charge", fact.object_id))
    return {
        "code": last.detail.get("failure") or "other",
        "gateway_code": last.detail.get("gateway_code"),
        "message": last.detail.get("message"),
    }


def status_of(family: Family, *, expired: bool) -> Status:
    """How the payment stands, by the states of its attempts and what is known."""
    payment, states = family.payment, {attempt.id: attempt.state for attempt in family.attempts}
    winner = winner_charge(payment.winner_attempt_id, family.charges)
    return status(
        list(states.values()),
        [
            ChargeView(c.state, states[c.attempt_id], winner is not None and c.id == winner.id)
            for c in family.charges
        ],
        acting=any(fact.kind in ACTING for fact in family.facts)
        or any(call.verb is Verb.CONFIRM for call in family.unsettled),
        cancel_requested=payment.cancel_requested_at is not None,
        expired=expired,
        planned=payment.planned_gateway is not None,
    )


def _payment_after(ctx: Context, family: Family) -> Payment:
    payment = family.payment
    winner = winner_charge(payment.winner_attempt_id, family.charges)
    new = status_of(family, expired=ctx.now() >= payment.expires_at)
    after = replace(
        payment,
        status=new,
        amount_captured=winner.captured if winner else 0,
        amount_refunded=winner.refunded_seen if winner else 0,
    )
    # What is on its way is asked about, however the payment came to its end.
    if new in SETTLED and surplus.due(family.charges, family.refunds) is None and not family.unsettled:
        return replace(after, next_check_at=None, checks=0)
    if new is payment.status and payment.next_check_at is not None:
        return after
    waits_for_customer = new is Status.CREATED and not family.unsettled
    first = payment.expires_at if waits_for_customer else ctx.now() + FIRST_CHECK
    return replace(after, next_check_at=first, checks=0)


def live_attempt(family: Family) -> Attempt | None:
    """The newest attempt that can still be paid."""
    return next((a for a in reversed(family.attempts) if a.state not in ENDED), None)


def unknown(family: Family) -> bool:
    return any(attempt.state is AttemptState.UNKNOWN for attempt in family.attempts)


async def touch(ctx: Context, conn: Connection, family: Family) -> Family:
    """Something but the status has changed of the payment, as a further try that was made: it has a new version."""
    payment = replace(family.payment, version=family.payment.version + 1, updated_at=ctx.now())
    await payments.update(conn, payment.id, version=payment.version, updated_at=payment.updated_at)
    family = replace(family, payment=payment)
    await publishing.payment(ctx, conn, family, before=payment.status)
    return family


async def confirming(ctx: Context, conn: Connection, family: Family) -> None:
    """A confirmation is about to leave: the payment is pending, and is asked about soon, should no answer come."""
    before, now = family.payment, ctx.now()
    after = replace(
        before,
        status=Status.PENDING,
        next_check_at=now + FIRST_CHECK,
        checks=0,
        version=before.version + 1,
        updated_at=now,
    )
    event = publishing.of_version(ctx, replace(family, payment=after), before=before.status)
    await payments.advance(conn, after, event)
