"""What a benchmark says: figures, each beside its bar where it has one."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

HEADINGS: Final = ("what", "measured", "bar", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the report. `value` is None where it was not measured, and `note` then says why."""

    what: str
    value: float | None
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """ "ok" or "missed" against the bar; nothing where there is no bar or no value."""
        if self.value is None or (self.at_least is None and self.at_most is None):
            return ""
        held = (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )
        return "ok" if held else "missed"

    def row(self) -> tuple[str, str, str, str]:
        measured = "not measured" if self.value is None else _text(self.value, self.unit)
        if self.note:
            measured += f" ({self.note})"
        return self.what, measured, self._bar(), self.verdict

    def _bar(self) -> str:
        if self.at_least is not None:
            return f"≥ {_text(self.at_least, self.unit)}"
        return "" if self.at_most is None else f"≤ {_text(self.at_most, self.unit)}"

    def data(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


def _text(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
    return f"{number} {unit}".rstrip()


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Iterable[float]) -> float:
    return percentile(values, 0.5)


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table whose columns stand straight in a terminal too."""
    rows = [HEADINGS, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
