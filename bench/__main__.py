"""`python -m bench`: run the benchmarks and print each figure beside its bar."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from bench import endtoend, exports, ingest, machine, payments, receipts, understand
from bench.book import make_book
from bench.figures import Figure, table
from bench.running import ground
from bench.scale import FULL, SHORT

RESULTS: Final = Path(__file__).parent / "RESULTS.md"
TITLES: Final = {
    "ingest": "Webhooks stored",
    "understand": "Webhooks understood",
    "payments": "Payments at a gateway of 150 ms a call",
    "endtoend": "End to end through the sandbox",
    "receipts": "Receipts drawn",
    "exports": "Receipts exported",
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(TITLES)))
@click.option("--short", is_flag=True, help="A minute in all: shows that everything runs, and little else.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
@click.option("--write", is_flag=True, help="Write bench/RESULTS.md.")
@click.option(
    "--with-djstripe", metavar="PYTHON", help="An interpreter that has dj-stripe, to measure it too."
)
def main(
    names: Sequence[str], short: bool, json_file: Path | None, write: bool, with_djstripe: str | None
) -> None:
    """Run all benchmarks, or those named."""
    scale = SHORT if short else FULL
    with ground() as here, make_book(here, scale.webhooks) as book:
        about = machine.describe(here.postgres, here.folder)
        print(_machine(about), flush=True)
        measures: dict[str, Callable[[], list[Figure]]] = {
            "ingest": lambda: ingest.measure(here, book, scale, with_djstripe),
            "understand": lambda: understand.measure(here, book, scale),
            "payments": lambda: payments.measure(here, scale),
            "endtoend": lambda: endtoend.measure(here, scale),
            "receipts": lambda: receipts.measure(scale),
            "exports": lambda: exports.measure(here, scale),
        }
        results = {}
        for name in names or list(TITLES):
            results[name] = measures[name]()
            print(_section(name, results[name]), flush=True)
    if json_file:
        json_file.write_text(json.dumps(_data(about, results), indent=2, ensure_ascii=False))
    if write:
        RESULTS.write_text(_report(about, results))


def _machine(about: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {fact}" for name, fact in about.items())


def _section(name: str, figures: Sequence[Figure]) -> str:
    return f"\n## {TITLES[name]}\n\n{table(figures)}"


def _report(about: dict[str, str], results: dict[str, list[Figure]]) -> str:
    sections = "\n".join(_section(name, figures) for name, figures in results.items())
    command = " ".join(["python -m bench", *map(_shown, sys.argv[1:])])
    return f"# Benchmarks\n\nMeasured in one run of `{command}`.\n\n{_machine(about)}\n{sections}\n"


def _shown(argument: str) -> str:
    """An argument as another reader may know it: where something lies on this machine is left out."""
    return "…" if "/" in argument else argument


def _data(about: dict[str, str], results: dict[str, list[Figure]]) -> dict[str, object]:
    return {
        "machine": about,
        "figures": {name: [figure.data() for figure in figures] for name, figures in results.items()},
    }


if __name__ == "__main__":
    main()
