"""A refund's life: asked for, kept in reserve, decided, sent, and looked after until it has arrived. One function a step.

What it asks for is reserved in the transaction that writes it; it leaves with an intent committed first, and its own id is
the key by which the gateway knows it.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from counterfoil.domain import refund_policy
from counterfoil.domain.call import Call, Settled, Verb
from counterfoil.domain.charge import Charge
from counterfoil.domain.errors import (
    AmountNotValidError,
    CardNumberRefusedError,
    NotSupportedError,
    RefundLimitError,
    RefundRefusedError,
)
from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.money import Money
from counterfoil.domain.operator import Role
from counterfoil.domain.pan import looks_like_card
from counterfoil.domain.refund import Command, Method, Refund, Source, State, refundable, subject_of
from counterfoil.domain.refund_policy import Ask, Decision, Policy
from counterfoil.gateways.base import Accepted, Outcome, Refunds, Refused, Speed, Unknown
from counterfoil.services import calling, facts, refund_standing
from counterfoil.services.auditing import SERVICE, decided
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person
from counterfoil.services.facts import DisagreementError
from counterfoil.store import payments, refunds
from counterfoil.store.calls import CallInFlightError
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again
from counterfoil.store.facts import Source as Heard
from counterfoil.store.payments import Family

# One call at a time leaves for an attempt: a refund that finds another on its way comes back after this.
BUSY: Final = timedelta(seconds=5)
AT_ONCE: Final = 20  # refunds looked after at once by one process; most wait for a gateway
LEASE: Final = timedelta(minutes=2)  # past any look that still runs

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A refund that is to be: of which charge, how much, why, and who asks. `amount` None is all that is left."""

    id: str
    charge: Charge
    amount: int | None
    reason: str
    note: str | None = None
    currency: str | None = None  # as the asker says: it must be the charge's own
    source: Source = Source.REQUEST
    actor: str = SERVICE
    person: str = SERVICE
    role: Role = Role.ADMIN
    speed: str | None = None
    rule: str | None = None  # decided already, by this rule of the service's own
    evidence: str | None = None  # of a refund that was paid back in another way
    retry_of: str | None = None
    batch_id: str | None = None


async def place(ctx: Context, conn: Connection, family: Family, wish: Wish) -> tuple[Family, Refund]:
    """Reserve the amount, decide who must agree, and write the refund. The caller holds the payment's row lock.

    Raises AmountNotValidError and RefundRefusedError with what is left, InvalidRequestError and RefundLimitError by the
    settings' rules.
    """
    policy, amount = ctx.directory.refunding, _amount(wish)
    for field in ("note", "evidence"):
        if looks_like_card(getattr(wish, field) or ""):
            raise CardNumberRefusedError(field)
    refund = _new(ctx, family, wish, amount, policy)
    body = _body(ctx, refund, wish.charge) if refund.method is Method.GATEWAY else None
    await refund_standing.count(conn, refund)
    days = [await refunds.sum_of_day(conn, refund, subject) for subject in refund_standing.subjects(refund)]
    ask = _ask(family, refund, *days)
    # What is asked again: its reason and amount were allowed then, and may stem from the service itself
    if wish.retry_of is not None:
        refund_policy.check_limits(policy, ask)
    elif wish.source is Source.REQUEST:
        whole = amount == wish.charge.captured
        refund_policy.check(policy, ask, note=wish.note, whole=whole)
    decision = Decision(0, wish.rule) if wish.rule else refund_policy.decide(policy, ask)
    refund = _decided(ctx, refund, decision, policy)
    if not await refunds.reserve(conn, wish.charge.id, amount):
        raise _too_much(wish.charge)
    await refunds.insert(conn, refund, body=body)
    kept = replace(wish.charge, reserved=wish.charge.reserved + amount)
    family = family.with_refund(refund).with_charge(kept)
    await refund_standing.announce(ctx, conn, family, refund)
    detail = {
        "refund": refund.id,
        "amount": amount,
        "reason": refund.reason,
        "rule": refund.rule,
        "state": refund.state.value,
    }
    await decided(ctx, conn, family.payment, "refund.request", detail, actor=wish.actor)
    return family, refund


def _body(ctx: Context, refund: Refund, charge: Charge) -> bytes:
    """What will be sent, to the byte. Raises AmountNotValidError and NotSupportedError where the gateway cannot."""
    gateway = ctx.directory.gateway(refund.account_id)
    if gateway.refunds is None:
        raise NotSupportedError(f"{gateway.name} takes no refunds by API.", gateway=gateway.name)
    speed: Speed = "optimum" if refund.speed == "optimum" else "normal"
    return gateway.refunds.body(charge.ref, refund.money, reference=refund.id, speed=speed)


