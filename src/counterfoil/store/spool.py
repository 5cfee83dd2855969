"""What an import has read and checked, kept beside the database until it is written: a file of this machine, so that a
million rows take no memory, and what was checked is what is written.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

# Pages of the file that are held in memory, in KiB.
CACHE_KIB: Final = 16_384
_TABLES: Final = """
    CREATE TABLE rows (line INTEGER PRIMARY KEY, ref TEXT, fate TEXT NOT NULL, payment TEXT, reason TEXT, record BLOB);
    CREATE TABLE refs (ref TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the file: where it ended, the gateway's id of the charge, what became of it, and why."""

    line: int
    ref: str | None
    fate: str
    payment: str | None = None
    reason: str | None = None
    record: bytes | None = None


class Spool:
    """The rows of one import, in the order of the file."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def first_of(self, ref: str, line: int) -> int:
        """The line that named this first: the given one, unless another did before."""
        self._file.execute("INSERT OR IGNORE INTO refs VALUES (?, ?)", (ref, line))
        (first,) = self._file.execute("SELECT line FROM refs WHERE ref = ?", (ref,)).fetchone()
        return int(first)

    def add(self, lines: Iterable[Line]) -> None:
        self._file.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", map(_values, lines))

    def put(self, lines: Iterable[Line]) -> None:
        """What became of rows that were added before."""
        self._file.executemany("REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)", map(_values, lines))

    def rename(self, fate: str, to: str, reason: str) -> None:
        """Every row of one fate has another, for one reason."""
        self._file.execute("UPDATE rows SET fate = ?, reason = ? WHERE fate = ?", (to, reason, fate))

    def batches(self, fate: str, size: int) -> Iterator[list[Line]]:
        """The rows of a fate, so many at a time; they may be put meanwhile."""
        after = 0
        while found := self._after(after, size, fate):
            yield found
            after = found[-1].line

    def lines(self, size: int = 1_000) -> Iterator[Line]:
        """All rows."""
        after = 0
        while found := self._after(after, size, None):
            yield from found
            after = found[-1].line

    def _after(self, line: int, size: int, fate: str | None) -> list[Line]:
        rows = self._file.execute(
            "SELECT line, ref, fate, payment, reason, record FROM rows"
            " WHERE line > ? AND (? IS NULL OR fate = ?) ORDER BY line LIMIT ?",
            (line, fate, fate, size),
        ).fetchall()
        return [
            Line(line=row[0], ref=row[1], fate=row[2], payment=row[3], reason=row[4], record=row[5])
            for row in rows
        ]

    def tally(self) -> dict[str, int]:
        """How many rows have each fate."""
        return dict(self._file.execute("SELECT fate, count(*) FROM rows GROUP BY fate ORDER BY fate"))


def _values(line: Line) -> Sequence[object]:
    return (line.line, line.ref, line.fate, line.payment, line.reason, line.record)


@contextmanager
def spool() -> Iterator[Spool]:
    """A spool in a file without a name, which is gone with its process."""
    with closing(sqlite3.connect("", isolation_level=None)) as file:
        file.executescript(
            f"PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; PRAGMA cache_size = -{CACHE_KIB}; {_TABLES}"
        )
        yield Spool(file)
