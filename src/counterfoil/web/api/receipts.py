"""/api/payments/{id}/receipt and /api/payments/receipts: parse, call one service, render."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import Field, StringConstraints
from starlette.background import BackgroundTask

from counterfoil.documents import receipt_json
from counterfoil.domain.delivery import ADDRESS_CHARS
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.receipt import Receipt
from counterfoil.domain.receipt_export import BOOK
from counterfoil.services import exporting, idempotency, receipt_delivery, views
from counterfoil.services import receipts as service
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.idempotency import DoneBeforeError, Replay
from counterfoil.services.receipt_delivery import Ask
from counterfoil.web.api.answering import again, hold_of
from counterfoil.web.api.answers import PROBLEMS, ReceiptAnswer, ReceiptDeliveries, ReceiptList, says
from counterfoil.web.api.formats import choose
from counterfoil.web.api.payments import PAGE_MOST, cursor_of, known
from counterfoil.web.api.shapes import Shape, Short, Text
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import Admin, InContext, Support, Viewer

router = APIRouter(prefix="/api/payments", tags=["receipts"], route_class=StrictRoute, responses=PROBLEMS)
Format = Annotated[Literal["json", "pdf", "html", "xlsx", "csv"] | None, Query(alias="format")]
ExportFormat = Literal["pdf", "html", "xlsx", "csv", "json", "book"]
Channel = Literal["email", "sms", "in_app"]
SHOWN: Final = frozenset({"json", "html"})  # in the browser itself; the others are saved


class VoidReceipt(Shape):
    reason: Text


class DeliverReceipt(Shape):
    channels: list[Channel] = Field(min_length=1, max_length=3)
    email: Annotated[str, StringConstraints(max_length=ADDRESS_CHARS)] | None = Field(
        default=None, description="where to, if not to the customer's own address"
    )
    phone: Annotated[str, StringConstraints(max_length=30)] | None = Field(
        default=None, description="with its country, as +919876543210, if not the customer's own"
    )
    receipt: Short | None = Field(default=None, description="another of the payment's, as that of a refund")
    refund: Short | None = Field(
        default=None, description="that of this refund, issued now where there is none"
    )


@router.get("/{payment_id}/receipt", response_model=None, responses=says(ReceiptAnswer))
async def of_payment(
    request: Request,
    ctx: InContext,
    caller: Viewer,
    payment_id: str,
    format_: Format = None,
) -> Response:
    """The payment's receipt, in the format that `format` or the Accept header names. 409 where no money was taken."""
    return await _answer(
        request, ctx, format_, lambda: service.of_payment(ctx, caller, known("payment", payment_id))
    )


@router.get("/refunds/{refund_id}/receipt", response_model=None, responses=says(ReceiptAnswer))
async def of_refund(
    request: Request,
    ctx: InContext,
    caller: Viewer,
    refund_id: str,
    format_: Format = None,
) -> Response:
    """The refund's receipt, in the format that `format` or the Accept header names. 409 where it has not arrived."""
    return await _answer(
        request, ctx, format_, lambda: service.of_refund(ctx, caller, known("refund", refund_id))
    )