def _amount(wish: Wish) -> int:
    """How much, at most what is left."""
    left = refundable(wish.charge)
    if left == 0:
        raise _too_much(wish.charge)
    amount = left if wish.amount is None else wish.amount
    if (wish.currency or wish.charge.currency).upper() != wish.charge.currency:
        raise AmountNotValidError(
            f"currency must be {wish.charge.currency}, in which it was paid.",
            field="currency",
            refundable=left,
            currency=wish.charge.currency,
        )
    if amount <= 0:
        raise AmountNotValidError(
            f"amount must be above zero, and at most {Money(left, wish.charge.currency)}.",
            field="amount",
            refundable=left,
            currency=wish.charge.currency,
        )
    if amount > left:
        raise _too_much(wish.charge)
    return amount


def _too_much(charge: Charge) -> RefundRefusedError | AmountNotValidError:
    left, parts = refundable(charge), []
    parts += [f"{Money(charge.refunded_seen, charge.currency)} went back"] if charge.refunded_seen else []
    parts += (
        [f"{Money(charge.reserved, charge.currency)} is kept for other refunds"] if charge.reserved else []
    )
    parts += (
        [f"a dispute holds {Money(charge.disputed_held, charge.currency)}"] if charge.disputed_held else []
    )
    why = f" Of {Money(charge.captured, charge.currency)}, {', '.join(parts)}." if parts else ""
    facts = {"refundable": left, "currency": charge.currency}
    if left == 0:
        return RefundRefusedError(f"Nothing is left to refund.{why}", **facts)
    return AmountNotValidError(
        f"amount is more than is left to refund: {Money(left, charge.currency)}.{why}",
        field="amount",
        **facts,
    )


def _new(ctx: Context, family: Family, wish: Wish, amount: int, policy: Policy) -> Refund:
    now, payment = ctx.now(), family.payment
    return Refund(
        id=wish.id,
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        payment_id=payment.id,
        charge_id=wish.charge.id,
        account_id=wish.charge.account_id,
        amount=amount,
        currency=wish.charge.currency,
        reason=wish.reason,
        note=wish.note,
        source=wish.source,
        method=Method.MANUAL if wish.evidence else Method.GATEWAY,
        state=State.PENDING_APPROVAL,
        because=None,
        rule="",
        needed=0,
        requested_by=wish.actor,
        person=wish.person,
        role=wish.role.value,
        batch_id=wish.batch_id,
        retry_of=wish.retry_of,
        evidence=wish.evidence,
        speed=wish.speed or policy.speed,
        subject=subject_of(payment, wish.charge),
        day=refund_standing.today(ctx),
        gateway_ref=None,
        arn=None,
        speed_processed=None,
        failure=None,
        tries=0,
        requested_at=now,
        approved_at=None,
        expires_at=None,
        reminded_at=None,
        sent_at=None,
        ended_at=None,
        next_check_at=None,
        checks=0,
        version=1,
        updated_at=now,
    )


def _ask(family: Family, refund: Refund, of_customer_day: int, of_person_day: int) -> Ask:
    """What the refund adds up to, with all that were asked for before it; what was refused or failed does not count."""
    before = sum(
        one.amount
        for one in family.refunds
        if one.id < refund.id and one.state not in refund_standing.TAKEN_OFF
    )
    return Ask(
        money=refund.money,
        reason=refund.reason,
        of_payment=before + refund.amount,
        of_customer_day=of_customer_day,
        of_person_day=of_person_day,
        role=refund.role,
        person=refund.person,
        fulfilled=family.payment.fulfilled_at is not None,
        manual=refund.method is Method.MANUAL,
    )


def _decided(ctx: Context, refund: Refund, decision: Decision, policy: Policy) -> Refund:
    now = ctx.now()
    refund = replace(refund, rule=decision.rule, needed=decision.needed)
    if decision.needed:
        return replace(
            refund, expires_at=now + policy.expiry, next_check_at=now + min(policy.reminder, policy.expiry)
        )
    by_itself = policy.automated or refund.source is not Source.REQUEST
    return replace(
        refund, state=State.APPROVED, approved_at=now, next_check_at=now + BUSY if by_itself else None
    )


