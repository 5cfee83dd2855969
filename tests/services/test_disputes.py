"""Disputes through both gateways' sandbox: evidence, answers whose outcome is lost, deadlines and their alarms."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from counterfoil.documents.template import TemplateError
from counterfoil.documents.typesetting import Job
from counterfoil.domain.dispute import TEXTS
from counterfoil.services import checking, deadlines, inbox, sending, settling
from database import Postgres
from pdf_reading import embedded, pages, squeezed
from postbox import Postbox, postbox
from service import Service, Weak, serving

DAY = 86_400
CUSTOMER = {"name": "Asha Rao", "email": "asha@example.com", "country": "IN"}
ITEMS = [{"name": "Blue kettle", "quantity": 2, "amount": 2_500}]
# Done, but no usable answer; each where even a second sending with the same key meets it.
AFTER = ["reset_after", "error_5xx_after", "garbage"]
# Not done, and no usable answer.
BEFORE = ["reset_before", "error_5xx_before"]
CALLS = {
    ("stripe", "submit"): "disputes.update",
    ("stripe", "accept"): "disputes.close",
    ("razorpay", "submit"): "disputes.contest",
    ("razorpay", "accept"): "disputes.accept",
}


@pytest.fixture(scope="module")
def weak() -> Weak:
    return Weak()


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres, weak: Weak) -> Iterator[Service]:
    """No worker: what is heard, settled and told is so because a test says."""
    with serving(fast_postgres, work=False, on_commit=weak) as service:
        service.key()
        yield service


@pytest.fixture
def service(running: Service, weak: Weak) -> Iterator[Service]:
    yield running
    weak.left = None
    running.sandbox.control("DELETE", "faults")


@pytest.fixture
def post(service: Service) -> Iterator[Postbox]:
    with postbox() as box:
        smtp = {"host": box.host, "port": box.port, "from": "shop@example.com", "security": "none"}
        service.change_settings({"delivery": {"smtp": smtp, "operators": ["ops@example.com"]}})
        yield box
    service.change_settings({"delivery": {"smtp": None, "operators": []}})


def paid(service: Service, gateway: str, **asked: Any) -> Any:
    """A captured payment of 100.00."""
    if gateway == "stripe":
        asked = {"payment_method": "pm_card_visa", "confirm": True} | asked
        return service.create(gateway="stripe", customer=CUSTOMER, line_items=ITEMS, **asked)
    asked = {"customer": CUSTOMER, "line_items": ITEMS} | asked
    made = service.create(currency="INR", gateway="razorpay", **asked)
    service.pay_razorpay(made["attempts"][0]["gateway_reference"])
    answer = service.post(f"/api/payments/{made['id']}/sync")
    assert answer.json["status"] == "captured", answer
    return answer.json


def charge_of(payment: Any) -> str:
    (charge,) = [one for attempt in payment["attempts"] for one in attempt["charges"]]
    return charge["gateway_reference"]


def dispute(service: Service, payment: Any, **more: Any) -> Any:
    """The customer's bank opens a dispute, and we hear of it."""
    gateway, charge = payment["gateway"], charge_of(payment)
    asked = {"charge": charge} if gateway == "stripe" else {"payment_id": charge}
    service.sandbox.control("POST", f"{gateway}/dispute", asked | more)
    service.eventually(lambda: hear(service) or service.payment(payment["id"])["disputes"])
    return service.payment(payment["id"])["disputes"][0]


def hear(service: Service) -> None:
    """Understand what has come in."""
    for row in service.rows("SELECT id FROM inbox WHERE status = 'received' ORDER BY id"):
        service.run(inbox.understand(service.context, row["id"]))


def status(service: Service, one: Any, to: str, **more: Any) -> None:
    """The bank goes on with a dispute."""
    name = "dispute" if one["gateway"] == "stripe" else "dispute_id"
    asked = {name: one["gateway_reference"], "status": to, **more}
    service.sandbox.control("POST", f"{one['gateway']}/dispute_status", asked)


