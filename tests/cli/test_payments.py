"""counterfoil payments: the same payments as by API."""

import json
from typing import Any

import pytest

from service import Service

ABSENT = "pmt_01m82q4mexgp9s3vb3tax4n4pn"


def said(run: Any, *arguments: str) -> Any:
    """The JSON that the command prints."""
    ran = run("payments", *arguments, "--json")
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def without_links(payment: Any) -> Any:
    return payment | {"checkout": None}


def test_payments_are_listed_as_the_api_lists_them(run, service: Service):
    made = service.create(1234, "EUR", reference="by command line")
    assert list(map(without_links, said(run, "list", "--reference", "by command line"))) == [
        without_links(made)
    ]
    assert said(run, "list", "--reference", "nobody's") == []
    assert all(row["status"] == "captured" for row in said(run, "list", "--status", "captured"))
    assert len(said(run, "list", "--limit", "1")) == 1
    table = run("payments", "list", "--reference", "by command line").out
    assert made["id"] in table.replace("\n", "")
    assert "12.34 EUR" in table


def test_an_empty_list_says_so(run):
    assert run("payments", "list", "--reference", "nobody's").out == "No payments yet.\n"


def test_a_payment_is_shown_whole(run, spawn, service: Service):
    made = service.create(payment_method="pm_card_visa", confirm=True)
    assert without_links(said(spawn, "show", made["id"])) == without_links(service.payment(made["id"]))
    lines = run("payments", "show", made["id"]).out.splitlines()
    assert any(line.split() == ["status", "captured"] for line in lines)


def test_its_attempts_are_a_table(run, service: Service):
    made = service.create(50_000, "INR", payment_method="pm_card_chargeDeclined", confirm=True)
    service.post(f"/api/payments/{made['id']}/attempts")
    shown = run("payments", "show", made["id"]).out
    assert "attempts" in shown.splitlines()
    _, _, table = shown.partition("\nattempts\n")
    first, second = (line.split() for line in table.splitlines() if line.startswith(("1 ", "2 ")))
    assert (first[1:3], second[1:3]) == (["stripe", "fenced"], ["razorpay", "open"])
    assert "card_declined" in table.replace("\n", "").replace(" ", "")
    assert "{" not in table


def test_a_retry_that_is_planned_is_shown(run, service: Service):
    service.change_settings({"productionSettings": {"paymentRetryAttempts": 2}})
    made = service.create(
        payment_method="pm_card_chargeDeclinedInsufficientFunds", off_session=True, confirm=True
    )
    retry = said(run, "show", made["id"])["retry"]
    assert (retry["number"], retry["of"], retry["kind"]) == (1, 2, "charge")
    assert retry["due_at"] in run("payments", "show", made["id"]).out.replace("\n", "")
    assert "payment.retry_planned" in run("payments", "timeline", made["id"]).out.replace("\n", "")


def test_a_timeline_is_told_line_by_line(run, service: Service):
    made = service.create(payment_method="pm_card_visa", confirm=True)
    kinds = [line["kind"] for line in said(run, "timeline", made["id"])]
    assert {"decision", "call", "fact", "journal"} <= set(kinds)
    told = run("payments", "timeline", made["id"]).out.replace("\n", "")
    assert "payment.create" in told
    assert "actor key_" in told
    assert "{'" not in told


def test_an_authorised_payment_is_captured_in_part(run, service: Service):
    made = service.create(payment_method="pm_card_visa", confirm=True, capture="manual")
    done = said(run, "capture", made["id"], "--amount", "2500")
    assert (done["status"], done["amount_captured"]) == ("captured", 2500)
    assert service.payment(made["id"])["amount_captured"] == 2500
    timeline = service.get(f"/api/payments/{made['id']}/timeline").json["data"]
    (decided,) = [line for line in timeline if line["what"] == "payment.capture"]
    assert decided["detail"]["actor"].startswith("cli:")


def test_a_payment_is_cancelled(run, service: Service):
    made = service.create()
    assert said(run, "cancel", made["id"])["status"] == "cancelled"
    assert run("payments", "cancel", made["id"]).status == 0


def test_a_payment_is_synced(run, service: Service):
    made = service.create(payment_method="pm_card_authenticationRequired", confirm=True)
    service.sandbox.webhooks(hold=True)
    try:
        service.authenticate(made["attempts"][0]["gateway_reference"])
        assert said(run, "sync", made["id"])["status"] == "captured"
    finally:
        service.sandbox.webhooks(hold=False)


@pytest.mark.parametrize("verb", ["show", "timeline", "sync", "capture", "cancel"])
@pytest.mark.parametrize("payment_id", [ABSENT, "nothing"])
def test_what_is_not_there_is_one_sentence(run, verb, payment_id):
    ran = run("payments", verb, payment_id)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"counterfoil: There is no payment {payment_id} in this mode.\n"


def test_what_is_not_possible_says_why(run, service: Service):
    made = service.create(payment_method="pm_card_visa", confirm=True)
    ran = run("payments", "cancel", made["id"])
    assert ran.status == 1
    assert ran.err.startswith("counterfoil: Cannot cancel while the state is captured")


@pytest.mark.parametrize("asked", [("list", "--status", "paid"), ("list", "--limit", "0"), ("capture", ABSENT, "--amount", "0"), ("show",)])  # fmt: skip
def test_what_means_nothing_is_refused(run, asked):
    assert run("payments", *asked).status == 2
