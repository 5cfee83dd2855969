"""The command: many seeds over some processes, or one seed with every step of it."""

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final

import click

import unguarded
from database import Database, Postgres
from simulation.run import Ended, Run
from simulation.stage import FrozenLoop, server, stage

CHUNK: Final = 100  # seeds a process runs before it tells of them


@dataclass
class Summary:
    """Many seeds together."""

    seeds: int = 0
    charges: int = 0
    double: int = 0
    refunds: int = 0
    double_refunds: int = 0
    lost: int = 0
    limbo: int = 0
    deaths: int = 0
    faults: int = 0
    failing: list[str] = field(default_factory=list)  # the seed and what it says

    def add(self, ended: Ended) -> None:
        verdict = ended.verdict
        self.seeds += 1
        self.charges += verdict.charges
        self.double += len(verdict.double)
        self.refunds += verdict.refunds
        self.double_refunds += len(verdict.double_refunds)
        self.lost += len(verdict.lost)
        self.limbo += len(verdict.limbo)
        self.deaths += ended.deaths
        self.faults += ended.faults
        self.failing += [f"seed {ended.seed}: {sentence}" for sentence in verdict.sentences]

    def join(self, other: "Summary") -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return (
            f"seeds {self.seeds}, processes killed {self.deaths}, faults {self.faults}, charges at the sandbox"
            f" {self.charges}, double charges {self.double}, refunds {self.refunds}, double refunds {self.double_refunds},"
            f" lost {self.lost}, left in limbo {self.limbo}"
        )


def simulate(
    postgres: Postgres,
    seeds: range,
    told: Callable[[Ended], None],
    *,
    rules: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Run the seeds over a database of their own; `rules` may break one of the service's from outside."""

    async def run(own: Database) -> None:
        async with stage(postgres, own) as on:
            with rules():
                for seed in seeds:
                    told(await Run(on, seed).go())

    with postgres.database() as own, asyncio.Runner(loop_factory=FrozenLoop) as runner:
        runner.run(run(own))


def summary(seeds: range, without: str | None = None) -> Summary:
    """Run the seeds over a server of their own."""
    found = Summary()
    with server() as postgres:
        simulate(postgres, seeds, found.add, rules=unguarded.RULES.get(without or "", nullcontext))
    return found


def in_parallel(seeds: range, jobs: int, without: str | None) -> Iterator[Summary]:
    """Run the seeds over so many processes; what each hundred came to, as it is known."""
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(summary, chunk, without) for chunk in chunks]):
            yield done.result()


def trace(seed: int, without: str | None) -> Ended:
    """One seed."""
    found: list[Ended] = []
    rules = unguarded.RULES.get(without or "", nullcontext)
    with server() as postgres:
        simulate(postgres, range(seed, seed + 1), found.append, rules=rules)
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulation")
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first of them")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--trace", action="store_true", help="with every step of it")
    parser.add_argument(
        "--without",
        choices=list(unguarded.RULES),
        help="break a rule: what it keeps from happening must be found",
    )
    chosen, whole = parser.parse_args(), Summary()
    if chosen.seed is not None:
        ended = trace(chosen.seed, chosen.without)
        for line in [*(ended.trace if chosen.trace else []), *ended.verdict.sentences]:
            click.echo(line)
        whole.add(ended)
    else:
        _many(range(chosen.first, chosen.first + chosen.seeds), chosen.jobs, chosen.without, whole)
    click.echo(str(whole))
    raise SystemExit(1 if whole.failing else 0)


def _many(seeds: range, jobs: int, without: str | None, whole: Summary) -> None:
    began = time.monotonic()
    for part in in_parallel(seeds, jobs, without):
        whole.join(part)
        for sentence in part.failing:
            click.echo(sentence)
        click.echo(f"{whole} ({time.monotonic() - began:.0f} s)", err=True)
