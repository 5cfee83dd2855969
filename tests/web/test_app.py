"""What watches the service: alive, ready, counted, described; and what it says when its database is away."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

import builders
from counterfoil.services.context import House
from database import Postgres
from outage import Line, line_to
from service import Answer, Service, running_service, serving


def metrics(service: Service) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels in the order of their names, to its value."""
    answer = service.get("/metrics", key="")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.body.decode())
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


def test_it_is_alive_and_ready(service):
    assert service.get("/healthz", key="").json == {"status": "ok"}
    ready = service.get("/readyz", key="")
    assert (ready.status, ready.json) == (200, {"status": "ready"})


def test_watchers_may_ask_for_the_head_alone(service):
    answer = service.call("HEAD", "/healthz", key="")
    assert (answer.status, answer.body) == (200, b"")


def test_what_happened_is_counted(service):
    before = metrics(service)
    service.create(payment_method="pm_card_visa", confirm=True)
    counted = ("counterfoil_webhooks_total", "stripe", "stored")
    service.eventually(lambda: metrics(service).get(counted, 0) > before.get(counted, 0))
    service.eventually(lambda: metrics(service).get(("counterfoil_inbox", "stripe", "processed"), 0) >= 1)
    calls = {sample: value for sample, value in metrics(service).items() if sample[0] == "counterfoil_gateway_call_seconds_count"}  # fmt: skip
    assert (
        calls["counterfoil_gateway_call_seconds_count", "payment_intents.confirm", "stripe", "accepted"] >= 1
    )
    assert metrics(service)["counterfoil_database_up",] == 1


def test_how_the_gateways_are_heard_is_measured(service):
    account = service.context.directory.active("stripe", "sandbox").account_id
    made = service.create(payment_method="pm_card_visa", confirm=True)
    service.eventually(lambda: service.get("/api/payments/webhooks", payment=made["id"]).json["data"])
    measured = metrics(service)
    assert 0 <= measured["counterfoil_webhook_silence_seconds", account, "stripe"] < 30
    assert measured["counterfoil_webhook_untold_seconds", account, "stripe"] == 0
    service.sandbox.fault("stripe", "webhooks", "drop", times=None)
    try:
        service.advance(61)
        service.create(payment_method="pm_card_visa", confirm=True)
        service.advance(200)
        measured = metrics(service)
        assert measured["counterfoil_webhook_silence_seconds", account, "stripe"] >= 261
        assert 200 <= measured["counterfoil_webhook_untold_seconds", account, "stripe"] < 261
        recovered = ("counterfoil_webhooks_recovered", account, "stripe")
        service.eventually(lambda: metrics(service).get(recovered, 0) >= 2)
    finally:
        service.sandbox.control("DELETE", "faults")


def test_the_age_of_the_oldest_letter_that_is_not_at_its_end_is_measured(service):
    body = builders.as_sent(builders.event("charge.succeeded", {}))
    secret = service.sandbox.config.stripe_webhook_secret
    headers = builders.signed("stripe", body, at=service.context.now(), secret=secret)
    assert service.call("POST", "/webhooks/stripe", body, key="", headers=headers).status == 200
    oldest = ("counterfoil_inbox_oldest_seconds", "stripe", "dead")
    service.eventually(lambda: oldest in metrics(service))
    service.advance(3600)
    assert metrics(service)[oldest] >= 3600
    assert ("counterfoil_inbox_oldest_seconds", "stripe", "processed") not in metrics(service)


def test_no_metric_names_a_payment_or_a_customer(service):
    made = service.create(
        customer={"email": "nobody@shop.example"}, payment_method="pm_card_visa", confirm=True
    )
    page = service.get("/metrics", key="").body.decode()
    assert made["id"] not in page
    assert "nobody@shop.example" not in page


def test_the_api_describes_itself(service):
    described = service.get("/openapi.json", key="").json
    assert described["info"]["title"] == "Counterfoil"
    create = described["paths"]["/api/payments"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("CreatePayment")
    assert described["components"]["schemas"]["CreatePayment"]["additionalProperties"] is False
    assert service.get("/docs", key="").status == 200


@pytest.fixture(scope="module")
def cut_off(fast_postgres) -> Iterator[tuple[Service, Line]]:
    """A service whose line to the database can be cut."""
    with (
        fast_postgres.database() as database,
        line_to(database.app_url) as (line, url),
        running_service(url) as service,
    ):
        yield service, line


def timed(service: Service, path: str) -> tuple[Answer, float]:
    started = time.monotonic()
    return service.get(path, key=""), time.monotonic() - started


@pytest.mark.parametrize("outage", ["cut", "hold"])
def test_while_the_database_is_away_it_is_alive_but_not_ready_and_then_it_is_again(cut_off, outage):
    service, line = cut_off
    service.create(reference=f"before the {outage}")
    getattr(line, outage)()
    try:
        assert service.get("/healthz", key="").status == 200
        answer, took_s = timed(service, "/readyz")
        assert (answer.status, answer.json["status"]) == (503, "unavailable")
        assert "database" in answer.json["because"]
        assert took_s < 3
        page, took_s = timed(service, "/metrics")
        assert page.status == 200
        assert "counterfoil_database_up 0.0" in page.body.decode()
        assert "counterfoil_inbox{" not in page.body.decode()
        assert took_s < 3
    finally:
        line.mend()
    service.eventually(lambda: service.get("/readyz", key="").status == 200)
    service.eventually(lambda: metrics(service)["counterfoil_database_up",] == 1)
    made = service.create(payment_method="pm_card_visa", confirm=True)
    paid = service.create(50_000, "INR", reference=f"after the {outage}")
    service.pay_razorpay(paid["checkout"]["razorpay"]["order_id"])
    assert made["status"] == "captured"
    assert service.until(paid["id"], "captured", seconds=30)  # the worker is at work again


def test_while_the_database_is_away_requests_are_told_to_come_again(cut_off):
    service, line = cut_off
    key = service.key()
    line.cut()
    try:
        for method, path in (("GET", "/api/payments"), ("POST", "/api/payments")):
            answer = service.call(method, path, {"amount": 100, "currency": "USD"} if method == "POST" else None, key=key)  # fmt: skip
            assert (answer.status, answer.json["code"]) == (503, "database_away")
            assert answer.headers["retry-after"] == "1"
            assert "127.0.0.1" not in answer.body.decode()
    finally:
        line.mend()
    service.eventually(lambda: service.get("/api/payments").status == 200)


def test_a_process_that_is_not_fit_for_the_mode_of_the_settings_says_so(fast_postgres: Postgres):
    def unfit(house: House) -> House:
        return replace(house, context=replace(house.context, live_obstacle="It follows a clock."))

    with serving(fast_postgres, change=unfit, work=False) as service:
        assert service.get("/readyz", key="").status == 200
        service.change_settings({"productionSettings": {"liveMode": True, "sandboxMode": False}})
        ready = service.get("/readyz", key="")
    assert (ready.status, ready.json) == (503, {"status": "unfit", "because": "It follows a clock."})
