"""counterfoil check beside a service that has been busy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counterfoil.cli.main import app
from database import Postgres
from service import Service, environment, running_service


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def busy(fast_postgres: Postgres, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service through which payments of every kind have gone, with the environment for its commands."""
    with (
        fast_postgres.database() as own,
        running_service(own.app_url, own.owner_url, key_file=key_file) as service,
    ):
        _trade(service)
        for name, value in environment(service.sandbox, own.app_url, key_file).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("counterfoil.log.configure", lambda **_: None)
        yield service


def _trade(service: Service) -> None:
    paid = [service.create(payment_method="pm_card_visa", confirm=True)]
    held = service.create(payment_method="pm_card_visa", confirm=True, capture="manual")
    paid += [service.post(f"/api/payments/{held['id']}/capture", {"amount": 4_000}).json]
    service.create(payment_method="pm_card_chargeDeclined", confirm=True)
    given_up = service.create(payment_method="pm_card_visa", confirm=True, capture="manual")
    service.post(f"/api/payments/{given_up['id']}/cancel")
    order = service.create(currency="INR")
    service.pay_razorpay(order["attempts"][0]["gateway_reference"])
    for payment in [*paid, order]:
        service.until(payment["id"], "captured")
    service.eventually(lambda: not service.rows("SELECT id FROM inbox WHERE status = 'received'"))


def _check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments])


def test_after_a_busy_day_nothing_differs(busy: Service):
    ran = _check("--gateways")
    assert (ran.exit_code, ran.stdout) == (0, "No difference in what is stored and what the gateways say.\n")
    assert json.loads(_check("--json").stdout) == []


def test_what_a_gateway_says_otherwise_is_told_with_its_ids(busy: Service):
    busy.sandbox.webhooks(hold=True)
    order = busy.create(currency="INR")
    paid = busy.pay_razorpay(order["attempts"][0]["gateway_reference"])
    assert _check().exit_code == 0
    ran = _check("--gateways", "--json")
    assert ran.exit_code == 1
    (found,) = json.loads(ran.stdout)
    assert (found["rule"], found["subject"]) == ("gateway", order["id"])
    assert f"razorpay has charge {paid['razorpay_payment_id']} on " in found["sentence"]
    assert "which is not stored" in found["sentence"]


def test_a_gateway_that_cannot_be_asked_is_a_difference(busy: Service):
    busy.sandbox.fault("stripe", "payment_intents.retrieve", "error_5xx_before", times=1)
    ran = _check("--gateways")
    assert ran.exit_code == 1
    assert "stripe could not be asked about pi_" in ran.stdout
    assert "1 differences." in ran.stdout


def test_money_that_was_changed_here_differs_from_the_gateways(busy: Service):
    # A webhook that comes after the change would weigh the charge anew, and mend it.
    busy.sandbox.webhooks(hold=True)
    busy.eventually(lambda: not busy.rows("SELECT id FROM inbox WHERE status = 'received'"))

    async def spoil() -> None:
        async with busy.context.db.transaction() as conn:
            await conn.execute("UPDATE charges SET captured = captured + 1 WHERE ref LIKE 'pay_%'")

    busy.run(spoil())
    rules = {found["rule"] for found in json.loads(_check("--gateways", "--json").stdout)}
    assert rules == {"charges", "status", "books", "gateway"}
