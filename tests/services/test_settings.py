"""The settings' life beside the API: every process hears of a change, and a process that dies leaves no half of one."""

import asyncio
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import builders
from builders import KEYS
from counterfoil import wiring
from counterfoil.domain.errors import (
    ConfigurationError,
    DatabaseAwayError,
    InvalidRequestError,
    NotPermittedError,
    WrongStateError,
)
from counterfoil.services import accounts, adopting, credentials
from counterfoil.services import settings as service
from counterfoil.services.context import Context
from counterfoil.services.payments import Caller
from counterfoil.settings import RAZORPAY_API, STRIPE_API, Settings, gateway_url, live_obstacle
from fleet import Fleet, fleet
from service import call

ENVIRONMENT = Settings(**KEYS)


async def house(
    stack: AsyncExitStack, url: str, key: Path, settings: Settings = ENVIRONMENT, **more: Any
) -> Context:
    addresses = wiring.Addresses(url=url, owner_url=url, direct_url=url)
    opened = wiring.open_house(replace(settings, key_file=key), addresses, **more)
    return (await stack.enter_async_context(opened)).context


def caller(ctx: Context, mode: str = "sandbox") -> Caller:
    return Caller(actor="tests", merchant_id=ctx.merchant_id, mode=mode)


async def change(ctx: Context, patch: Any, mode: str = "sandbox", **more: Any) -> dict[str, Any]:
    return await service.change(ctx, caller(ctx, mode), patch, **more)


async def test_a_change_takes_effect_in_another_process_within_five_seconds(durable_database_url):
    """Two processes over one database: one is told, and payments of the other are routed by it."""
    with fleet(durable_database_url) as ships:
        async with AsyncExitStack() as stack:
            here, there = [await house(stack, durable_database_url, ships.folder / "key") for _ in range(2)]
            stop = asyncio.Event()
            fresh = asyncio.create_task(there.directory.keep_fresh(stop))
            serving = _serve(ships)
            await change(
                here,
                {
                    "business": {"name": "New name"},
                    "routing": {"breaker": {"failures": 2}},
                    "paymentGateways": {"stripe": {"webhookSecret": "whsec_counterfoil_new"}},
                },
            )
            began = monotonic()
            assert here.merchant_name == "New name"
            while there.merchant_name != "New name" or not _heard(serving):
                assert monotonic() < began + 5
                await asyncio.sleep(0.1)
            assert there.directory.routing.breaker.failures == 2
            assert next(one.secret for one in there.directory.verifiers("stripe")) == b"whsec_counterfoil_new"
            stop.set()
            await fresh


def _serve(ships: Fleet) -> str:
    """A web process of its own; its address."""
    ships.start("web")
    assert not _heard(ships.url)
    return ships.url


def _heard(url: str) -> bool:
    """Whether the process at the address takes the new webhook secret: it is the only one to know it."""
    body = builders.as_sent(builders.event("account.updated", {"object": "account", "id": "acct_1"}))
    headers = builders.signed("stripe", body, at=datetime.now(UTC), secret="whsec_counterfoil_new")
    return call(url, "POST", "/webhooks/stripe", body, headers=headers).status == 200


# A process dies

DYING = """
import asyncio, os, signal, sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from counterfoil import wiring
from counterfoil.services import settings
from counterfoil.services.payments import Caller
from counterfoil.settings import Settings

url, key, moment = sys.argv[1:4]
armed = False

async def die(now):
    if armed and now == moment:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    global armed
    chosen = Settings(key_file=Path(key))
    addresses = wiring.Addresses(url=url, owner_url=url, direct_url=url)
    async with wiring.open_house(chosen, addresses, on_commit=die) as house:
        ctx, armed = house.context, True
        patch = {
            "business": {"name": "After"},
            "paymentGateways": {"razorpay": {
                "keyId": "rzp_test_counterfoilAfter", "keySecret": "counterfoil_after_secret",
                "webhookSecret": "counterfoil_after_webhook", "sameAccount": False,
            }},
        }
        await settings.change(ctx, Caller("tests", ctx.merchant_id, "sandbox"), patch)

asyncio.run(main())
"""


