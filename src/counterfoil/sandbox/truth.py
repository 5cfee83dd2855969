"""What the gateways hold: one SQLite file, written in one transaction a request, read back after any kill -9.

Synchronous NORMAL in WAL mode: a commit reaches the operating system, so the death of the process loses nothing; only
the death of the machine could lose the last moments, and a sandbox may.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

Json = dict[str, Any]

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
    parent TEXT, created INTEGER NOT NULL, body TEXT NOT NULL, hidden TEXT, UNIQUE (gateway, id));
CREATE INDEX IF NOT EXISTS objects_kind ON objects (gateway, kind, seq);
CREATE INDEX IF NOT EXISTS objects_parent ON objects (gateway, kind, parent, seq);
CREATE TABLE IF NOT EXISTS answers (
    gateway TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL,
    headers TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (gateway, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timers (
    id INTEGER PRIMARY KEY, due REAL NOT NULL, name TEXT NOT NULL, about TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS timers_due ON timers (due, id);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, event TEXT NOT NULL, endpoint TEXT NOT NULL,
    state TEXT NOT NULL, created REAL NOT NULL, next_at REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, next_at, id);
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (gateway, event);
CREATE TABLE IF NOT EXISTS tries (
    delivery INTEGER NOT NULL, at REAL NOT NULL, status INTEGER, ms INTEGER NOT NULL, error TEXT);
CREATE INDEX IF NOT EXISTS tries_delivery ON tries (delivery);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
TABLES: Final = ("objects", "answers", "timers", "deliveries", "tries", "settings")

_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder().decode


def _encode(value: Any) -> str:
    # Text, not bytes: SQLite's JSON functions read no BLOB.
    return _encoder.encode(value).decode()


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list: its objects, and whether there are more beyond them."""

    data: list[Json]
    has_more: bool


