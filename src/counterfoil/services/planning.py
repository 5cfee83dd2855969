"""What follows a decline is planned in the transaction that learned of it, and ends with what makes it needless.

With the customer away the same saved method is charged again (services/retrying.py), or the customer is invited to pay
by their link. All of it runs under the payment's row lock, as part of how the payment stands (services/standing.py).
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from counterfoil.domain import retry
from counterfoil.domain.attempt import Attempt, AttemptState
from counterfoil.domain.call import Settled, Verb
from counterfoil.domain.fact import DECLINES
from counterfoil.domain.failure import BY_SLUG, FailureCode
from counterfoil.domain.payment import Status
from counterfoil.domain.retry import INVITATIONS_MOST, SERIES, STAYS_OPEN, Kind, Retry, State, Step
from counterfoil.services import mailing
from counterfoil.services.auditing import decided
from counterfoil.services.context import Context
from counterfoil.services.records import instant
from counterfoil.store import payments, retries
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family

# What a payment may be while a further try makes sense; failed as long as nothing is planned.
UNPAID: Final = frozenset({Status.CREATED, Status.PENDING, Status.FAILED})
SKEW: Final = timedelta(
    seconds=5
)  # gateways count in whole seconds, and their clocks and ours differ a little


def charges(family: Family) -> bool:
    """Whether the saved method is to be charged again."""
    return family.planned is not None and family.planned.kind is Kind.CHARGE


def expired(ctx: Context, family: Family) -> bool:
    """Whether the payment's time is over. It waits for a charge that is planned, however late that comes."""
    return ctx.now() >= family.payment.expires_at and not charges(family)


def concerns(family: Family) -> bool:
    """Whether there is anything to plan or to end: for most payments there is not."""
    return family.planned is not None or _failure(family) is not None


async def follow(ctx: Context, conn: Connection, family: Family, status: Status) -> Family:
    """Let the plan follow from what is known; `status` is how the payment stands with what was planned until now."""
    planned = family.planned
    if planned is not None:
        if because := useless(family, planned, status):
            return await _cancel(ctx, conn, family, planned, because)
        if not _came_to_nothing(family, planned):
            return family
        family = await end(ctx, conn, family, planned, State.DONE)
    code = _failure(family)
    if code is None or not _may_plan(ctx, family, status):
        return family
    return await _plan(ctx, conn, family, code)


def useless(family: Family, planned: Retry, status: Status) -> str | None:
    """Why a further try makes no sense any more."""
    payment = family.payment
    if payment.cancel_requested_at is not None:
        return "the payment is being cancelled"
    if status not in UNPAID:
        return f"the payment is {status.value}"
    if planned.kind is Kind.INVITATION:
        return "the payment has expired" if status is Status.FAILED else None
    if payment.planned_gateway or family.attempts[-1].id not in {
        planned.after_attempt_id,
        planned.attempt_id,
    }:
        return "another gateway was chosen"
    return None


def _came_to_nothing(family: Family, planned: Retry) -> bool:
    """Whether the attempt that was opened for it is dead, before anything could be charged."""
    opened = planned.attempt_id
    return opened is not None and family.attempt(opened).state is AttemptState.DEAD


def _may_plan(ctx: Context, family: Family, status: Status) -> bool:
    payment = family.payment
    return (
        status in UNPAID
        and payment.status is not Status.FAILED  # what has failed stays so
        and payment.cancel_requested_at is None
        and payment.planned_gateway is None
        and payment.given_up_at is None
        and ctx.now() < payment.expires_at
        and not family.unsettled
    )


def _failure(family: Family) -> FailureCode | None:
    """Why the newest attempt has failed and waits for an answer; None where it has not, or has been answered."""
    if not family.attempts:
        return None
    newest = family.attempts[-1]
    if family.payment.saved_method is not None:
        return _failure_away(family, newest)
    return _code(newest) if newest.failure and _is_new_series(family, newest) else None


def _failure_away(family: Family, newest: Attempt) -> FailureCode | None:
    """A saved method is charged once on each attempt: what came of that, or of opening one for it."""
    if any(one.after_attempt_id == newest.id for one in family.retries):
        return None
    confirms = [c for c in family.calls if c.attempt_id == newest.id and c.verb is Verb.CONFIRM]
    if not confirms:
        opened_for_it = any(one.attempt_id == newest.id for one in family.retries)
        return _code(newest) if opened_for_it and newest.state is AttemptState.DEAD else None
    last = max(confirms, key=lambda call: call.started_at)
    if last.settled is Settled.ABANDONED:  # it never came to the gateway
        return FailureCode.GATEWAY_UNAVAILABLE
    no = last.settled in {Settled.DECLINED, Settled.REFUSED}
    later = any(
        said >= last.started_at - SKEW for said in _declines(family, newest)
    )  # a bank debit that came back
    return _code(newest) if no or (later and last.is_settled) else None


