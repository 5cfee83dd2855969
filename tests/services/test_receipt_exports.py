"""Receipts exported in the background: drawn step by step, gone on with by whoever comes, fetched whole."""

import asyncio
import io
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from http.client import IncompleteRead
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from counterfoil.domain.errors import DatabaseAwayError, SigningAwayError
from counterfoil.services import exporting, receipt_exports, receipts, worker
from counterfoil.services.payments import Caller
from counterfoil.store import receipt_exports as store
from database import Postgres
from receipt_copies import copy
from service import Service, Weak, serving

PATH = "/api/payments/receipts/exports"
OLD = datetime(2019, 1, 1, tzinfo=UTC)
MANY = 450  # four pages and a half
ABSENT = "exp_01m82q4mexgp9s3vb3tax4n4pn"
FRAGILE = """#let r = json(bytes(sys.inputs.data)).shown
= #r.title
#if r.buyer.name == "Nobody" { r.nothing }
"""
PERIOD = {"issued_from": "2019-01-01T00:00:00Z", "issued_to": "2019-01-02T00:00:00Z"}


@pytest.fixture(scope="module")
def weak() -> Weak:
    return Weak()


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres, weak: Weak) -> Iterator[Service]:
    """With receipts of long ago, and no worker: whatever is done is done by a test."""
    with serving(fast_postgres, work=False, on_commit=weak) as service:
        service.sandbox.webhooks(hold=True)
        service.create(1_000, payment_method="pm_card_bypassPending", confirm=True)
        copy(service, MANY, OLD)
        for role in ("admin", "support", "viewer"):
            service.key(role)
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    yield running
    for one in running.get(PATH, limit=200).json["data"]:
        if one["status"] in {"waiting", "running", "ready"}:
            act(running, one, "cancel")
    prune(running)


def ask(service: Service, chosen: str = "json", status: int = 202, *, many: int = MANY, **more: Any) -> Any:
    """Have the first so many of the old receipts exported."""
    until = (OLD + timedelta(seconds=many, milliseconds=1)).isoformat()
    body = PERIOD | {"issued_to": until, "format": chosen}
    answer = service.post(PATH, body, **more)
    assert answer.status == status, answer
    return answer.json


def act(service: Service, export: Any, verb: str, status: int = 200, **more: Any) -> Any:
    answer = service.post(f"{PATH}/{export['id']}/{verb}", **more)
    assert answer.status == status, answer
    return answer.json


def read(service: Service, export: Any) -> Any:
    return service.get(f"{PATH}/{export['id']}").json


def step(service: Service) -> bool:
    return service.run(receipt_exports.carry_out(service.context))


def work(service: Service) -> None:
    """As the worker does, until nothing is due."""
    while step(service):
        pass


def fetched(service: Service, export: Any) -> bytes:
    answer = service.get(f"{PATH}/{export['id']}/file")
    assert answer.status == 200, answer
    assert int(answer.headers["content-length"]) == len(answer.body) == read(service, export)["size"]
    return answer.body


def contents(file: bytes) -> dict[str, bytes]:
    """The files of a zip that is whole."""
    with zipfile.ZipFile(io.BytesIO(file)) as made:
        assert made.testzip() is None
        assert len(made.namelist()) == len(set(made.namelist()))
        return {name: made.read(name) for name in made.namelist()}


def numbers(many: int = MANY, ending: str = "json") -> list[str]:
    return [f"OLD-{n}.{ending}" for n in range(1, many + 1)]


def parts(service: Service) -> int:
    return int(service.rows("SELECT count(*) AS n FROM receipt_export_parts")[0]["n"])


