"""Configuration becomes a running house: where the database is, which key file, whose clock."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog

from builders import KEYS
from counterfoil import wiring
from counterfoil.domain.errors import ConfigurationError, DatabaseAwayError
from counterfoil.gateways.http import Answer, Http
from counterfoil.services.context import House
from counterfoil.settings import Settings
from sandbox_server import run_sandbox

OWN = Settings(**KEYS)


@asynccontextmanager
async def house(database_url: str, key: Path, **changes: Any) -> AsyncIterator[House]:
    addresses = wiring.Addresses(url=database_url, owner_url=database_url, direct_url=database_url)
    async with wiring.open_house(replace(OWN, key_file=key, **changes), addresses) as opened:
        yield opened


# The database


def test_a_foreign_database_is_taken_as_it_is_named():
    url, direct = "postgresql://app@pooler/x", "postgresql://owner@db/x"
    with wiring.find_database(Settings(database_url=url), supervise=True) as found:
        assert (found.url, found.owner_url, found.direct_url) == (url, url, url)
    pooled = Settings(database_url=url, database_direct_url=direct)
    with wiring.find_database(pooled, supervise=False) as found:
        assert (found.url, found.owner_url, found.direct_url) == (url, direct, direct)


def test_without_one_our_own_is_started_in_its_folder_and_migrated_once(data_folder):
    settings = Settings(data=data_folder / "data")
    with wiring.find_database(settings, supervise=True) as found:
        assert wiring.bring_up_to_date(found) != []
        assert wiring.bring_up_to_date(found) == []
        assert asyncio.run(fetch(found.url, "SELECT count(*) FROM payments")) == 0
        with wiring.find_database(settings, supervise=False) as attached:
            assert asyncio.run(fetch(attached.url, "SELECT count(*) FROM payments")) == 0
        assert asyncio.run(fetch(found.url, "SELECT current_user")) == "app"
        assert asyncio.run(fetch(found.owner_url, "SELECT current_user")) == "owner"
    with pytest.raises((OSError, asyncpg.PostgresError)):
        asyncio.run(fetch(found.url, "SELECT 1"))


async def fetch(url: str, sql: str) -> Any:
    conn = await asyncpg.connect(url, timeout=5)
    try:
        return await conn.fetchval(sql)
    finally:
        await conn.close()


@pytest.mark.parametrize("url", ["postgresql://app@127.0.0.1:1/x", "mysql://app@127.0.0.1/x", "nonsense"])
async def test_a_database_that_is_not_there_is_told_in_a_sentence_without_its_password(tmp_path, url):
    with pytest.raises(DatabaseAwayError, match="The database cannot be reached") as away:
        async with house(url.replace("app@", "app:hidden@"), tmp_path / "key"):
            pass
    assert "hidden" not in away.value.detail


async def test_behind_a_transaction_pooler_no_statement_is_prepared_by_name(database_url, tmp_path):
    async with (
        house(database_url, tmp_path / "key", database_direct_url=database_url) as opened,
        opened.context.db.reading() as conn,
    ):
        await conn.fetchval("SELECT 1")
        assert await conn.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0


# The key file


async def test_in_sandbox_mode_the_key_is_made_beside_the_data(database_url, tmp_path):
    async with house(database_url, None, data=tmp_path):
        assert (tmp_path / "key-encryption.key").is_file()


async def test_in_live_mode_the_key_is_never_made(database_url, tmp_path):
    with pytest.raises(ConfigurationError, match="There is no key-encryption key"):
        async with house(database_url, tmp_path / "key", mode="live"):
            pass
    assert not (tmp_path / "key").exists()


async def test_a_house_that_cannot_be_opened_leaves_nothing_running(database_url, tmp_path):
    async with house(database_url, tmp_path / "key"):
        pass
    before = asyncio.all_tasks()
    with pytest.raises(ConfigurationError):
        async with house(database_url, tmp_path / "another key"):
            pass
    assert asyncio.all_tasks() == before
    admin = await asyncpg.connect(database_url)
    try:
        for _ in range(100):
            others = await admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if others == 0:
                break
            await asyncio.sleep(0.02)
        assert others == 0
    finally:
        await admin.close()


# What the environment says against what is stored


async def test_where_the_environment_differs_from_what_is_stored_it_is_told_and_not_taken(
    database_url, tmp_path, monkeypatch
):
    async with house(database_url, tmp_path / "key"):
        pass
    said = structlog.testing.LogCapture()
    monkeypatch.setattr(wiring, "log", structlog.wrap_logger(None, processors=[said]))
    async with house(database_url, tmp_path / "key", stripe_secret_key="sk_test_counterfoil_other"):
        pass
    told = said.entries
    assert [line["variable"] for line in told] == ["COUNTERFOIL_STRIPE_SECRET_KEY"]
    assert "sk_test" not in str(told)


# The sandbox's clock


async def follows(opened: House, seconds: float) -> None:
    clock: Any = opened.context.clock
    async with asyncio.timeout(5):
        while abs(clock.ahead.total_seconds() - seconds) > 0.01:
            await asyncio.sleep(0.02)


async def test_a_house_follows_the_sandboxes_clock_from_its_first_moment(database_url, tmp_path):
    with run_sandbox() as sandbox:
        sandbox.advance(3600)
        async with house(database_url, tmp_path / "key", clock_url=f"{sandbox.url}/_sandbox/clock") as opened:
            assert opened.context.clock.ahead == timedelta(hours=1)
            await asyncio.to_thread(sandbox.advance, 86_400)
            await follows(opened, 90_000)


@pytest.mark.parametrize("offset", ["nothing", None, [], float("nan"), float("inf"), 1e300])
async def test_a_clock_that_cannot_be_read_leaves_the_last_known_time(
    database_url, tmp_path, monkeypatch, offset
):
    said: dict[str, Any] = {"offset": 60.0}

    async def send(_self: Http, _request: Any) -> Answer:
        return Answer(status=200, headers={}, body=json.dumps(said).encode())

    monkeypatch.setattr(Http, "send", send)
    monkeypatch.setattr(wiring, "CLOCK_EVERY_S", 0.02)
    async with house(database_url, tmp_path / "key", clock_url="http://127.0.0.1:1/clock") as opened:
        await follows(opened, 60)
        said["offset"] = offset
        await asyncio.sleep(0.1)
        await follows(opened, 60)
        said["offset"] = 120.0
        await follows(opened, 120)


async def test_without_a_sandbox_it_keeps_real_time(database_url, tmp_path):
    async with house(database_url, tmp_path / "key") as opened:
        assert opened.context.clock.ahead == timedelta(0)