def _is_new_series(family: Family, newest: Attempt) -> bool:
    """At the checkout many cards may be declined on one attempt: those close to an invitation belong to it."""
    declines = _declines(family, newest)
    invited = [one.ended_at for one in family.retries if one.kind is Kind.INVITATION and one.ended_at]
    return bool(declines) and (not invited or max(declines) > max(invited) + SERIES)


def _declines(family: Family, attempt: Attempt) -> list[datetime]:
    return [fact.said_at for fact in family.facts if fact.attempt_id == attempt.id and fact.kind in DECLINES]


def _code(attempt: Attempt) -> FailureCode:
    return BY_SLUG.get(str((attempt.failure or {}).get("code")), FailureCode.OTHER)


async def _plan(ctx: Context, conn: Connection, family: Family, code: FailureCode) -> Family:
    """Answer the failure of the newest attempt, once."""
    away = family.payment.saved_method is not None
    step = retry.step(code.advice, away=away)
    if because := _obstacle(ctx, family, step):
        return await _give_up(ctx, conn, family, f"{code.slug}: {because}") if away else family
    return await _add(ctx, conn, family, code, step, away=away)


def _obstacle(ctx: Context, family: Family, step: Step) -> str | None:
    """Why nothing is to follow."""
    made = [one for one in family.retries if one.state is not State.CANCELLED]
    if step is Step.END:
        return "no further try would help"
    if len(family.retries) >= ctx.directory.retrying.attempts:
        return f"{len(made)} further tries were made" if made else "no further tries are set"
    if step is not Step.INVITE:
        return None
    if sum(one.kind is Kind.INVITATION for one in made) >= INVITATIONS_MOST:
        return f"the customer was invited {INVITATIONS_MOST} times"
    if mailing.customer_address(ctx, family.payment) is None:
        return "the customer cannot be written to"
    return None


async def _add(
    ctx: Context,
    conn: Connection,
    family: Family,
    code: FailureCode,
    step: Step,
    *,
    away: bool,
) -> Family:
    payment, number, now = family.payment, len(family.retries) + 1, ctx.now()
    policy = ctx.directory.retrying
    due_at = retry.due(step, number, now, policy.zone, away=away)
    kind = Kind.INVITATION if step is Step.INVITE else Kind.CHARGE
    planned = Retry(
        payment_id=payment.id,
        number=number,
        out_of=policy.attempts,
        kind=kind,
        after_attempt_id=family.attempts[-1].id,
        attempt_id=None,
        method_ref=payment.saved_method if kind is Kind.CHARGE else None,
        reason=code.slug,
        state=State.PLANNED,
        because=None,
        planned_at=now,
        due_at=due_at,
        next_check_at=due_at,
        ended_at=None,
    )
    await retries.insert(conn, planned)
    detail = {"number": number, "of": policy.attempts, "kind": kind.value, "after": code.slug}
    await decided(ctx, conn, payment, "payment.retry_planned", detail | {"due_at": instant(due_at)})
    return (await stay_open(conn, family, planned.due_at)).with_retry(planned)


async def stay_open(conn: Connection, family: Family, until: datetime) -> Family:
    """Keep the payment open for a while past a try."""
    payment = family.payment
    expires_at = max(payment.expires_at, until + STAYS_OPEN)
    if expires_at == payment.expires_at:
        return family
    await payments.update(conn, payment.id, expires_at=expires_at)
    return replace(family, payment=replace(payment, expires_at=expires_at))


async def end(ctx: Context, conn: Connection, family: Family, ended: Retry, state: State) -> Family:
    """The try was made, and is not planned any more."""
    changes: dict[str, Any] = {"state": state, "next_check_at": None, "ended_at": ctx.now()}
    await retries.update(conn, ended, **changes)
    return family.with_retry(replace(ended, **changes))


async def _cancel(ctx: Context, conn: Connection, family: Family, planned: Retry, because: str) -> Family:
    changes: dict[str, Any] = {"state": State.CANCELLED, "next_check_at": None, "ended_at": ctx.now()}
    changes |= {"because": because}
    await retries.update(conn, planned, **changes)
    detail = {"number": planned.number, "kind": planned.kind.value, "because": because}
    await decided(ctx, conn, family.payment, "payment.retry_cancelled", detail)
    return family.with_retry(replace(planned, **changes))


async def _give_up(ctx: Context, conn: Connection, family: Family, because: str) -> Family:
    """No further try is to follow. The payment stays open until it expires: the customer may still pay by their link."""
    payment = replace(family.payment, given_up_at=ctx.now())
    await payments.update(conn, payment.id, given_up_at=payment.given_up_at)
    await decided(ctx, conn, payment, "payment.given_up", {"because": because})
    await mailing.tell_failure(ctx, conn, payment)
    return replace(family, payment=payment)


async def failed(ctx: Context, conn: Connection, family: Family) -> None:
    """The payment has just failed for good. What nobody tried to pay has not failed but was left: nobody is told."""
    if any(attempt.failure and attempt.disclosed_at for attempt in family.attempts):
        await mailing.tell_failure(ctx, conn, family.payment)
