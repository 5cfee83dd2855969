"""/api/payments/{id}/refund and /api/payments/refunds: parse, call one service, render."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field, StrictInt, StringConstraints

from counterfoil.domain.money import MAX_MINOR
from counterfoil.domain.refund import Refund, State
from counterfoil.services import idempotency
from counterfoil.services import refunds as service
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Hold, Replay
from counterfoil.services.payments import Caller
from counterfoil.services.refunds import Ask
from counterfoil.store.refunds import Filter
from counterfoil.web.api.answering import hold_of, once_for
from counterfoil.web.api.answers import PROBLEMS, PendingRefunds, RefundAnswer, RefundList, says
from counterfoil.web.api.payments import PAGE_MOST, cursor_of, known
from counterfoil.web.api.shapes import Nothing, Shape, Short, Text
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import Approver, InContext, Support, Viewer

router = APIRouter(prefix="/api/payments", tags=["refunds"], route_class=StrictRoute, responses=PROBLEMS)
Act = Callable[[Context, Caller, str], Awaitable[Refund | Replay]]


class RequestRefund(Shape):
    amount: Annotated[StrictInt, Field(ge=-MAX_MINOR, le=MAX_MINOR)] | None = Field(
        default=None, description="minor units, above zero; all that is left, where left out"
    )
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")] | None = Field(
        default=None, description="the payment's own, where it is named"
    )
    reason: Annotated[str, StringConstraints(min_length=1, max_length=50)]
    note: Text | None = None
    speed: Literal["normal", "optimum"] | None = None


class Reject(Shape):
    reason: Text


class Cancel(Shape):
    reason: Text | None = None


class RecordManual(Shape):
    evidence: Short


@router.post("/{payment_id}/refund", status_code=201, response_model=None, responses=says(RefundAnswer, 201))
async def create(
    request: Request, ctx: InContext, caller: Support, payment_id: str, asked: RequestRefund
) -> JSONResponse:
    """Ask for money back, all that is left of it where `amount` is left out. By the settings it may need an approval."""
    known("payment", payment_id)
    ask = Ask(
        amount=asked.amount, currency=asked.currency, reason=asked.reason, note=asked.note, speed=asked.speed
    )
    return await _make(
        request,
        ctx,
        caller,
        lambda id_, hold: service.request(ctx, caller, payment_id, ask, id_=id_, hold=hold),
    )


async def _make(
    request: Request,
    ctx: Context,
    caller: Caller,
    make: Callable[[str, Hold | None], Awaitable[Refund | Replay]],
) -> JSONResponse:
    """Make a refund by the id it is to have; the request's idempotency key commits with it."""
    hold, id_ = await hold_of(request, caller), ctx.new_id("refund")
    show = _shown(ctx, caller, id_, hold)
    return await once_for(ctx, id_, hold, lambda: make(id_, hold), show, claim=False, status=201)


def _shown(
    ctx: Context, caller: Caller, refund_id: str, hold: Hold | None = None
) -> Callable[[Refund | None], Awaitable[dict[str, Any]]]:
    """How a refund is shown: the one that was answered; else, with work that goes on, the one that the key is kept for."""

    async def show(refund: Refund | None) -> dict[str, Any]:
        kept = await idempotency.payment_of(ctx, hold) if hold and refund is None else None
        found = await service.get(ctx, caller, refund.id if refund else kept or refund_id)
        return (await service.show(ctx, [found]))[0]

    return show


