"""Reading what a caller sent, field by field, with Razorpay's own complaints."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from counterfoil.sandbox.calls import RefusedError
from counterfoil.sandbox.razorpay.errors import extra_fields, refused, unreadable_body

MAX_NOTES: Final = 15
MAX_NOTE_LENGTH: Final = 256
PAGE_SIZE: Final = 10
MAX_PAGE_SIZE: Final = 100
# The unix seconds that Razorpay takes for `from` and `to`: 2000-01-01 to 2121-01-01.
EARLIEST: Final = 946684800
LATEST: Final = 4765046400
MAX_SKIP: Final = 2**31 - 1

Notes: TypeAlias = dict[str, str | int] | list[Any]


class Fields:
    """A JSON object under reading. Every reader raises RefusedError naming the field in its full path."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path

    @classmethod
    def of(cls, body: bytes) -> "Fields":
        """The object in a request's body; no body at all reads as an empty one."""
        try:
            values = msgspec.json.decode(body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
            raise unreadable_body() from broken
        if not isinstance(values, dict):
            raise unreadable_body()
        return cls(values)

    def only(self, *names: str) -> "Fields":
        """Itself, when it has no other field than these."""
        if extra := sorted(self._values.keys() - set(names)):
            raise extra_fields([self._path + name for name in extra])
        return self

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def inner(self, name: str) -> "Fields":
        """The object under this name, empty when absent."""
        value = self._values.get(name)
        if value is None:
            return Fields({}, f"{self._path}{name}.")
        if not isinstance(value, dict):
            raise self._wrong(name, "must be an array")  # Razorpay's word for an object, too
        return Fields(value, f"{self._path}{name}.")

    def integer(self, name: str) -> int:
        value = self._required(name)
        if type(value) is not int:
            raise self._wrong(name, "must be an integer")
        return value

    def optional_integer(self, name: str, default: int, *, least: int, most: int) -> int:
        if not self.has(name):
            return default
        value = self.integer(name)
        if value < least:
            raise self._wrong(name, f"must be at least {least}")
        if value > most:
            raise self._wrong(name, f"may not be greater than {most}")
        return value

    def text(self, name: str, *, longest: int = MAX_NOTE_LENGTH) -> str:
        value = self._required(name)
        if not isinstance(value, str):
            raise self._wrong(name, "must be a string")
        if len(value) > longest:
            raise self._wrong(name, f"may not be greater than {longest} characters")
        return value

    def optional_text(self, name: str, *, longest: int = MAX_NOTE_LENGTH) -> str | None:
        return self.text(name, longest=longest) if self.has(name) else None

    def texts(self, name: str, *, most: int) -> list[str]:
        """A list of strings, empty when absent."""
        values = self._values.get(name) or []
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise self._wrong(name, "must be an array")
        if len(values) > most:
            raise self._wrong(name, f"may not have more than {most} items")
        return values

    def objects(self, name: str, *, most: int) -> "list[Fields]":
        """A list of objects, empty when absent."""
        values = self._values.get(name) or []
        if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
            raise self._wrong(name, "must be an array")
        if len(values) > most:
            raise self._wrong(name, f"may not have more than {most} items")
        return [Fields(one, f"{self._path}{name}.{place}.") for place, one in enumerate(values)]

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str) or value not in allowed:
            raise refused(f"The selected {self._path}{name} is invalid.", field=self._path + name)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean, also written 0 or 1 as the older calls do."""
        value = self._values.get(name, default)
        if value not in (True, False):
            raise self._wrong(name, "field must be true or false")
        return bool(value)

    def notes(self, *, required: bool = False) -> Notes:
        """Up to 15 pairs; an empty map is kept, and answered, as `[]`."""
        value = self._required("notes") if required else self._values.get("notes")
        if not value and (value is None or isinstance(value, list | dict)):
            return []
        if not isinstance(value, dict):
            raise self._wrong("notes", "must be an array")
        if len(value) > MAX_NOTES:
            raise refused(
                f"The number of fields in notes should be less than or equal to {MAX_NOTES}", field="notes"
            )
        return {key: self._note(key, note) for key, note in value.items()}

    def _note(self, key: str, note: Any) -> str | int:
        if type(note) is int:
            return note
        if not isinstance(note, str):
            raise refused(f"The notes.{key} must be a string.", field="notes")
        if max(len(key), len(note)) > MAX_NOTE_LENGTH:
            raise refused(
                f"The notes.{key} may not be greater than {MAX_NOTE_LENGTH} characters.", field="notes"
            )
        return note

    def _required(self, name: str) -> Any:
        value = self._values.get(name)
        if value is None:
            raise self._wrong(name, "field is required")
        return value

    def _wrong(self, name: str, complaint: str) -> RefusedError:
        return refused(f"The {self._path}{name} {complaint}.", field=self._path + name)


class Page(msgspec.Struct, frozen=True):
    """A window over a list that is newest first: rows created from `start` to `end`, `skip` of them left out."""

    count: int
    skip: int
    start: int
    end: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Page":
        return cls(
            count=_number(query, "count", PAGE_SIZE, 1, MAX_PAGE_SIZE),
            skip=_number(query, "skip", 0, 0, MAX_SKIP),
            start=_number(query, "from", 0, EARLIEST, LATEST),
            end=_number(query, "to", LATEST, EARLIEST, LATEST),
        )


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit():
        raise refused(f"The {name} must be an integer.", field=name)
    # Eleven digits are past every limit here, and int() of a huge text is slow.
    value = int(text[:11])
    if value < least:
        raise refused(f"The {name} must be at least {least}.", field=name)
    if value > most:
        raise refused(f"The {name} may not be greater than {most}.", field=name)
    return value
