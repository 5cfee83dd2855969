"""docs/generated/states.md: the ranks of what gateways say, and the tables of what we decide."""

from page import settle, table

from counterfoil.domain.attempt import AttemptState
from counterfoil.domain.charge import CHARGE_RANK, CHARGE_SAYS, CONTRADICTIONS, REFUND_RANK
from counterfoil.domain.dispute import ALLOWED, ANSWERS, RANK, RANKS, Answer, DisputeState
from counterfoil.domain.dispute import Command as DisputeCommand
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.machine import Machine, S
from counterfoil.domain.payment import COMMANDS, Command, Status

MEANING = {
    AttemptState.OPEN: "can still be paid",
    AttemptState.UNKNOWN: "a call's outcome is not known: read before anything else",
    AttemptState.FENCED: "we shall never capture on it",
    AttemptState.WON: "the payment's money is taken here",
    AttemptState.DEAD: "never came to be, or was abandoned before a browser saw it",
}

answers = [
    (state.value, *("yes" if COMMANDS.allows(state, command) else "refused" for command in Command))
    for state in Status
]
MAY = [command.value for command in (DisputeCommand.EDIT, DisputeCommand.SUBMIT, DisputeCommand.ACCEPT)]


def ranked(rank: tuple[DisputeState, ...]) -> str:
    return " < ".join(state.value for state in rank)


def asked(machine: Machine[S, DisputeCommand], states: type[S]) -> list[tuple[str, ...]]:
    """Whether each command is allowed in each state."""
    return [
        (state.value, *("yes" if machine.allows(state, DisputeCommand(name)) else "refused" for name in MAY))
        for state in states
    ]


failures = [
    (f"`{code.slug}`", code.advice.value.replace("_", " "), code.tell_customer) for code in FailureCode
]
settle(
    "states.md",
    "\n\n".join(
        [
            "# States",
            "## Charges: the highest of what was ever said",
            " < ".join(state.value for state in CHARGE_RANK),
            table(("fact", "says"), [(kind.value, state.value) for kind, state in CHARGE_SAYS.items()]),
            "Both true of one charge opens an exception for a person: "
            + "; ".join(" and ".join(sorted(pair)) for pair in CONTRADICTIONS)
            + ".",
            "## Refunds: the highest of what was ever said",
            " < ".join(state.value for state in REFUND_RANK),
            "## Disputes: the highest of what was ever said",
            table(
                ("at", "rank"),
                [("others", ranked(RANK)), *((name, ranked(rank)) for name, rank in RANKS.items())],
            ),
            "Two of the ends above under_review, said of one dispute, open an exception for a person.",
            "What may be done about each, by where it stands:",
            table(("status", *MAY), asked(ALLOWED, DisputeState)),
            "and by what we have answered:",
            table(("answer", *MAY), asked(ANSWERS, Answer)),
            "## Attempts",
            table(("state", "meaning"), [(state.value, MEANING[state]) for state in AttemptState]),
            "## Payments: what may be asked of each",
            table(("status", *(command.value for command in Command)), answers),
            "## Why a payment did not go through",
            table(("code", "what may help", "what the customer is told"), failures),
        ]
    ),
)