async def send(ctx: Context, payment_id: str, refund_id: str) -> Refund:
    """Send an approved refund: check it again, write the intent, call, write the outcome. Does nothing otherwise.

    One that finds another call on its way to the same attempt comes back by itself.
    """
    async with ctx.db.transaction() as conn:
        family = await _checked(ctx, conn, await payments.lock(conn, payment_id), refund_id)
        refund = family.refund(refund_id)
        if refund.state is not State.APPROVED:
            return refund
        if refund.method is Method.MANUAL:
            return (await _record(ctx, conn, family, refund)).refund(refund_id)
        prepared = await _prepare(ctx, conn, family, refund)
        if not isinstance(prepared, _Prepared):
            return prepared.refund(refund_id)
    outcome = await prepared.gateway.refund(prepared.charge_ref, prepared.body, key=prepared.call.key)
    if isinstance(outcome, Refused) and outcome.already:
        outcome = await _by_us(prepared, refund_id, outcome)
    async with ctx.db.transaction() as conn:
        return (await calling.settle(ctx, conn, prepared.call, outcome)).refund(refund_id)


async def _by_us(prepared: "_Prepared", refund_id: str, refused: Refused) -> Outcome:
    """What was given back already may have been this very refund: until that can be read it is not known."""
    found = await prepared.gateway.find_refund(prepared.charge_ref, reference=refund_id)
    if not isinstance(found, Accepted):
        return Unknown(
            message=f"{refused.message} Whether by this refund could not be read.",
            status=refused.status,
            raw=refused.raw,
        )
    return found if found.ref else refused


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that a call needs once its intent is committed."""

    gateway: Refunds
    charge_ref: str
    body: bytes
    call: Call


async def _prepare(ctx: Context, conn: Connection, family: Family, refund: Refund) -> "_Prepared | Family":
    """Write the intent to send; the refund as it stands where it cannot be sent now."""
    charge = next(charge for charge in family.charges if charge.id == refund.charge_id)
    attempt = family.attempt(charge.attempt_id)
    gateway, body = ctx.directory.gateway(attempt.account_id).refunds, await refunds.body_of(conn, refund.id)
    if gateway is None or body is None:  # place has refused both
        raise NotSupportedError(f"{attempt.gateway} takes no refunds by API.", gateway=attempt.gateway)
    try:
        call = await calling.begin(
            ctx,
            conn,
            attempt,
            Verb.REFUND,
            charge_ref=charge.ref,
            amount=refund.amount,
            refund=refund,
            key=_key(family, refund),
        )
    except CallInFlightError:
        return await refund_standing.write(ctx, conn, family, refund, next_check_at=ctx.now() + BUSY)
    await refund_standing.decide(
        ctx,
        conn,
        family,
        refund,
        Command.SEND,
        sent_at=ctx.now(),
        tries=refund.tries + 1,
        failure=None,
        next_check_at=ctx.now() + refund_standing.FIRST_LOOK,
        checks=0,
    )
    return _Prepared(gateway, charge.ref, body, call)


def _key(family: Family, refund: Refund) -> str:
    """The gateway's key: our id, and after each refusal a new one, since a gateway may replay what it once refused.

    One whose outcome was lost and which was then not found goes out again under the same key.
    """
    refused = sum(
        call.settled in {Settled.REFUSED, Settled.DECLINED}
        for call in family.calls
        if call.refund_id == refund.id
    )
    return f"{refund.id}-{refused + 1}" if refused else refund.id


async def _checked(ctx: Context, conn: Connection, family: Family, refund_id: str) -> Family:
    """By the rules of now: a refund that needs more approvals waits for them, one above a limit is not sent."""
    refund, policy = family.refund(refund_id), ctx.directory.refunding
    if refund.state is not State.APPROVED or refund.source is not Source.REQUEST:
        return family
    ask = _ask(family, refund, *await refunds.sums_until(conn, refund))
    try:
        refund_policy.check_limits(policy, ask)
    except RefundLimitError as above:
        because = f"since it was asked for, the limits have changed: {above.detail}"
        return await refund_standing.void(ctx, conn, family, refund, because)
    decision = refund_policy.decide(policy, ask)
    given = (await refunds.approvals(conn, [refund.id]))[refund.id]
    if decision.needed <= len(given):
        return family
    return await _reopen(ctx, conn, family, refund, decision)


async def _reopen(
    ctx: Context, conn: Connection, family: Family, refund: Refund, decision: Decision
) -> Family:
    """The rules have become stricter since it was approved."""
    policy, now = ctx.directory.refunding, ctx.now()
    return await refund_standing.decide(
        ctx,
        conn,
        family,
        refund,
        Command.REOPEN,
        because="by now it needs more approvals than it has",
        needed=decision.needed,
        rule=decision.rule,
        approved_at=None,
        reminded_at=None,
        expires_at=now + policy.expiry,
        next_check_at=now + min(policy.reminder, policy.expiry),
    )


async def _record(ctx: Context, conn: Connection, family: Family, refund: Refund) -> Family:
    """Keep a refund that was paid back in another way: a fact that an operator told, with its evidence."""
    charge = next(charge for charge in family.charges if charge.id == refund.charge_id)
    report = Report(
        kind=Kind.REFUND_SUCCEEDED,
        object_id=refund.id,
        amount=refund.money,
        at=ctx.now(),
        charge_ref=charge.ref,
        detail={"refund": refund.id, "manual": True, "evidence": refund.evidence},
    )
    return await facts.apply(ctx, conn, family, (report,), Heard(kind="operator", id=refund.id))


async def due_refunds(ctx: Context) -> bool:
    """Look after every refund whose time has come. True where there may be more."""
    async with ctx.db.transaction() as conn:
        due = await refunds.take_due(conn, now=ctx.now(), until=ctx.now() + LEASE, limit=AT_ONCE)
    ended = await asyncio.gather(
        *(look_after(ctx, payment, refund) for refund, payment in due), return_exceptions=True
    )
    for (refund, _), end in zip(due, ended, strict=True):
        if isinstance(end, BaseException):
            log.warning("refund not looked after; it is tried again", refund=refund, error=type(end).__name__)
    return len(due) == AT_ONCE


async def send_due(ctx: Context, payment_id: str) -> None:
    """Send what of a payment's refunds may go by itself, and whose time has come."""
    async with ctx.db.reading() as conn:
        family = await payments.get(conn, payment_id)
    for refund in family.refunds:
        if (
            refund.state is State.APPROVED
            and refund.next_check_at is not None
            and refund.next_check_at <= ctx.now()
        ):
            await send(ctx, payment_id, refund.id)


