"""An action answers in time, goes on where it must, and finishes before the process ends."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import structlog

from counterfoil.services import payments
from counterfoil.web.api import answering
from service import Service, Weak, running_service, serving

CHARGED = {"amount": 10_000, "currency": "USD", "payment_method": "pm_card_visa", "confirm": True}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are due after a fifth of a second."""
    monkeypatch.setattr(answering, "ANSWER_S", 0.2)


def charges_of(service: Service, payment: Any) -> list[Any]:
    refs = {attempt["gateway_reference"] for attempt in payment["attempts"]}
    return [c for c in service.sandbox.truth()["stripe"]["charges"] if c["payment_intent"] in refs]


def test_a_slow_charge_is_answered_pending_and_ends_captured(service, hurried):
    service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=0.7)
    made = service.create(payment_method="pm_card_visa", confirm=True, idempotency_key="slow")
    assert (made["status"], made["amount_captured"]) == ("pending", 0)
    done = service.until(made["id"], "captured")
    assert len(charges_of(service, done)) == 1
    again = service.post("/api/payments", {"amount": 10_000, "currency": "USD", "payment_method": "pm_card_visa", "confirm": True}, idempotency_key="slow")  # fmt: skip
    assert (again.json["id"], again.json["status"]) == (made["id"], "pending")
    assert again.headers["idempotency-replayed"] == "true"


def test_a_slow_opening_is_answered_with_the_payment_and_ends_open(service, hurried):
    service.sandbox.fault("stripe", "payment_intents.create", "delay", seconds=0.5)
    made = service.create()
    assert (made["status"], made["attempts"][0]["gateway_reference"]) == ("created", None)
    service.eventually(lambda: service.payment(made["id"])["attempts"][0]["gateway_reference"])


def test_a_payment_is_pending_from_the_moment_its_charge_is_asked_for(service, hurried):
    made = service.create()
    service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=0.6)
    body = {"payment_method": "pm_card_visa"}
    answer = service.post(f"/api/payments/{made['id']}/confirm", body)
    assert (answer.status, answer.json["status"]) == (200, "pending")
    assert service.payment(made["id"])["status"] == "pending"
    second = service.post(f"/api/payments/{made['id']}/confirm", body)
    assert (second.status, second.json["code"]) == (409, "wrong_state")
    assert service.until(made["id"], "captured")["amount_captured"] == 10_000


def test_a_charge_that_was_refused_leaves_the_payment_as_it_was(service):
    made = service.create()
    service.sandbox.fault("stripe", "payment_intents.confirm", "rate_limit")
    answer = service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    assert (answer.status, answer.json["status"]) == (200, "created")
    assert answer.json["failure"]["code"] == "gateway_unavailable"


def test_a_slow_retry_after_a_crash_is_answered_with_its_own_payment(service, hurried):
    made = service.create()
    service.create(idempotency_key="resumed slowly", payment_method="pm_card_visa", confirm=True)

    async def died_after_opening() -> None:
        async with service.context.db.transaction() as conn:
            await conn.execute(
                "UPDATE idempotency SET status = NULL, answer = NULL, answered_at = NULL, payment_id = $1,"
                " leased_until = $2 WHERE key = 'resumed slowly'",
                made["id"],
                service.context.now() - timedelta(seconds=1),
            )

    service.run(died_after_opening())
    service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=0.6)
    again = service.post("/api/payments", CHARGED, idempotency_key="resumed slowly")
    assert (again.status, again.json["id"], again.json["status"]) == (201, made["id"], "pending")
    assert service.until(made["id"], "captured")


def test_a_process_that_ends_lets_its_work_finish(fast_postgres, hurried):
    with fast_postgres.database() as database:
        with running_service(database.app_url, work=False) as service:
            service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=0.8)
            assert service.create(payment_method="pm_card_visa", confirm=True)["status"] == "pending"
        assert asyncio.run(statuses(database.app_url)) == ["captured"]


async def statuses(url: str) -> list[str]:
    conn = await asyncpg.connect(url)
    try:
        return [row["status"] for row in await conn.fetch("SELECT status FROM payments")]
    finally:
        await conn.close()


@pytest.fixture(scope="module")
def weak() -> Weak:
    return Weak()


@pytest.fixture(scope="module")
def failing(fast_postgres, weak) -> Iterator[Service]:
    with serving(fast_postgres, work=False, on_commit=weak) as running:
        running.sandbox.webhooks(hold=True)  # every commit is a request's own
        yield running


