"""counterfoil receipts: written, exported, delivered and verified as by API."""

import json
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from receipt_copies import copy
from sandbox_server import eventually
from service import Service, counterfoil

ABSENT = "pmt_01m82q4mexgp9s3vb3tax4n4pn"
BEN = "ben@example.com"


@pytest.fixture(autouse=True)
def _outbox(service: Service) -> Any:
    """There is a mail server in the settings, where nobody listens."""
    smtp = {"host": "127.0.0.1", "port": 9, "security": "none", "from": "shop@shop.example"}
    service.change_settings({"delivery": {"smtp": smtp}})
    yield
    service.change_settings({"delivery": {"smtp": None}})


def paid(service: Service, **asked: Any) -> Any:
    made = service.create(payment_method="pm_card_bypassPending", confirm=True, **asked)
    return service.until(made["id"], "captured")


def test_a_receipt_is_sent_and_its_deliveries_listed_as_the_api_shows_them(run, service: Service):
    payment = paid(service)
    ran = run("receipts", "deliver", payment["id"], "--email", BEN, "--channel", "email", "--channel", "in_app", "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    by_mail, in_app = json.loads(ran.out)
    assert (by_mail["recipient"], by_mail["asked_by"][:4]) == (BEN, "cli:")
    assert (in_app["channel"], in_app["outcome"]) == ("in_app", "sent")
    listed = json.loads(run("receipts", "deliveries", by_mail["receipt"], "--json").out)
    assert [one["id"] for one in listed] == [by_mail["id"], in_app["id"]]
    shown = service.get(f"/api/payments/receipts/{by_mail['receipt']}/deliveries").json["data"]
    assert [one["id"] for one in shown] == [one["id"] for one in listed]
    assert BEN in run("receipts", "deliveries", by_mail["receipt"]).out


def test_the_receipt_of_a_refund_is_shown_and_sent_by_the_refunds_name(run, service: Service):
    opened = {"automatedRefunds": True, "refundApprovalRequired": False}
    service.change_settings({"refundProcessing": opened})
    payment = paid(service)
    asked = {"reason": "duplicate", "amount": 2_500}
    refund = service.post(f"/api/payments/{payment['id']}/refund", asked).json
    shown = json.loads(run("receipts", "show", refund["id"], "--json").out)
    assert (shown["kind"], shown["total"]) == ("refund", 2_500)
    ran = run("receipts", "deliver", payment["id"], "--refund", refund["id"], "--email", BEN, "--json")
    assert [one["receipt"] for one in json.loads(ran.out)] == [shown["id"]], ran.err
    assert run("receipts", "deliver", payment["id"], "--refund", "rfn_?").status == 1


def test_what_cannot_be_sent_says_what_is_missing(run, service: Service):
    ran = run("receipts", "deliver", paid(service)["id"])
    assert (ran.status, ran.out) == (1, "")
    assert "The customer has no e-mail address" in ran.err
    assert run("receipts", "deliver", ABSENT, "--email", BEN).status == 1
    assert run("receipts", "deliver", "pmt_?").status == 1
    assert run("receipts", "deliveries", "rct_?").status == 1


def export(path: Path, since: str, until: str, chosen: str = "csv") -> list[str]:
    return ["receipts", "export", "--from", since, "--to", until, "--format", chosen, "--out", str(path)]


def test_the_days_of_an_export_are_those_of_the_business(run, service: Service, tmp_path: Path):
    paid(service)
    # In Kolkata the second of January begins at 18:30 of the first in UTC.
    copy(service, 3, datetime(2019, 1, 1, 18, 29, 58, tzinfo=UTC), first=10_001)
    service.change_settings({"business": {"timeZone": "Asia/Kolkata"}})
    try:
        path = tmp_path / "second.zip"
        ran = run(*export(path, "2019-01-02", "2019-01-03"))
        assert (ran.status, ran.out) == (0, f"{path}: 2 receipts.\n")
        moment = run(*export(path, "2019-01-02T00:00:01", "2019-01-03"))
        assert moment.out == f"{path}: 1 receipts.\n"
    finally:
        service.change_settings({"business": {"timeZone": "UTC"}})
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["OLD-10002.csv", "OLD-10003.csv"]


@pytest.mark.parametrize("until", ["2019-01-02", "2019-01-01"])
def test_a_period_without_a_moment_is_refused(run, tmp_path: Path, until: str):
    ran = run(*export(tmp_path / "none.zip", "2019-01-02", until))
    assert (ran.status, ran.out) == (1, "")
    assert "--to must be later than --from" in ran.err
    assert not list(tmp_path.iterdir())


def test_a_day_that_is_in_no_calendar_is_refused(run, service: Service, tmp_path: Path):
    service.change_settings({"business": {"timeZone": "Asia/Kolkata"}})
    try:
        ran = run(*export(tmp_path / "none.zip", "0001-01-01", "2019-01-01"))
    finally:
        service.change_settings({"business": {"timeZone": "UTC"}})
    assert (ran.status, "too far away" in ran.err) == (1, True)


@pytest.mark.parametrize("chosen", ["csv", "book"])
def test_a_place_that_cannot_be_written_is_told_in_a_sentence(run, service: Service, tmp_path: Path, chosen):
    nowhere = tmp_path / "none" / "x"
    ran = run(*export(nowhere, "2019-01-01", "2019-01-02", chosen))
    assert (ran.status, ran.err) == (
        1,
        f"counterfoil: {nowhere} cannot be written: No such file or directory.\n",
    )
    ran = run("receipts", "render", paid(service)["id"], "--format", "csv", "--out", str(nowhere))
    assert (ran.status, ran.err) == (
        1,
        f"counterfoil: {nowhere} cannot be written: No such file or directory.\n",
    )


@pytest.mark.parametrize("link", ["http://[x", "", "https://shop.example/r/nothing", "http://[x/r/\udcff~x"])
def test_what_is_no_link_of_ours_stands_for_nothing(run, link: str):
    ran = run("receipts", "verify", link)
    assert (ran.status, ran.err) == (1, "counterfoil: This link stands for no receipt of ours.\n")


def test_an_export_that_is_killed_goes_on_where_it_was(run, service: Service, environ, tmp_path: Path):
    many, path, size = 600, tmp_path / "all.zip", 0
    paid(service)
    copy(service, many, datetime(2018, 1, 1, tzinfo=UTC), first=20_001)
    command = export(path, "2018-01-01", "2018-01-02", "html")
    kept = b""
    for time in range(3):
        size += 150_000
        # Each draws other links, so that what was drawn again would be seen.
        killed_at(path, size, command, environ | {"COUNTERFOIL_PUBLIC_URL": f"https://{time}.example"})
        left = path.read_bytes()
        assert left.startswith(kept)
        kept = left[: len(left) - 20_000]  # the last file may be torn
        assert not zipfile.is_zipfile(path)
    ran = run(*command)
    assert (ran.status, ran.out) == (0, f"{path}: {many} receipts.\n")
    assert path.read_bytes().startswith(kept)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(f"OLD-{20_001 + n}.html" for n in range(many))


def killed_at(path: Path, size: int, command: list[str], environ: dict[str, str]) -> None:
    """Run it as it was installed, and end it by SIGKILL once the file is so large."""
    with subprocess.Popen(counterfoil(*command), env=environ) as running:
        try:
            eventually(lambda: path.exists() and path.stat().st_size > size, seconds=30)
            assert running.poll() is None
        finally:
            running.kill()
