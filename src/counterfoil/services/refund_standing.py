"""How a refund stands, by what was decided and what its gateway says. Everything here runs under the payment's row lock.

The gateway's word makes a refund of ours succeed or fail, and one that we never asked for appear.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from counterfoil.domain.call import Call
from counterfoil.domain.charge import REFUND_SAYS, Charge, RefundState, of_before, refund_state
from counterfoil.domain.fact import Fact, Report
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.refund import (
    DECISIONS,
    SAID,
    UNSENT,
    Command,
    Method,
    Refund,
    Source,
    State,
    reserved,
    subject_of,
    to_void,
)
from counterfoil.services import issuing, mailing, publishing
from counterfoil.services.auditing import SERVICE, decided
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person
from counterfoil.store import refunds
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again
from counterfoil.store.payments import Family

# What is with the gateway is asked about after a quarter of an hour and then ever less often; what has succeeded a few
# times more, for the bank's reference and because a bank may send it back within weeks (gateways 1.6, 2.4).
FIRST_LOOK: Final = timedelta(minutes=15)
LONGEST: Final = timedelta(hours=12)
WATCHED: Final = (
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=3),
    timedelta(days=7),
    timedelta(days=20),
)
# A refusal that may pass, as a balance that is too short: tried again after a minute, and then ever less often.
AGAIN: Final = timedelta(minutes=1)
AGAIN_MOST: Final = timedelta(hours=12)
PASSING: Final = frozenset(
    {
        FailureCode.REFUND_BALANCE_SHORT.slug,
        FailureCode.GATEWAY_UNAVAILABLE.slug,
        FailureCode.MERCHANT_SETUP.slug,
        FailureCode.PROCESSING_ERROR.slug,
    }
)
# What is not given back does not count towards anybody's limits.
TAKEN_OFF: Final = frozenset({State.FAILED, State.REJECTED, State.CANCELLED})
ENDED: Final = TAKEN_OFF | {State.SUCCEEDED}


def today(ctx: Context) -> str:
    """The day of the business, ISO 8601."""
    zone = ZoneInfo(ctx.directory.document["business"]["timeZone"])
    return ctx.now().astimezone(zone).date().isoformat()


async def write(ctx: Context, conn: Connection, family: Family, refund: Refund, **changes: Any) -> Family:
    """The refund as it is after the changes: written, its version raised, told to whoever listens."""
    before = family.refund(refund.id)
    after = replace(refund, **changes)
    if after == before:
        return family
    after = replace(after, version=before.version + 1, updated_at=ctx.now())
    if after.state in ENDED and after.ended_at is None:
        after = replace(after, ended_at=ctx.now())
    names = [name for name in Refund.__dataclass_fields__ if getattr(before, name) != getattr(after, name)]
    await refunds.update(conn, after.id, **{name: getattr(after, name) for name in names})
    if before.state not in TAKEN_OFF and after.state in TAKEN_OFF:
        await _take_off(conn, after)
    if before.state in TAKEN_OFF and after.state not in TAKEN_OFF:  # it was given back after all
        await count(conn, after)
    await announce(ctx, conn, family, after, before=before)
    family = family.with_refund(after)
    await issuing.on_refund(ctx, conn, family, before.state, after)
    return family


async def announce(
    ctx: Context,
    conn: Connection,
    family: Family,
    after: Refund,
    *,
    before: Refund | None = None,
    news: bool = True,
) -> None:
    """The refund has a new version: told to whoever listens, and where it is news to whom it concerns, by mail.

    `before` is None for a new one.
    """
    await publishing.refund(ctx, conn, family, after, before=before.state if before else None)
    if news:
        await mailing.tell_refund(ctx, conn, family.payment, before, after)


async def count(conn: Connection, refund: Refund) -> None:
    """Let it count towards its customer's day, and its requester's."""
    for subject in subjects(refund):
        await refunds.count(conn, refund, subject)


async def _take_off(conn: Connection, refund: Refund) -> None:
    """What is not given back does not count towards anybody's day."""
    for subject in subjects(refund):
        await refunds.take_off(conn, refund, subject)


