"""Receipts: issued and numbered with the money they are of, shown in every format, voided, verified."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from counterfoil.services import checking, receipts, refunding
from database import Postgres
from service import Service, Weak, call, serving

OPEN = {"automatedRefunds": True, "refundApprovalRequired": False}
PLAIN = {"multiFormatSupport": True, "advancedFormatting": True, "gstInvoices": False, "note": None}
SELLER = {"country": "IN", "taxId": "29ABCDE1234F1Z5", "state": "29", "address": ["12 MG Road"]}
NOBODY = {"country": None, "taxId": None, "state": None, "address": []}


@pytest.fixture(scope="module")
def weak() -> Weak:
    return Weak()


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres, weak: Weak) -> Iterator[Service]:
    """No worker, and webhooks held: whatever happens was asked for by a test."""
    with serving(fast_postgres, work=False, on_commit=weak) as service:
        service.sandbox.webhooks(hold=True)
        service.key()
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    running.change_settings({"refundProcessing": OPEN, "receiptGeneration": PLAIN, "business": NOBODY})
    yield running
    running.sandbox.control("POST", "stripe/refunds", {})


def paid(service: Service, amount: int = 10_000, currency: str = "USD", **asked: Any) -> Any:
    made = service.create(
        amount, currency, gateway="stripe", payment_method="pm_card_bypassPending", confirm=True, **asked
    )
    assert made["status"] == "captured", made
    return made


def receipt(service: Service, payment: Any, status: int = 200, **query: Any) -> Any:
    answer = service.get(f"/api/payments/{payment['id']}/receipt", **query)
    assert answer.status == status, answer
    return answer


def numbers(service: Service) -> list[str]:
    return [row["number"] for row in service.rows("SELECT number FROM receipts ORDER BY number")]


def test_a_captured_payment_has_its_receipt_at_once_and_always_the_same(service):
    payment = paid(service, description="Two books", customer={"name": "Anna", "email": "anna@example.com"})
    shown = receipt(service, payment).json
    assert (shown["kind"], shown["total"], shown["currency"], shown["net"]) == (
        "payment",
        10_000,
        "USD",
        10_000,
    )
    assert (shown["buyer"]["name"], shown["method"], shown["lines"][0]["description"]) == (
        "Anna",
        "Visa •••• 0077",
        "Two books",
    )
    assert receipt(service, payment).json == shown
    assert shown["number"] in numbers(service)


def test_a_receipt_is_written_in_the_customers_language_where_it_is_known(service):
    hindi = receipt(service, paid(service, customer={"name": "आशा", "locale": "hi-IN"}))
    assert (hindi.json["locale"], hindi.json["buyer"]["name"]) == ("hi-IN", "आशा")
    assert receipt(service, paid(service, customer={"name": "Anna"})).json["locale"] == "en"
    refused = service.post(
        "/api/payments", {"amount": 100, "currency": "USD", "customer": {"locale": "hindi"}}
    )
    assert (refused.status, "customer.locale" in refused.body.decode()) == (422, True)


def test_without_money_there_is_no_receipt_and_it_says_why(service):
    refused = receipt(service, service.create(5_000), 409).json
    assert refused["detail"] == "Cannot give a receipt for it while the state is created: no money was taken."


def test_every_format_says_the_same(service):
    payment = paid(
        service,
        10_000,
        line_items=[
            {"name": "=HYPERLINK(1)", "amount": 4_000, "quantity": 2},
            {"name": "Cup", "amount": 2_000},
        ],
    )
    shown = receipt(service, payment).json
    page = receipt(service, payment, format="html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert shown["number"] in page.body.decode()
    assert "$100.00" in page.body.decode()
    table = list(csv.DictReader(io.StringIO(receipt(service, payment, format="csv").body.decode())))
    assert [row["amount"] for row in table] == ["80.00", "20.00"]
    assert table[0]["description"] == "'=HYPERLINK(1)"
    with zipfile.ZipFile(io.BytesIO(receipt(service, payment, format="xlsx").body)) as book:
        assert "xl/worksheets/sheet1.xml" in book.namelist()
    pdf = receipt(service, payment, format="pdf")
    assert pdf.headers["content-disposition"] == f'attachment; filename="{shown["number"]}.pdf"'
    assert pdf.body.startswith(b"%PDF-")
    assert receipt(service, payment, format="pdf").body == pdf.body


def test_the_accept_header_and_the_named_format_agree(service):
    payment = paid(service)
    path = f"/api/payments/{payment['id']}/receipt"
    asked = service.call("GET", path, headers={"accept": "text/csv"})
    assert asked.headers["content-type"].startswith("text/csv")
    assert service.call("GET", f"{path}?format=csv", headers={"accept": "application/pdf"}).status == 406
    assert service.get(path, format="docx").status == 422


def test_by_setting_there_is_pdf_alone(service):
    payment = paid(service)
    service.change_settings({"receiptGeneration": {"multiFormatSupport": False}})
    assert receipt(service, payment).headers["content-type"] == "application/pdf"
    assert receipt(service, payment, 406, format="csv").json["code"] == "not_acceptable"


def test_what_went_back_is_shown_and_has_a_receipt_of_its_own(service):
    payment = paid(service)
    service.post(f"/api/payments/{payment['id']}/refund", {"reason": "duplicate", "amount": 2_500})
    shown = receipt(service, payment).json
    assert (shown["total"], shown["refunded"], shown["net"]) == (10_000, 2_500, 7_500)
    [own] = [r for r in listed(service) if r["payment"] == payment["id"] and r["kind"] == "refund"]
    of_refund = service.get(f"/api/payments/receipts/{own['id']}").json
    assert (of_refund["kind"], of_refund["total"]) == ("refund", 2_500)
    assert of_refund["number"].startswith("RF-")


def refunded(service: Service, payment: Any, amount: int | None = None) -> Any:
    asked = {"reason": "duplicate", "amount": amount}
    answer = service.post(f"/api/payments/{payment['id']}/refund", asked)
    assert answer.status == 201, answer
    return answer.json


def of_refund(service: Service, refund: Any, status: int = 200, **query: Any) -> Any:
    answer = service.get(f"/api/payments/refunds/{refund['id']}/receipt", **query)
    assert answer.status == status, answer
    return answer


def test_a_refund_was_paid_back_on_its_own_day_and_not_on_the_payments(service):
    payment = paid(service)
    service.advance(3 * 24 * 3600)
    refund = refunded(service, payment, 2_500)
    assert refund["status"] == "succeeded", refund
    shown, of_payment = of_refund(service, refund).json, receipt(service, payment).json
    assert of_payment["refunds"][0]["at"] == shown["paid_at"]
    assert shown["paid_at"][:10] == shown["issued_at"][:10] > of_payment["paid_at"][:10]
    service.advance(24 * 3600)
    service.post(f"/api/payments/receipts/{shown['id']}/void", {"reason": "wrong name"})
    again = of_refund(service, refund).json
    assert (again["paid_at"], again["issued_at"] > shown["issued_at"]) == (shown["paid_at"], True)


def taxes(shown: Any) -> dict[str, int]:
    return {tax["name"]: tax["amount"] for tax in shown["taxes"]}


def test_a_captured_part_is_taxed_for_what_it_is_and_its_refunds_add_up_to_it(service):
    service.change_settings({"business": SELLER, "receiptGeneration": {"gstInvoices": True}})
    items = [{"name": "Tea", "amount": 10_500, "tax_rate": 500, "hsn": "0902"}]
    method = {"gateway": "stripe", "payment_method": "pm_card_bypassPending", "confirm": True}
    near = {"name": "Anna", "state": "29"}
    payment = service.create(10_500, "INR", capture="manual", line_items=items, customer=near, **method)
    assert service.post(f"/api/payments/{payment['id']}/capture", {"amount": 5_000}).status == 200
    whole = receipt(service, payment).json
    assert (whole["kind"], whole["total"], whole["taxable"]) == ("invoice", 5_000, 4_762)
    assert [line["description"] for line in whole["lines"]] == ["Tea"]
    assert taxes(whole) == {"CGST": 119, "SGST": 119}
    # What has become of the settings since changes nothing of what was sold.
    service.change_settings({"business": {**SELLER, "state": "07"}})
    back = [of_refund(service, refunded(service, payment, amount)).json for amount in (2_499, 1, 2_500)]
    assert sum(one["total"] for one in back) == 5_000
    assert {name: sum(taxes(one).get(name, 0) for one in back) for name in ("CGST", "SGST", "IGST")} == {
        "CGST": 119,
        "SGST": 119,
        "IGST": 0,
    }


def test_a_voided_receipt_of_a_refund_is_replaced_when_it_is_next_asked_for(service):
    payment = paid(service)
    refund, other = refunded(service, payment, 2_500), refunded(service, payment, 1_000)
    first = of_refund(service, refund).json
    assert of_refund(service, refund).json == first
    service.post(f"/api/payments/receipts/{first['id']}/void", {"reason": "wrong name"})
    second = of_refund(service, refund).json
    assert (second["number"] > first["number"], second["voided"], second["total"]) == (True, None, 2_500)
    assert of_refund(service, refund, format="pdf").body.startswith(b"%PDF-")
    assert of_refund(service, other).json["total"] == 1_000


def test_a_refund_that_has_not_arrived_has_no_receipt_and_it_says_why(service):
    service.change_settings({"refundProcessing": {"refundApprovalRequired": True}})
    waits = refunded(service, paid(service), 2_500)
    assert of_refund(service, waits, 409).json["detail"] == (
        "Cannot give a receipt for it while the state is pending_approval: nothing has been paid back."
    )
    of_refund(service, {"id": service.context.new_id("refund")}, 404)
    of_refund(service, {"id": "rfn_1"}, 404)


def test_a_refund_paid_back_by_hand_names_its_evidence_and_no_card(service):
    service.sandbox.control("POST", "stripe/refunds", {"course": "failing", "seconds": 60, "times": 1})
    payment = paid(service, customer={"name": "आशा", "locale": "hi-IN"})
    failed = refunded(service, payment)
    service.advance(7 * 3600)
    service.run(refunding.look_after(service.context, payment["id"], failed["id"]))
    asked = {"evidence": "UTR 4711"}
    by_hand = service.post(f"/api/payments/refunds/{failed['id']}/manual", asked).json
    approved = service.post(f"/api/payments/refunds/{by_hand['id']}/approve", key=service.key("approver"))
    assert approved.json["status"] == "succeeded", approved
    shown = of_refund(service, by_hand).json
    assert (shown["method"], shown["references"]["evidence"]) == ("Paid back by hand", "UTR 4711")
    page = of_refund(service, by_hand, format="html").body.decode()
    assert "प्रमाण" in page
    assert "सीधे लौटाया गया" in page
    assert "••••" not in page


def listed(service: Service) -> list[Any]:
    return service.get("/api/payments/receipts", limit=200).json["data"]


def test_a_refund_that_comes_back_voids_its_receipt_which_keeps_its_number(service):
    service.sandbox.control("POST", "stripe/refunds", {"course": "failing", "seconds": 60, "times": 1})
    payment = paid(service)
    asked = {"reason": "duplicate", "amount": 2_500}
    refund = service.post(f"/api/payments/{payment['id']}/refund", asked).json
    before = [r for r in listed(service) if r["refund"] == refund["id"]]
    service.advance(7 * 3600)
    service.run(refunding.look_after(service.context, payment["id"], refund["id"]))
    [after] = [r for r in listed(service) if r["refund"] == refund["id"]]
    assert (after["number"], after["void_reason"]) == (before[0]["number"], "the refund has failed after all")
    assert receipt(service, payment).json["refunded"] == 0


def test_a_voided_receipt_keeps_its_number_and_the_payment_gets_another(service):
    payment = paid(service)
    first = receipt(service, payment).json
    path = f"/api/payments/receipts/{first['id']}/void"
    assert service.post(path, {"reason": "wrong name"}, key=service.key("approver")).status == 403
    assert service.post(path, {"reason": "wrong name"}).json["voided"] == "wrong name"
    assert service.post(path, {"reason": "again"}).status == 409
    second = receipt(service, payment).json
    assert (second["number"] > first["number"], second["voided"]) == (True, None)
    assert service.get(f"/api/payments/receipts/{first['id']}").json["voided"] == "wrong name"


def test_an_indian_invoice_splits_its_tax_by_where_it_is_supplied(service):
    service.change_settings({"business": SELLER, "receiptGeneration": {"gstInvoices": True}})
    items = [{"name": "Book", "amount": 11_800, "tax_rate": 1_800, "hsn": "4901"}]
    home = receipt(service, paid(service, 11_800, "INR", line_items=items)).json
    assert home["kind"] == "invoice"
    assert [(tax["name"], tax["rate"], tax["amount"]) for tax in home["taxes"]] == [
        ("CGST", 900, 900),
        ("SGST", 900, 900),
    ]
    away = {"name": "Ravi", "country": "IN", "state": "07"}
    other = receipt(service, paid(service, 11_800, "INR", line_items=items, customer=away)).json
    assert [(tax["name"], tax["amount"]) for tax in other["taxes"]] == [("IGST", 1_800)]
    assert other["place_of_supply"] == "07"
    abroad = receipt(service, paid(service, 11_800, "INR", line_items=items, customer={"country": "DE"})).json
    assert (taxes(abroad), abroad["place_of_supply"]) == ({"IGST": 1_800}, "96")


def test_the_gstin_names_the_state_where_nothing_else_does(service):
    seller = {**SELLER, "state": None}
    service.change_settings({"business": seller, "receiptGeneration": {"gstInvoices": True}})
    items = [{"name": "Book", "amount": 11_800, "tax_rate": 1_800, "hsn": "4901"}]
    near = receipt(service, paid(service, 11_800, "INR", line_items=items, customer={"state": "29"})).json
    assert (taxes(near), near["place_of_supply"]) == ({"CGST": 900, "SGST": 900}, "29")
    assert receipt(service, paid(service, 11_800, "INR", line_items=items)).json["place_of_supply"] == "29"


def test_reverse_charge_is_said_by_setting_and_on_invoices_alone(service):
    gst = {"gstInvoices": True, "reverseCharge": True}
    service.change_settings({"business": SELLER, "receiptGeneration": gst})
    rupees, dollars = paid(service, 11_800, "INR"), paid(service)
    assert receipt(service, rupees).json["reverse_charge"] is True
    assert receipt(service, dollars).json["reverse_charge"] is False
    service.change_settings({"receiptGeneration": {"reverseCharge": False}})
    assert receipt(service, paid(service, 11_800, "INR")).json["reverse_charge"] is False


def test_numbers_have_no_gap_and_no_repeat_among_failures_and_crowds(service, weak):
    def one(at: int) -> None:
        method = "pm_card_chargeDeclined" if at % 5 == 0 else "pm_card_visa"
        asked = {
            "amount": 1_000,
            "currency": "USD",
            "gateway": "stripe",
            "payment_method": method,
            "confirm": True,
        }
        service.post("/api/payments", asked)

    with ThreadPoolExecutor(8) as many:
        list(many.map(one, range(60)))
    for commit in range(1, 6):  # and where the process dies on the way
        weak.left = commit
        service.post(
            "/api/payments",
            {
                "amount": 1_000,
                "currency": "USD",
                "gateway": "stripe",
                "payment_method": "pm_card_visa",
                "confirm": True,
            },
        )
        weak.left = None
    rows = service.rows("SELECT prefix, year, sequence FROM receipts ORDER BY prefix, year, sequence")
    series: dict[tuple[str, int], list[int]] = {}
    for row in rows:
        series.setdefault((row["prefix"], row["year"]), []).append(row["sequence"])
    assert len(series["R", service.context.now().year]) >= 48
    assert all(found == list(range(1, len(found) + 1)) for found in series.values())


def test_what_a_receipt_cannot_say_never_holds_up_the_money(service):
    service.change_settings({"receiptGeneration": {"series": {"payment": "TOOLONG"}}})
    payment = paid(service)
    service.change_settings({"receiptGeneration": {"series": {}}})
    assert [one["subject"] for one in failures(service, payment)] == [payment["id"]]
    assert receipt(service, payment).json["number"].startswith("R-")


def failures(service: Service, payment: Any) -> list[Any]:
    found = service.rows("SELECT * FROM exceptions WHERE payment_id = $1 ORDER BY id", payment["id"])
    assert {one["kind"] for one in found} <= {"receipt_failed"}
    return found


def test_each_receipt_that_could_not_be_issued_is_told_and_is_issued_when_it_is_asked_for(service):
    service.change_settings({"receiptGeneration": {"series": {"payment": "TOOLONG", "refund": "TOOLONG"}}})
    payment = paid(service)
    refunds = [refunded(service, payment, amount) for amount in (1_000, 2_000)]
    service.change_settings({"receiptGeneration": {"series": {}}})
    told = failures(service, payment)
    assert [one["subject"] for one in told] == [payment["id"], *(refund["id"] for refund in refunds)]
    assert told[1]["sentence"] == (
        f"No receipt could be issued for {refunds[0]['id']}: TOOLONG is no prefix of a number series:"
        " one to four capital letters or digits."
    )
    assert [of_refund(service, refund).json["total"] for refund in refunds] == [1_000, 2_000]


def test_whoever_has_the_link_sees_the_receipt_and_nobody_else_does(service):
    payment = paid(service)
    link = receipt(service, payment).json["verify_url"]
    path = link.removeprefix(service.url)
    html = {"accept": "text/html"}
    page = call(service.url, "GET", path, headers=html)
    assert page.status == 200
    assert "issued this as" in page.body.decode()
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    changed = path[:-1] + ("A" if path[-1] != "A" else "B")
    mark = path.partition("~")[2]
    for wrong in (changed, "/r/nothing", "/r/" + "x" * 300, "/r/%00~x", "/r/%ff~x", f"/r/%00~{mark}"):
        answer = call(service.url, "GET", wrong, headers=html)
        assert answer.status == 404
        assert payment["id"] not in answer.body.decode()
    assert call(service.url, "GET", changed).json["code"] == "not_found"


def test_a_file_is_known_for_the_receipt_or_for_changed(service):
    payment = paid(service)
    path = receipt(service, payment).json["verify_url"].removeprefix(service.url)
    pdf = call(service.url, "GET", f"{path}?format=pdf").body
    sent = {"content-type": "application/pdf"}
    same = call(service.url, "POST", path, pdf, headers=sent)
    assert "unchanged" in same.body.decode()
    changed = call(service.url, "POST", path, pdf[:-1] + b"!", headers=sent)
    assert "is not this receipt" in changed.body.decode()


def test_a_file_stays_this_receipt_when_look_and_address_of_the_service_change(service):
    payment = paid(service)
    link = receipt(service, payment).json["verify_url"]
    path = link.removeprefix(service.url)
    pdf = call(service.url, "GET", f"{path}?format=pdf").body
    service.change_settings({"receiptGeneration": {"advancedFormatting": False}})
    elsewhere = replace(service.context, public_url="https://pay.elsewhere.example")

    async def looked() -> tuple[str | None, bool]:
        found = await receipts.verified(elsewhere, path.removeprefix("/r/"))
        assert found
        return found.verify_url, (await receipts.compare(elsewhere, found, pdf)).same

    assert service.run(looked()) == (link, True)
    plain = receipt(service, paid(service))
    assert plain.json["advanced"] is False


def form(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """The body that a browser sends, and its header: a name with a file's name behind it is a file."""
    said = b"".join(
        b"--edge\r\nContent-Disposition: form-data; name=%s\r\n\r\n%s\r\n" % (name.encode(), body)
        for name, body in parts
    )
    return said + b"--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}


