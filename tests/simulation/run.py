"""One seed: what may happen next, what the seed makes of it, and whether service and gateways agree in the end."""

import asyncio
import random
from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec
from pgqueuer.errors import RetryRequested

from agreement import Verdict, compare
from asgi import Said, ask
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.gateways.http import Answer, Lost, Request, Unsent
from counterfoil.sandbox.webhooks import Delivery
from desk import KEEP_HEALTH, Desk, Job, sweeps
from sandbox_by_hand import Gateways
from simulation import fates
from simulation.clients import APPROVER, Shop
from simulation.fates import Fate, Post
from simulation.stage import Stage
from simulation.turns import DOING, PROCESS, Process, Turns, Waiter

T = TypeVar("T")

PROCESSES: Final = 2
SWEEPS: Final = (*sweeps(), KEEP_HEALTH)
SHOPS: Final = 3  # at most
STEPS: Final = 600  # before the faults end and everything is left to settle
DEATHS: Final = 4
# What happens in one step, and how often, where it can happen.
HAPPENINGS: Final = {
    "turn": 60,
    "webhook": 14,
    "job": 12,
    "sweep": 4,
    "arrive": 3,
    "late yes": 2,
    "dashboard": 1,
    "refund by hand": 1,
    "refund fails": 1,
    "sync": 1,
    "death": 5,
    "time": 4,
}
# While calls are under way time passes by seconds: a call is given up after thirty, and what is late arrives by then.
MOMENTS: Final = (1.0, 2.0, 5.0)
PAUSES: Final = (31.0, 95.0, 600.0, 3_700.0)
# Then no fault any more, and past every deadline there is: lease, absence, retries, expiry, authorisation, refund.
AFTERWARDS: Final = (31.0, 61.0, 121.0, 600.0, 3_700.0, 7_300.0, 25 * 3600.0, 3 * 86400.0, 6 * 86400.0)
ROUNDS: Final = 60  # of letters, jobs and sweeps after each of these; more would be a circle


@dataclass
class Ended:
    """A seed that was run."""

    seed: int
    verdict: Verdict
    trace: list[str] = field(repr=False)
    deaths: int = 0
    faults: int = 0


