"""Receipts on their way: by themselves and by hand, with the PDF or without, once each, and what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from carrier import ACCOUNT, SECRET, Carrier, carrier
from counterfoil.documents.jail import Renderer
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.services import refunding, sending
from counterfoil.services.caller import Caller
from counterfoil.services.settings import change
from postbox import Postbox, postbox
from service import Answer, Service, Weak, call

ANNA, BEN = "anna@example.com", "ben@example.com"
OPEN = {"automatedRefunds": True, "refundApprovalRequired": False, "tellCustomers": False}


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture
def service(running: Service, weak: Weak, box: Postbox) -> Iterator[Service]:
    """Receipts go out by mail, and nothing that another test has left is due."""
    smtp = {"host": box.host, "port": box.port, "security": "none", "from": "shop@shop.example"}
    running.change_settings(
        {
            "delivery": {"smtp": smtp, "quietHours": None},
            "refundProcessing": OPEN,
            "business": {"locale": "en"},
        }
    )
    automatic(running, email=True, inApp=True)
    running.run(alone(running))
    yield running
    weak.left = None


async def alone(service: Service) -> None:
    async with service.context.db.transaction() as conn:
        await conn.execute("DELETE FROM mails")


def automatic(service: Service, **channels: bool) -> None:
    service.change_settings({"receiptGeneration": {"automatedDelivery": channels}})


def paid(service: Service, email: str | None = ANNA, **asked: Any) -> Any:
    customer = {"customer": {"email": email, "name": "Anna"}} if email else {}
    method = "pm_card_bypassPending"
    made = service.create(10_000, gateway="stripe", payment_method=method, confirm=True, **customer, **asked)
    assert made["status"] == "captured", made
    return made


def send_due(service: Service, seconds: float = 1) -> None:
    service.advance(seconds)
    service.run(sending.due_mails(service.context))


def receipt(service: Service, payment: Any) -> Any:
    return service.get(f"/api/payments/{payment['id']}/receipt").json


def deliver(service: Service, payment: Any, *channels: str, idempotency: str = "", **body: Any) -> Answer:
    path = f"/api/payments/{payment['id']}/receipt/deliver"
    headers = {"idempotency-key": idempotency} if idempotency else {}
    return service.post(path, {"channels": [*channels] or ["email"], **body}, headers=headers)


def deliveries(service: Service, receipt_id: str) -> list[tuple[str, str, str]]:
    found = service.get(f"/api/payments/receipts/{receipt_id}/deliveries").json["data"]
    return [(one["channel"], one["recipient"], one["outcome"]) for one in found]


def text(mail: Any) -> str:
    return mail.get_body(("plain",)).get_content()


def pdfs(mail: Any) -> list[tuple[str, bytes]]:
    return [(part.get_filename(), part.get_content()) for part in mail.iter_attachments()]


def test_a_captured_payment_brings_its_receipt_with_the_pdf_and_the_link(service, box):
    payment = paid(service)
    send_due(service)
    [mail], shown = box.mails, receipt(service, payment)
    assert (mail["To"], mail["Subject"]) == (ANNA, f"[Sandbox] Receipt {shown['number']} from Your shop")
    assert "received your payment of $100.00" in text(mail)
    assert text(mail).rstrip().endswith(shown["verify_url"])
    assert shown["verify_url"] in mail.get_body(("html",)).get_content()
    [(name, pdf)] = pdfs(mail)
    assert name == f"{shown['number']}.pdf"
    assert pdf == service.get(f"/api/payments/{payment['id']}/receipt", format="pdf").body
    assert deliveries(service, shown["id"]) == [("email", ANNA, "sent")]
    page = call(service.url, "GET", shown["verify_url"].removeprefix(service.url))
    assert page.status == 200


def test_it_stands_in_the_timeline_of_the_payment(service, box):
    payment = paid(service)
    send_due(service)
    lines = service.get(f"/api/payments/{payment['id']}/timeline").json["data"]
    [line] = [line for line in lines if line["kind"] == "mail"]
    assert (line["what"], line["detail"]["channel"], line["detail"]["recipient"]) == (
        "receipt",
        "email",
        ANNA,
    )
    assert (line["detail"]["outcome"], "asked_by" in line["detail"]) == ("sent", False)


def test_a_refund_brings_a_receipt_of_its_own(service, box):
    payment = paid(service)
    service.post(f"/api/payments/{payment['id']}/refund", {"reason": "duplicate", "amount": 2_500})
    send_due(service)
    _, mail = sorted(box.mails, key=lambda mail: "Refund" in mail["Subject"])
    assert mail["Subject"].startswith("[Sandbox] Refund receipt RF-")
    assert "paid back $25.00" in text(mail)
    assert pdfs(mail)[0][1].startswith(b"%PDF-")


def test_the_receipt_of_a_refund_is_sent_by_the_refunds_name_and_issued_anew_where_it_was_voided(
    service, box
):
    payment = paid(service)
    asked = {"reason": "duplicate", "amount": 2_500}
    refund = service.post(f"/api/payments/{payment['id']}/refund", asked).json
    path = f"/api/payments/refunds/{refund['id']}/receipt"
    first = service.get(path).json
    service.post(f"/api/payments/receipts/{first['id']}/void", {"reason": "wrong name"})
    [sent] = deliver(service, payment, refund=refund["id"], email=BEN).json["data"]
    assert sent["receipt"] == service.get(path).json["id"] != first["id"]
    send_due(service)
    [mail] = [mail for mail in box.mails if mail["To"] == BEN]
    assert mail["Subject"].startswith("[Sandbox] Refund receipt RF-")


def test_a_refund_of_another_payment_or_beside_a_receipt_is_no_way_to_name_one(service, box):
    payment, other = paid(service), paid(service)
    refund = service.post(f"/api/payments/{other['id']}/refund", {"reason": "duplicate"}).json
    assert deliver(service, payment, refund=refund["id"]).status == 404
    both = deliver(service, payment, refund=refund["id"], receipt=receipt(service, payment)["id"])
    assert (both.status, both.json["detail"]) == (422, "Name a receipt or a refund, not both.")
    send_due(service)
    assert len(box.mails) == 3  # what was issued by itself


def test_a_receipt_that_was_voided_meanwhile_is_not_sent(service, box):
    payment = paid(service)
    shown = receipt(service, payment)
    service.post(f"/api/payments/receipts/{shown['id']}/void", {"reason": "wrong name"})
    send_due(service)
    assert (box.mails, deliveries(service, shown["id"])) == ([], [("email", ANNA, "withdrawn")])


def test_a_receipt_that_is_issued_because_somebody_looks_is_not_sent(service, box):
    payment = paid(service)
    send_due(service)
    first = receipt(service, payment)
    service.post(f"/api/payments/receipts/{first['id']}/void", {"reason": "wrong name"})
    second = receipt(service, payment)
    send_due(service)
    assert (len(box.mails), deliveries(service, second["id"])) == (1, [])


@pytest.mark.parametrize("silent", ["setting", "address", "smtp"])
def test_where_there_is_no_way_or_no_wish_to_send_it_nothing_waits(service, silent):
    if silent == "setting":
        automatic(service, email=False)
    if silent == "smtp":
        service.change_settings({"delivery": {"smtp": None}})
    payment = paid(service, None if silent == "address" else ANNA)
    assert deliveries(service, receipt(service, payment)["id"]) == []


def test_it_waits_for_the_end_of_the_quiet_hours(service, box):
    now = service.context.now()
    hours = {"from": f"{now:%H}:00", "to": f"{now + timedelta(hours=3):%H}:00"}
    service.change_settings({"delivery": {"quietHours": hours}, "business": {"timeZone": "UTC"}})
    paid(service)
    send_due(service)
    assert box.mails == []
    send_due(service, 3 * 3_600)
    assert [mail["To"] for mail in box.mails] == [ANNA]


@pytest.mark.parametrize(
    ("locale", "said", "direction"),
    [
        ("hi-IN", "धन्यवाद।", "ltr"),
        ("ar", "شكرًا لك", "rtl"),
        ("ja", "ありがとうございます", "ltr"),
        ("de", "Thank you", "ltr"),
    ],
)
def test_it_speaks_the_language_of_the_receipt(service, box, locale, said, direction):
    service.change_settings({"business": {"locale": locale}})
    paid(service)
    service.change_settings({"business": {"locale": "en"}})
    send_due(service)
    [mail] = box.mails
    assert said in text(mail)
    language = "en" if locale == "de" else locale.partition("-")[0]
    assert mail["Content-Language"] == language
    assert f'lang="{language}" dir="{direction}"' in mail.get_body(("html",)).get_content()


class Broken(Renderer):
    async def pdf(self, *_: Any, **__: Any) -> bytes:
        raise OSError("no process can be started")


@contextmanager
def drawn_by(service: Service, renderer: Renderer) -> Iterator[None]:
    before = service.context.renderer
    object.__setattr__(service.context, "renderer", renderer)
    try:
        yield
    finally:
        object.__setattr__(service.context, "renderer", before)
        renderer.close()


def test_a_pdf_that_cannot_be_drawn_never_holds_up_the_mail(service, box):
    payment = paid(service)
    with drawn_by(service, Broken()):
        send_due(service)
    [mail], shown = box.mails, receipt(service, payment)
    assert (pdfs(mail), "attached" in text(mail)) == ([], False)
    assert shown["verify_url"] in text(mail)
    opened = service.rows("SELECT kind, sentence FROM exceptions WHERE payment_id = $1", payment["id"])
    assert [row["kind"] for row in opened] == ["receipt_not_drawn"]
    assert "no process can be started" in opened[0]["sentence"]


TEMPLATES = "/api/payments/receipts/templates"
LOOK = """<h1>Kaveri</h1>{% for said in mail.paragraphs %}<p>{{ said }}</p>{% endfor %}
<a href="{{ mail.link }}">{{ mail.button }}</a>{% if receipt.buyer.name == "Nobody" %}{{ receipt.nothing }}{% endif %}"""


@pytest.fixture
def look(service: Service) -> Iterator[str]:
    """A template of the merchant's own that draws mails, published and chosen for all receipts."""
    name = f"look-{service.context.new_id('receipt')[-8:]}"
    bring(service, name, LOOK)
    service.change_settings({"receiptGeneration": {"customTemplates": [{"template": name}]}})
    yield name
    service.change_settings({"receiptGeneration": {"customTemplates": []}})


