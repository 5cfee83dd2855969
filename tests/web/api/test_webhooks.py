"""The inbox by API: listing, reading, replaying, putting aside."""

import json
from typing import Any

import pytest

import builders
from service import Service

ABSENT = "whk_01m82q4mexgp9s3vb3tax4n4pn"


def inbox(service: Service, **query: Any) -> list[Any]:
    answer = service.get("/api/payments/webhooks", limit=200, **query)
    assert answer.status == 200, answer
    return answer.json["data"]


def letter(service: Service, webhook_id: str) -> Any:
    return service.get(f"/api/payments/webhooks/{webhook_id}").json


@pytest.fixture(scope="module")
def heard(service: Service) -> dict[str, Any]:
    """A payment at each gateway, with all its webhooks understood."""
    stripe = service.create(payment_method="pm_card_visa", confirm=True)
    razorpay = service.create(50_000, "INR")
    service.pay_razorpay(razorpay["checkout"]["razorpay"]["order_id"])
    service.until(razorpay["id"], "captured")
    service.eventually(lambda: len(inbox(service, payment=razorpay["id"], status="processed")) >= 3)
    service.eventually(lambda: inbox(service, payment=stripe["id"], status="processed"))
    return {"stripe": stripe, "razorpay": razorpay}


def send_foreign(service: Service) -> str:
    """A rightly signed event of an object that is not known here; the id of its letter."""
    before = {row["id"] for row in inbox(service)}
    foreign = {"object": "payment_intent", "id": f"pi_{builders.unique()}", "amount": 100, "currency": "usd", "status": "canceled", "created": 1_790_000_000, "livemode": False, "metadata": {"counterfoil_attempt": "att_01m82q4mexgp9s3vb3tax4n4pn"}}  # fmt: skip
    body = builders.as_sent(builders.event("payment_intent.canceled", foreign))
    secret = service.sandbox.config.stripe_webhook_secret
    headers = builders.signed("stripe", body, at=service.context.now(), secret=secret)
    assert service.call("POST", "/webhooks/stripe", body, key="", headers=headers).status == 200

    def parked() -> str | None:
        new = [row["id"] for row in inbox(service, status="parked") if row["id"] not in before]
        return new[0] if new else None

    return service.eventually(parked)


def test_the_newest_webhooks_come_first_and_lead_to_their_payments(service, heard):
    ids = [row["id"] for row in inbox(service)]
    assert ids == sorted(ids, reverse=True)
    (captured,) = [
        row for row in inbox(service, payment=heard["razorpay"]["id"]) if row["type"] == "payment.captured"
    ]
    assert (captured["gateway"], captured["status"], captured["mode"]) == ("razorpay", "processed", "sandbox")
    assert captured["next_try_at"] is None
    assert captured["processed_at"]


def test_a_list_is_narrowed_by_what_is_asked(service, heard):
    assert {row["gateway"] for row in inbox(service, gateway="stripe")} == {"stripe"}
    assert {row["status"] for row in inbox(service, status="processed")} == {"processed"}
    assert {row["payment"] for row in inbox(service, payment=heard["stripe"]["id"])} == {
        heard["stripe"]["id"]
    }
    assert inbox(service, status="dead", gateway="razorpay") == []
    assert inbox(service, payment="pmt_01m82q4mexgp9s3vb3tax4n4pn") == []


