"""The sandbox as one ASGI application: /stripe, /razorpay and /_sandbox."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from counterfoil.sandbox import control, razorpay, stripe
from counterfoil.sandbox.config import Config
from counterfoil.sandbox.world import World, make_world

# The application's lifespan keeps one of these for as long as it runs.
Lifespan = Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]


def create_app(config: Config) -> Starlette:
    """The sandbox on its truth, which it opens here. Serve it with server.py's protocol."""
    world = make_world(config)
    return Starlette(routes=routes_of(world), lifespan=_lifespan(world))


def routes_of(world: World) -> list[BaseRoute]:
    """Everything there is to call in a world. Its clock and its webhooks move only if somebody moves them."""
    plugs = [stripe.plug(world), razorpay.plug(world)]
    for plug in plugs:
        world.deliverer.carry(plug.gateway, plug.carrier)
        for name, timer in plug.timers.items():
            world.clock.on(name, timer)
    control.begin(world, plugs)
    routes: list[BaseRoute] = [Mount(f"/{plug.gateway}", routes=plug.routes) for plug in plugs]
    return [*routes, control.mount(world, plugs)]


def _lifespan(world: World) -> Lifespan:
    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(world.clock.run()), asyncio.create_task(world.deliverer.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            world.truth.close()

    return lifespan