def test_an_export_is_asked_for_drawn_in_steps_and_fetched(service):
    asked = ask(service)
    assert (asked["status"], asked["done"], asked["total"], asked["size"]) == ("waiting", 0, MANY, None)
    refused = service.get(f"{PATH}/{asked['id']}/file")
    assert (refused.status, refused.json["code"]) == (409, "wrong_state")
    seen = []
    while step(service):
        seen.append(read(service, asked)["done"])
    assert seen == [100, 200, 300, 400, 450]
    done = read(service, asked)
    assert (done["status"], done["error"], done["file"]) == (
        "ready",
        None,
        "receipts-2019-01-01-2019-01-01.zip",
    )
    made = contents(fetched(service, asked))
    assert list(made) == numbers()
    assert b'"OLD-7"' in made["OLD-7.json"]
    answer = service.get(f"{PATH}/{asked['id']}/file")
    assert (answer.headers["content-type"], answer.headers["counterfoil-receipts"]) == (
        "application/zip",
        "450",
    )
    assert done["file"] in answer.headers["content-disposition"]
    assert asked["id"] in [one["id"] for one in service.get(PATH).json["data"]]


def test_while_it_is_made_it_says_how_far_it_is(service):
    asked = ask(service)
    step(service)
    assert read(service, asked)["status"] == "running"
    refused = service.get(f"{PATH}/{asked['id']}/file").json
    assert (
        refused["detail"]
        == "Cannot fetch the file while the state is running: 100 of 450 receipts are in it."
    )
    assert read(service, asked)["size"] is None


def test_its_zip_is_the_one_that_is_sent_while_it_is_drawn(service):
    asked = ask(service)
    work(service)
    period = {"issued_from": asked["issued_from"], "issued_to": asked["issued_to"]}
    at_once = service.get("/api/payments/receipts/export", format="json", **period)
    assert fetched(service, asked) == at_once.body


def test_of_a_period_without_receipts_it_is_empty_and_whole(service):
    for chosen in ("csv", "book"):
        nothing = service.post(
            PATH, {"issued_from": "2001-01-01", "issued_to": "2001-02-01", "format": chosen}
        )
        assert (nothing.status, nothing.json["total"]) == (202, 0)
        work(service)
        assert len(contents(fetched(service, nothing.json))) == (0 if chosen == "csv" else 9)


@pytest.mark.parametrize("commit", range(1, 11))
def test_whoever_dies_at_any_commit_is_gone_on_behind_and_each_receipt_is_there_once(service, weak, commit):
    asked = ask(service)
    weak.left = commit
    with pytest.raises(DatabaseAwayError):
        work(service)
    before = read(service, asked)["done"]
    assert before == (commit - 1) // 2 * 100
    if commit % 2 == 0:  # it died at a step, and its lease has not ended
        assert not step(service)
        service.advance(61)
    assert step(service)
    assert read(service, asked)["done"] == min(before + 100, MANY)
    work(service)
    assert list(contents(fetched(service, asked))) == numbers()


def test_of_two_workers_at_the_same_step_one_is_heard(service, monkeypatch):
    asked = ask(service)
    drawn, both = exporting.drawn, asyncio.Barrier(2)

    async def together(*given: Any) -> Any:
        await both.wait()
        return await drawn(*given)

    async def two() -> None:
        one = asyncio.create_task(receipt_exports.carry_out(service.context))
        while both.n_waiting == 0:
            await asyncio.sleep(0.01)
        await _lease_ends(service)
        await asyncio.gather(one, receipt_exports.carry_out(service.context))

    monkeypatch.setattr(exporting, "drawn", together)
    monkeypatch.setattr(exporting, "PAGE", exporting.AT_ONCE)
    service.run(two())
    monkeypatch.undo()
    assert read(service, asked)["done"] == exporting.AT_ONCE
    work(service)
    assert list(contents(fetched(service, asked))) == numbers()


async def _lease_ends(service: Service) -> None:
    async with service.context.db.transaction() as conn:
        await conn.execute(
            "UPDATE receipt_exports SET next_check_at = $1 WHERE next_check_at > $1", service.context.now()
        )


def test_two_workers_take_turns_at_two_exports(service):
    asked = [ask(service, chosen) for chosen in ("json", "csv")]

    async def two() -> None:
        async def one() -> None:
            while await receipt_exports.carry_out(service.context):
                pass

        await asyncio.gather(one(), one())

    service.run(two())
    work(service)
    assert list(contents(fetched(service, asked[0]))) == numbers()
    assert list(contents(fetched(service, asked[1]))) == numbers(ending="csv")


