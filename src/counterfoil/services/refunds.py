"""Refunds as people and their programs see them: ask, approve, reject, cancel, send, try again. One verb a function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.domain import refund_policy
from counterfoil.domain.charge import Charge
from counterfoil.domain.errors import (
    NotFoundError,
    NotPermittedError,
    OwnRequestError,
    RefundRefusedError,
    WrongStateError,
)
from counterfoil.domain.operator import Role, may
from counterfoil.domain.payment import winner_charge
from counterfoil.domain.refund import DECISIONS, Command, Refund, State, refundable
from counterfoil.services import idempotency, records, refund_standing, refunding
from counterfoil.services.auditing import decided
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Hold, Replay
from counterfoil.services.payments import Caller, lock
from counterfoil.services.refund_standing import TAKEN_OFF
from counterfoil.services.refunding import BUSY, Wish
from counterfoil.store import payments, refunds
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family
from counterfoil.store.refunds import Approval, Filter

HISTORY = 20  # other refunds of the customer that an approver is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a caller asks for. `amount` None is all that is left."""

    amount: int | None = None
    currency: str | None = None  # must be the payment's own, where it is named
    reason: str
    note: str | None = None
    speed: str | None = None


async def request(
    ctx: Context, caller: Caller, payment_id: str, ask: Ask, *, id_: str, hold: Hold | None = None
) -> Refund | Replay:
    """Ask for a refund of what paid the payment. Where nobody has to agree it is sent at once, by setting.

    Raises RefundRefusedError and AmountNotValidError with what is left. With a hold, the idempotency record commits with
    the refund, and a retry after a crash goes on with it.
    """
    async with ctx.db.transaction() as conn:
        held = await idempotency.claim(ctx, conn, hold, id_) if hold else None
        if isinstance(held, Replay):
            return held
        if held is None:
            family = await lock(conn, caller, payment_id)
            wish = Wish(
                id=id_,
                charge=_paying(family),
                amount=ask.amount,
                currency=ask.currency,
                reason=ask.reason,
                note=ask.note,
                speed=ask.speed,
                actor=caller.actor,
                person=caller.person,
                role=caller.role,
            )
            await refunding.place(ctx, conn, family, wish)
    return await _sent_by_itself(ctx, payment_id, held.payment_id if held else id_)


def _paying(family: Family) -> Charge:
    charge = winner_charge(family.payment.winner_attempt_id, family.charges)
    if charge is None:
        state = family.payment.status.value
        raise RefundRefusedError(
            f"Only what was captured can be refunded, and this payment is {state}. Cancel it, if it may be cancelled.",
            refundable=0,
            payment_status=state,
        )
    return charge


async def _sent_by_itself(ctx: Context, payment_id: str, refund_id: str) -> Refund:
    """Send what needs nobody any more, where the settings say so; where they do not, a person sends it."""
    if ctx.directory.refunding.automated:
        return await refunding.send(ctx, payment_id, refund_id)
    async with ctx.db.reading() as conn:
        return await refunds.get(conn, refund_id)


async def approve(ctx: Context, caller: Caller, refund_id: str) -> Refund:
    """Agree to exactly this refund. The last approval that it needs lets it go.

    Raises OwnRequestError for who asked for it, whichever key they use, and WrongStateError once it is decided.
    """
    async with ctx.db.transaction() as conn:
        family, refund = await _locked(conn, caller, refund_id)
        DECISIONS.next(refund.state, Command.APPROVE)
        if caller.person == refund.person:
            raise OwnRequestError("Who asks for a refund does not approve it, whichever key they use.")
        policy = ctx.directory.refunding
        refund_policy.check_approver(policy, refund.money, role=caller.role.value, person=caller.person)
        if refund.expires_at is not None and ctx.now() >= refund.expires_at:
            raise WrongStateError(command="approve", state="expired", because="nobody decided in time")
        if refund.state is State.PENDING_APPROVAL:
            await _approve(ctx, conn, family, refund, caller, automated=policy.automated)
    return await _sent_by_itself(ctx, refund.payment_id, refund_id)


