"""counterfoil refunds report: the same report as by API."""

import json
from pathlib import Path
from typing import Any

import pytest

from service import Service


@pytest.fixture
def refunded(service: Service) -> Any:
    service.change_settings({"refundProcessing": {"refundApprovalRequired": False, "automatedRefunds": True}})
    made = service.create(10_000, "DKK", payment_method="pm_card_bypassPending", confirm=True)
    answer = service.post(f"/api/payments/{made['id']}/refund", {"amount": 2_500, "reason": "duplicate"})
    assert answer.status == 201, answer
    service.eventually(lambda: service.payment(made["id"])["amount_refunded"] == 2_500)
    return made


def test_json_is_what_the_api_answers(run: Any, service: Service, refunded: Any):
    ran = run("refunds", "report", "--by", "gateway", "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out) == service.get("/api/payments/refunds/report", group_by="gateway").json


def test_the_table_has_the_figures_that_a_terminal_has_room_for(run: Any, refunded: Any):
    out = run("refunds", "report", "--by", "reason").out
    (line,) = [line for line in out.splitlines() if "DKK" in line and "duplicate" in line]
    assert ".00 DKK" in line
    assert "0.250000" in line.split()
    assert any(line.startswith("total") and "DKK" in line for line in out.splitlines())


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.csv", b"month,currency,"), ("a.xlsx", b"PK"), ("a.json", b"{"), ("a.pdf", b"%PDF-")],
)
def test_a_file_is_what_its_name_says(run: Any, tmp_path: Path, refunded: Any, name: str, begins: bytes):
    ran = run("refunds", "report", "--output", str(tmp_path / name))
    assert (ran.status, ran.out) == (0, "")
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_a_format_may_be_named_beside_the_file(run: Any, tmp_path: Path, refunded: Any):
    ran = run("refunds", "report", "--format", "pdf", "--out", str(tmp_path / "november"))
    assert (ran.status, ran.out) == (0, "")
    assert (tmp_path / "november").read_bytes().startswith(b"%PDF-")


def test_days_without_anything_say_so(run: Any):
    out = run("refunds", "report", "--from", "2019-01-01", "--to", "2019-01-31").out
    assert out == "No refunds and no captured payments in these days.\n"


@pytest.mark.parametrize(
    "asked",
    [
        ("--output", "a.docx"),
        ("--out", "november"),
        ("--format", "docx", "--out", "a.pdf"),
        ("--format", "pdf"),
        ("--by", "customer"),
        ("--from", "yesterday"),
        ("--from", "2026-1"),
    ],
)
def test_what_means_nothing_is_refused(run: Any, asked: tuple[str, ...]):
    assert run("refunds", "report", *asked).status == 2


def test_days_the_wrong_way_round_are_one_sentence(run: Any):
    ran = run("refunds", "report", "--from", "2026-11-02", "--to", "2026-11-01")
    assert (ran.status, ran.err) == (1, "counterfoil: to is before from.\n")
