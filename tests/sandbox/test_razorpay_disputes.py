"""Disputes at the sandbox's Razorpay, asked about and answered with the official SDK."""

import http.client
import io
import json
from contextlib import closing

import pytest
import razorpay

from sandbox_razorpay import DATA, Shop, fresh, open_shop
from sandbox_server import ControlError

PAID = ["payment.authorized", "payment.captured", "order.paid"]
DAY = 86_400
PDF = b"%PDF-1.4 a document"


@pytest.fixture(scope="module")
def shared():
    with open_shop() as shop:
        yield shop


@pytest.fixture
def shop(shared: Shop):
    with fresh(shared) as shop:
        yield shop


def disputed(shop, **how):
    """A captured payment and the dispute of it."""
    payment = shop.captured()
    return payment, shop.act("dispute", payment_id=payment["id"], **how)


def fetched(shop, dispute):
    return shop.client.dispute.fetch(dispute["id"])


def moved(shop, dispute, status, **how):
    return shop.act("dispute_status", dispute_id=dispute["id"], status=status, **how)


def uploaded(shop, content=PDF):
    form = io.BytesIO(content)
    form.name = "proof.pdf"
    return shop.client.document.create({"file": form, "purpose": "dispute_evidence"})


def money(shop):
    [row] = shop.sandbox.control("GET", "money")["razorpay"]
    return row["captured"], row["refunded"], row["disputed"], row["left"]


def test_a_dispute_has_the_documented_fields(shop):
    payment, dispute = disputed(shop, phase="retrieval", reason_code="goods_not_received", amount=30000)
    documented = json.loads((DATA / "api_mit" / "dispute.json").read_text())
    assert dispute.keys() == documented.keys() - {"gateway_dispute_id", "comments"} | {"evidence"}
    assert dispute["evidence"].keys() == documented_evidence().keys()
    assert (dispute["payment_id"], dispute["amount"], dispute["phase"]) == (
        payment["id"],
        30000,
        "retrieval",
    )
    assert (dispute["status"], dispute["amount_deducted"]) == ("open", 0)
    assert dispute["respond_by"] == dispute["created_at"] + 10 * DAY
    assert fetched(shop, dispute) == dispute
    assert shop.client.dispute.all()["items"] == [dispute]


def documented_evidence():
    return json.loads((DATA / "api_mit" / "dispute_contest.json").read_text())["evidence"]


def test_the_front_page_shows_what_came_of_it(shop):
    _, dispute = disputed(shop)
    uploaded(shop)
    moved(shop, dispute, "lost")
    with closing(http.client.HTTPConnection("127.0.0.1", shop.sandbox.port, timeout=10)) as connection:
        connection.request("GET", "/_sandbox/")
        page = connection.getresponse().read().decode()
    for part in (dispute["id"], "disputes", "adjustments", "-50000 INR", "documents"):
        assert part in page


def test_a_dispute_is_told_with_its_payment(shop):
    payment, dispute = disputed(shop)
    event = shop.endpoint.expect(*PAID, "payment.dispute.created")["payment.dispute.created"]
    assert event["contains"] == ["payment", "dispute"]
    assert event["payload"]["dispute"]["entity"] == dispute
    assert event["payload"]["payment"]["entity"]["id"] == payment["id"]


def test_a_dispute_is_shown_with_its_payment_where_that_is_asked_for(shop):
    payment, dispute = disputed(shop)
    status, shown = shop.api(
        "GET", f"disputes/{dispute['id']}?expand[]=payment&expand[]=transaction.settlement"
    )
    assert status == 200
    assert shown["payment"] == shop.payment(payment["id"])
    assert shop.api("GET", f"disputes/{dispute['id']}?expand[]=nothing")[0] == 400


