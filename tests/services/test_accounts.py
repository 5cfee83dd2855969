"""Gateway accounts: seeded once, opened with their secrets, and kept fresh in every process."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from builders import KEYS, STRIPE_SECRET
from counterfoil import vault, wiring
from counterfoil.domain import ids
from counterfoil.domain.errors import ConfigurationError, DatabaseAwayError, NoGatewayError
from counterfoil.services import accounts
from counterfoil.services.context import House
from counterfoil.settings import Settings
from counterfoil.store import accounts as stored
from counterfoil.store.accounts import WebhookSecret
from counterfoil.store.database import Connection

BOTH = Settings(**KEYS)
STRIPE_ALONE = Settings(**{name: value for name, value in KEYS.items() if name.startswith("stripe")})


async def open_house(stack: AsyncExitStack, url: str, key: Path, settings: Settings = BOTH) -> House:
    addresses = wiring.Addresses(url=url, owner_url=url, direct_url=url)
    return await stack.enter_async_context(wiring.open_house(replace(settings, key_file=key), addresses))


async def fetch(house: House, sql: str) -> list[dict[str, Any]]:
    async with house.context.db.reading() as conn:
        return [dict(row) for row in await conn.fetch(sql)]


# Seeding


async def test_the_first_start_makes_merchant_settings_and_accounts(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        house = await open_house(stack, database_url, tmp_path / "key")
        rows = await fetch(
            house, "SELECT gateway, mode, public_key, secret_last4 FROM gateway_accounts ORDER BY 1"
        )
        assert rows == [
            {"gateway": "razorpay", "mode": "sandbox", "public_key": "rzp_test_counterfoil", "secret_last4": "cret"},
            {"gateway": "stripe", "mode": "sandbox", "public_key": "pk_test_counterfoil_tests", "secret_last4": "ests"},
        ]  # fmt: skip
        (merchant,) = await fetch(house, "SELECT id, name FROM merchants")
        assert merchant == {"id": house.context.merchant_id, "name": "Your shop"}
        (document,) = await fetch(house, "SELECT version, document FROM settings")
        assert document["version"] == 1
        assert document["document"]["paymentGateways"] == {
            "stripe": {"enabled": True},
            "razorpay": {"enabled": True},
        }
        production = document["document"]["productionSettings"]
        assert (production["liveMode"], production["sandboxMode"]) == (False, True)


async def test_no_secret_stands_in_the_database_as_it_is(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        house = await open_house(stack, database_url, tmp_path / "key")
        for table in ("gateway_accounts", "webhook_secrets", "settings", "merchants"):
            (row,) = await fetch(house, f"SELECT string_agg(t::text, ' ') AS whole FROM {table} t")
            for name in (
                "stripe_secret_key",
                "stripe_webhook_secret",
                "razorpay_key_secret",
                "razorpay_webhook_secret",
            ):
                assert KEYS[name] not in row["whole"]
                assert KEYS[name].encode().hex() not in row["whole"]


async def test_a_second_start_changes_nothing(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        house = await open_house(stack, database_url, tmp_path / "key")
        before = await fetch(house, "SELECT a::text FROM gateway_accounts a ORDER BY 1")
        other = replace(BOTH, stripe_secret_key="sk_test_counterfoil_other", business_name="Other")
        again = await open_house(stack, database_url, tmp_path / "key", other)
        assert again.context.merchant_id == house.context.merchant_id
        assert await fetch(again, "SELECT a::text FROM gateway_accounts a ORDER BY 1") == before
        assert await fetch(again, "SELECT name FROM merchants") == [{"name": "Your shop"}]


async def test_a_gateway_that_is_configured_later_is_added(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        await open_house(stack, database_url, tmp_path / "key", STRIPE_ALONE)
        house = await open_house(stack, database_url, tmp_path / "key")
        assert len(await fetch(house, "SELECT id FROM gateway_accounts")) == 2
        assert house.context.directory.enabled("sandbox") == ["stripe", "razorpay"]


async def test_processes_that_start_at_once_seed_once(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        key = tmp_path / "key"
        vault.load(key, make=True)
        houses = await asyncio.gather(*(open_house(stack, database_url, key) for _ in range(6)))
        assert len({house.context.merchant_id for house in houses}) == 1
        for table, rows in (
            ("merchants", 1),
            ("settings", 1),
            ("gateway_accounts", 2),
            ("webhook_secrets", 2),
        ):
            assert len(await fetch(houses[0], f"SELECT * FROM {table}")) == rows, table


async def test_without_keys_a_process_starts_and_takes_no_payments(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        house = await open_house(stack, database_url, tmp_path / "key", Settings())
        assert house.context.directory.enabled("sandbox") == []
        with pytest.raises(NoGatewayError, match="stripe is not configured for sandbox mode"):
            house.context.directory.active("stripe", "sandbox")


# The directory


async def test_the_directory_opens_each_account_with_its_own_secret(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        directory = (await open_house(stack, database_url, tmp_path / "key")).context.directory
        assert directory.enabled("sandbox") == ["stripe", "razorpay"]
        assert directory.enabled("live") == []
        stripe = directory.active("stripe", "sandbox")
        assert (stripe.name, stripe.mode, stripe.public_key) == (
            "stripe",
            "sandbox",
            "pk_test_counterfoil_tests",
        )
        assert directory.gateway(stripe.account_id) is stripe
        assert directory.account(stripe.account_id).gateway == "stripe"
        (verifier,) = directory.verifiers("stripe")
        assert (verifier.secret, verifier.account.id) == (STRIPE_SECRET.encode(), stripe.account_id)
        assert STRIPE_SECRET not in repr(verifier)
        assert directory.verifiers("nobody") == []


async def test_a_gateway_that_did_not_change_stays_connected(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        directory = (await open_house(stack, database_url, tmp_path / "key")).context.directory
        before = directory.active("stripe", "sandbox")
        await directory.refresh()
        assert directory.active("stripe", "sandbox") is before


async def test_new_credentials_are_connected_anew(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        ctx = (await open_house(stack, database_url, tmp_path / "key")).context
        before = ctx.directory.active("stripe", "sandbox")
        async with ctx.db.transaction() as conn:
            await conn.execute(
                "UPDATE gateway_accounts SET secret_key = $2 WHERE id = $1",
                before.account_id,
                ctx.vault.seal("sk_test_counterfoil_new", f"{before.account_id}/secret_key"),
            )
        await ctx.directory.refresh()
        assert ctx.directory.active("stripe", "sandbox") is not before


async def test_a_draining_account_takes_no_new_payments_but_goes_on(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        ctx = (await open_house(stack, database_url, tmp_path / "key")).context
        old = ctx.directory.active("stripe", "sandbox")
        async with ctx.db.transaction() as conn:
            await conn.execute(
                "UPDATE gateway_accounts SET draining_since = now() WHERE id = $1", old.account_id
            )
        await ctx.directory.refresh()
        assert ctx.directory.enabled("sandbox") == ["razorpay"]
        assert ctx.directory.gateway(old.account_id) is old
        assert len(ctx.directory.verifiers("stripe")) == 1


async def switch(conn: Connection, gateway: str, *, on: bool) -> None:
    await conn.execute(
        "UPDATE settings SET document = jsonb_set(document, array['paymentGateways', $1, 'enabled'], to_jsonb($2::bool))",
        gateway,
        on,
    )


async def test_a_gateway_that_is_switched_off_is_not_chosen_in_any_process_within_five_seconds(
    database_url, tmp_path
):
    async with AsyncExitStack() as stack:
        here, there = [await open_house(stack, database_url, tmp_path / "key") for _ in range(2)]
        stop = asyncio.Event()
        fresh = asyncio.create_task(there.context.directory.keep_fresh(stop))
        async with here.context.db.transaction() as conn:
            await switch(conn, "stripe", on=False)
        assert there.context.directory.enabled("sandbox") == ["stripe", "razorpay"]
        async with asyncio.timeout(5):
            while there.context.directory.enabled("sandbox") != ["razorpay"]:
                await asyncio.sleep(0.05)
        stop.set()
        await fresh


async def test_an_old_webhook_secret_verifies_until_it_ends(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        ctx = (await open_house(stack, database_url, tmp_path / "key")).context
        (current,) = ctx.directory.verifiers("stripe")
        ends = ctx.now() + timedelta(hours=72)
        async with ctx.db.transaction() as conn:
            await conn.execute(
                "UPDATE webhook_secrets SET expires_at = $2 WHERE id = $1", current.secret_id, ends
            )
            await add_secret(ctx, conn, current.account.id, "whsec_counterfoil_new")
        await ctx.directory.refresh()
        secrets = [one.secret for one in ctx.directory.verifiers("stripe")]
        assert secrets == [b"whsec_counterfoil_new", STRIPE_SECRET.encode()]
        async with ctx.db.transaction() as conn:
            await conn.execute(
                "UPDATE webhook_secrets SET expires_at = $2 WHERE id = $1", current.secret_id, ctx.now()
            )
        await ctx.directory.refresh()
        assert [one.secret for one in ctx.directory.verifiers("stripe")] == [b"whsec_counterfoil_new"]


async def add_secret(ctx: Any, conn: Connection, account_id: str, secret: str, *, place: str = "") -> None:
    id_ = ids.make("key", ctx.now(), b"0123456789")
    await stored.insert_secret(
        conn,
        WebhookSecret(
            id=id_,
            account_id=account_id,
            secret=ctx.vault.seal(secret, place or f"{id_}/secret"),
            last4=secret[-4:],
            created_at=ctx.now(),
            expires_at=None,
        ),
    )


async def test_a_refresh_that_fails_is_told_and_tried_again(database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(accounts, "REFRESH_S", 0.05)
    async with AsyncExitStack() as stack:
        ctx = (await open_house(stack, database_url, tmp_path / "key")).context
        stop = asyncio.Event()
        with structlog.testing.capture_logs() as told:
            fresh = asyncio.create_task(ctx.directory.keep_fresh(stop))
            account = ctx.directory.active("stripe", "sandbox").account_id
            async with ctx.db.transaction() as conn:
                await conn.execute(
                    "UPDATE webhook_secrets SET expires_at = now() WHERE account_id = $1", account
                )
                await add_secret(ctx, conn, account, "whsec_counterfoil_moved", place="another row")
            async with asyncio.timeout(5):
                while not told:
                    await asyncio.sleep(0.02)
            assert ctx.directory.enabled("sandbox") == ["stripe", "razorpay"]  # the last known stands
            async with ctx.db.transaction() as conn:
                await conn.execute("DELETE FROM webhook_secrets WHERE account_id = $1", account)
                await switch(conn, "stripe", on=False)
            async with asyncio.timeout(5):
                while ctx.directory.enabled("sandbox") != ["razorpay"]:
                    await asyncio.sleep(0.02)
            stop.set()
            await fresh
        assert "whsec_counterfoil_moved" not in str(told)


async def test_a_database_that_is_away_leaves_the_last_known_accounts_without_a_word(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(accounts, "REFRESH_S", 0.02)
    async with AsyncExitStack() as stack:
        directory = (await open_house(stack, database_url, tmp_path / "key")).context.directory
        tried = asyncio.Event()

        async def away(_: Connection) -> Any:
            tried.set()
            raise DatabaseAwayError("The database cannot be reached.")

        monkeypatch.setattr(stored, "all_accounts", away)
        stop = asyncio.Event()
        with structlog.testing.capture_logs() as told:
            fresh = asyncio.create_task(directory.keep_fresh(stop))
            await asyncio.wait_for(tried.wait(), 5)
            stop.set()
            await fresh
        assert told == []
        assert directory.enabled("sandbox") == ["stripe", "razorpay"]


async def test_keys_of_a_draining_account_are_not_compared_with_the_environment(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        ctx = (await open_house(stack, database_url, tmp_path / "key")).context
        other = replace(BOTH, stripe_secret_key="sk_test_counterfoil_other")
        assert list(accounts.differing(ctx.directory, other)) == ["COUNTERFOIL_STRIPE_SECRET_KEY"]
        async with ctx.db.transaction() as conn:
            await conn.execute("UPDATE gateway_accounts SET draining_since = now() WHERE gateway = 'stripe'")
        await ctx.directory.refresh()
        assert list(accounts.differing(ctx.directory, other)) == []


async def test_a_secret_that_comes_with_its_account_during_a_refresh_does_no_harm(
    database_url, tmp_path, monkeypatch
):
    """An account and its secret are committed between the directory's two reads, whichever comes first."""
    async with AsyncExitStack() as stack:
        ctx = (await open_house(stack, database_url, tmp_path / "key", STRIPE_ALONE)).context
        came = asyncio.Event()

        def followed(read: Any) -> Any:
            async def reading(*asked: Any) -> Any:
                found = await read(*asked)
                if not came.is_set():
                    came.set()
                    await open_house(
                        stack, database_url, tmp_path / "key"
                    )  # adds Razorpay's account and secret
                return found

            return reading

        for name in ("all_accounts", "live_secrets"):
            monkeypatch.setattr(stored, name, followed(getattr(stored, name)))
        await ctx.directory.refresh()
        assert came.is_set()
        await ctx.directory.refresh()
        assert ctx.directory.enabled("sandbox") == ["stripe", "razorpay"]
        assert len(ctx.directory.verifiers("razorpay")) == 1


async def test_with_another_key_file_a_process_does_not_start_and_says_why(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        await open_house(stack, database_url, tmp_path / "key")
        with pytest.raises(
            ConfigurationError, match="COUNTERFOIL_KEY_FILE is not the key it was sealed with"
        ):
            await open_house(stack, database_url, tmp_path / "other key")
