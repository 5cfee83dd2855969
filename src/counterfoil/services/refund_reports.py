"""The report of refunds: what was asked for in a span of days, how it ended, and how long it took."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

from counterfoil.documents import csv, refund_report_pdf, xlsx
from counterfoil.domain import refund_report
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.refund_report import PERIODS, GroupBy, Line, Report, Span, Sum
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.issuing import seller_of
from counterfoil.store import refund_reports as store
from counterfoil.store.database import Connection
from counterfoil.store.refund_reports import Question

# What a report can be had as, each with its media type.
FORMATS: Final = {
    "json": "application/json",
    "csv": csv.MEDIA_TYPE,
    "xlsx": xlsx.MEDIA_TYPE,
    "pdf": refund_report_pdf.MEDIA_TYPE,
}


async def report(
    ctx: Context, caller: Caller, *, first: date | None, last: date | None, by: GroupBy
) -> Report:
    """The report of these days of the business; left out, of the month so far. Raises InvalidRequestError."""
    span = _span(ctx, first, last)
    periods = refund_report.periods(span, by) if by in PERIODS else []
    asked = Question(
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        start=span.start,
        end=span.end,
        by=by,
        periods=periods,
    )
    async with ctx.db.transaction() as conn:
        lines = await _lines(conn, asked)
        totals = await _lines(conn, replace(asked, by=None))
    return Report(mode=caller.mode, span=span, by=by, made_at=ctx.now(), lines=lines, totals=totals)


def _span(ctx: Context, first: date | None, last: date | None) -> Span:
    zone = ZoneInfo(ctx.directory.document["business"]["timeZone"])
    so_far = refund_report.this_month(ctx.now(), zone)
    last = last or max(so_far.last, first or so_far.last)
    return Span(first or last.replace(day=1), last, zone)


async def _lines(conn: Connection, asked: Question) -> list[Line]:
    """What was refunded beside what was captured; a period or gateway without refunds has its captures all the same."""
    captured = await store.captured(conn, asked)
    lines = {(line.group, line.currency): line for line in await store.refunds(conn, asked)}
    if _tells_captures_apart(asked.by):
        lines = {key: Line(group=key[0], currency=key[1]) for key in captured} | lines
    held = (replace(line, captured=_against(captured, line, asked.by)) for line in lines.values())
    return sorted(held, key=_place)


def _tells_captures_apart(by: GroupBy | None) -> bool:
    return by is None or by in PERIODS or by is GroupBy.GATEWAY


def _against(captured: Mapping[tuple[str | None, str], Sum], line: Line, by: GroupBy | None) -> Sum:
    group = line.group if _tells_captures_apart(by) else None
    return captured.get((group, line.currency), Sum())


def _place(line: Line) -> tuple[bool, str, str]:
    """By group and currency; what belongs to no group comes last."""
    return line.group is None, line.group or "", line.currency


async def document(ctx: Context, found: Report, format_: str) -> bytes:
    """The report in one of FORMATS, without holding up the event loop. Raises InvalidRequestError where it is too long."""
    if format_ != "pdf":
        return await asyncio.to_thread(_written, found, format_)
    if len(found.lines) > refund_report_pdf.MOST_LINES:
        raise InvalidRequestError(
            f"A PDF has at most {refund_report_pdf.MOST_LINES} lines, and this report has {len(found.lines)}:"
            " ask for xlsx or csv, for fewer days, or for longer periods.",
            field="format",
        )
    business = ctx.directory.document["business"]
    job = await asyncio.to_thread(
        refund_report_pdf.job, found, seller_of(ctx.directory.document), business["locale"]
    )
    return await ctx.renderer.document(job)


def _written(found: Report, format_: str) -> bytes:
    if format_ == "json":
        return json.dumps(refund_report.shown(found), ensure_ascii=False).encode()
    header, rows = refund_report.columns(found.by), refund_report.rows(found)
    if format_ == "csv":
        return b"".join(csv.table(header, rows))
    return xlsx.workbook(_title(found), header, rows, made_at=found.made_at)


def _title(found: Report) -> str:
    return f"Refunds {found.span.first} to {found.span.last}"


def file_name(found: Report, format_: str) -> str:
    """What the file is called where it is kept."""
    return f"refunds-{found.span.first}-{found.span.last}-by-{found.by}.{format_}"
