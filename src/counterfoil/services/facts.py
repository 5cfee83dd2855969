"""What a gateway says becomes facts, once each; charges, books and the payment's status follow from all of them.

Everything here runs under the payment's row lock, in the transaction of whoever learned something.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from counterfoil.domain import ledger as books
from counterfoil.domain.call import Settled, Verb
from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.payment import (
    CHARGE_RANK,
    CHARGE_SAYS,
    ENDED,
    REFUND_SAYS,
    Attempt,
    AttemptState,
    Charge,
    ChargeState,
    ChargeView,
    Payment,
    RefundState,
    Status,
    attempt_state,
    charge_state,
    contradictions,
    refund_state,
    status,
    winner_charge,
)
from counterfoil.services.context import Context
from counterfoil.store import audit, calls, facts, ledger, payments
from counterfoil.store.calls import Call
from counterfoil.store.database import Connection
from counterfoil.store.facts import Fact, Source
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
DECLINES: Final = frozenset({Kind.ATTEMPT_DECLINED, Kind.CHARGE_FAILED})
SETTLED: Final = frozenset({Status.CAPTURED, Status.FAILED, Status.CANCELLED})
# What is not settled is asked about: first after this long, then ever less often (services/sweeping.py).
FIRST_CHECK: Final = timedelta(seconds=30)


class DisagreementError(Exception):
    """The gateway says something of an object that our own record contradicts: nothing of it is believed."""


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the facts say of one charge."""

    state: ChargeState
    captured: int
    refunded: int
    detail: dict[str, Any]


def attempt_of(family: Family, report: Report) -> Attempt | None:
    """Our attempt that the report is about: by the gateway's reference, by ours, or by a charge we know."""
    for attempt in family.attempts:
        if report.attempt_ref is not None and attempt.ref == report.attempt_ref:
            return attempt
    for attempt in family.attempts:
        if attempt.id == report.our_reference:
            return attempt
    known = {charge.ref: charge.attempt_id for charge in family.charges}
    ref = charge_ref_of(report)
    return family.attempt(known[ref]) if ref in known else None


def charge_ref_of(report: Report) -> str | None:
    return report.object_id if report.kind.noun == "charge" else report.charge_ref


def disagreement(attempt: Attempt, report: Report) -> str | None:
    """Why this report cannot be about this attempt; None where everything agrees."""
    if report.livemode is not None and report.livemode != (attempt.mode == "live"):
        return f"mode: the gateway says livemode {report.livemode}, the attempt is {attempt.mode}"
    if report.our_reference not in {None, attempt.id}:
        return f"reference: the gateway names {report.our_reference}, the attempt is {attempt.id}"
    if report.attempt_ref and attempt.ref and report.attempt_ref != attempt.ref:
        return f"reference: the gateway names {report.attempt_ref}, ours is {attempt.ref}"
    if report.amount.currency != attempt.currency:
        return f"currency: the gateway says {report.amount.currency}, the attempt is in {attempt.currency}"
    if report.face is not None and report.face != attempt.money:
        return f"amount: the gateway says {report.face}, the attempt is for {attempt.money}"
    if report.kind is Kind.CHARGE_CAPTURED and attempt.money < report.amount:
        return f"amount: the gateway says {report.amount} was captured of {attempt.money}"
    return None


async def apply(
    ctx: Context, conn: Connection, family: Family, reports: Sequence[Report], source: Source
) -> Family:
    """Keep what is new and let everything follow from it. The caller holds the payment's row lock.

    Raises DisagreementError, before anything is written, where a report contradicts our record.
    """
    family, known = await learn(ctx, conn, family, reports, source)
    return await recompute(ctx, conn, family, known)


async def learn(
    ctx: Context, conn: Connection, family: Family, reports: Sequence[Report], source: Source
) -> tuple[Family, list[Fact]]:
    """The first half of apply: attempts, charges and books follow; the payment's status is still to be recomputed."""
    matched = [(_agreeing(family, report), report) for report in reports]
    known = await facts.of_payment(conn, family.payment.id)
    for attempt, report in matched:
        family = await _adopt(conn, family, attempt, report)
        if await facts.insert(
            conn, attempt, report, charge_ref=charge_ref_of(report), source=source, now=ctx.now()
        ):
            known.append(_fact(attempt, report))
        family = await _learn(ctx, conn, family, family.attempt(attempt.id), report, known)
    return family, known