def read(service: Service, one: Any) -> Any:
    answer = service.get(f"/api/payments/disputes/{one['id']}")
    assert answer.status == 200, answer
    return answer.json


def until(service: Service, one: Any, to: str) -> Any:
    service.eventually(lambda: hear(service) or read(service, one)["status"] == to)
    return read(service, one)


def answer(service: Service, one: Any, verb: str, *, expect: int = 200, **more: Any) -> Any:
    body = {"confirm": True} if verb == "accept" else None
    said = service.post(f"/api/payments/disputes/{one['id']}/{verb}", body, **more)
    assert said.status == expect, said
    return said.json


def truth(service: Service, one: Any) -> Any:
    """The dispute as the gateway has it."""
    found = service.sandbox.truth()[one["gateway"]]["disputes"]
    return next(row for row in found if row["id"] == one["gateway_reference"])


def asked(service: Service, one: Any, verb: str) -> int:
    """How often the gateway did what was asked."""
    rows = service.rows("SELECT id FROM calls WHERE dispute_id = $1 AND verb = $2", one["id"], verb)
    return len(rows)


def evidence(service: Service, one: Any) -> Any:
    return service.get(f"/api/payments/disputes/{one['id']}/evidence").json


def is_sound(service: Service) -> None:
    assert service.run(checking.check(service.context)) == []


GATEWAYS = ["stripe", "razorpay"]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_evidence_is_collected_from_our_own_records(service: Service, gateway: str):
    payment = paid(service, gateway)
    one = dispute(service, payment)
    found = evidence(service, one)
    assert found["status"] == "collected"
    assert payment["id"] in found["summary"]
    assert charge_of(payment) in found["summary"]
    assert len(found["summary"]) <= 1_000
    assert "Blue kettle, 2 at 25.00" in found["texts"]["receipt"]
    assert found["texts"]["customer_name"] == "Asha Rao"
    assert "asha@example.com" in found["texts"]["receipt"]
    assert found["texts"]["refund_history"] == "No refund was made of this charge."
    assert "charge.captured" in found["texts"]["timeline"]
    assert set(found["texts"]) <= set(TEXTS)
    assert set(found["fields"]) <= set(TEXTS)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_draft_is_edited_and_what_is_submitted_is_kept(service: Service, gateway: str):
    one = dispute(service, paid(service, gateway))
    path = f"/api/payments/disputes/{one['id']}/evidence"
    changed = service.call("PUT", path, {"texts": {"refund_policy": "No returns.", "timeline": ""}}).json
    assert (changed["status"], changed["texts"]["refund_policy"]) == ("draft", "No returns.")
    assert "timeline" not in changed["texts"]
    assert "receipt" in changed["texts"]
    now = answer(service, one, "submit")
    assert (now["answer"], now["status"], now["waits_for_answer"]) == ("submitted", "under_review", False)
    assert now["submitted_by"].startswith("key_")
    sent = evidence(service, one)
    assert (sent["status"], sent["texts"]) == ("sent", changed["texts"])
    assert truth(service, one)["status"] == "under_review"
    assert service.call("PUT", path, {"summary": "More."}).status == 409
    is_sound(service)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_an_accepted_dispute_is_lost_and_its_money_is_booked_as_a_loss(service: Service, gateway: str):
    payment = paid(service, gateway)
    one = dispute(service, payment, amount=4_000)
    assert service.payment(payment["id"])["refundable"] == 6_000
    now = answer(service, one, "accept")
    assert (now["answer"], now["status"], now["amount_lost"]) == ("accepted", "lost", 4_000)
    assert truth(service, one)["status"] == "lost"
    assert service.payment(payment["id"])["refundable"] == 6_000
    is_sound(service)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_dispute_that_is_won_gives_its_money_back(service: Service, gateway: str):
    payment = paid(service, gateway)
    one = dispute(service, payment)
    assert service.payment(payment["id"])["refundable"] == 0
    answer(service, one, "submit")
    status(service, one, "won")
    now = until(service, one, "won")
    assert (now["amount_held"], now["open"]) == (0, False)
    assert service.payment(payment["id"])["refundable"] == 10_000
    is_sound(service)


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("verb", ["submit", "accept"])
@pytest.mark.parametrize("kind", AFTER)
def test_an_answer_whose_outcome_was_lost_is_found_by_reading_and_not_sent_again(
    service: Service, gateway: str, verb: str, kind: str
):
    payment = paid(service, gateway)
    one = dispute(service, payment)
    service.sandbox.fault(gateway, CALLS[gateway, verb], kind, times=2 if "reset" in kind else 1)
    now = answer(service, one, verb)
    assert now["answer"] == {"submit": "submitting", "accept": "accepting"}[verb]
    assert answer(service, one, verb, expect=409)["code"] == "wrong_state"  # one at a time
    service.run(settling.sync(service.context, payment["id"]))
    done = read(service, one)
    assert done["answer"] == {"submit": "submitted", "accept": "accepted"}[verb]
    assert done["status"] == {"submit": "under_review", "accept": "lost"}[verb]
    assert asked(service, one, {"submit": "submit_evidence", "accept": "accept_dispute"}[verb]) == 1
    is_sound(service)


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("kind", BEFORE)
def test_an_answer_that_never_arrived_may_be_sent_again_once_that_is_certain(
    service: Service, gateway: str, kind: str
):
    payment = paid(service, gateway)
    one = dispute(service, payment)
    service.sandbox.fault(gateway, CALLS[gateway, "submit"], kind, times=2 if "reset" in kind else 1)
    assert answer(service, one, "submit")["answer"] == "submitting"
    for _ in range(3):  # however often: it may still be on its way
        service.run(settling.sync(service.context, payment["id"]))
    assert read(service, one)["answer"] == "submitting"
    service.advance(91)
    for _ in range(2):
        service.run(settling.sync(service.context, payment["id"]))
    now = read(service, one)
    assert (now["answer"], now["waits_for_answer"]) == ("none", True)
    assert now["failure"]["message"] == "without effect, by reading twice"
    told = [f"The answer to {one['gateway_reference']} was not sent: without effect, by reading twice"]
    assert [row["sentence"] for row in exceptions(service, "dispute_not_answered", one)] == told
    assert answer(service, one, "submit")["answer"] == "submitted"
    assert exceptions(service, "dispute_not_answered", one) == []
    is_sound(service)


