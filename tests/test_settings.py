"""Start-up configuration: every variable, and the sentence of every refusal."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from counterfoil import settings
from counterfoil.domain.errors import ConfigurationError
from counterfoil.settings import Settings, from_environment, unknown

STRIPE = {
    "COUNTERFOIL_STRIPE_SECRET_KEY": "sk_test_counterfoil",
    "COUNTERFOIL_STRIPE_PUBLISHABLE_KEY": "pk_test_counterfoil",
    "COUNTERFOIL_STRIPE_WEBHOOK_SECRET": "whsec_counterfoil",
}
RAZORPAY = {
    "COUNTERFOIL_RAZORPAY_KEY_ID": "rzp_test_counterfoil",
    "COUNTERFOIL_RAZORPAY_KEY_SECRET": "counterfoil_secret",
    "COUNTERFOIL_RAZORPAY_WEBHOOK_SECRET": "counterfoil_webhook",
}
LIVE = {"COUNTERFOIL_MODE": "live", "COUNTERFOIL_KEY_FILE": "/keys/counterfoil"}
LIVE_STRIPE = {name: value.replace("_test_", "_live_") for name, value in STRIPE.items()}


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as refused:
        from_environment(environ)
    return refused.value.detail


def test_with_nothing_set_it_is_a_sandbox_with_a_database_of_its_own():
    chosen = from_environment({})
    assert (chosen.mode, chosen.database_url, chosen.data) == ("sandbox", None, None)
    assert chosen.public_url == "http://127.0.0.1:8400"
    assert chosen.stripe_base_url == chosen.base_url("stripe") == "https://api.stripe.com"
    assert chosen.razorpay_base_url == chosen.base_url("razorpay") == "https://api.razorpay.com"


def test_every_variable_is_read():
    given = STRIPE | RAZORPAY | {
        "COUNTERFOIL_DATABASE_URL": "postgresql://app:secret@db/counterfoil",
        "COUNTERFOIL_DATABASE_DIRECT_URL": "postgresql://app:secret@direct/counterfoil",
        "COUNTERFOIL_DATA": "/data/counterfoil",
        "COUNTERFOIL_PUBLIC_URL": "https://pay.example/",
        "COUNTERFOIL_KEY_FILE": "/keys/counterfoil",
        "COUNTERFOIL_MODE": "sandbox",
        "COUNTERFOIL_CLOCK_URL": "http://127.0.0.1:8420/_sandbox/clock",
        "COUNTERFOIL_ALLOW_LIVE_TEST_GATEWAY": "1",
        "COUNTERFOIL_ALLOW_LOOPBACK_ENDPOINTS": "1",
        "COUNTERFOIL_STRIPE_BASE_URL": "http://127.0.0.1:8420/stripe/",
        "COUNTERFOIL_RAZORPAY_BASE_URL": "http://127.0.0.1:8420/razorpay",
        "COUNTERFOIL_BUSINESS_NAME": "Kettles & Co",
    }  # fmt: skip
    assert {name.removeprefix("COUNTERFOIL_").lower() for name in given} == {
        spec.name for spec in fields(Settings)
    }
    chosen = from_environment(given)
    assert chosen.database_url == "postgresql://app:secret@db/counterfoil"
    assert (chosen.data, chosen.key_file) == (Path("/data/counterfoil"), Path("/keys/counterfoil"))
    assert (chosen.public_url, chosen.stripe_base_url) == (
        "https://pay.example",
        "http://127.0.0.1:8420/stripe",
    )
    assert chosen.allow_live_test_gateway is True
    assert chosen.allow_loopback_endpoints is True
    assert chosen.stripe_secret_key == "sk_test_counterfoil"
    assert chosen.business_name == "Kettles & Co"


def test_there_are_at_most_forty_and_each_is_documented():
    specs = fields(Settings)
    assert len(specs) <= 40
    assert all(spec.metadata["doc"] for spec in specs)


def test_what_is_configured_does_not_change_while_it_runs():
    with pytest.raises(FrozenInstanceError):
        from_environment({}).mode = "live"


def test_no_secret_is_in_the_repr():
    chosen = from_environment(
        STRIPE | RAZORPAY | {"COUNTERFOIL_DATABASE_URL": "postgresql://app:hidden@db/counterfoil"}
    )
    for secret in (
        "sk_test_counterfoil",
        "whsec_counterfoil",
        "counterfoil_secret",
        "counterfoil_webhook",
        "hidden",
    ):
        assert secret not in repr(chosen)


def test_surrounding_blanks_are_not_part_of_a_value():
    given = STRIPE | {
        "COUNTERFOIL_STRIPE_SECRET_KEY": " sk_test_counterfoil\n",
        "COUNTERFOIL_MODE": " sandbox ",
    }
    chosen = from_environment(given)
    assert (chosen.stripe_secret_key, chosen.mode) == ("sk_test_counterfoil", "sandbox")


def test_a_home_folder_is_found():
    assert from_environment({"COUNTERFOIL_DATA": "~/money"}).data == Path.home() / "money"


# Values in files


def test_a_value_may_stand_in_a_file(tmp_path):
    for name, value in STRIPE.items():
        (tmp_path / name).write_text(f"{value}\n")
    chosen = from_environment({f"{name}_FILE": str(tmp_path / name) for name in STRIPE})
    assert chosen == from_environment(STRIPE)


def test_a_value_and_its_file_are_one_too_many(tmp_path):
    told = refusal({"COUNTERFOIL_MODE": "sandbox", "COUNTERFOIL_MODE_FILE": str(tmp_path / "mode")})
    assert told == "COUNTERFOIL_MODE and COUNTERFOIL_MODE_FILE are both set; keep one."


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    told = refusal({"COUNTERFOIL_DATABASE_URL_FILE": str(tmp_path / "absent")})
    assert told.startswith("COUNTERFOIL_DATABASE_URL_FILE cannot be read: ")
    assert "absent" in told
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert "COUNTERFOIL_DATABASE_URL_FILE cannot be read" in refusal(
        {"COUNTERFOIL_DATABASE_URL_FILE": str(tmp_path / "bytes")}
    )


@pytest.mark.parametrize(
    "name", ["COUNTERFOIL_DATABASE_URL", "COUNTERFOIL_MODE", "COUNTERFOIL_STRIPE_SECRET_KEY"]
)
def test_an_empty_file_does_not_pass_for_nothing_set(tmp_path, name):
    (tmp_path / "empty").write_text(" \n")
    assert (
        refusal({f"{name}_FILE": str(tmp_path / "empty")})
        == f"{name}_FILE names an empty file; fill it or remove it."
    )


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_secret_does_not_pass_for_nothing_set(value):
    told = refusal(STRIPE | {"COUNTERFOIL_STRIPE_WEBHOOK_SECRET": value})
    assert told == "COUNTERFOIL_STRIPE_WEBHOOK_SECRET is set but empty; set it or remove it."


def test_an_empty_plain_value_is_the_default():
    assert from_environment({"COUNTERFOIL_MODE": "", "COUNTERFOIL_DATA": ""}) == Settings()


# Refusals


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"COUNTERFOIL_MODE": "prod"}, "COUNTERFOIL_MODE is 'prod'; it must be sandbox or live."),
        (
            {"COUNTERFOIL_ALLOW_LIVE_TEST_GATEWAY": "maybe"},
            "COUNTERFOIL_ALLOW_LIVE_TEST_GATEWAY is 'maybe'; it must be 1 or 0.",
        ),
        (
            {"COUNTERFOIL_PUBLIC_URL": "pay.example"},
            "COUNTERFOIL_PUBLIC_URL is 'pay.example'; it must begin with http:// or https:// and name a host.",
        ),
        (
            {"COUNTERFOIL_STRIPE_BASE_URL": "ftp://api"},
            "COUNTERFOIL_STRIPE_BASE_URL is 'ftp://api'; it must begin with http:// or https:// and name a host.",
        ),
        (
            {"COUNTERFOIL_RAZORPAY_BASE_URL": "http://"},
            "COUNTERFOIL_RAZORPAY_BASE_URL is 'http:'; it must begin with http:// or https:// and name a host.",
        ),
        (
            {"COUNTERFOIL_CLOCK_URL": "http://[::1"},
            "COUNTERFOIL_CLOCK_URL is 'http://[::1'; it must begin with http:// or https:// and name a host.",
        ),
        (
            {"COUNTERFOIL_PUBLIC_URL": "http://pay.example:eighty"},
            "COUNTERFOIL_PUBLIC_URL is 'http://pay.example:eighty'; it must begin with http:// or https:// and name a host.",
        ),
        (
            {"COUNTERFOIL_STRIPE_SECRET_KEY": "sk_test_counterfoil"},
            "stripe is configured in part: COUNTERFOIL_STRIPE_PUBLISHABLE_KEY, COUNTERFOIL_STRIPE_WEBHOOK_SECRET is missing.",
        ),
        (
            {name: value for name, value in RAZORPAY.items() if "WEBHOOK" not in name},
            "razorpay is configured in part: COUNTERFOIL_RAZORPAY_WEBHOOK_SECRET is missing.",
        ),
        (
            STRIPE | {"COUNTERFOIL_STRIPE_SECRET_KEY": "sk_live_counterfoil"},
            "COUNTERFOIL_STRIPE_SECRET_KEY is a live key, but COUNTERFOIL_MODE is sandbox.",
        ),
        (
            STRIPE | {"COUNTERFOIL_STRIPE_SECRET_KEY": "rk_live_counterfoil"},
            "COUNTERFOIL_STRIPE_SECRET_KEY is a live key, but COUNTERFOIL_MODE is sandbox.",
        ),
        (
            STRIPE | {"COUNTERFOIL_STRIPE_PUBLISHABLE_KEY": "pk_live_counterfoil"},
            "COUNTERFOIL_STRIPE_PUBLISHABLE_KEY is a live key, but COUNTERFOIL_MODE is sandbox.",
        ),
        (
            RAZORPAY | {"COUNTERFOIL_RAZORPAY_KEY_ID": "rzp_live_counterfoil"},
            "COUNTERFOIL_RAZORPAY_KEY_ID is a live key, but COUNTERFOIL_MODE is sandbox.",
        ),
        (
            LIVE | STRIPE,
            "COUNTERFOIL_STRIPE_SECRET_KEY is a test key, but COUNTERFOIL_MODE is live.",
        ),
        (
            LIVE | RAZORPAY,
            "COUNTERFOIL_RAZORPAY_KEY_ID is a test key, but COUNTERFOIL_MODE is live.",
        ),
        (
            STRIPE | {"COUNTERFOIL_STRIPE_SECRET_KEY": "pk_test_counterfoil"},
            "COUNTERFOIL_STRIPE_SECRET_KEY is a publishable key; it must be sk_… or rk_….",
        ),
        (
            STRIPE | {"COUNTERFOIL_STRIPE_PUBLISHABLE_KEY": "sk_test_counterfoil"},
            "COUNTERFOIL_STRIPE_PUBLISHABLE_KEY is a secret key, which no browser may see; it must be pk_….",
        ),
        (
            {"COUNTERFOIL_MODE": "live"},
            "Live mode needs COUNTERFOIL_KEY_FILE: the path of the key-encryption key.",
        ),
        (
            LIVE | {"COUNTERFOIL_CLOCK_URL": "http://127.0.0.1:8420/_sandbox/clock"},
            "COUNTERFOIL_CLOCK_URL is for sandbox mode; live mode keeps real time.",
        ),
        (
            LIVE | {"COUNTERFOIL_ALLOW_LOOPBACK_ENDPOINTS": "1"},
            "COUNTERFOIL_ALLOW_LOOPBACK_ENDPOINTS is for sandbox mode.",
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_set(environ, told):
    assert refusal(environ) == told


def test_a_variable_that_is_none_of_ours_is_found():
    ours = {"COUNTERFOIL_MODE": "live", "COUNTERFOIL_DATABASE_URL_FILE": "/x", "COUNTERFOIL_LOG": "json"}
    assert unknown(ours | {"PATH": "/bin"}) == []
    assert unknown(ours | {"COUNTERFOIL_MOOD": "live"}) == ["COUNTERFOIL_MOOD"]


def test_a_refusal_never_quotes_a_secret():
    for name, value in (STRIPE | RAZORPAY).items():
        broken = LIVE | STRIPE | RAZORPAY | {name: value}
        assert value not in refusal(broken)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8420/stripe", "https://proxy.example", "http://api.stripe.com"]
)
@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_live_mode_talks_to_the_gateways_alone(gateway, url):
    told = refusal(LIVE | {f"COUNTERFOIL_{gateway.upper()}_BASE_URL": url})
    assert told.startswith(
        f"COUNTERFOIL_{gateway.upper()}_BASE_URL is {url}; live mode talks to https://api.{gateway}.com only."
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "[::1]"])
def test_live_mode_may_be_tested_on_this_machine_when_that_is_allowed(host):
    given = LIVE | LIVE_STRIPE | {"COUNTERFOIL_STRIPE_BASE_URL": f"http://{host}:8420/stripe"}
    assert "COUNTERFOIL_STRIPE_BASE_URL" in refusal(given)
    assert from_environment(given | {"COUNTERFOIL_ALLOW_LIVE_TEST_GATEWAY": "true"}).mode == "live"


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "localhost.example", "stripe", "[::ffff:8.8.8.8]"])
def test_even_then_only_on_this_machine(host):
    given = LIVE | {
        "COUNTERFOIL_STRIPE_BASE_URL": f"http://{host}",
        "COUNTERFOIL_ALLOW_LIVE_TEST_GATEWAY": "1",
    }
    assert "COUNTERFOIL_STRIPE_BASE_URL" in refusal(given)


def test_live_mode_takes_live_keys():
    chosen = from_environment(LIVE | LIVE_STRIPE)
    assert (chosen.mode, chosen.stripe_secret_key) == ("live", "sk_live_counterfoil")


def test_which_settings_are_secret_is_known():
    secret = {spec.name for spec in fields(Settings) if settings.known_secret(spec.name)}
    assert secret == {
        "database_url", "database_direct_url", "stripe_secret_key", "stripe_webhook_secret",
        "razorpay_key_secret", "razorpay_webhook_secret",
    }  # fmt: skip
    assert replace(Settings(), mode="live").mode == "live"