class Run:
    """The world of one seed."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.chance = random.Random(seed)
        self._seed, self._stage = seed, stage
        self._gateways = Gateways(seed=seed)
        self._turns = Turns()
        self._processes: list[tuple[Process, Desk]] = []
        self._graves: list[tuple[Process, Desk]] = []
        self._late: list[Callable[[], Awaitable[Said]]] = []
        self._clients: list[tuple[Waiter, float]] = []  # and the moment before which they do not go on
        self._shops: list[asyncio.Task[None]] = []
        self._out: set[int] = set()  # webhooks under way
        self._in_hand: set[int] = set()  # jobs under way
        self._trace: list[str] = []
        self._surprises: list[str] = []
        self._calm = False
        self._deaths = self._faults = 0
        self._flying = 0  # calls between service and gateway

    async def go(self) -> Ended:
        await self._stage.begin(self._gateways, random.Random(f"ids {self._seed}"), self._carry)
        for _ in range(PROCESSES):
            self._start()
        try:
            shops = [Shop(self, number) for number in range(1, self.chance.randint(1, SHOPS) + 1)]
            self._shops = [asyncio.create_task(shop.trade()) for shop in shops]
            await self._busy()
            await self._settle()
            verdict = compare(self._gateways.truth(), await self._stage.stored())
            verdict.limbo += self._surprises
        finally:
            await self._turns.end()
        return Ended(self._seed, verdict, self._trace, self._deaths, self._faults)

    # What happens.

    async def _busy(self) -> None:
        """Anything may happen, until every client is content."""
        for _ in range(STEPS):
            await self._turns.still()
            if all(shop.done() for shop in self._shops):
                return
            possible = await self._possible()
            name = self.chance.choices(list(possible), [HAPPENINGS[name] for name in possible])[0]
            await possible[name]()

    async def _possible(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What can happen now, by its name."""
        jobs = [job for job in await self._jobs() if job.id not in self._in_hand]
        letters = [one for one in self._gateways.post.waiting() if one.id not in self._out]
        at_razorpay = self._gateways.world.truth.all("razorpay", "payment")
        undecided = [one for one in at_razorpay if one["status"] in {"created", "failed"}]
        held = await self._of_the_past([one for one in at_razorpay if one["status"] == "authorized"])
        taken, given = self._taken(), self._given()
        everything: dict[str, tuple[Any, Callable[[], Awaitable[None]]]] = {
            "turn": (self._turns.waiting or self._able(), self._turn),
            "webhook": (letters, lambda: self._deliver(self.chance.choice(letters))),
            "job": (jobs, lambda: self._work(self.chance.choice(jobs))),
            "sweep": (True, lambda: self._sweep(self.chance.choice(SWEEPS))),
            "arrive": (self._late, self._arrive),
            "late yes": (undecided, lambda: self._say_yes_late(self.chance.choice(undecided))),
            "dashboard": (held, lambda: self._capture_by_hand(self.chance.choice(held))),
            "refund by hand": (taken, lambda: self._refund_by_hand(self.chance.choice(taken))),
            "refund fails": (given, lambda: self._fail_late(self.chance.choice(given))),
            "sync": (True, self._press_sync),
            "death": (self._deaths < DEATHS, self._die),
            "time": (True, self._pass_time),
        }
        return {name: act for name, (able, act) in everything.items() if able}

    def _able(self) -> list[Waiter]:
        """The clients whose time has come."""
        return [waiter for waiter, since in self._clients if since <= self._gateways.now()]

    async def _turn(self) -> None:
        waiter = self.chance.choice([*self._turns.waiting, *self._able()])
        self._say(f"{waiter.process.name}: {waiter.what}")
        if waiter in self._turns.waiting:
            await self._turns.give(waiter)
        else:
            self._go_on(waiter)

    def _go_on(self, waiter: Waiter) -> None:
        self._clients = [one for one in self._clients if one[0] is not waiter]
        waiter.go.set_result(None)

    async def _deliver(self, delivery: Delivery) -> None:
        post = self._gateways.post
        fate = (
            Post.COMES
            if self._calm
            else self.chance.choices(list(fates.POSTS), list(fates.POSTS.values()))[0]
        )
        self._say(f"webhook {delivery.event} {fate.value}")
        if fate is Post.NEVER:
            self._faults += 1
            post.lose(delivery)
            return
        target = post.letter(delivery)
        if target is None:
            raise AssertionError(f"{delivery.event} has no endpoint")
        self._out.add(delivery.id)
        _, desk = self._somebody()

        async def deliver() -> None:
            status = await self._spawn(f"webhook {delivery.event}", desk, desk.webhook(target))
            self._say(f"webhook {delivery.event} → {status}")
            self._out.discard(delivery.id)
            if fate is not Post.TWICE:
                post.tried(delivery, status)

        self._clerk(deliver())

    async def _work(self, job: Job) -> None:
        self._in_hand.add(job.id)
        self._say(f"job {job.entrypoint} {job.payload.decode()}")
        _, desk = self._somebody()

        async def work() -> None:
            try:
                await self._spawn(f"job {job.entrypoint}", desk, desk.work(job))
            except RetryRequested as again:
                if not isinstance(again.__cause__, DatabaseAwayError):
                    raise
                self._say(f"job {job.entrypoint} comes again")
            finally:
                self._in_hand.discard(job.id)

        self._clerk(work())

    async def _sweep(self, name: str) -> None:
        self._say(name)
        _, desk = self._somebody()
        self._clerk(self._spawn(name, desk, desk.sweep(name)))

    async def _press_sync(self) -> None:
        payments = await self._stage.payments()
        if payments:
            path = f"/api/payments/{self.chance.choice(payments)}/sync"
            self._clerk(self.request("person", "POST", path, {}, ""))

    async def _arrive(self) -> None:
        """What was given up reaches its gateway after all."""
        late = self._late.pop(self.chance.randrange(len(self._late)))
        said = await late()
        self._say(f"a late call arrives → {said.status}")

    async def _of_the_past(self, held: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Of what is authorised, that whose payment was paid by something else, or given up."""
        past = await self._stage.orders_of_the_past() if held else set()
        return [one for one in held if one["order_id"] in past]

    async def _say_yes_late(self, payment: Mapping[str, Any]) -> None:
        """A bank that was slow, or had said no, says yes: whatever has become of the payment here meanwhile."""
        await self._at_gateways(
            "late yes", "/_sandbox/razorpay/late_authorize", {"payment_id": payment["id"]}
        )

    async def _capture_by_hand(self, payment: Mapping[str, Any]) -> None:
        """A person captures in the gateway's dashboard what we have decided never to capture: a surplus."""
        config = self._gateways.config
        key = b64encode(f"{config.razorpay_key_id}:{config.razorpay_key_secret}".encode()).decode()
        path, asked = f"/razorpay/v1/payments/{payment['id']}/capture", {"amount": payment["amount"]}
        await self._at_gateways(
            "dashboard", path, asked | {"currency": payment["currency"]}, authorization=f"Basic {key}"
        )

    def _taken(self) -> list[tuple[str, dict[str, str]]]:
        """The charges that something may be given back of: the gateway, and how it is told which."""
        truth = self._gateways.truth()
        by_stripe = [
            ("stripe", {"charge": one["id"]}) for one in truth["stripe"]["charges"] if one["captured"]
        ]
        at_razorpay = [one for one in truth["razorpay"]["payments"] if one["status"] == "captured"]
        return by_stripe + [("razorpay", {"payment_id": one["id"]}) for one in at_razorpay]

    def _given(self) -> list[tuple[str, dict[str, str]]]:
        """The refunds that have succeeded."""
        truth, done = self._gateways.truth(), {"succeeded", "processed"}
        named = {"stripe": "refund", "razorpay": "refund_id"}
        return [
            (gateway, {named[gateway]: one["id"]})
            for gateway in named
            for one in truth[gateway]["refunds"]
            if one["status"] in done
        ]

    async def _refund_by_hand(self, taken: tuple[str, dict[str, str]]) -> None:
        """A person gives a part back in the gateway's dashboard, and tells nobody."""
        amount = self.chance.choice([100, 1_000, 5_000])
        await self._at_gateways(
            "refund by hand", f"/_sandbox/{taken[0]}/dashboard_refund", taken[1] | {"amount": amount}
        )

    async def _fail_late(self, given: tuple[str, dict[str, str]]) -> None:
        """The customer's bank sends back what had arrived."""
        await self._at_gateways(
            "refund fails", f"/_sandbox/{given[0]}/refund", given[1] | {"status": "failed"}
        )

    async def _die(self) -> None:
        """A process ends as by SIGKILL, and another takes its place."""
        dead = self.chance.choice(self._processes)
        self._deaths += 1
        self._say(f"{dead[0].name} dies")
        self._processes.remove(dead)
        self._graves.append(dead)
        self._turns.kill(dead[0])
        self._start()

    async def _pass_time(self) -> None:
        if self._flying:  # each call is given up in time, so long as no more than seconds pass at once
            seconds = self.chance.choice(MOMENTS)
        else:
            while self._late:
                await self._arrive()
            seconds = self.chance.choice(MOMENTS + PAUSES)
        self._advance(seconds)

    def _advance(self, seconds: float) -> None:
        self._say(f"{seconds:.0f} s pass")
        self._gateways.advance(seconds)

    # How it ends.

    async def _settle(self) -> None:
        """No more faults and deaths; time passes, everything due is done, and the clients get their answers."""
        self._calm = True
        while self._late:
            await self._arrive()
        for seconds in AFTERWARDS:
            await self._rest()
            self._advance(seconds)
            for name in SWEEPS:
                await self._sweep(name)
        await self._rest()
        if not all(shop.done() for shop in self._shops):
            self._surprises.append("a client was never answered")
        for shop in self._shops:
            if shop.done() and (error := shop.exception()):
                raise error

    async def _rest(self) -> None:
        """Let everything go on until nothing is left to be done now."""
        for _ in range(ROUNDS):
            while self._turns.waiting:
                await self._turns.still()
                if self._turns.waiting:
                    await self._turn()
            await self._turns.still()
            able = self._able()
            for waiter in able:
                self._go_on(waiter)
            letters = [one for one in self._gateways.post.waiting() if one.id not in self._out]
            jobs = [job for job in await self._jobs() if job.id not in self._in_hand]
            for letter in letters:
                await self._deliver(letter)
            for job in jobs:
                await self._work(job)
            await self._turns.still()
            if not (able or letters or jobs or self._turns.waiting):
                return

    # What the actors can do.

    async def request(self, who: str, method: str, path: str, asked: Any, key: str) -> Said | None:
        """A request to whichever process takes it; None where it dies before it answers."""
        _, desk = self._somebody()
        bearer = self._stage.approver if who == APPROVER else self._stage.key
        headers = {"authorization": f"Bearer {bearer}"}
        if key:
            headers["idempotency-key"] = key
        self._say(f"{who}: {method} {path}")
        doing = desk.request(method, path, asked or None, headers=headers)
        said: Said | None = await self._spawn(f"{who}'s {method}", desk, doing)
        self._say(f"{who}: {method} {path} → {_told(said)}")
        return said

    async def at_gateway(self, who: str, path: str, asked: Any) -> Said:
        """What a customer does in the gateway's own pages."""
        await self.pause(who)
        return await self._at_gateways(who, path, asked)

    async def _at_gateways(self, who: str, path: str, asked: Any, **headers: str) -> Said:
        """Somebody else than the service calls a gateway."""
        said = await ask(
            self._gateways.app,
            "POST",
            f"http://gateways{path}",
            headers={"content-type": "application/json", **headers},
            body=msgspec.json.encode(asked),
        )
        self._say(f"{who} at {path} → {said.status}")
        return said

    async def pause(self, who: str, seconds: float = 0.0) -> None:
        """Wait for one's turn, and for so long at least."""
        waiter = Waiter(Process(who, self._turns), "goes on", asyncio.get_running_loop().create_future())
        self._clients.append((waiter, self._gateways.now() + seconds))
        await waiter.go

    def surprise(self, sentence: str) -> None:
        self._surprises.append(sentence)

    async def _carry(self, request: Request) -> Answer | Unsent | Lost:
        """A call, on its way between the service and a gateway."""
        process = PROCESS.get()
        if process is None:
            raise AssertionError(f"{request.call} is made by nobody")
        fate = (
            Fate.FINE if self._calm else self.chance.choices(list(fates.CALLS), list(fates.CALLS.values()))[0]
        )
        self._faults += fate is not Fate.FINE
        self._flying += 1
        try:
            return await self._fly(process, request, fate)
        finally:
            self._flying -= 1

    async def _fly(self, process: Process, request: Request, fate: Fate) -> Answer | Unsent | Lost:
        name = f"{request.gateway} {request.call}"
        async with self._turns.turn(process, f"{name} {fate.value}"):
            if fate is Fate.UNSENT:
                return Unsent(why="Simulated")
            if fate is Fate.LOST_BEFORE:
                return Lost(why="Simulated")
            if fate is Fate.LATE:
                self._late.append(lambda: self._exchange(request))
                return Lost(why="Simulated")
            if fault := fates.AT_THE_GATEWAY.get(fate):
                self._gateways.world.faults.add(request.gateway, "*", fault)
            said = await self._exchange(request)
        async with self._turns.turn(process, f"{name} → {said.status}"):
            if fate is Fate.LOST_AFTER:
                return Lost(why="Simulated")
            return Answer(status=said.status, headers=said.headers, body=said.body)

    async def _exchange(self, request: Request) -> Said:
        return await ask(
            self._gateways.app, request.method, request.url, headers=request.headers, body=request.body or b""
        )

    # The stage machinery.

    def _start(self) -> None:
        house = self._stage.process()
        process = Process(f"process {self._deaths + len(self._processes) + 1}", self._turns, house.context)
        desk = Desk(house, self._stage.app)
        self._processes.append((process, desk))
        self._inside(process, desk.open)

    def _somebody(self) -> tuple[Process, Desk]:
        return self.chance.choice(self._processes)

    def _inside(self, process: Process, act: Callable[[], T], name: str = "inbox writer") -> T:
        """Do something as this process: every task that comes of it belongs to it."""
        before, doing = PROCESS.set(process), DOING.set(name)
        try:
            return act()
        finally:
            PROCESS.reset(before)
            DOING.reset(doing)

    async def _spawn(self, name: str, desk: Desk, doing: Coroutine[Any, Any, T]) -> T | None:
        """Have a process do something; None where it dies before it is done."""
        process = next(process for process, its in self._processes if its is desk)
        answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        process.answers.append(answer)
        task = self._inside(process, lambda: asyncio.create_task(doing, name=name), name)
        task.add_done_callback(lambda done: _pass_on(done, answer))
        return await answer

    def _clerk(self, doing: Coroutine[Any, Any, Any]) -> None:
        """See something through; what is wrong with it is a surprise."""

        def ended(task: asyncio.Task[Any]) -> None:
            if not task.cancelled() and (error := task.exception()):
                self._surprises.append(f"{type(error).__name__}: {error}")

        asyncio.create_task(doing).add_done_callback(ended)

    async def _jobs(self) -> Sequence[Job]:
        return [Job(row["id"], row["entrypoint"], row["payload"] or b"") for row in await self._stage.jobs()]

    def _say(self, what: str) -> None:
        self._trace.append(f"{len(self._trace):4} {self._gateways.now():.0f} {what}")


def _pass_on(task: "asyncio.Task[Any]", answer: "asyncio.Future[Any]") -> None:
    if answer.done() or task.cancelled():
        return
    if error := task.exception():
        answer.set_exception(error)
    else:
        answer.set_result(task.result())


def _told(said: Said | None) -> str:
    if said is None:
        return "the connection is lost"
    body: Mapping[str, Any] = said.json
    return f"{said.status} {body.get('status') if said.status < 300 else body.get('type')}"
