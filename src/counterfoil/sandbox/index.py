"""The sandbox's front page."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from counterfoil.sandbox.faults import CALL_FAULTS, WEBHOOK_FAULTS
from counterfoil.sandbox.plug import Plug
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

# The page shows the newest of everything; the whole is one click away as JSON.
SHOWN: Final = 20

TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def make_index(world: World, plugs: Sequence[Plug]) -> Callable[[Request], Awaitable[Response]]:
    async def index(_request: Request) -> Response:
        page = TEMPLATES.get_template("index.html").render(_facts(world, plugs))
        return HTMLResponse(page)

    return index


def _facts(world: World, plugs: Sequence[Plug]) -> Json:
    return {
        "now": world.clock.now(),
        "offset": world.clock.offset,
        "plugs": plugs,
        "objects": {plug.gateway: _newest(world, plug) for plug in plugs},
        "faults": world.faults.list(),
        "call_faults": CALL_FAULTS,
        "webhook_faults": WEBHOOK_FAULTS,
        "deliveries": world.deliverer.list()[: -SHOWN - 1 : -1],
        "holding": world.deliverer.holding,
        "deliver_to": world.deliver_to,
    }


def _newest(world: World, plug: Plug) -> dict[str, list[Json]]:
    return {
        shown: world.truth.page(plug.gateway, kind, limit=SHOWN).data for shown, kind in plug.kinds.items()
    }
