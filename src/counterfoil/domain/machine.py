"""State machines that people and the program read alike: a table for what we decide, a rank for what we are told."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Generic, TypeVar

from counterfoil.domain.errors import WrongStateError

S = TypeVar("S", bound=Enum)
C = TypeVar("C", bound=Enum)

STAYS = "."  # already so: the command does nothing
REFUSED = "!"  # the command is an error in this state


class TableError(ValueError):
    """A table with a missing, doubled or unknown cell. Raised at import, so a bad table never runs."""


class Machine(Generic[S, C]):
    """A closed table: every command has an answer in every state."""

    def __init__(self, cells: Mapping[tuple[S, C], S | None]) -> None:
        self._cells = dict(cells)

    @classmethod
    def read(cls, states: type[S], commands: type[C], table: str) -> "Machine[S, C]":
        """Read a table whose first row names the commands and whose first column names the states.

        A cell is the next state's value, "." (stays), or "!" (refused). Raises TableError where the table does not
        give exactly one answer for every state and command.
        """
        rows = [line.split() for line in table.splitlines() if line.strip()]
        if not rows:
            raise TableError("the table is empty")
        header = [commands(name) for name in rows[0]]
        if set(header) != set(commands) or len(header) != len(set(header)):
            raise TableError(f"the columns are {rows[0]}, the commands {[c.value for c in commands]}")
        cells: dict[tuple[S, C], S | None] = {}
        for name, *answers in rows[1:]:
            state = states(name)
            if len(answers) != len(header):
                raise TableError(f"{name} has {len(answers)} cells for {len(header)} commands")
            if any((state, command) in cells for command in header):
                raise TableError(f"{name} stands twice")
            for command, answer in zip(header, answers, strict=True):
                cells[state, command] = _cell(states, state, answer)
        missing = set(states) - {state for state, _ in cells}
        if missing:
            raise TableError(f"no row for {sorted(s.value for s in missing)}")
        return cls(cells)

    def next(self, state: S, command: C) -> S:
        """The state after the command. Raises WrongStateError where the table refuses it."""
        after = self._cells[state, command]
        if after is None:
            raise WrongStateError(command=str(command.value), state=str(state.value))
        return after

    def allows(self, state: S, command: C) -> bool:
        return self._cells[state, command] is not None


def _cell(states: type[S], state: S, answer: str) -> S | None:
    if answer == REFUSED:
        return None
    return state if answer == STAYS else states(answer)


def highest(rank: Sequence[S], said: Iterable[S]) -> S:
    """The highest of what was said, so that the order of arrival cannot matter; the lowest rank when nothing was."""
    return max(said, key=rank.index, default=rank[0])
