import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

import builders
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.services import attempts, inbox, settling, sweeping, worker
from counterfoil.services.context import Context
from counterfoil.store import database as store
from counterfoil.store import queue
from counterfoil.store.embedded import supervise
from counterfoil.store.migrate import migrate
from database import Database, binaries, folder, memory
from fleet import SWEEPS, until

SOON_S = 10.0  # a quiet machine needs a tenth of a second


class Gate:
    """Holds commits while it is shut, but for those of the sweeps, and tells when one is held."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()

    async def __call__(self, moment: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        if moment == "before commit" and not self.open.is_set() and task.get_name() not in SWEEPS:
            self.reached.set()
            await self.open.wait()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def ctx(database_url: str, gate: Gate, tmp_path: Path) -> AsyncIterator[Context]:
    async with builders.open_house(database_url, on_commit=gate, key_file=tmp_path / "key") as house:
        yield house.context


@asynccontextmanager
async def at_work(ctx: Context, url: str) -> AsyncIterator[asyncio.Event]:
    """A worker in this process, and the event that stops it."""
    stop = asyncio.Event()
    working = asyncio.create_task(worker.work(ctx, url, stop))
    try:
        yield stop
    finally:
        stop.set()
        await working


async def a_letter(ctx: Context) -> str:
    """A letter that says that a payment of ours was captured."""
    story = builders.life("stripe")
    await builders.owed_by(ctx, story)
    [letter_id] = await builders.stored(ctx, "stripe", story.events["03_charge.succeeded"])
    return letter_id


async def status(ctx: Context, letter_id: str) -> str:
    """What stands on the letter; nothing, while the database is away."""
    try:
        return str(await builders.one(ctx, "SELECT status FROM inbox WHERE id = $1", letter_id))
    except DatabaseAwayError:
        return ""


async def processed(ctx: Context, letter_id: str, *, seconds: float = SOON_S) -> None:
    async def done() -> bool:
        return await status(ctx, letter_id) == "processed"

    await until(done, seconds=seconds)


async def jobs(ctx: Context) -> list[str]:
    """The states of the jobs in the queue."""
    return [row["status"] for row in await builders.rows(ctx, "SELECT status FROM pgqueuer ORDER BY id")]


async def test_what_is_stored_is_understood_and_its_job_is_gone(ctx: Context, database_url: str):
    async with at_work(ctx, database_url):
        await processed(ctx, await a_letter(ctx))

        async def empty() -> bool:
            return await jobs(ctx) == []

        await until(empty, seconds=SOON_S)


async def test_a_stopping_worker_finishes_what_it_has_in_hand(ctx: Context, database_url: str, gate: Gate):
    letter_id = await a_letter(ctx)
    gate.open.clear()
    async with at_work(ctx, database_url) as stop:
        await asyncio.wait_for(gate.reached.wait(), SOON_S)
        stop.set()
        await asyncio.sleep(0.1)
        gate.open.set()
    assert await status(ctx, letter_id) == "processed"


async def test_a_worker_cut_off_in_a_job_leaves_the_job_for_the_next(
    ctx: Context, database_url: str, gate: Gate
):
    letter_id = await a_letter(ctx)
    gate.open.clear()
    working = asyncio.create_task(worker.work(ctx, database_url, asyncio.Event()))
    await asyncio.wait_for(gate.reached.wait(), SOON_S)
    for _ in range(3):  # as a loop does that is torn down
        working.cancel()
        await asyncio.sleep(0.05)
    await asyncio.gather(working, return_exceptions=True)
    gate.open.set()
    assert await status(ctx, letter_id) == "received"
    assert len(await jobs(ctx)) == 1
    async with at_work(ctx, database_url):
        await processed(ctx, letter_id, seconds=15)


async def test_a_notification_that_is_lost_is_made_up_for_by_the_poll(ctx: Context, database: Database):
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("ALTER TABLE pgqueuer DISABLE TRIGGER USER")  # the trigger that notifies
    await owner.close()
    async with at_work(ctx, database.app_url):
        await asyncio.sleep(0.3)  # it has looked once and listens
        await processed(ctx, await a_letter(ctx), seconds=5)


async def test_a_job_that_is_lost_is_made_up_for_by_the_sweep(ctx: Context, database_url: str):
    letter_id = await a_letter(ctx)
    async with ctx.db.transaction() as conn:
        await conn.execute("DELETE FROM pgqueuer")
    async with at_work(ctx, database_url):
        await asyncio.sleep(0.3)
        assert await status(ctx, letter_id) == "received"
        ctx.clock.advance(timedelta(seconds=31))  # type: ignore[attr-defined]  the builders' clock can be moved
        await processed(ctx, letter_id)


async def test_a_letter_that_breaks_is_parked_with_its_error_and_stops_no_other(
    ctx: Context, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    bad, good = await a_letter(ctx), await a_letter(ctx)
    understand = inbox.understand

    async def breaking(ctx: Context, letter_id: str) -> Any:
        if letter_id == bad:
            raise ZeroDivisionError("a rule of ours is wrong")
        return await understand(ctx, letter_id)

    monkeypatch.setattr(inbox, "understand", breaking)
    async with at_work(ctx, database_url):
        await processed(ctx, good)

        async def parked() -> bool:
            return await status(ctx, bad) == "parked"

        await until(parked, seconds=SOON_S)
        monkeypatch.undo()
        reason = await builders.one(ctx, "SELECT reason FROM inbox WHERE id = $1", bad)
        assert reason == "error: ZeroDivisionError: a rule of ours is wrong"
        ctx.clock.advance(timedelta(seconds=2))  # type: ignore[attr-defined]  the builders' clock can be moved
        await processed(ctx, bad)


async def test_a_letter_met_while_the_database_is_away_is_not_blamed_and_tried_again(
    ctx: Context, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    letter_id = await a_letter(ctx)
    understand, met = inbox.understand, []

    async def away(ctx: Context, letter_id: str) -> Any:
        met.append(letter_id)
        if len(met) == 1:
            raise DatabaseAwayError("The database cannot be reached.")
        return await understand(ctx, letter_id)

    monkeypatch.setattr(inbox, "understand", away)
    async with at_work(ctx, database_url):
        await processed(ctx, letter_id)
    assert met == [letter_id, letter_id]
    assert await builders.one(ctx, "SELECT tries FROM inbox") == 1


async def test_more_letters_than_connections_wait_their_turn(
    ctx: Context, database_url: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    understand, calls = inbox.understand, []

    async def counted(ctx: Context, letter_id: str) -> Any:
        calls.append(letter_id)
        return await understand(ctx, letter_id)

    monkeypatch.setattr(inbox, "understand", counted)
    monkeypatch.setattr(store, "ACQUIRE_S", 0.2)
    letters = [await a_letter(ctx) for _ in range(3 * store.POOL_SIZE)]
    gate.open.clear()
    async with at_work(ctx, database_url):
        await asyncio.wait_for(gate.reached.wait(), SOON_S)
        await asyncio.sleep(1)  # five times what a connection is waited for
        gate.open.set()
        for letter_id in letters:
            await processed(ctx, letter_id)
    assert sorted(calls) == sorted(letters)  # none was told that the database is away, and came again


async def test_a_payment_to_look_after_is_looked_after(
    ctx: Context, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def capture_due(_ctx: Context, payment_id: str) -> None:
        await seen.put(payment_id)

    monkeypatch.setattr(attempts, "capture_due", capture_due)
    async with at_work(ctx, database_url):
        async with ctx.db.transaction() as conn:
            await queue.enqueue(conn, queue.LOOK_AFTER, ["pmt_1"])
        assert await asyncio.wait_for(seen.get(), SOON_S) == "pmt_1"


@pytest.mark.parametrize("error", [DatabaseAwayError("Away."), KeyError("a bug")])
async def test_a_look_at_a_payment_that_fails_is_tried_again(
    ctx: Context, database_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    looks: asyncio.Queue[str] = asyncio.Queue()

    async def look_after(_ctx: Context, payment_id: str) -> None:
        await looks.put(payment_id)
        if looks.qsize() == 1:
            raise error

    monkeypatch.setattr(settling, "look_after", look_after)
    monkeypatch.setattr(worker, "LOOK_AGAIN", timedelta(seconds=0.1))
    async with at_work(ctx, database_url):
        async with ctx.db.transaction() as conn:
            await queue.enqueue(conn, queue.LOOK_AFTER, ["pmt_1"])

        async def twice() -> bool:
            return looks.qsize() == 2 and await jobs(ctx) == []

        await until(twice, seconds=SOON_S)


async def test_a_sweep_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    errors: list[BaseException | None] = [DatabaseAwayError("Away."), KeyError("a bug"), None]
    stop, swept = asyncio.Event(), []

    async def sweep() -> None:
        swept.append(len(swept))
        if error := errors[min(len(swept) - 1, 2)]:
            raise error
        stop.set()

    await asyncio.wait_for(worker._every(0.01, stop, sweep), SOON_S)
    assert swept == [0, 1, 2]


async def test_a_sweep_that_left_something_goes_on_at_once():
    stop, left = asyncio.Event(), [True, True, False]

    async def sweep() -> bool:
        more = left.pop(0)
        if not more:
            stop.set()
        return more

    await asyncio.wait_for(worker._every(600, stop, sweep), SOON_S)
    assert left == []


async def test_a_sweep_says_whether_it_took_as_much_as_it_could(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sweeping, "LETTERS_AT_ONCE", 2)
    monkeypatch.setattr(sweeping, "AT_ONCE", 1)
    for _ in range(3):
        await a_letter(ctx)
    ctx.clock.advance(timedelta(seconds=31))  # type: ignore[attr-defined]  the builders' clock can be moved
    assert [await sweeping.due_letters(ctx) for _ in range(2)] == [True, False]
    assert await sweeping.due_payments(ctx) is False


async def test_what_has_had_its_time_is_forgotten(ctx: Context):
    async with ctx.db.transaction() as conn:
        await conn.execute(
            "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated)"
            " VALUES (1, 'successful', 0, 'understand', now() - interval '8 days', true)"
        )
    await sweeping.prune(ctx)
    assert await builders.one(ctx, "SELECT count(*) FROM pgqueuer_log") == 0


# Death.

# Takes a job, does all of it but the commit, says so, and waits to be killed.
DYING = """
import asyncio, sys
from pathlib import Path
import builders
from counterfoil.services import worker
from fleet import SWEEPS