@router.get("/receipts", response_model=None, responses=says(ReceiptList))
async def listing(
    ctx: InContext,
    caller: Viewer,
    issued_from: datetime | None = None,
    issued_to: datetime | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Receipts, newest first. Times without an offset are UTC."""
    data, more = await service.page(
        ctx,
        caller,
        issued_from=instant("issued_from", issued_from) if issued_from else None,
        issued_to=instant("issued_to", issued_to) if issued_to else None,
        limit=limit,
        before=cursor_of("receipt", cursor),
    )
    return {"data": data, "next_cursor": more}


@router.get("/receipts/export", response_model=None)
async def export(
    ctx: InContext,
    caller: Viewer,
    issued_from: datetime,
    issued_to: datetime,
    format_: Annotated[ExportFormat, Query(alias="format")] = "pdf",
    after: Annotated[
        str | None,
        Query(description="of a zip: the number or id of the last receipt that arrived, to go on behind it"),
    ] = None,
) -> Response:
    """All receipts of a period: a zip with a file for each, sent as it is drawn, or one Excel book (`book`).

    The header Counterfoil-Receipts says how many there are in the period.
    """
    offered(ctx, format_)
    if after is not None and format_ == BOOK:
        raise InvalidRequestError("after is of a zip: a book is always whole.", field="after")
    period = period_of(issued_from, issued_to)
    behind = await exporting.last_arrived(ctx, caller, after) if after is not None else ""
    await exporting.begin(ctx, format_)
    name = f"receipts-{period[0]:%Y-%m-%d}-{period[1]:%Y-%m-%d}"
    headers = {"counterfoil-receipts": str(await exporting.count(ctx, caller, *period))}
    if format_ == BOOK:
        return await _book(ctx, caller, period, headers, f"{name}.xlsx")
    headers["content-disposition"] = f'attachment; filename="{name}.zip"'
    sent = exporting.zipped(ctx, caller, *period, chosen=format_, after=behind)
    return StreamingResponse(sent, media_type="application/zip", headers=headers)


def offered(ctx: Context, chosen: str) -> None:
    """Raise NotAcceptableError where receipts are not offered in what an export is to be made of."""
    choose(service.formats(ctx), named="xlsx" if chosen == BOOK else chosen, accept=None)


def period_of(issued_from: datetime, issued_to: datetime) -> tuple[datetime, datetime]:
    """A period in UTC. Raises InvalidRequestError."""
    period = instant("issued_from", issued_from), instant("issued_to", issued_to)
    if period[0] >= period[1]:
        raise InvalidRequestError("issued_to must be later than issued_from.", field="issued_to")
    return period


async def _book(
    ctx: Context, caller: Caller, period: tuple[datetime, datetime], headers: dict[str, str], name: str
) -> Response:
    """A book cannot be sent before it is whole: it is written to a file that goes when it is sent."""
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="counterfoil-"))
    leave = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    try:
        await exporting.to_book(ctx, caller, *period, folder / name)
    except BaseException:
        await leave()
        raise
    media = service.FORMATS["xlsx"]
    return FileResponse(folder / name, media_type=media, filename=name, headers=headers, background=leave)


@router.get("/receipts/{receipt_id}", response_model=None, responses=says(ReceiptAnswer))
async def read(
    request: Request,
    ctx: InContext,
    caller: Viewer,
    receipt_id: str,
    format_: Format = None,
) -> Response:
    """One receipt, of a payment or of a refund, as it was issued and with what has become of it since."""
    return await _answer(
        request, ctx, format_, lambda: service.get(ctx, caller, known("receipt", receipt_id))
    )


@router.get("/receipts/{receipt_id}/deliveries", response_model=None, responses=says(ReceiptDeliveries))
async def deliveries(ctx: InContext, caller: Viewer, receipt_id: str) -> dict[str, Any]:
    """What was sent of a receipt, to whom, and what came of it: of the last 90 days."""
    return {"data": await receipt_delivery.deliveries(ctx, caller, known("receipt", receipt_id))}


@router.post(
    "/{payment_id}/receipt/deliver",
    response_model=None,
    status_code=202,
    responses=says(ReceiptDeliveries, 202),
)
async def deliver(
    request: Request, ctx: InContext, caller: Support, payment_id: str, asked: DeliverReceipt
) -> JSONResponse:
    """Send a receipt, to the customer or elsewhere. Each asking is a new delivery; it is on its way when this answers."""
    payment_id, hold = known("payment", payment_id), await hold_of(request, caller)
    ask = Ask(
        channels=tuple(asked.channels),
        email=asked.email,
        phone=asked.phone,
        receipt_id=known("receipt", asked.receipt) if asked.receipt else None,
        refund_id=known("refund", asked.refund) if asked.refund else None,
    )
    made = await receipt_delivery.deliver(ctx, caller, payment_id, ask, hold)
    if isinstance(made, Replay):
        return again(made)
    body = {"data": made}
    if hold:
        await idempotency.answer(ctx, hold, HTTPStatus.ACCEPTED, body)
    return JSONResponse(body, status_code=HTTPStatus.ACCEPTED)


@router.post("/receipts/{receipt_id}/void", response_model=None, responses=says(ReceiptAnswer))
async def void(
    request: Request, ctx: InContext, caller: Admin, receipt_id: str, asked: VoidReceipt
) -> Response:
    """Void a receipt that was wrong: it keeps its number, and another is issued when one is next asked for."""
    receipt_id, hold = known("receipt", receipt_id), await hold_of(request, caller)
    try:
        receipt = await service.void(ctx, caller, receipt_id, asked.reason, hold)
    except DoneBeforeError as before:
        receipt = await service.get(ctx, caller, receipt_id)
        if isinstance(before.held, Replay):
            return again(before.held, verify_url=receipt.verify_url or "")
    if hold:
        kept = receipt_json.document(receipt) | {"verify_url": None}  # links are never stored
        await idempotency.answer(ctx, hold, HTTPStatus.OK, kept)
    return await answer(ctx, receipt, "json")


def instant(name: str, moment: datetime) -> datetime:
    """A moment of a query in UTC. Raises InvalidRequestError."""
    try:
        return views.in_utc(moment)
    except OverflowError:
        raise InvalidRequestError(f"{name} is too far away.", field=name) from None


async def _answer(
    request: Request, ctx: Context, named: str | None, find: Callable[[], Awaitable[Receipt]]
) -> Response:
    """The receipt that is found, in the format that is asked for. Raises NotAcceptableError before it is sought."""
    chosen = choose(service.formats(ctx), named=named, accept=request.headers.get("accept"))
    return await answer(ctx, await find(), chosen)


async def answer(ctx: Context, receipt: Receipt, chosen: str) -> Response:
    """The receipt in a format, named by its number where it is saved."""
    content = await service.render(ctx, receipt, chosen)
    kind = "inline" if chosen in SHOWN else "attachment"
    headers = {"content-disposition": f'{kind}; filename="{receipt.number}.{chosen}"', "vary": "Accept"}
    if chosen == "html":
        headers["content-security-policy"] = PAGE_ALLOWS
    return Response(content, media_type=service.FORMATS[chosen], headers=headers)


# A receipt's page loads nothing and runs nothing; its style stands in it.
PAGE_ALLOWS: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