def test_pages_walked_to_the_end_skip_and_repeat_nothing(service, heard):
    whole, walked, cursor = [row["id"] for row in inbox(service)], [], {}
    while len(walked) <= len(whole):
        page = service.get("/api/payments/webhooks", limit=2, **cursor).json
        walked += [row["id"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert walked == whole


@pytest.mark.parametrize("query", [{"status": "lost"}, {"gateway": "paypal"}, {"limit": 0}, {"cursor": "x"}, {"payment": "\x00"}, {"colour": "red"}])  # fmt: skip
def test_a_filter_that_means_nothing_is_refused(service, query):
    assert service.get("/api/payments/webhooks", **query).status == 422


def test_a_webhook_is_shown_as_it_came_without_what_lets_a_browser_act(service, heard):
    row = inbox(service, payment=heard["stripe"]["id"], status="processed")[0]
    whole = letter(service, row["id"])
    assert whole["headers"]["stripe-signature"].startswith("t=")
    body = json.loads(whole["body"])
    assert body["object"] == "event"
    assert "_secret_" not in whole["body"]


@pytest.mark.parametrize("verb", ["", "/replay", "/ignore"])
def test_a_webhook_that_is_not_there_is_not_found(service, verb):
    for id_ in (ABSENT, "whk_1", "pmt_01m82q4mexgp9s3vb3tax4n4pn"):
        answer = service.call("POST" if verb else "GET", f"/api/payments/webhooks/{id_}{verb}")
        assert (answer.status, answer.json["code"]) == (404, "not_found"), id_


def test_a_webhook_of_something_unknown_waits_with_its_reason_and_can_be_put_aside(service):
    parked = send_foreign(service)
    row = letter(service, parked)
    assert row["reason"].startswith("unknown_object")
    assert row["next_try_at"]
    answer = service.post(f"/api/payments/webhooks/{parked}/ignore")
    assert (answer.status, answer.json["status"], answer.json["next_try_at"]) == (200, "ignored", None)
    assert answer.json["reason"].startswith("ignored by key_")


def test_a_webhook_can_be_understood_anew(service, heard):
    row = inbox(service, payment=heard["stripe"]["id"], status="processed")[0]
    version = service.payment(heard["stripe"]["id"])["version"]
    answer = service.post(f"/api/payments/webhooks/{row['id']}/replay")
    assert (answer.status, answer.json["status"]) == (200, "received")
    service.eventually(lambda: letter(service, row["id"])["status"] == "processed")
    assert service.payment(heard["stripe"]["id"])["version"] == version
    assert service.rows("SELECT count(*) AS n FROM audit WHERE object_id = $1", row["id"]) == [{"n": 1}]


def test_a_webhook_whose_facts_were_taken_is_not_put_aside(service, heard):
    row = inbox(service, payment=heard["razorpay"]["id"], status="processed")[0]
    answer = service.post(f"/api/payments/webhooks/{row['id']}/ignore")
    assert (answer.status, answer.json["code"], answer.json["state"]) == (409, "wrong_state", "processed")


def dead(service: Service, webhook_id: str) -> str:
    [row] = service.rows(
        "UPDATE inbox SET status = 'dead', next_check_at = NULL WHERE id = $1 RETURNING id", webhook_id
    )
    return row["id"]


def test_dead_letters_are_understood_anew_together(service):
    ids = [dead(service, send_foreign(service)) for _ in range(2)]
    asked = {"status": "dead", "gateway": "stripe", "type": "payment_intent.canceled"}
    answer = service.post("/api/payments/webhooks/replay", asked)
    assert (answer.status, answer.json) == (200, {"data": sorted(ids), "next_cursor": None})
    service.eventually(lambda: {letter(service, id_)["status"] for id_ in ids} == {"parked"})
    assert {letter(service, id_)["tries"] for id_ in ids} == {1}
    acts = service.rows(
        "SELECT object_id FROM audit WHERE action = 'webhook.replay' AND object_id = ANY($1)", ids
    )
    assert sorted(act["object_id"] for act in acts) == sorted(ids)
    for id_ in ids:
        service.post(f"/api/payments/webhooks/{id_}/ignore")


@pytest.mark.parametrize("asked", [{}, {"status": "lost"}, {"status": "dead", "limit": 0}, {"status": "dead", "limit": 1001}, {"status": "dead", "colour": "red"}])  # fmt: skip
def test_a_replay_of_many_says_at_least_which(service, asked):
    assert service.post("/api/payments/webhooks/replay", asked).status == 422


def test_only_an_admin_replays_many(service):
    answer = service.post("/api/payments/webhooks/replay", {"status": "dead"}, key=service.key("approver"))
    assert (answer.status, answer.json["code"]) == (403, "not_permitted")


def test_a_list_is_narrowed_by_type(service, heard):
    assert {row["type"] for row in inbox(service, type="payment.captured")} == {"payment.captured"}
    assert inbox(service, type="payment.lost") == []


def test_what_webhooks_brought_was_not_recovered(service, heard):
    assert {row["recovered"] for row in inbox(service, payment=heard["stripe"]["id"])} == {False}
