import pytest

import builders
from counterfoil.services.context import Context
from counterfoil.store import queue


async def test_a_job_commits_with_its_row_or_not_at_all(ctx: Context):
    async with ctx.db.transaction() as conn:
        await queue.enqueue(conn, queue.UNDERSTAND, ["whk_1", "whk_2"])

    async def fail() -> None:
        async with ctx.db.transaction() as conn:
            await queue.enqueue(conn, queue.LOOK_AFTER, ["pmt_1"])
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with ctx.db.reading() as conn:
        assert await queue.depth(conn) == {"understand": 2}


async def test_nothing_to_do_is_no_job(ctx: Context):
    async with ctx.db.transaction() as conn:
        await queue.enqueue(conn, queue.UNDERSTAND, [])
    async with ctx.db.reading() as conn:
        assert await queue.depth(conn) == {}


async def test_the_queues_log_is_forgotten_after_a_week(ctx: Context):
    async with ctx.db.transaction() as conn:
        for days, aggregated in ((8, True), (8, False), (6, True)):
            await conn.execute(
                "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated)"
                " VALUES (1, 'successful', 0, 'understand', now() - make_interval(days => $1), $2)",
                days,
                aggregated,
            )
        await queue.prune_log(conn)
    left = await builders.rows(ctx, "SELECT aggregated FROM pgqueuer_log ORDER BY created")
    assert [row["aggregated"] for row in left] == [False, True]
