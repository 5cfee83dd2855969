"""Disputes: read, answered with evidence, or accepted. One verb a function.

An answer is a call: its intent is committed first, one is on its way at a time, and an outcome that is not known is
settled by reading the dispute (services/dispute_settling.py), never by sending again. What takes time, as evidence on
paper, is made ready before the intent: from then on there is only sending.
"""

from dataclasses import dataclass, replace
from typing import Any

from counterfoil.domain import routing
from counterfoil.domain.call import Call, Verb
from counterfoil.domain.dispute import (
    ALLOWED,
    ANSWERS,
    SUMMARY_CHARS,
    TEXT_CHARS,
    TEXTS_CHARS,
    Answer,
    Command,
    Dispute,
)
from counterfoil.domain.errors import (
    AmountNotValidError,
    InvalidRequestError,
    NotFoundError,
    NotSupportedError,
    WrongStateError,
)
from counterfoil.domain.routing import Feature
from counterfoil.gateways.base import Disputes
from counterfoil.services import calling, dispute_standing, papers
from counterfoil.services import evidence as collecting
from counterfoil.services.auditing import decided
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.store import disputes, payments
from counterfoil.store.calls import CallInFlightError
from counterfoil.store.database import Connection
from counterfoil.store.disputes import Filter
from counterfoil.store.payments import Family


async def page(
    ctx: Context, narrow: Filter, *, limit: int, before: str | None
) -> tuple[list[Dispute], str | None]:
    """A page of disputes, newest first, and the cursor of the next."""
    async with ctx.db.reading() as conn:
        found = await disputes.page(conn, narrow, limit=limit + 1, before=before)
    return list(found[:limit]), (found[limit - 1].id if len(found) > limit else None)


async def get(ctx: Context, caller: Caller, dispute_id: str) -> Dispute:
    async with ctx.db.reading() as conn:
        return await _get(conn, caller, dispute_id)


async def _get(conn: Connection, caller: Caller, dispute_id: str) -> Dispute:
    try:
        return await disputes.get(conn, dispute_id, merchant_id=caller.merchant_id, mode=caller.mode)
    except LookupError:
        raise NotFoundError("dispute", dispute_id) from None


async def _lock(conn: Connection, caller: Caller, dispute_id: str) -> tuple[Family, Dispute]:
    """The dispute with its payment locked, if it is this caller's. Raises NotFoundError."""
    family = await payments.lock(conn, (await _get(conn, caller, dispute_id)).payment_id)
    return family, family.dispute(dispute_id)


async def evidence(ctx: Context, caller: Caller, dispute_id: str) -> dict[str, Any]:
    """The evidence: as it was sent, or the draft, or what our records say now where nobody has edited one.

    `status` is sent, draft or collected; `fields` says what each text becomes at the gateway.
    """
    async with ctx.db.reading() as conn:
        dispute = await _get(conn, caller, dispute_id)
        family = await payments.get(conn, dispute.payment_id)
        status, found = await _evidence(ctx, conn, family, dispute)
    part = ctx.directory.gateway(dispute.account_id).disputes
    shown = {name: found[name] for name in ("summary", "texts", "amount")}
    return {"dispute": dispute.id, "status": status, **shown, "fields": dict(part.fields) if part else {}}


async def _evidence(
    ctx: Context, conn: Connection, family: Family, dispute: Dispute
) -> tuple[str, dict[str, Any]]:
    if dispute.answer in {Answer.SUBMITTING, Answer.SUBMITTED} and (
        sent := await disputes.sent(conn, dispute.id)
    ):
        return "sent", sent
    if draft := await disputes.draft(conn, dispute.id):
        return "draft", draft
    return "collected", await collecting.collect(ctx, conn, family, dispute)