async def look_after(ctx: Context, payment_id: str, refund_id: str) -> None:
    """Do what is due: expire or remind, send, ask the gateway."""
    async with ctx.db.reading() as conn:
        refund = (await payments.get(conn, payment_id)).refund(refund_id)
    if refund.state is State.PENDING_APPROVAL:
        await _expire_or_remind(ctx, payment_id, refund_id)
    elif refund.state is State.APPROVED:
        await send(ctx, payment_id, refund_id)
    elif refund.state in {State.PROCESSING, State.SUCCEEDED}:
        await _ask_gateway(ctx, refund)


async def _expire_or_remind(ctx: Context, payment_id: str, refund_id: str) -> None:
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        refund, now = family.refund(refund_id), ctx.now()
        if refund.state is not State.PENDING_APPROVAL or refund.expires_at is None:
            return
        if now >= refund.expires_at:
            because = "nobody decided in time"
            await refund_standing.decide(ctx, conn, family, refund, Command.EXPIRE, because=because)
            return
        sentence = f"The refund {refund.id} of {refund.money} has waited for approval since {refund.requested_at:%d %B}."
        await call_a_person(
            ctx, conn, family.payment, kind="refund_pending", subject=refund.id, sentence=sentence
        )
        await refund_standing.write(
            ctx, conn, family, refund, reminded_at=now, next_check_at=refund.expires_at
        )


async def _ask_gateway(ctx: Context, refund: Refund) -> None:
    """How it stands there: learned, and asked again later, ever less often."""
    gateway = ctx.directory.gateway(refund.account_id).refunds
    seen = await gateway.look_up_refund(refund.gateway_ref) if gateway and refund.gateway_ref else None
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, refund.payment_id)
        if isinstance(seen, Accepted):
            try:
                family = await facts.apply(
                    ctx, conn, family, seen.reports, Heard(kind="sweep", id=refund.payment_id)
                )
            except DisagreementError as lie:
                await call_a_person(
                    ctx,
                    conn,
                    family.payment,
                    kind="gateway_contradicts",
                    subject=refund.id,
                    sentence=str(lie),
                    again=Again.IF_NEWS,
                )
        now_stands = family.refund(refund.id)
        if now_stands.state is refund.state:
            await refunds.update(conn, refund.id, next_check_at=_next_look(ctx, now_stands))


def _next_look(ctx: Context, refund: Refund) -> datetime | None:
    """When to ask again; None where it has been watched long enough."""
    if refund.state is State.SUCCEEDED:
        watched = refund_standing.WATCHED
        return ctx.now() + watched[refund.checks] if refund.checks < len(watched) else None
    pause: timedelta = refund_standing.FIRST_LOOK * 2 ** min(refund.checks, 10)
    return ctx.now() + min(pause, refund_standing.LONGEST)
