"""/api/payments/receipts/exports: all receipts of a period in one file, made in the background."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field
from starlette.datastructures import Headers

from counterfoil.documents import xlsx
from counterfoil.domain.receipt_export import BOOK, Export
from counterfoil.services import receipt_exports as service
from counterfoil.services import records
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.receipt_exports import Ask
from counterfoil.web.api.answering import hold_of, once_for
from counterfoil.web.api.answers import PROBLEMS, ReceiptExportAnswer, ReceiptExportList, says
from counterfoil.web.api.payments import PAGE_MOST, cursor_of, known
from counterfoil.web.api.receipts import ExportFormat, offered, period_of
from counterfoil.web.api.shapes import Nothing, Shape
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import InContext, Viewer

router = APIRouter(
    prefix="/api/payments/receipts/exports",
    tags=["receipts"],
    route_class=StrictRoute,
    responses=PROBLEMS,
)
ZIP: Final = "application/zip"
FILES: Final[dict[str, Any]] = {ZIP: {}, xlsx.MEDIA_TYPE: {}}
_GO_ON: Final = re.compile(r"bytes=([0-9]{1,18})-")
Instant = Annotated[datetime, Field(strict=False, description="RFC 3339; without an offset, UTC")]


class AskExport(Shape):
    issued_from: Instant
    issued_to: Instant
    format: ExportFormat = Field(
        default="pdf", description="of each receipt in a zip; or `book`, one Excel book with a row for each"
    )


@router.post("", status_code=202, response_model=None, responses=says(ReceiptExportAnswer, 202))
async def ask(request: Request, ctx: InContext, caller: Viewer, asked: AskExport) -> JSONResponse:
    """Have all receipts of a period, as they stand now, put into one file. It is made in the background, and kept a week."""
    offered(ctx, asked.format)
    issued_from, issued_to = period_of(asked.issued_from, asked.issued_to)
    wanted = Ask(issued_from=issued_from, issued_to=issued_to, format=asked.format)
    hold, id_ = await hold_of(request, caller), ctx.new_id("export")
    return await once_for(
        ctx,
        id_,
        hold,
        lambda: service.ask(ctx, caller, wanted, id_=id_, hold=hold),
        _shown(ctx, caller, id_),
        claim=False,
        status=HTTPStatus.ACCEPTED,
    )


def _shown(
    ctx: Context, caller: Caller, export_id: str
) -> Callable[[Export | None], Awaitable[dict[str, Any]]]:
    async def show(export: Export | None) -> dict[str, Any]:
        return records.receipt_export(export or await service.get(ctx, caller, export_id))

    return show


@router.get("", response_model=None, responses=says(ReceiptExportList))
async def listing(
    ctx: InContext,
    caller: Viewer,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Exports, newest first."""
    found, more = await service.page(ctx, caller, limit=limit, before=cursor_of("export", cursor))
    return {"data": [records.receipt_export(export) for export in found], "next_cursor": more}


@router.get("/{export_id}", response_model=None, responses=says(ReceiptExportAnswer))
async def read(ctx: InContext, caller: Viewer, export_id: str) -> dict[str, Any]:
    """One export, and how far it is."""
    return await _shown(ctx, caller, known("export", export_id))(None)


@router.get(
    "/{export_id}/file",
    response_model=None,
    responses={200: {"content": FILES}, 206: {"content": FILES}},
)
async def file(request: Request, ctx: InContext, caller: Viewer, export_id: str) -> Response:
    """Its file; what broke off goes on with `Range: bytes=N-`. 409 while it is not ready, 410 when it has expired."""
    export = await service.ready(ctx, caller, known("export", export_id))
    behind = _behind(request.headers, export.size)
    headers = {
        "accept-ranges": "bytes",
        "content-disposition": f'attachment; filename="{export.filename}"',
        "content-length": str(export.size - behind),
        "counterfoil-receipts": str(export.done),
    }
    if behind:
        headers["content-range"] = f"bytes {behind}-{export.size - 1}/{export.size}"
    return StreamingResponse(
        service.content(ctx, export, behind=behind),
        status_code=HTTPStatus.PARTIAL_CONTENT if behind else HTTPStatus.OK,
        media_type=xlsx.MEDIA_TYPE if export.format == BOOK else ZIP,
        headers=headers,
    )


def _behind(headers: Headers, size: int) -> int:
    """How many bytes are there already, by the one kind of range that going on takes; others may be passed over (RFC 9110, 14.2)."""
    asked = _GO_ON.fullmatch(headers.get("range", ""))
    behind = int(asked[1]) if asked and "if-range" not in headers else 0
    return behind if behind < size else 0


@router.post("/{export_id}/cancel", response_model=None, responses=says(ReceiptExportAnswer))
async def cancel(
    request: Request, ctx: InContext, caller: Viewer, export_id: str, _asked: Nothing | None = None
) -> JSONResponse:
    """Leave it, or forget its file. For who asked for it, and for the role support."""
    hold = await hold_of(request, caller)
    return await once_for(
        ctx,
        known("export", export_id),
        hold,
        lambda: service.cancel(ctx, caller, export_id),
        _shown(ctx, caller, export_id),
    )
