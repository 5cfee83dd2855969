"""Failover: a further attempt at another gateway, once every earlier one can never be captured.

What is planned is committed first, then every living attempt is fenced, then the new one is opened. Each step may be
repeated, and the sweep goes on where a process died. While an outcome is unknown nothing is fenced and nothing opened:
it is read.
"""

from collections.abc import Sequence
from dataclasses import replace

from counterfoil.domain.attempt import ENDED, Attempt
from counterfoil.domain.call import FIRST_CHECK, Call
from counterfoil.domain.errors import CounterfoilError, NotSupportedError, WrongStateError
from counterfoil.domain.payment import PAYABLE, Payment
from counterfoil.domain.routing import Choice
from counterfoil.services import attempts, choosing, standing
from counterfoil.services.auditing import decided
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family


def offers(ctx: Context, family: Family) -> list[Choice]:
    """The other gateways that a customer is offered once a try has failed."""
    live = standing.live_attempt(family)
    return others(ctx, family) if live is not None and live.failure is not None else []


def others(ctx: Context, family: Family) -> list[Choice]:
    """The other gateways that could take the payment; none where they may not be opened now."""
    payment, live = family.payment, standing.live_attempt(family)
    if (
        payment.status not in PAYABLE
        or payment.gateway
        or _obstacle(ctx, family)
        or _unfenceable(ctx, family)
    ):
        return []
    return [
        choice for choice in choosing.able(ctx, payment) if live is None or choice.gateway != live.gateway
    ]


def _obstacle(ctx: Context, family: Family) -> str | None:
    """Why no other gateway may be opened now, as the end of a sentence."""
    if family.payment.cancel_requested_at is not None:
        return "the payment is being cancelled"
    if ctx.now() >= family.payment.expires_at:
        return "it has expired; make a new payment"
    if standing.unknown(family) or family.unsettled:
        return "the outcome of an earlier call is not known yet; sync first"
    return None


def _unfenceable(ctx: Context, family: Family) -> Attempt | None:
    """A disclosed attempt at an account that captures by itself: our fence would not hold there."""
    return next(
        (
            attempt
            for attempt in family.attempts
            if attempt.state not in ENDED
            and attempt.disclosed_at is not None
            and ctx.directory.gateway(attempt.account_id).cancel is None
            and ctx.directory.account(attempt.account_id).captures_by_itself
        ),
        None,
    )


async def plan(
    ctx: Context, conn: Connection, family: Family, actor: str, gateway: str | None
) -> Choice | None:
    """Commit to another gateway. None where its attempt is open already.

    Raises WrongStateError where the payment is past that or an outcome is unknown, NotSupportedError where an attempt
    cannot be fenced or the gateway cannot take the payment, NoGatewayError where there is no other.
    """
    payment = family.payment
    if payment.status not in PAYABLE:
        raise WrongStateError(command="change the gateway", state=payment.status.value)
    live = standing.live_attempt(family)
    if live is not None and live.gateway == gateway:
        return None
    if because := _obstacle(ctx, family):
        raise WrongStateError(command="change the gateway", state=payment.status.value, because=because)
    if lasting := _unfenceable(ctx, family):
        raise NotSupportedError(
            f"This {lasting.gateway} account captures by itself, and {lasting.ref} was shown to the customer: it could"
            " be paid at any time, so no other gateway may be tried. Cancel the payment, or wait until it expires.",
            gateway=lasting.gateway,
        )
    left = live.gateway if live else None
    choice = choosing.instead(ctx, payment, named=gateway, without=left)
    await payments.update(
        conn,
        payment.id,
        planned_gateway=choice.gateway,
        saved_method=None,  # from here on the customer is there
        next_check_at=ctx.now() + FIRST_CHECK,
        checks=0,
    )
    detail = {"from": left, "to": choice.gateway, "reason": choice.reason}
    await decided(ctx, conn, payment, "payment.failover", detail, actor=actor)
    return choice


async def carry_out(ctx: Context, payment_id: str) -> Family:
    """Fence what lives, then open what is planned. Does nothing where nothing is planned, or a fence does not stand yet."""
    async with ctx.db.reading() as conn:
        family = await payments.get(conn, payment_id)
    if family.payment.planned_gateway is None:
        return family
    for attempt in family.attempts:
        if attempt.state not in ENDED:
            await attempts.fence(ctx, payment_id, attempt.id)
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        if _ends(ctx, family.payment):
            return await standing.recompute(ctx, conn, await _give_up(conn, family))
        if any(attempt.state not in ENDED for attempt in family.attempts) or family.unsettled:
            return family  # a fence does not stand yet: the sweep comes again
        found = choices(ctx, family.payment, family.payment.planned_gateway)
        if not found:
            return await standing.recompute(ctx, conn, await _give_up(conn, family))
        family, call = await attempts.place(ctx, conn, await _give_up(conn, family), found[0])
    return await open_at(ctx, family, call, found[1:])


async def open_at(ctx: Context, family: Family, call: Call, others: Sequence[Choice]) -> Family:
    """Open the attempt that was placed, or one at the next of the others."""
    return (await attempts.open_first(ctx, family, call, others, _nothing_more))[0]


def _ends(ctx: Context, payment: Payment) -> bool:
    """Whether the payment was paid, cancelled or has expired since another gateway was planned."""
    over = payment.cancel_requested_at is not None or ctx.now() >= payment.expires_at
    return over or payment.status not in PAYABLE


def choices(ctx: Context, payment: Payment, first: str | None) -> list[Choice]:
    """The gateway that was decided on first; should it not open, what else can take the payment, the first gateway again included."""
    try:
        planned = choosing.instead(ctx, payment, named=first, without=None)
    except CounterfoilError:
        return choosing.able(ctx, payment)
    others = [] if payment.gateway else choosing.able(ctx, payment)
    return [planned, *(choice for choice in others if choice.gateway != planned.gateway)]


async def _give_up(conn: Connection, family: Family) -> Family:
    """The plan is carried out, or of no use any more."""
    await payments.update(conn, family.payment.id, planned_gateway=None)
    return replace(family, payment=replace(family.payment, planned_gateway=None))


async def _nothing_more(_conn: Connection, _family: Family) -> Call | None:
    return None