class Truth:
    """The objects, idempotency records, timers, deliveries and settings of both gateways.

    One connection, used from the event loop's thread alone. Bodies are JSON objects with an "id"; what a gateway knows
    but never shows (which test card, a webhook secret) is kept beside the body as "hidden".
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        path = ":memory:" if folder is None else str(folder / "truth.sqlite3")
        self.sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.sql.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=5000;"
        )
        self.sql.executescript(SCHEMA)

    def close(self) -> None:
        self.sql.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside become visible together, or none on an exception. Does not nest; no await inside."""
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.sql.execute("ROLLBACK")
            raise
        self.sql.execute("COMMIT")

    def clear(self) -> None:
        """Forget everything."""
        for table in TABLES:
            self.sql.execute(f"DELETE FROM {table}")

    def count(self) -> int:
        """How many objects were ever made."""
        row = self.sql.execute("SELECT max(seq) FROM objects").fetchone()
        return int(row[0] or 0)

    def put(
        self, gateway: str, kind: str, body: Json, *, parent: str | None = None, hidden: Json | None = None
    ) -> None:
        """Add an object, or replace the body of the one with its id. An absent parent or hidden part stays as it is.

        Its creation time is `body["created"]` or `body["created_at"]`.
        """
        created = int(body["created"] if "created" in body else body["created_at"])
        self.sql.execute(
            "INSERT INTO objects (gateway, kind, id, parent, created, body, hidden) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (gateway, id) DO UPDATE SET body = excluded.body,"
            " parent = coalesce(excluded.parent, parent), hidden = coalesce(excluded.hidden, hidden)",
            (gateway, kind, body["id"], parent, created, _encode(body), hidden and _encode(hidden)),
        )

    def get(self, gateway: str, kind: str, id_: str) -> Json | None:
        found = self.sql.execute(
            "SELECT body FROM objects WHERE gateway = ? AND id = ? AND kind = ?", (gateway, id_, kind)
        ).fetchone()
        return None if found is None else _decode(found[0])

    def raw(self, gateway: str, id_: str) -> bytes | None:
        """The stored bytes of an object of any kind, the same at every reading."""
        row = self.sql.execute(
            "SELECT body FROM objects WHERE gateway = ? AND id = ?", (gateway, id_)
        ).fetchone()
        return None if row is None else str(row[0]).encode()

    def hidden(self, gateway: str, id_: str) -> Json:
        """What the gateway knows of an object and does not show; empty where nothing."""
        row = self.sql.execute(
            "SELECT hidden FROM objects WHERE gateway = ? AND id = ?", (gateway, id_)
        ).fetchone()
        return {} if row is None or row[0] is None else _decode(row[0])

    def delete(self, gateway: str, id_: str) -> None:
        self.sql.execute("DELETE FROM objects WHERE gateway = ? AND id = ?", (gateway, id_))

    def place(self, gateway: str, kind: str, id_: str) -> int | None:
        """Where an object stands in the order of creation; None where there is no such object."""
        row = self.sql.execute(
            "SELECT seq FROM objects WHERE gateway = ? AND id = ? AND kind = ?", (gateway, id_, kind)
        ).fetchone()
        return None if row is None else int(row[0])

    def page(
        self,
        gateway: str,
        kind: str,
        *,
        limit: int,
        parent: str | None = None,
        where: Mapping[str, Any] | None = None,
        since: int | None = None,
        until: int | None = None,
        below: int | None = None,
        above: int | None = None,
        skip: int = 0,
        globs: tuple[str, Sequence[str]] | None = None,
        extra: str = "1",
    ) -> Page:
        """Objects newest first: at most `limit`, with this parent, these values of top-level fields, created within
        since ≤ created ≤ until (unix seconds), and standing below or above a place.

        With `above` alone it is the page just above it, as Stripe's ending_before means it. `globs` is a column and the
        patterns of which it matches one; `extra` one more condition in SQL over the columns of objects, a constant of
        the calling module.
        """
        clauses = ["gateway = ?", "kind = ?", extra]
        values: list[Any] = [gateway, kind]
        for clause, value in (
            ("parent = ?", parent),
            ("created >= ?", since),
            ("created <= ?", until),
            ("seq < ?", below),
            ("seq > ?", above),
        ):
            if value is not None:
                clauses.append(clause)
                values.append(value)
        for name, value in (where or {}).items():
            clauses.append(f"json_extract(body, '$.{name}') = ?")
            values.append(value)
        if globs is not None:
            clauses.append("(" + " OR ".join(f"{globs[0]} GLOB ?" for _ in globs[1]) + ")")
            values.extend(globs[1])
        upward = above is not None and below is None
        order = "ASC" if upward else "DESC"
        rows = self.sql.execute(
            f"SELECT body FROM objects WHERE {' AND '.join(clauses)} ORDER BY seq {order} LIMIT ? OFFSET ?",
            (*values, limit + 1, skip),
        ).fetchall()
        data = [_decode(row[0]) for row in rows[:limit]]
        return Page(data[::-1] if upward else data, len(rows) > limit)

    def all(self, gateway: str, kind: str, *, parent: str | None = None) -> list[Json]:
        """Every object of a kind, oldest first."""
        return self.page(gateway, kind, parent=parent, limit=2**31).data[::-1]

    def remember(self, gateway: str, key: str, fingerprint: str, answer: "Kept") -> None:
        """Keep the answer of an idempotency key, replacing one that has outlived its time."""
        self.sql.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
            (gateway, key, fingerprint, answer.status, answer.body, _encode(dict(answer.headers)), answer.at),
        )

    def recall(self, gateway: str, key: str, *, since: float) -> tuple[str, "Kept"] | None:
        """The fingerprint and the answer kept under an idempotency key not before `since`."""
        row = self.sql.execute(
            "SELECT fingerprint, status, body, headers, at FROM answers WHERE gateway = ? AND key = ? AND at >= ?",
            (gateway, key, since),
        ).fetchone()
        return None if row is None else (row[0], Kept(row[1], row[2], _decode(row[3]), row[4]))

    def setting(self, name: str, default: Any = None) -> Any:
        row = self.sql.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return default if row is None else _decode(row[0])

    def set(self, name: str, value: Any) -> None:
        self.sql.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, _encode(value)))


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it was given: for replays under the same idempotency key."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    at: float