def bring(service: Service, name: str, source: str) -> None:
    added = service.post(TEMPLATES, {"name": name, "files": {"mail.html": source}})
    assert added.status == 201, added
    assert service.post(f"{TEMPLATES}/{name}/publish", {}).status == 200


def html(mail: Any) -> str:
    return mail.get_body(("html",)).get_content()


def test_a_mail_has_the_merchants_own_look_beside_our_words_and_the_pdf(service, box, look):
    payment = paid(service)
    send_due(service)
    [mail], shown = box.mails, receipt(service, payment)
    assert shown["template"] == f"{look}@1"
    assert html(mail).startswith("<!doctype html>")
    assert "<h1>Kaveri</h1><p>Thank you. Your shop has received your payment of $100.00" in html(mail)
    assert "is attached as a PDF" in html(mail)
    assert f'<a href="{shown["verify_url"]}">Receipt {shown["number"]}</a>' in html(mail)
    assert "Kaveri" not in text(mail)
    assert shown["verify_url"] in text(mail)
    assert pdfs(mail)[0][1].startswith(b"%PDF-")


def test_a_mail_keeps_the_version_its_receipt_was_issued_with(service, box, look):
    paid(service)
    bring(service, look, "<p>Second</p>")
    send_due(service)
    assert "<h1>Kaveri</h1>" in html(box.mails[0])


