"""The settings document by API: read, changed, refused, and what each change does."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from counterfoil.domain.settings_fields import FIELDS, Kind
from counterfoil.domain.settings_patch import holds, value_at
from database import Postgres
from service import Answer, Service, serving

PATH = "/api/payments/settings"


@pytest.fixture
def service(fast_postgres: Postgres) -> Iterator[Service]:
    """A service a test: settings are everybody's."""
    with serving(fast_postgres) as running:
        yield running


def patch(service: Service, change: Any, **more: Any) -> Answer:
    return service.call("PATCH", PATH, change, **more)


def changed(service: Service, change: Any, **more: Any) -> Any:
    answer = patch(service, change, **more)
    assert answer.status == 200, answer
    return answer.json


def test_the_whole_document_is_shown_with_its_version_and_without_a_secret(service):
    answer = service.get(PATH)
    document, own = answer.json, service.sandbox.config
    assert (document["version"], answer.headers["etag"]) == (1, '"1"')
    for field in FIELDS:
        assert holds(document, field.path) is (field.kind is not Kind.INSTRUCTION), field.path
    stripe = document["paymentGateways"]["stripe"]
    assert stripe["webhookEndpoint"] == f"{service.url}/webhooks/stripe"
    assert stripe["webhookLastProcessed"] is None
    for name in ("secretKey", "publishableKey", "webhookSecret"):
        assert set(stripe[name]) == {"set", "last4", "updatedAt"}
        assert (stripe[name]["set"], stripe[name]["last4"]) == (True, "dbox")
    for secret in (own.stripe_secret_key, own.stripe_webhook_secret, own.razorpay_key_secret):
        assert secret not in answer.body.decode()
    assert document["paymentAnalytics"]["successRate"] is None
    assert document["retention"] == document["outgoingWebhooks"] == {}


def test_the_last_webhook_that_was_understood_is_told(service):
    service.create(payment_method="pm_card_visa", confirm=True)

    def told() -> Any:
        return service.get(PATH).json["paymentGateways"]["stripe"]["webhookLastProcessed"]

    service.eventually(told)
    (row,) = service.rows("SELECT max(processed_at) AS at FROM inbox WHERE gateway = 'stripe'")
    assert told()[:19] <= row["at"].isoformat()[:19]


def test_a_change_is_merged_answered_and_written_down(service):
    after = changed(service, {"business": {"country": "IN"}, "routing": {"breaker": {"failures": 3}}})
    assert after["version"] == 2
    assert (after["business"]["country"], after["business"]["timeZone"]) == ("IN", "UTC")
    assert service.get(PATH).json == after
    (row,) = service.rows("SELECT actor, mode, object_id, detail FROM audit WHERE action = 'settings.change'")
    assert row["actor"].startswith("key_")
    assert (row["mode"], row["object_id"], row["detail"]["version"]) == ("sandbox", "settings", 2)
    assert row["detail"]["changes"] == [
        {"path": "business.country", "from": None, "to": "IN"},
        {"path": "routing.breaker.failures", "from": 5, "to": 3},
    ]


def test_what_the_document_says_already_changes_nothing(service):
    assert changed(service, {"business": {"timeZone": "UTC"}})["version"] == 1
    assert changed(service, {})["version"] == 1
    assert service.rows("SELECT 1 FROM audit WHERE action = 'settings.change'") == []


def test_no_secret_is_written_down_and_the_password_of_the_mail_server_is_sealed(service):
    smtp = {"host": "mail.example.com", "from": "shop@example.com", "username": "shop", "password": "a long made-up password"}  # fmt: skip
    change = {
        "delivery": {"smtp": smtp},
        "paymentGateways": {"razorpay": {"webhookSecret": "counterfoil_new_webhook"}},
    }
    shown = changed(service, change)["delivery"]["smtp"]["password"]
    assert (shown["set"], shown["last4"]) == (True, "word")
    again = changed(service, {"delivery": {"smtp": {"host": "mx.example.com"}}})["delivery"]["smtp"]
    assert (again["host"], again["password"], again["username"]) == ("mx.example.com", shown, "shop")
    for table in ("settings", "audit", "webhook_secrets"):
        (row,) = service.rows(f"SELECT string_agg(t::text, ' ') AS whole FROM {table} t")
        assert "made-up password" not in row["whole"]
        assert "counterfoil_new_webhook" not in row["whole"]
    forged = patch(service, {"delivery": {"smtp": {"password": {"sealed": "AAAA"}}}})
    assert (forged.status, forged.json["field"]) == (422, "delivery.smtp.password")
    assert changed(service, {"delivery": {"smtp": None}})["delivery"]["smtp"] is None


def test_a_change_that_is_wrong_anywhere_is_refused_whole(service):
    refused = patch(service, {"business": {"name": "New"}, "routing": {"order": ["paypal"]}})
    assert (refused.status, refused.json["code"]) == (422, "invalid_request")
    assert refused.json["field"] == "routing.order.0"
    assert service.get(PATH).json["version"] == 1


