"""Stripe's form encoding: a[b]=c and a[0]=d and a[]=e, as a tree of strings."""

import re
from typing import Final
from urllib.parse import parse_qsl

from counterfoil.sandbox.stripe.errors import invalid
from counterfoil.sandbox.truth import Json

NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
# Stripe's deepest parameters have five levels; its longest lists some hundred entries.
MAX_DEPTH: Final = 8
MAX_FIELDS: Final = 1000


def parse(raw: bytes) -> Json:
    """The tree of a form body or a query string; lists are mappings from "0", "1", … Raises RefusedError."""
    tree: Json = {}
    for name, value in _pairs(raw):
        matched = NAME.fullmatch(name)
        if matched is None:
            raise invalid("A parameter's name has unbalanced brackets.", param=name)
        path = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])]
        if len(path) > MAX_DEPTH:
            raise invalid("A parameter is nested too deeply.", param=matched[1])
        _put(tree, path, value, name)
    return tree


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS, separator="&"
        )
    except UnicodeDecodeError as error:
        raise invalid("The request's parameters are not valid UTF-8.") from error
    except ValueError as error:
        raise invalid(f"A request takes at most {MAX_FIELDS} parameters.") from error


def _put(tree: Json, path: list[str], value: str, name: str) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step or str(len(tree)), {})
        if not isinstance(tree, dict):
            raise invalid("A parameter is both a value and a map.", param=name)
    last = path[-1] or str(len(tree))
    if isinstance(tree.get(last), dict):
        raise invalid("A parameter is both a value and a map.", param=name)
    tree[last] = value
