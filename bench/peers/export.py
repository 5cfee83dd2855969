"""The receipts of a period in one file, as `counterfoil receipts export` writes it, in a process of its own.

`python -m bench.peers.export HOW SINCE UNTIL FILE` prints JSON: how many, the seconds they took on the wall and of
the process's own processor time, and the most memory that it and its workers had together. HOW is one of

pdf      a zip with a PDF each
book     one Excel book with a row each, written row by row
whole    the same book by the same library, kept in memory until it is written: what streaming saves
worker   a zip with a PDF each, made in the background and then fetched
"""

import json
import os
import re
import sys
import time
from collections.abc import Awaitable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil

from counterfoil.cli.running import in_house, operator
from counterfoil.documents import xlsx
from counterfoil.domain.receipt_export import Export
from counterfoil.services import exporting, receipt_exports
from counterfoil.services.context import Context

EVERY: Final = 100
_IN_MEMORY: Final = {"in_memory": True, "constant_memory": False}
_PEAK: Final = re.compile(r"VmHWM:\s*(\d+) kB")


class Watch:
    """Told of every receipt, it looks at memory every hundred: a worker that is replaced takes its figures with it."""

    def __init__(self) -> None:
        self.peak_mb = 0.0

    def __call__(self, done: int, of: int) -> None:
        if done % EVERY == 0 or done == of:
            self.peak_mb = max(self.peak_mb, peak_mb())


def _exported(
    ctx: Context, how: str, since: datetime, until: datetime, file: Path, watch: Watch
) -> Awaitable[int]:
    if how == "pdf":
        return exporting.to_zip(ctx, operator(ctx), since, until, file, chosen="pdf", progress=watch)
    if how == "worker":
        return _in_the_background(ctx, since, until, file, watch)
    return exporting.to_book(ctx, operator(ctx), since, until, file, progress=watch)


async def _in_the_background(ctx: Context, since: datetime, until: datetime, file: Path, watch: Watch) -> int:
    """As a worker makes it, step by step, and as it is fetched, part by part."""
    ask = receipt_exports.Ask(issued_from=since, issued_to=until, format="pdf")
    asked = await receipt_exports.ask(ctx, operator(ctx), ask, id_=ctx.new_id("export"))
    assert isinstance(asked, Export)  # asked for with no key, it has no earlier answer
    while await receipt_exports.carry_out(ctx):
        export = await receipt_exports.get(ctx, operator(ctx), asked.id)
        watch(export.done, export.total)
    with file.open("wb") as out:
        async for part in receipt_exports.content(ctx, export):
            out.write(part)
    watch(export.done, export.total)
    return export.done


def peak_mb() -> float:
    """The most that this process has had resident, and each of its children, as the kernel counts: pages shared count twice."""
    here = [os.getpid(), *(child.pid for child in psutil.Process().children())]
    return sum(map(_peak_kb, here)) / 1024


def _peak_kb(pid: int) -> int:
    """Nothing of a process that has just ended."""
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def main(how: str, since: str, until: str, file: str) -> None:
    if how == "whole":
        vars(xlsx)["OPTIONS"] = xlsx.OPTIONS | _IN_MEMORY  # the one thing that differs

    async def act(ctx: Context) -> dict[str, Any]:
        watch, began, spent = Watch(), time.monotonic(), time.process_time()
        period = datetime.fromisoformat(since), datetime.fromisoformat(until)
        count = await _exported(ctx, how, *period, Path(file), watch)
        taken = {"wall_s": time.monotonic() - began, "cpu_s": time.process_time() - spent}
        return {"receipts": count, **taken, "peak_mb": max(watch.peak_mb, peak_mb())}

    print(json.dumps(in_house(act)))


if __name__ == "__main__":
    main(*sys.argv[1:])
