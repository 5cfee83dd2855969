"""/api/payments/exceptions: what waits for a person, and how it was settled."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from counterfoil.services import exceptions as service
from counterfoil.web.api.answering import hold_of, once_for
from counterfoil.web.api.answers import PROBLEMS, ExceptionAnswer, ExceptionList, says
from counterfoil.web.api.payments import PAGE_MOST, cursor_of, known
from counterfoil.web.api.shapes import Shape, Text
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import Approver, InContext, Viewer

router = APIRouter(
    prefix="/api/payments/exceptions", tags=["exceptions"], route_class=StrictRoute, responses=PROBLEMS
)


class ResolveException(Shape):
    note: Text


@router.get("", response_model=None, responses=says(ExceptionList))
async def listing(
    ctx: InContext,
    caller: Viewer,
    settled: Annotated[bool, Query(description="the settled too")] = False,
    kind: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """What waits for a person, the longest first."""
    data, more = await service.page(
        ctx, caller, settled=settled, kind=kind, limit=limit, after=cursor_of("exception", cursor)
    )
    return {"data": data, "next_cursor": more}


@router.post("/{exception_id}/resolve", response_model=None, responses=says(ExceptionAnswer))
async def resolve(
    request: Request, ctx: InContext, caller: Approver, exception_id: str, asked: ResolveException
) -> JSONResponse:
    """Say that it is settled, and how."""
    exception_id = known("exception", exception_id)

    async def shown(answer: dict[str, Any] | None) -> dict[str, Any]:
        return answer or await service.get(ctx, caller, exception_id)

    return await once_for(
        ctx,
        exception_id,
        await hold_of(request, caller),
        lambda: service.resolve(ctx, caller, exception_id, asked.note),
        shown,
    )
