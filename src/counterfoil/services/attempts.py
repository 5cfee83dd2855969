"""An attempt's life: opened at a gateway, confirmed or disclosed, captured, fenced. One function a step."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from counterfoil.domain.attempt import ENDED, Attempt, AttemptState
from counterfoil.domain.call import Call, Settled, Verb
from counterfoil.domain.charge import Charge, ChargeState
from counterfoil.domain.errors import NotSupportedError, WrongStateError
from counterfoil.domain.routing import Choice
from counterfoil.gateways.base import Accepted, Gateway, Method, Opening, Outcome, Refused
from counterfoil.services import calling, standing
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store.calls import CallInFlightError
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family

# Given an opened attempt, the intent of the next call on it, if one is to follow at once.
GoOn: TypeAlias = Callable[[Connection, Family], Awaitable[Call | None]]

# Razorpay's own longest and default: an authorisation stands five days before it is given back (gateways 2.2).
HOLD_MINUTES: Final = 7200


async def place(
    ctx: Context,
    conn: Connection,
    family: Family,
    choice: Choice,
    *,
    id_: str | None = None,
    account_id: str | None = None,
) -> tuple[Family, Call]:
    """Write the attempt and the intent to open it: at the account that takes new payments, or at a named one.

    `id_` is the attempt's, where it had to be known before.
    """
    payment, directory = family.payment, ctx.directory
    gateway = directory.gateway(account_id) if account_id else directory.active(choice.gateway, payment.mode)
    attempt = Attempt(
        id=id_ or ctx.new_id("attempt"),
        payment_id=payment.id,
        number=len(family.attempts) + 1,
        account_id=gateway.account_id,
        gateway=gateway.name,
        mode=payment.mode,
        amount=payment.amount,
        currency=payment.currency,
        capture=_flag(family, gateway),
        reason=choice.reason,
        ref=None,
        state=AttemptState.OPEN,
        failure=None,
        disclosed_at=None,
        fenced_at=None,
        dead_at=None,
        created_at=ctx.now(),
    )
    await payments.insert_attempt(conn, attempt)
    call = await calling.begin(ctx, conn, attempt, Verb.OPEN)
    family = replace(family, attempts=(*family.attempts, attempt), calls=(*family.calls, call))
    # A payment whose other attempts have all ended lives again, and is looked after should this process die.
    placed = await standing.recompute(ctx, conn, family)
    if attempt.number > 1 and placed.payment.version == payment.version:
        placed = await standing.touch(ctx, conn, placed)
    return placed, call


def _flag(family: Family, gateway: Gateway) -> str:
    """What the gateway is told of capturing.

    Automatic capture is our promise about the result. The gateway captures by itself only where this is the sole
    unfenced attempt and it can be fenced there; everywhere else we capture, after we have claimed the payment.
    """
    sole = family.payment.capture == "automatic" and _all_ended(family)
    by_itself = sole and gateway.cancel is not None
    return "automatic" if by_itself else "manual"


def opening_of(family: Family, attempt: Attempt) -> Opening:
    payment = family.payment
    return Opening(
        reference=attempt.id,
        payment_id=payment.id,
        amount=attempt.money,
        capture="automatic" if attempt.capture == "automatic" else "manual",
        description=payment.description,
        metadata=payment.metadata,
        hold_minutes=HOLD_MINUTES,
        customer_ref=payment.stripe_customer,
    )


async def open_first(
    ctx: Context, family: Family, call: Call, others: Sequence[Choice], go_on: GoOn
) -> tuple[Family, Call | None]:
    """Make the opening call, and where it does not succeed, open at the next choice.

    Nobody has seen an attempt that is only opened, so one whose outcome is unknown is abandoned, not waited for; and
    while another follows in the same commit, the payment has not failed. `go_on` writes the next intent, if there is
    one, in the transaction that records the opening; it must not raise.
    """
    for choice in (*others, None):
        attempt = family.attempt(call.attempt_id)
        gateway = ctx.directory.gateway(attempt.account_id)
        outcome = await gateway.collect.open(opening_of(family, attempt), key=call.key)
        async with ctx.db.transaction() as conn:
            family = await _record_opening(ctx, conn, call, outcome)
            if isinstance(outcome, Accepted):
                family = await standing.recompute(ctx, conn, family)
                return family, await go_on(conn, family)
            if choice is None or not may_follow(ctx, family):
                return await standing.recompute(ctx, conn, family), None
            failed_over = Choice(choice.gateway, f"{choice.reason}; {gateway.name} did not open it")
            family, call = await place(ctx, conn, family, failed_over)
    return family, None


def may_follow(ctx: Context, family: Family) -> bool:
    """Whether another attempt may be opened: all others have ended, and nobody has ended the payment."""
    payment = family.payment
    wanted = payment.cancel_requested_at is None and ctx.now() < payment.expires_at
    return wanted and _all_ended(family)


def _all_ended(family: Family) -> bool:
    """Whether no attempt can be paid, by what is known now: their states are written with the payment's status."""
    return all(standing.state_of(family, attempt) in ENDED for attempt in family.attempts)