def test_a_file_may_be_sent_by_the_form_of_the_page(service):
    payment = paid(service)
    path = receipt(service, payment).json["verify_url"].removeprefix(service.url)
    page = call(service.url, "GET", path, headers={"accept": "text/html"})
    assert '<input type="file" name="file"' in page.body.decode()
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert "form-action 'none'" in receipt(service, payment, format="html").headers["content-security-policy"]
    pdf, named = call(service.url, "GET", f"{path}?format=pdf").body, '"file"; filename="receipt.pdf"'
    for parts, says in (
        ([(named, pdf)], "is this receipt, unchanged"),
        ([('"note"', b"mine"), (named, pdf)], "is this receipt, unchanged"),
        ([(named, pdf[:-1] + b"!")], "is not this receipt"),
        ([(named, b"PK a picture")], "is not a PDF"),
        ([('"file"; filename=""', b"")], "is not a PDF"),
        ([('"file"', b"a text")], "is not a PDF"),
        ([], "is not a PDF"),
    ):
        body, headers = form(*parts)
        answer = call(service.url, "POST", path, body, headers=headers)
        assert (answer.status, says in answer.body.decode()) == (200, True), (parts, answer)
        assert "form-action 'self'" in answer.headers["content-security-policy"]


def test_a_form_that_is_none_or_too_large_is_refused(service):
    path = receipt(service, paid(service)).json["verify_url"].removeprefix(service.url)
    body, headers = form(('"file"; filename="x.pdf"', b"%PDF-" + bytes(5_000_000)))
    assert call(service.url, "POST", path, body, headers=headers).json["code"] == "too_large"
    for broken in ({"content-type": "multipart/form-data"}, headers):
        assert call(service.url, "POST", path, b"no form", headers=broken).status == 400
    many, headers = form(*[(f'"f{n}"; filename="x.pdf"', b"%PDF-") for n in range(2)])
    assert call(service.url, "POST", path, many, headers=headers).status == 400


