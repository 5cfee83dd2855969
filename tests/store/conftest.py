from collections.abc import AsyncIterator

import pytest

import builders
from counterfoil.services.context import Context


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with builders.open_house(database_url) as house:
        yield house.context
