"""All receipts of a period: a zip that goes on where it was cut off, or one book."""

import io
import tempfile
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from counterfoil.documents import archive, xlsx
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.services import exporting
from counterfoil.services.payments import Caller
from database import Postgres
from receipt_copies import copy
from service import Service, serving

LONG_AGO = datetime(2019, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    """With seven receipts, and no worker."""
    with serving(fast_postgres, work=False) as service:
        service.sandbox.webhooks(hold=True)
        for amount in range(1_000, 8_000, 1_000):
            service.create(amount, gateway="stripe", payment_method="pm_card_visa", confirm=True)
        yield service


def caller(service: Service) -> Caller:
    return Caller("tests", service.context.merchant_id, "sandbox")


def to_zip(service: Service, path: Path, chosen: str = "csv") -> tuple[int, list[tuple[int, int]]]:
    now, seen = service.context.now(), list[tuple[int, int]]()
    period = now - timedelta(days=1), now + timedelta(days=1)
    making = exporting.to_zip(
        service.context, caller(service), *period, path, chosen=chosen, progress=lambda *at: seen.append(at)
    )
    return service.run(making), seen


def test_a_zip_holds_every_receipt_by_its_number_and_tells_how_far_it_is(service, tmp_path):
    path = tmp_path / "all.zip"
    written, seen = to_zip(service, path)
    assert (written, seen[-1]) == (7, (7, 7))
    with zipfile.ZipFile(path) as made:
        names = made.namelist()
        assert made.testzip() is None
    assert len(names) == len(set(names)) == 7
    assert all(name.startswith("R-") and name.endswith(".csv") for name in names)


def test_one_that_was_cut_off_goes_on_and_holds_nothing_twice(service, tmp_path):
    path = tmp_path / "all.zip"
    to_zip(service, path)
    with zipfile.ZipFile(path) as made:
        kept = {name: made.read(name) for name in made.namelist()[:3]}
    with zipfile.ZipFile(path, "w") as made:
        for name, content in kept.items():
            made.writestr(name, content)
    assert to_zip(service, path)[0] == 7
    with zipfile.ZipFile(path) as made:
        assert len(made.namelist()) == len(set(made.namelist())) == 7


@pytest.mark.parametrize("chosen", ["csv", "xlsx"])
def test_cut_off_anywhere_it_goes_on_with_every_file_that_was_whole(service, tmp_path, chosen):
    path = tmp_path / "all.zip"
    to_zip(service, path, chosen)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as made:
        ends = [one.header_offset for one in made.infolist()[1:]] + [made.start_dir]
    for cut in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:cut])
        kept = whole[: max([end for end in ends if end <= cut], default=0)]
        assert to_zip(service, path, chosen)[0] == 7
        assert path.read_bytes().startswith(kept)
        with zipfile.ZipFile(path) as made:
            assert made.testzip() is None
            assert len(made.namelist()) == len(set(made.namelist())) == 7


def test_pdfs_are_drawn_side_by_side(service, tmp_path):
    assert to_zip(service, tmp_path / "all.zip", "pdf")[0] == 7
    with zipfile.ZipFile(tmp_path / "all.zip") as made:
        assert all(made.read(name).startswith(b"%PDF-") for name in made.namelist())


def test_a_file_that_is_no_zip_is_left_as_it_is(service, tmp_path):
    path = tmp_path / "all.zip"
    path.write_text("something of mine")
    with pytest.raises(InvalidRequestError, match="is no zip"):
        to_zip(service, path)
    assert path.read_text() == "something of mine"


def test_a_book_has_a_row_for_each_with_figures_that_are_numbers(service, tmp_path):
    now, path = service.context.now(), tmp_path / "book.xlsx"
    period = now - timedelta(days=1), now + timedelta(days=1)
    made = exporting.to_book(service.context, caller(service), *period, path, progress=lambda *_: None)
    assert service.run(made) == 7
    with zipfile.ZipFile(path) as book:
        sheet: Any = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))  # noqa: S314  our own file
    rows = sheet.findall(".//{*}row")
    assert len(rows) == 8
    cells = {cell.get("r"): cell.findtext("{*}v") for cell in sheet.findall(".//{*}c")}
    totals = [cells[f"G{number}"] for number in range(2, 9)]
    assert totals == ["10", "20", "30", "40", "50", "60", "70"]


def test_outside_the_period_there_is_nothing(service, tmp_path):
    now = service.context.now()
    period = now - timedelta(days=9), now - timedelta(days=8)
    making = exporting.to_zip(
        service.context,
        caller(service),
        *period,
        tmp_path / "none.zip",
        chosen="csv",
        progress=lambda *_: None,
    )
    assert service.run(making) == 0


def sent(service: Service, **asked: Any) -> Any:
    now = service.context.now()
    period = {
        "issued_from": (now - timedelta(days=1)).isoformat(),
        "issued_to": (now + timedelta(days=1)).isoformat(),
    }
    return service.get("/api/payments/receipts/export", **period | asked)


def names_in(answer: Any) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(answer.body)) as made:
        assert made.testzip() is None
        return made.namelist()


