"""/api/payments/refunds/report: what refunds come to, as JSON, CSV, Excel or PDF."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from counterfoil.domain.refund_report import GroupBy
from counterfoil.services import refund_reports as service
from counterfoil.web.api import formats
from counterfoil.web.api.answers import PROBLEMS, RefundReport, says
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import InContext, Viewer

router = APIRouter(prefix="/api/payments", tags=["refunds"], route_class=StrictRoute, responses=PROBLEMS)


@router.get("/refunds/report", response_model=None, responses=says(RefundReport))
async def report(
    request: Request,
    ctx: InContext,
    caller: Viewer,
    first: Annotated[
        date | None,
        Query(alias="from", description="the first day; left out, the first of the month of `to`"),
    ] = None,
    last: Annotated[
        date | None, Query(alias="to", description="the last day, included; left out, today")
    ] = None,
    group_by: GroupBy = GroupBy.MONTH,
    format_: Annotated[
        str | None,
        Query(alias="format", max_length=20, description="json, csv, xlsx or pdf, as Accept also may say"),
    ] = None,
) -> Response:
    """What was asked for in these days of the business, how it ended, how long it took, and its share of what was captured."""
    chosen = formats.choose(service.FORMATS, named=format_, accept=request.headers.get("accept"))
    found = await service.report(ctx, caller, first=first, last=last, by=group_by)
    headers = {"Vary": "Accept"}
    if chosen != "json":
        headers["Content-Disposition"] = f'attachment; filename="{service.file_name(found, chosen)}"'
    content = await service.document(ctx, found, chosen)
    return Response(content, media_type=service.FORMATS[chosen], headers=headers)
