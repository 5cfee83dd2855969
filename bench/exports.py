"""All receipts of a period in one file: how long it takes, and that ten times as many take no more memory.

An Excel book stands beside the same book kept in memory until it is written; a zip of PDFs beside a tenth of it, written
here and now and in the background. Memory is the most that the process and its workers had resident.
"""

import json
from dataclasses import dataclass
from typing import Final

from bench.figures import Figure
from bench.running import Ground, last_line
from bench.scale import Scale
from bench.stack import Stack, make_stack

TENTH: Final = 10
DEARER: Final = 1.25  # to write a row at once may cost so much more than to keep it
SMALLER: Final = 0.5
GROWN: Final = 1.1


@dataclass(frozen=True, slots=True)
class Export:
    """One that was made: so many receipts, in so many seconds, with at most so many megabytes."""

    receipts: int
    wall_s: float
    cpu_s: float
    peak_mb: float


def measure(ground: Ground, scale: Scale) -> list[Figure]:
    with make_stack(ground, max(scale.book_rows, scale.zipped)) as stack:
        return [*_book(ground, stack, scale.book_rows), *_zip(ground, stack, scale.zipped)]


def _book(ground: Ground, stack: Stack, rows: int) -> list[Figure]:
    few, ours, whole = (
        _export(ground, stack, how, count)
        for how, count in (("book", rows // TENTH), ("book", rows), ("whole", rows))
    )
    name = f"an Excel book of {rows:,} receipts"
    return [
        Figure(what=f"{name}: ours, row by row", value=ours.wall_s, unit="s", note=_processor(ours)),
        Figure(what=f"{name}: kept in memory", value=whole.wall_s, unit="s", note=_processor(whole)),
        Figure(
            what=f"{name}: processor, ours ÷ in memory",
            value=ours.cpu_s / whole.cpu_s,
            unit="×",
            at_most=DEARER,
        ),
        Figure(what=f"{name}: memory, ours", value=ours.peak_mb, unit="MB"),
        Figure(what=f"{name}: memory, in memory", value=whole.peak_mb, unit="MB"),
        Figure(
            what=f"{name}: memory, ours ÷ in memory",
            value=ours.peak_mb / whole.peak_mb,
            unit="×",
            at_most=SMALLER,
        ),
        _grown(name, few, ours),
    ]


def _zip(ground: Ground, stack: Stack, count: int) -> list[Figure]:
    few, all_ = (_export(ground, stack, "pdf", many) for many in (count // TENTH, count))
    name = f"a zip of {count:,} PDFs"
    return [
        Figure(what=name, value=all_.wall_s, unit="s", note=f"{count / all_.wall_s:.0f}/s"),
        Figure(what=f"{name}: memory, with the workers", value=all_.peak_mb, unit="MB"),
        Figure(what=f"{name}: memory of a tenth", value=few.peak_mb, unit="MB"),
        _grown(name, few, all_),
        *_background(ground, stack, count),
    ]


def _background(ground: Ground, stack: Stack, count: int) -> list[Figure]:
    few, all_ = (_export(ground, stack, "worker", many) for many in (count // TENTH, count))
    name = f"a zip of {count:,} PDFs in the background"
    return [
        Figure(what=name, value=all_.wall_s, unit="s", note=f"{count / all_.wall_s:.0f}/s"),
        Figure(what=f"{name}: memory, with the workers", value=all_.peak_mb, unit="MB"),
        _grown(name, few, all_),
    ]


def _processor(made: Export) -> str:
    return f"{made.cpu_s:.1f} s of processor"


def _grown(name: str, few: Export, all_: Export) -> Figure:
    """How the memory of all compares with that of a tenth."""
    grown = all_.peak_mb / few.peak_mb
    return Figure(what=f"{name}: memory ÷ that of a tenth", value=grown, unit="×", at_most=GROWN)


def _export(ground: Ground, stack: Stack, how: str, count: int) -> Export:
    """The first so many receipts, exported in a process of its own; the file is looked at no more."""
    file = ground.folder / f"{how}-{count}"
    period = stack.first.isoformat(), stack.until(count).isoformat()
    asked = ("-m", "bench.peers.export", how, *period, str(file))
    made = Export(**json.loads(last_line(*asked, env=ground.environment(stack.database))))
    file.unlink()
    if made.receipts != count:
        raise RuntimeError(f"{made.receipts} receipts instead of {count}")
    return made
