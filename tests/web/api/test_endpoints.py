"""Endpoints over HTTP: made, changed, tried out, replayed; and a real payment told to a real receiver."""

from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from backend import Backend, running_backend
from counterfoil.domain.endpoint import MOST, SECRETS_MOST
from database import Postgres
from service import Service, serving

PATH = "/api/payments/endpoints"
ABSENT = "ept_01m82q4mexgp9s3vb3tax4n4pn"
EVENT = "out_01m82q4mexgp9s3vb3tax4n4pn"


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres, allow_loopback_endpoints=True) as running:
        yield running


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running_backend() as running:
        yield running


@pytest.fixture
def make(service: Service, backend: Backend) -> Iterator[Any]:
    made = []

    def making(**asked: Any) -> Any:
        answer = service.post(PATH, {"url": backend.url, **asked})
        assert answer.status == 201, answer
        made.append(answer.json["id"])
        return answer.json

    yield making
    for endpoint_id in made:
        service.call("DELETE", f"{PATH}/{endpoint_id}")


def test_a_payment_is_told_version_by_version_to_the_merchants_backend(
    service: Service, backend: Backend, make
):
    endpoint = make(types=["payment.*"])
    payment = service.create(payment_method="pm_card_visa", confirm=True)
    last = service.until(payment["id"], "captured")["version"]
    service.eventually(lambda: backend.versions(payment["id"])[-1:] == [last])
    told = [Webhook(endpoint["secret"]).verify(one.body, one.headers) for one in backend.got]
    ours = [one for one in told if one["data"]["id"] == payment["id"]]
    assert [one["version"] for one in ours] == list(range(1, last + 1))
    assert (ours[0]["type"], ours[0]["data"]["status"]) == ("payment.created", "created")
    assert "payment.captured" in [one["type"] for one in ours]
    now = service.payment(payment["id"])
    assert ours[-1]["data"] == {name: value for name, value in now.items() if name != "checkout"}


def test_the_secret_is_shown_once_and_never_again(service: Service, make):
    endpoint = make(description="The shop", types=["payment.captured"])
    assert endpoint["secret"].startswith("whsec_")
    read = service.get(f"{PATH}/{endpoint['id']}").json
    assert read == {name: value for name, value in endpoint.items() if name != "secret"}
    listed = service.get(PATH)
    assert endpoint["id"] in [row["id"] for row in listed.json["data"]]
    assert endpoint["secret"].encode() not in listed.body
    stored = service.rows("SELECT secret FROM endpoint_secrets")
    assert all(endpoint["secret"].encode() not in row["secret"] for row in stored)


