import asyncio

import pytest

from counterfoil.domain.errors import RateLimitedError
from counterfoil.web.turns import Turns


async def test_so_many_go_at_once_and_the_others_wait_for_their_turn():
    turns, most, now = Turns(2, 10), 0, 0

    async def one() -> None:
        nonlocal most, now
        async with turns.taken():
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(one() for _ in range(10)))
    assert (most, now) == (2, 0)


async def test_who_finds_every_place_taken_is_sent_away_and_leaves_none_taken():
    turns, go = Turns(1, 2), asyncio.Event()

    async def one() -> None:
        async with turns.taken():
            await go.wait()

    under_way = [asyncio.create_task(one()) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimitedError, match="Too many receipts"):
        await one()
    under_way[2].cancel()  # who gives up gives up the place
    await asyncio.sleep(0)
    under_way[2] = asyncio.create_task(one())
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*under_way)
    await one()
