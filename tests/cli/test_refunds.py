"""counterfoil refunds: the same refunds as by API, asked for and decided by whoever may run commands here."""

import json
from typing import Any

import pytest

from counterfoil.cli.refunds import _age
from service import Service

ABSENT = "rfn_01m82q4mexgp9s3vb3tax4n4pn"
PAYMENT = "pmt_01m82q4mexgp9s3vb3tax4n4pn"
WHY = ("--reason", "duplicate")


@pytest.fixture(autouse=True)
def _rules(service: Service) -> None:
    """Every refund needs somebody, and a person sends it."""
    fields = {"refundApprovalRequired": True, "automatedRefunds": False, "partialRefundsEnabled": True}
    service.change_settings({"refundProcessing": fields})


def paid(service: Service, amount: int = 10_000) -> str:
    made = service.create(amount, payment_method="pm_card_bypassPending", confirm=True)
    return str(service.until(made["id"], "captured")["id"])


def by_api(service: Service, payment_id: str | None = None, **body: Any) -> str:
    """A refund that somebody else has asked for."""
    path = f"/api/payments/{payment_id or paid(service)}/refund"
    answer = service.post(path, {"reason": "duplicate"} | body)
    assert answer.status == 201, answer
    return str(answer.json["id"])


def read(service: Service, refund_id: str) -> Any:
    return service.get(f"/api/payments/refunds/{refund_id}").json


def said(run: Any, *arguments: str) -> Any:
    """The JSON that the command prints."""
    ran = run("refunds", *arguments, "--json")
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def told(run: Any, *arguments: str) -> str:
    """What the command says to a person who waits for it in vain."""
    ran = run("refunds", *arguments)
    assert (ran.status, ran.out) == (1, ""), ran
    return str(ran.err)


def lines(out: str) -> dict[str, str]:
    """A field a line, as `show` prints them."""
    parts = (line.partition("  ") for line in out.splitlines())
    return {name: rest.strip() for name, _, rest in parts}


def test_a_refund_is_asked_for_shown_and_listed_as_the_api_shows_it(run, service: Service):
    payment = paid(service)
    made = said(run, "request", payment, "--amount", "2500", *WHY, "--note", "by phone")
    assert (made["status"], made["amount"], made["note"]) == ("pending_approval", 2500, "by phone")
    assert made["requested_by"].startswith("cli:")
    assert said(run, "show", made["id"]) == read(service, made["id"]) == made
    assert said(run, "list", "--payment", payment) == [made]
    assert said(run, "list", "--payment", payment, "--status", "rejected") == []
    shown = lines(run("refunds", "show", made["id"]).out)
    assert (shown["stage"], shown["note"]) == ("waits for an approval", "by phone")
    table = run("refunds", "list", "--payment", payment).out
    assert "25.00 USD" in table
    assert made["id"] in table.replace("\n", "")


def test_what_is_asked_for_without_an_amount_is_all_of_it(run, service: Service):
    out = run("refunds", "request", paid(service), *WHY).out
    assert lines(out)["amount"] == "10000"


def test_what_waits_is_listed_with_who_asked_and_since_when(run, service: Service):
    refund = by_api(service, amount=1_200, note="twice")
    [row] = [one for one in said(run, "pending", "--limit", "200") if one["id"] == refund]
    assert (row["waits"], row["age_s"] < 60, row["amount"]) == ("0 min", True, 1_200)
    table = run("refunds", "pending", "--limit", "200").out
    line = next(line for line in table.splitlines() if refund in line)
    assert "12.00 USD" in line
    assert "every refund needs an approval" in line


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(0, "0 min"), (3_599, "59 min"), (3_600, "1 h"), (48 * 3_600 - 1, "47 h"), (48 * 3_600, "2 days")],
)
def test_how_long_it_waits_is_told_as_people_say_it(seconds: int, age: str):
    assert _age(seconds) == age


def test_an_empty_list_says_so(run):
    assert run("refunds", "list", "--payment", PAYMENT).out == "No refunds yet.\n"


def test_what_somebody_else_asked_for_is_approved_and_sent(run, service: Service):
    refund = by_api(service)
    approved = said(run, "approve", refund)
    assert (approved["status"], [one["by"][:4] for one in approved["approvals"]]) == ("approved", ["cli:"])
    sent = said(run, "send", refund)
    assert sent["status"] in {"processing", "succeeded"}
    assert sent["gateway_reference"].startswith("re_")


def test_where_refunds_go_by_themselves_an_approval_sends_it(run, service: Service):
    service.change_settings({"refundProcessing": {"automatedRefunds": True}})
    shown = lines(run("refunds", "approve", by_api(service)).out)
    assert shown["stage"] in {"with the gateway, not yet paid out", "sent, no bank reference yet"}


def test_a_refund_is_rejected_with_a_reason(run, service: Service):
    refund = by_api(service)
    rejected = said(run, "reject", refund, "--reason", "goods were used")
    assert (rejected["status"], rejected["stage"]) == ("rejected", "rejected: goods were used")
    assert run("refunds", "reject", by_api(service)).status == 2  # none is not enough