def test_a_rotated_secret_signs_beside_the_old_one(service: Service, backend: Backend, make):
    endpoint = make(types=["payment.created"])
    rotated = service.post(f"{PATH}/{endpoint['id']}/rotate", {"overlap_hours": 1}).json
    service.post(f"{PATH}/{endpoint['id']}/test")
    for secret in (endpoint["secret"], rotated["secret"]):
        Webhook(secret).verify(backend.got[-1].body, backend.got[-1].headers)
    at_once = service.post(f"{PATH}/{endpoint['id']}/rotate", {"overlap_hours": 0}).json
    service.post(f"{PATH}/{endpoint['id']}/test")
    Webhook(at_once["secret"]).verify(backend.got[-1].body, backend.got[-1].headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(rotated["secret"]).verify(backend.got[-1].body, backend.got[-1].headers)


def test_only_so_many_secrets_sign_at_once(service: Service, make):
    endpoint = make()
    answers = [service.post(f"{PATH}/{endpoint['id']}/rotate").status for _ in range(SECRETS_MOST)]
    assert answers == [200] * (SECRETS_MOST - 1) + [409]


def test_an_endpoint_is_tried_out_and_its_answer_shown(service: Service, backend: Backend, make):
    endpoint = make()
    backend.answer = (503, b"closed for today")
    said = service.post(f"{PATH}/{endpoint['id']}/test").json
    assert (said["delivered"], said["status"], said["answer"]) == (False, 503, "closed for today")
    assert said["error"] == "answered 503"
    backend.answer = (204, b"")
    said = service.post(f"{PATH}/{endpoint['id']}/test").json
    assert (said["delivered"], said["error"]) == (True, None)
    told = Webhook(endpoint["secret"]).verify(backend.got[-1].body, backend.got[-1].headers)
    assert (told["type"], told["id"]) == ("endpoint.test", said["event"])
    assert service.get(f"{PATH}/{endpoint['id']}/deliveries").json["data"] == []


def test_it_is_changed_and_disabled_and_enabled(service: Service, backend: Backend, make):
    endpoint = make()
    path = f"{PATH}/{endpoint['id']}"
    changed = service.call(
        "PATCH", path, {"description": "Books", "types": ["alert.*"], "enabled": False}
    ).json
    assert (changed["description"], changed["types"], changed["enabled"]) == ("Books", ["alert.*"], False)
    assert changed["disabled_because"] == "by hand"
    assert changed["url"] == backend.url
    assert service.call("PATCH", path, {"enabled": True}).json["enabled"]
    done = service.rows("SELECT action FROM audit WHERE object_id = $1 ORDER BY id", endpoint["id"])
    assert [row["action"] for row in done] == ["endpoint.create", "endpoint.update", "endpoint.update"]


def test_a_changed_url_is_checked_as_a_new_one_is(service: Service, backend: Backend, make):
    path = f"{PATH}/{make()['id']}"
    assert service.call("PATCH", path, {"url": "https://192.168.0.1/"}).status == 422
    assert service.get(path).json["url"] == backend.url
    changed = service.call("PATCH", path, {"url": f"{backend.url}?again=1"}).json
    assert changed["url"] == f"{backend.url}?again=1"


def test_deliveries_are_listed_shown_and_replayed(service: Service, backend: Backend, make):
    endpoint = make(types=["payment.created"])
    path = f"{PATH}/{endpoint['id']}"
    made = [service.create()["id"] for _ in range(3)]
    service.eventually(lambda: len(service.get(f"{path}/deliveries", status="delivered").json["data"]) == 3)
    first = service.get(f"{path}/deliveries", limit=2).json
    second = service.get(f"{path}/deliveries", limit=2, cursor=first["next_cursor"]).json
    rows = [*first["data"], *second["data"]]
    assert second["next_cursor"] is None
    assert {row["about"] for row in rows} == set(made)
    assert [row["sequence"] for row in rows] == sorted((row["sequence"] for row in rows), reverse=True)
    whole = service.get(f"{path}/deliveries/{rows[0]['event']}").json
    assert [one["status"] for one in whole["log"]] == [200]
    again = service.post(f"{path}/deliveries/{rows[0]['event']}/replay").json
    assert (again["status"], again["tries"]) == ("pending", 0)
    service.eventually(lambda: len(service.get(f"{path}/deliveries/{rows[0]['event']}").json["log"]) == 2)
    assert service.post(f"{path}/replay", {"since": "2020-01-01T00:00:00Z"}).json["replayed"] >= 0


def test_what_came_while_it_was_disabled_is_replayed_from_a_time_on(service: Service, backend: Backend, make):
    endpoint = make(types=["payment.created"], enabled=False)
    path = f"{PATH}/{endpoint['id']}"
    since = service.create()
    numbered = "SELECT count(*) AS n FROM events WHERE object_id = $1 AND sequence IS NOT NULL"
    service.eventually(lambda: service.rows(numbered, since["id"])[0]["n"])
    assert service.get(f"{path}/deliveries").json["data"] == []
    service.call("PATCH", path, {"enabled": True})
    assert service.post(f"{path}/replay", {"since": since["created_at"]}).json["replayed"] >= 1
    service.eventually(lambda: backend.versions(since["id"]) == [1])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"url": "https://10.0.0.1/hook"}, "url"),
        ({"url": "http://[::ffff:127.0.0.1]/hook"}, "url"),
        ({"url": "http://no-such-name.invalid/hook"}, "url"),
        ({"url": "ftp://shop.example/"}, "url"),
        ({"url": ""}, "url"),
        ({"types": ["payment.vanished"]}, "types"),
        ({"types": ["payment.captured"] * 33}, "types"),
        ({"description": "x" * 201}, "description"),
        ({"enabled": "yes"}, "enabled"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
def test_what_will_not_do_is_told_by_its_field(service: Service, backend: Backend, asked, field):
    answer = service.post(PATH, {"url": backend.url, **asked})
    assert answer.status == 422
    assert field in answer.json["detail"]


def test_there_are_only_so_many(service: Service, make):
    for _ in range(MOST - len(service.get(PATH).json["data"])):
        make()
    assert service.post(PATH, {"url": "http://127.0.0.1:9000/"}).status == 409


def test_a_live_key_sees_no_sandbox_endpoint_and_may_not_name_this_machine(service: Service, make):
    endpoint, live = make(), service.key(mode="live")
    assert service.get(f"{PATH}/{endpoint['id']}", key=live).status == 404
    assert service.get(PATH, key=live).json["data"] == []
    for url in ("http://127.0.0.1:9000/", "https://127.0.0.1:9000/", "http://8.8.8.8/"):
        assert service.post(PATH, {"url": url}, key=live).status == 422


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", ABSENT, None),
        ("PATCH", ABSENT, {"enabled": True}),
        ("DELETE", ABSENT, None),
        ("POST", f"{ABSENT}/rotate", None),
        ("POST", f"{ABSENT}/test", None),
        ("GET", f"{ABSENT}/deliveries", None),
        ("GET", f"{ABSENT}/deliveries/{EVENT}", None),
        ("POST", f"{ABSENT}/deliveries/{EVENT}/replay", None),
        ("POST", f"{ABSENT}/replay", {"since": "2026-11-22T12:00:00Z"}),
        ("GET", "nothing", None),
    ],
)
def test_what_is_not_there_is_told(service: Service, method, path, body):
    assert service.call(method, f"{PATH}/{path}", body).status == 404


