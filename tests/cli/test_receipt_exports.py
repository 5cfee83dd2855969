"""counterfoil receipts exports: asked for, watched and fetched, while the running service makes them."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from receipt_copies import copy
from service import Service

ABSENT = "exp_01m82q4mexgp9s3vb3tax4n4pn"
MANY = 250
PERIOD = ("--from", "2017-01-01", "--to", "2017-01-02")


@pytest.fixture(scope="module", autouse=True)
def _receipts(service: Service) -> None:
    """So many of long ago."""
    made = service.create(payment_method="pm_card_bypassPending", confirm=True)
    service.until(made["id"], "captured")
    copy(service, MANY, datetime(2017, 1, 1, tzinfo=UTC), first=30_001)


def started(run: Any, chosen: str = "csv") -> str:
    ran = run("receipts", "exports", "start", *PERIOD, "--format", chosen)
    assert ran.status == 0, ran.err
    return str(ran.out).removesuffix("\n")


def test_an_export_is_started_watched_and_fetched(run, tmp_path: Path):
    id_, path = started(run), tmp_path / "day.zip"
    watched = run("receipts", "exports", "watch", id_, "--json")
    assert (watched.status, json.loads(watched.out)["status"]) == (0, "ready")
    fetched = run("receipts", "exports", "fetch", id_, "--out", str(path))
    assert fetched.out == f"{path}: {MANY} receipts, {path.stat().st_size} bytes.\n"
    with zipfile.ZipFile(path) as made:
        assert made.testzip() is None
        assert made.namelist() == [f"OLD-{30_001 + n}.csv" for n in range(MANY)]
    assert [one.name for one in tmp_path.iterdir()] == ["day.zip"]


def test_what_is_fetched_is_what_the_api_sends_and_goes_on_where_it_was_cut_off(
    run, service: Service, tmp_path: Path
):
    id_, path = started(run, "book"), tmp_path / "day.xlsx"
    assert run("receipts", "exports", "watch", id_).status == 0
    sent = service.get(f"/api/payments/receipts/exports/{id_}/file").body
    torn = tmp_path / f"day.xlsx.{id_}.part"
    torn.write_bytes(b"torn" + sent[4:500])
    assert run("receipts", "exports", "fetch", id_, "--out", str(path)).status == 0
    assert path.read_bytes() == b"torn" + sent[4:]
    assert not torn.exists()


def test_fetching_waits_where_it_is_told_to(run, service: Service, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("receipts", "exports", "fetch", started(run), "--wait").status == 0
    assert zipfile.is_zipfile(tmp_path / "receipts-2017-01-01-2017-01-02.zip")


def test_exports_are_listed_shown_and_cancelled(run, service: Service):
    asked = json.loads(run("receipts", "exports", "start", *PERIOD, "--format", "csv", "--json").out)
    assert (asked["status"], asked["total"], asked["requested_by"][:4]) == ("waiting", MANY, "cli:")
    assert run("receipts", "exports", "watch", asked["id"]).status == 0
    shown = json.loads(run("receipts", "exports", "show", asked["id"], "--json").out)
    assert shown == service.get(f"/api/payments/receipts/exports/{asked['id']}").json
    assert asked["id"] in run("receipts", "exports", "list").out
    gone = json.loads(run("receipts", "exports", "cancel", asked["id"], "--json").out)
    assert gone["status"] == "cancelled"
    watched = run("receipts", "exports", "watch", asked["id"])
    assert (watched.status, "cancelled" in watched.out) == (1, True)
    fetched = run("receipts", "exports", "fetch", asked["id"])
    assert (fetched.status, fetched.err) == (
        1,
        "counterfoil: Cannot fetch the file while the state is cancelled.\n",
    )


@pytest.mark.parametrize("command", ["show", "watch", "fetch", "cancel"])
@pytest.mark.parametrize("named", [ABSENT, "exp_?", "pmt_01m82q4mexgp9s3vb3tax4n4pn", ""])
def test_what_is_no_export_is_not_found(run, command: str, named: str):
    ran = run("receipts", "exports", command, named)
    assert (ran.status, f"There is no export {named}" in ran.err) == (1, True)


def test_a_period_that_is_none_and_a_place_that_cannot_be_written_are_told(run, tmp_path: Path):
    turned = run("receipts", "exports", "start", "--from", "2017-01-02", "--to", "2017-01-01")
    assert (turned.status, "--to must be later" in turned.err) == (1, True)
    nowhere = tmp_path / "none" / "x"
    ran = run("receipts", "exports", "fetch", started(run), "--wait", "--out", str(nowhere))
    assert (ran.status, f"{nowhere} cannot be written" in ran.err) == (1, True)
