"""docs/generated/outgoing.md: every type of event that the merchant's own backend can hear of."""

from page import settle, table

from counterfoil.domain.event import TYPES

settle(
    "outgoing.md",
    "\n\n".join(
        [
            "# Events for your own backend",
            "[How to hear of them](../events.md). An endpoint that names no types hears of all, also of those to come.",
            table(("type", "when"), [(f"`{name}`", when) for name, when in TYPES.items()]),
        ]
    ),
)