def test_a_delivery_that_is_not_there_is_told(service: Service, make):
    endpoint = make()
    assert service.get(f"{PATH}/{endpoint['id']}/deliveries/{EVENT}").status == 404
    assert service.post(f"{PATH}/{endpoint['id']}/deliveries/{EVENT}/replay").status == 404
    assert service.call("DELETE", f"{PATH}/{endpoint['id']}").status == 204
    assert service.get(f"{PATH}/{endpoint['id']}").status == 404


def test_a_repeated_request_makes_one_endpoint_and_shows_its_secret_again(service: Service, backend: Backend):
    asked, key = {"url": backend.url}, "make it once"
    first, again = (service.post(PATH, asked, idempotency_key=key) for _ in range(2))
    assert (first.status, again.status, again.json) == (201, 201, first.json)
    assert again.headers["idempotency-replayed"] == "true"
    kept = service.rows("SELECT answer FROM idempotency WHERE key = $1", key)
    assert first.json["secret"] not in str(kept)
    assert [one["id"] for one in service.get(PATH).json["data"]].count(first.json["id"]) == 1
    service.call("DELETE", f"{PATH}/{first.json['id']}")


def test_a_repeated_rotation_rotates_once(service: Service, make):
    path = f"{PATH}/{make()['id']}/rotate"
    first, again = (service.post(path, idempotency_key="rotate it once") for _ in range(2))
    assert (first.status, again.json["secret"]) == (200, first.json["secret"])
    other = service.post(path, idempotency_key="rotate it again")
    assert other.json["secret"] != first.json["secret"]


def test_a_repeated_replay_sends_once(service: Service, backend: Backend, make):
    endpoint = make(types=["payment.created"])
    payment = service.create()
    service.eventually(lambda: backend.versions(payment["id"]))
    [event] = [one["event"] for one in service.get(f"{PATH}/{endpoint['id']}/deliveries").json["data"]]
    path = f"{PATH}/{endpoint['id']}/deliveries/{event}/replay"
    first = service.post(path, idempotency_key="replay it once")
    service.eventually(lambda: len(backend.versions(payment["id"])) == 2)
    again = service.post(path, idempotency_key="replay it once")
    assert (again.json, again.headers["idempotency-replayed"]) == (first.json, "true")
    assert service.get(f"{PATH}/{endpoint['id']}/deliveries/{event}").json["status"] == "delivered"
    since = {"since": "2020-01-01T00:00:00Z"}
    counted = [
        service.post(f"{PATH}/{endpoint['id']}/replay", since, idempotency_key="all of them") for _ in "12"
    ]
    assert [one.json for one in counted] == [counted[0].json] * 2


def test_a_retry_after_a_crash_finds_what_was_made(service: Service, backend: Backend):
    """The endpoint and the key were committed together; the answer was not."""
    asked, key = {"url": backend.url}, "made, and not answered"
    made = service.post(PATH, asked, idempotency_key=key).json
    service.run(_unanswered(service, key))
    again = service.post(PATH, asked, idempotency_key=key)
    assert (again.status, again.json) == (201, made)
    assert "idempotency-replayed" not in again.headers
    service.call("DELETE", f"{PATH}/{made['id']}")


async def _unanswered(service: Service, key: str) -> None:
    async with service.context.db.transaction() as conn:
        await conn.execute(
            "UPDATE idempotency SET answer = NULL, status = NULL, leased_until = created_at WHERE key = $1",
            key,
        )