def test_a_look_that_fails_is_replaced_by_ours_and_calls_a_person(service, box, look):
    payment = paid(service, customer={"email": ANNA, "name": "Nobody"}, email=None)
    send_due(service)
    [mail] = box.mails
    assert "Kaveri" not in html(mail)
    assert receipt(service, payment)["verify_url"] in html(mail)
    assert pdfs(mail)[0][1].startswith(b"%PDF-")
    [told] = service.rows("SELECT sentence FROM exceptions WHERE subject = $1", f"{look}@1")
    assert "there is no nothing here" in told["sentence"]


def test_a_look_that_breaks_otherwise_holds_nothing_up_either(service, box, look):
    class Torn(Renderer):
        async def page(self, *_: Any, **__: Any) -> str:
            raise RuntimeError("a pipe was torn")

    payment = paid(service)
    with drawn_by(service, Torn()):
        send_due(service)
    [mail] = box.mails
    assert "Kaveri" not in html(mail)
    [told] = service.rows("SELECT sentence FROM exceptions WHERE payment_id = $1", payment["id"])
    assert (
        "without the merchant's own look, in which it could not be drawn: a pipe was torn."
        in told["sentence"]
    )


def test_the_merchants_own_look_says_whether_the_pdf_is_there(service, box, look):
    paid(service)
    with drawn_by(service, Broken()):
        send_due(service)
    [mail] = box.mails
    assert (pdfs(mail), "attached" in html(mail), "<h1>Kaveri</h1>" in html(mail)) == ([], False, True)


