"""SIGKILL in the middle of an export: the next worker goes on behind what is kept, and each receipt is there once."""

import io
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from database import Database
from receipt_copies import copy
from sandbox_server import eventually
from service import Service, counterfoil, environment, running_service

pytestmark = pytest.mark.crash

PATH = "/api/payments/receipts/exports"
MANY = 700
START_S = 60.0


@pytest.fixture
def service(durable_database: Database, tmp_path: Path) -> Iterator[Service]:
    """The web alone, with receipts of long ago."""
    urls = durable_database.app_url, durable_database.owner_url
    with running_service(*urls, work=False, key_file=tmp_path / "key") as running:
        running.create(1_000, payment_method="pm_card_bypassPending", confirm=True)
        copy(running, MANY, datetime(2019, 1, 1, tzinfo=UTC))
        yield running


@contextmanager
def worker(service: Service, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, killed at the end."""
    env = environment(service.sandbox, service.database_url, folder / "key", public_url=service.url)
    with (folder / "log").open("ab") as lines:
        process = subprocess.Popen(counterfoil("worker"), env=env, stderr=lines)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_workers_are_killed_in_the_middle_of_an_export(service: Service, tmp_path: Path):
    asked = {"issued_from": "2019-01-01", "issued_to": "2019-01-02", "format": "pdf"}
    export = service.post(PATH, asked).json

    def stands() -> Any:
        return service.get(f"{PATH}/{export['id']}").json

    seen = [0]
    for _ in range(3):
        with worker(service, tmp_path):
            eventually(lambda: stands()["done"] > seen[-1], seconds=START_S)
        seen.append(stands()["done"])
        assert stands()["status"] == "running"
        service.advance(61)  # what a dead process had in hand is due now
    with worker(service, tmp_path), worker(service, tmp_path):
        eventually(lambda: stands()["status"] == "ready", seconds=START_S)
    assert seen == sorted(set(seen))
    file = service.get(f"{PATH}/{export['id']}/file").body
    with zipfile.ZipFile(io.BytesIO(file)) as made:
        assert made.testzip() is None
        assert made.namelist() == [f"OLD-{n}.pdf" for n in range(1, MANY + 1)]
        assert all(made.read(name).startswith(b"%PDF-") for name in made.namelist())