def test_an_answer_whose_process_died_before_its_outcome_was_written_is_settled_by_reading(
    service: Service, weak: Weak
):
    payment = paid(service, "stripe")
    one = dispute(service, payment)
    service.sandbox.webhooks(hold=True)  # no other commit is counted
    weak.left = 2  # the intent commits; the outcome does not
    assert service.post(f"/api/payments/disputes/{one['id']}/submit").status == 503
    service.sandbox.webhooks(hold=False)
    assert read(service, one)["answer"] == "submitting"
    service.run(settling.sync(service.context, payment["id"]))
    assert read(service, one)["answer"] == "submitted"
    assert asked(service, one, "submit_evidence") == 1


def test_a_refusal_is_told_and_the_dispute_read_again(service: Service):
    one = dispute(service, paid(service, "stripe"))
    status(service, one, "lost")  # and the webhook has not been understood yet
    now = answer(service, one, "submit")
    assert (now["answer"], now["failure"]["code"] is not None) == ("none", True)
    service.run(deadlines.due_disputes(service.context))
    assert read(service, one)["status"] == "lost"
    is_sound(service)


def test_a_second_submission_answers_how_it_stands(service: Service):
    one = dispute(service, paid(service, "stripe"))
    first = answer(service, one, "submit")
    assert answer(service, one, "submit") == first
    assert asked(service, one, "submit_evidence") == 1
    assert answer(service, one, "accept", expect=409)["code"] == "wrong_state"


