"""The check finds each kind of wrongness, and nothing where nothing is wrong."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

import builders
from counterfoil.services import checking
from counterfoil.services.checking import Difference
from counterfoil.services.context import Context
from database import Database


@dataclass
class Shop:
    """A service with a paid and refunded payment, and the hands to spoil what is stored."""

    ctx: Context
    owner: "asyncpg.Connection[asyncpg.Record]"
    payment_id: str
    attempt_id: str

    async def spoil(self, *statements: str) -> None:
        """Change rows as nobody may: as the owner, with the triggers off."""
        await self.owner.execute("SET session_replication_role = replica")
        for statement in statements:
            await self.owner.execute(statement)
        await self.owner.execute("SET session_replication_role = origin")

    async def differences(self) -> list[Difference]:
        return await checking.check(self.ctx)

    async def sentences(self, rule: str) -> list[str]:
        """What is said under this rule; nothing may be said under another."""
        found = await self.differences()
        assert {one.rule for one in found} == {rule}, found
        return [one.sentence for one in found]


@pytest.fixture
async def shop(database: Database, fast_postgres: Any) -> AsyncIterator[Shop]:
    name = database.owner_url.rpartition("/")[2]
    owner = await asyncpg.connect(fast_postgres.server.url("postgres", name))
    async with builders.open_house(database.app_url) as house:
        ctx = house.context
        family = await builders.owed(ctx)
        attempt = family.attempts[0]
        back = builders.refund(attempt, "re_1", "ch_1", 300)
        await builders.told(
            ctx,
            "stripe",
            builders.event("charge.succeeded", builders.charge(attempt, "ch_1")),
            builders.event("refund.created", back),
        )
        yield Shop(ctx, owner, family.payment.id, attempt.id)
    await owner.close()


async def test_a_sound_database_shows_no_difference(shop: Shop):
    await builders.owed(shop.ctx, "razorpay", currency="INR")
    assert await shop.differences() == []


async def test_a_status_that_does_not_follow_is_found(shop: Shop):
    await shop.spoil("UPDATE payments SET status = 'failed'")
    (sentence,) = await shop.sentences("status")
    assert sentence == (
        f"{shop.payment_id} is stored as failed; its attempts, calls and facts make it captured."
    )


async def test_an_attempt_state_that_does_not_follow_is_found(shop: Shop):
    await shop.spoil("UPDATE attempts SET state = 'open'")
    (sentence,) = await shop.sentences("attempts")
    assert shop.attempt_id in sentence
    assert "make it won" in sentence


async def test_sums_that_differ_from_the_winning_charge_are_found(shop: Shop):
    await shop.spoil("UPDATE payments SET amount_refunded = 0")
    (sentence,) = await shop.sentences("status")
    assert "refunded 0; its winning charge says 10000 and 300" in sentence


async def test_a_charge_that_differs_from_its_facts_is_found(shop: Shop):
    await shop.spoil(
        "DELETE FROM facts WHERE kind LIKE 'refund.%' AND id NOT IN (SELECT fact_id FROM journals)"
    )
    await shop.spoil("UPDATE facts SET amount = 200 WHERE kind LIKE 'refund.%'")
    (sentence,) = await shop.sentences("charges")
    assert sentence.endswith("refunded 300; its facts make it captured, captured 10000, refunded 200.")


async def test_a_charge_that_is_gone_is_found(shop: Shop):
    await shop.spoil("DELETE FROM charges")
    rules = {one.rule for one in await shop.differences()}
    assert {"charges", "status", "books"} <= rules


async def test_a_second_charge_that_pays_is_found(shop: Shop):
    await shop.spoil(
        "INSERT INTO charges (id, payment_id, attempt_id, account_id, ref, state, amount, currency, captured, made_at,"
        " created_at) SELECT 'chg_2', payment_id, attempt_id, account_id, 'ch_2', state, amount, currency, captured,"
        " made_at, created_at FROM charges"
    )
    sentences = [one.sentence for one in await shop.differences() if one.rule == "winner"]
    assert sentences == [f"{shop.payment_id} is paid by more than one charge: ch_1 and ch_2."]


async def test_a_winner_that_is_not_the_payer_is_found(shop: Shop):
    await shop.spoil("UPDATE payments SET winner_attempt_id = NULL")
    sentences = [one.sentence for one in await shop.differences() if one.rule == "winner"]
    assert len(sentences) == 1
    assert "the winner is None" in sentences[0]


async def test_captured_money_that_is_all_surplus_is_found(shop: Shop):
    await shop.spoil("UPDATE charges SET surplus = true")
    assert f"{shop.payment_id} is captured, and all of its captured charges are surplus." in {
        one.sentence for one in await shop.differences()
    }


async def test_a_journal_out_of_balance_is_found(shop: Shop):
    await shop.spoil(
        "UPDATE entries SET amount = amount - 1 WHERE ledger_account_id IN"
        " (SELECT id FROM ledger_accounts WHERE name = 'sales') AND amount < 0"
    )
    (sentence,) = await shop.sentences("books")
    assert "is -1 USD out of balance" in sentence


async def test_a_journal_without_entries_is_found(shop: Shop):
    await shop.spoil("DELETE FROM entries")
    sentences = await shop.sentences("books")
    assert sum("has no entries" in sentence for sentence in sentences) == 2


async def test_money_that_is_not_in_the_books_is_found(shop: Shop):
    await shop.spoil("DELETE FROM entries", "DELETE FROM journals")
    assert await shop.sentences("books") == [
        f"The books of {shop.payment_id} hold 0 for the capture of ch_1; it should be 10000.",
        f"The books of {shop.payment_id} hold 0 for the refund of ch_1; it should be -300.",
    ]


async def test_books_of_a_charge_that_is_none_are_found(shop: Shop):
    await shop.spoil("UPDATE facts SET charge_ref = 'ch_other' WHERE kind = 'charge.captured'")
    sentences = [one.sentence for one in await shop.differences() if one.rule == "books"]
    assert (
        f"The books of {shop.payment_id} hold 10000 for a capture of ch_other, which is no charge of it."
        in sentences
    )


async def test_a_call_that_stays_unknown_is_found(shop: Shop):
    old = (shop.ctx.now() - timedelta(hours=3)).isoformat()
    await shop.spoil(
        "INSERT INTO calls (id, payment_id, attempt_id, verb, key, started_at)"
        f" VALUES ('cal_1', '{shop.payment_id}', '{shop.attempt_id}', 'capture', 'key', '{old}')"
    )
    since, unplanned = await shop.sentences("calls")
    assert since.startswith("The outcome of capture cal_1 is unknown since ")
    assert unplanned == f"{shop.payment_id} is captured with 1 calls unsettled, and no check is planned."


async def test_a_payment_that_no_sweep_looks_at_is_found(shop: Shop):
    due = await builders.owed(shop.ctx)
    old = (shop.ctx.now() - timedelta(hours=1)).isoformat()
    await shop.spoil(f"UPDATE payments SET next_check_at = '{old}' WHERE id = '{due.payment.id}'")
    (sentence,) = await shop.sentences("calls")
    assert sentence.startswith(f"{due.payment.id} should have been looked at ")


@pytest.mark.parametrize(
    ("spoiling", "told"),
    [
        ("UPDATE inbox SET status = 'dead', reason = 'unreadable'", "dead: unreadable"),
        (
            "UPDATE inbox SET status = 'received', next_check_at = received_at - interval '1 hour'",
            "received: nobody has looked at it",
        ),
        (
            "UPDATE inbox SET status = 'parked', reason = 'unknown_object', next_check_at = received_at - interval '1 day'",
            "parked: unknown_object",
        ),
    ],
)
async def test_a_letter_that_is_stuck_is_found(shop: Shop, spoiling: str, told: str):
    await shop.spoil(spoiling)
    sentences = await shop.sentences("inbox")
    assert len(sentences) == 2
    assert all(told in sentence for sentence in sentences)


async def test_a_request_that_broke_off_is_found_while_its_payment_has_not_ended(shop: Shop):
    due = await builders.owed(shop.ctx)
    await shop.spoil(
        "INSERT INTO idempotency (merchant_id, mode, method, path, key, body_digest, payment_id, leased_until, created_at)"
        " SELECT merchant_id, mode, 'POST', '/api/payments', id, '', id, created_at, created_at FROM payments"
    )
    assert await shop.differences() == []
    past = (shop.ctx.now() - timedelta(hours=1)).isoformat()
    await shop.spoil(
        "UPDATE idempotency SET leased_until = created_at - interval '1 day'",
        f"UPDATE payments SET expires_at = '{past}'",
    )
    (sentence,) = await shop.sentences("idempotency")
    assert (
        sentence
        == f"A request to /api/payments broke off, and {due.payment.id} has not come to an end since."
    )


async def test_a_trigger_that_is_off_is_found(shop: Shop):
    await shop.owner.execute("ALTER TABLE facts DISABLE TRIGGER append_only")
    await shop.owner.execute("DROP TRIGGER one_winner ON payments")
    assert await shop.sentences("schema") == [
        "The trigger append_only of facts is gone or switched off.",
        "The trigger one_winner of payments is gone or switched off.",
    ]


async def test_a_constraint_that_was_never_proven_is_found(shop: Shop):
    await shop.owner.execute("ALTER TABLE charges ADD CONSTRAINT sound CHECK (captured >= 0) NOT VALID")
    (sentence,) = await shop.sentences("schema")
    assert sentence == "The constraint sound of charges was never proven over all rows."


async def test_every_trigger_of_ours_is_looked_for(shop: Shop):
    rows = await shop.owner.fetch(
        "SELECT tgrelid::regclass::text AS t, tgname FROM pg_trigger WHERE NOT tgisinternal"
        " AND tgrelid::regclass::text NOT LIKE 'pgqueuer%'"
    )
    assert {(row["t"], row["tgname"]) for row in rows} == checking.checking.TRIGGERS


async def test_all_pages_are_read_and_progress_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking, "PAGE", 2)
    for _ in range(4):
        await builders.owed(shop.ctx)
    await shop.spoil("UPDATE payments SET status = 'authorized'")
    seen: list[tuple[int, int]] = []
    found = await checking.check(shop.ctx, progress=lambda *moved: seen.append(moved))
    assert len({one.subject for one in found if one.rule == "status"}) == 5
    assert seen == [(2, 5), (4, 5), (5, 5)]
