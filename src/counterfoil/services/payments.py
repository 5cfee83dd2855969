"""A payment's life as its callers see it: create, confirm, capture, cancel, sync, read. One verb a function.

A create or confirm answers with the payment, whatever the gateway said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from counterfoil.domain import routing
from counterfoil.domain.attempt import Attempt, AttemptState
from counterfoil.domain.call import FIRST_CHECK, Call, Verb
from counterfoil.domain.charge import ChargeState
from counterfoil.domain.errors import (
    AmountNotValidError,
    CounterfoilError,
    InvalidRequestError,
    NoGatewayError,
    NotFoundError,
    NotSupportedError,
    WrongStateError,
)
from counterfoil.domain.money import Money
from counterfoil.domain.payment import COMMANDS, PAYABLE, Command, Payment, Status
from counterfoil.domain.routing import Choice, Feature
from counterfoil.domain.routing_policy import Question
from counterfoil.gateways.base import Method, Outcome
from counterfoil.services import (
    attempts,
    choosing,
    deciding,
    failover,
    idempotency,
    publishing,
    resuming,
    settling,
    standing,
)
from counterfoil.services.auditing import decided
from counterfoil.services.caller import Caller as Caller  # noqa: PLC0414  named from here by those who call
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Hold, Replay, Resume
from counterfoil.store import payments
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family

EXPIRES: Final = timedelta(hours=24)  # how long a customer may take
# Stripe forgets idempotency keys once they are 24 h old (gateways 1.2); past this a resend could charge anew.
KEY_LIFE: Final = timedelta(hours=23)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPayment:
    id: str
    money: Money
    capture: str = "automatic"
    gateway: str | None = None
    method: Method | None = None  # confirm at once with this
    method_hint: str | None = None  # what the payer is said to use: card, upi …
    reference: str | None = None
    description: str | None = None
    customer: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    line_items: Sequence[Mapping[str, Any]] = ()
    return_url: str | None = None
    stripe_customer: str | None = None  # whose saved methods may be charged


@dataclass(frozen=True, slots=True)
class Answer:
    """The payment, and what the last gateway call said that only the caller may see."""

    family: Family
    outcome: Outcome | None = None


async def create(ctx: Context, caller: Caller, new: NewPayment, hold: Hold | None = None) -> Answer | Replay:
    """Take on a payment: choose a gateway, open an attempt there, and confirm it where a method was given.

    Raises NotSupportedError, NoGatewayError or GatewayAwayError before anything is written. With a hold, the idempotency record commits
    with the first intent, and a retry after a crash goes on from where the records stand.
    """
    choices = await _choose_unless_taken(ctx, caller, new, hold)
    payment = _payment(ctx, caller, new)
    async with ctx.db.transaction() as conn:
        held = await idempotency.claim(ctx, conn, hold, payment.id) if hold else None
        if isinstance(held, Replay):
            return held
        if held is None:
            family, call = await _begin(ctx, conn, caller, payment, choices[0])
    if held is not None:
        return await _resume(ctx, caller, held, new, choices)
    return await _open(ctx, caller, family, call, choices[1:], new.method)


async def _open(
    ctx: Context, caller: Caller, family: Family, call: Call, others: Sequence[Choice], method: Method | None
) -> Answer:
    """Open the attempt, and charge the method on it where there is one."""

    async def go_on(conn: Connection, family: Family) -> Call | None:
        return (
            await _begin_confirm(ctx, conn, caller, family, method)
            if method and _wanted(ctx, family)
            else None
        )

    family, confirming = await attempts.open_first(ctx, family, call, others, go_on)
    if method is None or confirming is None:
        return Answer(family)
    return await _confirm(ctx, family, confirming, method)


async def _resume(
    ctx: Context, caller: Caller, held: Resume, new: NewPayment, choices: Sequence[Choice]
) -> Answer:
    """Go on with a payment whose process died: an opening that was never answered is looked for, then given up."""
    await settling.sync(ctx, held.payment_id)
    family, call = await resuming.opening(ctx, held.payment_id, choices, since=held.since)
    if call is not None:
        return await _open(ctx, caller, family, call, choices[1:], new.method)
    if new.method is None or family.payment.status not in PAYABLE:
        return Answer(family)
    return await confirm(ctx, caller, family.payment.id, new.method, since=held.since)


async def _choose_unless_taken(
    ctx: Context, caller: Caller, new: NewPayment, hold: Hold | None
) -> list[Choice]:
    """The gateways that can take this payment; none, where its key was taken before and none of them can by now."""
    try:
        return await _choose(ctx, caller, new)
    except CounterfoilError:
        if hold is None or await idempotency.payment_of(ctx, hold) is None:
            raise
        return []


async def _choose(ctx: Context, caller: Caller, new: NewPayment) -> list[Choice]:
    """The gateways that can take this payment, best first, each with its reason."""
    if caller.mode != ctx.mode:
        raise NoGatewayError(
            f"New payments are taken in {ctx.mode} mode (productionSettings); this key is of {caller.mode} mode."
        )
    needs = (Feature.SERVER_CONFIRM,) if new.method else ()
    country = new.customer.get("country")
    question = Question(new.money, new.method_hint, country)
    choices = choosing.choose(ctx, question, caller.mode, named=new.gateway, needs=needs)
    return await choosing.admitted(ctx, choices, new.method_hint, caller.mode)


def _payment(ctx: Context, caller: Caller, new: NewPayment) -> Payment:
    now = ctx.now()
    return Payment(
        id=new.id,
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        amount=new.money.minor,
        currency=new.money.currency,
        reference=new.reference,
        description=new.description,
        customer=dict(new.customer),
        metadata=dict(new.metadata),
        line_items=list(new.line_items),
        capture=new.capture,
        gateway=new.gateway,
        method=new.method_hint,
        planned_gateway=None,
        return_url=new.return_url,
        status=Status.CREATED,
        amount_captured=0,
        amount_refunded=0,
        winner_attempt_id=None,
        cancel_requested_at=None,
        capture_requested=None,
        expires_at=now + EXPIRES,
        next_check_at=now + FIRST_CHECK,
        checks=0,
        version=1,
        created_at=now,
        updated_at=now,
        stripe_customer=new.stripe_customer,
    )


async def _begin(
    ctx: Context, conn: Connection, caller: Caller, payment: Payment, choice: Choice
) -> tuple[Family, Call]:
    """The payment, its first attempt and the intent to open it, in one commit."""
    await payments.insert(conn, payment)
    await decided(
        ctx,
        conn,
        payment,
        "payment.create",
        {"gateway": choice.gateway, "reason": choice.reason},
        actor=caller.actor,
    )
    await deciding.before_disclosure(ctx, payment)
    family, call = await attempts.place(ctx, conn, Family(payment), choice)
    await publishing.payment(ctx, conn, family, before=None)
    return family, call


async def confirm(
    ctx: Context, caller: Caller, payment_id: str, method: Method, *, since: datetime | None = None
) -> Answer:
    """Charge a payment method on the payment's live attempt.

    `since` resumes a request whose process died: its own call is sent again under its own key, which the gateway
    carries out once. Raises WrongStateError where the payment is past that or an outcome is unknown,
    NotSupportedError where the gateway's own checkout must collect the method.
    """
    async with ctx.db.transaction() as conn:
        family = await lock(conn, caller, payment_id)
        mine = _confirms_since(family, since)
        if mine and not _may_resend(ctx, family.payment, mine[-1]):
            return Answer(family)
        if not mine:
            _allow(family.payment, Command.CONFIRM)
            _refuse_expired(ctx, family.payment)
            mine = [await _begin_confirm(ctx, conn, caller, family, method)]
    return await _confirm(ctx, family, mine[-1], method)


async def _begin_confirm(
    ctx: Context, conn: Connection, caller: Caller, family: Family, method: Method
) -> Call:
    await deciding.before_confirmation(ctx, family.payment)
    attempt = _confirmable(family)
    await decided(ctx, conn, family.payment, "payment.confirm", {"attempt": attempt.id}, actor=caller.actor)
    family = await _remember_method(conn, family, method)
    return await attempts.begin_confirm(ctx, conn, family, attempt)


async def _remember_method(conn: Connection, family: Family, method: Method) -> Family:
    """What a retry may charge again: a saved method that is charged with the customer away."""
    saved = method.payment_method if method.off_session else None
    if saved == family.payment.saved_method:
        return family
    await payments.update(conn, family.payment.id, saved_method=saved)
    return replace(family, payment=replace(family.payment, saved_method=saved))


async def _confirm(ctx: Context, family: Family, call: Call, method: Method) -> Answer:
    family, outcome = await attempts.confirm(ctx, family, call, method)
    if attempts.to_capture(family) is not None:
        family = await attempts.capture_due(ctx, family.payment.id)
    return Answer(family, outcome)


def _wanted(ctx: Context, family: Family) -> bool:
    """Whether a payment whose attempt was just opened is still to be confirmed: nobody has ended it meanwhile."""
    payment = family.payment
    return (
        payment.status is Status.CREATED
        and payment.cancel_requested_at is None
        and ctx.now() < payment.expires_at
    )


def _allow(payment: Payment, command: Command) -> None:
    """Raise WrongStateError where the table refuses the command, or the payment is being cancelled already."""
    COMMANDS.next(payment.status, command)
    if payment.cancel_requested_at is not None:
        raise WrongStateError(
            command=command.value, state=payment.status.value, because="the payment is being cancelled"
        )


def _confirms_since(family: Family, since: datetime | None) -> list[Call]:
    return [c for c in family.calls if since and c.verb is Verb.CONFIRM and c.started_at >= since]


def _may_resend(ctx: Context, payment: Payment, call: Call) -> bool:
    """Whether its outcome is still unknown, the gateway knows its key, and nobody has ended the payment meanwhile."""
    wanted = payment.cancel_requested_at is None and ctx.now() < payment.expires_at
    return wanted and not call.is_settled and ctx.now() - call.started_at < KEY_LIFE


def _refuse_expired(ctx: Context, payment: Payment) -> None:
    if ctx.now() >= payment.expires_at:
        raise WrongStateError(command="confirm", state="expired", because="make a new payment")


def _confirmable(family: Family) -> Attempt:
    attempt = standing.live_attempt(family)
    if attempt is None or attempt.ref is None:
        raise WrongStateError(
            command="confirm",
            state=family.payment.status.value,
            because="no attempt is open at a gateway; sync first",
        )
    return attempt


async def confirm_by_checkout(
    ctx: Context, caller: Caller, payment_id: str, *, order_id: str, charge_ref: str, signature: str
) -> Answer:
    """What a browser brings back from Razorpay's checkout: vouched for by signature over our own stored order id.

    The signature proves that the gateway made the charge, not how it stands: that is asked.
    """
    async with ctx.db.reading() as conn:
        family = await _get(conn, caller, payment_id)
    attempt = next((a for a in family.attempts if a.ref == order_id and a.ref is not None), None)
    if attempt is None:
        raise InvalidRequestError(
            "razorpay_order_id is not an order of this payment.", field="razorpay_order_id"
        )
    vouch = ctx.directory.gateway(attempt.account_id).vouch
    if vouch is None:
        raise NotSupportedError(f"{attempt.gateway} does not sign checkouts.", gateway=attempt.gateway)
    if not vouch.vouch(attempt.ref or "", charge_ref, signature):
        raise InvalidRequestError(
            "razorpay_signature does not hold for this order.", field="razorpay_signature"
        )
    async with ctx.db.transaction() as conn:
        await decided(
            ctx, conn, family.payment, "payment.confirm", {"charge": charge_ref}, actor=caller.actor
        )
    return Answer(await settling.sync(ctx, payment_id))


async def capture(ctx: Context, caller: Caller, payment_id: str, amount: int | None) -> Answer:
    """Take authorised money: all of it, or part where the gateway can.

    Captured already with the same amount: answers the payment as it stands.
    """
    async with ctx.db.transaction() as conn:
        family = await lock(conn, caller, payment_id)
        payment = family.payment
        wanted = payment.amount if amount is None else amount
        if payment.status is Status.CAPTURED and payment.amount_captured == wanted:
            return Answer(family)
        _allow(payment, Command.CAPTURE)
        _check_amount(family, wanted)
        # Should this process die before it asks: the sweep finds what is wanted and captures it.
        soon = ctx.now() + FIRST_CHECK
        await payments.update(conn, payment.id, capture_requested=wanted, next_check_at=soon, checks=0)
        await decided(ctx, conn, payment, "payment.capture", {"amount": wanted}, actor=caller.actor)
    return Answer(await attempts.capture_due(ctx, payment_id))


def _check_amount(family: Family, wanted: int) -> None:
    payment = family.payment
    if not 0 < wanted <= payment.amount:
        raise AmountNotValidError(
            f"amount must be between 1 and the authorised {payment.amount}.", field="amount"
        )
    holder = next((c for c in family.charges if c.state is ChargeState.AUTHORIZED), None)
    if holder is not None and wanted < payment.amount:
        gateway = family.attempt(holder.attempt_id).gateway
        routing.require(
            gateway, Feature.PARTIAL_CAPTURE, f"capture part of an authorisation; capture {payment.amount}"
        )


async def cancel(ctx: Context, caller: Caller, payment_id: str) -> Answer:
    """End the payment: every attempt is fenced, an authorisation is given back.

    Raises WrongStateError where money was taken: that is a refund.
    """
    async with ctx.db.transaction() as conn:
        family = await lock(conn, caller, payment_id)
        payment = family.payment
        COMMANDS.next(payment.status, Command.CANCEL)
        if payment.cancel_requested_at is None:
            await payments.update(
                conn,
                payment.id,
                cancel_requested_at=ctx.now(),
                next_check_at=ctx.now() + FIRST_CHECK,
            )
            await decided(ctx, conn, payment, "payment.cancel", {}, actor=caller.actor)
    for attempt in family.attempts:
        await attempts.fence(ctx, payment_id, attempt.id)
    async with ctx.db.transaction() as conn:
        family = await standing.recompute(ctx, conn, await payments.lock(conn, payment_id))
    if any(attempt.state is AttemptState.OPEN for attempt in family.attempts):
        # The gateway refused: it may know what we have not heard yet.
        family = await settling.sync(ctx, payment_id)
    if family.payment.status is Status.CAPTURED:
        raise WrongStateError(
            command="cancel", state="captured", because="the money was taken meanwhile; refund it"
        )
    return Answer(family)


async def change_gateway(
    ctx: Context, caller: Caller, payment_id: str, gateway: str | None, *, since: datetime | None = None
) -> Answer:
    """Open a further attempt, at another gateway, once every earlier one is fenced. Raises as failover.plan.

    `since` resumes a request whose process died: what it had begun is finished.
    """
    if since is not None:
        await get(ctx, caller, payment_id)
        if resumed := await resuming.change_of_gateway(ctx, payment_id, since=since):
            return Answer(resumed)
    async with ctx.db.transaction() as conn:
        family = await lock(conn, caller, payment_id)
        choice = await failover.plan(ctx, conn, family, caller.actor, gateway)
    return Answer(await failover.carry_out(ctx, payment_id) if choice else family)


async def fulfil(ctx: Context, caller: Caller, payment_id: str) -> Answer:
    """The goods are on their way. Said once; what is said again changes nothing."""
    async with ctx.db.transaction() as conn:
        family = await lock(conn, caller, payment_id)
        if family.payment.fulfilled_at is not None:
            return Answer(family)
        if family.payment.status is not Status.CAPTURED:
            raise WrongStateError(
                command="fulfil", state=family.payment.status.value, because="it is not paid"
            )
        now = ctx.now()
        await payments.update(conn, payment_id, fulfilled_at=now)
        await decided(ctx, conn, family.payment, "payment.fulfil", {}, actor=caller.actor)
        family = replace(family, payment=replace(family.payment, fulfilled_at=now))
        return Answer(await standing.touch(ctx, conn, family))


async def sync(ctx: Context, caller: Caller, payment_id: str) -> Answer:
    """Ask the gateways how the payment stands, now."""
    async with ctx.db.reading() as conn:
        await _get(conn, caller, payment_id)
    return Answer(await settling.sync(ctx, payment_id))


async def look(ctx: Context, caller: Caller, payment_id: str) -> Answer:
    """Ask the gateways as `sync` does; where the payment is pending, tell too what its live attempt's gateway says now.

    Facts are what was ever said, in any order; what the customer has to do next is only in the latest answer.
    """
    family = (await sync(ctx, caller, payment_id)).family
    attempt = standing.live_attempt(family)
    if family.payment.status is not Status.PENDING or attempt is None or attempt.ref is None:
        return Answer(family)
    return Answer(family, await ctx.directory.gateway(attempt.account_id).collect.look_up(attempt.ref))


async def of_link(ctx: Context, payment_id: str) -> tuple[Family, bool]:
    """The payment of a link that we signed, whatever its mode, and whether a call for it is under way.

    Raises NotFoundError.
    """
    async with ctx.db.reading() as conn:
        try:
            family = await payments.get(conn, payment_id)
        except LookupError:
            raise NotFoundError("payment", payment_id) from None
        return family, bool(family.unsettled)


async def get(ctx: Context, caller: Caller, payment_id: str) -> Family:
    async with ctx.db.reading() as conn:
        return await _get(conn, caller, payment_id)


async def _get(conn: Connection, caller: Caller, payment_id: str) -> Family:
    try:
        return await payments.get(conn, payment_id, merchant_id=caller.merchant_id, mode=caller.mode)
    except LookupError:
        raise NotFoundError("payment", payment_id) from None


async def lock(conn: Connection, caller: Caller, payment_id: str) -> Family:
    """The payment locked, if it is this caller's. Raises NotFoundError."""
    try:
        family = await payments.lock(conn, payment_id)
    except LookupError:
        raise NotFoundError("payment", payment_id) from None
    if (family.payment.merchant_id, family.payment.mode) != (caller.merchant_id, caller.mode):
        raise NotFoundError("payment", payment_id)
    return family


async def page(
    ctx: Context, narrow: payments.Filter, *, limit: int, before: str | None
) -> tuple[list[Family], str | None]:
    """A page of payments, newest first, and the cursor of the next."""
    async with ctx.db.reading() as conn:
        ids = await payments.page(conn, narrow, limit=limit + 1, before=before)
        found = await payments.families(conn, ids[:limit])
    return found, (ids[limit - 1] if len(ids) > limit else None)