def _agreeing(family: Family, report: Report) -> Attempt:
    attempt = attempt_of(family, report)
    if attempt is None:
        raise DisagreementError(f"reference: {report.object_id} belongs to no attempt of {family.payment.id}")
    if reason := disagreement(attempt, report):
        raise DisagreementError(reason)
    return attempt


def _fact(attempt: Attempt, report: Report) -> Fact:
    return Fact(
        id=0,
        object_id=report.object_id,
        kind=report.kind,
        amount=report.amount.minor,
        currency=report.amount.currency,
        attempt_id=attempt.id,
        charge_ref=charge_ref_of(report),
        detail=dict(report.detail),
        said_at=report.at,
    )


async def _adopt(conn: Connection, family: Family, attempt: Attempt, report: Report) -> Family:
    """An attempt whose opening was never answered learns its reference from whatever names ours."""
    current = family.attempt(attempt.id)
    if current.ref is not None or report.attempt_ref is None:
        return family
    await payments.update_attempt(conn, attempt.id, ref=report.attempt_ref)
    return with_attempt(family, replace(current, ref=report.attempt_ref))


async def _learn(
    ctx: Context, conn: Connection, family: Family, attempt: Attempt, report: Report, known: Sequence[Fact]
) -> Family:
    """One report, new or told again: the attempt, the charge, the winner and the books follow."""
    if report.kind is Kind.ATTEMPT_CANCELLED and attempt.fenced_at is None:
        family = await _fence(conn, family, attempt, ctx.now())
    ref = charge_ref_of(report)
    if ref is None:
        return family
    family = await _ensure_charge(ctx, conn, family, attempt, ref, report)
    before = next(charge for charge in family.charges if charge.ref == ref)
    after = _seen(before, report, _weigh(ref, known))
    if after.captured and not before.captured:
        family, after = await _count(conn, family, after)
    if after != before:
        family = replace(family, charges=tuple(after if c.id == after.id else c for c in family.charges))
        await _write(conn, after)
        await _post(ctx, conn, family, attempt, before, after, report)
    await _call_a_person(ctx, conn, family, after, known)
    return family


def _seen(charge: Charge, report: Report, figures: _Figures) -> Charge:
    """The charge as the facts have it, with what only this telling of a known fact adds.

    A fact is kept once, but its tellings differ: Stripe's intent does not name the card that its charge names, and
    only a later reading knows the fee. The charge was made no later than the first that was ever said of it.
    """
    adds = _described(report.detail) if report.kind.noun == "charge" else {}
    return replace(
        charge,
        state=figures.state,
        captured=figures.captured,
        refunded_seen=figures.refunded,
        detail={**adds, **charge.detail, **figures.detail},
        made_at=min(charge.made_at, report.at),
    )


def _described(detail: Mapping[str, Any]) -> dict[str, Any]:
    """What a telling says of the charge itself, without the name of the event that told it."""
    return {name: value for name, value in detail.items() if value is not None and name != "event_type"}


async def _count(conn: Connection, family: Family, charge: Charge) -> tuple[Family, Charge]:
    """Money is seen on a charge for the first time: it pays the payment, or it is surplus.

    What was decided stays: a surplus is given back, and a later telling must not make it the payment's own.
    """
    payment = family.payment
    if payment.winner_attempt_id is None:
        await payments.claim_winner(conn, payment.id, charge.attempt_id)
        payment = replace(payment, winner_attempt_id=charge.attempt_id)
    paid = winner_charge(payment.winner_attempt_id, family.charges) is not None
    surplus = paid or payment.winner_attempt_id != charge.attempt_id
    return replace(family, payment=payment), replace(charge, surplus=surplus)


async def _write(conn: Connection, charge: Charge) -> None:
    await payments.update_charge(
        conn,
        charge.id,
        state=charge.state.value,
        captured=charge.captured,
        refunded_seen=charge.refunded_seen,
        surplus=charge.surplus,
        detail=charge.detail,
        made_at=charge.made_at,
    )


