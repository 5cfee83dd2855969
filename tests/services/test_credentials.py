"""Keys of gateway accounts, replaced while payments are under way: rolled in place, or of another account."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import builders
from database import Postgres
from keyring import Keyring, keyring, razorpay_auth, stripe_auth
from sandbox_server import Sandbox, run_sandbox
from service import Service, serving

SETTINGS = "/api/payments/settings"
# The second account, at each gateway.
OTHER = {
    "stripe_secret_key": "sk_test_counterfoil_other",
    "stripe_publishable_key": "pk_test_counterfoil_other",
    "stripe_webhook_secret": "whsec_counterfoil_other",
    "razorpay_key_id": "rzp_test_counterfoilOther",
    "razorpay_key_secret": "counterfoil_other_secret",
    "razorpay_webhook_secret": "counterfoil_other_webhook",
}
STRIPE = {name: OTHER[f"stripe_{snake}"] for name, snake in (("secretKey", "secret_key"), ("publishableKey", "publishable_key"), ("webhookSecret", "webhook_secret"))}  # fmt: skip
RAZORPAY = {name: OTHER[f"razorpay_{snake}"] for name, snake in (("keyId", "key_id"), ("keySecret", "key_secret"), ("webhookSecret", "webhook_secret"))}  # fmt: skip


@dataclass
class Town:
    """A service, the account it begins with, another one, and the keys that open them."""

    service: Service
    first: Sandbox
    other: Sandbox
    ring: Keyring

    def patch(self, gateway: str, keys: dict[str, Any], *, status: int = 200) -> Any:
        answer = self.service.call("PATCH", SETTINGS, {"paymentGateways": {gateway: keys}})
        assert answer.status == status, answer
        return answer.json

    def accounts(self, gateway: str) -> list[dict[str, Any]]:
        return self.service.rows(
            "SELECT id, draining_since IS NOT NULL AS drains, public_key, external_id FROM gateway_accounts"
            " WHERE gateway = $1 ORDER BY id",
            gateway,
        )

    def version(self) -> int:
        return self.service.get(SETTINGS).json["version"]


@pytest.fixture
def town(fast_postgres: Postgres) -> Iterator[Town]:
    with (
        run_sandbox(seed=1) as first,
        run_sandbox(seed=2, **OTHER) as other,
        keyring(first, other) as ring,
        serving(fast_postgres, first, **ring.settings()) as service,
    ):
        other.webhooks(deliver_to=service.url)
        yield Town(service, first, other, ring)


def test_rolled_keys_take_the_place_of_the_old_ones(town):
    held = town.service.create(
        payment_method="pm_card_visa", confirm=True, capture="manual", gateway="stripe"
    )
    rolled = "sk_test_counterfoil_rolled"
    town.ring.roll(town.first, stripe_auth(rolled))
    shown = town.patch("stripe", {"secretKey": rolled})["paymentGateways"]["stripe"]["secretKey"]
    assert (shown["set"], shown["last4"]) == (True, "lled")
    assert [row["drains"] for row in town.accounts("stripe")] == [False]
    town.ring.used.clear()
    assert town.service.post(f"/api/payments/{held['id']}/capture").json["status"] == "captured"
    assert set(town.ring.used) == {stripe_auth(rolled)}


def test_keys_of_another_account_let_the_old_one_drain_and_what_is_under_way_there_goes_on(town):
    held = town.service.create(
        payment_method="pm_card_visa", confirm=True, capture="manual", gateway="stripe"
    )
    town.patch("stripe", STRIPE)
    old, new = town.accounts("stripe")
    assert (old["drains"], new["drains"], new["public_key"]) == (True, False, OTHER["stripe_publishable_key"])
    town.ring.used.clear()
    made = town.service.create(payment_method="pm_card_visa", confirm=True, gateway="stripe")
    assert made["attempts"][0]["account"] == new["id"]
    assert set(town.ring.used) == {stripe_auth(OTHER["stripe_secret_key"])}
    captured = town.service.post(f"/api/payments/{held['id']}/capture").json
    assert (captured["status"], captured["attempts"][0]["account"]) == ("captured", old["id"])
    for payment, sandbox in ((held, town.first), (made, town.other)):
        ref = payment["attempts"][0]["gateway_reference"]
        assert [
            one["status"] for one in sandbox.truth()["stripe"]["payment_intents"] if one["id"] == ref
        ] == ["succeeded"]

    def heard() -> set[str]:
        return {
            row["account_id"]
            for row in town.service.rows("SELECT account_id FROM inbox WHERE status = 'processed'")
        }

    town.service.eventually(lambda: heard() >= {old["id"], new["id"]})


def test_an_order_of_the_old_account_is_paid_after_its_keys_were_replaced(town):
    made = town.service.create(50_000, "INR", gateway="razorpay")
    order = made["checkout"]["razorpay"]["order_id"]
    town.patch("razorpay", RAZORPAY)
    assert [row["drains"] for row in town.accounts("razorpay")] == [True, False]
    town.service.pay_razorpay(order)  # at the old account, whose webhooks its own secret vouches for
    assert town.service.until(made["id"], "captured")["amount_captured"] == 50_000
    again = town.service.create(50_000, "INR", gateway="razorpay")
    assert again["checkout"]["razorpay"]["key_id"] == OTHER["razorpay_key_id"]


def test_rolled_keys_of_razorpay_take_the_place_of_the_old_ones(town):
    town.service.create(50_000, "INR", gateway="razorpay")
    rolled = {"keyId": "rzp_test_counterfoilRolled", "keySecret": "counterfoil_rolled_secret"}
    town.ring.roll(town.first, razorpay_auth(*rolled.values()))
    town.patch("razorpay", rolled)
    (row,) = town.accounts("razorpay")
    assert (row["drains"], row["public_key"]) == (False, rolled["keyId"])


def test_back_at_the_first_account_its_own_row_takes_new_payments_again(town):
    town.service.create(gateway="stripe")
    own = town.first.config
    town.patch("stripe", STRIPE)
    town.service.create(gateway="stripe")
    first, second = town.accounts("stripe")
    town.patch("stripe", {"secretKey": own.stripe_secret_key, "publishableKey": own.stripe_publishable_key})
    assert [(row["id"], row["drains"]) for row in town.accounts("stripe")] == [
        (first["id"], False),
        (second["id"], True),
    ]
    assert town.service.create(gateway="stripe")["attempts"][0]["account"] == first["id"]


def test_where_nothing_was_ever_opened_nothing_has_to_drain(town):
    town.patch("stripe", STRIPE)
    (row,) = town.accounts("stripe")
    assert (row["drains"], row["public_key"], row["external_id"]) == (False, STRIPE["publishableKey"], None)


def test_keys_that_the_gateway_does_not_take_are_refused_and_nothing_is_changed(town):
    town.service.create(gateway="stripe")
    before = town.version()
    refused = town.patch(
        "stripe", {"enabled": False, "secretKey": "sk_test_counterfoil_mistyped"}, status=422
    )
    assert refused["field"] == "paymentGateways.stripe.secretKey"
    assert "is not taken by stripe" in refused["detail"]
    assert "mistyped" not in str(refused)
    assert town.version() == before
    assert town.service.get(SETTINGS).json["paymentGateways"]["stripe"]["enabled"] is True
    assert (
        town.service.rows("SELECT * FROM breakers WHERE failures > 0") == []
    )  # the account in use fares well


def test_where_the_gateway_cannot_be_asked_it_has_to_be_said_whose_the_keys_are(town):
    town.service.create(50_000, "INR", gateway="razorpay")
    rolled = {"keyId": "rzp_test_counterfoilRolled", "keySecret": "counterfoil_rolled_secret"}
    town.ring.roll(town.first, razorpay_auth(*rolled.values()))
    town.first.fault("razorpay", "orders.retrieve", "error_5xx_before", times=1)
    away = town.patch("razorpay", rolled, status=503)
    assert away["code"] == "gateway_away"
    assert "paymentGateways.razorpay.sameAccount" in away["detail"]
    town.ring.used.clear()
    town.patch("razorpay", rolled | {"sameAccount": True})
    assert [row["public_key"] for row in town.accounts("razorpay")] == [rolled["keyId"]]
    town.patch("razorpay", RAZORPAY | {"sameAccount": False})
    assert [row["drains"] for row in town.accounts("razorpay")] == [True, False]


@pytest.mark.parametrize(
    ("gateway", "keys", "field", "said"),
    [
        ("stripe", {"secretKey": STRIPE["secretKey"]}, "publishableKey", "is needed"),
        ("stripe", {"secretKey": STRIPE["secretKey"], "publishableKey": STRIPE["publishableKey"]}, "webhookSecret", "is needed"),
        ("stripe", STRIPE | {"webhookSecret": "whsec_counterfoil_sandbox"}, "webhookSecret", "is that of another account"),
        ("stripe", {"secretKey": "sk_live_counterfoil"}, "secretKey", "must begin with sk_test_ or rk_test_ in sandbox mode"),
        ("stripe", {"publishableKey": "sk_test_counterfoil"}, "publishableKey", "must begin with pk_test_"),
        ("stripe", {"webhookSecret": "counterfoil"}, "webhookSecret", "must begin with whsec_"),
        ("stripe", {"secretKey": "sk_test_ counterfoil"}, "secretKey", "without spaces"),
        ("stripe", {"secretKey": "sk_test_" + "x" * 300}, "secretKey", "of 1 to 255"),
        ("stripe", {"secretKey": 5}, "secretKey", "must be text"),
        ("stripe", {"sameAccount": True}, "sameAccount", "beside new keys only"),
        ("stripe", {"secretKey": "sk_test_counterfoil", "sameAccount": 1}, "sameAccount", "must be true or false"),
        ("razorpay", {"keyId": "rzp_live_counterfoil"}, "keyId", "must begin with rzp_test_"),
        ("razorpay", {"keyId": "rzp_test_counterfoilAlone"}, "keySecret", "is needed beside another keyId"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_keys_names_the_field(town, gateway, keys, field, said):
    town.service.create(gateway="stripe")
    before = town.accounts(gateway)
    refused = town.patch(gateway, keys, status=422)
    assert refused["field"] == f"paymentGateways.{gateway}.{field}"
    assert said in refused["detail"]
    assert town.accounts(gateway) == before


def verified(town: Town, secret: str) -> int:
    body = builders.as_sent(builders.event("account.updated", {"object": "account", "id": "acct_1"}))
    headers = builders.signed("stripe", body, at=town.service.context.now(), secret=secret)
    return town.service.call("POST", "/webhooks/stripe", body, key="", headers=headers).status


def test_a_replaced_webhook_secret_stays_valid_for_three_days_and_its_uses_are_counted(town):
    old, new = town.first.config.stripe_webhook_secret, "whsec_counterfoil_replaced"
    (before,) = town.service.rows(
        "SELECT s.id FROM webhook_secrets s JOIN gateway_accounts a ON a.id = account_id WHERE gateway = 'stripe'"
    )
    shown = town.patch("stripe", {"webhookSecret": new})["paymentGateways"]["stripe"]["webhookSecret"]
    assert (shown["set"], shown["last4"]) == (True, "aced")
    assert (verified(town, new), verified(town, old)) == (200, 200)
    uses = f'counterfoil_webhook_secret_uses_total{{gateway="stripe",secret="{before["id"]}"}} 1.0'
    assert uses in town.service.call("GET", "/metrics", key="").body.decode()
    town.service.advance(71 * 3600)
    town.service.run(town.service.context.directory.refresh())
    assert verified(town, old) == 200
    town.service.advance(2 * 3600)
    town.service.run(town.service.context.directory.refresh())
    assert (verified(town, new), verified(town, old)) == (200, 400)


def test_without_overlap_the_old_webhook_secret_ends_at_once(town):
    old = town.first.config.stripe_webhook_secret
    town.patch("stripe", {"webhookSecretOverlapHours": 0, "webhookSecret": "whsec_counterfoil_leaked_before"})
    assert verified(town, old) == 400


def test_the_keys_in_use_change_nothing(town):
    own, before = town.first.config, town.version()
    town.patch(
        "stripe",
        {
            "secretKey": own.stripe_secret_key,
            "publishableKey": own.stripe_publishable_key,
            "webhookSecret": own.stripe_webhook_secret,
        },
    )
    assert town.version() == before


def test_a_gateway_that_had_no_account_gets_one_by_all_of_its_keys(fast_postgres):
    with run_sandbox() as sandbox, serving(fast_postgres, sandbox, stripe_secret_key=None, stripe_publishable_key=None, stripe_webhook_secret=None) as service:  # fmt: skip
        own = sandbox.config
        keys = {"secretKey": own.stripe_secret_key, "publishableKey": own.stripe_publishable_key}
        absent = service.get(SETTINGS).json["paymentGateways"]["stripe"]["secretKey"]
        assert absent == {"set": False, "last4": None, "updatedAt": None}
        refused = service.call("PATCH", SETTINGS, {"paymentGateways": {"stripe": keys}})
        assert (refused.status, refused.json["field"]) == (422, "paymentGateways.stripe.webhookSecret")
        keys["webhookSecret"] = own.stripe_webhook_secret
        assert service.call("PATCH", SETTINGS, {"paymentGateways": {"stripe": keys}}).status == 200
        paid = service.create(payment_method="pm_card_visa", confirm=True)
        service.until(paid["id"], "captured")
