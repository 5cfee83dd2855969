"""All receipts of a period: a zip that goes on where it was cut off, or one book."""

import io
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.services import exporting
from counterfoil.services.payments import Caller
from database import Postgres
from service import Service, serving

LONG_AGO = datetime(2019, 1, 1, tzinfo=UTC)
# One of the receipts many times over, void, a second after the one before, in a series of their own.
MANY = """
    INSERT INTO receipts
    SELECT copy.* FROM receipts one, generate_series(1, $1::int) n,
        LATERAL jsonb_populate_record(one, jsonb_build_object(
            'id', left(one.id, -8) || lpad(n::text, 8, '0'), 'prefix', 'OLD', 'sequence', n, 'number', 'OLD-' || n,
            'document', one.document || jsonb_build_object('number', 'OLD-' || n),
            'issued_at', $2::timestamptz + n * interval '1 second',
            'voided_at', one.issued_at, 'void_reason', 'a copy')) copy
    WHERE one.id = (SELECT min(id) FROM receipts)
"""


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
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert len(names) == len(set(names)) == 7
    assert all(name.startswith("R-") and name.endswith(".csv") for name in names)


def test_one_that_was_cut_off_goes_on_and_holds_nothing_twice(service, tmp_path):
    path = tmp_path / "all.zip"
    to_zip(service, path)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()[:3]}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    assert to_zip(service, path)[0] == 7
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == len(set(archive.namelist())) == 7


def test_pdfs_are_drawn_side_by_side(service, tmp_path):
    assert to_zip(service, tmp_path / "all.zip", "pdf")[0] == 7
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert all(archive.read(name).startswith(b"%PDF-") for name in archive.namelist())


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
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


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
    with zipfile.ZipFile(io.BytesIO(sent(service, after=ids[5]).body)) as archive:
        assert archive.read(archive.namelist()[0]).startswith(b"%PDF")


def test_a_book_is_sent_and_leaves_nothing_behind(service, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    book = sent(service, format="book")
    assert (book.status, book.headers["counterfoil-receipts"]) == (200, "7")
    with zipfile.ZipFile(io.BytesIO(book.body)) as archive:
        assert "xl/worksheets/sheet1.xml" in archive.namelist()
    service.eventually(lambda: not list(tmp_path.iterdir()))


def test_an_export_that_cannot_be_says_why(service):
    wrong = sent(service, after="rct_?")
    assert (wrong.status, wrong.json["field"]) == (422, "after")
    turned = sent(service, issued_to="2020-01-01T00:00:00Z")
    assert (turned.status, turned.json["field"]) == (422, "issued_to")
    assert service.get("/api/payments/receipts/export").status == 422


@pytest.fixture(scope="module")
def old(service: Service) -> int:
    """So many receipts of long ago."""
    many = 1_000

    async def copy() -> None:
        async with service.context.db.transaction() as conn:
            await conn.execute(MANY, many, LONG_AGO)

    service.run(copy())
    return many


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