async def _fence(conn: Connection, family: Family, attempt: Attempt, now: datetime) -> Family:
    """The attempt can never be charged again: it gives the payment up, unless it has its money."""
    await payments.update_attempt(conn, attempt.id, fenced_at=now)
    family = with_attempt(family, replace(attempt, fenced_at=now))
    has_money = any(c.captured and c.attempt_id == attempt.id for c in family.charges)
    if family.payment.winner_attempt_id != attempt.id or has_money:
        return family
    await payments.release_winner(conn, family.payment.id, attempt.id)
    return replace(family, payment=replace(family.payment, winner_attempt_id=None))


async def _ensure_charge(
    ctx: Context, conn: Connection, family: Family, attempt: Attempt, ref: str, report: Report
) -> Family:
    if any(charge.ref == ref for charge in family.charges):
        return family
    charge = Charge(
        id=ctx.new_id("charge"),
        payment_id=family.payment.id,
        attempt_id=attempt.id,
        account_id=attempt.account_id,
        ref=ref,
        state=ChargeState.CREATED,
        amount=(report.face or attempt.money).minor,
        currency=attempt.currency,
        captured=0,
        refunded_seen=0,
        disputed_held=0,
        reserved=0,
        surplus=False,
        detail={},
        made_at=report.at,
        created_at=ctx.now(),
    )
    await payments.insert_charge(conn, charge)
    return replace(family, charges=(*family.charges, charge))


def _weigh(ref: str, known: Sequence[Fact]) -> _Figures:
    """The charge as all facts together have it; the order in which they came plays no part."""
    mine = [fact for fact in known if fact.charge_ref == ref]
    own = sorted((fact for fact in mine if fact.kind.noun == "charge"), key=_height)
    captured = max((fact.amount for fact in own if fact.kind is Kind.CHARGE_CAPTURED), default=0)
    detail: dict[str, Any] = {}
    for fact in own:
        detail |= _described(fact.detail)
    refunds: dict[str, list[Fact]] = {}
    for fact in mine:
        if fact.kind in REFUND_SAYS:
            refunds.setdefault(fact.object_id, []).append(fact)
    going_back = sum(
        max(fact.amount for fact in said)
        for said in refunds.values()
        if refund_state(fact.kind for fact in said) is not RefundState.FAILED
    )
    # A refund of an uncaptured charge gives an authorisation back; no money of ours moves.
    return _Figures(charge_state(fact.kind for fact in own), captured, going_back if captured else 0, detail)


def _height(fact: Fact) -> tuple[int, int]:
    """Where a fact stands among its charge's: not by its time, which is that of whichever telling came first."""
    return CHARGE_RANK.index(CHARGE_SAYS[fact.kind]), fact.amount


async def _post(
    ctx: Context,
    conn: Connection,
    family: Family,
    attempt: Attempt,
    before: Charge,
    after: Charge,
    report: Report,
) -> None:
    """Post what this fact changed: totals after, less totals before."""
    moved = {
        "capture": (after.captured - before.captured, books.capture),
        "refund": (after.refunded_seen - before.refunded_seen, books.refund),
    }
    for rule, (amount, entries) in moved.items():
        if amount:
            await ledger.post(
                conn,
                id_=ctx.new_id("journal"),
                payment=family.payment,
                attempt=attempt,
                fact=(report.object_id, report.kind.value, report.amount.minor),
                rule=rule,
                entries=entries(amount, surplus=after.surplus),
                at=report.at,
                now=ctx.now(),
            )


async def _call_a_person(
    ctx: Context, conn: Connection, family: Family, charge: Charge, known: Sequence[Fact]
) -> None:
    """Open an exception for what cannot be right and what the service will not decide alone."""
    said = [fact.kind for fact in known if fact.charge_ref == charge.ref and fact.kind.noun == "charge"]
    sentences = [
        ("contradiction", f"{charge.ref} is reported as {pair}, which cannot both be true.")
        for pair in contradictions(said)
    ]
    if charge.surplus:
        sentences.append(
            ("surplus_capture", f"{charge.ref} was captured although {family.payment.id} is paid already.")
        )
    if charge.captured - charge.refunded_seen - charge.disputed_held - charge.reserved < 0:
        sentences.append(("over_refunded", f"More was given back on {charge.ref} than it took."))
    for kind, sentence in sentences:
        await audit.open_exception(
            conn,
            id_=ctx.new_id("exception"),
            merchant_id=family.payment.merchant_id,
            mode=family.payment.mode,
            kind=kind,
            subject=charge.id,
            payment_id=family.payment.id,
            sentence=sentence,
            now=ctx.now(),
        )


