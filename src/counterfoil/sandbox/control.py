"""The control API: the clock, the faults, the truth, the webhooks. A tool on this machine: no authentication."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from inspect import isawaitable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from counterfoil.sandbox.index import make_index
from counterfoil.sandbox.plug import Plug
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

MAX_BODY: Final = 65_536
# A rolled secret may live on for a month at most; a typing error should not give it for ever.
MAX_OVERLAP_S: Final = 30 * 86400

# Takes the call's object; gives what it answers, or a coroutine of it.
Action = Callable[[Json], Any]


def begin(world: World, plugs: Sequence[Plug]) -> None:
    """Put into the truth what every gateway starts with."""
    with world.truth.transaction():
        for plug in plugs:
            plug.begin()


def mount(world: World, plugs: Sequence[Plug]) -> Mount:
    """The routes under /_sandbox, with what each gateway adds of its own."""
    control = Control(world, plugs)
    routes: list[Route | Mount] = [
        Route("/", make_index(world, plugs)),
        Route("/clock", _reads(control.clock)),
        Route("/clock", acts(control.move_clock), methods=["POST"]),
        Route("/faults", _reads(world.faults.list)),
        Route("/faults", acts(control.add_fault), methods=["POST"]),
        Route("/faults", _reads(control.clear_faults), methods=["DELETE"]),
        Route("/faults/{id:int}", control.remove_fault, methods=["DELETE"]),
        Route("/truth", _reads(control.truth)),
        Route("/money", _reads(control.money)),
        Route("/truth/{gateway}/{id}", control.raw_object),
        Route("/deliveries", _reads(world.deliverer.list)),
        Route("/webhooks", acts(control.webhooks), methods=["POST"]),
        Route("/reset", _reads(control.reset), methods=["POST"]),
        *(route for plug in plugs for route in _own(plug)),
    ]
    return Mount("/_sandbox", routes=routes)


def _own(plug: Plug) -> list[Route]:
    """A gateway's control routes under its name. "/" is the name itself: a mount would redirect, and lose the POST."""
    return [
        Route(f"/{plug.gateway}{route.path}".rstrip("/"), route.endpoint, methods=list(route.methods or ()))
        for route in plug.controls
    ]


