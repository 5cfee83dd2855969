"""Receipts drawn: how many a core makes in a second, beside reportlab for the same page, in turns; and the pool of workers.

Two pages: one in Latin letters, and one with a line in each of six other scripts, which is what the service is for. A
rate counts processor time, so that what else the machine does plays no part; the pool's counts the time on the wall.
"""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final, TypeVar

from bench import ROOT
from bench.figures import Figure, median
from bench.receipt import receipt
from bench.scale import Scale
from counterfoil.documents import receipt_pdf
from counterfoil.documents.jail import Renderer
from counterfoil.documents.template import Template
from counterfoil.documents.warden import Worker

T = TypeVar("T")

OURS, REPORTLAB, SIGNED = "ours", "reportlab", "signed"
PAGES: Final = {"latin": "a page in Latin letters", "scripts": "a page in seven scripts"}
BAR: Final = 1.5
AT_ONCE: Final = 8
OWN: Final = Template({"main.typ": b"= #json(bytes(sys.inputs.data)).shown.title"})


def measure(scale: Scale) -> list[Figure]:
    return [*(figure for page in PAGES for figure in _page(page, scale)), _signed(scale), *_workers(scale)]


def _page(page: str, scale: Scale) -> list[Figure]:
    peers = [OURS, REPORTLAB] if importlib.util.find_spec("reportlab") else [OURS]
    rates: dict[str, list[float]] = {peer: [] for peer in peers}
    for _ in range(scale.rounds):
        for peer in peers:
            rates[peer].append(_rate(peer, page, scale))
    what, mine = PAGES[page], median(rates[OURS])
    ours = Figure(what=f"{what}: ours, one core", value=mine, unit="/s")
    if REPORTLAB not in rates:
        return [ours, Figure(what=f"{what}: reportlab", value=None, note="reportlab is not installed")]
    theirs = median(rates[REPORTLAB])
    bar = BAR if page == "scripts" else None
    return [
        ours,
        Figure(what=f"{what}: reportlab, one core", value=theirs, unit="/s"),
        Figure(what=f"{what}: ours ÷ reportlab", value=mine / theirs, unit="×", at_least=bar),
    ]


def _signed(scale: Scale) -> Figure:
    return Figure(what="the same in Latin letters, signed", value=_rate(SIGNED, "latin", scale), unit="/s")


def _rate(peer: str, page: str, scale: Scale) -> float:
    """Receipts in a second of processor time, in a process of its own."""
    printed = subprocess.run(
        [sys.executable, "-m", "bench.peers.receipt_page", peer, page, str(scale.receipts_s)],
        cwd=ROOT,
        env={**os.environ, "RAYON_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
        text=True,
    )
    counted = json.loads(printed.stdout)
    return float(counted["receipts"] / counted["cpu_s"])


def _workers(scale: Scale) -> list[Figure]:
    made = receipt()
    with_own = receipt_pdf.job(made, template=OWN)
    start_s, worker = _timed(Worker)
    with worker:
        first_s, other_process = _timed(lambda: worker.pdf(receipt_pdf.job(made)))
    own_s, own = _timed(lambda: Worker(OWN))
    with own:
        cold_s, _ = _timed(lambda: own.pdf(with_own))
    same = float(receipt_pdf.render(made) == other_process)
    return [
        Figure(what="a pool of a worker for each core", value=asyncio.run(_pool(scale)), unit="/s"),
        Figure(what="a worker starts", value=1000 * start_s, unit="ms"),
        Figure(what="its first receipt", value=1000 * first_s, unit="ms"),
        Figure(what="a template of one's own, first of all", value=1000 * (own_s + cold_s), unit="ms"),
        Figure(what="identical bytes in two processes", value=same, at_least=1),
    ]


async def _pool(scale: Scale) -> float:
    renderer = Renderer()
    try:
        await asyncio.gather(*(renderer.pdf(receipt(number)) for number in range(AT_ONCE)))
        began, made = time.monotonic(), 0
        while (spent := time.monotonic() - began) < scale.receipts_s:
            await asyncio.gather(*(renderer.pdf(receipt(made + number)) for number in range(AT_ONCE)))
            made += AT_ONCE
    finally:
        renderer.close()
    return made / spent


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.monotonic()
    done = work()
    return time.monotonic() - began, done