@pytest.mark.parametrize("commit", range(1, 6))
def test_a_process_that_dies_while_money_is_taken_sends_one_receipt_or_none_was_issued(
    service, box, weak, commit
):
    weak.left = commit
    asked = {
        "amount": 10_000,
        "currency": "USD",
        "gateway": "stripe",
        "payment_method": "pm_card_bypassPending",
    }
    key = {"idempotency-key": f"dies-{commit}"}
    body = asked | {"confirm": True, "customer": {"email": ANNA}}
    service.post("/api/payments", body, headers=key)
    weak.left = None
    service.advance(60)
    made = service.post("/api/payments", body, headers=key).json
    service.post(f"/api/payments/{made['id']}/sync")
    send_due(service)
    assert service.payment(made["id"])["status"] == "captured"
    assert [mail["To"] for mail in box.mails] == [ANNA]
    assert deliveries(service, receipt(service, made)["id"]) == [("email", ANNA, "sent")]


@pytest.mark.parametrize("commit", [1, 2])
def test_a_process_that_dies_while_it_sends_doubles_nothing_that_cannot_be_told_apart(
    service, box, weak, commit
):
    payment = paid(service)
    service.advance(1)
    weak.left = commit
    with suppress(DatabaseAwayError):
        service.run(sending.due_mails(service.context))
    weak.left = None
    send_due(service, 300)
    assert (len(box.mails), len({mail["Message-ID"] for mail in box.mails})) == (commit, 1)
    assert deliveries(service, receipt(service, payment)["id"]) == [("email", ANNA, "sent")]


# By hand.


def test_each_asking_is_a_delivery_of_its_own_with_who_asked(service, box):
    automatic(service, email=False)
    payment = paid(service)
    for _ in range(2):
        assert deliver(service, payment).status == 202
    answer = deliver(service, payment, email=BEN)
    [made] = answer.json["data"]
    assert (made["recipient"], made["outcome"], made["channel"]) == (BEN, "waits", "email")
    assert made["asked_by"].startswith("key_")
    send_due(service)
    assert sorted(mail["To"] for mail in box.mails) == [ANNA, ANNA, BEN]
    assert len({mail["Message-ID"] for mail in box.mails}) == 3
    lines = service.get(f"/api/payments/{payment['id']}/timeline").json["data"]
    assert [line["what"] for line in lines if line["kind"] == "decision"].count("receipt.deliver") == 3


