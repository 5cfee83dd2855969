"""A service in which nothing happens by itself, and whose database can be lost at a commit."""

from collections.abc import Iterator

import pytest

from database import Postgres
from service import Service, Weak, serving


@pytest.fixture(scope="module")
def weak() -> Weak:
    return Weak()


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres, weak: Weak) -> Iterator[Service]:
    """No worker, and webhooks held: whatever happens was asked for by a test."""
    with serving(fast_postgres, work=False, on_commit=weak) as service:
        service.sandbox.webhooks(hold=True)
        service.key()  # made now: a test that counts commits must not count this one
        yield service