def test_what_is_read_only_is_refused_by_name(service):
    for field in ("updated_at", "paymentAnalytics", "paymentGateways"):
        whole = service.get(PATH).json[field]
        refused = patch(service, {field: whole})
        assert refused.status == 422
        assert refused.json["field"].startswith(field)


# Versions


def test_a_change_for_a_version_that_is_past_is_refused(service):
    changed(service, {"version": 1, "business": {"name": "One"}})
    for late in (
        patch(service, {"version": 1, "business": {"name": "Two"}}),
        patch(service, {"business": {"name": "Two"}}, headers={"if-match": '"1"'}),
        patch(service, {"business": {"name": "Two"}}, headers={"if-match": 'W/"1"'}),
    ):
        assert (late.status, late.json["code"]) == (409, "wrong_state")
        assert "asked for at version 1" in late.json["detail"]
    assert changed(service, {"business": {"name": "Two"}}, headers={"if-match": '"2"'})["version"] == 3
    assert changed(service, {"business": {"name": "Three"}}, headers={"if-match": "*"})["version"] == 4


def test_a_version_that_is_none_is_refused(service):
    for change, headers, field in (
        ({"version": "1"}, {}, "version"),
        ({"version": 0}, {}, "version"),
        ({}, {"if-match": "yesterday"}, "If-Match"),
        ({"version": 1}, {"if-match": '"2"'}, "version"),
    ):
        refused = patch(service, change, headers=headers)
        assert (refused.status, refused.json["field"]) == (422, field)


def together(*calls: Any) -> list[Answer]:
    """The answers of calls made at once."""
    answers: list[Any] = [None] * len(calls)

    def run(n: int) -> None:
        answers[n] = calls[n]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_of_changes_at_once_for_one_version_one_wins(service):
    service.key()
    names = [f"Shop {n}" for n in range(8)]
    answers = together(
        *(lambda name=name: patch(service, {"version": 1, "business": {"name": name}}) for name in names)
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    (winner,) = [answer.json["business"]["name"] for answer in answers if answer.status == 200]
    assert service.get(PATH).json["business"]["name"] == winner


def test_changes_at_once_that_name_no_version_all_stand_where_they_are_of_different_fields(service):
    service.key()
    wishes = {
        "business.country": "IN", "business.timeZone": "Asia/Kolkata", "routing.breaker.failures": 7,
        "refundProcessing.refundThreshold": {"INR": 5}, "productionSettings.paymentRetryAttempts": 2,
    }  # fmt: skip

    def ask(path: str, value: Any) -> Answer:
        for name in reversed(path.split(".")):
            value = {name: value}
        return patch(service, value)

    answers = together(*(lambda path=path, value=value: ask(path, value) for path, value in wishes.items()))
    assert [answer.status for answer in answers] == [200] * len(wishes)
    document = service.get(PATH).json
    assert document["version"] == 1 + len(wishes)
    assert {path: value_at(document, path) for path in wishes} == wishes


# Hostile bytes


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"null", 422),
        (b"[]", 422),
        (b"{", 400),
        (b'{"business": {"name": "\xff"}}', 400),
        (b'{"business": {"name": "a", "name": "b"}}', 400),
        (b'{"productionSettings": {"paymentRetryAttempts": NaN}}', 400),
        (b'{"productionSettings": {"paymentRetryAttempts": 1e400}}', 422),
        (b'{"productionSettings": {"paymentRetryAttempts": ' + b"9" * 5_000 + b"}}", 400),
        (b'{"refundProcessing": {"refundThreshold": {"USD": ' + b"9" * 400 + b"}}}", 422),
        (b'{"business": {"name": "\\u0000"}}', 422),
        (b'{"business": {"name": "\\ud800"}}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"' + b"x" * 100_000 + b'": 1}', 422),
        (b'{"routing": {"rules": ' + b"[" * 60 + b"]" * 60 + b"}}", 422),
        (b'{"routing": {"rules": ' + b"[" * 900 + b"]" * 900 + b"}}", 400),
        (b"[" * 100_000, 400),
        (b'{"business": {"name": "' + b"x" * 300_000 + b'"}}', 413),
        (b'{"business": {"name": "4242 4242 4242 4242"}}', 400),
        (b'{"__proto__": {"x": 1}}', 422),
    ],
)  # fmt: skip
def test_hostile_bytes_are_refused_with_a_problem(hostile, body, status):
    answer = hostile.call("PATCH", PATH, body)
    assert answer.status == status, answer
    assert answer.json["status"] == status
    assert len(answer.body) < 2_000
    assert hostile.get(PATH).json["version"] == 1


@pytest.fixture(scope="module")
def hostile(fast_postgres: Postgres) -> Iterator[Service]:
    """One service for all that changes nothing."""
    with serving(fast_postgres) as running:
        yield running


# Effects


