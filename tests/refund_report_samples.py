"""Reports of refunds of each size and script, for the tests and for the eye.

`PYTHONPATH=tests .venv/bin/python -m refund_report_samples FOLDER` writes each as PDF and its pages as PNG.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from counterfoil.documents import receipt_pdf, refund_report_pdf
from counterfoil.documents.typesetting import Job
from counterfoil.domain.receipt import Party
from counterfoil.domain.refund_report import FATES, GroupBy, Line, Report, Span, Spread, Sum
from receipt_samples import pictures

MADE = datetime(2026, 11, 30, 18, 40, tzinfo=UTC)
NOVEMBER = Span(date(2026, 11, 1), date(2026, 11, 30), ZoneInfo("Asia/Kolkata"))
BUSINESS = Party(name="Kaveri Books & Coffee", country="IN")
PEOPLE = (
    "anna",
    "दीक्षा क्षत्रिय",
    "عبد الرحمن بن يوسف",
    "山田 太郎",
    "பொன்னி செல்வன்",
    "operator:maximiliana.featherstonehaugh-cholmondeley@customer-support.kaveri-books.example",
)


def line(group: str | None, currency: str = "INR", seed: int = 1, *, size: int = 1) -> Line:
    """A line whose figures follow from a number, so that no two are alike; `size` makes them large."""
    fates = {name: Sum(seed % (7 + at), (seed % (7 + at)) * 12_345 * size) for at, name in enumerate(FATES)}
    requested = Sum(sum(one.count for one in fates.values()), sum(one.amount for one in fates.values()))
    return Line(
        group=group,
        currency=currency,
        requested=requested,
        fates=fates,
        captured=Sum(40 + seed, (40 + seed) * 98_765 * size),
        to_approve=Spread(60 * seed, 7_000 * seed) if seed % 3 else None,
        to_customer=Spread(700 * seed, 90_000 + 977 * seed),
    )


def report(lines: Sequence[Line], by: GroupBy = GroupBy.REASON, mode: str = "live") -> Report:
    """A report of these lines, with what they come to in each currency."""
    totals = [_total(lines, currency) for currency in sorted({one.currency for one in lines})]
    return Report(mode=mode, span=NOVEMBER, by=by, made_at=MADE, lines=lines, totals=totals)


def _total(lines: Sequence[Line], currency: str) -> Line:
    mine = [one for one in lines if one.currency == currency]
    return Line(
        group=None,
        currency=currency,
        requested=_sum([one.requested for one in mine]),
        fates={name: _sum([one.fate(name) for one in mine]) for name in FATES},
        captured=_sum([one.captured for one in mine]),
        to_approve=Spread(4_000, 90_000),
        to_customer=Spread(9_000, 180_000),
    )


def _sum(sums: Sequence[Sum]) -> Sum:
    return Sum(sum(one.count for one in sums), sum(one.amount for one in sums))


def samples() -> dict[str, Report]:
    """Each by its name."""
    reasons = ("duplicate", "requested_by_customer", "other")
    return {
        "nothing": report([]),
        "three": report([line(reason, seed=at + 2) for at, reason in enumerate(reasons)], mode="sandbox"),
        "days": report([line(f"2026-{at // 28 + 1:02}-{at % 28 + 1:02}", seed=at) for at in range(200)], GroupBy.DAY),
        "people": report(
            [line(person, currency, seed=at + 1, size=size) for at, person in enumerate((*PEOPLE, None))
             for currency, size in (("INR", 1), ("JPY", 20), ("KWD", 3))],
            GroupBy.APPROVER,
        ),
        "large": report([line(reason, seed=at + 3, size=1_000_000_000) for at, reason in enumerate(reasons)]),
    }  # fmt: skip


def job(of: Report) -> Job:
    return refund_report_pdf.job(of, BUSINESS, "en-IN")


def rendered(of: Report) -> bytes:
    """The file."""
    return set_here(job(of))


def set_here(made: Job) -> bytes:
    """The file of a job, set in this process."""
    return receipt_pdf.built_in().pdf(made)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, of in samples().items():
        (folder / f"{name}.pdf").write_bytes(rendered(of))
        for number, page in enumerate(pictures(job(of)), 1):
            (folder / f"{name}-{number}.png").write_bytes(page)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
