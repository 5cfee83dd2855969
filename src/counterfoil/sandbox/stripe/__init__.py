"""Stripe, imitated."""

from collections.abc import Callable
from typing import Final

from counterfoil.sandbox.clock import Timer
from counterfoil.sandbox.plug import Plug
from counterfoil.sandbox.stripe import (
    balance,
    capturing,
    charges,
    confirming,
    control,
    customers,
    disputes,
    disputing,
    endpoints,
    events,
    instruments,
    intents,
    methods,
    pages,
    refunding,
    refunds,
    tokens,
)
from counterfoil.sandbox.stripe.api import routes_of
from counterfoil.sandbox.stripe.carrier import StripeCarrier
from counterfoil.sandbox.stripe.session import GATEWAY, Session
from counterfoil.sandbox.world import World

NOUNS: Final = (
    *(balance, capturing, charges, confirming, customers, disputes, endpoints),
    *(events, intents, methods, refunds, tokens),
)
TIMERS: Final[dict[str, Callable[[Session, str], None]]] = {
    "balance": balance.become_known,
    "deadline": disputing.deadline,
    "decide": disputing.decide,
    "expire": capturing.expire,
    "reference": refunding.refer,
    "refund": refunding.move,
    "settle": confirming.settle,
}
KINDS: Final = (
    *("payment_intent", "charge", "refund", "event", "balance_transaction", "confirmation_token"),
    *("customer", "payment_method", "webhook_endpoint", "dispute"),
)
# What is called otherwise in the truth than by its kind and an s.
SHOWN: Final = {"early_fraud_warnings": "radar.early_fraud_warning"}


def plug(world: World) -> Plug:
    """Stripe on this world."""
    api = routes_of(world, [endpoint for noun in NOUNS for endpoint in noun.ENDPOINTS])
    return Plug(
        gateway=GATEWAY,
        routes=[*api, *pages.routes(world)],
        controls=control.controls(world),
        timers={f"{GATEWAY}.{name}": _timer(world, run) for name, run in TIMERS.items()},
        carrier=StripeCarrier(world),
        kinds={f"{kind}s": kind for kind in KINDS} | SHOWN,
        money=lambda: control.money(world),
        begin=lambda: endpoints.begin(Session(world)),
        cards=instruments.shown(),
    )


def _timer(world: World, run: Callable[[Session, str], None]) -> Timer:
    return lambda about: run(Session(world), about)
