"""A change of the settings: a JSON merge patch (RFC 7396), checked name by name, merged, and checked as a whole."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.settings_fields import BY_PATH, FIELDS, TREE, Field, Kind, Tree, read_sections
from counterfoil.domain.settings_rules import AMOUNTS, shown, unknown, whole, wrong

DEPTH_MOST: Final = 12  # the deepest, an amount in a condition of a rule, has seven
VERSION: Final = whole(1, 2**63 - 1)  # a bigint of PostgreSQL
_UNSTORABLE: Final = re.compile("[\\x00\\ud800-\\udfff]")
_MODES: Final = ("productionSettings.liveMode", "productionSettings.sandboxMode")


@dataclass(frozen=True, slots=True)
class Change:
    """One field that is not what it was."""

    path: str
    before: Any
    after: Any


def expect(patch: Any) -> None:
    """Raise InvalidRequestError unless every name is one, may be written, and is not removed where it must stand."""
    if not isinstance(patch, Mapping):
        raise InvalidRequestError("A change of the settings must be an object.")
    _expect_storable(patch, DEPTH_MOST)
    if "updated_at" in patch:
        raise wrong("updated_at", "is read only")
    _expect(patch, TREE, "")


def _expect_storable(value: Any, levels: int) -> None:
    """Whatever it means, it must be text that can be stored, and not too deep."""
    if levels < 0:
        raise InvalidRequestError(f"A change of the settings has at most {DEPTH_MOST} levels.")
    if isinstance(value, str) and _UNSTORABLE.search(value):
        raise InvalidRequestError(f"{shown(value)}: text may not contain U+0000 or half a surrogate pair.")
    inside = (
        [*value, *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    )
    for one in inside:
        _expect_storable(one, levels - 1)


def _expect(patch: Mapping[str, Any], tree: Tree, where: str) -> None:
    for name, value in patch.items():
        node, path = tree.get(name), f"{where}.{shown(name)}" if where else shown(name)
        if node is None:
            raise unknown(where, name, tree)
        if isinstance(node, Field):
            _expect_field(node, value)
        elif value is None:
            _expect_removable(node, path)
        elif not isinstance(value, Mapping):
            raise wrong(path, f"must be an object with {', '.join(node) or 'nothing in it yet'}")
        else:
            _expect(value, node, path)


def _expect_field(field: Field, value: Any) -> None:
    if field.kind is Kind.READ_ONLY:
        raise wrong(field.path, "is read only")
    if field.kind is Kind.SECRET and value is None:
        raise wrong(field.path, "cannot be removed; replace it, or set enabled to false")
    if value is None and not field.optional:
        raise wrong(field.path, "cannot be removed; it always has a value")


def _expect_removable(tree: Tree, where: str) -> None:
    for name, node in tree.items():
        path = f"{where}.{name}"
        if not isinstance(node, Field):
            _expect_removable(node, path)
        elif not node.optional:
            raise wrong(where, f"cannot be removed: {path} always has a value")


def merge(target: Any, patch: Any) -> Any:
    """The target as the patch changes it; neither is touched."""
    if not isinstance(patch, Mapping):
        return deepcopy(patch)
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def apart_from_version(patch: Any) -> tuple[Any, int | None]:
    """The patch without the version it names, and that version."""
    if not isinstance(patch, Mapping) or "version" not in patch:
        return patch, None
    rest = dict(patch)
    return rest, VERSION.check(rest.pop("version"), "version")


def split(patch: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What goes into the document; and, by path, the secrets and instructions, which do not."""
    rest, apart = deepcopy(dict(patch)), {}
    for field in FIELDS:
        if field.kind in {Kind.SECRET, Kind.INSTRUCTION} and holds(rest, field.path):
            apart[field.path] = take(rest, field.path)
    return rest, apart


def with_both_modes(patch: dict[str, Any]) -> dict[str, Any]:
    """The patch; where it names one of liveMode and sandboxMode, the other follows."""
    named = [path for path in _MODES if holds(patch, path)]
    if len(named) == 1 and isinstance(value_at(patch, named[0]), bool):
        (other,) = set(_MODES) - set(named)
        put(patch, other, not value_at(patch, named[0]))
    return patch


def settle(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as it is stored: only what is known, each field as its rule wants it.

    Raises InvalidRequestError, which names the field. What is left out reads as its default.
    """
    settled: dict[str, Any] = {}
    currency = value_at(complete(document), "business.defaultCurrency")
    for field in FIELDS:
        value = value_at(document, field.path)
        if field.kind is not Kind.PLAIN or value is None:
            continue
        if field.rule is AMOUNTS and isinstance(value, int) and not isinstance(value, bool):
            value = {currency: value}
        put(settled, field.path, field.rule.check(value, field.path))
    if value_at(complete(settled), _MODES[0]) == value_at(complete(settled), _MODES[1]):
        raise wrong(_MODES[0], "and productionSettings.sandboxMode: exactly one must be true")
    read_sections(settled)
    return settled


def complete(document: Mapping[str, Any]) -> dict[str, Any]:
    """The whole document: what is left out as its default, and nothing that is no setting."""
    whole: dict[str, Any] = {name: {} for name in TREE}
    for field in FIELDS:
        if field.kind in {Kind.PLAIN, Kind.READ_ONLY}:
            value = value_at(document, field.path)
            put(whole, field.path, deepcopy(field.default if value is None else value))
    return whole


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """What differs between two complete documents, field by field."""
    for path in BY_PATH:
        if value_at(before, path) != value_at(after, path):
            yield Change(path, value_at(before, path), value_at(after, path))


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """The value there; None where there is none."""
    place: Any = document
    for name in path.split("."):
        place = place.get(name) if isinstance(place, Mapping) else None
    return place


def holds(document: Mapping[str, Any], path: str) -> bool:
    """Whether the path is named, be it with null."""
    section, _, name = path.rpartition(".")
    place = value_at(document, section) if section else document
    return isinstance(place, Mapping) and name in place


def put(document: dict[str, Any], path: str, value: Any) -> None:
    *sections, name = path.split(".")
    for section in sections:
        document = document.setdefault(section, {})
    document[name] = value


def take(document: dict[str, Any], path: str) -> Any:
    """Remove what stands there, and answer it."""
    *sections, name = path.split(".")
    for section in sections:
        document = document[section]
    return document.pop(name)
