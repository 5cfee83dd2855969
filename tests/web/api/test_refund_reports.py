"""GET /api/payments/refunds/report: the same figures in each format."""

import csv
import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest

from counterfoil.documents import refund_report_pdf
from counterfoil.domain.money import Money
from pdf_reading import embedded, pages
from service import Answer, Service

HEAD = (
    "Requested count Succeeded count Failed count Rejected count Cancelled count Open count Captured count"
    " Rate by count To approve 9 of 10 To customer 9 of 10"
)
PATH = "/api/payments/refunds/report"


@pytest.fixture
def refunded(service: Service) -> Any:
    """A payment of a currency that no other test uses, refunded in part."""
    service.change_settings({"refundProcessing": {"refundApprovalRequired": False, "automatedRefunds": True}})
    made = service.create(10_000, "SEK", payment_method="pm_card_bypassPending", confirm=True)
    answer = service.post(f"/api/payments/{made['id']}/refund", {"amount": 2_500, "reason": "duplicate"})
    assert answer.status == 201, answer
    service.eventually(lambda: service.payment(made["id"])["amount_refunded"] == 2_500)
    return made


def today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")


def asked(service: Service, *, accept: str | None = None, **query: Any) -> Answer:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    headers = {"accept": accept} if accept else {}
    return service.call("GET", f"{PATH}?{text}", key=service.key("viewer"), headers=headers)


def test_the_report_of_today_has_todays_refund(service: Service, refunded: Any):
    answer = asked(service, group_by="reason")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    told = answer.json
    assert (told["object"], told["mode"], told["group_by"], told["to"]) == ("refund_report", "sandbox", "reason", today())  # fmt: skip
    (line,) = [line for line in told["data"] if (line["group"], line["currency"]) == ("duplicate", "SEK")]
    count = line["requested"]["count"]
    assert line["requested"] == {"count": count, "amount": 2_500 * count}
    assert line["captured"]["amount"] >= 10_000
    share = line["succeeded"]["amount"] / line["captured"]["amount"]
    assert line["rate_ppm"]["amount"] == pytest.approx(1_000_000 * share, abs=0.5)
    (total,) = [line for line in told["totals"] if line["currency"] == "SEK"]
    assert total["requested"]["amount"] >= line["requested"]["amount"]


def test_csv_is_a_file_with_the_same_figures(service: Service, refunded: Any):
    answer = asked(service, accept="text/csv", group_by="reason")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    name = f"refunds-{today()[:8]}01-{today()}-by-reason.csv"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["vary"] == "Accept"
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    (row,) = [row for row in rows if (row["reason"], row["currency"]) == ("duplicate", "SEK")]
    count = int(row["requested count"])
    assert row["requested amount"] == f"{25 * count}.00"
    assert [row["reason"] for row in rows if row["currency"] == "SEK"][-1] == "total"


def test_excel_opens_what_it_gets(service: Service, refunded: Any):
    answer = asked(service, format="xlsx", group_by="day")
    assert answer.status == 200
    assert "spreadsheetml" in answer.headers["content-type"]
    assert answer.headers["content-disposition"].endswith('-by-day.xlsx"')
    with zipfile.ZipFile(io.BytesIO(answer.body)) as book:
        assert today() in book.read("xl/worksheets/sheet1.xml").decode()


@pytest.mark.parametrize(("accept", "query"), [(None, {"format": "pdf"}), ("application/pdf", {})])
def test_pdf_has_the_sums_of_the_json_on_its_page(
    service: Service, refunded: Any, accept: str | None, query: Any
):
    answer = asked(service, accept=accept, group_by="reason", **query)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["content-disposition"].endswith('-by-reason.pdf"')
    told = json.loads(embedded(answer.body)[2])
    assert told == asked(service, group_by="reason").json
    (line,) = [line for line in told["data"] if (line["group"], line["currency"]) == ("duplicate", "SEK")]
    requested, count = Money(line["requested"]["amount"], "SEK").major, line["requested"]["count"]
    text = " ".join(pages(answer.body))
    assert f"Reason (SEK) {HEAD} duplicate {requested} {count} {requested} {count} –" in text


def test_a_pdf_of_too_many_lines_is_refused_with_what_else_there_is(
    service: Service, refunded: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(refund_report_pdf, "MOST_LINES", 0)
    lines = len(asked(service, group_by="reason").json["data"])
    answer = asked(service, format="pdf", group_by="reason")
    assert (answer.status, answer.json["field"]) == (422, "format")
    assert answer.json["detail"] == (
        f"A PDF has at most 0 lines, and this report has {lines}: ask for xlsx or csv, for fewer days, or for longer periods."
    )
    assert asked(service, format="xlsx", group_by="reason").status == 200


@pytest.mark.parametrize(
    ("query", "accept"),
    [({"format": "docx"}, None), ({}, "application/msword"), ({"format": "csv"}, "application/json")],
)
def test_another_format_is_refused_with_those_there_are(service: Service, query: Any, accept: str | None):
    answer = asked(service, accept=accept, **query)
    assert (answer.status, answer.json["code"]) == (406, "not_acceptable")
    assert answer.json["detail"] == "This can be had as json, csv, xlsx, pdf."


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-11-31"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "to"),
        ({"from": "1900-01-01", "to": "2026-11-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"group_by": "customer"}, "group_by"),
        ({"format": "x" * 21}, "format"),
    ],
)
def test_what_means_nothing_is_refused_by_its_name(service: Service, query: Any, field: str):
    answer = asked(service, **query)
    assert answer.status == 422, answer
    assert field in str(answer.json)


def test_the_path_is_no_refund(service: Service):
    assert asked(service).status == 200
    assert service.get("/api/payments/refunds/reports", key=service.key("viewer")).status == 404