def test_an_inquiry_is_answered_or_refunded_but_not_accepted(service: Service):
    payment = paid(service, "stripe", payment_method="pm_card_createDisputeInquiry")
    service.eventually(lambda: hear(service) or service.payment(payment["id"])["disputes"])
    one = service.payment(payment["id"])["disputes"][0]
    assert (one["status"], one["amount_held"]) == ("inquiry", 0)
    assert service.payment(payment["id"])["refundable"] == 10_000
    assert answer(service, one, "accept", expect=409)["code"] == "wrong_state"
    assert answer(service, one, "submit")["answer"] == "submitted"
    status(service, one, "needs_response")
    assert until(service, one, "needs_response")["amount_held"] == 10_000


def test_a_bank_that_asks_again_may_be_answered_again(service: Service):
    one = dispute(service, paid(service, "razorpay"))
    assert answer(service, one, "submit")["status"] == "under_review"
    status(service, one, "open", respond_in=30 * DAY)
    now = until(service, one, "needs_response")
    assert (now["answer"], now["waits_for_answer"]) == ("none", True)
    assert answer(service, one, "submit")["answer"] == "submitted"
    assert asked(service, one, "submit_evidence") == 2
    is_sound(service)


def exceptions(service: Service, kind: str, one: Any) -> list[dict[str, Any]]:
    """What waits for a person about a dispute."""
    return service.rows(
        "SELECT sentence FROM exceptions WHERE kind = $1 AND starts_with(subject, $2)"
        " AND resolved_at IS NULL ORDER BY opened_at",
        kind,
        one["id"],
    )


# Deadlines


def alarms(service: Service, one: Any) -> list[str]:
    return [row["sentence"] for row in exceptions(service, "dispute_deadline", one)]


def test_an_alarm_stays_while_an_answer_is_on_its_way(service: Service):
    payment = paid(service, "stripe")
    one = dispute(service, payment)
    sweep(service)
    service.sandbox.fault("stripe", "disputes.update", "error_5xx_after")
    assert answer(service, one, "submit")["answer"] == "submitting"
    assert len(alarms(service, one)) == 1
    service.run(settling.sync(service.context, payment["id"]))
    assert alarms(service, one) == []


def sweep(service: Service) -> None:
    while service.run(deadlines.due_disputes(service.context)):
        pass


def test_operators_are_told_at_once_before_the_deadline_and_when_it_is_missed(
    service: Service, post: Postbox
):
    one = dispute(service, paid(service, "razorpay"), respond_in=10 * DAY)
    told = []
    for days in (0, 2, 2, 4.5, 0.1, 0.9):  # at 0, 2, 4, 8.5, 8.6 and 9.5 days
        service.advance(days * DAY)
        sweep(service)
        told.append(len(alarms(service, one)))
    assert told == [1, 1, 2, 3, 3, 4]
    service.advance(40)
    while service.run(sending.due_mails(service.context)):
        pass
    mine = [mail for mail in post.to("ops@example.com") if one["id"] in str(mail.get_body(("plain",)))]
    assert len(mine) == 4
    subject = str(mine[0]["Subject"])
    assert subject.strip().startswith("[Sandbox] Dispute of 100.00 INR: answer until")
    answer(service, one, "submit")
    assert alarms(service, one) == []


def test_a_missed_deadline_is_told(service: Service):
    one = dispute(service, paid(service, "stripe"))
    sweep(service)
    service.sandbox.fault("stripe", "disputes.retrieve", "error_5xx_before", times=None)
    service.advance(21 * DAY)
    sweep(service)
    assert "nobody has" in alarms(service, one)[-1]


def test_an_open_dispute_is_read_again_although_no_webhook_tells_of_it(service: Service):
    one = dispute(service, paid(service, "stripe"))
    sweep(service)
    service.sandbox.webhooks(hold=True)
    status(service, one, "won")
    service.advance(3_601)
    sweep(service)
    service.sandbox.webhooks(hold=False)
    assert read(service, one)["status"] == "won"
    [row] = service.rows("SELECT next_check_at FROM disputes WHERE id = $1", one["id"])
    assert row["next_check_at"] is None