def test_it_can_be_sent_again_after_a_bounce_to_the_right_address(service, box):
    payment = paid(service)
    box.rcpt.append("550 5.1.1 no such user")
    send_due(service)
    id_ = receipt(service, payment)["id"]
    assert deliveries(service, id_) == [("email", ANNA, "bounced")]
    [bounced] = service.get(f"/api/payments/receipts/{id_}/deliveries").json["data"]
    assert "no such user" in bounced["error"]
    for address in (ANNA, BEN):
        deliver(service, payment, email=address)
    send_due(service)
    assert deliveries(service, id_)[1:] == [("email", ANNA, "sent"), ("email", BEN, "sent")]


def test_the_receipt_of_a_refund_is_sent_by_its_id_and_only_with_its_payment(service, box):
    automatic(service, email=False)
    payment, other = paid(service), paid(service)
    service.post(f"/api/payments/{payment['id']}/refund", {"reason": "duplicate", "amount": 2_500})
    listed = service.get("/api/payments/receipts", limit=200).json["data"]
    [own] = [r for r in listed if r["payment"] == payment["id"] and r["kind"] == "refund"]
    assert deliver(service, other, receipt=own["id"]).status == 404
    assert deliver(service, payment, receipt=own["id"]).status == 202
    send_due(service)
    assert [own["number"] in mail["Subject"] for mail in box.mails] == [True]


def test_a_retry_of_the_same_request_sends_nothing_more(service, box):
    automatic(service, email=False)
    payment = paid(service)
    first, second = (deliver(service, payment, idempotency="send-once") for _ in range(2))
    assert (first.json, second.headers.get("idempotency-replayed")) == (second.json, "true")
    assert deliver(service, payment, idempotency="send-once", email=BEN).status == 422
    send_due(service)
    assert len(box.mails) == 1


@pytest.mark.parametrize("commit", [1, 2, 3])
def test_a_retry_after_a_crash_sends_it_once(service, box, weak, commit):
    automatic(service, email=False)
    payment = paid(service)
    weak.left = commit
    deliver(service, payment, idempotency=f"crash-{commit}")
    weak.left = None
    service.advance(60)
    again = deliver(service, payment, idempotency=f"crash-{commit}")
    assert (again.status, len(again.json["data"])) == (202, 1)
    send_due(service)
    assert [mail["To"] for mail in box.mails] == [ANNA]


def test_what_cannot_be_sent_is_refused_with_what_is_missing(service):
    payment = paid(service, None)
    assert deliver(service, payment).json["detail"] == (
        "The customer has no e-mail address: say one in email."
    )
    for wrong in ("a,b@example.com", "a@b\r\nBcc: c@d", "nobody"):
        assert deliver(service, payment, email=wrong).status == 422
    assert deliver(service, payment, "pigeon").status == 422
    assert deliver(service, service.create(5_000), email=ANNA).status == 409
    shown = receipt(service, payment)
    service.post(f"/api/payments/receipts/{shown['id']}/void", {"reason": "wrong name"})
    assert deliver(service, payment, email=ANNA, receipt=shown["id"]).status == 409
    service.change_settings({"delivery": {"smtp": None}})
    refused = deliver(service, payment, email=ANNA)
    assert refused.json["detail"] == "No mail can be sent: delivery.smtp is not set."
    assert deliveries(service, shown["id"]) == []


def test_of_a_refused_asking_nothing_is_sent_by_the_other_channels(service):
    payment = paid(service, None)
    before = told(service)
    assert deliver(service, payment, "in_app", "email").status == 422
    assert (told(service), deliveries(service, receipt(service, payment)["id"])) == (before, [])


# By SMS.