def answer(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _reads(read: Callable[[], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_request: Request) -> Response:
        return answer(read())

    return endpoint


def acts(action: Action) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint whose JSON object goes to `action`; a ValueError becomes a 400 with its sentence."""

    async def endpoint(request: Request) -> Response:
        try:
            done = action(await _object(request))
            return answer(await done if isawaitable(done) else done)
        except ValueError as error:
            return answer({"error": str(error)}, 400)

    return endpoint


async def _object(request: Request) -> Json:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise ValueError(f"the body is longer than {MAX_BODY} bytes")
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError("the body is no JSON") from error
    if not isinstance(found, dict):
        raise ValueError("the body is a JSON object")  # noqa: TRY004  one kind of error for all bad input
    return found


class Control:
    """What can be read and changed from outside."""

    def __init__(self, world: World, plugs: Sequence[Plug]) -> None:
        self._world = world
        self._plugs = {plug.gateway: plug for plug in plugs}

    def clock(self) -> Json:
        return {"now": self._world.clock.now(), "offset": self._world.clock.offset}

    async def move_clock(self, given: Json) -> Json:
        """{"advance": seconds} or {"set": unix seconds}: what becomes due has happened before this answers."""
        _only(given, "advance", "set")
        if len(given) != 1:
            raise ValueError('say {"advance": seconds} or {"set": unix seconds}')
        number = _number(given, *given)
        await self._world.deliverer.pause()
        clock = self._world.clock
        clock.advance(number if "advance" in given else number - clock.now())
        return self.clock()

    def add_fault(self, given: Json) -> Json:
        """A switch as faults.py takes it; {"gateway", "down": true} refuses all connections, false ends that."""
        gateway = self._gateway(given)
        if "down" not in given:
            call, fault = given.pop("call", None), given.pop("fault", None)
            if not isinstance(call, str) or not isinstance(fault, str):
                raise ValueError("a fault needs the names call and fault")
            return asdict(self._world.faults.add(gateway, call, fault, **given))
        _only(given, "down")
        self._world.faults.up(gateway)
        if given["down"] is True:
            return asdict(self._world.faults.add(gateway, "*", "refuse", times=None))
        return {"gateway": gateway, "down": False}

    def clear_faults(self) -> Json:
        return {"removed": self._world.faults.clear()}

    async def remove_fault(self, request: Request) -> Response:
        removed = self._world.faults.clear(request.path_params["id"])
        return answer({"removed": removed}) if removed else answer({"error": "there is no such fault"}, 404)

    def truth(self) -> Json:
        """Every object, oldest first, by gateway and kind."""
        truth = self._world.truth
        return {
            name: {shown: truth.all(name, kind) for shown, kind in plug.kinds.items()}
            for name, plug in self._plugs.items()
        }

    def money(self) -> Json:
        """What every captured charge took, gave back and lost to disputes, by gateway."""
        return {name: plug.money() for name, plug in self._plugs.items()}

    async def raw_object(self, request: Request) -> Response:
        body = self._world.truth.raw(request.path_params["gateway"], request.path_params["id"])
        if body is None:
            return answer({"error": "there is no such object"}, 404)
        return Response(msgspec.json.format(body, indent=2), media_type="application/json")

    def webhooks(self, given: Json) -> Json:
        """One of {"hold": bool}, {"roll_secret": {…}}, {"replay": event id}, {"deliver_to": base URL or null}."""
        known: dict[str, Callable[[Any], Json]] = {
            "hold": self._hold,
            "roll_secret": self._roll,
            "replay": self._replay,
            "deliver_to": self._deliver_to,
        }
        _only(given, *known)
        if len(given) != 1:
            raise ValueError(f"say one of {', '.join(known)}")
        [(name, value)] = given.items()
        return known[name](value)

    def _hold(self, value: Any) -> Json:
        if not isinstance(value, bool):
            raise ValueError("hold is true or false")  # noqa: TRY004  one kind of error for all bad input
        self._world.deliverer.hold(holding=value)
        return {"hold": value}

    def _roll(self, value: Any) -> Json:
        if not isinstance(value, dict):
            raise ValueError("roll_secret is an object")  # noqa: TRY004  one kind of error for all bad input
        gateway, secret = self._gateway(value), value.get("secret")
        _only(value, "secret", "overlap_seconds")
        if not isinstance(secret, str) or not secret:
            raise ValueError("secret is a string")
        overlap = _number({"overlap_seconds": 86400, **value}, "overlap_seconds")
        if not 0 <= overlap <= MAX_OVERLAP_S:
            raise ValueError("overlap_seconds is from 0 to thirty days")
        with self._world.truth.transaction():
            self._world.secrets.roll(gateway, secret, now=self._world.clock.now(), overlap_s=overlap)
        return {"gateway": gateway, "overlap_seconds": overlap}

    def _replay(self, value: Any) -> Json:
        sent = sum(self._world.deliverer.replay(name, str(value)) for name in self._plugs)
        if not sent:
            raise ValueError(f"event {value!r} was never sent to an endpoint")
        return {"replay": value, "deliveries": sent}

    def _deliver_to(self, value: Any) -> Json:
        if value is not None and not (isinstance(value, str) and urlsplit(value).scheme in {"http", "https"}):
            raise ValueError("deliver_to is the http or https base URL of the service, or null")
        with self._world.truth.transaction():
            self._world.truth.set("deliver_to", value)
        begin(self._world, list(self._plugs.values()))
        return {"deliver_to": value}

    def reset(self) -> Json:
        """Empty the truth, the faults and the clock."""
        world = self._world
        with world.truth.transaction():
            world.truth.clear()
        world.faults.clear()
        world.clock.restart()
        world.deliverer.restart()
        world.ids.restart()
        begin(world, list(self._plugs.values()))
        return self.clock()

    def _gateway(self, given: Json) -> str:
        gateway = given.pop("gateway", None)
        if gateway not in self._plugs:
            raise ValueError(f"gateway is one of {', '.join(self._plugs)}")
        return str(gateway)


def _only(given: Json, *known: str) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{name!r} is unknown here; there are: {', '.join(known)}")


def _number(given: Json, name: str) -> float:
    value = given[name]
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError(f"{name} is a number")
    return float(value)
