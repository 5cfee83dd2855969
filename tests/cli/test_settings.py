"""counterfoil settings: the document from the command line."""

import io
import json
import sys
from typing import Any

import pytest

from service import Service


def said(run: Any, *arguments: str, **variables: Any) -> Any:
    ran = run("settings", *arguments, "--json", **variables)
    assert ran.status == 0, ran.err
    # In this process the log stays as pytest has it, on the same stream.
    return json.loads("\n".join(line for line in ran.out.splitlines() if " event=" not in line))


@pytest.fixture(scope="module")
def service(own_service: Service) -> Service:
    return own_service


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have something come by the standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_the_document_is_shown_whole_or_in_part(run, spawn, service: Service):
    whole = said(spawn, "show")
    assert whole == service.get("/api/payments/settings").json
    table = run("settings", "show").out
    assert "productionSettings.paymentRetryAttempts" in table
    assert "…dbox, since" in table
    assert said(run, "get", "routing.breaker") == {"failures": 5, "openSeconds": 30}
    assert run("settings", "get", "business.timeZone").out == "UTC\n"
    assert "routing.breaker.openSeconds" in run("settings", "get", "routing").out
    absent = run("settings", "get", "routing.braker")
    assert (absent.status, absent.err) == (1, "counterfoil: There is no setting routing.braker.\n")


def test_a_field_is_set_and_put_back(run):
    changed = run("settings", "set", "routing.breaker.failures", "3")
    assert changed.status == 0, changed.err
    assert "routing.breaker.failures" in changed.out
    assert "in force everywhere within five seconds" in changed.out
    assert said(run, "get", "routing.breaker.failures") == 3
    assert (
        run("settings", "set", "routing.breaker.failures", "3").out
        == "It says so already; nothing was changed.\n"
    )
    assert said(run, "unset", "routing.breaker.failures")["routing"]["breaker"]["failures"] == 5


def test_text_is_taken_as_it_stands_and_everything_else_as_json(run):
    assert said(run, "set", "business.name", "42")["business"]["name"] == "42"
    assert said(run, "set", "delivery.operators", '["a@b.example"]')["delivery"]["operators"] == [
        "a@b.example"
    ]
    assert said(run, "set", "productionSettings.failedPaymentNotification", "false")["version"] > 1
    refused = run("settings", "set", "productionSettings.failedPaymentNotification", "no")
    assert refused.err == "counterfoil: productionSettings.failedPaymentNotification must be true or false.\n"
    near = run("settings", "set", "business.nmae", "x")
    assert (near.status, near.err) == (1, "counterfoil: business.nmae is not a setting; did you mean name?\n")


def test_many_fields_are_set_by_a_file_and_only_at_the_version_it_names(run, tmp_path, typed):
    version = said(run, "get", "version")
    change = tmp_path / "change.json"
    change.write_text(json.dumps({"version": version, "business": {"country": "IN", "locale": "hi-IN"}}))
    assert said(run, "set", "--file", str(change))["business"]["country"] == "IN"
    late = run("settings", "set", "--file", str(change))
    assert (late.status, f"asked for at version {version}" in late.err) == (1, True)
    late = run("settings", "set", "business.country", "DE", "--version", str(version))
    assert late.status == 1
    change.write_text("{")
    assert run("settings", "set", "--file", str(change)).err == "counterfoil: --file is not JSON.\n"


def test_a_secret_comes_by_the_standard_input_or_a_file_and_never_as_an_argument(run, tmp_path, typed):
    path, file = "paymentGateways.razorpay.webhookSecret", tmp_path / "secret"
    refused = run("settings", "set", path, "counterfoil_told_to_all")
    assert (refused.status, "use --stdin or --from-file" in refused.err) == (1, True)
    typed("counterfoil_by_stdin\n")
    ran = run("settings", "set", path, "--stdin")
    assert ran.status == 0, ran.err
    assert "counterfoil_by_stdin" not in ran.out
    assert said(run, "get", path)["last4"] == "tdin"
    file.write_text("counterfoil_by_file\n")
    assert (
        said(run, "set", path, "--from-file", str(file))["paymentGateways"]["razorpay"]["webhookSecret"][
            "last4"
        ]
        == "file"
    )
    missing = run("settings", "set", path, "--from-file", str(tmp_path / "none"))
    assert "cannot be read" in missing.err


def test_keys_of_another_account_are_told_so_beside_a_file(run, tmp_path, service: Service):
    service.create(gateway="stripe")
    own, file = service.sandbox.config, tmp_path / "keys.json"
    keys = {"secretKey": "sk_test_counterfoil_other", "publishableKey": "pk_test_counterfoil_other"}
    file.write_text(
        json.dumps({"paymentGateways": {"stripe": keys | {"webhookSecret": "whsec_counterfoil_other"}}})
    )
    shown = said(run, "set", "--file", str(file), "--another-account")["paymentGateways"]["stripe"]
    assert [shown[name]["last4"] for name in keys] == ["ther", "ther"]
    first = {"secretKey": own.stripe_secret_key, "publishableKey": own.stripe_publishable_key}
    file.write_text(json.dumps({"paymentGateways": {"stripe": first}}))
    back = said(run, "set", "--file", str(file))["paymentGateways"][
        "stripe"
    ]  # the gateway tells whose they are
    assert (back["secretKey"]["last4"], back["webhookSecret"]["last4"]) == ("dbox", "dbox")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("business.name",),
        ("business.name", "x", "--stdin"),
        ("business.name", "--file", "-"),
        ("--stdin",),
    ],
)
def test_a_change_is_told_in_one_way(run, arguments):
    ran = run("settings", "set", *arguments)
    assert (ran.status, "Give PATH and its value" in ran.err) == (2, True)


def test_history_tells_who_and_what(run, service: Service):
    said(run, "set", "business.country", "FR")
    newest = said(run, "history", "--limit", "1")[0]
    assert newest["actor"].startswith("cli:")
    assert [(one["path"], one["to"]) for one in newest["changes"]] == [("business.country", "FR")]
    table = run("settings", "history").out
    assert "business.country" in table
    assert "counterfoil_by_file" not in table


def test_what_the_environment_says_is_adopted_where_it_is_told_whose_the_keys_are(run, service: Service):
    service.create(50_000, "INR", gateway="razorpay")
    other = {"razorpay_key_id": "rzp_test_counterfoilEnv", "business_name": "By the environment"}
    ran = run("settings", "adopt-env", **other)  # the gateway knows no such key
    assert (ran.status, "is not taken by razorpay" in ran.err) == (1, True)
    shown = said(run, "adopt-env", "--same-account", **other)
    assert shown["business"]["name"] == "By the environment"
    assert shown["paymentGateways"]["razorpay"]["keyId"]["last4"] == "lEnv"
    assert "By the environment" in run("settings", "history", "--limit", "1").out
    own = service.sandbox.config
    back = said(run, "adopt-env", "--same-account", razorpay_key_id=own.razorpay_key_id)
    assert back["paymentGateways"]["razorpay"]["keyId"]["last4"] == own.razorpay_key_id[-4:]
