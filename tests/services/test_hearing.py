"""A callback in the process: every event once where nothing fails, and none lost where something does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import builders
from counterfoil import wiring
from counterfoil.services import delivering, hearing, worker
from counterfoil.services.context import Context, OnEvent
from counterfoil.settings import Settings
from fleet import until
from outgoing import advance, happened, sending_house


class Ear:
    """Hears events, unless it was told to fail."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.fails = 0
        self.hangs = False

    async def __call__(self, event: dict[str, Any]) -> None:
        if self.hangs:
            await asyncio.sleep(60)
        if self.fails:
            self.fails -= 1
            raise ValueError("the callback's own trouble")
        self.heard.append(event["version"])


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def ctx(database_url: str, tmp_path: Path, ear: Ear) -> AsyncIterator[Context]:
    async with sending_house(database_url, tmp_path / "key", on_event=OnEvent(ear, name="books")) as house:
        await hearing.register(house)
        yield house


async def told(ctx: Context, *versions: int) -> int:
    for version in versions:
        await happened(ctx, "pmt_1", version)
    await delivering.number(ctx)
    return await hearing.tell(ctx)


async def test_it_hears_every_event_in_order_and_once(ctx: Context, ear: Ear):
    assert await told(ctx, 1, 2, 3) == 3
    assert await told(ctx, 4) == 1
    assert await hearing.tell(ctx) == 0
    assert ear.heard == [1, 2, 3, 4]


async def test_more_than_is_read_at_once_is_heard(ctx: Context, ear: Ear, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hearing, "BATCH", 2)
    assert await told(ctx, *range(1, 8)) == 7
    assert ear.heard == list(range(1, 8))


async def test_one_that_raises_is_called_again_ever_later_and_the_others_wait(ctx: Context, ear: Ear):
    ear.fails = 3
    assert await told(ctx, 1, 2) == 0
    for wait in (1, 2, 4):
        advance(ctx, timedelta(seconds=wait, microseconds=-1))
        assert await hearing.tell(ctx) == 0
        assert ear.heard == []
        advance(ctx, timedelta(microseconds=1))
        await hearing.tell(ctx)
    assert ear.heard == [1, 2]
    assert await builders.one(ctx, "SELECT error FROM listeners") is None


async def test_what_it_raised_is_kept(ctx: Context, ear: Ear):
    ear.fails = 1
    await told(ctx, 1)
    assert await builders.one(ctx, "SELECT error FROM listeners") == "ValueError: the callback's own trouble"


async def test_one_that_hangs_is_given_up_and_called_again(
    ctx: Context, ear: Ear, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hearing, "PATIENCE_S", 0.05)
    ear.hangs = True
    assert await told(ctx, 1) == 0
    ear.hangs = False
    advance(ctx, timedelta(seconds=1))
    assert await hearing.tell(ctx) == 1
    assert ear.heard == [1]


async def test_after_a_crash_it_goes_on_where_it_was(ctx: Context, ear: Ear):
    """The process dies in the callback: nothing after it is written, and the lease keeps others away until it ends."""
    await told(ctx, 1)

    async def die(_: dict[str, Any]) -> None:
        raise asyncio.CancelledError

    dying = replace(ctx, on_event=OnEvent(die, name="books"))
    with pytest.raises(asyncio.CancelledError):
        await told(dying, 2, 3)
    assert await hearing.tell(ctx) == 0
    advance(ctx, hearing.LEASE)
    assert await hearing.tell(ctx) == 2
    assert ear.heard == [1, 2, 3]


async def test_two_processes_with_one_name_hear_each_event_once(ctx: Context, ear: Ear):
    for version in range(1, 21):
        await happened(ctx, "pmt_1", version)
    await delivering.number(ctx)
    await asyncio.gather(*(hearing.tell(ctx) for _ in range(4)))
    assert ear.heard == list(range(1, 21))


async def test_another_name_hears_for_itself_and_only_of_what_is_new(ctx: Context, ear: Ear):
    await told(ctx, 1)
    other = Ear()
    beside = replace(ctx, on_event=OnEvent(other, name="mail"))
    await hearing.tell(beside)
    await told(beside, 2)
    assert other.heard == [2]
    await hearing.tell(ctx)
    assert ear.heard == [1, 2]


async def test_without_a_callback_nothing_is_done(ctx: Context):
    assert await hearing.tell(replace(ctx, on_event=None)) == 0


async def test_whoever_opens_the_house_with_a_callback_is_told_by_its_worker(
    database_url: str, tmp_path: Path, ear: Ear
):
    addresses = wiring.Addresses(url=database_url, owner_url=database_url, direct_url=database_url)
    settings = Settings(**builders.KEYS, key_file=tmp_path / "key")
    async with wiring.open_house(settings, addresses, on_event=OnEvent(ear)) as house:
        await happened(house.context, "pmt_1", 7)  # before the worker is there
        stop = asyncio.Event()
        working = asyncio.create_task(worker.work(house.context, database_url, stop))

        async def heard() -> bool:
            return ear.heard == [7]

        try:
            await until(heard, seconds=10)
        finally:
            stop.set()
            await working