async def _record_opening(ctx: Context, conn: Connection, call: Call, outcome: Outcome) -> Family:
    """What came of an opening. Unless it was accepted, the attempt is dead. The status is still to be recomputed."""
    family = await calling.record(ctx, conn, call, outcome)
    attempt = family.attempt(call.attempt_id)
    if not isinstance(outcome, Accepted) or attempt.ref is None:
        return await give_up(ctx, conn, family, call, outcome)
    if ctx.directory.gateway(attempt.account_id).confirm is not None:
        return family
    # A browser pays on it directly: from the answer that names it, it counts as disclosed.
    await payments.update_attempt(conn, attempt.id, disclosed_at=ctx.now())
    return family.with_attempt(replace(attempt, disclosed_at=ctx.now()))


async def abandon(ctx: Context, conn: Connection, call: Call) -> Family:
    """Give up an opening that nobody has seen, and after which none follows."""
    family = await give_up(ctx, conn, await payments.get(conn, call.payment_id), call)
    return await standing.recompute(ctx, conn, family)


async def give_up(
    ctx: Context, conn: Connection, family: Family, call: Call, outcome: Outcome | None = None
) -> Family:
    """Give up an opening that nobody has seen. The status is still to be recomputed."""
    if not isinstance(outcome, Refused):
        family = await calling.close(ctx, conn, family, call, Settled.ABANDONED, "never disclosed")
    attempt, now = family.attempt(call.attempt_id), ctx.now()
    failure = attempt.failure or {
        "code": "gateway_unavailable",
        "gateway_code": None,
        "message": "no usable answer",
    }
    await payments.update_attempt(conn, attempt.id, dead_at=now, failure=failure)
    return family.with_attempt(replace(attempt, dead_at=now, failure=failure))


async def begin_confirm(ctx: Context, conn: Connection, family: Family, attempt: Attempt) -> Call:
    """Claim the payment where the gateway will capture by itself, and write the intent to confirm.

    From this commit on the payment is pending, and is looked after should this process die.
    """
    gateway = ctx.directory.gateway(attempt.account_id)
    if gateway.confirm is None:
        raise NotSupportedError(
            f"{gateway.name} takes no payment method by API: its own checkout collects it. Send the customer to"
            " checkout.url, then confirm with the three razorpay_ fields.",
            gateway=gateway.name,
        )
    if attempt.capture == "automatic" and not await payments.claim_winner(
        conn, family.payment.id, attempt.id
    ):
        raise WrongStateError(command="confirm", state="won", because="another attempt has this payment")
    if attempt.disclosed_at is None:
        await payments.update_attempt(conn, attempt.id, disclosed_at=ctx.now())
    try:
        call = await calling.begin(ctx, conn, attempt, Verb.CONFIRM)
    except CallInFlightError:
        raise WrongStateError(
            command="confirm", state="unknown", because="an earlier call has not been settled; sync first"
        ) from None
    await standing.confirming(ctx, conn, family)
    return call


async def confirm(ctx: Context, family: Family, call: Call, method: Method) -> tuple[Family, Outcome]:
    """Charge the method on the attempt."""
    attempt = family.attempt(call.attempt_id)
    gateway = ctx.directory.gateway(attempt.account_id)
    if gateway.confirm is None or attempt.ref is None:  # begin_confirm has refused both
        raise NotSupportedError(f"{gateway.name} cannot confirm.", gateway=gateway.name)
    outcome = await gateway.confirm.confirm(
        attempt.ref, method, key=call.key, return_url=f"{ctx.public_url}/pay/{family.payment.id}/return"
    )
    async with ctx.db.transaction() as conn:
        return await calling.settle(ctx, conn, call, outcome), outcome