NUMBER = "+919876543210"


@pytest.fixture
def sms(service: Service) -> Iterator[Carrier]:
    """Receipts go out by SMS alone; the settings API has sealed the carrier's secret."""
    with carrier() as played:
        before = service.context.texting.hosts
        service.context.texting.hosts = played.hosts
        owner = Caller("tests", service.context.merchant_id, "sandbox")
        chosen = {"provider": "twilio", "account": ACCOUNT, "sender": "+15005550006", "secret": SECRET}
        service.run(change(service.context, owner, {"delivery": {"sms": chosen}}))
        automatic(service, email=False, sms=True)
        yield played
        service.context.texting.hosts = before
        automatic(service, sms=False)
        service.change_settings({"delivery": {"sms": None}})


def reachable(service: Service) -> Any:
    asked = {"gateway": "stripe", "payment_method": "pm_card_bypassPending", "confirm": True}
    return service.create(10_000, customer={"phone": "+91 98765 43210"}, **asked)


def test_an_sms_brings_the_link(service, sms):
    payment = reachable(service)
    send_due(service)
    [got], shown = sms.got, receipt(service, payment)
    assert (got.to, got.asked["Body"]) == (
        NUMBER,
        f"[Sandbox] Your shop: Receipt {shown['number']}, $100.00\n{shown['verify_url']}",
    )
    assert deliveries(service, shown["id"]) == [("sms", NUMBER, "sent")]
    stored = service.rows("SELECT document::text AS text FROM settings")[0]["text"]
    assert SECRET not in stored
    assert SECRET not in str(service.get("/api/payments/settings").json)


@pytest.mark.parametrize("answer", [(429, {"code": 20429}), (401, {"code": 20003})])
def test_an_sms_that_was_surely_not_taken_is_sent_again(service, sms, answer):
    payment = reachable(service)
    sms.answers.append(answer)
    send_due(service)
    assert deliveries(service, receipt(service, payment)["id"]) == [("sms", NUMBER, "waits")]
    send_due(service, 61)
    assert deliveries(service, receipt(service, payment)["id"]) == [("sms", NUMBER, "sent")]
    assert len(sms.got) == 2


@pytest.mark.parametrize("answer", [(500, {}), "lose"])
def test_an_sms_that_may_have_been_taken_is_not_sent_again_and_calls_a_person(service, sms, answer):
    payment = reachable(service)
    sms.answers.append(answer)
    send_due(service)
    send_due(service, 3_600)
    id_ = receipt(service, payment)["id"]
    assert (len(sms.got), deliveries(service, id_)) == (1, [("sms", NUMBER, "unknown")])
    [opened] = service.rows("SELECT sentence FROM exceptions WHERE payment_id = $1", payment["id"])
    assert f"The SMS receipt of {payment['id']} may not have been delivered" in opened["sentence"]
    assert deliver(service, payment, "sms").status == 202
    send_due(service)
    assert deliveries(service, id_)[1:] == [("sms", NUMBER, "sent")]


def test_a_number_that_the_carrier_refuses_is_a_bounce(service, sms):
    payment = reachable(service)
    sms.answers.append((400, {"code": 21211, "message": "not a number"}))
    send_due(service)
    assert deliveries(service, receipt(service, payment)["id"]) == [("sms", NUMBER, "bounced")]


@pytest.mark.parametrize(("commit", "came"), [(1, "sent"), (2, "unknown")])
def test_a_process_that_dies_while_it_sends_an_sms_never_doubles_it(service, sms, weak, commit, came):
    payment = reachable(service)
    service.advance(1)
    weak.left = commit
    with suppress(DatabaseAwayError):
        service.run(sending.due_mails(service.context))
    weak.left = None
    send_due(service, 300)
    assert (len(sms.got), deliveries(service, receipt(service, payment)["id"])) == (
        1,
        [("sms", NUMBER, came)],
    )