def subjects(refund: Refund) -> tuple[str, str]:
    """Whose day it counts in: the customer's, and the requester's."""
    return refund.subject, f"person:{refund.person}"


async def decide(
    ctx: Context,
    conn: Connection,
    family: Family,
    refund: Refund,
    command: Command,
    *,
    actor: str = SERVICE,
    because: str | None = None,
    **changes: Any,
) -> Family:
    """Carry out a decision of ours. Raises WrongStateError where the table refuses it; a decision made stays made."""
    state = DECISIONS.next(refund.state, command)
    if state is refund.state and not changes:
        return family
    if state in {State.REJECTED, State.CANCELLED}:
        changes = {"because": because, "next_check_at": None, **changes}
    family = await write(ctx, conn, family, refund, state=state, **changes)
    detail = {"refund": refund.id, "amount": refund.amount, "state": state.value, "because": because}
    await decided(ctx, conn, family.payment, f"refund.{command.value}", detail, actor=actor)
    return await keep_reserved(conn, family, refund.charge_id)


async def keep_reserved(conn: Connection, family: Family, charge_id: str) -> Family:
    """The charge keeps what its unsent refunds ask for, no more and no less."""
    charge = next(charge for charge in family.charges if charge.id == charge_id)
    kept = reserved(family.refunds, charge_id)
    if kept == charge.reserved:
        return family
    await refunds.keep(conn, charge_id, kept)
    return family.with_charge(replace(charge, reserved=kept))


