"""The command: every scenario at every point, and what came of it in one line."""

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import click

import unguarded
from agreement import Verdict
from crashpoints.bench import Room, room, run
from crashpoints.scenarios import SCENARIOS
from database import RELAXED, memory, postgres


@dataclass
class Summary:
    """All runs together."""

    scenarios: int = 0
    points: int = 0
    charges: int = 0
    double: int = 0
    refunds: int = 0
    double_refunds: int = 0
    lost: int = 0
    limbo: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.double or self.double_refunds or self.lost or self.limbo or self.missed)

    def __str__(self) -> str:
        return (
            f"scenarios {self.scenarios}, points {self.points}, charges at the sandbox {self.charges}, double charges"
            f" {self.double}, refunds {self.refunds}, double refunds {self.double_refunds}, lost {self.lost}, left in limbo {self.limbo}"
        )


def crash(
    where: Room,
    names: Iterable[str],
    told: Callable[[str], None],
    *,
    every: int = 1,
    without: str | None = None,
) -> Summary:
    """Record each scenario, then end its process at every so manyth of its points."""
    summary = Summary()
    for name in names:
        recorded = run(where, SCENARIOS[name], without=without)
        summary.scenarios += 1
        _add(summary, name, recorded.verdict, told)
        for number in range(1, len(recorded.points) + 1, every):
            ran = run(where, SCENARIOS[name], ends_at=number, without=without)
            summary.points += 1
            at = f"{name}, point {number} ({recorded.points[number - 1]})"
            if not ran.ended:
                summary.missed.append(at)
                told(f"{at}: was not reached")
            _add(summary, at, ran.verdict, told)
        told(f"{name}: {len(recorded.points)} points")
    return summary


def _add(summary: Summary, at: str, verdict: Verdict, told: Callable[[str], None]) -> None:
    summary.charges += verdict.charges
    summary.double += len(verdict.double)
    summary.refunds += verdict.refunds
    summary.double_refunds += len(verdict.double_refunds)
    summary.lost += len(verdict.lost)
    summary.limbo += len(verdict.limbo)
    for sentence in verdict.sentences:
        told(f"{at}: {sentence}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="crashpoints")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help="all of them, where none is named")
    parser.add_argument("--every", type=int, default=1, help="only every so manyth point")
    parser.add_argument(
        "--without",
        choices=list(unguarded.RULES),
        help="break a rule: what it keeps from happening must be found",
    )
    chosen, began = parser.parse_args(), time.monotonic()
    with postgres(memory(), RELAXED) as running, room(running) as where:
        names = chosen.scenarios or list(SCENARIOS)
        summary = crash(where, names, click.echo, every=chosen.every, without=chosen.without)
    click.echo(f"{summary} ({time.monotonic() - began:.0f} s)")
    raise SystemExit(0 if summary.ok else 1)
