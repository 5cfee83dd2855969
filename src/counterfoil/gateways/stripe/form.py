"""Stripe's form encoding: nested maps as `metadata[a]=b`, lists by index as `expand[0]=x` (gateways 1.1)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import quote_plus

Value: TypeAlias = "str | int | bool | Mapping[str, Value] | Sequence[Value] | None"


def encode(params: Mapping[str, Value]) -> bytes:
    """The body of a POST. None is left out; brackets that are ours stay literal, and all else is escaped."""
    pairs = (pair for name, value in params.items() for pair in _flat(_escaped(name), value))
    return "&".join(f"{name}={_escaped(text)}" for name, text in pairs).encode()


def _flat(name: str, value: Value) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case bool():
            yield name, "true" if value else "false"
        case str() | int():
            yield name, str(value)
        case Mapping():
            for key, inner in value.items():
                yield from _flat(f"{name}[{_escaped(key)}]", inner)
        case _:
            for index, inner in enumerate(value):
                yield from _flat(f"{name}[{index}]", inner)


def _escaped(text: str) -> str:
    return quote_plus(text, errors="replace")  # a lone surrogate has no UTF-8
