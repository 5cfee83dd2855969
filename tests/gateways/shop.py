"""A merchant, a customer and a gateway: what the contract suite works with."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.money import Money
from counterfoil.gateways.base import Accepted, Gateway, Opening, Outcome, facts
from counterfoil.gateways.http import Http
from gateways.scripted import client
from sandbox_server import Sandbox, run_sandbox

REFERENCE = "att_01kasvzxm8h3e5g7j9n1q3s5t7"


@dataclass
class Shop:
    """A merchant's account at the gateway."""

    sandbox: Sandbox
    gateway: Gateway


def said(outcome: Outcome) -> list[tuple[Kind, int]]:
    return [(report.kind, report.amount.minor) for report in facts(outcome)]


def of(outcome: Outcome, kind: Kind) -> Report:
    (report,) = (report for report in facts(outcome) if report.kind is kind)
    return report


class Merchant:
    """Who takes money through the gateway: `amount`, in a currency of its own, held until it is captured.

    A gateway's subclass says how to connect to it, how its customer pays, and what its calls are named.
    """

    amount: ClassVar[Money]
    calls: ClassVar[Mapping[str, str]]  # by the name of our method: the call that it begins with
    made: ClassVar[str]  # what the sandbox's truth calls the objects that attempts are

    def connect(
        self, http: Http, sandbox: Sandbox, *, url: str | None = None, secret: str | None = None
    ) -> Gateway:
        raise NotImplementedError

    async def pay(self, shop: Shop, ref: str) -> str:
        """The customer pays, and the bank holds the money; the charge's id."""
        raise NotImplementedError

    async def fail_to_pay(self, shop: Shop, ref: str) -> None:
        """The customer tries a card without funds."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls) -> Any:
        with run_sandbox() as sandbox:
            yield sandbox

    @pytest.fixture
    async def shop(self, running: Sandbox) -> AsyncIterator[Shop]:
        running.reset()
        async with client() as http:
            yield Shop(running, self.connect(http, running))

    @asynccontextmanager
    async def impatient(self, shop: Shop, read_s: float) -> AsyncIterator[Shop]:
        """The same account with a client that soon gives up."""
        async with client(read_s=read_s) as http:
            yield Shop(shop.sandbox, self.connect(http, shop.sandbox))

    def opening(self, **changes: Any) -> Opening:
        asked = {
            "reference": REFERENCE,
            "payment_id": "pmt_01kasvzxm8h3e5g7j9n1q3s5t7",
            "amount": self.amount,
            "capture": "manual",
            "description": "Order A1",
            "metadata": {"order": "A1"},
        }
        return Opening(**{**asked, **changes})

    def truth(self, shop: Shop) -> list[dict[str, Any]]:
        return shop.sandbox.truth()[shop.gateway.name][self.made]

    async def opened(self, shop: Shop) -> str:
        outcome = await shop.gateway.collect.open(self.opening(), key="counterfoil-key-open")
        assert isinstance(outcome, Accepted), outcome
        assert outcome.ref is not None
        return outcome.ref

    async def captured(self, shop: Shop) -> tuple[str, str]:
        """An attempt whose money was taken, and its charge."""
        ref = await self.opened(shop)
        charge = await self.pay(shop, ref)
        taken = await shop.gateway.collect.capture(ref, charge, self.amount, key="counterfoil-key-capture")
        assert isinstance(taken, Accepted), taken
        return ref, charge

    async def call(
        self, shop: Shop, name: str, ref: str, charge_ref: str, *, key: str = "counterfoil-key-0"
    ) -> Outcome:
        """Any of the gateway's calls, by its name."""
        gateway = shop.gateway
        if name == "open":
            return await gateway.collect.open(self.opening(), key=key)
        if name == "capture":
            return await gateway.collect.capture(ref, charge_ref, self.amount, key=key)
        if name == "look_up":
            return await gateway.collect.look_up(ref)
        if name == "find":
            return await gateway.collect.find(self.opening(), since=self.now(shop))
        assert name == "cancel"
        if gateway.cancel is None:
            pytest.skip(f"{gateway.name} cancels nothing")
        return await gateway.cancel.cancel(ref, key=key)

    def now(self, shop: Shop) -> datetime:
        return datetime.fromtimestamp(shop.sandbox.now(), UTC)