def test_exports_that_wait_get_a_step_each_in_turn(service):
    one, two = ask(service), ask(service)
    for _ in range(2):
        step(service)
    assert (read(service, one)["done"], read(service, two)["done"]) == (100, 100)


def test_a_book_has_a_row_for_each_and_is_begun_again_by_whoever_comes(service, weak):
    asked = ask(service, "book")
    weak.left = 4  # it is taken, and two pages are in it
    with pytest.raises(DatabaseAwayError):
        work(service)
    assert (read(service, asked)["done"], parts(service)) == (200, 0)
    service.advance(61)
    work(service)
    done = read(service, asked)
    assert (done["status"], done["done"], done["file"]) == (
        "ready",
        MANY,
        "receipts-2019-01-01-2019-01-01.xlsx",
    )
    book = contents(fetched(service, asked))
    sheet: Any = ET.fromstring(book["xl/worksheets/sheet1.xml"])  # noqa: S314  our own file
    assert len(sheet.findall(".//{*}row")) == MANY + 1


def test_a_book_that_was_taken_over_is_dropped(service, monkeypatch):
    asked, booked, went_on = ask(service, "book"), exporting.booked, list[int]()

    async def slow(*given: Any, **more: Any) -> Any:
        monkeypatch.undo()
        async with aclosing(booked(*given, **more)) as going:
            async for done in going:
                went_on.append(done)
                await _lease_ends(service)
                assert await receipt_exports.carry_out(
                    service.context
                )  # another has made all of it meanwhile
                yield done

    monkeypatch.setattr(exporting, "booked", slow)
    service.run(receipt_exports.carry_out(service.context))
    assert (went_on, read(service, asked)["status"]) == ([100], "ready")
    assert len(contents(fetched(service, asked))) == 9


