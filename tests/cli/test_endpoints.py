"""counterfoil endpoints: the same verbs as the API, from the command line."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from backend import Backend, running_backend
from service import Service

ABSENT = "ept_01m82q4mexgp9s3vb3tax4n4pn"
EVENT = "out_01m82q4mexgp9s3vb3tax4n4pn"


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running_backend() as running:
        yield running


@pytest.fixture
def endpoints(run: Any) -> Any:
    """Run a command of the group; what it printed as JSON."""

    def running(*arguments: str) -> Any:
        ran = run("endpoints", *arguments, "--json", allow_loopback_endpoints=1)
        assert ran.status == 0, ran.err
        return json.loads(ran.out)

    return running


def test_an_endpoint_lives_from_the_command_line(run: Any, endpoints: Any, backend: Backend):
    made = endpoints("create", backend.url, "--description", "Books", "--type", "payment.*")
    assert made["secret"].startswith("whsec_")
    assert endpoints("show", made["id"]) == {name: made[name] for name in made if name != "secret"}
    assert made["id"] in [row["id"] for row in endpoints("list")]
    changed = endpoints("update", made["id"], "--disable", "--type", "alert.*")
    assert (changed["enabled"], changed["types"], changed["description"]) == (False, ["alert.*"], "Books")
    changed = endpoints("update", made["id"], "--enable", "--all-types")
    assert (changed["enabled"], changed["types"]) == (True, [])
    rotated = endpoints("rotate", made["id"], "--overlap-hours", "0")
    said = endpoints("test", made["id"])
    assert (said["delivered"], said["status"]) == (True, 200)
    Webhook(rotated["secret"]).verify(backend.got[0].body, backend.got[0].headers)
    assert run("endpoints", "delete", made["id"]).out == f"{made['id']} is deleted.\n"
    assert made["id"] not in [row["id"] for row in endpoints("list")]


def test_deliveries_are_listed_shown_and_replayed(
    run: Any, endpoints: Any, backend: Backend, service: Service
):
    made = endpoints("create", backend.url, "--type", "payment.created")
    assert run("endpoints", "deliveries", made["id"]).out == "Nothing was sent to it yet.\n"
    created = service.create()
    path = f"/api/payments/endpoints/{made['id']}/deliveries"
    service.eventually(lambda: service.get(path).json["data"])
    [row] = endpoints("deliveries", made["id"])
    assert row["about"] == created["id"]
    service.eventually(lambda: service.get(path).json["data"][0]["tries"])
    assert endpoints("delivery", made["id"], row["event"])["event"] == row["event"]
    assert endpoints("replay", made["id"], row["event"])["event"] == row["event"]
    assert endpoints("replay", made["id"], "--since", "2020-01-01")["replayed"] >= 0
    run("endpoints", "delete", made["id"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("create", "https://10.0.0.1/"), "no public address"),
        (("create", "https://shop.example/", "--type", "payment.vanished"), "no such event type"),
        (("show", ABSENT), f"There is no endpoint {ABSENT}"),
        (("replay", ABSENT), "Name an event"),
        (("replay", ABSENT, EVENT, "--since", "2020-01-01"), "Name an event"),
        (("replay", ABSENT, "--since", "yesterday"), "no time"),
        (("delivery", ABSENT, EVENT), f"There is no endpoint {ABSENT}"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run: Any, arguments, says):
    ran = run("endpoints", *arguments)
    assert ran.status == 1
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_an_empty_list_says_so(run: Any, endpoints: Any):
    for row in endpoints("list"):
        run("endpoints", "delete", row["id"])
    assert "No endpoints yet" in run("endpoints", "list").out
