"""What every gateway must do, whichever it is: one suite, over real HTTP, against a sandbox that keeps its own truth.

A gateway joins by a subclass named Test…, which says how to connect to it, how its customer pays, and what its calls
are named. A part that the gateway lacks is None, and its tests are skipped.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from counterfoil.domain.call import Repeat, Verb
from counterfoil.domain.errors import SignatureRefusedError
from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.money import Money
from counterfoil.gateways.base import Accepted, Outcome, Refused, Unknown, facts
from gateways.contract_disputes import EVIDENCE, DisputeContract
from gateways.contract_refunds import OURS
from gateways.scripted import answers, client, scripted, self_signed, unused_port
from gateways.shop import REFERENCE, Shop, of, said
from sandbox_server import eventually, run_sandbox

RESENT = {Repeat.KEYED, Repeat.SINGLE_SHOT}

# Each fault, lasting, and what any call that meets it comes to
FAULTS: Mapping[str, tuple[type[Outcome], dict[str, Any]]] = {
    "refuse": (Unknown, {}),
    "reset_before": (Unknown, {}),
    "reset_after": (Unknown, {}),
    "timeout_before": (Unknown, {"seconds": 5}),
    "timeout_after": (Unknown, {"seconds": 5}),
    "error_5xx_before": (Unknown, {"status": 503}),
    "error_5xx_after": (Unknown, {"status": 500}),
    "garbage": (Unknown, {}),
    "truncated": (Unknown, {}),
    "rate_limit": (Refused, {"retry_after": 7}),
    "error_4xx 400": (Refused, {"status": 400}),
    "error_4xx 401": (Refused, {"status": 401}),
    "error_4xx 403": (Refused, {"status": 403}),
    "error_4xx 404": (Refused, {"status": 404}),
    "error_4xx 409": (Unknown, {"status": 409}),
    "error_4xx 422": (Unknown, {"status": 422}),
}
# How long a client waits that is about to meet silence: where it stays, and where a second sending goes well.
SOON_S, LATER_S = 0.3, 1.5
# The calls that meet each of them.
CALLS = ("open", "capture", "cancel", "look_up", "find", "refund", "look_up_refund", "submit", "accept")
NO_ANSWER = ("refuse", "reset_before", "reset_after", "timeout_before", "timeout_after")


class GatewayContract(DisputeContract):
    """The suite, with its parts about refunds and disputes."""

    # What goes well

    async def test_an_opened_attempt_is_what_was_asked_for_and_bears_our_id(self, shop):
        outcome = await shop.gateway.collect.open(self.opening(), key="counterfoil-key-1")
        assert isinstance(outcome, Accepted)
        assert said(outcome) == [(Kind.ATTEMPT_OPENED, self.amount.minor)]
        (report,) = outcome.reports
        assert (report.object_id, report.attempt_ref, report.our_reference) == (
            outcome.ref,
            outcome.ref,
            REFERENCE,
        )
        assert (report.amount, report.face) == (self.amount, self.amount)
        assert abs((report.at - self.now(shop)).total_seconds()) < 60
        (made,) = self.truth(shop)
        assert (made["id"], made["amount"], made["currency"].upper()) == (
            outcome.ref,
            self.amount.minor,
            self.amount.currency,
        )
        labels = made.get("metadata", made.get("notes"))
        assert labels == {
            "counterfoil_attempt": REFERENCE,
            "counterfoil_payment": "pmt_01kasvzxm8h3e5g7j9n1q3s5t7",
            "order": "A1",
        }

    async def test_a_paid_attempt_is_held_until_we_capture_it(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        held = await shop.gateway.collect.look_up(ref)
        assert of(held, Kind.CHARGE_AUTHORIZED).object_id == charge
        assert not any(kind is Kind.CHARGE_CAPTURED for kind, _ in said(held))

        taken = await shop.gateway.collect.capture(ref, charge, self.amount, key="counterfoil-key-2")
        captured = of(taken, Kind.CHARGE_CAPTURED)
        assert (captured.object_id, captured.charge_ref, captured.attempt_ref) == (charge, charge, ref)
        assert (captured.amount, captured.face) == (self.amount, self.amount)
        assert of(await shop.gateway.collect.look_up(ref), Kind.CHARGE_CAPTURED).amount == self.amount

    async def test_what_it_was_paid_with_is_told(self, shop):
        ref = await self.opened(shop)
        await self.pay(shop, ref)
        detail = of(await shop.gateway.collect.look_up(ref), Kind.CHARGE_AUTHORIZED).detail
        assert detail["method"] in {"card", "upi"}
        assert detail.keys() & {"last4", "vpa"}

    async def test_a_second_capture_is_refused_because_it_had_been_done(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        await shop.gateway.collect.capture(ref, charge, self.amount, key="counterfoil-key-2")
        again = await shop.gateway.collect.capture(ref, charge, self.amount, key="counterfoil-key-3")
        assert isinstance(again, Refused)
        assert again.already

    async def test_more_than_was_held_cannot_be_captured(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        more = Money(self.amount.minor * 10, self.amount.currency)
        outcome = await shop.gateway.collect.capture(ref, charge, more, key="counterfoil-key-2")
        assert isinstance(outcome, Refused)
        assert not outcome.already

    async def test_a_failed_try_is_told_with_its_reason_and_the_attempt_lives_on(self, shop):
        ref = await self.opened(shop)
        await self.fail_to_pay(shop, ref)
        failed = of(await shop.gateway.collect.look_up(ref), Kind.CHARGE_FAILED)
        assert failed.detail["failure"] == FailureCode.INSUFFICIENT_FUNDS.slug
        assert failed.detail["message"]

        charge = await self.pay(shop, ref)
        seen = await shop.gateway.collect.look_up(ref)
        assert of(seen, Kind.CHARGE_AUTHORIZED).object_id == charge
        assert of(seen, Kind.CHARGE_FAILED).object_id == failed.object_id != charge

    async def test_a_cancelled_attempt_will_never_charge(self, shop):
        ref = await self.opened(shop)
        outcome = await self.call(shop, "cancel", ref, "")
        assert said(outcome) == [(Kind.ATTEMPT_CANCELLED, self.amount.minor)]
        again = await self.call(shop, "cancel", ref, "", key="counterfoil-key-again")
        assert isinstance(again, Refused)
        assert again.already

    async def test_cancelling_a_held_attempt_gives_the_hold_back(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        outcome = await self.call(shop, "cancel", ref, charge)
        assert {kind for kind, _ in said(outcome)} == {Kind.ATTEMPT_CANCELLED, Kind.CHARGE_VOIDED}
        late = await shop.gateway.collect.capture(ref, charge, self.amount, key="counterfoil-key-late")
        assert isinstance(late, Refused)
        assert not late.already

    async def test_a_captured_attempt_can_no_longer_be_cancelled(self, shop):
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        await shop.gateway.collect.capture(ref, charge, self.amount, key="counterfoil-key-2")
        outcome = await self.call(shop, "cancel", ref, charge)
        assert isinstance(outcome, Refused)
        assert not outcome.already

    async def test_a_lost_attempt_is_found_by_our_id(self, shop):
        ref = await self.opened(shop)
        other = self.opening(reference="att_of_another")
        await shop.gateway.collect.open(other, key="counterfoil-key-other")
        found = await shop.gateway.collect.find(self.opening(), since=self.now(shop))
        assert (type(found), found.ref) == (Accepted, ref)
        assert said(found) == [(Kind.ATTEMPT_OPENED, self.amount.minor)]

    async def test_where_nothing_was_opened_nothing_is_found(self, shop):
        found = await shop.gateway.collect.find(self.opening(), since=self.now(shop))
        assert (type(found), found.ref, said(found)) == (Accepted, None, [])

    async def test_an_attempt_that_does_not_exist_is_refused(self, shop):
        ref = await self.opened(shop)
        outcome = await shop.gateway.collect.look_up(ref[:-4] + "zzzz")
        assert isinstance(outcome, Refused)

    async def test_an_amount_that_cannot_be_written_is_refused_and_nothing_is_sent(self, shop):
        finer = Money(12345, "KWD")
        opened = await shop.gateway.collect.open(self.opening(amount=finer), key="counterfoil-key-1")
        captured = await shop.gateway.collect.capture("ref", "charge", finer, key="counterfoil-key-2")
        for outcome in (opened, captured):
            assert (type(outcome), outcome.code) == (Refused, FailureCode.AMOUNT_NOT_ALLOWED)
        assert self.truth(shop) == []

    async def test_labels_beyond_what_the_gateway_keeps_are_clipped_and_ours_win(self, shop):
        greedy = {f"key-{n}" * 20: f"value {n} " * 200 for n in range(80)} | {
            "counterfoil_attempt": "att_forged"
        }
        outcome = await shop.gateway.collect.open(self.opening(metadata=greedy), key="counterfoil-key-1")
        assert isinstance(outcome, Accepted)
        assert of(outcome, Kind.ATTEMPT_OPENED).our_reference == REFERENCE

    # What its webhooks say

    async def test_webhooks_tell_the_same_facts_as_the_api(self):
        async with scripted(answers(b"")) as service:
            with run_sandbox(deliver_to=service.url) as sandbox:
                async with client() as http:
                    shop = Shop(sandbox, self.connect(http, sandbox))
                    ref = await self.opened(shop)
                    await self.fail_to_pay(shop, ref)
                    charge = await self.pay(shop, ref)
                    await shop.gateway.collect.capture(ref, charge, self.amount, key="counterfoil-key-2")
                    asked = {self._fact(report) for report in facts(await shop.gateway.collect.look_up(ref))}
                    told: set[Any] = set()
                    while not asked <= told:
                        await asyncio.sleep(0.02)
                        told = {self._fact(report) for report in self._heard(shop, service)}
        assert (Kind.CHARGE_CAPTURED, charge, self.amount) in told
        assert {kind for kind, *_ in told} >= {
            Kind.CHARGE_FAILED,
            Kind.ATTEMPT_DECLINED,
            Kind.CHARGE_AUTHORIZED,
        }

    async def test_webhooks_tell_of_refunds_and_disputes_what_the_api_tells(self):
        async with scripted(answers(b"")) as service:
            with run_sandbox(deliver_to=service.url) as sandbox:
                async with client() as http:
                    shop = Shop(sandbox, self.connect(http, sandbox))
                    _, charge = await self.captured(shop)
                    self.refund_course(shop, "failing")
                    refund = await self.give_back(shop, charge, self.part(), speed="optimum")
                    sandbox.advance(4 * 86_400)
                    _, disputed = await self.captured(shop)
                    dispute = self.dispute(shop, disputed)
                    await shop.gateway.disputes.submit(dispute, EVIDENCE, key="dsp_counterfoil_1")
                    self.dispute_goes_on(shop, dispute, "lost")
                    ended = await shop.gateway.refunds.look_up_refund(refund.ref)
                    lost = await shop.gateway.disputes.look_up_dispute(dispute)
                    asked = {self._fact(report) for report in (*facts(ended), *facts(lost))}
                    told: set[Any] = set()
                    while not asked <= told:
                        await asyncio.sleep(0.02)
                        heard = self._read(shop, service)
                        told = {self._fact(report) for report in heard}
        assert {kind for kind, *_ in told} >= {
            Kind.REFUND_SUCCEEDED,
            Kind.REFUND_FAILED,
            Kind.DISPUTE_OPEN,
            Kind.DISPUTE_UNDER_REVIEW,
            Kind.DISPUTE_LOST,
            Kind.DISPUTE_WITHDRAWN,
        }
        ours = {report.detail.get("refund") for report in heard if report.kind.noun == "refund"}
        assert ours == {OURS}
        assert {report.charge_ref for report in heard if report.kind.noun == "dispute"} == {disputed}

    @staticmethod
    def _fact(report: Report) -> tuple[Any, ...]:
        return report.kind, report.object_id, report.amount

    def _heard(self, shop: Shop, service: Any) -> list[Report]:
        """Every delivery so far, verified and read."""
        for headers, body in self._deliveries(service):
            self._verify(shop, headers, body)
        return self._read(shop, service)

    @staticmethod
    def _deliveries(service: Any) -> list[tuple[list[tuple[bytes, bytes]], bytes]]:
        return [
            ([(name.encode(), value.encode()) for name, value in sent.headers.items()], sent.body)
            for sent in list(service.sent)
        ]

    def _read(self, shop: Shop, service: Any) -> list[Report]:
        """Every delivery so far, read; a jump of the clock makes those before it too old to be verified."""
        read = shop.gateway.speak.read
        return [
            report for headers, body in self._deliveries(service) for report in read(headers, body).reports
        ]

    def _verify(self, shop: Shop, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        secret = getattr(shop.sandbox.config, f"{shop.gateway.name}_webhook_secret").encode()
        shop.gateway.speak.verify(headers, body, secret=secret, now=self.now(shop))
        with pytest.raises(SignatureRefusedError):
            shop.gateway.speak.verify(headers, body + b" ", secret=secret, now=self.now(shop))

    # What goes wrong

    async def _ready(self, shop: Shop, name: str) -> tuple[str, str]:
        """An attempt as the call needs it, and what the call is about: a charge, a refund or a dispute."""
        if name == "open":
            return "", ""
        if name in {"submit", "accept"}:
            return "", (await self.disputed(shop))[1]
        if name in {"refund", "look_up_refund"}:
            ref, charge = await self.captured(shop)
            refund = await self.give_back(shop, charge, self.part(), ours="rfn_to_be_read")
            return ref, charge if name == "refund" else refund.ref
        ref = await self.opened(shop)
        return (ref, await self.pay(shop, ref)) if name == "capture" else (ref, "")

    @pytest.mark.parametrize("fault", FAULTS)
    @pytest.mark.parametrize("name", CALLS)
    async def test_every_fault_has_its_outcome(self, shop, name, fault):
        if name == "cancel" and shop.gateway.cancel is None:
            pytest.skip(f"{shop.gateway.name} cancels nothing")
        expected, params = FAULTS[fault]
        ref, charge = await self._ready(shop, name)
        shop.sandbox.fault(shop.gateway.name, self.calls[name], fault.split()[0], times=None, **params)
        async with self.impatient(shop, SOON_S) as hurried:
            outcome = await self.call(hurried, name, ref, charge)
        assert type(outcome) is expected
        if fault == "rate_limit":
            assert (outcome.code, outcome.retry_after_s) == (FailureCode.GATEWAY_UNAVAILABLE, 7)
        if fault in {"error_4xx 401", "error_4xx 403"}:
            assert outcome.code is FailureCode.MERCHANT_SETUP
        assert len(self.truth(shop)) <= 2

    @pytest.mark.parametrize("fault", NO_ANSWER)
    async def test_a_lost_capture_is_settled_by_one_more_sending_or_by_reading(self, shop, fault):
        ref, charge = await self._ready(shop, "capture")
        shop.sandbox.fault(shop.gateway.name, self.calls["capture"], fault, **FAULTS[fault][1])
        async with self.impatient(shop, LATER_S) as hurried:
            outcome = await self.call(hurried, "capture", ref, charge)
        assert isinstance(outcome, Accepted) or outcome.already
        assert of(await shop.gateway.collect.look_up(ref), Kind.CHARGE_CAPTURED).amount == self.amount

    @pytest.mark.parametrize(
        "fault", ["reset_after", "timeout_after", "garbage", "truncated", "error_5xx_after"]
    )
    async def test_an_opening_whose_answer_was_lost_is_found_again(self, shop, fault):
        shop.sandbox.fault(shop.gateway.name, self.calls["open"], fault, **FAULTS[fault][1])
        async with self.impatient(shop, LATER_S) as hurried:
            outcome = await self.call(hurried, "open", "", "")
        resent = shop.gateway.collect.repeat[Verb.OPEN] in RESENT
        assert isinstance(outcome, Accepted if resent and fault in NO_ANSWER else Unknown)
        (made,) = self.truth(shop)
        found = await self.call(shop, "find", "", "")
        assert found.ref == made["id"]

    @pytest.mark.parametrize("fault", ["reset_after", "timeout_after", "error_5xx_after", "garbage"])
    async def test_a_capture_that_stays_unknown_is_settled_by_reading(self, shop, fault):
        ref, charge = await self._ready(shop, "capture")
        shop.sandbox.fault(shop.gateway.name, self.calls["capture"], fault, times=None, **FAULTS[fault][1])
        async with self.impatient(shop, SOON_S) as hurried:
            assert isinstance(await self.call(hurried, "capture", ref, charge), Unknown)
        assert of(await shop.gateway.collect.look_up(ref), Kind.CHARGE_CAPTURED).amount == self.amount

    async def test_a_gateway_that_cannot_be_reached_was_sent_nothing(self, shop):
        async with client() as http:
            nowhere = self.connect(http, shop.sandbox, url=f"http://127.0.0.1:{unused_port()}")
            for name in ("open", "capture", "look_up", "find"):
                outcome = await self.call(Shop(shop.sandbox, nowhere), name, "ref_1", "charge_1")
                assert (type(outcome), outcome.status) == (Refused, None)
                assert outcome.code is FailureCode.GATEWAY_UNAVAILABLE

    async def test_a_gateway_whose_certificate_nobody_vouches_for_was_sent_nothing(self, shop, tmp_path):
        async with scripted(answers(b"{}"), tls=self_signed(tmp_path)) as server, client() as http:
            forged = self.connect(http, shop.sandbox, url=server.url)
            outcome = await self.call(Shop(shop.sandbox, forged), "open", "", "")
        assert (type(outcome), outcome.status) == (Refused, None)
        assert server.sent == []

    async def test_a_wrong_key_is_refused_and_shown_nowhere(self, shop):
        wrong = "sk_test_counterfoil_wrong_secret"
        async with client() as http:
            stranger = Shop(shop.sandbox, self.connect(http, shop.sandbox, secret=wrong))
            outcome = await self.call(stranger, "open", "", "")
        assert (type(outcome), outcome.code) == (Refused, FailureCode.MERCHANT_SETUP)
        assert wrong not in f"{outcome!r} {stranger.gateway!r} {stranger.gateway.collect!r}"

    async def test_three_hundred_attempts_at_once_are_each_opened_once(self, shop):
        openings = [self.opening(reference=f"att_{number:026}") for number in range(300)]
        outcomes = await asyncio.gather(
            *(
                shop.gateway.collect.open(opening, key=f"counterfoil-{opening.reference}")
                for opening in openings
            )
        )
        assert {type(outcome) for outcome in outcomes} == {Accepted}, outcomes
        assert len({outcome.ref for outcome in outcomes}) == 300
        eventually(lambda: len(self.truth(shop)) == 300)
