"""One running service a module: tests of it make their own payments and do not disturb one another."""

from collections.abc import Iterator

import pytest

from database import Postgres
from service import Service, serving


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres) as running:
        yield running