def test_a_book_leaves_nothing_on_the_machine(service, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ask(service, "book")
    work(service)
    assert list(tmp_path.iterdir()) == []


def test_a_book_larger_than_one_can_be_is_refused_when_it_is_asked_for(service, monkeypatch):
    monkeypatch.setattr(exporting, "BOOK_MOST", MANY - 1)
    refused = ask(service, "book", status=422)
    assert (refused["field"], "449 receipts" in refused["detail"]) == ("format", True)
    assert ask(service, "json")["total"] == MANY


def test_pdfs_are_drawn_and_a_step_ends_when_it_has_drawn_enough(service, monkeypatch):
    monkeypatch.setattr(receipt_exports, "STEP_BYTES", 1)
    asked = ask(service, "pdf", many=9)
    seen = []
    while step(service):
        seen.append(read(service, asked)["done"])
    assert seen == [4, 8, 9]
    assert all(pdf.startswith(b"%PDF-") for pdf in contents(fetched(service, asked)).values())
    monkeypatch.undo()
    monkeypatch.setattr(receipt_exports, "STEP_S", 0.0)
    ask(service, "csv", many=9)
    assert step(service)
    assert service.get(PATH, limit=1).json["data"][0]["done"] == 4


def test_a_file_is_kept_in_parts_of_a_megabyte_at_most(service, monkeypatch):
    monkeypatch.setattr(store, "PART_BYTES", 1_000)
    asked = ask(service)
    work(service)
    sizes = service.rows("SELECT octet_length(bytes) AS n FROM receipt_export_parts")
    assert max(row["n"] for row in sizes) == 1_000
    assert list(contents(fetched(service, asked))) == numbers()


def test_what_is_issued_later_is_not_in_it_and_what_stood_is(service):
    begins, paid = service.context.now(), {"payment_method": "pm_card_bypassPending", "confirm": True}
    period = {"issued_from": begins, "issued_to": begins + timedelta(hours=1)}
    service.create(1_000, **paid)
    asked = service.post(PATH, {name: at.isoformat() for name, at in period.items()} | {"format": "csv"}).json
    service.create(2_000, **paid)
    work(service)
    assert (asked["total"], read(service, asked)["done"]) == (1, 1)


def test_one_that_is_cancelled_in_the_middle_stops_there_and_its_parts_go(service):
    asked = ask(service)
    step(service)
    assert parts(service) > 0
    gone = act(service, asked, "cancel")
    assert (gone["status"], gone["done"]) == ("cancelled", 100)
    assert act(service, asked, "cancel")["status"] == "cancelled"
    assert not step(service)
    assert service.get(f"{PATH}/{asked['id']}/file").status == 409
    prune(service)
    assert parts(service) == 0


def test_one_that_is_cancelled_while_a_step_is_drawn_stays_cancelled(service, monkeypatch):
    asked, drawn = ask(service), exporting.drawn

    async def cancelled(*given: Any) -> Any:
        monkeypatch.undo()
        await receipt_exports.cancel(service.context, caller(service), asked["id"])
        return await drawn(*given)

    monkeypatch.setattr(exporting, "drawn", cancelled)
    step(service)
    assert (read(service, asked)["status"], read(service, asked)["done"]) == ("cancelled", 0)
    prune(service)
    assert parts(service) == 0


def caller(service: Service) -> Caller:
    return Caller("tests", service.context.merchant_id, "sandbox")


def prune(service: Service) -> None:
    while service.run(receipt_exports.prune(service.context)):
        pass


def test_a_file_is_kept_for_a_week_and_that_it_was_for_three_months(service, monkeypatch):
    monkeypatch.setattr(receipt_exports, "PRUNED_AT_ONCE", 2)
    asked = ask(service)
    work(service)
    service.advance(7 * 86_400 - 60)
    prune(service)
    assert list(contents(fetched(service, asked))) == numbers()
    service.advance(120)
    prune(service)
    assert (read(service, asked)["status"], parts(service)) == ("expired", 0)
    gone = service.get(f"{PATH}/{asked['id']}/file")
    assert (gone.status, gone.json["code"]) == (410, "gone")
    assert act(service, asked, "cancel", status=409)["code"] == "wrong_state"
    service.advance(84 * 86_400)
    prune(service)
    assert service.get(f"{PATH}/{asked['id']}").status == 404


def test_one_that_breaks_off_is_tried_again_and_fails_in_the_end_with_its_reason(service, monkeypatch):
    async def not_now(*_: Any) -> Any:
        raise SigningAwayError

    asked = ask(service)
    step(service)
    monkeypatch.setattr(receipts, "render", not_now)
    for pause in receipt_exports.PAUSES:
        assert step(service)
        assert not step(service)
        waits = read(service, asked)
        assert (waits["status"], waits["done"]) == ("running", 100)
        assert "Receipts are signed here" in waits["error"]
        service.advance(pause.total_seconds() + 1)
    assert step(service)
    failed = read(service, asked)
    assert (failed["status"], "Receipts are signed here" in failed["error"]) == ("failed", True)
    refused = service.get(f"{PATH}/{asked['id']}/file")
    assert (refused.status, "Receipts are signed here" in refused.json["detail"]) == (409, True)
    assert not step(service)


def test_one_that_got_on_again_has_all_its_tries_before_it(service, monkeypatch):
    async def broken(*_: Any) -> Any:
        raise RuntimeError("a secret of ours")

    asked = ask(service)
    monkeypatch.setattr(receipts, "render", broken)
    step(service)
    assert read(service, asked)["error"] == "It broke off: RuntimeError."
    monkeypatch.undo()
    service.advance(11)
    step(service)
    assert (read(service, asked)["done"], read(service, asked)["error"]) == (100, None)
    assert service.rows("SELECT tries FROM receipt_exports WHERE id = $1", asked["id"]) == [{"tries": 0}]


def test_one_over_which_process_after_process_ends_fails(service, weak):
    asked = ask(service)
    for _ in range(receipt_exports.TRIES):
        weak.left = 2
        with pytest.raises(DatabaseAwayError):
            step(service)
        service.advance(61)
    step(service)
    failed = read(service, asked)
    assert (failed["status"], failed["error"]) == (
        "failed",
        "Its process ended 6 times over the same receipts.",
    )


def test_a_template_that_fails_holds_no_export_up_and_a_person_is_called(service):
    templates = "/api/payments/receipts/templates"
    service.post(templates, {"name": "fragile", "files": {"main.typ": FRAGILE}})
    assert service.post(f"{templates}/fragile/publish", {}).status == 200
    service.change_settings({"receiptGeneration": {"customTemplates": [{"template": "fragile"}]}})
    begins = service.context.now()
    for buyer in ("Anna", "Nobody"):
        paid = {"payment_method": "pm_card_bypassPending", "confirm": True}
        service.create(1_000, customer={"name": buyer}, **paid)
    service.change_settings({"receiptGeneration": {"customTemplates": []}})
    period = {"issued_from": begins.isoformat(), "issued_to": (begins + timedelta(hours=1)).isoformat()}
    asked = service.post(PATH, period).json
    work(service)
    made = contents(fetched(service, asked))
    assert len(made) == 2
    assert all(pdf.startswith(b"%PDF-") for pdf in made.values())
    [called] = service.rows("SELECT sentence FROM exceptions WHERE kind = 'template_failed'")
    assert "the built-in look took its place" in called["sentence"]


@pytest.mark.parametrize("behind", [1, 1_000, 2_001, -1])
def test_a_fetch_that_broke_off_goes_on_behind_what_arrived(service, monkeypatch, behind):
    monkeypatch.setattr(store, "PART_BYTES", 1_000)
    asked = ask(service, many=20)
    work(service)
    whole = fetched(service, asked)
    behind %= len(whole)
    rest = ranged(service, asked, f"bytes={behind}-")
    assert (rest.status, rest.body) == (206, whole[behind:])
    assert rest.headers["content-range"] == f"bytes {behind}-{len(whole) - 1}/{len(whole)}"


@pytest.mark.parametrize(
    "wanted",
    ["bytes=0-", "bytes=99999999-", f"bytes={'9' * 40}-", "bytes=-5", "bytes=5-3", "bytes=1-2,4-", "x", ""],
)
def test_any_other_range_is_passed_over(service, wanted):
    asked = ask(service, many=20)
    work(service)
    answer = ranged(service, asked, wanted)
    assert (answer.status, answer.body) == (200, fetched(service, asked))


def test_a_range_of_another_version_is_passed_over(service):
    asked = ask(service, many=20)
    work(service)
    assert ranged(service, asked, "bytes=5-", **{"if-range": '"another"'}).status == 200


def ranged(service: Service, export: Any, wanted: str, **more: str) -> Any:
    return service.call("GET", f"{PATH}/{export['id']}/file", headers={"range": wanted} | more)


def test_a_file_that_is_forgotten_under_way_never_looks_whole(service, monkeypatch):
    monkeypatch.setattr(store, "PART_BYTES", 1_000)
    asked, part = ask(service), store.part
    work(service)

    async def forgotten(conn: Any, export_id: str, at: int) -> Any:
        return await part(conn, export_id, at) if at < 5_000 else None

    monkeypatch.setattr(store, "part", forgotten)
    with pytest.raises(IncompleteRead):
        service.get(f"{PATH}/{asked['id']}/file")


def test_with_a_key_it_is_asked_for_once(service):
    one = ask(service, idempotency_key="october")
    work(service)
    again = ask(service, idempotency_key="october")
    assert (again["id"], again["status"]) == (one["id"], "waiting")  # the very answer it got
    assert ask(service, "csv", status=422, idempotency_key="october")["code"] == "idempotency_mismatch"


def test_a_retry_of_an_asking_that_was_not_answered_finds_the_export_it_made(service, weak):
    weak.left = 2  # it is asked for, and the answer is not kept
    assert ask(service, status=503, idempotency_key="lost")["code"] == "database_away"
    assert ask(service, status=409, idempotency_key="lost")["code"] == "idempotency_in_flight"
    service.advance(31)
    again = ask(service, idempotency_key="lost")
    assert [one["id"] for one in service.get(PATH).json["data"] if one["status"] == "waiting"] == [
        again["id"]
    ]


def test_so_many_are_kept_and_no_more_until_one_is_withdrawn(service, monkeypatch):
    monkeypatch.setattr(receipt_exports, "KEPT_MOST", 2)
    one, _ = ask(service), ask(service)
    refused = ask(service, status=429)
    assert refused["detail"].startswith("2 exports are kept already")
    work(service)
    assert ask(service, status=429)["code"] == "rate_limited"
    assert act(service, one, "cancel")["status"] == "cancelled"
    assert service.get(f"{PATH}/{one['id']}/file").status == 409
    assert ask(service)["status"] == "waiting"


def test_it_is_for_viewers_and_cancelled_by_who_asked_or_by_support(service):
    by_viewer = ask(service, key=service.key("viewer"))
    by_admin = ask(service)
    work(service)
    assert service.get(f"{PATH}/{by_admin['id']}/file", key=service.key("viewer")).status == 200
    refused = act(service, by_admin, "cancel", status=403, key=service.key("viewer"))
    assert refused["needs"] == "support"
    assert act(service, by_viewer, "cancel", key=service.key("viewer"))["status"] == "cancelled"
    assert act(service, by_admin, "cancel", key=service.key("support"))["status"] == "cancelled"


def test_nobody_of_another_mode_or_merchant_sees_it(service):
    asked = ask(service)
    work(service)
    for verb in ("", "/file"):
        assert service.get(f"{PATH}/{asked['id']}{verb}", key=service.key("admin", "live")).status == 404
    assert service.get(PATH, key=service.key("admin", "live")).json["data"] == []
    act(service, asked, "cancel", status=404, key=service.key("admin", "live"))

    async def of_another() -> None:
        stranger = Caller("tests", "mer_another", "sandbox")
        await receipt_exports.ready(service.context, stranger, asked["id"])

    with pytest.raises(Exception, match="There is no export"):
        service.run(of_another())


def test_your_own_backend_hears_that_it_is_ready_or_failed_and_of_nothing_else(service, monkeypatch):
    async def never(*_: Any) -> Any:
        raise SigningAwayError

    ready, gone, failed = ask(service), ask(service), ask(service)
    act(service, gone, "cancel")
    monkeypatch.setattr(receipt_exports, "TRIES", 1)
    step(service)
    monkeypatch.setattr(receipts, "render", never)
    step(service)
    monkeypatch.undo()
    work(service)
    found = service.rows(
        "SELECT type, object_id, version, object FROM events WHERE type LIKE 'receipt_export.%' AND object_id = ANY($1)"
        " ORDER BY type",
        [ready["id"], gone["id"], failed["id"]],
    )
    assert [(row["type"], row["object_id"]) for row in found] == [
        ("receipt_export.failed", failed["id"]),
        ("receipt_export.ready", ready["id"]),
    ]
    assert [row["object"] for row in found] == [read(service, failed), read(service, ready)]


def test_who_asked_and_who_cancelled_stands_in_the_audit_log(service):
    asked = ask(service, "csv")
    act(service, asked, "cancel")
    found = service.rows("SELECT action, detail FROM audit WHERE object_id = $1 ORDER BY id", asked["id"])
    assert [row["action"] for row in found] == ["receipt_export.request", "receipt_export.cancel"]
    assert (found[0]["detail"]["format"], found[0]["detail"]["receipts"]) == ("csv", MANY)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({}, 422),
        ({"issued_from": "2019-01-01"}, 422),
        (PERIOD | {"format": "exe"}, 422),
        (PERIOD | {"format": None}, 422),
        (PERIOD | {"format": "pdf\u0000"}, 422),
        (PERIOD | {"more": 1}, 422),
        (PERIOD | {"issued_to": PERIOD["issued_from"]}, 422),
        (PERIOD | {"issued_to": "2018-01-01"}, 422),
        (PERIOD | {"issued_to": "0001-01-01T00:00:00+14:00"}, 422),
        (PERIOD | {"issued_from": "9999-12-31T23:59:59-14:00"}, 422),
        (PERIOD | {"issued_from": 10**30}, 422),
        (PERIOD | {"issued_from": 1e400}, 400),
        (PERIOD | {"issued_from": [1]}, 422),
        (PERIOD | {"issued_from": "\u0000"}, 422),
        ([], 422),
        (b"\xff", 400),
        (b"{", 400),
    ],
    ids=str,
)
def test_what_cannot_be_asked_for_is_refused(service, wrong, status):
    before = len(service.get(PATH, limit=200).json["data"])
    assert service.post(PATH, wrong).status == status
    assert len(service.get(PATH, limit=200).json["data"]) == before


