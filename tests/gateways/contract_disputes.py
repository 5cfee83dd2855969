"""What every gateway with disputes must do: tell how one stands, take evidence, and let it be given up."""

from typing import Any

import pytest

from counterfoil.domain.fact import Kind
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.money import Money
from counterfoil.gateways.base import Accepted, Evidence, Outcome, Refused, Unknown, facts
from gateways.contract_refunds import RefundContract
from gateways.shop import Shop, of, said

TEXTS = {"receipt": "No. 1\nPaid: \u20b9 500", "access_log": "12:00 signed in", "timeline": "12:05 paid"}
EVIDENCE = Evidence(
    summary="The lamp was delivered.",
    texts=TEXTS,
    papers={name: b"%PDF-1.7 the " + name.encode() for name in TEXTS},
)


class DisputeContract(RefundContract):
    """The part of the suite about disputes."""

    withdraws_at_once: bool  # whether a dispute takes its money when it opens, or only when it is lost

    def dispute(self, shop: Shop, charge: str, *, question: bool = False, minor: int | None = None) -> str:
        """The cardholder disputes a charge; the dispute's id. A question is one that takes no money."""
        raise NotImplementedError

    def dispute_goes_on(self, shop: Shop, ref: str, status: str) -> None:
        """What the bank decides: won or lost."""
        raise NotImplementedError

    async def disputed(self, shop: Shop, **how: Any) -> tuple[str, str]:
        """A captured charge and the dispute of it."""
        _, charge = await self.captured(shop)
        return charge, self.dispute(shop, charge, **how)

    async def call(
        self, shop: Shop, name: str, ref: str, charge_ref: str, *, key: str = "counterfoil-key-0"
    ) -> Outcome:
        """Those about refunds and disputes too, whose `charge_ref` is what they are about."""
        assert shop.gateway.refunds is not None
        assert shop.gateway.disputes is not None
        if name == "refund":
            return await self.give_back(shop, charge_ref, self.part(), ours=key)
        if name == "look_up_refund":
            return await shop.gateway.refunds.look_up_refund(charge_ref)
        if name == "submit":
            return await shop.gateway.disputes.submit(charge_ref, Evidence(summary="Yes."), key=key)
        if name == "accept":
            return await shop.gateway.disputes.accept(charge_ref, key=key)
        return await super().call(shop, name, ref, charge_ref, key=key)

    def taken(self, shop: Shop) -> int:
        [row] = shop.sandbox.control("GET", "money")[shop.gateway.name]
        return row["disputed"]

    async def test_an_open_dispute_says_why_and_until_when_it_may_be_answered(self, shop):
        charge, ref = await self.disputed(shop)
        outcome = await shop.gateway.disputes.look_up_dispute(ref)
        report = of(outcome, Kind.DISPUTE_OPEN)
        assert (report.object_id, report.charge_ref, report.amount) == (ref, charge, self.amount)
        assert report.detail["reason"]
        assert report.detail["phase"] == "chargeback"
        assert report.detail["refundable"] is False
        assert report.detail["evidence_count"] == 0
        assert report.detail["respond_by"] > shop.sandbox.now()
        withdrawn = [kind for kind, _ in said(outcome) if kind is Kind.DISPUTE_WITHDRAWN]
        assert bool(withdrawn) is bool(self.taken(shop)) is self.withdraws_at_once

    async def test_a_part_may_be_disputed(self, shop):
        _, ref = await self.disputed(shop, minor=300)
        report = of(await shop.gateway.disputes.look_up_dispute(ref), Kind.DISPUTE_OPEN)
        assert report.amount == Money(300, self.amount.currency)

    async def test_a_question_takes_no_money(self, shop):
        _, ref = await self.disputed(shop, question=True)
        assert said(await shop.gateway.disputes.look_up_dispute(ref)) == [
            (Kind.DISPUTE_INQUIRY, self.amount.minor)
        ]
        assert self.taken(shop) == 0

    async def test_a_draft_is_kept_and_the_dispute_stays_open(self, shop):
        _, ref = await self.disputed(shop)
        for _ in range(2):
            outcome = await shop.gateway.disputes.draft(ref, EVIDENCE)
            assert of(outcome, Kind.DISPUTE_OPEN).detail["evidence_count"] == 0
        [kept] = shop.sandbox.truth()[shop.gateway.name]["disputes"]
        assert "The lamp was delivered." in str(kept["evidence"])

    async def test_submitted_evidence_is_with_the_bank(self, shop):
        _, ref = await self.disputed(shop)
        outcome = await shop.gateway.disputes.submit(ref, EVIDENCE, key="dsp_counterfoil_1")
        assert of(outcome, Kind.DISPUTE_UNDER_REVIEW).detail["evidence_count"] == 1
        again = await shop.gateway.disputes.submit(ref, EVIDENCE, key="dsp_counterfoil_2")
        assert isinstance(again, Refused)

    async def test_a_dispute_that_is_won_gives_the_money_back(self, shop):
        _, ref = await self.disputed(shop)
        await shop.gateway.disputes.submit(ref, EVIDENCE, key="dsp_counterfoil_1")
        self.dispute_goes_on(shop, ref, "won")
        outcome = await shop.gateway.disputes.look_up_dispute(ref)
        assert of(outcome, Kind.DISPUTE_WON)
        reinstated = [kind for kind, _ in said(outcome) if kind is Kind.DISPUTE_REINSTATED]
        assert bool(reinstated) is self.withdraws_at_once
        assert self.taken(shop) == 0

    async def test_a_dispute_that_is_lost_keeps_the_money(self, shop):
        _, ref = await self.disputed(shop)
        self.dispute_goes_on(shop, ref, "lost")
        outcome = await shop.gateway.disputes.look_up_dispute(ref)
        assert of(outcome, Kind.DISPUTE_LOST).amount == self.amount
        assert of(outcome, Kind.DISPUTE_WITHDRAWN).amount == self.amount
        assert self.taken(shop) == self.amount.minor

    async def test_a_dispute_that_is_given_up_is_lost_once(self, shop):
        _, ref = await self.disputed(shop)
        outcome = await shop.gateway.disputes.accept(ref, key="dsp_counterfoil_1")
        assert of(outcome, Kind.DISPUTE_LOST).object_id == ref
        again = await shop.gateway.disputes.accept(ref, key="dsp_counterfoil_2")
        assert isinstance(again, Refused)
        assert self.taken(shop) == self.amount.minor

    async def test_an_unanswered_dispute_is_lost_and_an_unanswered_question_closed(self, shop):
        ends = {}
        for question in (False, True):
            _, ref = await self.disputed(shop, question=question)
            shop.sandbox.advance(30 * 86_400)
            ends[question] = {kind for kind, _ in said(await shop.gateway.disputes.look_up_dispute(ref))}
            shop.sandbox.reset()
        assert ends == {
            False: {Kind.DISPUTE_LOST, Kind.DISPUTE_WITHDRAWN},
            True: {Kind.DISPUTE_CLOSED},
        }

    async def test_a_disputed_charge_is_not_refunded_until_the_dispute_is_won(self, shop):
        charge, ref = await self.disputed(shop)
        refused = await self.give_back(shop, charge, self.part())
        assert (type(refused), refused.code) == (Refused, FailureCode.REFUND_DISPUTED)
        self.dispute_goes_on(shop, ref, "won")
        assert isinstance(await self.give_back(shop, charge, self.part(), ours="rfn_after_it"), Accepted)

    async def test_what_a_lost_dispute_left_may_be_refunded_and_no_more(self, shop):
        charge, ref = await self.disputed(shop, minor=self.amount.minor - 300)
        self.dispute_goes_on(shop, ref, "lost")
        too_much = await self.give_back(shop, charge, Money(301, self.amount.currency), ours="rfn_too_much")
        assert (type(too_much), too_much.code) == (Refused, FailureCode.ALREADY_REFUNDED)
        left = await self.give_back(shop, charge, Money(300, self.amount.currency))
        assert isinstance(left, Accepted)
        [row] = shop.sandbox.control("GET", "money")[shop.gateway.name]
        assert row["left"] == 0

    @pytest.mark.parametrize("call", ["submit", "accept"])
    @pytest.mark.parametrize("fault", ["reset_after", "error_5xx_after", "garbage"])
    async def test_a_call_whose_answer_was_lost_is_settled_by_reading(self, shop, call, fault):
        _, ref = await self.disputed(shop)
        shop.sandbox.fault(shop.gateway.name, self.calls[call], fault, times=None)
        arguments = (EVIDENCE,) if call == "submit" else ()
        async with self.impatient(shop, 0.5) as hurried:
            outcome = await getattr(hurried.gateway.disputes, call)(ref, *arguments, key="dsp_counterfoil_1")
        assert isinstance(outcome, Unknown)
        done = Kind.DISPUTE_UNDER_REVIEW if call == "submit" else Kind.DISPUTE_LOST
        assert of(await shop.gateway.disputes.look_up_dispute(ref), done)

    async def test_a_dispute_that_does_not_exist_is_refused(self, shop):
        _, ref = await self.disputed(shop)
        outcome = await shop.gateway.disputes.look_up_dispute(f"{ref[:-4]}zzzz")
        assert isinstance(outcome, Refused)
        assert not list(facts(outcome))