async def _approve(
    ctx: Context, conn: Connection, family: Family, refund: Refund, caller: Caller, *, automated: bool
) -> Family:
    """Keep the approval, and let the refund go where it is the last that it needs."""
    approval = Approval(
        refund_id=refund.id,
        payment_id=refund.payment_id,
        amount=refund.amount,
        currency=refund.currency,
        requester=refund.person,
        person=caller.person,
        actor=caller.actor,
        role=caller.role.value,
        at=ctx.now(),
    )
    if not await refunds.approve(conn, approval):
        return family  # this person has said yes before
    given = len((await refunds.approvals(conn, [refund.id]))[refund.id])
    if given < refund.needed:
        detail = {"refund": refund.id, "given": given, "needed": refund.needed}
        await decided(ctx, conn, family.payment, "refund.approval", detail, actor=caller.actor)
        return family
    return await refund_standing.decide(
        ctx,
        conn,
        family,
        refund,
        Command.APPROVE,
        actor=caller.actor,
        approved_at=ctx.now(),
        expires_at=None,
        next_check_at=ctx.now() + BUSY if automated else None,
    )


async def reject(ctx: Context, caller: Caller, refund_id: str, because: str) -> Refund:
    """Say no, and why: the amount is refundable again."""
    return await _end(ctx, caller, refund_id, Command.REJECT, because)


async def cancel(ctx: Context, caller: Caller, refund_id: str, because: str | None = None) -> Refund:
    """Withdraw it, as who asked for it or as an approver, while it has not been sent."""
    refund = await get(ctx, caller, refund_id)
    if caller.person != refund.person and not may(caller.role, Role.APPROVER):
        raise NotPermittedError(needs=f"{Role.APPROVER.value}, or who asked for it", has=caller.role.value)
    return await _end(ctx, caller, refund_id, Command.CANCEL, because or f"withdrawn by {caller.actor}")


async def _end(ctx: Context, caller: Caller, refund_id: str, command: Command, because: str) -> Refund:
    async with ctx.db.transaction() as conn:
        family, refund = await _locked(conn, caller, refund_id)
        family = await refund_standing.decide(
            ctx, conn, family, refund, command, actor=caller.actor, because=because
        )
        return family.refund(refund_id)


async def send(ctx: Context, caller: Caller, refund_id: str) -> Refund:
    """Send an approved refund now. Raises WrongStateError where it is not, or not any more, to be sent."""
    async with ctx.db.transaction() as conn:
        family, refund = await _locked(conn, caller, refund_id)
        if not DECISIONS.allows(refund.state, Command.SEND):
            raise WrongStateError(command="send", state=refund.state.value)
        if refund.state is State.APPROVED:
            detail = {"refund": refund_id, "amount": refund.amount}
            await decided(ctx, conn, family.payment, "refund.send_asked", detail, actor=caller.actor)
    return await refunding.send(ctx, refund.payment_id, refund_id)


async def retry(
    ctx: Context, caller: Caller, refund_id: str, *, id_: str, hold: Hold | None = None
) -> Refund | Replay:
    """Ask again for a refund that failed: a new one, decided anew.

    Raises WrongStateError where it has not failed, or another takes its place already.
    """
    return await _again(ctx, caller, refund_id, id_=id_, hold=hold)


async def record_manual(
    ctx: Context, caller: Caller, refund_id: str, evidence: str, *, id_: str, hold: Hold | None = None
) -> Refund | Replay:
    """Say that a refund that failed was paid back in another way. `evidence` is the bank transfer's reference.

    Somebody else has to agree, whatever the amount: no gateway vouches for it.
    """
    return await _again(ctx, caller, refund_id, id_=id_, hold=hold, evidence=evidence)


async def _again(
    ctx: Context, caller: Caller, refund_id: str, *, id_: str, hold: Hold | None, evidence: str | None = None
) -> Refund | Replay:
    async with ctx.db.transaction() as conn:
        held = await idempotency.claim(ctx, conn, hold, id_) if hold else None
        if isinstance(held, Replay):
            return held
        family, failed = await _locked(conn, caller, refund_id)
        if held is None:
            if failed.state is not State.FAILED:
                command = "record as paid otherwise" if evidence else "retry"
                raise WrongStateError(
                    command=command, state=failed.state.value, because="only what has failed"
                )
            _refuse_taken_up(family, failed)
            charge = next(charge for charge in family.charges if charge.id == failed.charge_id)
            wish = Wish(
                id=id_,
                charge=charge,
                amount=failed.amount,
                reason=failed.reason,
                note=failed.note or f"again, after {failed.id} has failed",
                actor=caller.actor,
                person=caller.person,
                role=caller.role,
                speed=failed.speed,
                evidence=evidence,
                retry_of=failed.id,
            )
            await refunding.place(ctx, conn, family, wish)
    return await _sent_by_itself(ctx, failed.payment_id, held.payment_id if held else id_)