@pytest.mark.parametrize(
    "named", ["exp_%00", "exp_%3F", "rct_01m82q4mexgp9s3vb3tax4n4pn", "%00", ABSENT, "9" * 400]
)
def test_an_id_that_is_none_is_not_found(service, named):
    for method, verb in (("GET", ""), ("GET", "/file"), ("POST", "/cancel")):
        assert service.call(method, f"{PATH}/{named}{verb}").status == 404


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", f"limit={'9' * 30}", "cursor=%00", "cursor=exp_", "a=1"]
)
def test_a_list_of_what_cannot_be_is_refused(service, query):
    assert service.get(f"{PATH}?{query}").status == 422


def test_the_list_goes_on_where_it_ended(service):
    asked = [ask(service)["id"] for _ in range(3)]
    first = service.get(PATH, limit=2).json
    rest = service.get(PATH, limit=2, cursor=first["next_cursor"]).json
    assert [one["id"] for one in (*first["data"], *rest["data"])][:3] == asked[::-1]


def test_only_formats_on_offer_are_made(service):
    service.change_settings({"receiptGeneration": {"multiFormatSupport": False}})
    try:
        for chosen in ("csv", "book"):
            assert ask(service, chosen, status=406)["code"] == "not_acceptable"
        assert ask(service, "pdf", many=1)["status"] == "waiting"
    finally:
        service.change_settings({"receiptGeneration": {"multiFormatSupport": True}})


