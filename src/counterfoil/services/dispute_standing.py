"""How a dispute stands, by what its gateway says and what we answered. All of it runs under the payment's row lock.

The charge holds what its disputes hold, so that it cannot be refunded too; the books follow the money.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from counterfoil.domain import dispute as rules
from counterfoil.domain import ledger as books
from counterfoil.domain.attempt import Attempt
from counterfoil.domain.call import Call, Settled, Verb
from counterfoil.domain.charge import Charge
from counterfoil.domain.dispute import ANSWERS, OPEN, Answer, Command, Dispute, DisputeState
from counterfoil.domain.fact import Report
from counterfoil.services import publishing, standing
from counterfoil.services.auditing import decided
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person
from counterfoil.store import disputes, exceptions, ledger
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again
from counterfoil.store.payments import Family

# The exceptions that wait until the bank has its answer.
DEADLINE: Final = "dispute_deadline"
NOT_SENT: Final = "dispute_not_answered"
ON_ITS_WAY: Final = frozenset({Answer.SUBMITTING, Answer.ACCEPTING})
# A round after the verdict, which only some banks know: what follows of it is for a person.
APPEAL: Final = "appeal"


def hear(ctx: Context, family: Family, charge: Charge, report: Report, at: datetime) -> tuple[Family, Charge]:
    """The dispute that a report speaks of follows from all that was said, and the charge holds what its disputes hold.

    Nothing is written yet: the charge may be new, and comes first.
    """
    if report.kind.noun == "dispute":
        known = _known(family, charge, report) or _new(ctx, family, charge, report, at)
        family = family.with_dispute(rules.follow(known, family.facts, report))
    # Of what was never captured nothing can be held.
    return family, replace(
        charge, disputed_held=rules.held(family.disputes, charge.id) if charge.captured else 0
    )


def _known(family: Family, charge: Charge, report: Report) -> Dispute | None:
    mine = (d for d in family.disputes if (d.account_id, d.ref) == (charge.account_id, report.object_id))
    return next(mine, None)


def _new(ctx: Context, family: Family, charge: Charge, report: Report, at: datetime) -> Dispute:
    now = ctx.now()
    return Dispute(
        id=ctx.new_id("dispute"),
        merchant_id=family.payment.merchant_id,
        mode=family.payment.mode,
        payment_id=family.payment.id,
        charge_id=charge.id,
        account_id=charge.account_id,
        gateway=family.attempt(charge.attempt_id).gateway,
        ref=report.object_id,
        state=DisputeState.NEEDS_RESPONSE,
        amount=report.amount.minor,
        currency=report.amount.currency,
        reason=None,
        phase=None,
        respond_by=None,
        answered_until=None,
        refundable=False,
        submissions=0,
        submissions_before=0,
        asked_round=0,
        decided_round=0,
        held=0,
        withdrawn=0,
        reinstated=0,
        lost=0,
        answer=Answer.NONE,
        failure=None,
        submitted_at=None,
        submitted_by=None,
        accepted_at=None,
        accepted_by=None,
        next_check_at=None,
        checks=0,
        version=0,
        opened_at=at,
        created_at=now,
        updated_at=now,
    )


async def keep(
    ctx: Context,
    conn: Connection,
    before: Family,
    family: Family,
    attempt: Attempt,
    report: Report,
    at: datetime,
) -> Family:
    """Write the dispute as the report has made it, post what moved, and tell of it. `before` is the family until then."""
    after = next((d for d in family.disputes if d.ref == report.object_id), None)
    if report.kind.noun != "dispute" or after is None:
        return family
    known = next((d for d in before.disputes if d.id == after.id), None)
    if after != known:
        if known is None or (known.state, known.respond_by) != (after.state, after.respond_by):
            due = ctx.now() if after.state in OPEN else None  # alarms are looked to by the next sweep
            after = replace(after, next_check_at=due, checks=0)
        family = await write(ctx, conn, family, known, after)
        await _post(ctx, conn, family, attempt, (known, after), report, at)
    await _report(ctx, conn, family, after, report)
    return family


async def _report(ctx: Context, conn: Connection, family: Family, dispute: Dispute, report: Report) -> None:
    """Open an exception for what cannot be right and what the service will not decide alone."""
    if report.detail.get("phase") == APPEAL:
        sentence = f"There is an appeal about {dispute.ref}: answer it in the gateway's own dashboard."
        await call_a_person(
            ctx,
            conn,
            family.payment,
            kind="dispute_appeal",
            subject=dispute.id,
            sentence=sentence,
            again=Again.IF_NEWS,
        )
    if pair := rules.contradiction(dispute, family.facts):
        sentence = f"{dispute.ref} is reported as {pair}, which cannot both be true."
        await call_a_person(
            ctx,
            conn,
            family.payment,
            kind="dispute_contradiction",
            subject=dispute.id,
            sentence=sentence,
            again=Again.IF_NEWS,
        )


async def write(
    ctx: Context, conn: Connection, family: Family, before: Dispute | None, after: Dispute
) -> Family:
    """The dispute has this new version: written, and told with its payment's. `before` is None for a new one."""
    now = ctx.now()
    after = replace(after, version=(before.version if before else 0) + 1, updated_at=now)
    await (disputes.update if before else disputes.insert)(conn, after)
    family = family.with_dispute(after)
    if not after.waits_for_us and after.answer not in ON_ITS_WAY:
        for kind in (DEADLINE, NOT_SENT):
            await exceptions.end(conn, kind=kind, about=after.id, now=now)
    await publishing.dispute(ctx, conn, after, before=before.state if before else None)
    return await standing.touch(ctx, conn, family)