async def recompute(
    ctx: Context, conn: Connection, family: Family, known: Sequence[Fact] | None = None
) -> Family:
    """Attempt states, payment status and the next check, from decisions, calls and facts; written where they changed."""
    if known is None:
        known = await facts.of_payment(conn, family.payment.id)
    under_way = await calls.unsettled(conn, family.payment.id)
    in_doubt = frozenset(call.attempt_id for call in under_way if call.settled is Settled.UNKNOWN)
    was_unknown = unknown(family)
    for attempt in family.attempts:
        family = with_attempt(family, await _settle_attempt(conn, family, attempt, known, in_doubt))
    after = _payment_after(ctx, family, known, under_way)
    if unknown(family) and not was_unknown:  # asked about soon, however long the payment has waited before
        after = replace(after, next_check_at=ctx.now() + FIRST_CHECK, checks=0)
    if after != family.payment:
        after = replace(after, version=after.version + 1, updated_at=ctx.now())
        await payments.update(
            conn,
            after.id,
            status=after.status.value,
            amount_captured=after.amount_captured,
            amount_refunded=after.amount_refunded,
            next_check_at=after.next_check_at,
            checks=after.checks,
            version=after.version,
            updated_at=after.updated_at,
        )
    return replace(family, payment=after)


async def confirming(ctx: Context, conn: Connection, payment: Payment) -> None:
    """A confirmation is about to leave: the payment is pending, and is asked about soon, should no answer come."""
    now = ctx.now()
    await payments.update(
        conn,
        payment.id,
        status=Status.PENDING.value,
        next_check_at=now + FIRST_CHECK,
        checks=0,
        version=payment.version + 1,
        updated_at=now,
    )


async def _settle_attempt(
    conn: Connection, family: Family, attempt: Attempt, known: Sequence[Fact], unknown: frozenset[str]
) -> Attempt:
    state = attempt_state(
        won=family.payment.winner_attempt_id == attempt.id
        and any(c.captured for c in family.charges if c.attempt_id == attempt.id),
        fenced=attempt.fenced_at is not None,
        dead=attempt.dead_at is not None,
        unsettled_calls=int(attempt.id in unknown),
    )
    failure = _last_failure(attempt, known) or attempt.failure
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


def _payment_after(ctx: Context, family: Family, known: Sequence[Fact], under_way: Sequence[Call]) -> Payment:
    payment, states = family.payment, {attempt.id: attempt.state for attempt in family.attempts}
    winner = winner_charge(payment.winner_attempt_id, family.charges)
    new = status(
        list(states.values()),
        [
            ChargeView(c.state, states[c.attempt_id], winner is not None and c.id == winner.id)
            for c in family.charges
        ],
        acting=any(fact.kind in ACTING for fact in known)
        or any(call.verb is Verb.CONFIRM for call in under_way),
        cancel_requested=payment.cancel_requested_at is not None,
        expired=ctx.now() >= payment.expires_at,
    )
    after = replace(
        payment,
        status=new,
        amount_captured=winner.captured if winner else 0,
        amount_refunded=winner.refunded_seen if winner else 0,
    )
    if new in SETTLED:
        return replace(after, next_check_at=None, checks=0)
    if new is payment.status and payment.next_check_at is not None:
        return after
    first = payment.expires_at if new is Status.CREATED else ctx.now() + FIRST_CHECK
    return replace(after, next_check_at=first, checks=0)


def with_attempt(family: Family, attempt: Attempt) -> Family:
    return replace(family, attempts=tuple(attempt if a.id == attempt.id else a for a in family.attempts))


def live_attempt(family: Family) -> Attempt | None:
    """The newest attempt that can still be paid."""
    return next((a for a in reversed(family.attempts) if a.state not in ENDED), None)


def unknown(family: Family) -> bool:
    return any(attempt.state is AttemptState.UNKNOWN for attempt in family.attempts)