async def follow(
    ctx: Context, conn: Connection, family: Family, charge: Charge, report: Report
) -> tuple[Family, Charge]:
    """What the gateway says of a charge's refunds: ours go on, others appear; what is left no more is not sent.

    The charge comes with its new figures, and is returned with what is kept of it. The caller writes it.
    """
    for said in _said(family.facts, charge, report):
        refund = _ours(family, charge, said)
        if refund is None:
            family = await _appear(ctx, conn, family, charge, said)
        else:
            family = await _go_on(ctx, conn, family, refund, said)
    charge = replace(charge, reserved=reserved(family.refunds, charge.id))
    for refund in to_void(family.refunds, charge):
        because = "the gateway reports that less is left of the charge than it asks for"
        family = await void(ctx, conn, family, refund, because)
    return family, replace(charge, reserved=reserved(family.refunds, charge.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """All that a gateway has said of one refund of a charge."""

    ref: str
    state: RefundState
    amount: int
    detail: Mapping[str, Any] = field(default_factory=dict)
    of_before: bool = False  # an import has summed it up: it is no news

    @property
    def failure(self) -> dict[str, Any] | None:
        if self.state is not RefundState.FAILED:
            return None
        reason = self.detail.get("failure_reason")
        return {
            "code": FailureCode.OTHER.slug,
            "gateway_code": reason,
            "message": f"the gateway says: {reason}" if reason else None,
        }


def _said(known: Sequence[Fact], charge: Charge, report: Report) -> list[Said]:
    """Each refund of the charge as all facts have it, in the order of their ids.

    A known fact may be told again with more than before: the bank's reference comes days later.
    """
    if not charge.captured:
        return []
    objects: dict[str, list[Fact]] = {}
    for fact in known:
        if fact.charge_ref == charge.ref and fact.kind in REFUND_SAYS:
            objects.setdefault(fact.object_id, []).append(fact)
    found = []
    for ref, facts in sorted(objects.items()):
        detail: dict[str, Any] = {}
        for fact in facts:
            detail |= {name: value for name, value in fact.detail.items() if value is not None}
        if report.object_id == ref:
            detail |= {name: value for name, value in report.detail.items() if value is not None}
        state = refund_state(fact.kind for fact in facts)
        before = of_before(facts, (fact for fact in known if fact.charge_ref == charge.ref))
        amount = max(fact.amount for fact in facts)
        found.append(Said(ref=ref, state=state, amount=amount, detail=detail, of_before=before))
    return found


def _ours(family: Family, charge: Charge, said: Said) -> Refund | None:
    """The refund of ours that the gateway speaks of: by its own id, or by ours, which went along."""
    mine = [refund for refund in family.refunds if refund.charge_id == charge.id]
    known = next((refund for refund in mine if refund.gateway_ref == said.ref), None)
    named = next((refund for refund in mine if refund.id == said.detail.get("refund")), None)
    # A label can be copied: what we never sent is not ours, whatever it says.
    sent = named is not None and (named.tries > 0 or named.method is Method.MANUAL)
    return known or (named if named and sent and named.gateway_ref is None else None)


async def _go_on(ctx: Context, conn: Connection, family: Family, refund: Refund, said: Said) -> Family:
    state, now = SAID[said.state], ctx.now()
    changes: dict[str, Any] = {
        "state": state,
        "gateway_ref": said.ref,
        "arn": said.detail.get("arn") or refund.arn,
        "speed_processed": said.detail.get("speed") or refund.speed_processed,
        "failure": said.failure,
        "sent_at": refund.sent_at or now,
    }
    if state is not refund.state or refund.gateway_ref is None:
        first = {State.PROCESSING: now + FIRST_LOOK, State.SUCCEEDED: now + WATCHED[0]}
        changes |= {"next_check_at": first.get(state), "checks": 0, "ended_at": None}
    if refund.method is Method.MANUAL:
        changes |= {"next_check_at": None}
    if sentence := _contradiction(refund, said):
        await call_a_person(
            ctx,
            conn,
            family.payment,
            kind="refund_contradicts",
            subject=refund.id,
            sentence=sentence,
            again=Again.IF_NEWS,
        )
    family = await write(ctx, conn, family, refund, **changes)
    if state is State.FAILED and refund.state is not State.FAILED and refund.source is not Source.GATEWAY:
        await tell_failure(ctx, conn, family, family.refund(refund.id))
    return family


def _contradiction(refund: Refund, said: Said) -> str | None:
    """What the gateway's word has against our own record of a refund."""
    if said.amount != refund.amount:
        return f"{said.ref} gives back {said.amount}, and {refund.id} asked for {refund.amount}."
    if refund.state in TAKEN_OFF and refund.gateway_ref is None:
        return f"{said.ref} is {refund.id}, which was held for {refund.state.value} and never carried out."
    return None


async def tell_failure(ctx: Context, conn: Connection, family: Family, refund: Refund) -> None:
    """The money is with us again: somebody decides what is to be done."""
    sentence = (
        f"The refund {refund.id} of {refund.money} has failed: {refund.why.rstrip('.')}."
        " Try again, or pay it back in another way and record that."
    )
    await call_a_person(ctx, conn, family.payment, kind="refund_failed", subject=refund.id, sentence=sentence)


async def _appear(ctx: Context, conn: Connection, family: Family, charge: Charge, said: Said) -> Family:
    """A refund that was made in the gateway's own dashboard. What somebody had asked for here, it has answered."""
    matched = next(
        (
            refund
            for refund in family.refunds
            if refund.charge_id == charge.id and refund.state in UNSENT and refund.amount == said.amount
        ),
        None,
    )
    matched = None if said.of_before else matched
    if matched is not None and said.state is not RefundState.FAILED:
        because = f"it was made in the gateway's own dashboard, as {said.ref}"
        family = await decide(ctx, conn, family, matched, Command.VOID, because=because)
    refund = _outside(ctx, family, charge, said, matched)
    await refunds.insert(conn, refund)
    if refund.state not in TAKEN_OFF:
        await count(conn, refund)
    family = family.with_refund(refund)
    await announce(ctx, conn, family, refund, news=not said.of_before)
    if not said.of_before:
        await issuing.on_refund(ctx, conn, family, State.PROCESSING, refund)
    detail = {"refund": refund.id, "gateway": said.ref, "amount": said.amount, "matches": refund.retry_of}
    await decided(ctx, conn, family.payment, "refund.seen", detail)
    if matched is None and not said.of_before:
        sentence = f"{said.ref} gave {refund.money} back, and nobody asked for that here."
        await call_a_person(
            ctx, conn, family.payment, kind="refund_outside", subject=refund.id, sentence=sentence
        )
    return family


def _outside(ctx: Context, family: Family, charge: Charge, said: Said, matched: Refund | None) -> Refund:
    now, state = ctx.now(), SAID[said.state]
    return Refund(
        id=ctx.new_id("refund"),
        merchant_id=family.payment.merchant_id,
        mode=family.payment.mode,
        payment_id=charge.payment_id,
        charge_id=charge.id,
        account_id=charge.account_id,
        amount=said.amount,
        currency=charge.currency,
        reason=matched.reason if matched else "other",
        note=None,
        source=Source.GATEWAY,
        method=Method.GATEWAY,
        state=state,
        because=None,
        rule="made in the gateway's own dashboard",
        needed=0,
        requested_by="gateway",
        person="gateway",
        role="service",
        batch_id=None,
        retry_of=matched.id if matched else None,
        evidence=None,
        speed="normal",
        subject=subject_of(family.payment, charge),
        day=today(ctx),
        gateway_ref=said.ref,
        arn=said.detail.get("arn"),
        speed_processed=said.detail.get("speed"),
        failure=said.failure,
        tries=0,
        requested_at=now,
        approved_at=None,
        expires_at=None,
        reminded_at=None,
        sent_at=now,
        ended_at=now if state in ENDED else None,
        next_check_at=None if state is State.FAILED else now + FIRST_LOOK,
        checks=0,
        version=1,
        updated_at=now,
    )


async def void(ctx: Context, conn: Connection, family: Family, refund: Refund, because: str) -> Family:
    """It is not sent any more, and a person is told why."""
    family = await decide(ctx, conn, family, refund, Command.VOID, because=because)
    sentence = f"The refund {refund.id} of {refund.money} was not sent: {because}."
    await call_a_person(ctx, conn, family.payment, kind="refund_voided", subject=refund.id, sentence=sentence)
    return family


async def came_back(
    ctx: Context, conn: Connection, family: Family, call: Call, failure: Mapping[str, Any] | None
) -> Family:
    """The sending of a refund was certainly not carried out: it may go again later, or it has failed.

    `failure` is the gateway's refusal; None where the call was given up because it had had no effect.
    """
    refund = next((one for one in family.refunds if one.id == call.refund_id), None)
    if refund is None or refund.state is not State.PROCESSING or refund.gateway_ref is not None:
        return family
    if failure is None or failure.get("code") in PASSING:
        # What had no effect goes again at once, and then ever less often: a gateway may replay what it answered.
        first = timedelta(0) if failure is None and refund.tries == 1 else AGAIN
        pause = min(first * 2 ** min(refund.tries - 1, 10), AGAIN_MOST)
        family = await decide(
            ctx,
            conn,
            family,
            refund,
            Command.RESUME,
            because=str((failure or {}).get("message") or "it had no effect"),
            failure=failure,
            next_check_at=ctx.now() + pause,
            checks=0,
        )
        if failure and refund.failure is None:
            why = family.refund(refund.id).why
            sentence = f"The refund {refund.id} of {refund.money} cannot be sent yet: {why.rstrip('.')}."
            await call_a_person(
                ctx, conn, family.payment, kind="refund_waits", subject=refund.id, sentence=sentence
            )
        return family
    family = await write(ctx, conn, family, refund, state=State.FAILED, failure=failure, next_check_at=None)
    family = await keep_reserved(conn, family, refund.charge_id)
    await tell_failure(ctx, conn, family, family.refund(refund.id))
    return family
