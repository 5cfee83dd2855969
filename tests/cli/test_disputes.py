"""counterfoil disputes: the same verbs as the API, from the command line."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from service import Service

ABSENT = "dsp_01m82q4mexgp9s3vb3tax4n4pn"


@pytest.fixture
def disputes(run: Any) -> Any:
    """Run a command of the group; what it printed as JSON."""

    def running(*arguments: str) -> Any:
        ran = run("disputes", *arguments, "--json")
        assert ran.status == 0, ran.err
        return json.loads(ran.out)

    return running


@pytest.fixture
def one(service: Service) -> Any:
    made = service.create(payment_method="pm_card_createDispute", confirm=True)
    return service.eventually(lambda: service.payment(made["id"])["disputes"])[0]


def test_disputes_are_listed_and_shown(run: Any, disputes: Any, one: Any):
    shown = disputes("show", one["id"])
    assert (shown["id"], shown["status"], shown["amount_held"]) == (one["id"], "needs_response", 10_000)
    assert one["id"] in [row["id"] for row in disputes("list", "--state", "needs_response")]
    assert one["id"] in [row["id"] for row in disputes("list", "--due-before", "2040-01-01")]
    assert disputes("list", "--gateway", "razorpay") == []
    assert run("disputes", "list", "--state", "closed").out == "No disputes.\n"
    table = run("disputes", "list").out
    assert "100.00 USD" in table
    assert one["id"] in run("disputes", "show", one["id"]).out


def test_evidence_is_shown_changed_and_submitted(run: Any, disputes: Any, one: Any, tmp_path: Path):
    policy = tmp_path / "policy.txt"
    policy.write_text("No returns after a month.")
    assert disputes("evidence", one["id"])["status"] == "collected"
    changed = disputes(
        "evidence", one["id"], "--summary", "Delivered.", "--text", f"refund_policy=@{policy}", "--text", "timeline="
    )  # fmt: skip
    assert (changed["status"], changed["summary"]) == ("draft", "Delivered.")
    assert changed["texts"]["refund_policy"] == "No returns after a month."
    assert "timeline" not in changed["texts"]
    assert "No returns after a month." in run("disputes", "evidence", one["id"]).out
    now = disputes("submit", one["id"])
    assert (now["answer"], now["submitted_by"].partition(":")[0]) == ("submitted", "cli")


def test_a_dispute_is_given_up_only_when_that_is_confirmed(
    run: Any, disputes: Any, one: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run("disputes", "accept", one["id"]).status != 0
    assert disputes("show", one["id"])["answer"] == "none"
    assert disputes("accept", one["id"], "--yes")["status"] == "lost"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", ABSENT), "There is no dispute"),
        (("show", "dp_1"), "There is no dispute"),
        (("evidence", ABSENT, "--text", "card=4"), "card is no text of evidence"),
        (("evidence", ABSENT, "--text", "receipt"), "receipt is no text of evidence"),
        (("evidence", ABSENT, "--amount", "100"), "There is no dispute"),
        (("list", "--due-before", "soon"), "soon is no time"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(run: Any, arguments: tuple[str, ...], said: str):
    ran = run("disputes", *arguments)
    assert ran.status == 1
    assert said in ran.err
