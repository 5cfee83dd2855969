"""What a page allows, for each gateway."""

import pytest

from counterfoil.gateways.base import Script
from counterfoil.gateways.razorpay import gateway as razorpay
from counterfoil.gateways.stripe import gateway as stripe
from counterfoil.web.checkout import policy


def allowed(script: Script | None) -> dict[str, list[str]]:
    directives = policy.headers("n0nce", script)["content-security-policy"].split("; ")
    return {name: sources.split() for name, _, sources in (one.partition(" ") for one in directives)}


def test_a_page_without_a_gateway_runs_our_own_scripts_and_nothing_else():
    assert allowed(None) == {
        "default-src": ["'none'"],
        "script-src": ["'nonce-n0nce'"],
        "style-src": ["'self'"],
        "connect-src": ["'self'"],
        "img-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


@pytest.mark.parametrize(
    ("script", "hosts"),
    [(stripe.SCRIPT, "stripe.com"), (razorpay.SCRIPT, "razorpay.com")],
    ids=["stripe", "razorpay"],
)
def test_a_gateways_page_lets_in_that_gateway_alone(script, hosts):
    for directive, sources in allowed(script).items():
        foreign = [source for source in sources if not source.startswith("'")]
        assert all(source.startswith("https://") and source.endswith(f".{hosts}") for source in foreign)
        assert "'unsafe-eval'" not in sources
        assert "'unsafe-inline'" not in sources or directive == "style-src"
    origin = script.url.partition("://")[2].partition("/")[0]
    assert f"https://{origin}" in allowed(script)["script-src"]
    assert allowed(script)["default-src"] == allowed(script)["frame-ancestors"] == ["'none'"]


def test_stripe_may_frame_its_fields_and_the_banks_page():
    assert {"https://js.stripe.com", "https://hooks.stripe.com"} <= set(allowed(stripe.SCRIPT)["frame-src"])
    assert "https://api.stripe.com" in allowed(stripe.SCRIPT)["connect-src"]


def test_a_sandboxs_script_is_allowed_by_its_origin_and_gets_no_frames():
    script = Script.of_one_origin("http://127.0.0.1:8420/stripe/js")
    assert allowed(script)["script-src"] == ["'nonce-n0nce'", "http://127.0.0.1:8420"]
    assert allowed(script)["connect-src"] == ["'self'", "http://127.0.0.1:8420"]
    assert "frame-src" not in allowed(script)


def test_nobody_frames_keeps_or_follows_a_page():
    headers = policy.headers("n0nce")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
