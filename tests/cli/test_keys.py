"""counterfoil keys: made, listed, revoked."""

import json
from typing import Any

import pytest

from service import Service


def made(run: Any, *more: str) -> tuple[str, str]:
    """A new key: its id and its text."""
    ran = run("keys", "create", "--name", "the shop", "--role", "support", *more)
    assert ran.status == 0, ran.err
    first, *_, text = ran.out.splitlines()
    return first.split()[0], text


def test_a_key_is_printed_alone_on_the_last_line_and_works(run, service: Service):
    id_, text = made(run)
    assert id_.startswith("key_")
    assert service.get("/api/payments", key=text).status == 200
    rows = service.rows("SELECT actor, action FROM audit WHERE object_id = $1", id_)
    assert [row["action"] for row in rows] == ["key.create"]
    assert rows[0]["actor"].startswith("cli:")


def test_a_key_may_be_of_the_other_mode(run, service: Service):
    _, text = made(run, "--mode", "live")
    assert text.startswith("cf_live_")
    assert service.get("/api/payments", key=text).json["data"] == []


def test_keys_are_listed_without_their_texts(run, spawn):
    id_, text = made(run)
    rows = json.loads(spawn("keys", "list", "--json").out)
    (row,) = [row for row in rows if row["id"] == id_]
    assert (row["name"], row["role"], row["mode"], row["last4"]) == (
        "the shop",
        "support",
        "sandbox",
        text[-4:],
    )
    assert row["revoked_at"] is None
    table = run("keys", "list")
    assert "the shop" in table.out
    assert text not in table.out + json.dumps(rows)


def test_a_revoked_key_opens_nothing(run, service: Service):
    id_, text = made(run)
    assert run("keys", "revoke", id_).out == f"{id_} is revoked.\n"
    assert service.get("/api/payments", key=text).status == 401
    again = run("keys", "revoke", id_)
    assert again.status == 1
    assert again.err == f"counterfoil: There is no live key {id_} in this mode.\n"
    (row,) = [row for row in json.loads(run("keys", "list", "--json").out) if row["id"] == id_]
    assert row["revoked_at"]


@pytest.mark.parametrize(
    "asked", [("--role", "support"), ("--name", "x"), ("--name", "x", "--role", "root"), ("--name", "x", "--role", "viewer", "--mode", "test")]
)  # fmt: skip
def test_a_key_that_is_not_wholly_described_is_not_made(run, asked):
    assert run("keys", "create", *asked).status == 2


def test_a_key_needs_a_name(run):
    ran = run("keys", "create", "--name", " ", "--role", "viewer")
    assert ran.status == 1
    assert ran.err.startswith("counterfoil: A key needs a name")
