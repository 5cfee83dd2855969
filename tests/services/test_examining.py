"""The doctor says what is well, what is not, and what to mend."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from counterfoil.documents import warden
from counterfoil.services import delivering
from counterfoil.services import endpoints as making
from counterfoil.services.endpoints import NewEndpoint
from counterfoil.services.examining import Finding, examine
from counterfoil.settings import Settings
from counterfoil.store import endpoints
from database import Postgres
from outgoing import owner
from service import Service, of_sandbox, serving


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres) as running:
        yield running


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    return path


def looked_at(service: Service, key_file: Path, **changes: object) -> dict[str, Finding]:
    """The findings by name, with the settings that the service was started with but for the changes."""
    settings = replace(Settings(**of_sandbox(service.sandbox)), **changes)
    return {finding.name: finding for finding in service.run(examine(service.context, settings, key_file))}


def test_a_service_that_is_well_has_nothing_to_mend(service: Service, key_file: Path):
    service.change_settings({"productionSettings": {"failedPaymentNotification": False}})
    findings = looked_at(service, key_file)
    assert {finding.state for finding in findings.values()} == {"ok"}
    looked = {
        "key file",
        "database",
        "clock",
        "worker",
        "gateway stripe",
        "gateway razorpay",
        "inbox",
        "documents",
    }
    assert looked <= set(findings)


def test_a_machine_that_starts_no_process_for_documents_is_named_with_its_reason(
    service: Service, key_file: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(warden.subprocess, "Popen", refused)
    found = looked_at(service, key_file)["documents"]
    assert found.state == "fail"
    assert "Resource temporarily unavailable" in found.sentence
    assert "space for temporary files" in found.mend


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("refuse", "Check COUNTERFOIL_STRIPE_BASE_URL and the network"),
        ("error_4xx", "Check the key of stripe"),
    ],
)
def test_a_gateway_that_is_away_or_refuses_the_key_is_named(
    service: Service, key_file: Path, fault: str, told: str
):
    more = {"status": 401} if fault == "error_4xx" else {}
    service.sandbox.fault("stripe", "*", fault, times=None, **more)
    findings = looked_at(service, key_file)
    service.sandbox.control("DELETE", "faults")
    assert findings["gateway stripe"].state == "fail"
    assert told in findings["gateway stripe"].mend
    assert findings["gateway razorpay"].state == "ok"


def test_a_key_file_that_others_can_read_fails(service: Service, key_file: Path):
    key_file.chmod(0o644)
    found = looked_at(service, key_file)["key file"]
    assert (found.state, found.mend) == ("fail", f"chmod 600 {key_file}")


def test_plain_http_fails_in_live_mode_alone(service: Service, key_file: Path):
    assert looked_at(service, key_file)["public address"].state == "ok"
    found = looked_at(service, key_file, mode="live", public_url="http://pay.example")["public address"]
    assert found.state == "fail"
    assert "COUNTERFOIL_PUBLIC_URL" in found.mend


def test_a_variable_that_says_otherwise_than_what_is_stored_is_named(service: Service, key_file: Path):
    found = looked_at(service, key_file, stripe_secret_key="sk_test_counterfoil_other")["environment"]
    assert found.state == "warn"
    assert "COUNTERFOIL_STRIPE_SECRET_KEY" in found.sentence
    assert "sk_test_counterfoil_other" not in found.sentence


def test_no_gateway_at_all_fails_and_says_what_to_set(fast_postgres: Postgres, key_file: Path):
    with serving(fast_postgres) as bare:
        bare.context.directory._enabled = frozenset()
        found = looked_at(bare, key_file)["gateways"]
    assert found.state == "fail"
    assert "COUNTERFOIL_STRIPE_SECRET_KEY" in found.mend


def test_dead_letters_and_waiting_exceptions_are_counted(fast_postgres: Postgres, key_file: Path):
    with serving(fast_postgres) as troubled:
        ctx = troubled.context
        troubled.rows(
            """
            INSERT INTO exceptions (id, merchant_id, mode, kind, subject, sentence, opened_at)
            VALUES ('exc_1', $1, $2, 'contradiction', 'chg_1', 'It cannot be.', now()) RETURNING id
            """,
            ctx.merchant_id,
            ctx.mode,
        )
        assert "1 exception waits" in looked_at(troubled, key_file)["exceptions"].sentence
        troubled.rows(
            """
            INSERT INTO inbox (id, merchant_id, account_id, gateway, mode, dedupe_key, secret_id, headers, body, status,
                               received_at, last_delivery_at)
            SELECT 'whk_1', merchant_id, id, gateway, mode, 'x', 'x', '{}', '', 'dead', now(), now()
            FROM gateway_accounts LIMIT 1 RETURNING id
            """
        )
        assert "--status dead" in looked_at(troubled, key_file)["inbox"].mend


def test_a_job_that_nobody_takes_says_that_no_worker_runs(fast_postgres: Postgres, key_file: Path):
    with serving(fast_postgres, work=False) as idle:
        idle.rows(
            """
            INSERT INTO pgqueuer (priority, entrypoint, payload, status, created, updated, heartbeat, execute_after)
            SELECT 0, 'understand', 'whk_0', 'queued', t, t, t, t FROM (SELECT now() - interval '5 minutes') AS old (t)
            RETURNING id
            """
        )
        found = looked_at(idle, key_file)["worker"]
    assert found.state == "fail"
    assert "counterfoil worker" in found.mend


def test_a_gateway_that_does_not_tell_what_it_does_fails_and_says_where_to_look(
    fast_postgres: Postgres, key_file: Path
):
    with serving(fast_postgres) as service:
        for gateway in ("stripe", "razorpay"):
            service.sandbox.fault(gateway, "webhooks", "drop", times=None)
        service.create(payment_method="pm_card_visa", confirm=True)
        assert looked_at(service, key_file)["webhooks stripe"].state == "ok"
        service.advance(601)
        found = looked_at(service, key_file)
        assert found["webhooks stripe"].state == "fail"
        assert f"{service.url}/webhooks/stripe" in found["webhooks stripe"].mend
        assert found["webhooks razorpay"].state == "ok"
        service.eventually(lambda: "exceptions" in looked_at(service, key_file), seconds=30)
        service.sandbox.control("DELETE", "faults")
        service.create(payment_method="pm_card_visa", confirm=True)
        service.eventually(lambda: looked_at(service, key_file)["webhooks stripe"].state == "ok")


def test_a_list_that_cannot_be_read_is_named_with_how_far_it_was(fast_postgres: Postgres, key_file: Path):
    with serving(fast_postgres) as service:
        assert looked_at(service, key_file)["lists"].state == "ok"
        service.sandbox.fault("razorpay", "refunds.list", "error_4xx", status=401, times=None)
        service.advance(200)
        service.eventually(lambda: "list refunds" in looked_at(service, key_file))
        found = looked_at(service, key_file)["list refunds"]
        assert found.state == "warn"
        assert found.sentence.startswith("Read up to 20")


def test_dead_letters_and_exceptions_are_both_told(fast_postgres: Postgres, key_file: Path):
    with serving(fast_postgres) as troubled:
        troubled.rows(
            "INSERT INTO exceptions (id, merchant_id, mode, kind, subject, sentence, opened_at)"
            " VALUES ('exc_1', $1, $2, 'contradiction', 'chg_1', 'It cannot be.', now()) RETURNING id",
            troubled.context.merchant_id,
            troubled.context.mode,
        )
        troubled.rows(
            """
            INSERT INTO inbox (id, merchant_id, account_id, gateway, mode, dedupe_key, secret_id, headers, body, status,
                               received_at, last_delivery_at)
            SELECT 'whk_1', merchant_id, id, gateway, mode, 'x', 'x', '{}', '', 'dead', now(), now()
            FROM gateway_accounts LIMIT 1 RETURNING id
            """
        )
        found = looked_at(troubled, key_file)
        assert (found["inbox"].state, found["exceptions"].state) == ("warn", "warn")


def test_mails_that_a_setting_promises_and_nothing_sends_are_named(service: Service, key_file: Path):
    silent = {"productionSettings": {"failedPaymentNotification": False, "paymentRetryAttempts": 0}}
    for promise in ({"failedPaymentNotification": True}, {"paymentRetryAttempts": 1}):
        service.change_settings(silent)
        service.change_settings({"productionSettings": promise})
        found = looked_at(service, key_file)["mails"]
        assert (found.state, "Set delivery.smtp" in found.mend) == ("warn", True)
    smtp = {"host": "127.0.0.1", "port": 9, "security": "none", "from": "shop@shop.example"}
    service.change_settings(
        {"productionSettings": {"failedPaymentNotification": True}, "delivery": {"smtp": smtp}}
    )
    assert looked_at(service, key_file)["mails"].mend == "Set delivery.operators."
    service.change_settings({"delivery": {"operators": ["money@shop.example"]}})
    assert looked_at(service, key_file)["mails"].state == "ok"
    service.change_settings({"receiptGeneration": {"automatedDelivery": {"sms": True}}})
    assert looked_at(service, key_file)["mails"].mend == "Set delivery.sms."
    service.change_settings({"receiptGeneration": {"automatedDelivery": {"sms": False}}})
    service.create(payment_method="pm_card_chargeDeclinedLostCard", off_session=True, confirm=True)
    service.advance(60)
    found = service.eventually(lambda: _waiting(service, key_file))
    assert found.sentence.startswith("1 mails could not be sent yet; the last: not taken")
    service.change_settings(silent | {"delivery": {"smtp": None, "operators": []}})


def _waiting(service: Service, key_file: Path) -> Finding | None:
    found = looked_at(service, key_file)["mails"]
    return None if found.state == "ok" else found


def test_endpoints_that_hear_nothing_are_named_with_what_mends_them(service: Service, key_file: Path):
    def stands(**changes: object) -> Finding:
        async def write() -> None:
            async with service.context.db.transaction() as conn:
                await endpoints.update(conn, made.id, **changes)

        service.run(write())
        found = looked_at(service, key_file)
        return found.get(f"endpoint {made.id}") or found["endpoints"]

    assert looked_at(service, key_file)["endpoints"].sentence.startswith("No endpoint is set")
    new, caller = NewEndpoint(url="https://93.184.216.34/hooks"), owner(service.context)
    made, _ = service.run(making.create(service.context, caller, new))
    assert looked_at(service, key_file)["endpoints"] == Finding("endpoints", "ok", "Every endpoint is told.")
    now = service.context.now()
    failing = stands(failing_since=now)
    assert (failing.state, f"endpoints test {made.id}" in failing.mend) == ("warn", True)
    ended = stands(disabled_at=now, disabled_because="it answered 410")
    assert (ended.state, ended.sentence) == ("warn", "It is disabled: it answered 410.")
    assert stands(disabled_because=making.BY_HAND).state == "ok"


def test_deliveries_that_wait_for_a_worker_are_told(fast_postgres: Postgres, key_file: Path):
    with serving(fast_postgres, work=False) as service:
        ctx = service.context
        service.run(making.create(ctx, owner(ctx), NewEndpoint(url="https://93.184.216.34/hooks")))
        service.create()
        service.run(delivering.number(ctx))
        assert looked_at(service, key_file)["endpoints"].state == "ok"
        service.advance(2 * 3600)
        found = looked_at(service, key_file)["endpoints"]
    assert (found.state, found.sentence) == ("warn", "1 deliveries wait, the oldest for 120 minutes.")
