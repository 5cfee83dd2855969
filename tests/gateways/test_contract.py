import http.client
import json
from contextlib import closing
from typing import ClassVar

import pytest

from counterfoil.domain.fact import Kind
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.money import Money
from counterfoil.gateways.base import Accepted, Declined, Evidence, Method, Refused, Unknown
from counterfoil.gateways.razorpay import gateway as razorpay
from counterfoil.gateways.stripe import gateway as stripe
from gateways.contract import GatewayContract
from gateways.contract_disputes import EVIDENCE
from gateways.shop import of, said

RETURN_URL = "https://shop.example/return"


class TestStripe(GatewayContract):
    amount = Money(10000, "USD")
    made = "payment_intents"
    calls: ClassVar = {
        "open": "payment_intents.create",
        "capture": "payment_intents.capture",
        "cancel": "payment_intents.cancel",
        "look_up": "payment_intents.retrieve",
        "find": "payment_intents.list",
        "refund": "refunds.create",
        "look_up_refund": "refunds.retrieve",
        "submit": "disputes.update",
        "accept": "disputes.close",
    }
    withdraws_at_once = True
    courses: ClassVar = {
        "pending": {"course": "pending", "seconds": 3 * 86_400},
        "failing": {"course": "failing", "seconds": 3 * 86_400},
        "short": {"course": "refused"},
        "normal": {},
    }

    def refund_course(self, shop, course):
        shop.sandbox.control("POST", "stripe/refunds", self.courses[course])

    def dashboard_refund(self, shop, charge, minor):
        asked = {"charge": charge, "amount": minor}
        return shop.sandbox.control("POST", "stripe/dashboard_refund", asked)["id"]

    def dispute(self, shop, charge, *, question=False, minor=None):
        asked = {"charge": charge, "amount": minor, "inquiry": question}
        return shop.sandbox.control("POST", "stripe/dispute", asked)["id"]

    def dispute_goes_on(self, shop, ref, status):
        shop.sandbox.control("POST", "stripe/dispute_status", {"dispute": ref, "status": status})

    def connect(self, http, sandbox, *, url=None, secret=None):
        return stripe.connect(
            http,
            account_id="gwa_stripe",
            mode="sandbox",
            base_url=url or sandbox.stripe,
            secret_key=secret or sandbox.config.stripe_secret_key,
            publishable_key=sandbox.config.stripe_publishable_key,
        )

    async def _confirm(self, shop, ref, method, key, **more):
        method = Method(payment_method=method, **more)
        return await shop.gateway.confirm.confirm(
            ref, method, key=f"counterfoil-{key}", return_url=RETURN_URL
        )

    async def pay(self, shop, ref):
        outcome = await self._confirm(shop, ref, "pm_card_visa", "pay")
        return of(outcome, Kind.CHARGE_AUTHORIZED).object_id

    async def fail_to_pay(self, shop, ref):
        outcome = await self._confirm(shop, ref, "pm_card_visa_chargeDeclinedInsufficientFunds", "fail")
        assert isinstance(outcome, Declined)

    async def test_an_automatic_attempt_is_captured_when_it_is_confirmed(self, shop):
        opened = await shop.gateway.collect.open(self.opening(capture="automatic"), key="counterfoil-key-1")
        outcome = await self._confirm(shop, opened.ref, "pm_card_visa", "pay")
        captured = of(outcome, Kind.CHARGE_CAPTURED)
        assert (captured.amount, captured.detail["brand"], captured.detail["last4"]) == (
            self.amount,
            "visa",
            "4242",
        )

    async def test_a_decline_is_declined_with_the_facts_of_the_try(self, shop):
        ref = await self.opened(shop)
        outcome = await self._confirm(shop, ref, "pm_card_visa_chargeDeclinedLostCard", "fail")
        assert (type(outcome), outcome.code, outcome.ref) == (Declined, FailureCode.LOST_OR_STOLEN, ref)
        assert [kind for kind, _ in said(outcome)] == [Kind.ATTEMPT_DECLINED, Kind.CHARGE_FAILED]
        assert b"_secret_" not in outcome.raw.replace(shop.sandbox.config.stripe_secret_key.encode(), b"")

    async def test_the_same_key_replays_the_same_decline_and_a_new_one_tries_again(self, shop):
        ref = await self.opened(shop)
        first = await self._confirm(shop, ref, "pm_card_chargeDeclined", "one")
        again = await self._confirm(shop, ref, "pm_card_chargeDeclined", "one")
        assert first == again
        assert isinstance(await self._confirm(shop, ref, "pm_card_visa", "two"), Accepted)
        assert len(shop.sandbox.truth()["stripe"]["charges"]) == 2

    async def test_a_500_that_is_replayed_stays_unknown_and_reading_settles_it(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        shop.sandbox.fault("stripe", "payment_intents.capture", "error_5xx_after", status=500)
        first = await self.call(shop, "capture", ref, charge)
        replayed = await self.call(shop, "capture", ref, charge)
        assert (type(first), type(replayed), replayed.status) == (Unknown, Unknown, 500)
        assert of(await shop.gateway.collect.look_up(ref), Kind.CHARGE_CAPTURED).object_id == charge

    async def test_a_key_used_for_something_else_is_refused_by_name(self, shop):
        ref = await self.opened(shop)
        await self._confirm(shop, ref, "pm_card_chargeDeclined", "one")
        outcome = await self._confirm(shop, ref, "pm_card_visa", "one")
        assert outcome.gateway_code == "idempotency_error"

    async def test_the_browser_gets_a_secret_only_when_it_has_to_act(self, shop):
        opened = await shop.gateway.collect.open(self.opening(), key="counterfoil-key-1")
        assert opened.client_secret is None
        outcome = await self._confirm(shop, opened.ref, "pm_card_authenticationRequired", "pay")
        assert said(outcome) == [(Kind.ATTEMPT_ACTION, self.amount.minor)]
        assert outcome.client_secret.startswith(opened.ref)
        assert outcome.next_action["type"] == of(outcome, Kind.ATTEMPT_ACTION).detail["requires_action"]
        assert outcome.client_secret.encode() not in outcome.raw

    async def test_off_session_a_bank_that_wants_its_customer_declines(self, shop):
        ref = await self.opened(shop)
        outcome = await self._confirm(shop, ref, "pm_card_authenticationRequired", "pay", off_session=True)
        assert (type(outcome), outcome.code) == (Declined, FailureCode.AUTHENTICATION_REQUIRED)

    async def test_a_part_may_be_captured_and_the_rest_is_released(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        outcome = await shop.gateway.collect.capture(ref, charge, Money(6000, "USD"), key="counterfoil-key-2")
        captured = of(outcome, Kind.CHARGE_CAPTURED)
        assert (captured.amount, captured.face) == (Money(6000, "USD"), self.amount)

    async def test_without_redirects_a_confirm_needs_no_return_url(self, shop):
        opened = await shop.gateway.collect.open(self.opening(redirects=False), key="counterfoil-key-1")
        method = Method(payment_method="pm_card_visa")
        outcome = await shop.gateway.confirm.confirm(
            opened.ref, method, key="counterfoil-key-2", return_url=None
        )
        assert isinstance(outcome, Accepted)

    async def test_a_charge_that_is_asked_about_may_be_refunded_which_ends_the_inquiry(self, shop):
        charge, ref = await self.disputed(shop, question=True)
        asked = of(await shop.gateway.disputes.look_up_dispute(ref), Kind.DISPUTE_INQUIRY)
        assert asked.detail["refundable"] is True
        assert isinstance(await self.give_back(shop, charge, self.amount), Accepted)
        assert of(await shop.gateway.disputes.look_up_dispute(ref), Kind.DISPUTE_CLOSED)

    @pytest.mark.parametrize(
        ("word", "kind"),
        [("winning_evidence", Kind.DISPUTE_WON), ("losing_evidence", Kind.DISPUTE_LOST)],
    )
    async def test_the_test_evidences_decide_a_dispute(self, shop, word, kind):
        _, ref = await self.disputed(shop)
        await shop.gateway.disputes.submit(ref, Evidence(summary=word), key="dsp_counterfoil_1")
        shop.sandbox.advance(6)
        assert of(await shop.gateway.disputes.look_up_dispute(ref), kind)

    async def test_the_dispute_of_a_test_card_withdraws_with_a_fee(self, shop):
        opened = await shop.gateway.collect.open(self.opening(capture="automatic"), key="counterfoil-key-1")
        await self._confirm(shop, opened.ref, "pm_card_createDispute", "pay")
        [made] = shop.sandbox.truth()["stripe"]["disputes"]
        outcome = await shop.gateway.disputes.look_up_dispute(made["id"])
        withdrawn = of(outcome, Kind.DISPUTE_WITHDRAWN)
        assert (withdrawn.amount, withdrawn.detail["settled"], withdrawn.detail["fee"]) == (
            self.amount,
            -self.amount.minor,
            1500,
        )


class TestRazorpay(GatewayContract):
    amount = Money(50000, "INR")
    made = "orders"
    calls: ClassVar = {
        "open": "orders.create",
        "capture": "payments.capture",
        "look_up": "orders.retrieve",
        "find": "orders.list",
        "refund": "payments.refund",
        "look_up_refund": "refunds.retrieve",
        "submit": "disputes.contest",
        "accept": "disputes.accept",
    }
    withdraws_at_once = False
    courses: ClassVar = {
        "pending": {"refunds": "pending", "refund_seconds": 3 * 86_400},
        "failing": {"refunds": "failing_late", "refund_seconds": 3 * 86_400},
        "short": {"refunds": "no_balance"},
        "normal": {"refunds": "processed"},
    }

    def refund_course(self, shop, course):
        shop.sandbox.control("POST", "razorpay", self.courses[course])

    def dashboard_refund(self, shop, charge, minor):
        asked = {"payment_id": charge, "amount": minor}
        return shop.sandbox.control("POST", "razorpay/dashboard_refund", asked)["id"]

    def dispute(self, shop, charge, *, question=False, minor=None):
        phase = "retrieval" if question else "chargeback"
        asked = {"payment_id": charge, "amount": minor, "phase": phase}
        return shop.sandbox.control("POST", "razorpay/dispute", asked)["id"]

    def dispute_goes_on(self, shop, ref, status):
        shop.sandbox.control("POST", "razorpay/dispute_status", {"dispute_id": ref, "status": status})

    def connect(self, http, sandbox, *, url=None, secret=None):
        return razorpay.connect(
            http,
            account_id="gwa_razorpay",
            mode="sandbox",
            base_url=url or sandbox.razorpay,
            key_id=sandbox.config.razorpay_key_id,
            key_secret=secret or sandbox.config.razorpay_key_secret,
        )

    def _checkout(self, shop, ref, **chosen):
        body = json.dumps({"key": shop.gateway.public_key, "order_id": ref, **chosen})
        with closing(http.client.HTTPConnection("127.0.0.1", shop.sandbox.port, timeout=10)) as connection:
            connection.request("POST", "/razorpay/checkout/pay", body)
            return json.loads(connection.getresponse().read())

    async def pay(self, shop, ref):
        return self._checkout(shop, ref, method="upi", vpa="success@razorpay")["razorpay_payment_id"]

    async def fail_to_pay(self, shop, ref):
        card = {"number": "4100280000080001", "expiry": "12/39", "cvv": "123", "name": "A Buyer"}
        assert "error" in self._checkout(shop, ref, method="card", card=card)

    async def test_what_the_browser_brings_back_is_vouched_for(self, shop):
        ref = await self.opened(shop)
        brought = self._checkout(shop, ref, method="upi", vpa="success@razorpay")
        payment, signature = brought["razorpay_payment_id"], brought["razorpay_signature"]
        assert shop.gateway.vouch.vouch(ref, payment, signature)
        assert not shop.gateway.vouch.vouch("order_another", payment, signature)
        assert not shop.gateway.vouch.vouch(ref, payment, signature.upper())

    async def test_an_automatic_attempt_is_held_too_because_we_decide_who_wins(self, shop):
        opened = await shop.gateway.collect.open(self.opening(capture="automatic"), key="counterfoil-key-1")
        await self.pay(shop, opened.ref)
        assert of(await shop.gateway.collect.look_up(opened.ref), Kind.CHARGE_AUTHORIZED)

    async def test_a_capture_told_of_by_a_500_is_already_done_the_next_time(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        shop.sandbox.fault("razorpay", "payments.capture", "error_5xx_after", status=500)
        assert isinstance(await self.call(shop, "capture", ref, charge), Unknown)
        assert (await self.call(shop, "capture", ref, charge)).already

    async def test_a_part_cannot_be_captured(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        outcome = await shop.gateway.collect.capture(ref, charge, Money(100, "INR"), key="counterfoil-key-2")
        assert not outcome.already

    async def test_a_payment_of_another_order_is_not_taken_for_this_ones(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        outcome = await shop.gateway.collect.capture(
            "order_another", charge, self.amount, key="counterfoil-key-2"
        )
        assert "order is" in outcome.message

    @pytest.mark.parametrize(("asked", "minutes"), [(30, 30), (99999, 7200)])
    async def test_a_hold_is_given_back_after_the_time_asked_for(self, shop, asked, minutes):
        opened = await shop.gateway.collect.open(self.opening(hold_minutes=asked), key="counterfoil-key-1")
        charge = await self.pay(shop, opened.ref)
        shop.sandbox.advance(minutes * 60 - 30)
        assert of(await shop.gateway.collect.look_up(opened.ref), Kind.CHARGE_AUTHORIZED)
        shop.sandbox.advance(60)
        given_back = await shop.gateway.collect.look_up(opened.ref)
        assert of(given_back, Kind.CHARGE_VOIDED).object_id == charge

    async def test_an_instant_refund_is_instant_or_falls_back_to_normal_speed(self, shop):
        _, charge = await self.captured(shop)
        instant = await self.give_back(shop, charge, self.part(), speed="optimum")
        detail = of(instant, Kind.REFUND_SUCCEEDED).detail
        assert (detail["speed_requested"], detail["speed"]) == ("optimum", "instant")
        shop.sandbox.control("POST", "razorpay", {"instant_refunds": False})
        slower = await self.give_back(shop, charge, self.part(), ours="rfn_slower_01", speed="optimum")
        detail = of(slower, Kind.REFUND_PENDING).detail
        assert (detail["speed_requested"], detail["speed"]) == ("optimum", "normal")

    async def test_a_payment_older_than_six_months_is_refused_by_name(self, shop):
        _, charge = await self.captured(shop)
        shop.sandbox.advance(184 * 86_400)
        outcome = await self.give_back(shop, charge, self.part())
        assert (type(outcome), outcome.code) == (Refused, FailureCode.REFUND_TOO_OLD)

    async def test_evidence_is_uploaded_as_documents_that_the_dispute_names(self, shop):
        _, ref = await self.disputed(shop)
        await shop.gateway.disputes.submit(ref, EVIDENCE, key="dsp_counterfoil_1")
        truth = shop.sandbox.truth()["razorpay"]
        documents = {one["name"]: one["id"] for one in truth["documents"]}
        assert {one["mime_type"] for one in truth["documents"]} == {"application/pdf"}
        [kept] = truth["disputes"]
        assert kept["evidence"]["billing_proof"] == [documents["receipt.pdf"]]
        assert kept["evidence"]["others"] == [
            {"type": "timeline", "document_ids": [documents["timeline.pdf"]]}
        ]

    async def test_another_round_waits_for_an_answer_again(self, shop):
        _, ref = await self.disputed(shop)
        await shop.gateway.disputes.submit(ref, EVIDENCE, key="dsp_counterfoil_1")
        asked = {"dispute_id": ref, "status": "open", "phase": "pre_arbitration"}
        shop.sandbox.control("POST", "razorpay/dispute_status", asked)
        report = of(await shop.gateway.disputes.look_up_dispute(ref), Kind.DISPUTE_OPEN)
        assert (report.detail["phase"], report.detail["evidence_count"]) == ("pre_arbitration", 0)