def test_an_sms_waits_for_the_end_of_the_quiet_hours_and_then_goes_once(service, sms):
    now = service.context.now()
    hours = {"from": f"{now:%H}:00", "to": f"{now + timedelta(hours=3):%H}:00"}
    service.change_settings({"delivery": {"quietHours": hours}, "business": {"timeZone": "UTC"}})
    reachable(service)
    for _ in range(2):
        send_due(service)
    assert sms.got == []
    send_due(service, 3 * 3_600)
    assert [got.to for got in sms.got] == [NUMBER]


def test_an_sms_that_is_asked_for_needs_a_number_with_its_country(service, sms):
    payment = paid(service)
    assert deliver(service, payment, "sms").json["detail"].startswith("An SMS needs a number")
    assert deliver(service, payment, "sms", phone="9876543210").status == 422
    assert deliver(service, payment, "sms", phone="+91 98765 43210").json["data"][0]["recipient"] == NUMBER
    service.change_settings({"delivery": {"sms": None}})
    refused = deliver(service, payment, "sms", phone=NUMBER)
    assert refused.json["detail"] == "No SMS can be sent: delivery.sms is not set."


# In the app.


def told(service: Service) -> list[tuple[str, str]]:
    rows = service.rows("SELECT type, object_id FROM events WHERE type LIKE 'receipt.%' ORDER BY id")
    return [(row["type"], row["object_id"]) for row in rows]


def test_the_backend_hears_of_receipts_as_they_are_issued_and_voided(service):
    payment = paid(service)
    shown = receipt(service, payment)
    service.post(f"/api/payments/receipts/{shown['id']}/void", {"reason": "wrong name"})
    mine = [type_ for type_, id_ in told(service) if id_ == shown["id"]]
    assert mine == ["receipt.issued", "receipt.voided"]
    [issued, voided] = service.rows(
        "SELECT version, object FROM events WHERE object_id = $1 ORDER BY version", shown["id"]
    )
    assert (issued["object"]["number"], issued["object"]["voided_at"]) == (shown["number"], None)
    assert (voided["version"], voided["object"]["void_reason"]) == (2, "wrong name")


def test_by_setting_it_does_not_and_still_when_somebody_asks(service):
    automatic(service, inApp=False)
    payment = paid(service)
    shown = receipt(service, payment)
    assert shown["id"] not in {id_ for _, id_ in told(service)}
    deliver(service, payment, "in_app")
    assert ("receipt.requested", shown["id"]) in told(service)
    assert deliveries(service, shown["id"])[-1] == ("in_app", "app", "sent")


def test_an_address_that_is_the_customers_id_too_is_told_by_every_channel(service, box):
    automatic(service, email=False)
    payment = paid(service, email=None, customer={"id": ANNA, "email": ANNA})
    asked = deliver(service, payment, "in_app", "email")
    assert [one["channel"] for one in asked.json["data"]] == ["in_app", "email"]
    send_due(service)
    assert len(box.mails) == 1
    listed = deliveries(service, receipt(service, payment)["id"])
    assert sorted(listed) == [("email", ANNA, "sent"), ("in_app", ANNA, "sent")]


def test_a_refund_that_comes_back_withdraws_its_receipt_and_tells_the_backend(service, box):
    course = {"course": "failing", "seconds": 60, "times": 1}
    service.sandbox.control("POST", "stripe/refunds", course)
    payment = paid(service)
    refund = service.post(
        f"/api/payments/{payment['id']}/refund", {"reason": "duplicate", "amount": 2_500}
    ).json
    service.advance(7 * 3_600)
    service.run(refunding.look_after(service.context, payment["id"], refund["id"]))
    send_due(service)
    assert [mail["Subject"].startswith("[Sandbox] Receipt R-") for mail in box.mails] == [True]
    assert [type_ for type_, _ in told(service)][-2:] == ["receipt.issued", "receipt.voided"]
    service.sandbox.control("POST", "stripe/refunds", {})
