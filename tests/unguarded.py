"""The service with one of its rules broken, from outside: whoever looks for double charges must find them here.

A proof that also holds without the rule it is about proves nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from counterfoil.services import idempotency


@contextmanager
def forgetful() -> Iterator[None]:
    """A retry is taken for a new request: no idempotency record is kept, none is looked at."""

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    with patch.object(idempotency, "claim", nothing), patch.object(idempotency, "claim_alone", nothing):
        yield


RULES: Final[dict[str, Callable[[], Any]]] = {"idempotency": forgetful}
