"""What a gateway says becomes facts, once each; charges, books and the payment's status follow from all of them.

Everything here runs under the payment's row lock, in the transaction of whoever learned something.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from counterfoil.domain import ledger as books
from counterfoil.domain.attempt import Attempt, disagreement
from counterfoil.domain.charge import Charge, ChargeState, Figures, contradictions, described, weigh
from counterfoil.domain.fact import Fact, Kind, Report
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Status, winner_charge
from counterfoil.domain.surplus import may_pay
from counterfoil.services import dispute_standing, refund_standing, standing
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person
from counterfoil.store import facts, ledger, payments
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again
from counterfoil.store.facts import Source
from counterfoil.store.payments import Family


class DisagreementError(Exception):
    """The gateway says something of an object that our own record contradicts: nothing of it is believed."""


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


async def apply(
    ctx: Context, conn: Connection, family: Family, reports: Sequence[Report], source: Source
) -> Family:
    """Keep what is new and let everything follow from it. The caller holds the payment's row lock.

    Raises DisagreementError, before anything is written, where a report contradicts our record.
    """
    return await standing.recompute(ctx, conn, await learn(ctx, conn, family, reports, source))


async def apply_read(
    ctx: Context, conn: Connection, family: Family, reports: Sequence[Report], *, subject: str
) -> Family | None:
    """Apply what a gateway was just asked for. None where it contradicts our record: nothing of it is believed, and a
    person is called about the subject, once for what it says.
    """
    try:
        return await apply(ctx, conn, family, reports, Source(kind="sweep", id=family.payment.id))
    except DisagreementError as lie:
        await call_a_person(
            ctx,
            conn,
            family.payment,
            kind="gateway_contradicts",
            subject=subject,
            sentence=str(lie),
            again=Again.IF_NEWS,
        )
        return None


async def learn(
    ctx: Context, conn: Connection, family: Family, reports: Sequence[Report], source: Source
) -> Family:
    """The first half of apply: attempts, charges and books follow; the payment's status is still to be recomputed."""
    matched, now = [(_agreeing(family, report), report) for report in _referred(reports)], ctx.now()
    for attempt, report in matched:
        at = report.at or now
        family = await _adopt(conn, family, attempt, report)
        if await facts.insert(
            conn, attempt, report, charge_ref=charge_ref_of(report), source=source, now=now
        ):
            family = replace(family, facts=(*family.facts, _fact(attempt, report, at)))
            ctx.health.reported(attempt.account_id, report)
        family = await _learn(ctx, conn, family, family.attempt(attempt.id), report, at)
    return family


def _referred(reports: Sequence[Report]) -> list[Report]:
    """The reports, each with our reference where another that was told with it names that for the same order.

    Razorpay's payments do not bear it, and their order may be one whose opening was never answered.
    """
    ours: dict[str | None, str] = {
        report.attempt_ref: report.our_reference
        for report in reports
        if report.attempt_ref and report.our_reference
    }
    return [
        replace(report, our_reference=report.our_reference or ours.get(report.attempt_ref))
        for report in reports
    ]


def _agreeing(family: Family, report: Report) -> Attempt:
    attempt = attempt_of(family, report)
    if attempt is None:
        raise DisagreementError(f"reference: {report.object_id} belongs to no attempt of {family.payment.id}")
    if reason := disagreement(attempt, report):
        raise DisagreementError(reason)
    return attempt


def _fact(attempt: Attempt, report: Report, at: datetime) -> Fact:
    return Fact(
        id=0,
        object_id=report.object_id,
        kind=report.kind,
        amount=report.amount.minor,
        currency=report.amount.currency,
        attempt_id=attempt.id,
        charge_ref=charge_ref_of(report),
        detail=dict(report.detail),
        said_at=at,
    )


async def _adopt(conn: Connection, family: Family, attempt: Attempt, report: Report) -> Family:
    """An attempt whose opening was never answered learns its reference from whatever names ours."""
    current = family.attempt(attempt.id)
    if current.ref is not None or report.attempt_ref is None:
        return family
    await payments.update_attempt(conn, attempt.id, ref=report.attempt_ref)
    return family.with_attempt(replace(current, ref=report.attempt_ref))


async def _learn(
    ctx: Context, conn: Connection, family: Family, attempt: Attempt, report: Report, at: datetime
) -> Family:
    """One report, new or told again: the attempt, the charge, the winner and the books follow."""
    if report.kind is Kind.ATTEMPT_CANCELLED and attempt.fenced_at is None:
        family = await _fence(conn, family, attempt, ctx.now())
    ref = charge_ref_of(report)
    if ref is None:
        return family
    known = next((charge for charge in family.charges if charge.ref == ref), None)
    before = known or _new_charge(ctx, attempt, ref, report, at)
    after = _seen(before, report, at, weigh(ref, family.facts))
    if after.captured and not before.captured:
        family, after = await _count(conn, family, after)
    heard = family
    family, after = dispute_standing.hear(ctx, family, after, report, at)
    family, after = await refund_standing.follow(ctx, conn, family, after, report)
    if after != known:
        family = family.with_charge(after)
        await (_write(conn, after) if known else payments.insert_charge(conn, after))
        await _post(ctx, conn, family, attempt, before, after, report, at)
    await _report(ctx, conn, family, after)
    return await dispute_standing.keep(ctx, conn, heard, family, attempt, report, at)