def test_what_is_no_pdf_is_told_so_without_drawing_one(service, monkeypatch):
    path = receipt(service, paid(service)).json["verify_url"].removeprefix(service.url)

    async def never(*_: Any, **_more: Any) -> bytes:
        raise AssertionError("a PDF was drawn")

    monkeypatch.setattr(type(service.context.renderer), "pdf", never)
    answer = call(service.url, "POST", path, b"a text", headers={"content-type": "application/pdf"})
    assert (answer.status, "is not a PDF" in answer.body.decode()) == (200, True)


def test_a_void_that_is_asked_for_again_is_answered_as_it_was(service):
    made = receipt(service, paid(service)).json
    path, asked = f"/api/payments/receipts/{made['id']}/void", {"reason": "wrong name"}
    first, again = (service.post(path, asked, idempotency_key="void it") for _ in range(2))
    assert (first.status, first.json["voided"]) == (200, "wrong name")
    assert (again.status, again.json) == (200, first.json)
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json["verify_url"] == made["verify_url"]
    [kept] = service.rows("SELECT answer FROM idempotency WHERE path = $1", path)
    assert kept["answer"]["verify_url"] is None
    other = service.post(path, {"reason": "another"}, idempotency_key="void it")
    assert other.json["code"] == "idempotency_mismatch"
    for key in ("another", None, "another"):  # what is refused gives its key back
        assert service.post(path, asked, idempotency_key=key).json["code"] == "wrong_state"


def test_a_void_whose_answer_was_lost_is_told_to_who_asks_again(service, weak):
    made = receipt(service, paid(service)).json
    path, asked = f"/api/payments/receipts/{made['id']}/void", {"reason": "wrong name"}
    service.key()
    weak.left = 2
    lost = service.post(path, asked, idempotency_key="lost")
    assert lost.status == 503, lost
    assert service.post(path, asked, idempotency_key="lost").json["code"] == "idempotency_in_flight"
    service.advance(60)
    again = service.post(path, asked, idempotency_key="lost")
    assert (again.status, again.json["voided"]) == (200, "wrong name")


def test_the_check_finds_nothing_wrong(service):
    paid(service)
    assert [str(one) for one in service.run(checking.check(service.context)) if one.rule == "receipts"] == []


def test_the_receipt_in_json_is_what_stands_in_the_answer(service):
    shown = receipt(service, paid(service))
    assert json.loads(shown.body)["object"] == "receipt"