def test_documents_of_the_three_kinds_are_kept_by_their_facts(shop):
    for content, kind in (
        (PDF, "application/pdf"),
        (b"\xff\xd8\xff\xe0 jpeg", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
    ):
        made = uploaded(shop, content)
        assert (made["mime_type"], made["purpose"]) == (kind, "dispute_evidence")
        assert made["size"] == len(content)
        assert shop.client.document.fetch(made["id"]) == made


def test_a_document_is_given_back_as_it_was_uploaded(shop):
    content = PDF + bytes(range(256)) + b"\r\n--\r\n\r"
    made = uploaded(shop, content)
    answer = shop.session.get(f"{shop.sandbox.razorpay}/v1/documents/{made['id']}/content", auth=shop.auth)
    assert (answer.headers["content-type"], answer.content) == ("application/pdf", content)
    assert shop.api("GET", "documents/doc_unknown0000/content")[0] == 400


def test_no_other_document_is_taken(shop):
    with pytest.raises(razorpay.errors.BadRequestError, match="must be a file of type"):
        uploaded(shop, b"a plain text")
    with pytest.raises(razorpay.errors.BadRequestError, match="purpose field is required"):
        shop.client.document.create({"file": io.BytesIO(PDF), "purpose": "fun"})
    status, answer = shop.api("POST", "documents", b"{}")
    assert (status, answer["error"]["field"]) == (400, "purpose")


def test_evidence_is_drafted_again_and_again_and_submitted_once(shop):
    _, dispute = disputed(shop)
    first, second = uploaded(shop)["id"], uploaded(shop)["id"]
    shop.client.dispute.contest(dispute["id"], {"summary": "a", "billing_proof": [first], "action": "draft"})
    drafted = shop.client.dispute.contest(
        dispute["id"],
        {"summary": "b", "others": [{"type": "log", "document_ids": [second]}], "amount": 40000},
    )
    assert drafted["status"] == "open"
    assert drafted["evidence"]["summary"] == "b"
    assert (drafted["evidence"]["billing_proof"], drafted["evidence"]["amount"]) == (None, 40000)
    sent = shop.client.dispute.contest(dispute["id"], {"summary": "c", "action": "submit"})
    assert (sent["status"], sent["evidence"]["summary"]) == ("under_review", "c")
    assert sent["evidence"]["submitted_at"] is not None
    shop.endpoint.expect(*PAID, "payment.dispute.created", "payment.dispute.under_review")
    for call in (
        lambda: shop.client.dispute.contest(dispute["id"], {"summary": "d", "action": "submit"}),
        lambda: shop.client.dispute.accept(dispute["id"]),
    ):
        with pytest.raises(razorpay.errors.BadRequestError, match="under_review status"):
            call()


@pytest.mark.parametrize(
    ("evidence", "field"),
    [
        ({"summary": "s" * 1001}, "summary"),
        ({"action": "shout"}, "action"),
        ({"action": "submit"}, "summary"),
        ({"amount": 50001}, "amount"),
        ({"amount": 0}, "amount"),
        ({"billing_proof": "doc_1"}, "billing_proof"),
        ({"billing_proof": [7]}, "billing_proof"),
        ({"billing_proof": ["doc_1"] * 21}, "billing_proof"),
        ({"others": ["doc_1"]}, "others"),
        ({"others": [{"type": "x", "document_ids": 7}]}, "others.0.document_ids"),
        ({"others": [{"document_ids": []}]}, "others.0.type"),
    ],
)
def test_evidence_is_checked(shop, evidence, field):
    _, dispute = disputed(shop)
    status, answer = shop.api("PATCH", f"disputes/{dispute['id']}/contest", evidence)
    assert (status, answer["error"].get("field")) == (400, field)
    assert fetched(shop, dispute) == dispute


def test_a_document_that_does_not_exist_speaks_for_nothing(shop):
    _, dispute = disputed(shop)
    with pytest.raises(razorpay.errors.BadRequestError, match="does not exist"):
        shop.client.dispute.contest(dispute["id"], {"billing_proof": ["doc_nope"], "action": "draft"})


def test_a_dispute_that_is_given_up_is_lost_and_deducted(shop):
    payment, dispute = disputed(shop, amount=30000)
    lost = shop.client.dispute.accept(dispute["id"])
    assert (lost["status"], lost["amount_deducted"]) == ("lost", 30000)
    [adjustment] = shop.sandbox.truth()["razorpay"]["adjustments"]
    assert (adjustment["amount"], adjustment["dispute_id"], adjustment["payment_id"]) == (
        -30000,
        dispute["id"],
        payment["id"],
    )
    assert money(shop) == (50000, 0, 30000, 20000)
    shop.endpoint.expect(*PAID, "payment.dispute.created", "payment.dispute.lost")


@pytest.mark.parametrize("status", ["won", "closed"])
def test_a_dispute_that_is_not_lost_takes_nothing(shop, status):
    payment, dispute = disputed(shop)
    assert moved(shop, dispute, status)["amount_deducted"] == 0
    assert money(shop) == (50000, 0, 0, 50000)
    shop.endpoint.expect(*PAID, "payment.dispute.created", f"payment.dispute.{status}")
    assert shop.client.payment.refund(payment["id"], {})["amount"] == 50000


def test_the_bank_asks_again_and_goes_through_the_phases(shop):
    _, dispute = disputed(shop, phase="fraud")
    moved(shop, dispute, "under_review")
    for phase in ("retrieval", "chargeback", "pre_arbitration", "arbitration"):
        again = moved(shop, dispute, "open", phase=phase, respond_in=DAY)
        assert (again["status"], again["phase"]) == ("open", phase)
        assert again["evidence"]["submitted_at"] is None
    expected = ["payment.dispute.created", "payment.dispute.under_review"]
    shop.endpoint.expect(*PAID, *expected, *["payment.dispute.action_required"] * 4)


@pytest.mark.parametrize(
    ("phase", "status"),
    [("chargeback", "lost"), ("arbitration", "lost"), ("fraud", "closed"), ("retrieval", "closed")],
)
def test_what_nobody_answers_ends_by_itself(shop, phase, status):
    _, dispute = disputed(shop, phase=phase, respond_in=DAY)
    shop.sandbox.advance(DAY - 60)
    assert fetched(shop, dispute)["status"] == "open"
    shop.sandbox.advance(120)
    assert fetched(shop, dispute)["status"] == status


def test_a_deadline_of_an_earlier_round_has_nothing_to_say(shop):
    _, dispute = disputed(shop, respond_in=DAY)
    moved(shop, dispute, "under_review")
    moved(shop, dispute, "open", respond_in=5 * DAY)
    shop.sandbox.advance(2 * DAY)
    assert fetched(shop, dispute)["status"] == "open"
    shop.sandbox.advance(4 * DAY)
    assert fetched(shop, dispute)["status"] == "lost"


def test_a_disputed_payment_is_not_refunded_and_of_a_lost_one_only_the_rest(shop):
    payment, dispute = disputed(shop, amount=30000)
    for status in ("open", "under_review"):
        if status != "open":
            moved(shop, dispute, status)
        with pytest.raises(razorpay.errors.BadRequestError, match="dispute has been raised"):
            shop.client.payment.refund(payment["id"], {"amount": 100})
    moved(shop, dispute, "lost")
    with pytest.raises(razorpay.errors.BadRequestError, match="greater than amount captured"):
        shop.client.payment.refund(payment["id"], {"amount": 20001})
    assert shop.client.payment.refund(payment["id"], {})["amount"] == 20000
    with pytest.raises(razorpay.errors.BadRequestError, match="dispute has been raised"):
        shop.client.payment.refund(payment["id"], {})


@pytest.mark.parametrize(
    ("path", "given", "sentence"),
    [
        ("dispute", {"payment_id": "pay_nope"}, "there is no payment"),
        ("dispute", {"payment_id": "HELD"}, "was not captured"),
        ("dispute", {"payment_id": "PAID", "amount": 50001}, "more than was paid"),
        ("dispute", {"payment_id": "PAID", "amount": "all"}, "whole number from 1"),
        ("dispute", {"payment_id": "PAID", "phase": "moon"}, "phase is one of"),
        ("dispute", {"payment_id": "PAID", "respond_in": -1}, "respond_in is"),
        ("dispute_status", {"dispute_id": "disp_nope", "status": "won"}, "there is no dispute"),
        ("dashboard_refund", {"payment_id": "PAID", "amount": 50001}, "greater than amount captured"),
        ("dashboard_refund", {"payment_id": "PAID", "speed": "slow"}, "speed is one of"),
        ("", {"refund_seconds": -1}, "refund_seconds is"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_with_a_sentence(shop, path, given, sentence):
    known = {"PAID": shop.captured()["id"], "HELD": shop.paid(shop.order())["id"]}
    with pytest.raises(ControlError, match=sentence):
        shop.act(path, **{name: known.get(str(value), value) for name, value in given.items()})


def test_a_dispute_that_is_over_stays_over(shop):
    _, dispute = disputed(shop)
    with pytest.raises(ControlError, match="status is one of"):
        moved(shop, dispute, "forgotten")
    moved(shop, dispute, "won")
    for status, how in (("lost", {}), ("open", {}), ("open", {"phase": "retrieval"})):
        with pytest.raises(ControlError, match="is over: won"):
            moved(shop, dispute, status, **how)


def test_what_was_won_may_be_asked_again_in_a_later_phase(shop):
    _, dispute = disputed(shop)
    moved(shop, dispute, "won")
    again = moved(shop, dispute, "open", phase="pre_arbitration")
    assert (again["status"], again["phase"]) == ("open", "pre_arbitration")
    with pytest.raises(ControlError, match="goes on to a later phase: it is in pre_arbitration"):
        moved(shop, dispute, "open", phase="chargeback")
    assert moved(shop, dispute, "lost")["amount_deducted"] == dispute["amount"]
