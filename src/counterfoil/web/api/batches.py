"""/api/payments/refunds/batches: many refunds in one file."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import StringConstraints

from counterfoil.documents import csv
from counterfoil.domain.batch import Batch
from counterfoil.services import batches as service
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Replay
from counterfoil.services.payments import Caller
from counterfoil.web.api.answering import hold_of, once_for
from counterfoil.web.api.answers import PROBLEMS, BatchAnswer, BatchList, says
from counterfoil.web.api.payments import PAGE_MOST, cursor_of, known
from counterfoil.web.api.refunds import Cancel, Reject
from counterfoil.web.api.shapes import Nothing, Shape, Short
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import Approver, InContext, Viewer

FILE_BYTES: Final = 2_000_000  # ten thousand rows with a note on each


class FileRoute(StrictRoute):
    """A route that takes a whole file."""

    body_bytes = FILE_BYTES


router = APIRouter(
    prefix="/api/payments/refunds/batches", tags=["refunds"], route_class=FileRoute, responses=PROBLEMS
)


class UploadBatch(Shape):
    name: Short
    csv: Annotated[str, StringConstraints(min_length=1, max_length=FILE_BYTES, strip_whitespace=False)]


@router.post("", status_code=201, response_model=None, responses=says(BatchAnswer, 201))
async def upload(request: Request, ctx: InContext, caller: Approver, asked: UploadBatch) -> JSONResponse:
    """Bring a file of refunds (columns payment, amount, reason, note). It is checked whole; nothing is sent yet."""
    hold, id_ = await hold_of(request, caller), ctx.new_id("batch")
    return await once_for(
        ctx,
        id_,
        hold,
        lambda: service.upload(ctx, caller, asked.name, asked.csv, id_=id_, hold=hold),
        _shown(ctx, caller, id_),
        claim=False,
        status=201,
    )


def _shown(
    ctx: Context, caller: Caller, batch_id: str
) -> Callable[[Batch | None], Awaitable[dict[str, Any]]]:
    async def show(batch: Batch | None) -> dict[str, Any]:
        return await service.show(ctx, batch or await service.get(ctx, caller, batch_id))

    return show


@router.get("", response_model=None, responses=says(BatchList))
async def listing(
    ctx: InContext,
    caller: Viewer,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Batches, newest first."""
    found, more = await service.page(ctx, caller, limit=limit, before=cursor_of("batch", cursor))
    return {"data": [await service.show(ctx, batch) for batch in found], "next_cursor": more}


@router.get("/{batch_id}", response_model=None, responses=says(BatchAnswer))
async def read(ctx: InContext, caller: Viewer, batch_id: str) -> dict[str, Any]:
    """One batch, and how far it has come."""
    return await _shown(ctx, caller, known("batch", batch_id))(None)


@router.get("/{batch_id}/result", response_model=None, responses={200: {"content": {"text/csv": {}}}})
async def result(ctx: InContext, caller: Viewer, batch_id: str) -> Response:
    """Every row with what came of it, as CSV, in the order of the file."""
    await service.get(ctx, caller, known("batch", batch_id))

    async def lines() -> AsyncIterator[bytes]:
        yield csv.line(service.RESULT)
        async for row in service.result(ctx, caller, batch_id):
            yield csv.line([row[name] for name in service.RESULT])

    named = {"content-disposition": f'attachment; filename="{batch_id}.csv"'}
    return StreamingResponse(lines(), media_type=csv.MEDIA_TYPE, headers=named)


async def _act(
    request: Request,
    ctx: Context,
    caller: Caller,
    batch_id: str,
    act: Callable[[], Awaitable[Batch | Replay]],
) -> JSONResponse:
    known("batch", batch_id)
    return await once_for(ctx, batch_id, await hold_of(request, caller), act, _shown(ctx, caller, batch_id))


@router.post("/{batch_id}/approve", response_model=None, responses=says(BatchAnswer))
async def approve(
    request: Request, ctx: InContext, caller: Approver, batch_id: str, _asked: Nothing | None = None
) -> JSONResponse:
    """Agree to the whole file. Not for who brought it, whichever key they use."""
    return await _act(request, ctx, caller, batch_id, lambda: service.approve(ctx, caller, batch_id))


@router.post("/{batch_id}/reject", response_model=None, responses=says(BatchAnswer))
async def reject(
    request: Request, ctx: InContext, caller: Approver, batch_id: str, asked: Reject
) -> JSONResponse:
    """Say no to the whole file, and why."""
    return await _act(
        request, ctx, caller, batch_id, lambda: service.reject(ctx, caller, batch_id, asked.reason)
    )


@router.post("/{batch_id}/cancel", response_model=None, responses=says(BatchAnswer))
async def cancel(
    request: Request, ctx: InContext, caller: Approver, batch_id: str, asked: Cancel | None = None
) -> JSONResponse:
    """Withdraw it before it is approved."""
    because = asked.reason if asked else None
    return await _act(request, ctx, caller, batch_id, lambda: service.cancel(ctx, caller, batch_id, because))
