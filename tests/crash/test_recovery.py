"""No webhook comes, and sweepers are killed while they read the lists: everything is known all the same, and once."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from counterfoil.services.recovering import LEASE
from database import Database
from sandbox_server import eventually
from service import Service, call, counterfoil, environment, running_service

pytestmark = pytest.mark.crash

EACH = 5  # payments of each kind
SLOW_S = 1.5  # an answer of a list
START_S = 60.0
QUIET_S = 60.0


@pytest.fixture
def service(durable_database: Database, tmp_path: Path) -> Iterator[Service]:
    """The web alone, whose webhooks are all lost."""
    urls = durable_database.app_url, durable_database.owner_url
    with running_service(*urls, work=False, key_file=tmp_path / "key") as running:
        for gateway in ("stripe", "razorpay"):
            running.sandbox.fault(gateway, "webhooks", "drop", times=None)
        yield running


@contextmanager
def worker(service: Service, folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, killed at the end."""
    log = folder / name
    env = environment(service.sandbox, service.database_url, folder / "key", public_url=service.url)
    with log.open("wb") as lines:
        process = subprocess.Popen(counterfoil("worker"), env=env, stderr=lines)
    try:
        eventually(lambda: b"worker is at work" in log.read_bytes(), seconds=START_S)
        yield process
    finally:
        process.kill()
        process.wait()


def at_stripe(service: Service, path: str, body: bytes) -> None:
    headers = {
        "authorization": f"Bearer {service.sandbox.config.stripe_secret_key}",
        "content-type": "application/x-www-form-urlencoded",
    }
    answer = call(service.sandbox.url, "POST", f"/stripe/v1/{path}", body, headers=headers)
    assert answer.status == 200, answer


def captured_and_refunded(service: Service) -> Any:
    """Known as captured; then somebody gives part of it back in Stripe's dashboard, which only an event tells."""
    made = service.create(payment_method="pm_card_visa", confirm=True)
    at_stripe(
        service, "refunds", f"payment_intent={made['attempts'][0]['gateway_reference']}&amount=400".encode()
    )
    return made


def lost_answer(service: Service) -> Any:
    service.sandbox.fault("stripe", "payment_intents.confirm", "timeout_after", times=2, seconds=0.05)
    return service.create(payment_method="pm_card_visa", confirm=True)


def paid_in_checkout(service: Service) -> Any:
    made = service.create(50_000, "INR")
    service.pay_razorpay(made["checkout"]["razorpay"]["order_id"])
    return made


def test_sweepers_are_killed_in_the_middle_of_their_lists(service: Service, tmp_path: Path):
    refunded, lost, paid = (
        [make(service) for _ in range(EACH)]
        for make in (captured_and_refunded, lost_answer, paid_in_checkout)
    )
    for name in ("events.list", "payments.list", "refunds.list"):
        gateway = "stripe" if name == "events.list" else "razorpay"
        service.sandbox.fault(gateway, name, "delay", times=None, seconds=SLOW_S)
    for death in range(2):
        with worker(service, tmp_path, f"a{death}") as one, worker(service, tmp_path, f"b{death}") as other:
            service.advance(200 if death == 0 else LEASE.total_seconds() + 1)
            sleep(SLOW_S / 2)
            one.kill()
            sleep(SLOW_S / 2)
            other.kill()
    with worker(service, tmp_path, "c"), worker(service, tmp_path, "d"):
        service.advance(LEASE.total_seconds() + 1)
        for made in (*lost, *paid):
            service.until(made["id"], "captured", seconds=QUIET_S)
        for made in refunded:
            eventually(lambda: service.payment(made["id"])["amount_refunded"] == 400, seconds=QUIET_S)  # noqa: B023
    _once(service)


def _once(service: Service) -> None:
    """Every charge and refund counts once; a person was called to each refund from the dashboard and to the silence."""
    [counted] = service.rows(
        """
        SELECT (SELECT count(*) FROM charges WHERE state = 'captured') AS charges,
               (SELECT count(*) FROM journals WHERE rule = 'capture') AS captures,
               (SELECT count(*) FROM journals WHERE rule = 'refund') AS refunds,
               (SELECT count(*) FROM charges WHERE surplus) AS surplus,
               (SELECT count(*) - count(DISTINCT dedupe_key) FROM inbox) AS twice,
               (SELECT count(*) FROM inbox WHERE secret_id <> 'recovered') AS told,
               (SELECT count(*) FROM exceptions WHERE kind = 'refund_outside') AS outside,
               (SELECT count(*) FROM exceptions WHERE kind NOT IN ('refund_outside', 'webhooks_silent')) AS others
        """
    )
    assert counted == {
        "charges": 3 * EACH,
        "captures": 3 * EACH,
        "refunds": EACH,
        "surplus": 0,
        "twice": 0,
        "told": 0,
        "outside": EACH,
        "others": 0,
    }
