"""The report of refunds as PDF, to be printed and filed: PDF/A-3a and PDF/UA-1, with the same report as JSON inside.

What all of it comes to in each currency stands first; then a table a currency. An identical report is identical bytes.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

from counterfoil.documents import receipt_dates, receipt_money, typesetting
from counterfoil.documents.fonts import families
from counterfoil.documents.receipt_shown import breakable, paper
from counterfoil.documents.receipt_words import ENGLISH, language
from counterfoil.documents.typesetting import Job
from counterfoil.domain import refund_report
from counterfoil.domain.receipt import Party
from counterfoil.domain.refund_report import FATES, MOST_DAYS, GroupBy, Line, Report, Share, Spread, Sum

MEDIA_TYPE: Final = "application/pdf"
ATTACHED: Final = "refund_report.json"
TEMPLATE: Final = "refund_report.typ"
# A line a day for as long as any report may be: 160 pages, which take 3 s and 630 MB. Who has more wants a spreadsheet.
MOST_LINES: Final = MOST_DAYS

_ENGLISH: Final = "en-GB"  # of days, where the business speaks another language than the report
_APPROVED_BY_TWO: Final = "A refund that two approved stands in both lines, and once in the total."
_NONE: Final = "–"
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
# A row's figures: what the head of each column says, and in small of the second figure.
_SUMS: Final = ("requested", *FATES, "captured")
_COLUMNS: Final = (
    *((name.capitalize(), "count") for name in _SUMS),
    ("Rate", "by count"),
    ("To approve", "9 of 10"),
    ("To customer", "9 of 10"),
)
Cell = list[str]


def job(report: Report, business: Party, locale: str) -> Job:
    """What is to be set. `locale` decides how figures are grouped and days are written."""
    return Job(
        main=TEMPLATE,
        data=typesetting.data({"shown": _shown(report, business, locale)}),
        attached=json.dumps(refund_report.shown(report), ensure_ascii=False),
        attached_as=ATTACHED,
        at=int(report.made_at.timestamp()),
        accessible=True,
    )


def _shown(report: Report, business: Party, locale: str) -> dict[str, Any]:
    """Every word and figure of the pages, in the order in which they stand."""
    sections = [_section(report, total, locale) for total in report.totals]
    summary = [[breakable(total.currency), *_figures(total, locale)] for total in report.totals]
    return {
        "title": f"Refunds {report.span.first} to {report.span.last}",
        "heading": "Refunds",
        "seller": {"name": breakable(business.name)},
        "fonts": list(families("en")),
        "language": "en",
        "region": None,
        "paper": paper(business.country),
        "period": _period(report, locale),
        "facts": _facts(report, locale),
        "sandbox": [ENGLISH["sandbox"], ENGLISH["sandbox_means"]] if report.mode == "sandbox" else None,
        "page": ENGLISH["page"],
        "columns": [list(column) for column in _COLUMNS],
        "widths": _widths(row[1:] for row in (*summary, *(row for one in sections for row in one["rows"]))),
        "summary": summary,
        "note": _APPROVED_BY_TWO if report.by is GroupBy.APPROVER else None,
        "sections": sections,
    }


def _period(report: Report, locale: str) -> str:
    span = report.span
    moments = (span.start, span.end - timedelta(seconds=1))
    days = [receipt_dates.day(at, span.zone.key, _spoken(locale)) for at in moments]
    return " – ".join(dict.fromkeys(days))


def _facts(report: Report, locale: str) -> list[list[str]]:
    """By what it was asked for, and when it was made."""
    zone = report.span.zone.key
    made = receipt_dates.day(report.made_at, zone, _spoken(locale))
    return [
        ["Days of", zone],
        ["A line for each", report.by.value],
        ["Made", f"{made} · {receipt_dates.time(report.made_at, zone)}"],
    ]


def _spoken(locale: str) -> str:
    return locale if language(locale) == "en" else _ENGLISH


def _section(report: Report, total: Line, locale: str) -> dict[str, Any]:
    """All lines of one currency, and at their end what they come to."""
    lines = [line for line in report.lines if line.currency == total.currency]
    rows = [[_called(line), *_figures(line, locale)] for line in lines]
    return {
        "heading": f"{total.currency} by {report.by.value}",
        "lines": f"{report.by.value.capitalize()} ({total.currency})",
        "rows": [*rows, ["Total", *_figures(total, locale)]],
    }


def _called(line: Line) -> str:
    return "(none)" if line.group is None else breakable(line.group)


def _figures(line: Line, locale: str) -> list[Cell]:
    sums = (line.requested, *(line.fate(name) for name in FATES), line.captured)
    return [
        *(_sum(one, line.currency, locale) for one in sums),
        [_NONE] if line.rate_amount is None else [_share(line.rate_amount), _share(line.rate_count)],
        _spread(line.to_approve),
        _spread(line.to_customer),
    ]


def _sum(one: Sum, currency: str, locale: str) -> Cell:
    """How much, and in small how many; a dash where there is nothing."""
    if not one.count:
        return [_NONE]
    return [
        receipt_money.plain(one.amount, currency, locale),
        receipt_money.grouped(str(one.count), indian=receipt_money.is_indian(currency, locale)),
    ]


def _share(share: Share | None) -> str:
    """In per cent, to the nearest hundredth: "1.25%"."""
    hundredths = (share.ppm + 50) // 100 if share else 0
    return f"{hundredths // 100}.{hundredths % 100:02}%"


def _spread(spread: Spread | None) -> Cell:
    return [lasted(spread.median), lasted(spread.p90)] if spread else [_NONE]


def lasted(seconds: int) -> str:
    """A span of time in its two largest units, as "2 d 4 h"; what is less is left out."""
    for (unit, size), (lesser, part) in pairwise(_UNITS):
        if seconds >= size:
            whole, rest = seconds // size, seconds % size // part
            return f"{whole}{_NO_BREAK}{unit}" + (f" {rest}{_NO_BREAK}{lesser}" if rest else "")
    return f"{seconds}{_NO_BREAK}s"


def _widths(rows: Iterable[Sequence[Cell]]) -> list[int]:
    """The characters that each column of figures needs, so that they stand under one another in all tables."""
    widths = [max(map(len, column)) for column in _COLUMNS]
    for row in rows:
        widths = [max(width, *map(len, cell)) for width, cell in zip(widths, row, strict=True)]
    return widths
