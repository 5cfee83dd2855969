"""Disputes over HTTP, with the worker at work: heard of by webhook, listed, answered, and what is refused."""

import threading
from typing import Any

import pytest

from service import Service

PATH = "/api/payments/disputes"
ABSENT = "dsp_01m82q4mexgp9s3vb3tax4n4pn"


def disputed(service: Service, card: str = "pm_card_createDispute", **asked: Any) -> Any:
    """The dispute of a payment whose card's bank opens one at once."""
    made = service.create(payment_method=card, confirm=True, **asked)
    return service.eventually(lambda: service.payment(made["id"])["disputes"])[0]


def read(service: Service, one: Any) -> Any:
    return service.get(f"{PATH}/{one['id']}").json


def test_a_dispute_goes_its_way_from_the_webhook_to_the_verdict(service: Service):
    one = disputed(service, reference="kettle-1")
    service.eventually(lambda: read(service, one)["amount_withdrawn"] == 10_000)
    now = read(service, one)
    assert (now["status"], now["reason"], now["amount_held"], now["waits_for_answer"]) == (
        "needs_response",
        "fraudulent",
        10_000,
        True,
    )
    edited = service.call("PUT", f"{PATH}/{one['id']}/evidence", {"summary": "winning_evidence"})
    assert edited.json["status"] == "draft"
    assert service.post(f"{PATH}/{one['id']}/submit").json["answer"] == "submitted"
    service.advance(10)
    service.eventually(lambda: read(service, one)["amount_reinstated"] == 10_000)
    won = read(service, one)
    assert (won["status"], won["amount_held"], won["amount_lost"]) == ("won", 0, 0)
    lines = service.get(f"/api/payments/{one['payment']}/timeline").json["data"]
    told = [line["what"] for line in lines]
    for what in ("dispute.open", "dispute.edit", "dispute.submit", "stripe.submit_evidence", "dispute.won"):
        assert what in told
    journals = [line["what"] for line in lines if line["kind"] == "journal"]
    assert journals.count("dispute") == 2
    actors = {line["detail"].get("actor") for line in lines if line["what"] == "dispute.submit"}
    assert actors != {"service"}
    service.eventually(lambda: "dispute.won" in events(service, one))
    assert events(service, one)[0] == "dispute.opened"
    assert events(service, one).count("dispute.won") == 1


def events(service: Service, one: Any) -> list[str]:
    """The types of what the merchant's backend was told of it, in order."""
    told = service.get("/api/payments/events", limit=200).json["data"]
    return [event["type"] for event in told if event["data"]["id"] == one["id"]]


def test_lists_are_narrowed_and_paged(service: Service):
    first, second = disputed(service), disputed(service, "pm_card_createDisputeInquiry")
    page = service.get(PATH, limit=1).json
    assert [row["id"] for row in page["data"]] == [second["id"]]
    following = service.get(PATH, limit=1, cursor=page["next_cursor"]).json
    assert [row["id"] for row in following["data"]] == [first["id"]]
    assert second["id"] in ids(service, state="inquiry")
    assert first["id"] not in ids(service, state="inquiry")
    assert ids(service, gateway="razorpay") == []
    assert ids(service, payment=first["payment"]) == [first["id"]]
    assert first["id"] in ids(service, due_before="2030-01-01T00:00:00Z")
    assert ids(service, due_before="2020-01-01T00:00:00") == []
    service.post(f"{PATH}/{first['id']}/submit")
    assert first["id"] not in ids(service, due_before="2030-01-01T00:00:00Z")


def ids(service: Service, **narrow: Any) -> list[str]:
    return [row["id"] for row in service.get(PATH, **narrow).json["data"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cursor": "pmt_1"}, "cursor"),
        ({"due_before": "0001-01-01T00:00:00+14:00"}, "due_before"),
        ({"state": "open"}, "state"),
        ({"limit": 0}, "limit"),
    ],
)
def test_a_list_is_not_narrowed_by_what_makes_no_sense(service: Service, query: dict[str, Any], field: str):
    answer = service.get(PATH, **query)
    assert answer.status == 422
    assert field in str(answer.json)