# Evidence on paper


def uploaded(service: Service, one: Any) -> dict[str, list[bytes]]:
    """Every document that Razorpay was ever sent, by its name, as it has them."""
    config = service.sandbox.config
    auth = (config.razorpay_key_id, config.razorpay_key_secret)
    found: dict[str, list[bytes]] = {}
    for document in service.sandbox.truth()["razorpay"]["documents"]:
        url = f"{service.sandbox.razorpay}/v1/documents/{document['id']}/content"
        content = requests.get(url, auth=auth, timeout=10).content
        if one["gateway_reference"].encode() in embedded(content)[2]:
            found.setdefault(document["name"].removesuffix(".pdf"), []).append(content)
    return found


def named(service: Service, one: Any) -> set[str]:
    """The documents that the contest names."""
    kept = truth(service, one)["evidence"]
    plain = [
        ids
        for field, ids in kept.items()
        if field not in {"summary", "others", "amount"} and isinstance(ids, list)
    ]
    return {id_ for ids in (*plain, *(other["document_ids"] for other in kept["others"])) for id_ in ids}


def test_what_razorpay_is_sent_is_each_text_as_pdf_in_its_own_script(service: Service):
    names = {"name": "दीक्षा क्षत्रिय", "email": "asha@example.com", "country": "IN"}
    one = dispute(service, paid(service, "razorpay", customer=names))
    path = f"/api/payments/disputes/{one['id']}/evidence"
    service.call("PUT", path, {"texts": {"customer_communication": "பொருள் கிடைத்தது\nநன்றி"}})
    answer(service, one, "submit")
    texts, papers = evidence(service, one)["texts"], uploaded(service, one)
    assert set(papers) == set(texts)
    assert len(named(service, one)) == len(texts)
    for name, text in texts.items():
        (paper,) = papers[name]
        written = squeezed("".join(pages(paper)))
        assert [line for line in text.splitlines() if squeezed(line) not in written] == []
        told = json.loads(embedded(paper)[2])
        assert (told["text"], told["dispute"]) == (text, one["gateway_reference"])
    assert "दीक्षा क्षत्रिय" in pages(papers["customer_name"][0])[0]


def test_what_is_sent_again_in_the_same_words_is_the_same_bytes(service: Service):
    one = dispute(service, paid(service, "razorpay"))
    path = f"/api/payments/disputes/{one['id']}/evidence"
    service.call("PUT", path, {"texts": {"refund_policy": "No returns."}})
    service.sandbox.fault("razorpay", "disputes.contest", "error_4xx")
    assert answer(service, one, "submit")["answer"] == "none"
    service.advance(DAY)
    service.call("PUT", path, {"texts": {"refund_policy": "None."}})
    assert answer(service, one, "submit")["answer"] == "submitted"
    papers = uploaded(service, one)
    assert {len(sent) for sent in papers.values()} == {2}
    assert [name for name, (first, second) in papers.items() if first != second] == ["refund_policy"]


def refusing(reason: str) -> Callable[..., Any]:
    async def document(job: Job) -> bytes:
        raise TemplateError(reason)

    return document


