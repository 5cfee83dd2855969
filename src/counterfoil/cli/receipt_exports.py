"""receipts export, which makes the file here and now; and receipts exports, which the running service makes."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from counterfoil.cli.running import as_json, in_house, operator, show, show_one
from counterfoil.domain import ids
from counterfoil.domain.errors import InvalidRequestError, NotFoundError
from counterfoil.domain.receipt_export import BOOK, OPEN, Export, State
from counterfoil.services import exporting, receipts, records
from counterfoil.services import receipt_exports as service
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Replay
from counterfoil.services.receipt_exports import Ask

DAY: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
LOOK_S: Final = 1.0
# A worker that runs looks every second, and has other exports before this one at most
SUSPECT_S: Final = 15.0

since_option = click.option(
    "--from", "since", type=DAY, required=True, help="Issued from this day or moment on."
)
until_option = click.option("--to", "until", type=DAY, required=True, help="And before this one.")
format_option = click.option(
    "--format", "chosen", type=click.Choice([*receipts.FORMATS, BOOK]), default="pdf", show_default=True
)


@click.command()
@since_option
@until_option
@format_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
def export(since: datetime, until: datetime, chosen: str, out: Path) -> None:
    """All receipts of a period: a zip of files, or one Excel book with a row for each (--format book).

    Days are those of `business.timeZone`. A zip that was cut off is gone on with when it is asked for again.
    `counterfoil receipts exports` has the running service do it.
    """

    async def act(ctx: Context) -> int:
        period = _period(ctx, since, until)
        with writing(out):
            if chosen == BOOK:
                return await exporting.to_book(ctx, operator(ctx), *period, out, progress=_tell)
            return await exporting.to_zip(ctx, operator(ctx), *period, out, chosen=chosen, progress=_tell)

    written = in_house(act)
    click.echo(f"{out}: {written} receipts.")


@click.group()
def exports() -> None:
    """Exports that the running service makes in the background: start, list, show, watch, fetch, cancel."""


@exports.command()
@since_option
@until_option
@format_option
@as_json
def start(since: datetime, until: datetime, chosen: str, as_json: bool) -> None:
    """Ask for all receipts of a period, as they stand now, and print the id of the export.

    A zip of files, or one Excel book with a row for each (--format book). Days are those of `business.timeZone`.
    """

    async def act(ctx: Context) -> dict[str, Any]:
        issued_from, issued_to = _period(ctx, since, until)
        ask = Ask(issued_from=issued_from, issued_to=issued_to, format=chosen)
        made = await service.ask(ctx, operator(ctx), ask, id_=ctx.new_id("export"))
        return made.body if isinstance(made, Replay) else records.receipt_export(made)

    made = in_house(act)
    if as_json:
        show_one(made, json_wanted=True)
    else:
        click.echo(made["id"])


@exports.command(name="list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def listing(limit: int, as_json: bool) -> None:
    """The newest exports, and how far each is."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        found, _ = await service.page(ctx, operator(ctx), limit=limit, before=None)
        return [records.receipt_export(one) for one in found]

    columns = ("id", "status", "format", "done", "total", "issued_from", "issued_to", "requested_by", "error")
    show(in_house(act), columns, json_wanted=as_json, empty="No exports yet.")


@exports.command(name="show")
@click.argument("export_id")
@as_json
def show_export(export_id: str, as_json: bool) -> None:
    """One export, whole."""
    _known(export_id)

    async def act(ctx: Context) -> Export:
        return await service.get(ctx, operator(ctx), export_id)

    show_one(records.receipt_export(in_house(act)), json_wanted=as_json)


@exports.command()
@click.argument("export_id")
@as_json
def watch(export_id: str, as_json: bool) -> None:
    """Wait until it has ended, and show how far it is meanwhile. Exit status 1 where it is not ready then."""
    _known(export_id)

    async def act(ctx: Context) -> Export:
        return await _ended(ctx, export_id)

    export = in_house(act)
    show_one(records.receipt_export(export), json_wanted=as_json)
    sys.exit(0 if export.state is State.READY else 1)


@exports.command()
@click.argument("export_id")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="By its period, where left out.")
@click.option("--wait", is_flag=True, help="Until it is ready.")
def fetch(export_id: str, out: Path | None, wait: bool) -> None:
    """Write its file. What was cut off goes on where it was."""
    _known(export_id)

    async def act(ctx: Context) -> tuple[Path, Export]:
        if wait:
            await _ended(ctx, export_id)
        export = await service.ready(ctx, operator(ctx), export_id)
        path = out or Path(export.filename)
        with writing(path):
            await _fetched(ctx, export, path)
        return path, export

    path, export = in_house(act)
    click.echo(f"{path}: {export.done} receipts, {export.size} bytes.")


@exports.command()
@click.argument("export_id")
@as_json
def cancel(export_id: str, as_json: bool) -> None:
    """Leave it, or forget its file where it is ready."""
    _known(export_id)

    async def act(ctx: Context) -> Export:
        return await service.cancel(ctx, operator(ctx), export_id)

    show_one(records.receipt_export(in_house(act)), json_wanted=as_json)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses is told as a sentence."""
    try:
        yield
    except OSError as refused:
        raise InvalidRequestError(f"{path} cannot be written: {refused.strerror or refused}.") from None


def _known(export_id: str) -> None:
    if not ids.is_id("export", export_id):
        raise NotFoundError("export", export_id[:64])


def _period(ctx: Context, since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """The moments in UTC, of days of the business. Raises InvalidRequestError."""
    zone = ZoneInfo(ctx.directory.document["business"]["timeZone"])
    if since >= until:
        raise InvalidRequestError("--to must be later than --from: the day behind the last.")
    try:
        return since.replace(tzinfo=zone).astimezone(UTC), until.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError("--from or --to is too far away.") from None


async def _ended(ctx: Context, export_id: str) -> Export:
    """The export, once nothing is done for it any more."""
    waited = 0.0
    while (export := await service.get(ctx, operator(ctx), export_id)).state in OPEN:
        _tell(export.done, export.total, every=1)
        if waited == SUSPECT_S and export.state is State.WAITING:
            click.echo("It still waits: is the service running?", err=True)
        waited += LOOK_S
        await asyncio.sleep(LOOK_S)
    _tell(export.done, export.total)
    return export


async def _fetched(ctx: Context, export: Export, path: Path) -> None:
    """Write the file beside its place, behind what is there of it, and put it there when it is whole."""
    half = path.with_name(f"{path.name}.{export.id}.part")
    with half.open("ab") as out:
        async for part in service.content(ctx, export, behind=out.tell()):
            out.write(part)
            _tell(out.tell(), export.size, of="bytes", every=1)
        out.flush()
        os.fsync(out.fileno())
    half.replace(path)


def _tell(done: int, total: int, *, of: str = "receipts", every: int = 50) -> None:
    """Progress, where somebody watches."""
    if sys.stderr.isatty() and (done % every == 0 or done == total):
        sys.stderr.write(f"\r{done} of {total} {of}")