def test_a_dispute_that_is_not_there_is_not_found(service: Service):
    for method, path, body in (
        ("GET", f"{PATH}/{ABSENT}", None),
        ("GET", f"{PATH}/dp_1", None),
        ("GET", f"{PATH}/{ABSENT}/evidence", None),
        ("PUT", f"{PATH}/{ABSENT}/evidence", {"summary": "x"}),
        ("POST", f"{PATH}/{ABSENT}/submit", None),
        ("POST", f"{PATH}/{ABSENT}/accept", {"confirm": True}),
    ):
        assert service.call(method, path, body).status == 404, (method, path)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"texts": {"card": "x"}}, "texts"),
        ({"texts": {"receipt": "x" * 20_001}}, "texts"),
        ({"texts": None}, "texts"),
        ({"summary": ""}, "summary"),
        ({"summary": "x" * 1_001}, "summary"),
        ({"summary": None}, "summary"),
        ({"amount": 0}, "amount"),
        ({"amount": 10_001}, "amount"),
        ({"proof": "x"}, "proof"),
    ],
)
def test_evidence_that_no_bank_would_take_is_refused_and_the_draft_stays(
    service: Service, body: dict[str, Any], field: str
):
    one = disputed(service)
    before = service.get(f"{PATH}/{one['id']}/evidence").json
    answer = service.call("PUT", f"{PATH}/{one['id']}/evidence", body)
    assert answer.status == 422
    assert field in str(answer.json)
    after = service.get(f"{PATH}/{one['id']}/evidence").json
    assert after["status"] == before["status"] == "collected"


def test_more_texts_than_the_gateway_takes_are_refused(service: Service):
    one = disputed(service)
    names = ("receipt", "timeline", "terms", "access_log", "delivery_log", "refund_policy", "refund_refusal")
    full = dict.fromkeys(names, "x" * 20_000)
    assert service.call("PUT", f"{PATH}/{one['id']}/evidence", {"texts": full}).status == 200
    over = service.call("PUT", f"{PATH}/{one['id']}/evidence", {"texts": {"refund_history": "x" * 20_000}})
    assert (over.status, over.json["field"]) == (422, "texts")


def test_a_part_is_contested_only_where_the_gateway_can(service: Service):
    one = disputed(service)
    answer = service.call("PUT", f"{PATH}/{one['id']}/evidence", {"amount": 5_000})
    assert (answer.status, answer.json["code"]) == (422, "not_supported_by_gateway")


def test_acceptance_must_be_confirmed(service: Service):
    one = disputed(service)
    for body in (None, {}, {"confirm": False}):
        assert service.post(f"{PATH}/{one['id']}/accept", body).status == 422
    assert read(service, one)["answer"] == "none"
    assert service.post(f"{PATH}/{one['id']}/accept", {"confirm": True}).json["status"] == "lost"


def test_the_same_key_gets_the_same_answer_and_sends_once(service: Service):
    one = disputed(service)
    first = service.post(f"{PATH}/{one['id']}/submit", idempotency_key="once")
    again = service.post(f"{PATH}/{one['id']}/submit", idempotency_key="once")
    assert again.json == first.json
    assert again.headers["idempotency-replayed"] == "true"
    rows = service.rows("SELECT verb FROM calls WHERE dispute_id = $1", one["id"])
    assert [row["verb"] for row in rows] == ["submit_evidence"]


def test_a_refused_request_gives_its_key_back(service: Service):
    one = disputed(service, "pm_card_createDisputeInquiry")
    path = f"{PATH}/{one['id']}/accept"
    for _ in range(2):
        refused = service.post(path, {"confirm": True}, idempotency_key="mine")
        assert (refused.status, refused.json["code"]) == (409, "wrong_state")
        assert "idempotency-replayed" not in refused.headers


def test_support_prepares_what_an_approver_sends(service: Service):
    one = disputed(service)
    support = service.key("support")
    path = f"{PATH}/{one['id']}"
    assert service.call("PUT", f"{path}/evidence", {"summary": "Ours."}, key=support).status == 200
    assert service.post(f"{path}/submit", key=support).status == 403
    assert service.post(f"{path}/accept", {"confirm": True}, key=support).status == 403
    assert service.get(f"{path}/evidence", key=service.key("viewer")).status == 403
    assert service.post(f"{path}/submit", key=service.key("approver")).status == 200


def test_of_two_answers_at_once_one_is_sent(service: Service):
    one = disputed(service)
    said: list[int] = []

    def send(verb: str) -> None:
        body = {"confirm": True} if verb == "accept" else None
        said.append(service.post(f"{PATH}/{one['id']}/{verb}", body).status)

    threads = [threading.Thread(target=send, args=(verb,)) for verb in ("submit", "accept") * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(said) <= {200, 409}
    rows = service.rows("SELECT verb, settled FROM calls WHERE dispute_id = $1 ORDER BY id", one["id"])
    assert len(rows) == 1  # what was sent has ended the question for all the others
    assert rows[0]["settled"] == "accepted"


def test_a_key_of_the_other_mode_sees_no_dispute_of_this_one(service: Service):
    one, live = disputed(service), service.key("admin", "live")
    assert service.get(PATH, key=live).json == {"data": [], "next_cursor": None}
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/evidence", None),
        ("PUT", "/evidence", {"summary": "x"}),
        ("POST", "/submit", None),
        ("POST", "/accept", {"confirm": True}),
    ):
        answer = service.call(method, f"{PATH}/{one['id']}{path}", body, key=live)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert read(service, one)["answer"] == "none"
