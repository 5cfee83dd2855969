"""What an endpoint takes: readers from the form's strings to values, with Stripe's errors."""

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from counterfoil.sandbox.stripe.errors import invalid, missing
from counterfoil.sandbox.truth import Json

# A reader takes the value from the form and the parameter's name, and gives the value or raises RefusedError.
Reader = Callable[[Any, str], Any]
Readers = dict[str, Reader]

INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
MAX_TEXT: Final = 5000
# Stripe's limits on metadata.
MAX_KEYS, MAX_KEY, MAX_VALUE = 50, 40, 500
# Stripe reads so many objects at once.
MAX_EXPAND: Final = 20


def text(value: Any, name: str) -> str | None:
    """A string; the empty one unsets."""
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {name} is a map.", param=name)
    if len(value) > MAX_TEXT:
        raise invalid(f"{name} has at most {MAX_TEXT} characters.", param=name)
    return value or None


def word(value: Any, name: str) -> str:
    """A string that is not empty."""
    found = text(value, name)
    if found is None:
        raise invalid(f"{name} is empty, and it cannot be unset.", code="parameter_invalid_empty", param=name)
    return found


def integer(value: Any, name: str) -> int:
    found = word(value, name)
    if not INTEGER.fullmatch(found):
        raise invalid(f"Invalid integer: {found}", code="parameter_invalid_integer", param=name)
    return int(found)


def boolean(value: Any, name: str) -> bool:
    found = word(value, name)
    if found not in {"true", "false"}:
        raise invalid(f"Invalid boolean: {found}", param=name)
    return found == "true"


def off_session(value: Any, name: str) -> bool:
    """A boolean, or the older words for a charge that the customer is not there for."""
    return value in {"one_off", "recurring"} or boolean(value, name)


def one_of(*words: str) -> Reader:
    def read(value: Any, name: str) -> str | None:
        found = text(value, name)
        if found is not None and found not in words:
            raise invalid(f"Invalid {name}: must be one of {', '.join(words)}", param=name)
        return found

    return read


def url(value: Any, name: str) -> str | None:
    found = text(value, name)
    if found is None:
        return None
    try:
        parts = urlsplit(found)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise invalid(f"Not a valid URL: {name}", code="url_invalid", param=name)
    return found


def anything(value: Any, _name: str) -> Any:
    """Taken as it is: what the sandbox gives back, or needs no meaning for."""
    return value


def each(read: Reader, *, most: int = 100) -> Reader:
    """A list of at most so many; an empty string is the empty list."""

    def read_all(value: Any, name: str) -> list[Any]:
        if value == "":
            return []
        if not isinstance(value, dict) or not all(key.isdecimal() for key in value):
            raise invalid(f"Invalid array: {name}", param=name)
        if len(value) > most:
            raise invalid(f"{name} has at most {most} entries.", param=name)
        return [read(value[key], f"{name}[{key}]") for key in sorted(value, key=int)]

    return read_all


def metadata(value: Any, name: str) -> dict[str, str]:
    """Keys to strings; an empty string unsets a key, or all of them in place of the map."""
    if value == "":
        return {"": ""}
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise invalid("Invalid hash: metadata holds strings.", param=name)
    if len(value) > MAX_KEYS or any(len(k) > MAX_KEY or len(v) > MAX_VALUE for k, v in value.items()):
        raise invalid(
            f"Metadata has at most {MAX_KEYS} keys of {MAX_KEY} characters with values of {MAX_VALUE}.",
            param=name,
        )
    return value


def merged(old: dict[str, str], new: dict[str, str] | None) -> dict[str, str]:
    """Metadata after an update as metadata() read it. Raises RefusedError where it grew too big."""
    if new is None:
        return old
    if new == {"": ""}:
        return {}
    both = {key: value for key, value in {**old, **new}.items() if value}
    if len(both) > MAX_KEYS:
        raise invalid(f"Metadata has at most {MAX_KEYS} keys.", param="metadata")
    return both


class Shape:
    """The parameters of an endpoint, or of a map inside it: every other one is an error."""

    def __init__(self, required: str = "", /, **readers: Reader) -> None:
        self._readers = readers
        self._required = required.split()

    def __call__(self, tree: Any, name: str = "") -> Json:
        """The given ones, read. Raises RefusedError."""
        if not isinstance(tree, dict):
            raise invalid(f"Invalid hash: {name}", param=name)
        inside = {key: f"{name}[{key}]" if name else key for key in tree}
        unknown = [inside[key] for key in tree if key not in self._readers]
        if unknown:
            more = "s" if len(unknown) > 1 else ""
            raise invalid(
                f"Received unknown parameter{more}: {', '.join(unknown)}",
                code="parameter_unknown",
                param=unknown[0],
            )
        for key in self._required:
            if key not in tree:
                raise missing(f"{name}[{key}]" if name else key)
        return {key: self._readers[key](value, inside[key]) for key, value in tree.items()}


def limit(value: Any, name: str) -> int:
    found = integer(value, name)
    if not 1 <= found <= 100:
        raise invalid("limit is from 1 to 100.", code="parameter_invalid_integer", param=name)
    return found


_SPAN: Final = Shape(gt=integer, gte=integer, lt=integer, lte=integer)


def created(value: Any, name: str) -> Json:
    """A moment, or a span: {"since": first second, "until": last second}."""
    if isinstance(value, str):
        moment = integer(value, name)
        return {"since": moment, "until": moment}
    span = _SPAN(value, name)
    since = [
        bound for bound in (span.get("gte"), span["gt"] + 1 if "gt" in span else None) if bound is not None
    ]
    until = [
        bound for bound in (span.get("lte"), span["lt"] - 1 if "lt" in span else None) if bound is not None
    ]
    return {"since": max(since, default=None), "until": min(until, default=None)}


expand: Final = each(word, most=MAX_EXPAND)
ADDRESS: Final = Shape(city=text, country=text, line1=text, line2=text, postal_code=text, state=text)
BILLING: Final = Shape(address=ADDRESS, email=text, name=text, phone=text, tax_id=text)
SHIPPING: Final = Shape("name", address=ADDRESS, carrier=text, name=word, phone=text, tracking_number=text)
LIST: Final[Readers] = {
    "created": created,
    "ending_before": word,
    "expand": expand,
    "limit": limit,
    "starting_after": word,
}
