"""How gateways fare: failures open a breaker that all processes share, one payment tries, an answer closes it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from counterfoil.domain.breaker import WHOLE, BreakerPolicy
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.gateways.base import Unknown
from counterfoil.services.health import Health
from counterfoil.services.metrics import Metrics
from counterfoil.store import database
from database import Postgres
from service import Service, Weak, running_service, serving

PATIENCE = 3


@pytest.fixture
def service(fast_postgres: Postgres, tmp_path: Path) -> Iterator[Service]:
    with serving(fast_postgres, patience=PATIENCE, key_file=tmp_path / "key") as running:
        yield running


@pytest.fixture
def other(service: Service, tmp_path: Path) -> Iterator[Service]:
    """A second process over the same database and gateways."""
    with running_service(
        service.database_url,
        service.owner_url,
        service.sandbox,
        work=False,
        patience=PATIENCE,
        key_file=tmp_path / "key",
    ) as running:
        service.sandbox.webhooks(deliver_to=service.url)
        yield running


def account(service: Service, gateway: str = "razorpay") -> str:
    return service.context.directory.active(gateway, "sandbox").account_id


def goes_dark(service: Service, gateway: str = "razorpay") -> None:
    call = "orders.create" if gateway == "razorpay" else "payment_intents.create"
    service.sandbox.fault(gateway, call, "reset_before", times=None)


def comes_back(service: Service) -> None:
    service.sandbox.control("DELETE", "faults")


def gateway_of(payment: Any) -> str:
    return payment["attempts"][-1]["gateway"]


def asked(service: Service) -> int:
    """How many orders Razorpay was asked for, answered or not."""
    page = service.get("/metrics").body.decode()
    lines = [line for line in page.splitlines() if line.startswith("counterfoil_gateway_call_seconds_count")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if 'call="orders.create"' in line)


def explained(service: Service, **more: Any) -> Any:
    answer = service.post("/api/payments/routing/explain", {"amount": 50_000, "currency": "INR"} | more)
    assert answer.status == 200, answer
    return answer.json


def opened(service: Service) -> None:
    """Payments go on through Stripe until the breaker of Razorpay is open."""
    goes_dark(service)
    for _ in range(PATIENCE):
        assert gateway_of(service.create(50_000, "INR")) == "stripe"
    service.eventually(lambda: explained(service)["gateway"] == "stripe")


def test_a_gateway_that_fails_in_a_row_is_left_alone_and_payments_go_on(service):
    assert explained(service)["gateway"] == "razorpay"
    opened(service)
    before = asked(service)
    made = service.create(50_000, "INR")
    assert (gateway_of(made), len(made["attempts"]), asked(service)) == ("stripe", 1, before)
    assert "razorpay is left alone until" in made["attempts"][0]["reason"]
    assert "it gave no answer in time" in made["attempts"][0]["reason"]
    [row] = service.rows("SELECT detail FROM audit WHERE action = 'breaker.open'")
    assert (row["detail"]["method"], row["detail"]["failures"]) == (WHOLE, PATIENCE)
    assert (
        f'counterfoil_breaker{{account="{account(service)}",method="*"}} 2.0'
        in service.get("/metrics").body.decode()
    )


def test_after_the_pause_one_payment_tries_and_its_answer_closes_it(service):
    opened(service)
    comes_back(service)
    service.advance(31)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: service.create(50_000, "INR"), range(8)))
    assert [gateway_of(payment) for payment in made].count("razorpay") >= 1
    service.eventually(lambda: explained(service)["gateway"] == "razorpay")
    assert gateway_of(service.create(50_000, "INR")) == "razorpay"
    assert service.rows("SELECT count(*) AS n FROM audit WHERE action = 'breaker.close'")[0]["n"] == 1


def test_a_try_that_fails_makes_the_pause_longer_and_the_payment_goes_on(service):
    opened(service)
    service.advance(31)
    assert gateway_of(service.create(50_000, "INR")) == "stripe"
    service.eventually(
        lambda: (
            service.rows("SELECT openings FROM breakers WHERE account_id = $1", account(service))[0][
                "openings"
            ]
            == 2
        )
    )
    service.advance(31)  # now it is sixty seconds
    before = asked(service)
    assert gateway_of(service.create(50_000, "INR")) == "stripe"
    assert asked(service) == before


def test_only_one_of_many_that_ask_at_once_is_let_through(service):
    opened(service)
    service.advance(31)

    async def ask(health: Health) -> list[bool]:
        return [await health.admit(account(service), None) for _ in range(5)]

    assert service.run(ask(service.context.health)).count(True) == 1


def test_another_process_knows_within_seconds(service, other):
    opened(service)
    other.eventually(lambda: explained(other)["gateway"] == "stripe")
    assert gateway_of(other.create(50_000, "INR")) == "stripe"


def test_where_the_only_gateway_is_left_alone_nothing_is_sent_and_the_answer_says_when(service):
    goes_dark(service, "stripe")
    for _ in range(PATIENCE):
        service.create(60, "INR")  # Razorpay takes a rupee or more
    service.eventually(lambda: explained(service, amount=60)["gateway"] is None)
    answer = service.post("/api/payments", {"amount": 60, "currency": "INR"})
    assert (answer.status, answer.json["code"]) == (503, "gateway_away")
    assert answer.headers["retry-after"] == "30"
    assert "stripe is left alone until" in answer.json["detail"]


def test_a_decline_is_an_answer_and_opens_nothing(service):
    for _ in range(PATIENCE + 1):
        service.create(payment_method="pm_card_chargeDeclined", confirm=True)
    assert explained(service, currency="USD")["gateway"] == "stripe"
    assert service.rows("SELECT * FROM breakers") == []


def test_keys_that_are_no_longer_good_open_it_too(service):
    service.sandbox.fault("razorpay", "orders.create", "error_4xx", times=None, status=401)
    for _ in range(PATIENCE):
        service.create(50_000, "INR")
    service.eventually(lambda: explained(service)["gateway"] == "stripe")
    [weighed] = [v for v in explained(service)["gateways"] if v["gateway"] == "razorpay"]
    assert "it answered 401" in weighed["health"]["because"]


def test_a_downtime_of_a_whole_method_puts_the_gateway_last_for_it_alone(service):
    down = {"method": "card", "instrument": {"network": "ALL"}, "severity": "high", "status": "started"}
    service.sandbox.control("POST", "razorpay/downtime", down)
    service.eventually(lambda: explained(service, method="card")["gateway"] == "stripe")
    assert explained(service, method="upi")["gateway"] == "razorpay"
    service.sandbox.control("POST", "razorpay/downtime", down | {"status": "resolved"})
    service.eventually(lambda: explained(service, method="card")["gateway"] == "razorpay")


def test_a_downtime_of_one_bank_moves_nothing_and_is_kept(service):
    down = {"method": "netbanking", "instrument": {"bank": "HDFC"}, "severity": "high", "status": "started"}
    service.sandbox.control("POST", "razorpay/downtime", down)
    service.eventually(lambda: service.rows("SELECT instrument FROM downtimes"))
    assert explained(service, method="netbanking")["gateway"] == "razorpay"
    [letter] = service.rows("SELECT status FROM inbox WHERE type = 'payment.downtime.started'")
    assert letter["status"] == "processed"


def test_the_dry_run_explains_every_gateway_and_takes_no_payment(service):
    told = explained(service, confirm=True)
    assert told["gateway"] == "stripe"
    assert told["gateways"] == [
        {
            "gateway": "stripe",
            "place": 1,
            "reason": "first enabled gateway that takes INR",
            "obstacle": None,
            "health": None,
        },
        {
            "gateway": "razorpay",
            "place": None,
            "reason": None,
            "obstacle": "razorpay lacks server_confirm",
            "health": None,
        },
    ]
    assert service.rows("SELECT * FROM payments") == []


def test_news_that_cannot_be_written_does_not_hide_what_was_heard_after_it(service):
    context, outcome = service.context, Unknown(message="timeout")

    async def hear() -> None:
        for account_id in ("gwa_of_nobody", account(service), account(service)):
            context.health.told(account_id, outcome)
        await context.health.write()

    service.run(hear())
    rows = service.rows("SELECT account_id, failures FROM breakers")
    assert [(row["account_id"], row["failures"]) for row in rows] == [(account(service), 2)]


def test_news_waits_while_the_database_is_away(service):
    weak = Weak()

    async def away_and_back() -> None:
        db = await database.connect(service.database_url, size=1, on_commit=weak)
        health = Health(db, service.context.clock, Metrics(), lambda: BreakerPolicy(failures=PATIENCE))
        for _ in range(2):
            health.told(account(service), Unknown(message="timeout"))
        weak.left = 1
        with pytest.raises(DatabaseAwayError):
            await health.write()
        await health.write()
        await db.close()

    service.run(away_and_back())
    assert [row["failures"] for row in service.rows("SELECT failures FROM breakers")] == [2]