@pytest.mark.crash
@pytest.mark.parametrize(("moment", "taken"), [("before commit", False), ("after commit", True)])
async def test_a_process_that_is_killed_leaves_the_whole_change_or_none_of_it(
    durable_database_url, tmp_path, moment, taken
):
    async with AsyncExitStack() as stack:
        ctx = await house(stack, durable_database_url, tmp_path / "key")
        died = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", DYING, durable_database_url, str(tmp_path / "key"), moment],
            timeout=60,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL
        await ctx.directory.refresh()
        shown = await service.read(ctx)
        assert shown["version"] == (2 if taken else 1)
        assert shown["business"]["name"] == ("After" if taken else "Your shop")
        assert ctx.directory.active("razorpay", "sandbox").public_key == (
            "rzp_test_counterfoilAfter" if taken else KEYS["razorpay_key_id"]
        )
        draining = [row.gateway for row, _ in ctx.directory.all() if row.draining_since]
        assert draining == (["razorpay"] if taken else [])
        assert len(await service.history(ctx, limit=5)) == taken
        again = await change(ctx, {"business": {"name": "Again"}}, version=shown["version"])
        assert again["version"] == shown["version"] + 1


async def test_a_database_that_is_lost_in_the_middle_leaves_nothing(database_url, tmp_path):
    async def lost(moment: str) -> None:
        if armed and moment == "before commit":
            raise DatabaseAwayError("The database was lost.")

    armed = False
    async with AsyncExitStack() as stack:
        ctx = await house(stack, database_url, tmp_path / "key", on_commit=lost)
        armed = True
        with pytest.raises(DatabaseAwayError):
            await change(ctx, {"business": {"name": "New"}})
        armed = False
        assert (await service.read(ctx))["version"] == 1
        assert ctx.merchant_name == "Your shop"


# Races