@router.get("/refunds", response_model=None, responses=says(RefundList))
async def listing(
    ctx: InContext,
    caller: Viewer,
    status: State | None = None,
    payment: Annotated[str | None, Query(max_length=40)] = None,
    batch: Annotated[str | None, Query(max_length=40)] = None,
    gateway: Literal["stripe", "razorpay"] | None = None,
    reason: Annotated[str | None, Query(max_length=50)] = None,
    requested_by: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Refunds, newest first."""
    narrow = Filter(
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        state=status.value if status else None,
        payment_id=payment,
        batch_id=batch,
        gateway=gateway,
        reason=reason,
        requested_by=requested_by,
    )
    data, more = await service.page(ctx, narrow, limit=limit, before=cursor_of("refund", cursor))
    return {"data": data, "next_cursor": more}


@router.get("/refunds/pending", response_model=None, responses=says(PendingRefunds))
async def pending(
    ctx: InContext,
    caller: Viewer,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """What waits for approval, the longest waiting first, each with what is needed to decide."""
    data, more = await service.pending(ctx, caller, limit=limit, after=cursor_of("refund", cursor))
    return {"data": data, "next_cursor": more}


@router.get("/refunds/{refund_id}", response_model=None, responses=says(RefundAnswer))
async def read(ctx: InContext, caller: Viewer, refund_id: str) -> dict[str, Any]:
    """One refund, with its approvals. `stage` says in words how it truly stands."""
    return await _shown(ctx, caller, known("refund", refund_id))(None)


async def _act(request: Request, ctx: Context, caller: Caller, refund_id: str, act: Act) -> JSONResponse:
    known("refund", refund_id)
    return await once_for(
        ctx,
        refund_id,
        await hold_of(request, caller),
        lambda: act(ctx, caller, refund_id),
        _shown(ctx, caller, refund_id),
    )


@router.post("/refunds/{refund_id}/approve", response_model=None, responses=says(RefundAnswer))
async def approve(
    request: Request, ctx: InContext, caller: Approver, refund_id: str, _asked: Nothing | None = None
) -> JSONResponse:
    """Agree to exactly this refund. Not for who asked for it, whichever key they use."""
    return await _act(request, ctx, caller, refund_id, service.approve)


@router.post("/refunds/{refund_id}/reject", response_model=None, responses=says(RefundAnswer))
async def reject(
    request: Request, ctx: InContext, caller: Approver, refund_id: str, asked: Reject
) -> JSONResponse:
    """Say no, and why: the amount is refundable again."""
    return await _act(
        request, ctx, caller, refund_id, lambda ctx, who, id_: service.reject(ctx, who, id_, asked.reason)
    )


@router.post("/refunds/{refund_id}/cancel", response_model=None, responses=says(RefundAnswer))
async def cancel(
    request: Request, ctx: InContext, caller: Support, refund_id: str, asked: Cancel | None = None
) -> JSONResponse:
    """Withdraw it while it has not been sent: as who asked for it, or as an approver."""
    because = asked.reason if asked else None
    return await _act(
        request, ctx, caller, refund_id, lambda ctx, who, id_: service.cancel(ctx, who, id_, because)
    )


@router.post("/refunds/{refund_id}/send", response_model=None, responses=says(RefundAnswer))
async def send(
    request: Request, ctx: InContext, caller: Approver, refund_id: str, _asked: Nothing | None = None
) -> JSONResponse:
    """Send what is approved. The same refund sent twice is one refund at the gateway."""
    return await _act(request, ctx, caller, refund_id, service.send)


@router.post(
    "/refunds/{refund_id}/retry", status_code=201, response_model=None, responses=says(RefundAnswer, 201)
)
async def retry(
    request: Request, ctx: InContext, caller: Approver, refund_id: str, _asked: Nothing | None = None
) -> JSONResponse:
    """Ask again for what has failed: a new refund, decided anew."""
    known("refund", refund_id)
    return await _make(
        request, ctx, caller, lambda id_, hold: service.retry(ctx, caller, refund_id, id_=id_, hold=hold)
    )


@router.post(
    "/refunds/{refund_id}/manual", status_code=201, response_model=None, responses=says(RefundAnswer, 201)
)
async def record_manual(
    request: Request, ctx: InContext, caller: Approver, refund_id: str, asked: RecordManual
) -> JSONResponse:
    """Say that what has failed was paid back in another way, with its evidence. Somebody else has to agree."""
    known("refund", refund_id)
    return await _make(
        request,
        ctx,
        caller,
        lambda id_, hold: service.record_manual(ctx, caller, refund_id, asked.evidence, id_=id_, hold=hold),
    )