def test_a_key_whose_work_was_cut_off_by_the_database_is_not_free(failing, weak):
    made = failing.create()
    path, body = f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_chargeDeclined"}
    weak.left = 3  # the key, the intent, and what came of it
    lost = failing.post(path, body, idempotency_key="cut off")
    assert (lost.status, lost.json["code"], lost.headers["retry-after"]) == (503, "database_away", "1")
    early = failing.post(path, body, idempotency_key="cut off")
    assert (early.status, early.json["code"]) == (409, "idempotency_in_flight")
    failing.advance(31)
    again = failing.post(path, body, idempotency_key="cut off")
    assert (again.status, again.json["failure"]["code"]) == (200, "card_declined")
    assert len(charges_of(failing, made)) == 1


def test_a_create_cut_off_by_the_database_is_taken_up_again(failing, weak):
    weak.left = 2  # the payment with its key is committed; what the opening came to is not
    assert failing.post("/api/payments", CHARGED, idempotency_key="opened").status == 503
    failing.advance(31)
    again = failing.post("/api/payments", CHARGED, idempotency_key="opened")
    assert (again.status, again.json["status"]) == (201, "captured")
    assert len(charges_of(failing, again.json)) == 1
    assert failing.rows("SELECT count(*) AS n FROM payments WHERE id = $1", again.json["id"]) == [{"n": 1}]


def test_a_create_whose_opening_never_arrived_opens_another_and_charges_once(failing, weak):
    failing.sandbox.fault("stripe", "payment_intents.create", "error_5xx_before")
    weak.left = 2
    assert failing.post("/api/payments", CHARGED, idempotency_key="never opened").status == 503
    failing.advance(31)
    again = failing.post("/api/payments", CHARGED, idempotency_key="never opened")
    assert (again.status, again.json["status"]) == (201, "captured")
    assert [attempt["status"] for attempt in again.json["attempts"]] == ["dead", "won"]
    assert len(charges_of(failing, again.json)) == 1


def test_a_charge_that_never_arrived_is_sent_again_under_its_own_key(failing, weak):
    made = failing.create()
    path, body = f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"}
    failing.sandbox.fault("stripe", "payment_intents.confirm", "error_5xx_before")
    weak.left = 3
    assert failing.post(path, body, idempotency_key="never charged").status == 503
    failing.advance(31)
    again = failing.post(path, body, idempotency_key="never charged")
    assert (again.status, again.json["status"]) == (200, "captured")
    calls = failing.rows("SELECT settled FROM calls WHERE payment_id = $1 AND verb = 'confirm'", made["id"])
    assert calls == [{"settled": "accepted"}]
    assert len(charges_of(failing, made)) == 1


def test_a_charge_is_not_sent_again_once_the_gateway_may_have_forgotten_its_key(failing, weak):
    made = failing.create()
    path, body = f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"}
    failing.sandbox.fault("stripe", "payment_intents.confirm", "error_5xx_before")
    weak.left = 3
    assert failing.post(path, body, idempotency_key="a day later").status == 503
    failing.advance(23 * 3600 + 60)
    again = failing.post(path, body, idempotency_key="a day later")
    assert (again.status, again.json["status"]) == (200, "pending")
    assert charges_of(failing, made) == []


def test_a_charge_is_not_sent_again_for_a_payment_that_was_cancelled_meanwhile(failing, weak):
    made = failing.create()
    path, body = f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"}
    failing.sandbox.fault("stripe", "payment_intents.confirm", "error_5xx_before")
    weak.left = 3
    assert failing.post(path, body, idempotency_key="cancelled meanwhile").status == 503
    assert failing.post(f"/api/payments/{made['id']}/cancel").json["status"] == "pending"
    failing.advance(31)
    again = failing.post(path, body, idempotency_key="cancelled meanwhile")
    assert (again.status, again.json["amount_captured"]) == (200, 0)
    assert charges_of(failing, made) == []


def test_a_payment_that_was_never_opened_anywhere_is_not_charged(failing, weak):
    weak.left = 2
    asked = {"amount": 10_000, "currency": "USD", "reference": "not open"}
    assert failing.post("/api/payments", asked).status == 503
    (made,) = failing.get("/api/payments", reference="not open").json["data"]
    answer = failing.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    assert (answer.status, answer.json["code"]) == (409, "wrong_state")
    assert "sync first" in answer.json["detail"]


def test_work_that_breaks_after_its_request_was_answered_is_told(service, hurried, monkeypatch):
    made = service.create()

    async def breaks(*_: object) -> None:
        await asyncio.sleep(0.3)
        raise RuntimeError("the inside of the service")

    monkeypatch.setattr(payments, "sync", breaks)
    with structlog.testing.capture_logs() as told:
        assert service.post(f"/api/payments/{made['id']}/sync").status == 200
        service.eventually(lambda: told)
    assert told == [{"event": "payment work failed", "error": "RuntimeError", "log_level": "error"}]
