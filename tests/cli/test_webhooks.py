"""counterfoil webhooks: the inbox from the command line."""

import json
from typing import Any

import pytest

from service import Service

ABSENT = "whk_01m82q4mexgp9s3vb3tax4n4pn"


def said(run: Any, *arguments: str) -> Any:
    ran = run("webhooks", *arguments, "--json")
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


@pytest.fixture(scope="module")
def letter(service: Service) -> Any:
    """A webhook that was understood."""
    made = service.create(payment_method="pm_card_visa", confirm=True)
    path = "/api/payments/webhooks"
    return service.eventually(
        lambda: next(iter(service.get(path, payment=made["id"], status="processed").json["data"]), None)
    )


def test_webhooks_are_listed_and_shown(run, spawn, letter):
    assert letter["id"] in [row["id"] for row in said(run, "list", "--limit", "200")]
    assert {row["status"] for row in said(run, "list", "--status", "processed")} == {"processed"}
    whole = said(spawn, "show", letter["id"])
    assert {name: whole[name] for name in letter} == letter
    assert json.loads(whole["body"])["object"] == "event"
    assert "_secret_" not in whole["body"]
    assert letter["type"] in run("webhooks", "list").out.replace("\n", "").replace(" ", "")


def test_an_empty_list_says_so(run):
    assert run("webhooks", "list", "--status", "dead").out == "No webhooks yet.\n"


def test_a_webhook_is_understood_anew(run, service: Service, letter):
    assert said(run, "replay", letter["id"])["status"] == "received"
    path = f"/api/payments/webhooks/{letter['id']}"
    service.eventually(lambda: service.get(path).json["status"] == "processed")


def test_a_webhook_whose_facts_were_taken_is_not_put_aside(run, service: Service, letter):
    service.eventually(
        lambda: service.get(f"/api/payments/webhooks/{letter['id']}").json["status"] == "processed"
    )
    ran = run("webhooks", "ignore", letter["id"])
    assert ran.status == 1
    assert ran.err.startswith("counterfoil: Cannot ignore while the state is processed")


@pytest.mark.parametrize("verb", ["show", "replay", "ignore"])
@pytest.mark.parametrize("webhook_id", [ABSENT, "nothing"])
def test_what_is_not_there_is_one_sentence(run, verb, webhook_id):
    ran = run("webhooks", verb, webhook_id)
    assert (ran.status, ran.err) == (1, f"counterfoil: There is no webhook {webhook_id} in this mode.\n")


def test_a_list_is_narrowed(run, letter):
    options = ("--gateway", "stripe", "--type", letter["type"], "--payment", letter["payment"])
    assert letter["id"] in [row["id"] for row in said(run, "list", *options)]
    assert said(run, "list", *options, "--status", "dead") == []


def test_dead_letters_are_listed_and_understood_anew_together(run, service: Service, letter):
    service.rows("UPDATE inbox SET status = 'dead' WHERE id = $1 RETURNING id", letter["id"])
    assert [row["id"] for row in said(run, "list", "--status", "dead")] == [letter["id"]]
    assert said(run, "replay", "--status", "dead", "--gateway", "razorpay") == []
    assert said(run, "replay", "--status", "dead", "--gateway", "stripe") == [{"id": letter["id"]}]
    path = f"/api/payments/webhooks/{letter['id']}"
    service.eventually(lambda: service.get(path).json["status"] == "processed")
    acts = service.rows(
        "SELECT actor FROM audit WHERE object_id = $1 AND action = 'webhook.replay' ORDER BY id", letter["id"]
    )
    assert acts[-1]["actor"].startswith("cli:")


@pytest.mark.parametrize("arguments", [(), ("--gateway", "stripe"), (ABSENT, "--status", "dead")])
def test_a_replay_says_which_in_one_way(run, arguments):
    ran = run("webhooks", "replay", *arguments)
    assert ran.status == 2
    assert "--status" in ran.err or "not both" in ran.err