def _seen(charge: Charge, report: Report, at: datetime, figures: Figures) -> Charge:
    """The charge as the facts have it, with what only this telling of a known fact adds.

    A fact is kept once, but its tellings differ: Stripe's intent does not name the card that its charge names, and
    only a later reading knows the fee. The charge was made no later than the first that was ever said of it.
    """
    adds = described(report.detail) if report.kind.noun == "charge" else {}
    return replace(
        charge,
        state=figures.state,
        captured=figures.captured,
        refunded_seen=figures.refunded,
        detail={**adds, **charge.detail, **figures.detail},
        made_at=min(charge.made_at, at),
    )


async def _count(conn: Connection, family: Family, charge: Charge) -> tuple[Family, Charge]:
    """Money is seen on a charge for the first time: it pays the payment, or it is surplus.

    Reckoned by how attempt and payment stood before this was learned, which is how the shop was told. What was decided
    stays: a surplus is given back, and a later telling must not make it the payment's own.
    """
    payment, attempt = family.payment, family.attempt(charge.attempt_id)
    if payment.winner_attempt_id is None and may_pay(attempt.state, payment.status):
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
        disputed_held=charge.disputed_held,
        reserved=charge.reserved,
        surplus=charge.surplus,
        detail=charge.detail,
        made_at=charge.made_at,
    )


async def _fence(conn: Connection, family: Family, attempt: Attempt, now: datetime) -> Family:
    """The attempt can never be charged again: it gives the payment up, unless it has its money."""
    await payments.update_attempt(conn, attempt.id, fenced_at=now)
    family = family.with_attempt(replace(attempt, fenced_at=now))
    has_money = any(c.captured and c.attempt_id == attempt.id for c in family.charges)
    if family.payment.winner_attempt_id != attempt.id or has_money:
        return family
    await payments.release_winner(conn, family.payment.id, attempt.id)
    return replace(family, payment=replace(family.payment, winner_attempt_id=None))


def _new_charge(ctx: Context, attempt: Attempt, ref: str, report: Report, at: datetime) -> Charge:
    return Charge(
        id=ctx.new_id("charge"),
        payment_id=attempt.payment_id,
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
        made_at=at,
        created_at=ctx.now(),
    )


async def _post(
    ctx: Context,
    conn: Connection,
    family: Family,
    attempt: Attempt,
    before: Charge,
    after: Charge,
    report: Report,
    at: datetime,
) -> None:
    """Post what this fact changed: totals after, less totals before."""
    back = after.refunded_seen - before.refunded_seen
    manual = report.detail.get("manual") is True
    moved = {
        "capture": (after.captured - before.captured, books.capture),
        "manual_refund" if manual else "refund": (back, books.manual_refund if manual else books.refund),
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
                at=at,
                now=ctx.now(),
            )


async def _report(ctx: Context, conn: Connection, family: Family, charge: Charge) -> None:
    """Open an exception for what cannot be right and what the service will not decide alone.

    At every telling of any fact: a surplus is one for good, however its payment fares afterwards.
    """
    said = [
        fact.kind for fact in family.facts if fact.charge_ref == charge.ref and fact.kind.noun == "charge"
    ]
    sentences = [
        ("contradiction", Again.IF_NEWS, f"{charge.ref} is reported as {pair}, which cannot both be true.")
        for pair in contradictions(said)
    ]
    if charge.surplus:
        sentences.append(("surplus_capture", Again.NEVER, _taken_too_much(family, charge)))
    over = charge.refunded_seen + charge.disputed_held + charge.reserved - charge.captured
    if over > 0:
        also = " or is disputed" if charge.disputed_held else ""
        much = Money(over, charge.currency)
        told = f"More was given back{also} on {charge.ref} than it took, by {much}."
        sentences.append(("over_refunded", Again.IF_NEWS, told))
    for kind, again, sentence in sentences:
        await call_a_person(
            ctx, conn, family.payment, kind=kind, subject=charge.id, sentence=sentence, again=again
        )


def _taken_too_much(family: Family, charge: Charge) -> str:
    payment, over = family.payment, {Status.CANCELLED: "is cancelled", Status.FAILED: "has failed"}
    paid = winner_charge(payment.winner_attempt_id, family.charges) is not None
    because = over.get(payment.status, "is paid already" if paid else "is being paid in another way")
    return f"{charge.ref} was captured although {payment.id} {because}."
