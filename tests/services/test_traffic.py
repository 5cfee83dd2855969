"""Understanding waits for a lull at the door, and never for ever."""

import asyncio

from counterfoil.services.traffic import Traffic


async def test_with_nobody_at_the_door_nothing_waits():
    await asyncio.wait_for(Traffic().lull(60), 1)


async def test_the_lull_begins_when_the_last_has_been_stored():
    traffic = Traffic()
    with traffic.arriving():
        with traffic.arriving():
            waiting = asyncio.create_task(traffic.lull(60))
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)


async def test_a_flood_delays_understanding_for_so_long_and_no_longer():
    traffic = Traffic()
    with traffic.arriving():
        await asyncio.wait_for(traffic.lull(0.01), 5)
