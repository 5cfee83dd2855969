"""What every gateway that gives money back must do: asked for once, found when its answer was lost, read as it goes on."""

import asyncio
from typing import Any

import pytest

from counterfoil.domain.call import Verb
from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.fact import Kind
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.money import Money
from counterfoil.gateways.base import KEY_CONFLICT, Accepted, Outcome, Refused, Speed, Unknown
from gateways.shop import Merchant, Shop, of, said

OURS = "rfn_01kasvzxm8h3e5g7j9n1q3s5t7"
LOST = ("reset_after", "timeout_after", "error_5xx_after", "garbage", "truncated")
DAY_S = 86_400


class RefundContract(Merchant):
    """The part of the suite about refunds."""

    def refund_course(self, shop: Shop, course: str) -> None:
        """What comes of the next refunds: pending for three days, failing after three days, or refused for balance."""
        raise NotImplementedError

    def dashboard_refund(self, shop: Shop, charge: str, minor: int) -> str:
        """A refund that a person makes at the gateway; its id."""
        raise NotImplementedError

    def part(self, of_: int = 10) -> Money:
        return Money(self.amount.minor // of_, self.amount.currency)

    async def give_back(
        self, shop: Shop, charge: str, amount: Money, *, ours: str = OURS, speed: Speed = "normal"
    ) -> Outcome:
        refunds = shop.gateway.refunds
        assert refunds is not None
        body = refunds.body(charge, amount, reference=ours, speed=speed)
        return await refunds.refund(charge, body, key=ours)

    def refunds_made(self, shop: Shop) -> list[dict[str, Any]]:
        return shop.sandbox.truth()[shop.gateway.name]["refunds"]

    def money(self, shop: Shop) -> dict[str, Any]:
        [row] = shop.sandbox.control("GET", "money")[shop.gateway.name]
        return row

    async def test_a_part_is_given_back_and_says_whose_it_is(self, shop):
        _, charge = await self.captured(shop)
        outcome = await self.give_back(shop, charge, self.part())
        report = of(outcome, Kind.REFUND_SUCCEEDED)
        assert (report.object_id, report.charge_ref, report.amount) == (outcome.ref, charge, self.part())
        assert report.detail["refund"] == OURS
        assert [(one["id"], one["amount"]) for one in self.refunds_made(shop)] == [
            (outcome.ref, self.part().minor)
        ]
        assert self.money(shop)["refunded"] == self.part().minor

    async def test_the_same_bytes_and_key_refund_once_however_often_they_are_sent(self, shop):
        _, charge = await self.captured(shop)
        outcomes = [await self.give_back(shop, charge, self.part()) for _ in range(3)]
        assert len({outcome.ref for outcome in outcomes}) == len(self.refunds_made(shop)) == 1

    async def test_fifty_refunds_of_more_than_half_at_once_make_one(self, shop):
        _, charge = await self.captured(shop)
        more_than_half = Money(self.amount.minor * 6 // 10, self.amount.currency)
        outcomes = await asyncio.gather(
            *(self.give_back(shop, charge, more_than_half, ours=f"rfn_{n:026}") for n in range(50))
        )
        assert len([one for one in outcomes if isinstance(one, Accepted)]) == 1
        refused = [one for one in outcomes if isinstance(one, Refused)]
        assert {(one.code, one.already) for one in refused} == {(FailureCode.ALREADY_REFUNDED, True)}
        assert self.money(shop)["refunded"] == more_than_half.minor

    async def test_a_key_with_another_body_is_for_a_person(self, shop):
        _, charge = await self.captured(shop)
        await self.give_back(shop, charge, self.part())
        outcome = await self.give_back(shop, charge, self.part(5))
        assert (type(outcome), outcome.gateway_code) == (Refused, KEY_CONFLICT)
        assert len(self.refunds_made(shop)) == 1

    async def test_a_key_whose_first_sending_is_still_at_work_is_unknown(self, shop):
        _, charge = await self.captured(shop)
        shop.sandbox.fault(shop.gateway.name, self.calls["refund"], "delay", seconds=0.5)
        first, second = await asyncio.gather(
            self.give_back(shop, charge, self.part()), self._later(shop, charge)
        )
        assert (type(first), type(second)) == (Accepted, Unknown)
        assert second.status == 409
        assert (await self.give_back(shop, charge, self.part())).ref == first.ref

    async def _later(self, shop: Shop, charge: str) -> Outcome:
        await asyncio.sleep(0.2)
        return await self.give_back(shop, charge, self.part())

    @pytest.mark.parametrize("fault", LOST)
    async def test_a_refund_whose_answer_was_lost_is_found_by_our_id_and_made_once(self, shop, fault):
        _, charge = await self.captured(shop)
        params = {"seconds": 5} if fault == "timeout_after" else {}
        shop.sandbox.fault(shop.gateway.name, self.calls["refund"], fault, times=None, **params)
        async with self.impatient(shop, 0.3) as hurried:
            assert isinstance(await self.give_back(hurried, charge, self.part()), Unknown)
        found = await shop.gateway.refunds.find_refund(charge, reference=OURS)
        [made] = self.refunds_made(shop)
        assert found.ref == made["id"]
        assert of(found, Kind.REFUND_SUCCEEDED).detail["refund"] == OURS

    async def test_where_nothing_was_refunded_nothing_is_found(self, shop):
        _, charge = await self.captured(shop)
        await self.give_back(shop, charge, self.part(), ours="rfn_of_another_refund")
        found = await shop.gateway.refunds.find_refund(charge, reference=OURS)
        assert (type(found), found.ref, said(found)) == (Accepted, None, [])

    async def test_a_refund_may_wait_for_days_and_is_read_as_it_goes_on(self, shop):
        _, charge = await self.captured(shop)
        self.refund_course(shop, "pending")
        outcome = await self.give_back(shop, charge, self.part())
        assert of(outcome, Kind.REFUND_PENDING).object_id == outcome.ref
        shop.sandbox.advance(2 * DAY_S)
        waiting = await shop.gateway.refunds.look_up_refund(outcome.ref)
        assert of(waiting, Kind.REFUND_PENDING).detail["refund"] == OURS
        shop.sandbox.advance(2 * DAY_S)
        done = await shop.gateway.refunds.look_up_refund(outcome.ref)
        assert of(done, Kind.REFUND_SUCCEEDED).charge_ref == charge
        shop.sandbox.advance(2 * DAY_S)
        referred = await shop.gateway.refunds.look_up_refund(outcome.ref)
        assert len(of(referred, Kind.REFUND_SUCCEEDED).detail["arn"]) == 23

    async def test_a_refund_may_fail_after_it_succeeded_and_can_be_made_again(self, shop):
        _, charge = await self.captured(shop)
        self.refund_course(shop, "failing")
        outcome = await self.give_back(shop, charge, self.amount)
        assert of(outcome, Kind.REFUND_SUCCEEDED)
        shop.sandbox.advance(4 * DAY_S)
        failed = of(await shop.gateway.refunds.look_up_refund(outcome.ref), Kind.REFUND_FAILED)
        assert failed.detail["failure"] == FailureCode.OTHER.slug
        assert self.money(shop)["refunded"] == 0
        self.refund_course(shop, "normal")
        assert isinstance(await self.give_back(shop, charge, self.amount, ours="rfn_again_0001"), Accepted)

    async def test_a_short_balance_is_refused_by_name(self, shop):
        _, charge = await self.captured(shop)
        self.refund_course(shop, "short")
        outcome = await self.give_back(shop, charge, self.part())
        assert (type(outcome), outcome.code) == (Refused, FailureCode.REFUND_BALANCE_SHORT)
        assert not outcome.already

    async def test_what_is_refunded_already_is_refused_and_a_look_tells_that_it_was_not_us(self, shop):
        _, charge = await self.captured(shop)
        by_hand = self.dashboard_refund(shop, charge, self.amount.minor)
        outcome = await self.give_back(shop, charge, self.part())
        assert (outcome.code, outcome.already) == (FailureCode.ALREADY_REFUNDED, True)
        assert (await shop.gateway.refunds.find_refund(charge, reference=OURS)).ref is None
        seen = await shop.gateway.refunds.look_up_refund(by_hand)
        assert "refund" not in of(seen, Kind.REFUND_SUCCEEDED).detail

    async def test_what_was_never_captured_is_not_refunded(self, shop):
        ref = await self.opened(shop)
        outcome = await self.give_back(shop, await self.pay(shop, ref), self.part())
        assert (type(outcome), outcome.code) == (Refused, FailureCode.REFUND_NOT_ALLOWED)

    async def test_an_amount_that_cannot_be_written_has_no_body(self, shop):
        with pytest.raises(AmountNotValidError):
            shop.gateway.refunds.body("charge", Money(12345, "KWD"), reference=OURS, speed="normal")

    async def test_refunds_are_keyed(self, shop):
        assert shop.gateway.collect.repeat[Verb.REFUND].value == "keyed"
        assert shop.gateway.refunds.key_life.total_seconds() == 23 * 3600