def test_a_refund_is_withdrawn(run, service: Service):
    mine = said(run, "request", paid(service), *WHY)["id"]
    assert said(run, "cancel", mine)["stage"].startswith("cancelled: withdrawn by cli:")
    assert said(run, "cancel", by_api(service), "--reason", "a mistake")["because"] == "a mistake"


@pytest.fixture
def failed(run, service: Service) -> str:
    """A refund that a bank has sent back."""
    refund = by_api(service)
    run("refunds", "approve", refund)
    ref = said(run, "send", refund)["gateway_reference"]
    why = {"refund": ref, "status": "failed", "failure_reason": "expired_or_canceled_card"}
    service.sandbox.control("POST", "stripe/refund", why)
    service.eventually(lambda: read(service, refund)["status"] == "failed")
    return refund


def test_what_has_failed_says_why_and_is_asked_for_again(run, service: Service, failed: str):
    assert lines(run("refunds", "show", failed).out)["stage"] == (
        "failed, the money is back: the gateway says: expired_or_canceled_card"
    )
    again = said(run, "retry", failed)
    assert (again["status"], again["retry_of"], again["amount"]) == ("pending_approval", failed, 10_000)


def test_what_was_paid_back_in_another_way_is_recorded_once_somebody_agrees(run, service: Service, failed: str):  # fmt: skip
    made = said(run, "manual", failed, "--evidence", "UTR 1")
    assert (made["status"], made["evidence"], made["method"]) == ("pending_approval", "UTR 1", "manual")
    path = f"/api/payments/refunds/{made['id']}/approve"
    assert service.post(path).json["stage"] == "approved, not yet recorded"
    assert said(run, "send", made["id"])["stage"] == "paid back in another way: UTR 1"


def test_it_works_as_installed(spawn, service: Service):
    refund = by_api(service)
    assert said(spawn, "approve", refund) == read(service, refund)


# What cannot be done is one sentence that says why.


@pytest.mark.parametrize(
    "asked",
    [("show",), ("approve",), ("send",), ("retry",), ("cancel",), ("reject", "--reason", "x"), ("manual", "--evidence", "x")],
)  # fmt: skip
@pytest.mark.parametrize("refund_id", [ABSENT, "nothing", PAYMENT])
def test_what_is_not_there_is_told(run, asked: tuple[str, ...], refund_id: str):
    sentence = told(run, asked[0], refund_id, *asked[1:])
    assert sentence == f"counterfoil: There is no refund {refund_id} in this mode.\n"


@pytest.mark.parametrize("payment_id", [PAYMENT, "nothing", ABSENT])
def test_a_payment_that_is_not_there_is_told(run, payment_id: str):
    assert told(run, "request", payment_id, *WHY) == f"counterfoil: There is no payment {payment_id} in this mode.\n"  # fmt: skip


def test_who_asked_does_not_approve(run, service: Service):
    mine = said(run, "request", paid(service), *WHY)["id"]
    sentence = "counterfoil: Who asks for a refund does not approve it, whichever key they use.\n"
    assert told(run, "approve", mine) == sentence


def test_more_than_there_is_cannot_be_asked_for(run, service: Service):
    payment = paid(service)
    by_api(service, payment, amount=4_000)
    assert told(run, "request", payment, *WHY, "--amount", "6001") == (
        "counterfoil: amount is more than is left to refund: 60.00 USD."
        " Of 100.00 USD, 40.00 USD is kept for other refunds.\n"
    )


def test_what_was_not_paid_cannot_be_given_back(run, service: Service):
    assert told(run, "request", service.create()["id"], *WHY) == (
        "counterfoil: Only what was captured can be refunded, and this payment is created."
        " Cancel it, if it may be cancelled.\n"
    )


def test_a_reason_is_one_of_those_that_are_allowed(run, service: Service):
    payment = paid(service)
    sentence = told(run, "request", payment, "--reason", "because")
    assert sentence.startswith("counterfoil: reason must be one of: duplicate, fraudulent, ")
    sentence = told(run, "request", payment, "--reason", "other")
    assert sentence == "counterfoil: The reason other needs a note that says more.\n"


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        (("send",), "Cannot send while the state is pending_approval"),
        (("retry",), "Cannot retry while the state is pending_approval: only what has failed"),
        (("manual", "--evidence", "x"), "Cannot record as paid otherwise while the state is pending_approval: only what has failed"),
    ],
)  # fmt: skip
def test_what_is_not_possible_now_says_how_it_stands(run, service: Service, verb: Any, sentence: str):
    said_so = told(run, verb[0], by_api(service), *verb[1:])
    assert said_so.startswith(f"counterfoil: {sentence}")
    assert said_so.rstrip("\n").endswith(".")


@pytest.mark.parametrize(
    "asked",
    [
        ("list", "--status", "paid"),
        ("list", "--limit", "0"),
        ("pending", "--limit", "201"),
        ("request", PAYMENT),
        ("request", PAYMENT, *WHY, "--amount", "0"),
        ("request", PAYMENT, *WHY, "--amount", "1.5"),
        ("request", PAYMENT, *WHY, "--speed", "instant"),
        ("approve",),
        ("manual", ABSENT),
    ],
)
def test_what_means_nothing_is_refused(run, asked: tuple[str, ...]):
    assert run("refunds", *asked).status == 2
