"""The command: many seeds over some processes, or one seed with every step of it."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import unguarded
from database import Database, Postgres
from simulation.run import Ended, Run
from simulation.stage import FrozenLoop, Stage, server, stage


@dataclass
class Summary:
    """Many seeds together."""

    seeds: int = 0
    charges: int = 0
    double: int = 0
    lost: int = 0
    limbo: int = 0
    deaths: int = 0
    faults: int = 0
    failing: list[int] = field(default_factory=list)

    def add(self, ended: Ended) -> None:
        verdict = ended.verdict
        self.seeds += 1
        self.charges += verdict.charges
        self.double += len(verdict.double)
        self.lost += len(verdict.lost)
        self.limbo += len(verdict.limbo)
        self.deaths += ended.deaths
        self.faults += ended.faults
        if not verdict.ok:
            self.failing.append(ended.seed)

    def __str__(self) -> str:
        return (
            f"seeds {self.seeds}, processes killed {self.deaths}, faults {self.faults}, charges at the sandbox"
            f" {self.charges}, double charges {self.double}, lost {self.lost}, left in limbo {self.limbo}"
        )


def simulate(
    postgres: Postgres, seeds: range, told: Callable[[Ended], None], *, rules: Callable[[], AbstractContextManager[object]] = nullcontext
) -> None:
    """Run the seeds over a database of their own; `rules` may break one of the service's from outside."""

    async def run(own: Database) -> None:
        async with stage(postgres, own) as on:
            with rules():
                for seed in seeds:
                    told(await Run(on, seed).go())

    with postgres.database() as own, asyncio.Runner(loop_factory=FrozenLoop) as runner:
        runner.run(run(own))


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulation")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--from", type=int, default=1, dest="first")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--without", choices=list(unguarded.RULES), help="break a rule: double charges must be found")
    chosen = parser.parse_args()
    summary, began = Summary(), time.monotonic()

    def told(ended: Ended) -> None:
        summary.add(ended)
        if chosen.trace:
            print(*ended.trace, sep="\n")
        for sentence in ended.verdict.sentences:
            print(f"seed {ended.seed}: {sentence}", flush=True)
        if summary.seeds % 100 == 0:
            print(f"{summary} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)

    seeds = range(chosen.seed, chosen.seed + 1) if chosen.seed is not None else range(chosen.first, chosen.first + chosen.seeds)
    with server() as postgres:
        simulate(postgres, seeds, told, rules=unguarded.RULES.get(chosen.without, nullcontext))
    print(summary, f"({time.monotonic() - began:.0f} s)")
    raise SystemExit(1 if summary.failing else 0)
