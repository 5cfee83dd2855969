"""counterfoil receipts deliver: the same deliveries as by API."""

import json
from typing import Any

import pytest

from service import Service

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