def test_the_worker_does_it_by_itself(service):
    asked, stop = ask(service), asyncio.Event()

    async def working() -> None:
        task = asyncio.create_task(worker.work(service.context, service.house.direct_url, stop))
        async with asyncio.timeout(20):
            while (await receipt_exports.get(service.context, caller(service), asked["id"])).ended_at is None:
                await asyncio.sleep(0.05)
        stop.set()
        await task

    service.run(working())
    assert list(contents(fetched(service, asked))) == numbers()


@pytest.mark.parametrize("chosen", ["json", "book"])
def test_twice_as_many_take_no_more_memory(service, chosen):
    peak(service, chosen, 100)  # what is read once is read
    few, many = (peak(service, chosen, count) for count in (200, 400))
    # Whoever kept but the list of a zip's files would keep 650 bytes for each; a receipt is 2,000.
    assert many - few < 200 * 500


def peak(service: Service, chosen: str, count: int) -> int:
    """The most bytes that Python held at once while so many were exported and fetched."""
    asked = ask(service, chosen, many=count)

    async def through() -> int:
        while await receipt_exports.carry_out(service.context):
            pass
        export = await receipt_exports.ready(service.context, caller(service), asked["id"])
        async for _ in receipt_exports.content(service.context, export):
            pass
        return export.done

    tracemalloc.start()
    try:
        assert service.run(through()) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_metrics_tell_how_many_are_made_and_since_when_the_oldest_was_asked_for(service):
    ask(service)
    ask(service)
    step(service)
    service.advance(90)
    text = service.call("GET", "/metrics", key="").body.decode()
    shown = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("counterfoil_receipt"))
    assert float(shown["counterfoil_receipt_exports"]) == 2
    assert 90 <= float(shown["counterfoil_receipt_exports_oldest_seconds"]) < 120
    work(service)
    text = service.call("GET", "/metrics", key="").body.decode()
    assert "counterfoil_receipt_exports 0.0" in text
    assert "counterfoil_receipt_exports_oldest_seconds 0.0" in text
