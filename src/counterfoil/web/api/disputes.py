"""/api/payments/disputes: what customers' banks ask back, the evidence against it, and our answers."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, Field, StringConstraints

from counterfoil.domain.dispute import SUMMARY_CHARS, TEXT_CHARS, TEXTS, Answer, Dispute, DisputeState
from counterfoil.domain.errors import CounterfoilError, InvalidRequestError
from counterfoil.services import disputes as service
from counterfoil.services import idempotency, records, views
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Hold, Replay, Resume
from counterfoil.services.payments import Caller
from counterfoil.store.disputes import Filter
from counterfoil.web.api.answering import hold_of, within
from counterfoil.web.api.answers import PROBLEMS, DisputeAnswer, DisputeList, EvidenceAnswer, says
from counterfoil.web.api.payments import PAGE_MOST, cursor_of, known
from counterfoil.web.api.shapes import Minor, Nothing, Shape
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import Approver, InContext, Support, Viewer

router = APIRouter(
    prefix="/api/payments/disputes", tags=["disputes"], route_class=StrictRoute, responses=PROBLEMS
)

Text = Annotated[str, StringConstraints(max_length=TEXT_CHARS)]


def _name(text: str) -> str:
    if text not in TEXTS:
        raise ValueError(f"is none of {', '.join(TEXTS)}")
    return text


TextName = Annotated[str, AfterValidator(_name)]


class EditEvidence(Shape):
    """What is left out stays; an empty text goes."""

    summary: Annotated[str, StringConstraints(min_length=1, max_length=SUMMARY_CHARS)] | None = None
    texts: dict[TextName, Text] | None = None
    amount: Minor | None = Field(default=None, description="the part that is contested; null is all of it")


class AcceptDispute(Shape):
    confirm: Literal[True] = Field(description="the money is given up for good")


@router.get("", response_model=None, responses=says(DisputeList))
async def listing(
    ctx: InContext,
    caller: Viewer,
    state: DisputeState | None = None,
    gateway: Literal["stripe", "razorpay"] | None = None,
    payment: str | None = None,
    due_before: Annotated[
        datetime | None, Query(description="only what waits for an answer, with a deadline before this")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Disputes, newest first. Times without an offset are UTC."""
    narrow = Filter(
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        state=state.value if state else None,
        gateway=gateway,
        payment_id=known("payment", payment) if payment else None,
        due_before=_instant(due_before),
    )
    found, next_cursor = await service.page(ctx, narrow, limit=limit, before=cursor_of("dispute", cursor))
    return {"data": [records.dispute(one) for one in found], "next_cursor": next_cursor}


def _instant(moment: datetime | None) -> datetime | None:
    try:
        return views.in_utc(moment) if moment else None
    except OverflowError:
        raise InvalidRequestError("due_before is too far away.", field="due_before") from None


@router.get("/{dispute_id}", response_model=None, responses=says(DisputeAnswer))
async def read(ctx: InContext, caller: Viewer, dispute_id: str) -> dict[str, Any]:
    """One dispute, whole."""
    return records.dispute(await service.get(ctx, caller, known("dispute", dispute_id)))


@router.get("/{dispute_id}/evidence", response_model=None, responses=says(EvidenceAnswer))
async def read_evidence(ctx: InContext, caller: Support, dispute_id: str) -> dict[str, Any]:
    """The evidence: as it was sent, or the draft, or what our own records say where nobody has edited one."""
    return await service.evidence(ctx, caller, known("dispute", dispute_id))


@router.put("/{dispute_id}/evidence", response_model=None, responses=says(EvidenceAnswer))
async def edit(ctx: InContext, caller: Support, dispute_id: str, asked: EditEvidence) -> dict[str, Any]:
    """Change the draft. Nothing is sent."""
    changes = asked.model_dump(exclude_unset=True)
    for name in ("summary", "texts"):
        if changes.get(name, ...) is None:
            raise InvalidRequestError(f"{name} may be left out, and may not be null.", field=name)
    return await service.edit(ctx, caller, known("dispute", dispute_id), changes)


@router.post("/{dispute_id}/submit", response_model=None, responses=says(DisputeAnswer))
async def submit(
    request: Request, ctx: InContext, caller: Approver, dispute_id: str, _asked: Nothing | None = None
) -> JSONResponse:
    """Send the evidence to the bank: once, and for good."""
    return await _once(request, ctx, caller, dispute_id, service.submit)


@router.post("/{dispute_id}/accept", response_model=None, responses=says(DisputeAnswer))
async def accept(
    request: Request, ctx: InContext, caller: Approver, dispute_id: str, _asked: AcceptDispute
) -> JSONResponse:
    """Give the dispute up, for good: the money is lost."""
    return await _once(request, ctx, caller, dispute_id, service.accept)


async def _once(
    request: Request,
    ctx: Context,
    caller: Caller,
    dispute_id: str,
    act: Callable[[Context, Caller, str], Awaitable[Dispute]],
) -> JSONResponse:
    """Carry out an answer under its idempotency key; where it takes too long, tell how the dispute stands until then.

    A retry of one that broke off answers with how the dispute stands: what was sent is settled by reading.
    """
    dispute = await service.get(ctx, caller, known("dispute", dispute_id))
    hold = await hold_of(request, caller)
    held = await idempotency.claim_alone(ctx, hold, dispute.payment_id) if hold else None
    if isinstance(held, Replay):
        return JSONResponse(held.body, status_code=held.status, headers={"Idempotency-Replayed": "true"})
    if not isinstance(held, Resume) or dispute.answer is Answer.NONE:
        await _act(ctx, caller, dispute_id, act, hold)
    body = records.dispute(await service.get(ctx, caller, dispute_id))
    if hold:
        await idempotency.answer(ctx, hold, HTTPStatus.OK, body)
    return JSONResponse(body)


async def _act(
    ctx: Context,
    caller: Caller,
    dispute_id: str,
    act: Callable[[Context, Caller, str], Awaitable[Dispute]],
    hold: Hold | None,
) -> None:
    """A request that is refused before anything was done gives its key back."""
    try:
        await within(act(ctx, caller, dispute_id))
    except CounterfoilError as refused:
        if hold and refused.problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            await idempotency.forget(ctx, hold)
        raise
