"""docs/generated/events.md: every webhook event of both gateways, and what Counterfoil makes of it."""

from collections.abc import Collection, Mapping

from page import settle, table

from counterfoil.domain.fact import Kind
from counterfoil.gateways.razorpay import events as razorpay
from counterfoil.gateways.stripe import events as stripe

HEAD = """\
# Webhook events

Every event a gateway sends is stored as it came. An event of the types below yields the facts named beside it, each
kept once however often and whichever way it is heard; all others yield none, for the reason given. A type that is in no
table is stored too, and yields no facts.
"""


def gateway(
    name: str,
    read: Mapping[str, tuple[Kind, ...]],
    ignored: Mapping[str, str],
    trouble: Collection[str] = (),
) -> str:
    facts = {event: ", ".join(f"`{kind.value}`" for kind in kinds) for event, kinds in read.items()}
    reasons = {event: f"ignored because: {because}" for event, because in ignored.items()}
    health = dict.fromkeys(trouble, "how one bank, network or app fares: routing takes note of it")
    rows = [(f"`{event}`", told) for event, told in sorted({**facts, **reasons, **health}.items())]
    counted = f"{len(rows)} types, {len(facts) + len(health)} of them read."
    return f"## {name}\n\n{counted}\n\n{table(('event', 'facts'), rows)}\n"


settle(
    "events.md",
    "\n".join(
        [
            HEAD,
            gateway("Stripe", stripe.READ, stripe.IGNORED),
            gateway("Razorpay", razorpay.READ, razorpay.IGNORED, razorpay.TROUBLE),
        ]
    ),
)
