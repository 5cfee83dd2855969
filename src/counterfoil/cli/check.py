"""check: proves what the service promises over all that is stored, and against the gateways."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import Progress, TaskID

from counterfoil.cli.running import as_json, in_house
from counterfoil.services import checking, progress
from counterfoil.services.checking import Difference
from counterfoil.services.context import Context


@click.command()
@click.option("--gateways", is_flag=True, help="Ask the gateways too how their payments stand.")
@click.option(
    "--days", default=30, show_default=True, type=click.IntRange(1, 3650), help="How far back they are asked."
)
@as_json
def check(gateways: bool, days: int, as_json: bool) -> None:
    """Prove the invariants over the stored data. Says what differs, with its ids, and exits 1 where anything does."""

    async def act(ctx: Context) -> list[Difference]:
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as shown:
            found = await checking.check(ctx, progress=_bar(shown, "payments"))
            if gateways:
                found += await checking.check_gateways(ctx, days=days, progress=_bar(shown, "gateways"))
        return found

    found = in_house(act)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False))
    else:
        _print(found, gateways=gateways)
    if found:
        raise SystemExit(1)


def _bar(shown: Progress, name: str) -> progress.Progress:
    """A bar that is drawn from the first page on."""
    tasks: list[TaskID] = []

    def moved(done: int, of: int) -> None:
        if not tasks:
            tasks.append(shown.add_task(name))
        shown.update(tasks[0], completed=done, total=of)

    return moved


def _print(found: Sequence[Difference], *, gateways: bool) -> None:
    for one in found:
        click.echo(f"{click.style(one.rule, fg='red', bold=True):<20} {one.sentence}")
    where = "what is stored and what the gateways say" if gateways else "all that is stored"
    click.echo(f"{len(found)} differences." if found else f"No difference in {where}.")