def to_capture(family: Family) -> tuple[Attempt, Charge, int] | None:
    """The authorised charge that is to be captured now, and how much; None where nothing is to be captured."""
    payment = family.payment
    wanted = payment.capture_requested or (payment.amount if payment.capture == "automatic" else None)
    if wanted is None or payment.cancel_requested_at is not None:
        return None
    for charge in family.charges:
        attempt = family.attempt(charge.attempt_id)
        free = payment.winner_attempt_id in {None, attempt.id}
        if (
            charge.state is ChargeState.AUTHORIZED
            and attempt.state is AttemptState.OPEN
            and attempt.ref
            and free
        ):
            return attempt, charge, wanted
    return None


async def capture_due(ctx: Context, payment_id: str) -> Family:
    """Capture what is authorised and wanted: claim the payment, write the intent, call, write the outcome.

    Does nothing where there is nothing to capture, or another process is at it.
    """
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        due = to_capture(family)
        if due is None:
            return family
        attempt, charge, amount = due
        if not await payments.claim_winner(conn, payment_id, attempt.id):
            return family
        try:
            call = await calling.begin(ctx, conn, attempt, Verb.CAPTURE, charge_ref=charge.ref, amount=amount)
        except CallInFlightError:
            return family
    return await capture(ctx, attempt, charge, call)


async def capture(ctx: Context, attempt: Attempt, charge: Charge, call: Call) -> Family:
    """Make the capture call whose intent is written."""
    collect = ctx.directory.gateway(attempt.account_id).collect
    money = replace(attempt.money, minor=call.amount or charge.amount)
    outcome = await collect.capture(attempt.ref or "", charge.ref, money, key=call.key)
    return await _record(ctx, attempt, call, outcome)


async def _record(ctx: Context, attempt: Attempt, call: Call, outcome: Outcome) -> Family:
    """Write what came of a call. Where it had been done before, what the gateway now says is its outcome."""
    if isinstance(outcome, Refused) and outcome.already and attempt.ref is not None:
        seen = await ctx.directory.gateway(attempt.account_id).collect.look_up(attempt.ref)
        outcome = seen if isinstance(seen, Accepted) else outcome
    async with ctx.db.transaction() as conn:
        return await calling.settle(ctx, conn, call, outcome)


async def fence(ctx: Context, payment_id: str, attempt_id: str) -> Family:
    """End the attempt so that nothing can be captured on it: at the gateway where it can, else by our own commit."""
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        attempt = family.attempt(attempt_id)
        gateway = ctx.directory.gateway(attempt.account_id)
        if attempt.state in ENDED or attempt.state is AttemptState.WON:
            return family
        if gateway.cancel is None or attempt.ref is None:
            return await _fence_here(ctx, conn, family, attempt)
        try:
            call = await calling.begin(ctx, conn, attempt, Verb.CANCEL)
        except CallInFlightError:
            return family
    return await cancel(ctx, attempt, call)


async def cancel(ctx: Context, attempt: Attempt, call: Call) -> Family:
    """Make the call whose intent is written, that ends the attempt at its gateway. It may be made again."""
    gateway = ctx.directory.gateway(attempt.account_id)
    if gateway.cancel is None or attempt.ref is None:  # fence has refused both
        raise NotSupportedError(f"{gateway.name} cannot cancel.", gateway=gateway.name)
    outcome = await gateway.cancel.cancel(attempt.ref, key=call.key)
    return await _record(ctx, attempt, call, outcome)


async def _fence_here(ctx: Context, conn: Connection, family: Family, attempt: Attempt) -> Family:
    """A Razorpay order cannot be cancelled: from this commit on we never capture on it."""
    if attempt.id in {call.attempt_id for call in family.unsettled}:
        return family
    await payments.update_attempt(conn, attempt.id, fenced_at=ctx.now())
    await payments.release_winner(conn, family.payment.id, attempt.id)
    return await standing.recompute(ctx, conn, await payments.get(conn, family.payment.id))
