"""One house, both gateways and a few people, none with a will of its own: what refunds go through, a step at a time.

A call may be lost, late or refused, and other things may happen while it is under way. Whatever leaves for a gateway as a
refund is looked at on its way: whether enough people have agreed to it, by the rules of that moment.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from asgi import Said, ask
from counterfoil.domain.operator import Role
from counterfoil.gateways.http import Answer, Lost, Request, Unsent
from counterfoil.services import keys
from desk import Desk
from sandbox_by_hand import Gateways
from simulation.fates import AT_THE_GATEWAY, Fate
from simulation.stage import Stage
from simulation.turns import PROCESS, Process, Turns

PAID: Final = 10_000
PEOPLE: Final = {"ann": Role.SUPPORT, "bob": Role.APPROVER, "cem": Role.APPROVER, "dee": Role.ADMIN}
AGAIN: Final = "ann again"  # a second key of Ann's, with which she would approve
SENDINGS: Final = {"refunds.create", "payments.refund"}
TAKEN_OFF: Final = {"failed", "rejected", "cancelled"}
SWEEPS: Final = ("sweep refunds", "sweep payments", "sweep inbox")
# Past every deadline there is: absence, a busy attempt, reminder, approval, the gateway's own days.
AFTERWARDS: Final = (31.0, 61.0, 121.0, 3_700.0, 13 * 3600.0, 25 * 3600.0, 4 * 86400.0)


class Unstepped(Turns):
    """Everybody's turn is at once."""

    @asynccontextmanager
    async def turn(self, _process: Process, _what: str) -> AsyncIterator[None]:
        yield


