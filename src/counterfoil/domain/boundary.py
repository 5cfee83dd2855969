"""The line between a transaction and the network.

A call to a gateway can take twenty seconds and cannot be rolled back. Made inside a transaction, it would hold row
locks all that time, and its effect would outlive a rollback. So the store marks every open transaction here, and the
gateway client refuses to call while the mark is set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_open: ContextVar[bool] = ContextVar("transaction_open", default=False)


class NetworkInsideTransactionError(AssertionError):
    """A programming error: a gateway was called with a transaction open."""


@contextmanager
def transaction_open() -> Iterator[None]:
    """Mark the enclosed block as a transaction of this task."""
    token = _open.set(True)
    try:
        yield
    finally:
        _open.reset(token)


def refuse_inside_transaction() -> None:
    """Raise NetworkInsideTransactionError where a transaction is open in this task."""
    if _open.get():
        raise NetworkInsideTransactionError("a gateway was called while a transaction was open")
