"""Events page in the order of commit: whatever commits when, nobody who pages by sequence misses one."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import builders
import outgoing
from counterfoil.services import delivering
from counterfoil.services.context import Context
from counterfoil.store import events
from counterfoil.store.database import Connection
from fleet import until
from outgoing import happened, numbered, sending_house


@pytest.fixture
async def ctx(database_url: str, tmp_path: Path) -> AsyncIterator[Context]:
    async with sending_house(database_url, tmp_path / "key") as house:
        yield house


async def _insert(ctx: Context, conn: Connection, name: str, version: int = 1) -> None:
    await outgoing.publishing.publish(
        ctx,
        conn,
        merchant_id=ctx.merchant_id,
        mode=ctx.mode,
        type_="payment.updated",
        object_id=name,
        version=version,
        body={"id": name},
    )


async def test_what_commits_later_comes_later_however_early_it_was_written(ctx: Context):
    async with AsyncExitStack() as slow:
        conn = await slow.enter_async_context(ctx.db.transaction())
        await _insert(ctx, conn, "written first")
        await happened(ctx, "committed first")
        assert [(one.sequence, one.object_id) for one in await numbered(ctx)] == [(1, "committed first")]
        await happened(ctx, "committed second")
        assert [one.sequence for one in await numbered(ctx)] == [1, 2]
    assert [(one.sequence, one.object_id) for one in await numbered(ctx)] == [
        (1, "committed first"),
        (2, "committed second"),
        (3, "written first"),
    ]


async def test_what_is_rolled_back_leaves_no_gap(ctx: Context):
    async def fail() -> None:
        async with ctx.db.transaction() as conn:
            await _insert(ctx, conn, "never")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    await happened(ctx, "there")
    assert [(one.sequence, one.object_id) for one in await numbered(ctx)] == [(1, "there")]


async def test_a_reader_beside_many_writers_and_numberers_misses_nothing(ctx: Context):
    """Transactions that overlap and end in any order, three who number at once, one who pages by the last it saw."""
    chance, writers, each = random.Random(7), 6, 30
    seen: list[tuple[int, str, int]] = []
    done = asyncio.Event()

    async def write(name: str) -> None:
        for version in range(1, each + 1):
            async with ctx.db.transaction() as conn:
                await _insert(ctx, conn, name, version)
                await asyncio.sleep(chance.random() * 0.01)

    async def number() -> None:
        while not done.is_set():
            await delivering.number(ctx)
            await asyncio.sleep(chance.random() * 0.005)

    async def read() -> bool:
        async with ctx.db.reading() as conn:
            last = seen[-1][0] if seen else 0
            found = await events.after(conn, ctx.merchant_id, ctx.mode, sequence=last, limit=7)
        seen.extend((one.sequence or 0, one.object_id, one.version) for one in found)
        return len(seen) == writers * each

    numbering = [asyncio.create_task(number()) for _ in range(3)]
    writing = [asyncio.create_task(write(f"pmt_{n}")) for n in range(writers)]
    try:
        await until(read, seconds=20)
    finally:
        done.set()
        await asyncio.gather(*numbering, *writing)
    assert [sequence for sequence, _, _ in seen] == list(range(1, writers * each + 1))
    for n in range(writers):
        assert [version for _, name, version in seen if name == f"pmt_{n}"] == list(range(1, each + 1))


async def test_events_of_the_other_mode_are_another_list(ctx: Context):
    await happened(ctx, "here")
    async with ctx.db.transaction() as conn:
        await outgoing.publishing.publish(
            ctx,
            conn,
            merchant_id=ctx.merchant_id,
            mode="live",
            type_="payment.updated",
            object_id="there",
            version=1,
            body={},
        )
    assert [one.object_id for one in await numbered(ctx)] == ["here"]


async def test_who_numbers_is_alone_and_others_pass_by(ctx: Context):
    await happened(ctx, "one")
    async with ctx.db.transaction() as conn:
        assert await events.number(conn, limit=10, now=ctx.now()) == 1
        assert await delivering.number(ctx) == 0
    assert await delivering.number(ctx) == 0
    assert await builders.one(ctx, "SELECT last FROM event_sequence") == 1


async def test_whoever_listens_is_told_of_new_numbers(ctx: Context, database_url: str):
    heard = asyncio.Event()
    async with events.listening(database_url, heard.set):
        await happened(ctx, "one")
        assert not heard.is_set()
        await delivering.number(ctx)
        await asyncio.wait_for(heard.wait(), 5)


async def test_a_lost_line_is_told(ctx: Context, database_url: str, owner_url: str):
    async with events.listening(database_url, lambda: None) as lost:
        async with ctx.db.reading() as conn:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        await asyncio.wait_for(lost.wait(), 5)