@dataclass
class World:
    """Two payments of one customer, and everything that may happen to their refunds."""

    stage: Stage
    gateways: Gateways
    desk: Desk
    policy: Mapping[str, Any] = field(default_factory=dict)
    payments: list[dict[str, Any]] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    only_refunds: bool = False  # the fates are of calls that send a refund
    meanwhile: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    late: list[Request] = field(default_factory=list)
    sent: dict[str, bytes] = field(default_factory=dict)  # refund → the bytes that left for it
    _keys: dict[str, str] = field(default_factory=dict)
    _numbers: int = 0

    # People and their programs.

    async def post(self, who: str, path: str, asked: Any = None, key: str | None = None) -> Said:
        self._numbers += 1
        headers = {
            "authorization": f"Bearer {self._keys[who]}",
            "idempotency-key": key or f"key {self._numbers}",
        }
        said = await self.desk.request("POST", f"/api/payments{path}", asked or {}, headers)
        if said.status >= 500:
            raise AssertionError((path, said))
        return said

    async def paid(self, gateway: str, customer: Mapping[str, str]) -> None:
        asked = {"amount": PAID, "gateway": gateway, "customer": dict(customer)}
        if gateway == "stripe":
            asked |= {"currency": "USD", "payment_method": "pm_card_bypassPending", "confirm": True}
            made = (await self.post("dee", "", asked)).json
        else:
            made = (await self.post("dee", "", asked | {"currency": "INR"})).json
            order = {
                "order_id": made["attempts"][0]["gateway_reference"],
                "method": "upi",
                "vpa": "success@razorpay",
            }
            await self.control("razorpay/pay", order)
            made = (await self.post("dee", f"/{made['id']}/sync")).json
        [charge] = made["attempts"][0]["charges"]
        self.payments.append({"id": made["id"], "gateway": gateway, "charge": charge["gateway_reference"]})

    async def rule(self, policy: Mapping[str, Any]) -> None:
        """The settings are these from now on."""
        self.policy = policy
        await self.stage.change_settings(refundProcessing=policy)

    # Gateways.

    async def control(self, path: str, asked: Any) -> Said:
        return await ask(
            self.gateways.app,
            "POST",
            f"http://gateways/_sandbox/{path}",
            headers={"content-type": "application/json"},
            body=msgspec.json.encode(asked),
        )

    def at_gateway(self, kind: str, of: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Refunds or disputes in the sandboxes' own truth, oldest first."""
        truth = self.gateways.world.truth
        return [
            {**one, "gateway": paid["gateway"]}
            for paid in ([of] if of else self.payments)
            for one in truth.all(paid["gateway"], kind, parent=paid["charge"])
        ]

    async def carry(self, request: Request) -> Answer | Unsent | Lost:
        """A call on its way: its fate is what was said last, else it arrives and is answered."""
        meant = self.fates and (request.call in SENDINGS or not self.only_refunds)
        fate = self.fates.pop(0) if meant else Fate.FINE
        if request.call in SENDINGS:
            await self._may_leave(request)
        if fate is Fate.UNSENT:
            return Unsent(why="lost")
        if fate is Fate.LATE:
            self.late.append(request)
        if fate in {Fate.LATE, Fate.LOST_BEFORE}:
            return Lost(why="lost")
        if fault := AT_THE_GATEWAY.get(fate):
            self.gateways.world.faults.add(request.gateway, "*", fault)
        said = await self._exchange(request)
        while self.meanwhile:
            await self.meanwhile.pop(0)()
        return (
            Lost(why="lost")
            if fate is Fate.LOST_AFTER
            else Answer(status=said.status, headers=said.headers, body=said.body)
        )

    async def _exchange(self, request: Request) -> Said:
        return await ask(
            self.gateways.app, request.method, request.url, headers=request.headers, body=request.body or b""
        )

    async def arrive(self) -> None:
        """What was given up reaches its gateway after all."""
        while self.late:
            await self._exchange(self.late.pop(0))

    async def _may_leave(self, request: Request) -> None:
        """Fails where a refund leaves that too few have agreed to, or whose bytes are not those that left before."""
        body = request.body or b""
        stored = await self.refunds()
        refund = next(one for one in stored if one["id"].encode() in body)
        assert refund["state"] == "processing", refund
        assert self.sent.setdefault(refund["id"], body) == body
        if refund["source"] == "request":
            assert refund["given"] >= self.needed(refund, stored), (refund, self.policy)

    def needed(self, refund: Mapping[str, Any], stored: Sequence[Mapping[str, Any]]) -> int:
        """How many must have agreed to it by the rules of now: reckoned here again, from the rows alone."""
        counted = [one for one in stored if one["id"] <= refund["id"] and one["state"] not in TAKEN_OFF]
        of_payment = sum(one["amount"] for one in counted if one["payment_id"] == refund["payment_id"])
        of_day = sum(
            one["amount"]
            for one in counted
            if (one["subject"], one["day"], one["currency"])
            == (refund["subject"], refund["day"], refund["currency"])
        )
        most, currency = max(of_payment, of_day), refund["currency"]
        second, first = (
            self.policy[name].get(currency) for name in ("secondApprovalThreshold", "refundThreshold")
        )
        if second is not None and most >= second:
            return 2
        if first is not None:
            return int(most >= first)
        return int(self.policy["refundApprovalRequired"])

    # Webhooks, jobs and time.

    async def deliver(self, number: int, times: int = 1) -> None:
        """One of the webhooks that wait comes so many times; what it asks for is done at once. None: it never comes."""
        letters = self.gateways.post.waiting()
        if not letters:
            return
        letter = letters[number % len(letters)]
        target = self.gateways.post.letter(letter)
        assert target is not None
        if not times:
            self.gateways.post.lose(letter)
        for _ in range(times):
            self.gateways.post.tried(letter, await self.desk.webhook(target))
        await self.work()

    async def work(self) -> None:
        for job in await self.desk.jobs():
            await self.desk.work(job)

    async def pass_time(self, seconds: float) -> None:
        """A call that was given up arrives within half a minute, or never."""
        if seconds > 30.0:
            await self.arrive()
        self.gateways.advance(seconds)

    async def sweep(self, *more: str) -> None:
        for name in (*SWEEPS, *more):
            await self.desk.sweep(name)
        await self.work()

    async def settle(self) -> None:
        """No trouble any more: everything arrives, and time passes."""
        self.fates.clear()
        self.meanwhile.clear()
        self.gateways.world.faults.clear()
        await self.control("stripe/refunds", {})
        await self.control("razorpay", {"refunds": "processed"})
        for seconds in AFTERWARDS:
            await self.pass_time(seconds)
            while self.gateways.post.waiting():
                await self.deliver(0)
            await self.sweep("sweep lists")

    # What is stored.

    async def refunds(self) -> list[dict[str, Any]]:
        return await self.stage.rows(
            "SELECT r.*, (SELECT count(*) FROM refund_approvals a WHERE a.refund_id = r.id) AS given,"
            " (SELECT count(*) FROM refund_approvals a WHERE a.refund_id = r.id AND a.person = r.person) AS own"
            " FROM refunds r ORDER BY id"
        )


async def begin(stage: Stage) -> World:
    """A world where nothing has happened yet."""
    gateways, waiting = Gateways(seed=1), []

    async def carry(request: Request) -> Answer | Unsent | Lost:
        return await waiting[0].carry(request)

    await stage.begin(gateways, random.Random(1), carry)
    house = stage.process()
    PROCESS.set(Process("the house", Unstepped(), house.context))
    world = World(stage, gateways, Desk(house, stage.app))
    waiting.append(world)
    world.desk.open()
    for name, role in PEOPLE.items():
        world._keys[name] = (
            await keys.create(house.context, name=name, role=role, actor="tests", person=name)
        )[1]
    again = await keys.create(house.context, name=AGAIN, role=Role.APPROVER, actor="tests", person="ann")
    world._keys[AGAIN] = again[1]
    return world
