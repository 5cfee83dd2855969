"""payments import: past payments from a file, with a file that says what became of each row."""

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
from rich.console import Console
from rich.progress import Progress

from counterfoil.cli.running import as_json, in_house, operator, show_one
from counterfoil.documents import csv
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.importing import MAX_LINE
from counterfoil.services import importing
from counterfoil.services.context import Context
from counterfoil.services.importing import READERS, REFUSED, Plan, Result
from counterfoil.store.spool import Spool, spool

_FORMATS: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_HEADER: Final = ("line", "charge", "fate", "payment", "reason")


@click.command(name="import")
@click.argument("file", type=click.File("rb"))
@click.option("--format", "format_", type=click.Choice(list(READERS)), help="Left out, by the file's ending.")
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]),
    help="When the figures were true. Left out, when the file was last changed.",
)
@click.option("--verify", is_flag=True, help="Ask the gateways about each payment; refuse what differs.")
@click.option("--partial", is_flag=True, help="Import what is right although other rows are refused.")
@click.option("--dry-run", is_flag=True, help="Check everything and write nothing.")
@click.option(
    "--result",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write what became of each row. Left out: beside FILE, with .result.csv after its name.",
)
@as_json
def bring(
    file: BinaryIO,
    format_: str | None,
    as_of: datetime | None,
    verify: bool,
    partial: bool,
    dry_run: bool,
    result: Path | None,
    as_json: bool,
) -> None:
    """Bring past payments along by their gateway ids. FILE is CSV or JSON lines; - is the standard input.

    Every row is checked before anything is written; one that is here already is skipped, so that the same file may be
    imported again. Exits 1 where a row is refused.
    """
    told = _writable(result or _beside(file), file)

    async def act(ctx: Context) -> Result:
        plan = Plan(
            name=file.name,
            format=format_ or _format(file),
            as_of=min(as_of or _changed(file) or ctx.now(), ctx.now()),
            verify=verify,
            partial=partial,
            dry_run=dry_run,
        )
        with spool() as rows, _bars() as progress:
            came = await importing.bring(
                ctx, operator(ctx).actor, _lines(file), plan, rows, progress=progress
            )
            _write(told, rows)
        return came

    came = in_house(act)
    show_one(_said(came, told), json_wanted=as_json)
    if came.tally.get(REFUSED):
        raise SystemExit(1)


def _beside(file: BinaryIO) -> Path:
    if file is sys.stdin.buffer:
        raise InvalidRequestError(
            "Name the file for the result by --result where FILE is the standard input."
        )
    return Path(f"{file.name}.result.csv")


def _writable(path: Path, file: BinaryIO) -> Path:
    """The path, if the result can be written there: told before anything is imported, and never over the file itself."""
    if path.exists() and Path(str(file.name)).exists() and path.samefile(str(file.name)):
        raise InvalidRequestError("The result would be written over FILE: name another file by --result.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidRequestError(f"The result cannot be written to {path}: name another file by --result.")
    return path


def _format(file: BinaryIO) -> str:
    found = _FORMATS.get(Path(str(file.name)).suffix.lower())
    if found is None:
        raise InvalidRequestError(
            "Whether FILE is CSV or JSON lines is not plain from its name: say --format."
        )
    return found


def _changed(file: BinaryIO) -> datetime | None:
    """When the file was last changed; None for what is no file."""
    path = Path(str(file.name))
    return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.is_file() else None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines, each of which is cut where it is longer than any row may be."""
    while line := file.readline(MAX_LINE + 1):
        yield line


@contextlib.contextmanager
def _bars() -> Iterator[importing.Progress]:
    """A bar for each stage, drawn from its first batch on, where there is a terminal to draw it on."""
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as shown:
        tasks: dict[str, Any] = {}

        def moved(stage: str, done: int, of: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=of)
            shown.update(tasks[stage], completed=done, description=f"{stage} {done}")

        yield moved


def _write(path: Path, rows: Spool) -> None:
    """What became of each row, in the order of the file."""
    told = ((one.line, one.ref, one.fate, one.payment, one.reason) for one in rows.lines())
    with path.open("wb") as out:
        out.writelines(csv.table(_HEADER, told))


def _said(came: Result, told: Path) -> dict[str, Any]:
    return {"import": came.id, "rows": came.rows, **came.tally, "sha256": came.sha256, "result": str(told)}
