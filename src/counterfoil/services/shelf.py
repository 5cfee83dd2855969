"""Templates that were used last, so that their files are not read again for each receipt."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from counterfoil.documents.template import Template

# A template has at most 8 MB: together no more than a process can spare.
KEPT: Final = 8

Parts = Mapping[str, Template]


class Shelf:
    """By reference, as "kaveri@3": a version never changes, so that nothing here is ever out of date."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Parts] = OrderedDict()

    def find(self, reference: str) -> Parts | None:
        if reference in self._kept:
            self._kept.move_to_end(reference)
        return self._kept.get(reference)

    def put(self, reference: str, parts: Parts) -> None:
        self._kept[reference] = parts
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
