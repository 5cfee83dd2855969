"""refunds report: what refunds come to, as a table, JSON, CSV, Excel or PDF."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from counterfoil.cli.running import as_json, in_house, operator, show
from counterfoil.domain import refund_report
from counterfoil.domain.refund_report import GroupBy, Report
from counterfoil.services import refund_reports as service
from counterfoil.services.context import Context

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--from", "first", type=_DAY, help="The first day; left out, the first of the month of --to.")
@click.option("--to", "last", type=_DAY, help="The last day, included; left out, today.")
@click.option(
    "--by",
    type=click.Choice([by.value for by in GroupBy]),
    default=GroupBy.MONTH.value,
    show_default=True,
    help="What is told apart.",
)
@click.option(
    "--out",
    "--output",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Into a file: .json, .csv, .xlsx or .pdf.",
)
@click.option(
    "--format",
    "chosen",
    type=click.Choice(list(service.FORMATS)),
    help="Of the file; as its name ends, where left out.",
)
@as_json
def report(
    first: datetime | None,
    last: datetime | None,
    by: str,
    out: Path | None,
    chosen: str | None,
    as_json: bool,
) -> None:
    """What was asked for in these days of the business, how it ended, how long it took, each currency for itself."""
    format_ = _format(out, chosen)

    async def act(ctx: Context) -> tuple[Report, bytes]:
        found = await service.report(ctx, operator(ctx), first=_date(first), last=_date(last), by=GroupBy(by))
        return found, await service.document(ctx, found, format_)

    found, content = in_house(act)
    if out:
        out.write_bytes(content)
    elif as_json:
        click.echo(content)
    else:
        _print(found)


def _format(out: Path | None, chosen: str | None) -> str:
    """What the file is. Without one it is JSON."""
    if out is None and chosen not in {None, "json"}:
        raise click.UsageError("--format is of a file: name it by --out.")
    format_ = chosen or (out.suffix.lower().removeprefix(".") if out else "json")
    if format_ not in service.FORMATS:
        raise click.BadParameter(f"a report can be {', '.join(service.FORMATS)}", param_hint="--out")
    return format_


def _date(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _print(found: Report) -> None:
    """The columns that a terminal has room for; all of them are in the file formats."""
    names = refund_report.columns(found.by)
    rows = [dict(zip(names, map(_cell, row), strict=True)) for row in refund_report.rows(found)]
    columns = (
        found.by.value,
        "requested count",
        "requested amount",
        "succeeded count",
        "succeeded amount",
        "failed count",
        "open count",
        "rate by amount",
        "median seconds to approve",
        "median seconds to customer",
    )
    show(rows, columns, json_wanted=False, empty="No refunds and no captured payments in these days.")


def _cell(cell: refund_report.Cell) -> Any:
    return None if cell is None else str(cell)