async def hold(moment):
    if moment == "before commit" and opened and asyncio.current_task().get_name() not in SWEEPS:
        print("held", flush=True)
        await asyncio.sleep(600)

opened = []

async def main():
    async with builders.open_house(sys.argv[1], on_commit=hold, key_file=Path(sys.argv[2])) as house:
        opened.append(house)
        await worker.work(house.context, sys.argv[1], asyncio.Event())

asyncio.run(main())
"""


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts workers that die in the middle of a job."""
    started: list[subprocess.Popen[str]] = []

    def start(url: str) -> subprocess.Popen[str]:
        path = str(Path(builders.__file__).parent)
        process = subprocess.Popen(
            [sys.executable, "-c", DYING, url, str(tmp_path / "key")],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.crash
async def test_the_job_of_a_dead_worker_is_taken_up_by_another(
    ctx: Context, database_url: str, dying: Callable[[str], subprocess.Popen[str]]
):
    process = dying(database_url)
    letter_id = await a_letter(ctx)
    assert process.stdout is not None
    assert await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 30) == "held\n"
    assert await jobs(ctx) == ["picked"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert await status(ctx, letter_id) == "received"
    async with at_work(ctx, database_url):
        await processed(ctx, letter_id, seconds=20)
    assert await builders.one(ctx, "SELECT tries FROM inbox") == 1
    assert await builders.one(ctx, "SELECT count(*) FROM journals") == 1


@pytest.fixture
def own_postgres() -> Iterator[tuple[Database, Callable[[], psutil.Process]]]:
    """A server of this test's own, which comes back when its first process is killed."""
    with folder(memory()) as data, supervise(data, binaries=binaries()) as server:
        migrate(server.url("owner"))

        def main() -> psutil.Process:
            ours = [child for child in psutil.Process().children() if "postgres" in child.name()]
            return max(ours, key=psutil.Process.create_time)

        yield Database(server.url("app"), server.url("owner")), main


@pytest.mark.crash
async def test_a_restart_of_the_database_is_survived(
    own_postgres: tuple[Database, Callable[[], psutil.Process]], gate: Gate
):
    database, main = own_postgres
    async with (
        builders.open_house(database.app_url, on_commit=gate) as house,
        at_work(house.context, database.app_url),
    ):
        ctx = house.context
        await processed(ctx, await a_letter(ctx))
        cut_off = await a_letter(ctx)
        main().kill()

        fresh = await until(lambda: _if_possible(ctx), seconds=20)
        await processed(ctx, fresh, seconds=20)
        ctx.clock.advance(timedelta(seconds=31))  # type: ignore[attr-defined]  the builders' clock can be moved
        await processed(ctx, cut_off, seconds=20)
        journals, charges = [
            await builders.one(ctx, f"SELECT count(*) FROM {table}") for table in ("journals", "charges")
        ]
        assert journals == charges >= 3


async def _if_possible(ctx: Context) -> str | None:
    """A letter, unless the database is away."""
    try:
        return await a_letter(ctx)
    except DatabaseAwayError:
        return None


async def test_a_process_that_is_not_fit_for_live_mode_takes_no_work_while_the_settings_are_live(
    ctx: Context, database_url: str
):
    async def live(is_live: bool) -> None:
        async with ctx.db.transaction() as conn:
            document = await conn.fetchval("SELECT document FROM settings FOR UPDATE")
            document["productionSettings"] |= {"liveMode": is_live, "sandboxMode": not is_live}
            await conn.execute("UPDATE settings SET document = $1, version = version + 1", document)
        await ctx.directory.refresh()

    letter = await a_letter(ctx)
    await live(True)
    async with at_work(replace(ctx, live_obstacle="It follows a clock."), database_url):
        await asyncio.sleep(2 * worker.FIT_EVERY_S)
        assert await status_of(ctx, letter) == "received"
        await live(False)
        await until_done(ctx, letter)
        await live(True)
        await asyncio.sleep(2 * worker.FIT_EVERY_S)
        async with ctx.db.transaction() as conn:
            await queue.enqueue(conn, queue.LOOK_AFTER, ["pmt_of_nobody"])
        await asyncio.sleep(2 * worker.FIT_EVERY_S)
        assert await builders.one(ctx, "SELECT count(*) FROM pgqueuer") == 1


async def status_of(ctx: Context, letter: str) -> str:
    status: str = await builders.one(ctx, "SELECT status FROM inbox WHERE id = $1", letter)
    return status


async def until_done(ctx: Context, letter: str) -> None:
    async def done() -> bool:
        return await status_of(ctx, letter) == "processed"

    await until(done, seconds=SOON_S)