async def test_changes_of_several_processes_at_once_lose_nothing(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        houses = [await house(stack, database_url, tmp_path / "key") for _ in range(3)]
        codes = ["USD", "EUR", "GBP", "INR", "JPY", "CHF", "SEK", "NOK", "DKK"]
        wishes = [{"refundProcessing": {"refundThreshold": {code: n}}} for n, code in enumerate(codes)]
        await asyncio.gather(*(change(houses[n % 3], wish) for n, wish in enumerate(wishes)))
        shown = await service.read(houses[0])
        assert shown["refundProcessing"]["refundThreshold"] == {code: n for n, code in enumerate(codes)}
        assert shown["version"] == 1 + len(codes)


async def test_keys_of_a_mode_that_changes_meanwhile_are_not_taken(database_url, tmp_path, monkeypatch):
    async with AsyncExitStack() as stack:
        here, there = [await house(stack, database_url, tmp_path / "key") for _ in range(2)]
        asked = credentials.whose

        async def slowly(*about: Any) -> Any:
            monkeypatch.setattr(credentials, "whose", asked)
            await change(there, {"productionSettings": {"liveMode": True}})
            return await asked(*about)

        monkeypatch.setattr(credentials, "whose", slowly)
        keys = {"paymentGateways": {"stripe": {"webhookSecret": "whsec_counterfoil_of_the_sandbox"}}}
        with pytest.raises(WrongStateError, match="the mode just changed"):
            await change(here, keys, "live")
        assert (await service.read(here))["paymentGateways"]["stripe"]["webhookSecret"]["set"] is False


async def test_keys_replaced_by_two_at_once_are_replaced_by_one(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        houses = [await house(stack, database_url, tmp_path / "key") for _ in range(2)]

        def keys(n: int) -> dict[str, Any]:
            made = {"keyId": f"rzp_test_counterfoil{n}", "keySecret": f"counterfoil_secret_{n}"}
            return {
                "paymentGateways": {
                    "razorpay": made | {"webhookSecret": f"counterfoil_hook_{n}", "sameAccount": False}
                }
            }

        came = await asyncio.gather(
            *(change(one, keys(n)) for n, one in enumerate(houses)), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in came) in (["WrongStateError", "dict"], ["dict", "dict"])
        await houses[0].directory.refresh()
        rows = [row for row, _ in houses[0].directory.all() if row.gateway == "razorpay"]
        assert [row.draining_since is None for row in rows].count(True) == 1


# The environment


async def test_what_the_environment_says_is_taken_over_what_is_stored(database_url, tmp_path):
    other = replace(ENVIRONMENT, stripe_publishable_key="pk_test_counterfoil_other", business_name="Other")
    async with AsyncExitStack() as stack:
        ctx = await house(stack, database_url, tmp_path / "key")
        names = ["COUNTERFOIL_BUSINESS_NAME", "COUNTERFOIL_STRIPE_PUBLISHABLE_KEY"]
        assert accounts.differing(ctx.directory, other) == names
        shown = await change(ctx, adopting.patch(other, same_account=None))
        assert (shown["version"], shown["business"]["name"]) == (2, "Other")
        assert accounts.differing(ctx.directory, other) == []
        assert (await change(ctx, adopting.patch(other, same_account=True)))["version"] == 2


async def test_a_mode_of_the_environment_that_is_not_the_stored_one_is_named_and_not_followed(
    database_url, tmp_path
):
    async with AsyncExitStack() as stack:
        await house(stack, database_url, tmp_path / "key")
        ctx = await house(stack, database_url, tmp_path / "key", Settings(mode="live"))
        assert (ctx.mode, accounts.differing(ctx.directory, Settings(mode="live"))) == (
            "sandbox",
            ["COUNTERFOIL_MODE"],
        )
        shown = await change(ctx, adopting.patch(Settings(mode="live"), same_account=None))
        assert (shown["productionSettings"]["liveMode"], ctx.mode) == (True, "live")


async def test_a_process_that_is_not_fit_for_live_mode_does_not_start_once_it_is_stored(
    database_url, tmp_path
):
    async with AsyncExitStack() as stack:
        ctx = await house(stack, database_url, tmp_path / "key")
        await change(ctx, {"productionSettings": {"liveMode": True}})
        unfit = replace(ENVIRONMENT, clock_url="http://127.0.0.1:9/clock")
        with pytest.raises(ConfigurationError, match=r"not fit\..*COUNTERFOIL_CLOCK_URL is for sandbox mode"):
            await house(stack, database_url, tmp_path / "key", unfit)


async def test_once_live_a_key_of_the_sandbox_changes_nothing(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        ctx = await house(stack, database_url, tmp_path / "key")
        await change(ctx, {"productionSettings": {"liveMode": True}})
        with pytest.raises(NotPermittedError, match="admin, of live mode"):
            await change(ctx, {"business": {"name": "x"}})
        assert (await change(ctx, {"business": {"name": "x"}}, "live"))["version"] == 3


def test_keys_of_live_accounts_go_to_the_gateway_itself_whatever_sandbox_is_configured():
    sandbox = Settings(
        stripe_base_url="http://127.0.0.1:9/stripe", razorpay_base_url="http://127.0.0.1:9/razorpay"
    )
    assert gateway_url(sandbox, "stripe", "sandbox") == "http://127.0.0.1:9/stripe"
    assert gateway_url(sandbox, "stripe", "live") == STRIPE_API
    assert gateway_url(sandbox, "razorpay", "live") == RAZORPAY_API
    fit = replace(sandbox, allow_live_test_gateway=True, key_file=Path("/keys/counterfoil"))
    assert live_obstacle(fit) is None
    assert gateway_url(fit, "stripe", "live") == "http://127.0.0.1:9/stripe"


# Who and what


async def test_history_tells_who_changed_what_and_no_secret(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        ctx = await house(stack, database_url, tmp_path / "key")
        await change(ctx, {"paymentGateways": {"stripe": {"webhookSecret": "whsec_counterfoil_new"}}})
        await change(ctx, {"business": {"country": "IN"}})
        newest, oldest = await service.history(ctx, limit=5)
        assert (newest["actor"], newest["version"]) == ("tests", 3)
        assert newest["changes"] == [{"path": "business.country", "from": None, "to": "IN"}]
        (secret,) = oldest["changes"]
        assert secret["path"] == "paymentGateways.stripe.webhookSecret"
        assert (secret["from"]["last4"], secret["to"]["last4"]) == ("ests", "_new")
        assert "whsec" not in str(oldest)
        assert await service.history(ctx, limit=1) == [newest]


async def test_a_version_that_is_past_is_refused_before_any_gateway_is_asked(database_url, tmp_path):
    async with AsyncExitStack() as stack:
        ctx = await house(stack, database_url, tmp_path / "key")
        keys = {"paymentGateways": {"stripe": {"secretKey": "sk_test_counterfoil_new"}}}
        with pytest.raises(WrongStateError, match="asked for at version 9"):
            await change(ctx, keys, version=9)
        with pytest.raises(InvalidRequestError):
            await change(ctx, keys | {"business": {"country": "XX"}})
