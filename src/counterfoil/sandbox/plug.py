"""What a gateway brings to the sandbox."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute, Route

from counterfoil.sandbox.clock import Timer
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.webhooks import Carrier


@dataclass(frozen=True, slots=True)
class Plug:
    """One gateway: its package exposes `plug(world) -> Plug`."""

    gateway: str  # also its mount: /stripe
    routes: Sequence[BaseRoute]  # API, browser pages, its own control; paths under the mount
    controls: Sequence[Route]  # its own control API; paths under /_sandbox/{gateway}
    timers: Mapping[str, Timer]  # by name; names begin with the gateway's
    carrier: Carrier
    kinds: Mapping[str, str]  # what /_sandbox/truth shows: its name there to the kind of object
    begin: Callable[
        [], None
    ]  # makes what the configuration asks for; in a transaction, at each start, reset and change of deliver_to
    money: Callable[
        [], list[Json]
    ]  # of every captured charge: captured, refunded, disputed, left; minor units
    cards: Sequence[tuple[str, str]]  # test values for the index page: the value, and what it does