async def _post(
    ctx: Context,
    conn: Connection,
    family: Family,
    attempt: Attempt,
    change: tuple[Dispute | None, Dispute],
    report: Report,
    at: datetime,
) -> None:
    """Post what this fact changed of the money that the gateway took, and of what of it is lost."""
    before, after = change
    taken = after.taken - (before.taken if before else 0)
    gone = _gone(after) - (_gone(before) if before else 0)
    if entries := books.dispute(taken, gone):
        await ledger.post(
            conn,
            id_=ctx.new_id("journal"),
            payment=family.payment,
            attempt=attempt,
            fact=(report.object_id, report.kind.value, report.amount.minor),
            rule="dispute",
            entries=entries,
            at=at,
            now=ctx.now(),
        )


def _gone(dispute: Dispute) -> int:
    """Of what the gateway took, what will not come back."""
    return dispute.taken if dispute.state is DisputeState.LOST else 0


async def answered(
    ctx: Context, conn: Connection, family: Family, call: Call, failure: Mapping[str, Any] | None
) -> Family:
    """What became of the call that carried our answer: it arrived, or it surely did not, and may be sent again.

    `failure` is the gateway's refusal; None where the call was given up because it had had no effect.
    """
    dispute = family.dispute(call.dispute_id or "")
    if call.settled is Settled.UNKNOWN:
        return family
    command = Command.ARRIVE if call.settled is Settled.ACCEPTED else Command.FAIL
    changes: dict[str, Any] = {"answer": ANSWERS.next(dispute.answer, command)}
    if command is Command.FAIL:
        # Asked at once how it stands: a refusal may mean that it has ended, or had its answer before.
        told = failure or {"message": call.message or "it had no effect"}
        changes |= {"failure": dict(told), "next_check_at": ctx.now(), "checks": 0}
    elif call.verb is Verb.SUBMIT_EVIDENCE:
        changes |= {"failure": None, "submitted_at": ctx.now(), "answered_until": dispute.respond_by}
    else:
        changes |= {"failure": None, "accepted_at": ctx.now()}
    family = await write(ctx, conn, family, dispute, replace(dispute, **changes))
    if command is Command.FAIL and family.dispute(dispute.id).waits_for_us:
        sentence = f"The answer to {dispute.ref} was not sent: {changes['failure'].get('message')}"
        subject = f"{dispute.id}/{call.id}"
        await call_a_person(ctx, conn, family.payment, kind=NOT_SENT, subject=subject, sentence=sentence)
    detail = {"dispute": dispute.id, "gateway": dispute.ref, "message": call.message}
    await decided(ctx, conn, family.payment, f"dispute.{call.verb.value}_{command.value}", detail)
    return family
