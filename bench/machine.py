"""The machine a run was made on: what a reader needs to know before comparing figures."""

import os
import platform
import time
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from bench.running import Postgres

SYNCS: Final = 50
BLOCK: Final = b"\0" * 8192  # PostgreSQL writes its log in blocks of this size


def describe(postgres: Postgres, folder: Path) -> dict[str, str]:
    """Facts by name, in the order in which they are printed."""
    ask = postgres.setting
    busy, _, _ = os.getloadavg()
    return {
        "processor": f"{len(os.sched_getaffinity(0))} cores, {_processor()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "Python": f"{platform.python_version()} with uvloop",
        "PostgreSQL": f"{ask('server_version')}, fsync {ask('fsync')}, synchronous_commit {ask('synchronous_commit')},"
        f" track_commit_timestamp {ask('track_commit_timestamp')}",
        "disk": f"{_sync_ms(folder):.2f} ms for 8 KiB written and synced (median of {SYNCS})",
        "load before": f"{busy:.1f} (one-minute average; anything but near 0 makes the figures worse than they are)",
        "shared": "load generator, service, gateway and PostgreSQL share these cores",
    }


def _processor() -> str:
    """The processor's name as Linux tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _sync_ms(folder: Path) -> float:
    """How long the disk takes to keep one block, which bounds what one commit a webhook can reach."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            started = time.perf_counter()
            file.write(BLOCK)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - started)
    return median(took) * 1000
