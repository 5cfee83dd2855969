"""API keys: shown once, kept as digests, recognised, revoked."""

from collections.abc import Iterator

import pytest

from builders import open_house
from counterfoil.domain.errors import InvalidRequestError, NotAuthenticatedError
from counterfoil.domain.operator import Role
from counterfoil.services import keys
from counterfoil.services.context import Context


@pytest.fixture
async def ctx(database_url) -> Iterator[Context]:
    async with open_house(database_url) as house:
        yield house.context


async def audited(ctx: Context) -> list[tuple[str, str, str]]:
    async with ctx.db.reading() as conn:
        rows = await conn.fetch("SELECT action, object_id, actor FROM audit ORDER BY id")
    return [(row["action"], row["object_id"], row["actor"]) for row in rows]


@pytest.mark.parametrize(("mode", "prefix"), [("sandbox", "cf_sandbox_"), ("live", "cf_live_")])
async def test_a_key_is_recognised_by_its_text_and_says_its_mode(ctx, mode, prefix):
    key, text = await keys.create(ctx, name="  shop ", role=Role.SUPPORT, actor="cli:a", mode=mode)
    assert text.startswith(prefix)
    assert len(text) > 50
    assert (key.name, key.role, key.mode, key.last4) == ("shop", "support", mode, text[-4:])
    assert (await keys.recognise(ctx, text)).id == key.id


async def test_a_key_is_of_the_services_own_mode_unless_another_is_named(ctx):
    key, _ = await keys.create(ctx, name="shop", role=Role.VIEWER, actor="cli:a")
    assert key.mode == "sandbox"


async def test_no_two_keys_are_alike(ctx):
    made = [await keys.create(ctx, name="shop", role=Role.VIEWER, actor="cli:a") for _ in range(20)]
    assert len({text for _, text in made}) == 20


async def test_the_text_of_a_key_is_not_in_its_repr_nor_in_the_audit(ctx):
    key, text = await keys.create(ctx, name="shop", role=Role.ADMIN, actor="cli:a")
    assert "digest" not in repr(key)
    async with ctx.db.reading() as conn:
        kept = await conn.fetchval("SELECT string_agg(a::text, ' ') FROM audit a")
    assert text not in kept + repr(key)


async def test_making_and_revoking_a_key_is_audited(ctx):
    key, _ = await keys.create(ctx, name="shop", role=Role.ADMIN, actor="cli:a")
    await keys.revoke(ctx, key.id, "cli:b")
    assert await audited(ctx) == [("key.create", key.id, "cli:a"), ("key.revoke", key.id, "cli:b")]


@pytest.mark.parametrize("name", ["", "   "])
async def test_a_key_needs_a_name(ctx, name):
    with pytest.raises(InvalidRequestError, match="needs a name"):
        await keys.create(ctx, name=name, role=Role.VIEWER, actor="cli:a")


@pytest.mark.parametrize("text", ["", "cf_sandbox_", "x" * 201, "cf_sandbox_é", "cf_sandbox_" + "A" * 43])
async def test_what_is_no_key_is_not_recognised(ctx, text):
    with pytest.raises(NotAuthenticatedError):
        await keys.recognise(ctx, text)


async def test_a_key_of_another_vault_is_not_recognised(ctx, empty_database, database_url):
    _, text = await keys.create(ctx, name="shop", role=Role.VIEWER, actor="cli:a")
    async with ctx.db.transaction() as conn:  # another key-encryption key means other accounts too
        await conn.execute("DELETE FROM webhook_secrets")
        await conn.execute("DELETE FROM gateway_accounts")
    async with open_house(database_url) as other:
        with pytest.raises(NotAuthenticatedError):
            await keys.recognise(other.context, text)


async def test_a_revoked_key_is_no_key_and_is_revoked_once(ctx):
    key, text = await keys.create(ctx, name="shop", role=Role.VIEWER, actor="cli:a")
    assert await keys.revoke(ctx, key.id, "cli:b")
    with pytest.raises(NotAuthenticatedError, match="revoked"):
        await keys.recognise(ctx, text)
    assert not await keys.revoke(ctx, key.id, "cli:b")
    assert not await keys.revoke(ctx, "key_nobody", "cli:b")
    assert len(await audited(ctx)) == 2


async def test_all_keys_are_listed_the_revoked_ones_too(ctx):
    kept, _ = await keys.create(ctx, name="a", role=Role.VIEWER, actor="cli:a")
    gone, _ = await keys.create(ctx, name="b", role=Role.AUDITOR, actor="cli:a", mode="live")
    await keys.revoke(ctx, gone.id, "cli:a")
    listed = {key.id: key.revoked_at for key in await keys.listing(ctx)}
    assert set(listed) == {kept.id, gone.id}
    assert listed[kept.id] is None
    assert listed[gone.id] == ctx.now()
