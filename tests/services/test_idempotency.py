"""One key, one effect: replays, mismatches, requests in flight, and what a crash leaves behind."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from counterfoil.services import sweeping
from counterfoil.store import idempotency
from counterfoil.store.idempotency import Scope
from database import Postgres
from service import Answer, Service, serving

BODY = {"amount": 10_000, "currency": "USD"}
CHARGED = BODY | {"payment_method": "pm_card_visa", "confirm": True}


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres) as running:
        yield running


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as threads:
        yield threads


def create(service: Service, key: str, body: Any = None, **more: Any) -> Answer:
    return service.post("/api/payments", BODY if body is None else body, idempotency_key=key, **more)


def act(service: Service, payment: Any, verb: str, key: str, body: Any = None) -> Answer:
    return service.post(f"/api/payments/{payment['id']}/{verb}", body, idempotency_key=key)


def intents_of(service: Service, reference: str) -> list[Any]:
    """The PaymentIntents of the payments that carry this reference in their metadata."""
    truth = service.sandbox.truth()["stripe"]
    return [intent for intent in truth["payment_intents"] if intent["metadata"].get("tag") == reference]


def charges_of(service: Service, payment: Any) -> list[Any]:
    refs = {attempt["gateway_reference"] for attempt in payment["attempts"]}
    return [c for c in service.sandbox.truth()["stripe"]["charges"] if c["payment_intent"] in refs]


def holds(service: Service, key: str) -> list[dict[str, Any]]:
    return service.rows(
        "SELECT status, answer IS NOT NULL AS answered, path FROM idempotency WHERE key = $1", key
    )


def in_flight(service: Service, pool: ThreadPoolExecutor, key: str, *asked: Any) -> Future[Answer]:
    """A request that has taken its key and is on its way."""
    sent = pool.submit(*asked)
    service.eventually(lambda: holds(service, key))
    return sent


# Replays


def test_the_same_key_and_body_get_the_same_answer(service):
    first = create(service, "replay", CHARGED)
    again = create(service, "replay", CHARGED)
    assert (first.status, again.status) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json == first.json
    assert len(charges_of(service, first.json)) == 1


def test_a_replay_tells_what_was_answered_then_and_mints_its_links_anew(service):
    first = create(service, "links").json
    service.post(f"/api/payments/{first['id']}/confirm", {"payment_method": "pm_card_visa"})
    again = create(service, "links").json
    assert (first["status"], again["status"], again["checkout"]) == ("created", "created", None)


def test_a_replay_needs_no_gateway_that_could_take_the_payment_now(service):
    first = create(service, "replay 7")
    gateways = service.rows("SELECT document FROM settings")[0]["document"]["paymentGateways"]
    off = {name: {**gateway, "enabled": False} for name, gateway in gateways.items()}
    service.change_settings({"paymentGateways": off})
    try:
        again, new = create(service, "replay 7"), create(service, "replay 8")
        other = create(service, "replay 7", {**BODY, "amount": 1})
    finally:
        service.change_settings({"paymentGateways": gateways})
    assert (again.status, again.json["id"]) == (201, first.json["id"])
    assert again.headers["idempotency-replayed"] == "true"
    assert (new.status, other.json["code"]) == (422, "idempotency_mismatch")


def test_a_replay_gives_the_browsers_next_action_again(service):
    asked = BODY | {"payment_method": "pm_card_authenticationRequired", "confirm": True}
    first, again = (create(service, "action", asked).json for _ in range(2))
    assert first["checkout"]["next_action"]["client_secret"]
    assert again["checkout"]["next_action"] == first["checkout"]["next_action"]
    (row,) = service.rows("SELECT answer::text AS whole FROM idempotency WHERE key = 'action'")
    assert "_secret_" not in row["whole"]


def test_a_decline_is_replayed_and_not_tried_again(service):
    asked = BODY | {"payment_method": "pm_card_chargeDeclined", "confirm": True}
    first, again = (create(service, "decline", asked) for _ in range(2))
    assert first.json["failure"]["code"] == again.json["failure"]["code"] == "card_declined"
    assert len(charges_of(service, first.json)) == 1


@pytest.mark.parametrize("verb", ["confirm", "capture", "cancel", "sync"])
def test_every_verb_is_replayed(service, verb):
    made = service.create(capture="manual", **({"payment_method": "pm_card_visa", "confirm": True} if verb == "capture" else {}))  # fmt: skip
    body = {"payment_method": "pm_card_visa"} if verb == "confirm" else None
    first, again = (act(service, made, verb, f"verb {verb}", body) for _ in range(2))
    assert (first.status, again.status) == (200, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json == first.json
    assert holds(service, f"verb {verb}") == [
        {"status": 200, "answered": True, "path": f"/api/payments/{made['id']}/{verb}"}
    ]


def test_a_key_means_something_only_for_its_path(service):
    made, other = service.create(), service.create()
    for payment in (made, other):
        assert act(service, payment, "sync", "one word").headers.get("idempotency-replayed") is None
    assert act(service, made, "cancel", "one word").json["status"] == "cancelled"
    assert service.payment(other["id"])["status"] == "created"
    assert create(service, "one word").status == 201


def test_without_a_key_every_request_is_its_own(service):
    assert service.create()["id"] != service.create()["id"]


# Other bodies


def test_another_body_under_the_same_key_is_refused(service):
    first = create(service, "mismatch")
    for other in (BODY | {"amount": 1}, CHARGED, b'{"currency": "USD", "amount": 10000}'):
        answer = create(service, "mismatch", other)
        assert (answer.status, answer.json["code"]) == (422, "idempotency_mismatch")
    assert create(service, "mismatch").json["id"] == first.json["id"]


@pytest.mark.parametrize("key", ["x" * 256, "tab\there", "é"])
def test_a_key_that_is_none_is_refused(service, key):
    answer = create(service, key)
    assert (answer.status, answer.json["field"]) == (422, "Idempotency-Key")


# In flight


def test_while_the_first_request_is_under_way_the_second_waits_its_turn(service, pool):
    service.sandbox.fault("stripe", "payment_intents.create", "delay", seconds=0.6)
    first = in_flight(service, pool, "flight", create, service, "flight")
    for _ in range(2):
        early = create(service, "flight")
        assert (early.status, early.json["code"], early.headers["retry-after"]) == (
            409,
            "idempotency_in_flight",
            "1",
        )
    other = create(service, "flight", CHARGED)
    assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")
    assert first.result().status == 201
    assert create(service, "flight").json["id"] == first.result().json["id"]


def test_a_verb_in_flight_keeps_its_key_whoever_else_asks(service, pool):
    made = service.create()
    service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=0.8)
    body = {"payment_method": "pm_card_chargeDeclined"}
    first = in_flight(service, pool, "held", act, service, made, "confirm", "held", body)
    for other in (body, {"payment_method": "pm_card_visa"}, body):
        early = act(service, made, "confirm", "held", other)
        assert early.json["code"] == ("idempotency_in_flight" if other is body else "idempotency_mismatch")
    assert first.result().status == 200
    again = act(service, made, "confirm", "held", body)
    assert (again.status, again.headers.get("idempotency-replayed")) == (200, "true")
    assert len(charges_of(service, made)) == 1


def test_twenty_at_once_make_one_payment(service, pool):
    asked = CHARGED | {"metadata": {"tag": "twenty"}}
    service.sandbox.fault("stripe", "payment_intents.create", "delay", seconds=0.2)
    answers = list(pool.map(lambda _: create(service, "twenty", asked), range(20)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.json["id"] for answer in answers if answer.status == 201}) == 1
    (intent,) = intents_of(service, "twenty")
    assert len([c for c in service.sandbox.truth()["stripe"]["charges"] if c["payment_intent"] == intent["id"]]) == 1  # fmt: skip
    assert service.rows("SELECT count(*) AS n FROM payments WHERE metadata ->> 'tag' = 'twenty'") == [
        {"n": 1}
    ]
    assert create(service, "twenty", asked).json["status"] == "captured"


def test_twenty_confirms_at_once_charge_once(service, pool):
    made = service.create()
    body = {"payment_method": "pm_card_visa"}
    answers = list(pool.map(lambda _: act(service, made, "confirm", "charge me", body), range(20)))
    assert {answer.status for answer in answers} <= {200, 409}
    assert len(charges_of(service, made)) == 1
    assert act(service, made, "confirm", "charge me", body).json["status"] == "captured"


def test_twenty_confirms_with_keys_of_their_own_charge_once(service, pool):
    made = service.create()
    body = {"payment_method": "pm_card_visa"}
    answers = list(pool.map(lambda n: act(service, made, "confirm", f"mine {n}", body), range(20)))
    assert {answer.status for answer in answers} <= {200, 409}
    assert len(charges_of(service, made)) == 1


# Refusals are not kept


def test_a_create_that_was_not_valid_leaves_its_key_free(service):
    for wrong in ({"amount": 0}, BODY | {"colour": "red"}, {"amount": 1001, "currency": "KWD"}):
        assert create(service, "corrected", wrong).status == 422
    assert holds(service, "corrected") == []
    assert create(service, "corrected").status == 201


def test_a_verb_that_was_refused_leaves_its_key_free(service):
    made = service.create(capture="manual")
    assert act(service, made, "capture", "later").status == 409
    assert holds(service, "later") == []
    act(service, made, "confirm", "now", {"payment_method": "pm_card_visa"})
    assert act(service, made, "capture", "later").json["status"] == "captured"


def test_an_unpermitted_request_takes_no_key(service):
    refused = service.post("/api/payments", BODY, idempotency_key="not mine", key=service.key("viewer"))
    assert refused.status == 403
    assert holds(service, "not mine") == []


# After a crash: the record stands, nobody is at work on it, and the lease runs out


def crashed(service: Service, key: str) -> None:
    """Put the record back to where a process that died at work left it, its lease run out."""

    async def put_back() -> None:
        async with service.context.db.transaction() as conn:
            await conn.execute(
                "UPDATE idempotency SET status = NULL, answer = NULL, answered_at = NULL,"
                " leased_until = $2 WHERE key = $1",
                key,
                service.context.now() - timedelta(seconds=1),
            )

    service.run(put_back())


def test_a_retry_within_the_lease_waits(service):
    create(service, "leased")

    async def unanswered() -> None:
        async with service.context.db.transaction() as conn:
            await conn.execute("UPDATE idempotency SET status = NULL, answer = NULL WHERE key = 'leased'")

    service.run(unanswered())
    assert create(service, "leased").json["code"] == "idempotency_in_flight"


def test_a_create_that_had_done_everything_is_answered_and_not_done_again(service):
    first = create(service, "all done", CHARGED)
    crashed(service, "all done")
    again = create(service, "all done", CHARGED)
    assert (again.status, again.json["id"], again.json["status"]) == (201, first.json["id"], "captured")
    assert len(charges_of(service, first.json)) == 1
    assert create(service, "all done", CHARGED).headers["idempotency-replayed"] == "true"


def test_a_create_that_had_only_opened_goes_on_to_charge(service):
    first = create(service, "half done", CHARGED | {"metadata": {"tag": "half"}})
    made = service.create()  # what the dead process had reached: opened, not confirmed

    async def halfway() -> None:
        async with service.context.db.transaction() as conn:
            await conn.execute("UPDATE idempotency SET payment_id = $1 WHERE key = 'half done'", made["id"])

    service.run(halfway())
    crashed(service, "half done")
    again = create(service, "half done", CHARGED | {"metadata": {"tag": "half"}})
    assert (again.status, again.json["id"], again.json["status"]) == (201, made["id"], "captured")
    assert len(again.json["attempts"]) == 1
    assert first.json["id"] != made["id"]


def test_a_confirm_that_was_declined_is_answered_and_not_tried_again(service):
    made = service.create()
    body = {"payment_method": "pm_card_chargeDeclined"}
    act(service, made, "confirm", "died after", body)
    crashed(service, "died after")
    again = act(service, made, "confirm", "died after", body)
    assert (again.status, again.json["failure"]["code"]) == (200, "card_declined")
    assert len(charges_of(service, made)) == 1


def test_two_retries_after_a_crash_do_the_rest_once(service, pool):
    made = service.create()
    body = {"payment_method": "pm_card_visa"}
    service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=0.3)

    async def taken() -> None:
        scope = Scope(
            merchant_id=service.context.merchant_id,
            mode="sandbox",
            method="POST",
            path=f"/api/payments/{made['id']}/confirm",
            key="two retries",
            body_digest=digest_of(body),
        )
        now = service.context.now()
        async with service.context.db.transaction() as conn:
            await idempotency.claim(conn, scope, payment_id=made["id"], now=now, leased_until=now)

    service.run(taken())
    answers = list(pool.map(lambda _: act(service, made, "confirm", "two retries", body), range(8)))
    assert sorted({answer.status for answer in answers}) == [200, 409]
    assert len(charges_of(service, made)) == 1


def digest_of(body: Any) -> bytes:
    import json
    from hashlib import sha256

    return sha256(json.dumps(body).encode()).digest()


# What is kept, and for how long


def test_a_key_given_back_between_two_looks_is_taken_and_not_passed_over(service):
    scope = Scope(
        merchant_id=service.context.merchant_id,
        mode="sandbox",
        method="POST",
        path="/api/payments",
        key="slipped",
        body_digest=b"digest",
    )
    now = service.context.now()

    class Slipping:
        """A connection between whose two statements the other request gives its key back."""

        def __init__(self, conn: Any) -> None:
            self._conn = conn

        async def fetchval(self, *asked: Any) -> Any:
            return await self._conn.fetchval(*asked)

        async def fetchrow(self, *asked: Any) -> Any:
            async with service.context.db.transaction() as other:
                await idempotency.forget(other, scope)
            return await self._conn.fetchrow(*asked)

    async def claim() -> Any:
        db = service.context.db
        async with db.transaction() as conn:
            await idempotency.claim(conn, scope, payment_id="pmt_a", now=now, leased_until=now)
        async with db.transaction() as conn:
            return await idempotency.claim(
                Slipping(conn), scope, payment_id="pmt_b", now=now, leased_until=now
            )

    assert service.run(claim()) is None
    (row,) = service.rows("SELECT payment_id FROM idempotency WHERE key = 'slipped'")
    assert row["payment_id"] == "pmt_b"


def test_records_are_kept_for_thirty_days_and_while_an_outcome_is_unknown(fast_postgres):
    with serving(fast_postgres, work=False) as service:
        create(service, "old")
        service.sandbox.fault("stripe", "payment_intents.confirm", "error_5xx_before", times=2)
        unknown = create(service, "unknown", CHARGED)
        assert unknown.json["attempts"][0]["status"] == "unknown"
        for days, left in ((29, {"old", "unknown"}), (2, {"unknown"})):
            service.advance(days * 86400)
            service.run(sweeping.prune(service.context))
            kept = service.rows("SELECT key FROM idempotency")
            assert {row["key"] for row in kept} == left