async def edit(ctx: Context, caller: Caller, dispute_id: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Change the draft: `summary`, single `texts` (an empty one goes), `amount` (null is all). What is left out stays.

    Raises WrongStateError where an answer is on its way or the bank waits for none, InvalidRequestError.
    """
    async with ctx.db.transaction() as conn:
        family, dispute = await _lock(conn, caller, dispute_id)
        ANSWERS.next(dispute.answer, Command.EDIT)
        ALLOWED.next(dispute.state, Command.EDIT)
        _, draft = await _evidence(ctx, conn, family, dispute)
        texts = {**draft["texts"], **changes.get("texts", {})}
        draft = {**draft, **changes, "texts": {name: text for name, text in texts.items() if text}}
        _check(dispute, draft)
        await disputes.keep_draft(conn, dispute.id, draft)
        detail = {
            "dispute": dispute.id,
            "changed": sorted([*changes.get("texts", {}), *changes.keys() - {"texts"}]),
        }
        await decided(ctx, conn, family.payment, "dispute.edit", detail, actor=caller.actor)
    return await evidence(ctx, caller, dispute_id)


def _check(dispute: Dispute, draft: dict[str, Any]) -> None:
    """Raise InvalidRequestError where a gateway would refuse the draft for its size or amount."""
    if len(draft["summary"]) > SUMMARY_CHARS:
        raise InvalidRequestError(f"summary may have {SUMMARY_CHARS} characters.", field="summary")
    for name, text in draft["texts"].items():
        if len(text) > TEXT_CHARS:
            raise InvalidRequestError(f"{name} may have {TEXT_CHARS} characters.", field=f"texts.{name}")
    if sum(map(len, draft["texts"].values())) > TEXTS_CHARS:
        raise InvalidRequestError(f"All texts together may have {TEXTS_CHARS} characters.", field="texts")
    if draft["amount"] is not None:
        routing.require(dispute.gateway, Feature.PARTIAL_CONTEST, "contest a part: leave amount null")
    if draft["amount"] is not None and not 0 < draft["amount"] <= dispute.amount:
        raise AmountNotValidError(
            f"amount must be between 1 and the disputed {dispute.amount}.", field="amount"
        )


async def submit(ctx: Context, caller: Caller, dispute_id: str) -> Dispute:
    """Send the evidence to the bank: the draft, or what our records say where nobody has edited one. Once.

    Submitted already: answers the dispute as it stands. Raises WrongStateError, NotSupportedError, and
    InvalidRequestError where a text cannot be put on paper.
    """
    dispute = await get(ctx, caller, dispute_id)
    if _submitting(dispute) is dispute.answer:
        return dispute
    part = _part(ctx, dispute)
    ready = await _ready(ctx, dispute, part.paper_bytes)
    async with ctx.db.transaction() as conn:
        family, dispute = await _lock(conn, caller, dispute_id)
        answer = _submitting(dispute)
        if answer is dispute.answer:
            return dispute
        await _refuse_edited(conn, dispute, ready)
        call = await _begin(ctx, conn, family, dispute, Verb.SUBMIT_EVIDENCE)
        await disputes.keep_sent(conn, dispute.id, ready.draft)
        changes = {"submitted_by": caller.actor, "submissions_before": dispute.submissions}
        await _write(ctx, conn, family, dispute, caller, Command.SUBMIT, answer, **changes)
    outcome = await part.submit(dispute.ref, collecting.made_of(ready.draft, ready.papers), key=call.key)
    async with ctx.db.transaction() as conn:
        return (await calling.settle(ctx, conn, call, outcome)).dispute(dispute_id)


def _submitting(dispute: Dispute) -> Answer:
    """How the answer stands once the evidence is on its way; as it stands where that has arrived. Raises WrongStateError."""
    answer = ANSWERS.next(dispute.answer, Command.SUBMIT)
    if answer is not dispute.answer:
        ALLOWED.next(dispute.state, Command.SUBMIT)
    return answer


@dataclass(frozen=True, slots=True)
class _Ready:
    """The evidence to be sent, and what anybody had edited of it when it was made ready."""

    edited: dict[str, Any]
    draft: dict[str, Any]
    papers: dict[str, bytes]


async def _ready(ctx: Context, dispute: Dispute, paper_bytes: int | None) -> _Ready:
    async with ctx.db.reading() as conn:
        family = await payments.get(conn, dispute.payment_id)
        edited = await disputes.draft(conn, dispute.id)
        draft = edited or await collecting.collect(ctx, conn, family, dispute)
        sent = await disputes.sent(conn, dispute.id)
    draft = {**draft, "dated": papers.dated(draft["texts"], sent, ctx.now())}
    if paper_bytes is None:
        return _Ready(edited, draft, {})
    return _Ready(edited, draft, await papers.draw(ctx, family, dispute, draft, most_bytes=paper_bytes))


async def _refuse_edited(conn: Connection, dispute: Dispute, ready: _Ready) -> None:
    """Raise WrongStateError where somebody has edited the evidence since: nothing is sent but what stands there."""
    if await disputes.draft(conn, dispute.id) != ready.edited:
        raise WrongStateError(
            command="submit evidence",
            state=dispute.state.value,
            because="it was edited in this moment; read it and submit it again",
        )


async def accept(ctx: Context, caller: Caller, dispute_id: str) -> Dispute:
    """Give the dispute up, for good: the money is lost.

    Accepted already: answers the dispute as it stands. Raises WrongStateError, NotSupportedError.
    """
    async with ctx.db.transaction() as conn:
        family, dispute = await _lock(conn, caller, dispute_id)
        answer = ANSWERS.next(dispute.answer, Command.ACCEPT)
        if answer is dispute.answer:
            return dispute
        ALLOWED.next(dispute.state, Command.ACCEPT)
        part = _part(ctx, dispute)
        call = await _begin(ctx, conn, family, dispute, Verb.ACCEPT_DISPUTE)
        await _write(ctx, conn, family, dispute, caller, Command.ACCEPT, answer, accepted_by=caller.actor)
    outcome = await part.accept(dispute.ref, key=call.key)
    async with ctx.db.transaction() as conn:
        return (await calling.settle(ctx, conn, call, outcome)).dispute(dispute_id)


def _part(ctx: Context, dispute: Dispute) -> Disputes:
    part = ctx.directory.gateway(dispute.account_id).disputes
    if part is None:
        raise NotSupportedError(
            f"Disputes are not answered through {dispute.gateway} here; use its dashboard.",
            gateway=dispute.gateway,
        )
    return part


async def _begin(ctx: Context, conn: Connection, family: Family, dispute: Dispute, verb: Verb) -> Call:
    charge = next(charge for charge in family.charges if charge.id == dispute.charge_id)
    attempt = family.attempt(charge.attempt_id)
    try:
        return await calling.begin(
            ctx, conn, attempt, verb, charge_ref=charge.ref, amount=dispute.amount, dispute=dispute
        )
    except CallInFlightError:
        raise WrongStateError(
            command=verb.value.replace("_", " "),
            state=dispute.state.value,
            because="another call about this payment is on its way; try again in a moment",
        ) from None


async def _write(
    ctx: Context,
    conn: Connection,
    family: Family,
    dispute: Dispute,
    caller: Caller,
    command: Command,
    answer: Answer,
    **changes: Any,
) -> None:
    """The intent on the dispute's own row, and who stands for it."""
    after = replace(dispute, answer=answer, failure=None, **changes)
    await dispute_standing.write(ctx, conn, family, dispute, after)
    detail = {"dispute": dispute.id, "gateway": dispute.ref, "amount": dispute.amount}
    await decided(ctx, conn, family.payment, f"dispute.{command.value}", detail, actor=caller.actor)
