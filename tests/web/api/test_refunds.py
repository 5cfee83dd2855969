"""/api/payments/{id}/refund and /api/payments/refunds: what they take, what they answer, and that twice is once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from counterfoil.cli.refunds import refunds
from counterfoil.domain.refund import State
from counterfoil.services import refunding
from counterfoil.web.api import answering
from counterfoil.web.api.answers import ApprovalAnswer, PendingRefund, RefundAnswer, RefundBody, RefundLine
from database import Postgres
from service import Answer, Service, Weak, serving

PATH = "/api/payments/refunds"
ABSENT = "rfn_01m82q4mexgp9s3vb3tax4n4pn"
WHY = {"reason": "requested_by_customer"}
VERBS = {
    "approve": None,
    "reject": {"reason": "goods were used"},
    "cancel": None,
    "send": None,
    "retry": None,
    "manual": {"evidence": "UTR 1"},
}


@pytest.fixture(scope="module")
def weak() -> Weak:
    return Weak()


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres, weak: Weak) -> Iterator[Service]:
    """No worker, and webhooks held: whatever happens was asked for by a test."""
    with serving(fast_postgres, work=False, on_commit=weak) as service:
        service.sandbox.webhooks(hold=True)
        for role in ("admin", "approver", "support"):
            service.key(role)
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """Every refund needs somebody, and a person sends it, until a test says otherwise."""
    rules(running, refundApprovalRequired=True, automatedRefunds=False, refundReasons=["requested_by_customer", "duplicate", "other"])  # fmt: skip
    yield running
    running.sandbox.control("DELETE", "faults")


def rules(service: Service, **fields: Any) -> None:
    service.change_settings({"refundProcessing": fields})


def paid(service: Service, amount: int = 10_000, **asked: Any) -> Any:
    return service.create(amount, payment_method="pm_card_bypassPending", confirm=True, **asked)


def post(service: Service, payment: Any, body: Any, **more: Any) -> Answer:
    return service.post(f"/api/payments/{payment['id']}/refund", body, **more)


def asked_for(service: Service, payment: Any = None, **body: Any) -> Any:
    answer = post(service, payment or paid(service), WHY | body)
    assert answer.status == 201, answer
    return answer.json


def act(service: Service, refund: Any, verb: str, body: Any = None, **more: Any) -> Answer:
    key = more.pop("key", None) or service.key("approver")
    return service.post(
        f"{PATH}/{refund['id']}/{verb}", VERBS[verb] if body is None else body, key=key, **more
    )


def approved(service: Service) -> Any:
    return act(service, asked_for(service), "approve").json


def failed(service: Service) -> Any:
    """A refund that the gateway took and a bank sent back."""
    refund = act(service, approved(service), "send").json
    at_fault = {"refund": refund["gateway_reference"], "status": "failed", "failure_reason": "expired_or_canceled_card"}  # fmt: skip
    service.sandbox.control("POST", "stripe/refund", at_fault)
    service.run(refunding.look_after(service.context, refund["payment"], refund["id"]))
    return service.get(f"{PATH}/{refund['id']}").json


# What is answered is what is described.


def fits(told: Any, shape: type[BaseModel]) -> None:
    """Neither a field more nor one less than the description has, and each of its kind."""
    assert set(told) == set(shape.model_fields)
    shape.model_validate(told, strict=True)


def test_every_answer_is_of_the_shape_that_is_described(service):
    refund = asked_for(service, amount=2_500, note="by phone")
    fits(refund, RefundAnswer)
    [listed] = service.get(PATH, payment=refund["payment"]).json["data"]
    assert listed == service.get(f"{PATH}/{refund['id']}").json == refund
    approved_one = act(service, refund, "approve").json
    fits(approved_one, RefundAnswer)
    [approval] = approved_one["approvals"]
    fits(approval, ApprovalAnswer)
    sent = act(service, refund, "send").json
    fits(sent, RefundAnswer)
    fits(failed(service), RefundAnswer)
    [of_payment] = service.payment(refund["payment"])["refunds"]
    fits(of_payment, RefundBody)
    assert sent == of_payment | {"approvals": [approval]}


def test_what_waits_is_shown_with_what_is_needed_to_decide(service):
    customer = {"id": "cus_shape", "email": "shape@shop.example"}
    first, second = paid(service, customer=customer), paid(service, customer=customer)
    earlier, other = asked_for(service, first, amount=100), asked_for(service, second, amount=300)
    refund = asked_for(service, first, amount=200)
    waiting = service.get(f"{PATH}/pending", limit=200).json["data"]
    [shown] = [one for one in waiting if one["id"] == refund["id"]]
    fits(shown, PendingRefund)
    for line in (*shown["history"], *shown["customer_refunds"]):
        fits(line, RefundLine)
    assert [line["id"] for line in shown["history"]] == [earlier["id"]]
    assert [line["id"] for line in shown["customer_refunds"]] == [other["id"]]


@pytest.mark.parametrize(
    ("method", "path"),
    [("post", "/api/payments/{payment_id}/refund"), ("get", PATH), ("get", f"{PATH}/pending"), ("get", f"{PATH}/{{refund_id}}")]
    + [("post", f"{PATH}/{{refund_id}}/{verb}") for verb in VERBS],
)  # fmt: skip
def test_every_path_stands_in_the_description_with_its_answer(service, method, path):
    described = service.get("/openapi.json", key="").json["paths"][path][method]
    made_anew = method == "post" and path.rpartition("/")[2] in {"refund", "retry", "manual"}
    answer = described["responses"]["201" if made_anew else "200"]
    shape = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    expected = {PATH: "RefundList", f"{PATH}/pending": "PendingRefunds"}.get(path, "RefundAnswer")
    assert shape == expected
    assert described["summary"]


# What is not taken.

HUGE = "x" * 501


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"null", 422),
        (b"[]", 422),
        (b'"all"', 422),
        (b"{", 400),
        (b'{"reason": "duplicate", "reason": "other"}', 400),
        (b'{"reason": "\xff"}', 400),
        (b'{"reason": "duplicate", "amount": NaN}', 400),
        (b'{"reason": "duplicate", "amount": 1e2}', 422),
        (b'{"reason": "duplicate", "amount": ' + b"9" * 5_000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"reason": "' + b"x" * 300_000 + b'"}', 413),
        ({"reason": "duplicate", "amount": 0}, 422),
        ({"reason": "duplicate", "amount": -1}, 422),
        ({"reason": "duplicate", "amount": 10**12}, 422),
        ({"reason": "duplicate", "amount": 10**30}, 422),
        ({"reason": "duplicate", "amount": 1.0}, 422),
        ({"reason": "duplicate", "amount": "100"}, 422),
        ({"reason": "duplicate", "amount": True}, 422),
        ({"reason": "duplicate", "amount": {"USD": 1}}, 422),
        ({"reason": "duplicate", "currency": "EUR"}, 422),
        ({"reason": "duplicate", "amount_minor": 1}, 422),
        ({"reason": "duplicate", "status": "approved"}, 422),
        ({"reason": "duplicate", "needed": 0}, 422),
        ({"reason": "duplicate", "person": "key_1"}, 422),
        ({"reason": "duplicate", "speed": "instant"}, 422),
        ({"reason": "duplicate", "note": HUGE}, 422),
        ({"reason": "duplicate", "note": ""}, 422),
        ({"reason": "duplicate", "note": "a\x00b"}, 422),
        ({"reason": "duplicate", "note": "\ud800"}, 422),
        ({"reason": "duplicate", "note": "4242 4242 4242 4242"}, 400),
        ({"reason": "dup\x00licate"}, 422),
        ({"reason": "x" * 51}, 422),
        ({"reason": ""}, 422),
        ({"reason": ["duplicate"]}, 422),
        ({"reason": None}, 422),
        ({"reason": "because"}, 422),
        ({"reason": "other", "note": "   "}, 422),
    ],
)  # fmt: skip
def test_hostile_bodies_are_refused_with_a_problem_and_nothing_is_kept(service, body, status):
    payment = paid(service)
    answer = post(service, payment, body)
    assert (answer.status, answer.json["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.body) < 2_000
    after = service.payment(payment["id"])
    assert (after["refunds"], after["refundable"]) == ([], 10_000)


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("approve", {"amount": 1}),
        ("approve", []),
        ("reject", {}),
        ("reject", {"reason": ""}),
        ("reject", {"reason": "  "}),
        ("reject", {"reason": HUGE}),
        ("reject", {"reason": "a\x00b"}),
        ("reject", {"reason": "no", "amount": 1}),
        ("cancel", {"because": "x"}),
        ("cancel", {"reason": 1}),
        ("send", {"amount": 1}),
        ("retry", {"amount": 1}),
        ("manual", {}),
        ("manual", {"evidence": ""}),
        ("manual", {"evidence": " "}),
        ("manual", {"evidence": "x" * 101}),
        ("manual", {"evidence": "UTR 1", "amount": 5}),
    ],
)
def test_hostile_decisions_are_refused_and_decide_nothing(service, verb, body):
    refund = asked_for(service)
    answer = act(service, refund, verb, body)
    assert (answer.status, answer.json["code"]) == (422, "invalid_request"), answer
    assert service.get(f"{PATH}/{refund['id']}").json == refund


@pytest.mark.parametrize("id_", [ABSENT, ABSENT.replace("rfn", "pmt"), "rfn_1", f"{ABSENT}x", f"{ABSENT}%0a", "%00", "reports"])  # fmt: skip
def test_a_refund_that_is_not_there_is_not_found(service, id_):
    answers = [service.get(f"{PATH}/{id_}")]
    answers += [act(service, {"id": id_}, verb) for verb in VERBS]
    assert {(answer.status, answer.json["code"]) for answer in answers} == {(404, "not_found")}


def test_a_refund_of_a_payment_that_is_not_there_is_not_asked_for(service):
    for id_ in (ABSENT.replace("rfn", "pmt"), ABSENT, "pmt_1", "%00"):
        answer = post(service, {"id": id_}, WHY)
        assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_a_refund_is_of_its_mode_alone(service):
    refund, live = asked_for(service), service.key("admin", "live")
    assert service.get(PATH, key=live).json == {"data": [], "next_cursor": None}
    assert service.get(f"{PATH}/pending", key=live).json == {"data": [], "next_cursor": None}
    assert {act(service, refund, verb, key=live).status for verb in VERBS} == {404}
    assert service.get(f"{PATH}/{refund['id']}").json == refund


# Lists.


@pytest.fixture(scope="module")
def shelf(running: Service) -> dict[str, Any]:
    """Refunds that differ in everything a list can be narrowed by."""
    rules(running, refundApprovalRequired=True, automatedRefunds=False, refundReasons=["requested_by_customer", "duplicate", "other"])  # fmt: skip
    in_rupees = running.create(20_000, "INR", gateway="razorpay")
    running.pay_razorpay(in_rupees["attempts"][0]["gateway_reference"])
    running.post(f"/api/payments/{in_rupees['id']}/sync")
    one = paid(running)
    support = post(running, one, WHY | {"amount": 7}, key=running.key("support")).json
    made = {
        "support": support,
        "plain": asked_for(running, one, amount=1),
        "other": asked_for(running, one, amount=2, reason="other", note="n"),
        "rupees": asked_for(running, in_rupees, amount=300),
        "rejected": asked_for(running, one, amount=4),
    }
    act(running, made["rejected"], "reject")
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"payment": "plain"}, {"support", "plain", "other", "rejected"}),
        ({"payment": "plain", "status": "rejected"}, {"rejected"}),
        ({"payment": "plain", "status": "succeeded"}, set()),
        ({"payment": "plain", "reason": "other"}, {"other"}),
        ({"payment": "plain", "requested_by": "support"}, {"support"}),
        ({"payment": "rupees", "gateway": "razorpay"}, {"rupees"}),
        ({"payment": "rupees", "gateway": "stripe"}, set()),
        ({"gateway": "razorpay"}, {"rupees"}),
        ({"payment": "plain", "batch": "bat_1"}, set()),
        ({"payment": ABSENT.replace("rfn", "pmt")}, set()),
    ],
)
def test_a_list_is_narrowed_by_what_is_asked(service, shelf, query, found):
    asked = dict(query)
    if asked.get("payment") in shelf:
        asked["payment"] = shelf[asked["payment"]]["payment"]
    if asked.get("requested_by") in shelf:
        asked["requested_by"] = shelf[asked["requested_by"]]["requested_by"]
    listed = service.get(PATH, limit=200, **asked).json["data"]
    assert {one["id"] for one in listed} == {shelf[name]["id"] for name in found}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_pages_walked_to_the_end_skip_and_repeat_nothing(service, shelf, limit):
    walked, cursor = [], {}
    while cursor is not None:
        page = service.get(PATH, payment=shelf["plain"]["payment"], limit=limit, **cursor).json
        walked += [one["id"] for one in page["data"]]
        assert 0 < len(page["data"]) <= limit
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert walked == [shelf[name]["id"] for name in ("rejected", "other", "plain", "support")]


@pytest.mark.parametrize("limit", [1, 2, 200])
def test_what_waits_the_longest_comes_first_page_by_page(service, shelf, limit):
    walked, cursor = [], {}
    while cursor is not None:
        page = service.get(f"{PATH}/pending", limit=limit, **cursor).json
        walked += [one["id"] for one in page["data"]]
        assert all(one["status"] == "pending_approval" and one["age_s"] >= 0 for one in page["data"])
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    waiting = [shelf[name]["id"] for name in ("support", "plain", "other", "rupees")]
    assert [id_ for id_ in walked if id_ in waiting] == waiting
    assert (walked, len(set(walked))) == (sorted(walked), len(walked))


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=x", f"cursor={ABSENT.replace('rfn', 'pmt')}", "cursor=%00", "color=red", "limit=1&limit=2"],
)  # fmt: skip
@pytest.mark.parametrize("path", [PATH, f"{PATH}/pending"])
def test_a_query_that_means_nothing_is_refused(service, path, query):
    answer = service.call("GET", f"{path}?{query}")
    assert (answer.status, answer.json["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "query", ["status=paid", "status=", "gateway=paypal", "reason=" + "x" * 51, "payment=" + "x" * 41]
)
def test_a_filter_that_means_nothing_is_refused(service, query):
    answer = service.call("GET", f"{PATH}?{query}")
    assert (answer.status, answer.json["code"]) == (422, "invalid_request")


# Twice is once.

BEFORE = {
    "approve": asked_for,
    "reject": asked_for,
    "cancel": asked_for,
    "send": approved,
    "retry": failed,
    "manual": failed,
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_said_twice_under_one_key_is_done_once_and_answers_the_same(service, verb):
    refund, once = BEFORE[verb](service), {"idempotency_key": f"{verb} once"}
    first, second = (act(service, refund, verb, **once) for _ in range(2))
    assert first.status == (201 if verb in {"retry", "manual"} else 200), first
    assert (second.status, second.json) == (first.status, first.json)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    of_payment = service.get(PATH, payment=refund["payment"]).json["data"]
    assert len(of_payment) == (2 if verb in {"retry", "manual"} else 1)


OTHER = {
    "approve": {},
    "reject": {"reason": "another"},
    "cancel": {"reason": "another"},
    "send": {},
    "retry": {},
    "manual": {"evidence": "UTR 2"},
}


@pytest.mark.parametrize("verb", VERBS)
def test_another_body_under_the_same_key_is_refused(service, verb):
    refund, once = BEFORE[verb](service), {"idempotency_key": f"{verb} other"}
    act(service, refund, verb, **once)
    answer = act(service, refund, verb, OTHER[verb], **once)
    assert (answer.status, answer.json["code"]) == (422, "idempotency_mismatch"), answer


def test_a_request_said_twice_is_one_refund(service):
    payment = paid(service)
    first, second = (post(service, payment, WHY | {"amount": 9}, idempotency_key="one") for _ in range(2))
    assert (first.status, second.status, first.json) == (201, 201, second.json)
    assert second.headers["idempotency-replayed"] == "true"
    other = post(service, payment, WHY | {"amount": 8}, idempotency_key="one")
    assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")
    assert service.payment(payment["id"])["refundable"] == 9_991


@pytest.mark.parametrize("commit", range(1, 6))
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_broke_off_is_taken_up_under_its_key_and_done_once(service, weak, verb, commit):
    refund, own = BEFORE[verb](service), {"idempotency_key": f"{verb} broke off {commit}"}
    rules(service, automatedRefunds=True)
    weak.left = commit
    act(service, refund, verb, **own)
    weak.left = None
    service.advance(60)  # past the lease of whoever died
    again = act(service, refund, verb, **own)
    assert again.status == (201 if verb in {"retry", "manual"} else 200), again
    assert again.json["status"] in DONE[verb]
    of_payment = service.get(PATH, payment=refund["payment"]).json["data"]
    assert len(of_payment) == (2 if verb in {"retry", "manual"} else 1)
    assert act(service, refund, verb, **own).json == again.json


DONE = {
    "approve": {"approved", "processing", "succeeded"},
    "reject": {"rejected"},
    "cancel": {"cancelled"},
    "send": {"processing", "succeeded"},
    "retry": {"pending_approval"},
    "manual": {"pending_approval"},
}


@pytest.mark.parametrize("commit", range(1, 5))
def test_a_request_that_broke_off_is_taken_up_under_its_key_and_sent_once(service, weak, commit):
    rules(service, refundApprovalRequired=False, automatedRefunds=True)
    payment, own = paid(service), {"idempotency_key": f"request broke off {commit}"}
    weak.left = commit
    post(service, payment, WHY | {"amount": 7}, **own)
    weak.left = None
    service.advance(60)
    again = post(service, payment, WHY | {"amount": 7}, **own)
    assert again.status == 201, again
    [refund] = service.payment(payment["id"])["refunds"]
    assert (again.json["id"], service.payment(payment["id"])["refundable"]) == (refund["id"], 9_993)


def test_one_that_is_taken_up_and_that_a_gateway_is_slow_about_is_answered_by_its_own_id(
    service, weak, monkeypatch
):
    rules(service, refundApprovalRequired=False, automatedRefunds=True)
    payment, own = paid(service), {"idempotency_key": "broke off and slow"}
    weak.left = 2  # it is written, and not sent
    assert post(service, payment, WHY, **own).status == 503
    service.advance(60)
    monkeypatch.setattr(answering, "ANSWER_S", 0.2)
    service.sandbox.fault("stripe", "refunds.create", "delay", seconds=0.7)
    answer = post(service, payment, WHY, **own)
    assert (answer.status, answer.json.get("status")) == (201, "processing"), answer
    [refund] = service.payment(payment["id"])["refunds"]
    assert answer.json["id"] == refund["id"]
    service.eventually(lambda: service.get(f"{PATH}/{refund['id']}").json["gateway_reference"])


def test_a_refused_request_gives_its_key_back(service):
    payment = paid(service)
    assert post(service, payment, WHY | {"amount": 10_001}, idempotency_key="mended").status == 422
    assert post(service, payment, WHY | {"amount": 10_000}, idempotency_key="mended").status == 201


def test_a_refused_decision_gives_its_key_back(service):
    refund, own = asked_for(service), {"idempotency_key": "decided"}
    assert act(service, refund, "send", **own).status == 409
    act(service, refund, "approve")
    assert act(service, refund, "send", **own).status == 200


def test_a_refund_that_a_gateway_is_slow_about_is_answered_as_sent_and_goes_on(service, monkeypatch):
    monkeypatch.setattr(answering, "ANSWER_S", 0.2)
    rules(service, refundApprovalRequired=False, automatedRefunds=True)
    payment = paid(service)
    service.sandbox.fault("stripe", "refunds.create", "delay", seconds=0.7)
    answer = post(service, payment, WHY)
    assert (answer.status, answer.json["status"]) == (201, "processing")
    assert answer.json["stage"] == "sent, the gateway has not answered yet"
    path = f"{PATH}/{answer.json['id']}"
    service.eventually(lambda: service.get(path).json["gateway_reference"])


# What the documentation shows.

PAGE = (Path(__file__).parents[3] / "docs" / "refunds.md").read_text()


def test_the_settings_that_the_documentation_shows_are_taken(service):
    [shown] = re.findall(r"PATCH .*? -d '(\{.*?\})'\n", PAGE, re.DOTALL)
    answer = service.call("PATCH", "/api/payments/settings", json.loads(shown))
    assert answer.status == 200, answer
    assert answer.json["refundProcessing"]["refundThreshold"] == {"USD": 5000, "INR": 400000}
    rules(service, refundThreshold={}, secondApprovalThreshold={}, limits={}, automatic={})


def test_the_request_that_the_documentation_shows_is_taken(service):
    [shown] = re.findall(r"/refund -H .*? -d '(\{.*?\})'\n", PAGE, re.DOTALL)
    assert post(service, paid(service), json.loads(shown)).json["amount"] == 2_500


def test_every_command_and_every_status_that_the_documentation_names_is_there():
    named = set(re.findall(r"counterfoil refunds (\w+)", PAGE))
    assert named <= set(refunds.commands)
    assert set(VERBS) <= named
    assert {state.value for state in State} <= set(re.findall(r"`(\w+)`", PAGE))


# Who may.


@pytest.mark.parametrize("verb", ["approve", "reject", "send", "retry", "manual"])
def test_what_approvers_do_support_may_not(service, verb):
    refund = asked_for(service)
    answer = act(service, refund, verb, key=service.key("support"))
    assert (answer.status, answer.json["code"], answer.json["needs"]) == (403, "not_permitted", "approver")
    assert service.get(f"{PATH}/{refund['id']}").json == refund


@pytest.mark.parametrize("role", ["admin", "approver"])
def test_no_role_approves_its_own_request(service, role):
    own = service.key(role)
    refund = post(service, paid(service), WHY, key=own).json
    answer = act(service, refund, "approve", key=own)
    assert (answer.status, answer.json["code"]) == (403, "own_request")
    assert answer.json["detail"] == "Who asks for a refund does not approve it, whichever key they use."


def test_a_manual_refund_needs_another_person_even_where_nobody_must_agree(service):
    refund = failed(service)
    rules(service, refundApprovalRequired=False)
    answer = act(service, refund, "manual")
    assert (answer.status, answer.json["status"], answer.json["approvals_needed"]) == (
        201,
        "pending_approval",
        1,
    )
    assert (answer.json["rule"], answer.json["retry_of"]) == (
        "a manual refund needs an approval",
        refund["id"],
    )
    assert act(service, answer.json, "approve").json["code"] == "own_request"
    done = act(service, answer.json, "approve", key=service.key("admin")).json
    assert (done["status"], done["stage"]) == ("approved", "approved, not yet recorded")
    recorded = act(service, answer.json, "send").json
    assert (recorded["status"], recorded["stage"]) == ("succeeded", "paid back in another way: UTR 1")
    assert service.payment(refund["payment"])["amount_refunded"] == 10_000