def test_a_text_that_cannot_be_drawn_is_told_and_nothing_is_sent(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    one = dispute(service, paid(service, "razorpay"))
    path = f"/api/payments/disputes/{one['id']}/evidence"
    kept = service.call("PUT", path, {"texts": {"refund_policy": "No returns."}}).json
    with monkeypatch.context() as broken:
        broken.setattr(service.context.renderer, "document", refusing("it took longer than 60 s"))
        refused = answer(service, one, "submit", expect=422, idempotency_key="once")
    assert (refused["code"], refused["field"].partition(".")[0]) == ("invalid_request", "texts")
    name = refused["field"].removeprefix("texts.")
    told = f"{name} cannot be made a PDF: it took longer than 60 s. Nothing was sent, and the draft is as it was."
    assert refused["detail"] == told
    assert (uploaded(service, one), asked(service, one, "submit_evidence")) == ({}, 0)
    assert evidence(service, one) == kept
    assert answer(service, one, "submit", idempotency_key="once")["answer"] == "submitted"


def test_a_paper_that_is_larger_than_the_gateway_is_sent_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    one = dispute(service, paid(service, "razorpay"))
    part = service.context.directory.gateway(account(service, one)).disputes
    monkeypatch.setattr(part, "paper_bytes", 1_000)
    refused = answer(service, one, "submit", expect=422)
    assert "bytes, and the gateway is sent at most 1000; shorten it. Nothing was sent" in refused["detail"]
    assert uploaded(service, one) == {}


def account(service: Service, one: Any) -> str:
    [row] = service.rows("SELECT account_id FROM disputes WHERE id = $1", one["id"])
    found: str = row["account_id"]
    return found


def test_evidence_that_is_edited_while_it_is_drawn_is_not_sent(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    one = dispute(service, paid(service, "razorpay"))
    path = f"/api/payments/disputes/{one['id']}/evidence"
    draw, edited = service.context.renderer.document, []

    async def document(job: Job) -> bytes:
        if not edited:
            edited.append(job)
            await asyncio.to_thread(service.call, "PUT", path, {"summary": "Ours."})
        return await draw(job)

    with monkeypatch.context() as slow:
        slow.setattr(service.context.renderer, "document", document)
        refused = answer(service, one, "submit", expect=409)
    assert "it was edited in this moment" in refused["detail"]
    assert (uploaded(service, one), asked(service, one, "submit_evidence")) == ({}, 0)
    assert answer(service, one, "submit")["answer"] == "submitted"
    assert truth(service, one)["evidence"]["summary"] == "Ours."


def test_nothing_is_drawn_for_a_gateway_that_takes_text_nor_for_what_was_submitted(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    first = dispute(service, paid(service, "razorpay"))
    done = answer(service, first, "submit")
    monkeypatch.setattr(service.context.renderer, "document", refusing("nothing is to be drawn"))
    assert answer(service, first, "submit") == done
    assert answer(service, dispute(service, paid(service, "stripe")), "submit")["answer"] == "submitted"


# What is refused, and what is not believed


def test_part_of_a_dispute_is_contested_at_razorpay_up_to_what_is_asked(service: Service):
    one = dispute(service, paid(service, "razorpay"), amount=4_000)
    path = f"/api/payments/disputes/{one['id']}/evidence"
    over = service.call("PUT", path, {"amount": 4_001})
    assert (over.status, over.json["field"]) == (422, "amount")
    assert service.call("PUT", path, {"amount": 1_500}).json["amount"] == 1_500
    assert answer(service, one, "submit")["answer"] == "submitted"
    assert truth(service, one)["evidence"]["amount"] == 1_500


def test_what_was_given_up_is_given_up_once(service: Service):
    one = dispute(service, paid(service, "stripe"))
    first = answer(service, one, "accept")
    assert answer(service, one, "accept") == first
    assert asked(service, one, "accept_dispute") == 1


def test_an_answer_waits_while_another_call_about_the_payment_is_on_its_way(service: Service):
    payment = paid(service, "stripe")
    first = dispute(service, payment, amount=1_000)
    service.sandbox.fault("stripe", "disputes.update", "error_5xx_before")
    assert answer(service, first, "submit")["answer"] == "submitting"
    service.sandbox.control("POST", "stripe/dispute", {"charge": charge_of(payment), "amount": 2_000})
    service.eventually(lambda: hear(service) or len(service.payment(payment["id"])["disputes"]) == 2)
    second = service.payment(payment["id"])["disputes"][1]
    refused = answer(service, second, "submit", expect=409)
    assert "on its way" in refused["detail"]
    assert read(service, second)["answer"] == "none"


def test_a_gateway_that_does_not_answer_leaves_what_is_not_known_as_it_is(service: Service):
    payment = paid(service, "stripe")
    one = dispute(service, payment)
    service.sandbox.fault("stripe", "disputes.update", "error_5xx_after")
    answer(service, one, "submit")
    service.sandbox.fault("stripe", "disputes.retrieve", "error_5xx_before", times=None)
    service.advance(91)
    for _ in range(3):
        service.run(settling.sync(service.context, payment["id"]))
    assert read(service, one)["answer"] == "submitting"
    service.sandbox.control("DELETE", "faults")
    service.run(settling.sync(service.context, payment["id"]))
    assert read(service, one)["answer"] == "submitted"


def test_a_dispute_that_ended_otherwise_ends_an_answer_that_is_not_known(service: Service):
    payment = paid(service, "stripe")
    one = dispute(service, payment)
    service.sandbox.fault("stripe", "disputes.close", "error_5xx_before")
    assert answer(service, one, "accept")["answer"] == "accepting"
    status(service, one, "won")
    service.run(settling.sync(service.context, payment["id"]))
    now = read(service, one)
    assert (now["status"], now["answer"], now["failure"]["message"]) == (
        "won",
        "none",
        "the dispute ended otherwise",
    )


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_what_was_won_and_is_asked_again_is_held_again_and_never_promised_twice(
    service: Service, gateway: str
):
    service.change_settings({"refundProcessing": {"refundApprovalRequired": True}})
    payment = paid(service, gateway)
    one = dispute(service, payment, amount=5_000)
    status(service, one, "won")
    until(service, one, "won")
    refund = f"/api/payments/{payment['id']}/refund"
    wanted = service.post(refund, {"amount": 6_000, "reason": "requested_by_customer"})
    assert (wanted.status, shares(service, payment)) == (201, (4_000, 0, 6_000, 0))
    again = {"stripe": ("appeal_under_review", {}), "razorpay": ("open", {"phase": "pre_arbitration"})}
    status(service, one, again[gateway][0], **again[gateway][1])
    now = until(service, one, {"stripe": "under_review", "razorpay": "needs_response"}[gateway])
    if gateway == "stripe":
        service.eventually(lambda: hear(service) or shares(service, payment)[3] == 5_000)
    assert (now["amount_held"], now["open"]) == (5_000, True)
    assert service.payment(payment["id"])["refunds"][0]["status"] == "cancelled"
    assert shares(service, payment) == (5_000, 0, 0, 5_000)
    refused = service.post(refund, {"amount": 5_001, "reason": "requested_by_customer"})
    assert (refused.status, refused.json["refundable"]) == (422, 5_000)
    is_sound(service)
    status(service, one, "won")
    until(service, one, "won")
    service.eventually(lambda: hear(service) or shares(service, payment) == (10_000, 0, 0, 0))
    is_sound(service)


def shares(service: Service, payment: Any) -> tuple[int, int, int, int]:
    """What of the captured money is refundable, refunded, reserved and held by disputes: never more than all of it."""
    [row] = service.rows(
        "SELECT captured, refunded_seen, reserved, disputed_held FROM charges WHERE payment_id = $1",
        payment["id"],
    )
    refundable = service.payment(payment["id"])["refundable"]
    parts = (refundable, row["refunded_seen"], row["reserved"], row["disputed_held"])
    assert sum(parts) <= row["captured"]
    return parts


def test_a_refund_that_waits_for_approval_is_void_when_a_dispute_takes_its_money(service: Service):
    service.change_settings({"refundProcessing": {"refundApprovalRequired": True}})
    payment = paid(service, "stripe")
    wanted = service.post(
        f"/api/payments/{payment['id']}/refund", {"amount": 6_000, "reason": "requested_by_customer"}
    )
    assert (wanted.status, wanted.json["status"]) == (201, "pending_approval"), wanted
    dispute(service, payment, amount=5_000)
    now = service.payment(payment["id"])
    assert (now["refunds"][0]["status"], now["refundable"]) == ("cancelled", 5_000)
    is_sound(service)