def _refuse_taken_up(family: Family, failed: Refund) -> None:
    """Raise WrongStateError where another refund takes its place already: one failure is made good once."""
    again = next(
        (one for one in family.refunds if one.retry_of == failed.id and one.state not in TAKEN_OFF), None
    )
    if again is not None:
        raise WrongStateError(
            command="ask again for", state=failed.state.value, because=f"{again.id} takes its place"
        )


async def get(ctx: Context, caller: Caller, refund_id: str) -> Refund:
    async with ctx.db.reading() as conn:
        try:
            return await refunds.get(conn, refund_id, merchant_id=caller.merchant_id, mode=caller.mode)
        except LookupError:
            raise NotFoundError("refund", refund_id) from None


async def page(
    ctx: Context, narrow: Filter, *, limit: int, before: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Refunds as they are shown, newest first, and the cursor of the next page."""
    async with ctx.db.reading() as conn:
        found = await refunds.page(conn, narrow, limit=limit + 1, before=before)
    more = found[limit - 1].id if len(found) > limit else None
    return await show(ctx, found[:limit]), more


async def pending(
    ctx: Context, caller: Caller, *, limit: int, after: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """What waits for approval, the longest waiting first, each with what is needed to decide."""
    async with ctx.db.reading() as conn:
        found = await refunds.pending(conn, caller.merchant_id, caller.mode, limit=limit + 1, after=after)
        families = {
            family.payment.id: family
            for family in await payments.families(conn, sorted({one.payment_id for one in found}))
        }
        others = {one.subject: await _of_subject(conn, one) for one in found}
    shown = await show(ctx, found[:limit])
    for body, refund in zip(shown, found, strict=False):
        body.update(_to_decide(ctx, refund, families[refund.payment_id], others[refund.subject]))
    return shown, found[limit - 1].id if len(found) > limit else None


async def _of_subject(conn: Connection, refund: Refund) -> Sequence[Refund]:
    narrow = Filter(merchant_id=refund.merchant_id, mode=refund.mode, subject=refund.subject)
    return await refunds.page(conn, narrow, limit=HISTORY, before=None)


def _to_decide(ctx: Context, refund: Refund, family: Family, others: Sequence[Refund]) -> dict[str, Any]:
    """The payment, its refunds, the customer's others, and how long it has waited."""
    charge = next(charge for charge in family.charges if charge.id == refund.charge_id)
    paid = records.payment(family)
    shown = ("id", "status", "amount", "currency", "amount_captured", "amount_refunded", "reference")
    return {
        "payment_summary": {name: paid[name] for name in (*shown, "description", "customer", "created_at")},
        "refundable_besides": refundable(charge),
        "history": [_line(one) for one in family.refunds if one.id != refund.id],
        "customer_refunds": [_line(one) for one in others if one.payment_id != refund.payment_id],
        "age_s": int((ctx.now() - refund.requested_at).total_seconds()),
    }


def _line(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "payment": refund.payment_id,
        "status": refund.state.value,
        "amount": refund.amount,
        "currency": refund.currency,
        "reason": refund.reason,
        "requested_at": records.instant(refund.requested_at),
    }


async def show(ctx: Context, found: Sequence[Refund]) -> list[dict[str, Any]]:
    """Refunds as the API shows them, with their approvals."""
    async with ctx.db.reading() as conn:
        given: Mapping[str, list[Approval]] = await refunds.approvals(conn, [one.id for one in found])
    return [
        records.refund(one, ctx.directory.account(one.account_id).gateway)
        | {"approvals": records.approvals(given[one.id])}
        for one in found
    ]


async def _locked(conn: Connection, caller: Caller, refund_id: str) -> tuple[Family, Refund]:
    """The refund under its payment's lock. Raises NotFoundError."""
    try:
        payment_id = await refunds.payment_of(conn, refund_id, caller.merchant_id, caller.mode)
    except LookupError:
        raise NotFoundError("refund", refund_id) from None
    family = await payments.lock(conn, payment_id)
    return family, family.refund(refund_id)