def test_a_zip_is_sent_as_it_is_drawn_and_goes_on_behind_what_arrived(service):
    whole = sent(service, format="csv")
    assert (whole.status, whole.headers["content-type"]) == (200, "application/zip")
    assert whole.headers["counterfoil-receipts"] == "7"
    assert ".zip" in whole.headers["content-disposition"]
    names = names_in(whole)
    assert len(set(names)) == 7
    ids = [row["id"] for row in service.rows("SELECT id FROM receipts ORDER BY id")]
    assert names_in(sent(service, format="csv", after=ids[4])) == names[5:]
    assert names_in(sent(service, after=ids[-1])) == []
    assert names_in(sent(service, format="csv", after=names[4].removesuffix(".csv"))) == names[5:]
    with zipfile.ZipFile(io.BytesIO(sent(service, after=ids[5]).body)) as made:
        assert made.read(made.namelist()[0]).startswith(b"%PDF")


def test_a_book_is_sent_and_leaves_nothing_behind(service, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    book = sent(service, format="book")
    assert (book.status, book.headers["counterfoil-receipts"]) == (200, "7")
    with zipfile.ZipFile(io.BytesIO(book.body)) as made:
        assert "xl/worksheets/sheet1.xml" in made.namelist()
    service.eventually(lambda: not list(tmp_path.iterdir()))


def test_an_export_that_cannot_be_says_why(service):
    for after in ("rct_?", "R-1999-000001", "\x00", "ärger", ""):
        wrong = sent(service, after=after)
        assert (wrong.status, wrong.json["field"]) == (422, "after")
    last = service.rows("SELECT id FROM receipts LIMIT 1")[0]["id"]
    wrong = sent(service, after=last, format="book")
    assert (wrong.status, wrong.json["field"]) == (422, "after")
    turned = sent(service, issued_to="2020-01-01T00:00:00Z")
    assert (turned.status, turned.json["field"]) == (422, "issued_to")
    assert service.get("/api/payments/receipts/export").status == 422


@pytest.mark.parametrize("path", ["/api/payments/receipts", "/api/payments/receipts/export"])
@pytest.mark.parametrize("field", ["issued_from", "issued_to"])
def test_a_time_that_is_in_no_calendar_is_refused(service, path, field):
    early = {"issued_from": "2020-01-01T00:00:00Z", "issued_to": "2020-01-02T00:00:00Z"}
    wrong = service.get(path, **early | {field: "0001-01-01T00:00:00+14:00"})
    assert (wrong.status, wrong.json["field"]) == (422, field)


def test_an_export_has_the_formats_that_receipts_are_offered_in(service):
    service.change_settings({"receiptGeneration": {"multiFormatSupport": False}})
    try:
        for chosen in ("csv", "html", "json", "xlsx", "book"):
            refused = sent(service, format=chosen)
            assert (refused.status, refused.json["code"]) == (406, "not_acceptable")
        assert len(names_in(sent(service))) == 7
    finally:
        service.change_settings({"receiptGeneration": {"multiFormatSupport": True}})
    assert sent(service, format="book").status == 200


def test_what_packs_and_writes_holds_up_no_other_request(service, tmp_path, monkeypatch):
    async def here() -> int:
        return threading.get_ident()

    at_work = list[set[int]]()
    for held_by, name in (
        (archive.Archive, "add"),
        (archive.Archive, "close"),
        (xlsx.Rows, "add"),
        (xlsx.Rows, "close"),
    ):
        at_work.append(set())
        monkeypatch.setattr(held_by, name, told(getattr(held_by, name), at_work[-1]))
    to_zip(service, tmp_path / "all.zip")
    assert sent(service, format="csv").status == sent(service, format="book").status == 200
    assert all(at_work)
    assert service.run(here()) not in set().union(*at_work)


def told(work: Any, where: set[int]) -> Any:
    """The same work, which tells in which thread it is done."""

    def working(*given: Any, **named: Any) -> Any:
        where.add(threading.get_ident())
        return work(*given, **named)

    return working


@pytest.fixture(scope="module")
def old(service: Service) -> int:
    """So many receipts of long ago."""
    copy(service, 1_000, LONG_AGO)
    return 1_000


@pytest.mark.parametrize("kind", ["zip", "book"])
def test_five_times_as_many_take_no_more_memory(service, old, tmp_path, kind):
    few, many = (peak(service, kind, count, tmp_path) for count in (old // 5, old))
    # A zip ends with a list of its files, some 650 bytes for each. A receipt that was kept would be 2,000.
    assert many - few < (old - old // 5) * 1_000


def peak(service: Service, kind: str, count: int, folder: Path) -> int:
    """The most bytes that Python held at once while so many were exported."""
    end = LONG_AGO + timedelta(seconds=count, milliseconds=1)
    asked: Any = (service.context, caller(service), LONG_AGO, end, folder / f"{count}")
    if kind == "zip":
        made = exporting.to_zip(*asked, chosen="json", progress=lambda *_: None)
    else:
        made = exporting.to_book(*asked, progress=lambda *_: None)
    tracemalloc.start()
    try:
        assert service.run(made) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