def test_a_gateway_that_is_switched_off_takes_no_new_payments_and_finishes_what_is_under_way(service):
    held = service.create(payment_method="pm_card_visa", confirm=True, capture="manual", gateway="stripe")
    order = service.create(50_000, "INR", gateway="razorpay")
    for name, other in (("stripe", "razorpay"), ("razorpay", "stripe")):
        changed(service, {"paymentGateways": {name: {"enabled": False}, other: {"enabled": True}}})
        assert service.create(50_000, "INR")["attempts"][0]["gateway"] == other
        assert service.create(50_000, "INR", gateway=name, status=422)["code"] == "no_gateway"
        if name == "stripe":
            assert service.post(f"/api/payments/{held['id']}/capture").json["status"] == "captured"
        else:
            service.pay_razorpay(order["checkout"]["razorpay"]["order_id"])
            service.until(order["id"], "captured")


def test_the_rules_of_routing_choose_from_the_next_payment_on(service):
    assert service.create(50_000, "INR")["attempts"][0]["gateway"] == "razorpay"
    changed(service, {"routing": {"order": ["stripe", "razorpay"]}})
    assert service.create(50_000, "INR")["attempts"][0]["gateway"] == "stripe"
    rule = {"name": "small ones", "when": {"amountBelow": {"INR": 60_000}}, "use": ["razorpay"]}
    changed(service, {"routing": {"rules": [rule]}})
    chosen = service.create(50_000, "INR")["attempts"][0]
    assert chosen["gateway"] == "razorpay"
    assert "small ones" in chosen["reason"]
    changed(service, {"routing": {"rules": None, "order": None}})
    assert service.context.directory.routing.rules == ()


def test_the_breaker_opens_after_as_many_failures_as_are_set(service):
    directory = service.context.directory
    assert directory.routing.breaker.failures == 5
    changed(
        service, {"routing": {"breaker": {"failures": 2, "openSeconds": 7}, "lateAuthorization": "refund"}}
    )
    assert (directory.routing.breaker.failures, directory.routing.breaker.open_s) == (2, 7)
    assert directory.routing.late_authorization == "refund"


def test_the_customer_sees_the_name_of_the_business(service):
    changed(service, {"business": {"name": "Käse & Söhne"}})
    url = service.create()["checkout"]["url"]
    sent = service.call("GET", url.removeprefix(service.url), key="").headers
    page = service.call(
        "GET", sent["location"], key="", headers={"cookie": sent["set-cookie"].partition(";")[0]}
    )
    assert "Käse &amp; Söhne" in page.body.decode()


LIVE_KEYS = {
    "publishableKey": "pk_live_counterfoil_tests",
    "secretKey": "sk_live_counterfoil_tests",
    "webhookSecret": "whsec_counterfoil_live",
}


def test_live_mode_is_refused_where_this_process_is_not_fit_for_it(service):
    refused = patch(service, {"productionSettings": {"liveMode": True}})
    assert (refused.status, refused.json["field"]) == (422, "productionSettings.liveMode")
    assert "COUNTERFOIL_CLOCK_URL is for sandbox mode" in refused.json["detail"]


def test_live_mode_is_that_of_new_payments_and_those_of_the_sandbox_go_on(fast_postgres):
    fit = {"clock_url": None, "allow_live_test_gateway": True}
    with serving(fast_postgres, **fit) as service:
        held = service.create(payment_method="pm_card_visa", confirm=True, capture="manual")
        live = service.key(mode="live")
        early = service.post("/api/payments", {"amount": 100, "currency": "USD"}, key=live)
        assert (early.status, early.json["code"]) == (422, "no_gateway")
        wrong = {
            "productionSettings": {"liveMode": True},
            "paymentGateways": {"stripe": {"secretKey": "sk_test_counterfoil_x"}},
        }
        refused = patch(service, wrong)
        assert (refused.status, refused.json["field"]) == (422, "paymentGateways.stripe.secretKey")
        document = changed(
            service, {"productionSettings": {"liveMode": True}, "paymentGateways": {"stripe": LIVE_KEYS}}
        )
        assert document["productionSettings"]["sandboxMode"] is False
        assert document["paymentGateways"]["stripe"]["secretKey"]["last4"] == "ests"
        assert document["paymentGateways"]["razorpay"]["keySecret"]["set"] is False
        late = service.post("/api/payments", {"amount": 100, "currency": "USD"})
        assert (late.status, late.json["code"]) == (422, "no_gateway")
        assert "New payments are taken in live mode" in late.json["detail"]
        made = service.post("/api/payments", {"amount": 100, "currency": "USD"}, key=live)
        assert (made.status, made.json["mode"]) == (
            201,
            "live",
        )  # its gateway knows no such key, but it is tried
        assert service.post(f"/api/payments/{held['id']}/capture").json["status"] == "captured"
        sandboxed = patch(service, {"productionSettings": {"sandboxMode": True}})
        assert (sandboxed.status, sandboxed.json["code"]) == (403, "not_permitted")
        assert changed(service, {"productionSettings": {"sandboxMode": True}}, key=live)["version"] == 3
        assert service.create(100, "USD")["mode"] == "sandbox"
