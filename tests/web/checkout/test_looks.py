"""Asking gateways for customers who reload."""

import asyncio
from typing import Any

import pytest

from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.gateways.base import Accepted
from counterfoil.services.payments import Answer, Caller
from counterfoil.web.checkout.looks import Looks

CUSTOMER = Caller("customer", "mer_1", "sandbox")


class Gateway:
    """Counts who asks, and answers with a number when it is let to."""

    def __init__(self, *, patience_s: float = 5) -> None:
        self.asked: list[str] = []
        self.now = 100.0
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.looks = Looks(self.look, clock=lambda: self.now, patience_s=patience_s)

    async def look(self, _caller: Caller, payment_id: str) -> Answer:
        self.asked.append(payment_id)
        number = str(len(self.asked))
        await self.open.wait()
        if self.error:
            raise self.error
        family: Any = None
        return Answer(family, Accepted(ref=number))

    async def ask(self, payment_id: str = "pmt_1", version: int = 1) -> Any:
        outcome = await self.looks.ask(CUSTOMER, payment_id, version)
        return outcome.ref if isinstance(outcome, Accepted) else None


@pytest.fixture
async def gateway():
    return Gateway()


async def test_a_customer_who_holds_the_reload_key_does_not_use_up_the_gateway(gateway):
    assert [await gateway.ask() for _ in range(100)] == ["1"] * 100
    gateway.now += 1.9
    assert await gateway.ask() == "1"
    gateway.now += 0.2
    assert await gateway.ask() == "2"


async def test_all_who_wait_share_one_look(gateway):
    gateway.open.clear()
    waiting = [asyncio.create_task(gateway.ask()) for _ in range(10)]
    await asyncio.sleep(0.01)
    gateway.now += 60
    waiting.append(asyncio.create_task(gateway.ask()))
    await asyncio.sleep(0.01)
    waiting[0].cancel()  # one goes away, and the others still learn it
    gateway.open.set()
    assert await asyncio.gather(*waiting[1:]) == ["1"] * 10
    assert gateway.asked == ["pmt_1"]


async def test_payments_are_looked_at_apart_and_forgotten_when_they_are_old(gateway):
    assert [await gateway.ask(f"pmt_{n}") for n in range(50)] == [str(n) for n in range(1, 51)]
    gateway.now += 3
    await gateway.ask("pmt_0")
    assert list(gateway.looks._looks) == ["pmt_0"]


async def test_after_a_confirmation_the_next_one_asks_anew(gateway):
    await gateway.ask()
    gateway.looks.forget("pmt_1")
    assert await gateway.ask() == "2"
    gateway.looks.forget("pmt_of_nobody")


async def test_a_gateway_that_hangs_is_not_waited_for():
    gateway = Gateway(patience_s=0.01)
    gateway.open.clear()
    assert await gateway.ask() is None
    gateway.open.set()
    await asyncio.sleep(0.01)
    assert await gateway.ask() == "1"


async def test_a_failure_is_told_to_everybody_and_not_kept(gateway):
    gateway.error = DatabaseAwayError("away")
    with pytest.raises(DatabaseAwayError):
        await gateway.ask()
    gateway.error, gateway.now = None, gateway.now + 3
    assert await gateway.ask() == "2"


async def test_what_was_said_before_the_payment_changed_is_not_said_again(gateway):
    assert [await gateway.ask(), await gateway.ask(version=2), await gateway.ask(version=2)] == [
        "1",
        "2",
        "2",
    ]
    assert await gateway.ask() == "2"  # one who saw it earlier is told the later word
