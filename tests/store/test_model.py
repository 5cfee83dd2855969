"""The rules that the database itself holds, tried by raw SQL as the service's role and as the owner of the tables."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

import builders
import outgoing
from counterfoil.domain import retry
from counterfoil.domain.breaker import Breaker
from counterfoil.domain.call import Verb
from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.money import Money
from counterfoil.domain.operator import Role
from counterfoil.domain.receipt_export import Export
from counterfoil.domain.receipt_export import State as ExportState
from counterfoil.domain.retry import Retry
from counterfoil.services import calling, delivering, hearing, keys, refunding, templates
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context, OnEvent
from counterfoil.store import (
    breakers,
    deliveries,
    exceptions,
    facts,
    idempotency,
    mails,
    payments,
    receipt_exports,
    recovery,
    refunds,
    retries,
)
from counterfoil.store.breakers import Downtime
from counterfoil.store.database import Connection, prepare
from counterfoil.store.facts import Source
from database import Database, Postgres

ROLES = ("app", "owner")
# With a column that a forger would like to change.
APPEND_ONLY = {
    "facts": "amount",
    "audit": "actor",
    "journals": "rule",
    "entries": "amount",
    "refund_approvals": "person",
    "refund_batch_approvals": "person",
    "receipt_template_versions": "note",
    "receipt_template_files": "body",
}


@pytest.fixture(scope="module")
def model(fast_postgres: Postgres) -> Iterator[Database]:
    """A database with a row or more in every table."""
    with fast_postgres.database() as database:
        asyncio.run(_fill(database))
        yield database


async def _fill(database: Database) -> None:
    async with builders.open_house(database.app_url) as house:
        ctx = replace(house.context, on_event=OnEvent(_unheard))
        await outgoing.an_endpoint(ctx, "https://8.8.8.8/")
        await hearing.register(ctx)
        paid = await builders.owed(ctx, ref="pi_paid")
        captured = builders.charge(paid.attempts[0], "ch_paid")
        await builders.told(ctx, "stripe", builders.event("charge.succeeded", captured))
        disputed = builders.dispute(paid.attempts[0], "dp_paid", "ch_paid", "needs_response", 3_000)
        await builders.told(ctx, "stripe", builders.event("charge.dispute.created", disputed))
        await builders.owed(ctx, "razorpay", ref="order_open")
        lost = await builders.owed(ctx, ref="pi_asked")
        await keys.create(ctx, name="a key", role=Role.ADMIN, actor="tests", mode=ctx.mode)
        went_back = builders.refund(paid.attempts[0], "re_outside", "ch_paid", 500)
        await builders.told(ctx, "stripe", builders.event("refund.created", went_back))
        async with ctx.db.transaction() as conn:
            await calling.begin(ctx, conn, lost.attempts[0], Verb.CONFIRM)
            await _store_the_rest(ctx, conn, paid.payment.id)
            await _store_a_try(ctx, conn, lost)
            await _store_a_refund(ctx, conn, paid.payment.id)
            await _store_an_export(ctx, conn)
        await templates.add(ctx, Caller("tests", ctx.merchant_id, ctx.mode), "plain", {"main.typ": b"Paid"})
        await delivering.number(ctx)
        async with ctx.db.transaction() as conn:
            [taken, *_], _ = await deliveries.take_due(conn, now=ctx.now(), until=ctx.now(), hands=1, busy={})
            tried = deliveries.Try(
                at=ctx.now(), number=1, duration_ms=9, status=None, answer="", error="no answer"
            )
            await deliveries.put_off(conn, taken, tried, until=ctx.now())


async def _unheard(_: dict[str, Any]) -> None:
    """Nothing is heard where no worker is."""


async def _store_the_rest(ctx: Context, conn: Connection, payment_id: str) -> None:
    scope = idempotency.Scope(
        merchant_id=ctx.merchant_id,
        mode=ctx.mode,
        method="POST",
        path="/api/payments",
        key="once",
        body_digest=b"digest",
    )
    await idempotency.claim(conn, scope, payment_id=payment_id, now=ctx.now(), leased_until=ctx.now())
    account = builders.account(ctx, "stripe")
    await recovery.enlist(
        conn, [(account, "charge.*", ctx.now())], step=timedelta(hours=1), first_at=ctx.now()
    )
    broken = Breaker(account_id=account, method="*", failures=5, opened_at=ctx.now(), retry_at=ctx.now())
    await breakers.lock(conn, account, "*")
    await breakers.save(conn, broken, ctx.now())
    trouble = Downtime(
        account_id=account, id="down_1", method="upi", instrument={}, severity="high", began_at=ctx.now(),
        ended_at=None, said_at=ctx.now(),
    )  # fmt: skip
    await breakers.keep_downtime(conn, trouble)
    look = exceptions.Exceptional(
        id=ctx.new_id("exception"), merchant_id=ctx.merchant_id, mode=ctx.mode, kind="surplus_capture", subject="chg_1",
        payment_id=payment_id, sentence="Look.", opened_at=ctx.now(),
    )  # fmt: skip
    await exceptions.insert(conn, look)


async def _store_a_try(ctx: Context, conn: Connection, family: payments.Family) -> None:
    """A planned charge, and a mail that waits."""
    planned = Retry(
        payment_id=family.payment.id, number=1, out_of=3, kind=retry.Kind.CHARGE, attempt_id=None,
        after_attempt_id=family.attempts[0].id, method_ref="pm_1", reason="insufficient_funds",
        state=retry.State.PLANNED, because=None, planned_at=ctx.now(), due_at=ctx.now(), next_check_at=ctx.now(),
        ended_at=None,
    )  # fmt: skip
    await retries.insert(conn, planned)
    mail = mails.Mail(
        id=ctx.new_id("mail"), merchant_id=ctx.merchant_id, mode=ctx.mode, kind="invitation", occasion="once",
        about=family.payment.id, recipient="anna@example.com", tries=0, next_check_at=ctx.now(), outcome=None,
        error=None, created_at=ctx.now(), ended_at=None,
    )  # fmt: skip
    await mails.insert(conn, mail)


async def _store_a_refund(ctx: Context, conn: Connection, payment_id: str) -> None:
    """One that anna asked for, that needs one approval, and that bob has agreed to; it is not let go yet."""
    family = await payments.lock(conn, payment_id)
    wish = refunding.Wish(
        id="rfn_asked", charge=family.charges[0], amount=1_000, reason="duplicate", actor="key_anna",
        person="anna", role=Role.SUPPORT,
    )  # fmt: skip
    await refunding.place(ctx, conn, family, wish)
    approval = refunds.Approval(
        refund_id="rfn_asked", payment_id=payment_id, amount=1_000, currency="USD", requester="anna",
        person="bob", actor="key_bob", role="approver", at=ctx.now(),
    )  # fmt: skip
    assert await refunds.approve(conn, approval)
    await conn.execute(
        """
        INSERT INTO refund_batches (id, merchant_id, mode, name, digest, state, needed, requested_by, person, role, rows,
            totals, requested_at)
        VALUES ('bat_asked', $1, $2, 'returns.csv', 'digest', 'pending_approval', 1, 'key_anna', 'anna', 'approver', 1,
            '{}', $3)
        """,
        ctx.merchant_id,
        ctx.mode,
        ctx.now(),
    )
    await conn.execute(
        "INSERT INTO refund_batch_rows (batch_id, number, payment_id, amount, reason)"
        " VALUES ('bat_asked', 2, $1, 100, 'duplicate')",
        payment_id,
    )
    await conn.execute(
        "INSERT INTO refund_batch_approvals VALUES ('bat_asked', 'digest', 'anna', 'bob', 'key_bob', 'approver', $1)",
        ctx.now(),
    )


async def _store_an_export(ctx: Context, conn: Connection) -> None:
    """One that was asked for, with a part."""
    export = Export(
        id="exp_asked", merchant_id=ctx.merchant_id, mode=ctx.mode, state=ExportState.WAITING, format="pdf",
        issued_from=ctx.now() - timedelta(days=1), issued_to=ctx.now(), last_id="", total=0, done=0, done_id="", size=0,
        listed=0, tries=0, error=None, asked_by="key_anna", created_at=ctx.now(), started_at=None, ended_at=None,
        expires_at=None, next_check_at=ctx.now(),
    )  # fmt: skip
    await receipt_exports.insert(conn, export)
    await receipt_exports.add(conn, export.id, 0, [b"PK"])


@pytest.fixture(params=ROLES)
async def conn(request: pytest.FixtureRequest, model: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection by each role, whose work is rolled back unless a test commits it."""
    url = model.app_url if request.param == "app" else model.owner_url
    connection = await asyncpg.connect(url)
    await prepare(connection)
    try:
        yield connection
    finally:
        await connection.close()


# Every constraint, broken once.


@dataclass(frozen=True)
class Break:
    """A row that is a copy of one that stands, but for these columns, and the constraint that refuses it."""

    constraint: str
    changes: dict[str, Any]
    where: str = "true"

    @property
    def table(self) -> str:
        return TABLE_OF.get(self.constraint) or next(
            table for table in sorted(TABLES, key=len, reverse=True) if self.constraint.startswith(table)
        )


TABLES = (
    "api_keys", "attempts", "audit", "calls", "charges", "entries", "exceptions", "facts", "gateway_accounts",
    "idempotency", "inbox", "journals", "ledger_accounts", "merchants", "payments", "recovery", "settings", "webhook_secrets",
    "breakers", "deliveries", "delivery_log", "downtimes", "endpoint_secrets", "endpoints", "event_sequence", "events", "listeners",
    "disputes", "mails", "retries", "refund_approvals", "refund_days", "refunds",
    "refund_batches", "refund_batch_rows", "refund_batch_approvals", "receipts", "receipt_series",
    "receipt_templates", "receipt_template_versions", "receipt_template_files", "receipt_exports", "receipt_export_parts",
)  # fmt: skip
TABLE_OF = {
    "winner_is_an_attempt_of_this_payment": "payments",
    "one_current_webhook_secret": "webhook_secrets",
    "one_account_takes_new_payments": "gateway_accounts",
    "one_call_at_a_time": "calls",
    "one_current_endpoint_secret": "endpoint_secrets",
    "one_planned_retry": "retries",
    "a_refund_has_a_refund_receipt": "receipts",
    "void_says_why": "receipts",
    "one_open_exception": "exceptions",
    "who_resolves_says_how": "exceptions",
    "resolved_has_its_time": "exceptions",
    "one_receipt_a_number": "receipts",
    "receipt_numbers": "receipts",
    "one_receipt_a_payment": "receipts",
    "one_receipt_a_refund": "receipts",
    "one_mail_an_occasion": "mails",
    "one_call_a_key": "calls",
    "somebody_submits": "disputes",
    "somebody_accepts": "disputes",
    "submission_has_its_time": "disputes",
    "acceptance_has_its_time": "disputes",
    "nobody_approves_their_own_request": "refund_approvals",
    "one_batch_a_file": "refund_batches",
    "batch_says_why": "refund_batches",
    "nobody_approves_their_own_batch": "refund_batch_approvals",
    "export_of_a_period": "receipt_exports",
    "export_within_its_total": "receipt_exports",
    "export_due_while_open": "receipt_exports",
    "export_ends": "receipt_exports",
    "failed_export_says_why": "receipt_exports",
}
AT = "2026-11-22T12:00:00Z"
ANEW = {"id": "anew"}
PAYMENT = ANEW | {"winner_attempt_id": None}
ATTEMPT = ANEW | {"number": 2, "ref": "pi_anew"}
CALL = ANEW | {"key": "anew", "settled": "declined", "settled_at": AT}
CHARGE = ANEW | {"ref": "ch_anew"}
FACT = {"id": 1_000_000, "kind": "charge.created"}
LETTER = ANEW | {"dedupe_key": "anew"}
JOURNAL = ANEW | {"rule": "anew"}
ENTRY = {"id": 1_000_000}
BOOK = {"id": 1_000_000, "name": "anew"}
KEY = ANEW | {"digest": "\\xaa"}
ACCOUNT = ANEW | {"draining_since": AT}
SECRET = ANEW | {"expires_at": AT}
LIST = {"list": "anew"}
DRAWER = {"key": "anew"}
RECEIPT = ANEW | {"number": "R-1", "sequence": 90, "voided_at": AT, "void_reason": "a test"}
GONE = {"merchant_id": "mer_gone"}
EVENT = ANEW | {"sequence": None}
ENDED = {"next_check_at": None, "ended_at": AT}
TRY = ENDED | {"number": 2, "state": "done"}
MAIL = ANEW | {"occasion": "anew"}
REFUND = ANEW | {"gateway_ref": None}
YES = {"person": "carl"}
BATCH = ANEW | {"digest": "anew"}
ROW = {"number": 3}
DISPUTE = ANEW | {"ref": "dp_anew"}
OVER = ANEW | {"next_check_at": None, "ended_at": AT, "expires_at": AT}
PART = {"at": 2}

APPROVED_TERMS = "refund_approvals_refund_id_payment_id_amount_currency_requ_fkey"
APPROVED_FILE = "refund_batch_approvals_batch_id_digest_requester_fkey"

BREAKS = [
    Break("merchants_pkey", {}),
    Break("gateway_accounts_pkey", {"draining_since": AT}),
    Break("gateway_accounts_gateway_check", ACCOUNT | {"gateway": "Stripe!"}),
    Break("gateway_accounts_gateway_check", ACCOUNT | {"gateway": ""}),
    Break("gateway_accounts_mode_check", ACCOUNT | {"mode": "test"}),
    Break("gateway_accounts_merchant_id_fkey", ACCOUNT | GONE),
    Break("one_account_takes_new_payments", ANEW),
    Break("webhook_secrets_pkey", {"expires_at": AT}),
    Break("webhook_secrets_secret_check", SECRET | {"secret": ""}),
    Break("webhook_secrets_account_id_fkey", SECRET | {"account_id": "gwa_gone"}),
    Break("one_current_webhook_secret", ANEW),
    Break("recovery_pkey", {}),
    Break("recovery_list_check", {"list": ""}),
    Break("recovery_step_check", LIST | {"step": "0 seconds"}),
    Break("recovery_failures_check", LIST | {"failures": -1}),
    Break("recovery_account_id_fkey", {"account_id": "gwa_gone"}),
    Break("breakers_pkey", {}),
    Break("breakers_failures_check", {"method": "upi", "failures": -1}),
    Break("breakers_openings_check", {"method": "upi", "openings": -1}),
    Break("breakers_check", {"method": "upi", "opened_at": None}),
    Break("breakers_account_id_fkey", {"account_id": "gwa_gone"}),
    Break("downtimes_pkey", {}),
    Break("downtimes_account_id_fkey", {"account_id": "gwa_gone"}),
    Break("settings_pkey", {}),
    Break("settings_version_check", {"version": 0}),
    Break("settings_merchant_id_fkey", GONE),
    Break("api_keys_pkey", {"digest": "\\xaa"}),
    Break("api_keys_digest_key", ANEW),
    Break("api_keys_mode_check", KEY | {"mode": "test"}),
    Break("api_keys_name_check", KEY | {"name": ""}),
    Break("api_keys_role_check", KEY | {"role": "root"}),
    Break("api_keys_person_check", KEY | {"person": ""}),
    Break("api_keys_merchant_id_fkey", KEY | GONE),
    Break("payments_pkey", {}),
    Break("payments_amount_check", PAYMENT | {"amount": 0}),
    Break("payments_amount_check", PAYMENT | {"amount": -1}),
    Break("payments_currency_check", PAYMENT | {"currency": "usd"}),
    Break("payments_currency_check", PAYMENT | {"currency": "USDT"}),
    Break("payments_mode_check", PAYMENT | {"mode": "test"}),
    Break("payments_capture_check", PAYMENT | {"capture": "later"}),
    Break("payments_status_check", PAYMENT | {"status": "paid"}),
    Break("payments_check", PAYMENT | {"capture_requested": 0}),
    Break("payments_check", PAYMENT | {"capture_requested": 10_001}),
    Break("payments_merchant_id_fkey", PAYMENT | GONE),
    Break("winner_is_an_attempt_of_this_payment", PAYMENT | {"winner_attempt_id": "att_gone"}),
    Break("winner_is_an_attempt_of_this_payment", ANEW, "winner_attempt_id IS NOT NULL"),  # another's attempt
    Break("attempts_pkey", {"number": 2, "ref": "pi_anew"}),
    Break("attempts_payment_id_number_key", ANEW | {"ref": "pi_anew"}),
    Break("attempts_account_id_ref_key", ANEW | {"number": 2}),
    Break("attempts_number_check", ATTEMPT | {"number": 0}),
    Break("attempts_capture_check", ATTEMPT | {"capture": "later"}),
    Break("attempts_state_check", ATTEMPT | {"state": "lost"}),
    Break("attempts_check", ATTEMPT | {"dead_at": AT, "disclosed_at": AT}),
    Break("attempts_payment_id_mode_amount_currency_fkey", ATTEMPT | {"amount": 1}),
    Break("attempts_payment_id_mode_amount_currency_fkey", ATTEMPT | {"currency": "EUR"}),
    Break("attempts_payment_id_mode_amount_currency_fkey", ATTEMPT | {"mode": "live"}),
    Break("attempts_payment_id_mode_amount_currency_fkey", ATTEMPT | {"payment_id": "pmt_gone"}),
    Break("attempts_account_id_mode_fkey", ATTEMPT | {"account_id": "gwa_gone"}),
    Break("calls_pkey", CALL | {"id": "{calls}"}),
    Break("one_call_a_key", CALL | {"key": "{calls.key}"}),
    Break("calls_refund_id_fkey", CALL | {"refund_id": "rfn_gone"}),
    Break("calls_verb_check", CALL | {"verb": "wish"}),
    Break("calls_settled_check", CALL | {"settled": "perhaps"}),
    Break("calls_check", CALL | {"settled_at": None}),
    Break("calls_check", CALL | {"settled": None}),
    Break("calls_attempt_id_payment_id_fkey", CALL | {"attempt_id": "att_gone"}),
    Break("calls_attempt_id_payment_id_fkey", CALL | {"payment_id": "pmt_gone"}),
    Break("one_call_at_a_time", CALL | {"settled": None, "settled_at": None}),
    Break("one_call_at_a_time", CALL | {"settled": "unknown"}),
    Break("charges_pkey", {"ref": "ch_anew"}),
    Break("charges_account_id_ref_key", ANEW),
    Break("charges_state_check", CHARGE | {"state": "paid"}),
    Break("charges_reserved_check", CHARGE | {"reserved": -1}),
    Break("charges_account_id_fkey", CHARGE | {"account_id": "gwa_gone"}),
    Break("charges_attempt_id_payment_id_fkey", CHARGE | {"payment_id": "pmt_gone"}),
    Break("facts_pkey", {"kind": "charge.created"}),
    Break("facts_account_id_object_id_kind_amount_currency_key", {"id": 1_000_000}),
    Break("facts_source_check", FACT | {"source": "rumour"}),
    Break("facts_account_id_fkey", FACT | {"account_id": "gwa_gone"}),
    Break("facts_payment_id_fkey", FACT | {"payment_id": "pmt_gone"}),
    Break("inbox_pkey", {"dedupe_key": "anew"}),
    Break("inbox_account_id_dedupe_key_key", ANEW),
    Break("inbox_status_check", LETTER | {"status": "read"}),
    Break("inbox_deliveries_check", LETTER | {"deliveries": 0}),
    Break("inbox_merchant_id_fkey", LETTER | GONE),
    Break("inbox_account_id_fkey", LETTER | {"account_id": "gwa_gone"}),
    Break("idempotency_pkey", {}),
    Break("idempotency_check", DRAWER | {"status": 201}),
    Break("idempotency_check", DRAWER | {"answer": {}}),
    Break("idempotency_merchant_id_fkey", DRAWER | GONE),
    Break("audit_pkey", {}),
    Break("exceptions_pkey", {"subject": "anew"}),
    Break("one_open_exception", ANEW),
    Break("who_resolves_says_how", ANEW | {"subject": "anew", "resolved_at": AT, "resolved_by": "key_1"}),
    Break("who_resolves_says_how", ANEW | {"subject": "anew", "resolved_at": AT, "note": "paid back"}),
    Break("resolved_has_its_time", ANEW | {"subject": "anew", "resolved_by": "key_1", "note": "paid back"}),
    Break("exceptions_merchant_id_fkey", ANEW | {"subject": "anew"} | GONE),
    Break("ledger_accounts_pkey", {"name": "anew"}),
    Break("ledger_accounts_merchant_id_mode_name_account_id_currency_key", {"id": 1_000_000}),
    Break("ledger_accounts_merchant_id_fkey", BOOK | GONE),
    Break("ledger_accounts_account_id_fkey", BOOK | {"account_id": "gwa_gone"}),
    Break("journals_pkey", {"rule": "anew"}),
    Break("journals_fact_id_rule_key", ANEW),
    Break("journals_merchant_id_fkey", JOURNAL | GONE),
    Break("journals_payment_id_fkey", JOURNAL | {"payment_id": "pmt_gone"}),
    Break("journals_fact_id_fkey", JOURNAL | {"fact_id": 0}),
    Break("entries_pkey", {}),
    Break("entries_amount_check", ENTRY | {"amount": 0}),
    Break("entries_journal_id_fkey", ENTRY | {"journal_id": "jnl_gone"}),
    Break("entries_ledger_account_id_currency_fkey", ENTRY | {"currency": "EUR"}),
    Break("entries_ledger_account_id_currency_fkey", ENTRY | {"ledger_account_id": 0}),
    Break("events_pkey", {"sequence": None}),
    Break("events_in_order", ANEW),
    Break("events_mode_check", EVENT | {"mode": "test"}),
    Break("events_version_check", EVENT | {"version": 0}),
    Break("events_merchant_id_fkey", EVENT | GONE),
    Break("endpoints_pkey", {}),
    Break("endpoints_mode_check", ANEW | {"mode": "test"}),
    Break("endpoints_check", ANEW | {"disabled_at": AT}),
    Break("endpoints_merchant_id_fkey", ANEW | GONE),
    Break("endpoint_secrets_pkey", {"expires_at": AT}),
    Break("one_current_endpoint_secret", ANEW),
    Break("endpoint_secrets_endpoint_id_fkey", SECRET | {"endpoint_id": "ept_gone"}),
    Break("deliveries_pkey", {}),
    Break("deliveries_outcome_check", ENDED | {"outcome": "lost"}),
    Break("deliveries_check", {"outcome": "failed", "ended_at": AT}),
    Break("deliveries_check1", {"ended_at": AT}),
    Break("deliveries_event_id_fkey", {"event_id": "out_gone"}),
    Break("deliveries_endpoint_id_fkey", {"endpoint_id": "ept_gone"}),
    Break("delivery_log_pkey", {}),
    Break("delivery_log_event_id_endpoint_id_fkey", {"id": 1_000_000, "event_id": "out_gone"}),
    Break("listeners_pkey", {}),
    Break("listeners_mode_check", {"mode": "test"}),
    Break("listeners_merchant_id_fkey", {"name": "anew"} | GONE),
    Break("retries_pkey", TRY | {"number": 1}),
    Break("one_planned_retry", {"number": 2}),
    Break("retries_number_check", TRY | {"number": 0}),
    Break("retries_kind_check", TRY | {"kind": "letter", "method_ref": None}),
    Break("retries_state_check", TRY | {"state": "lost"}),
    Break("retries_check", TRY | {"number": 4}),
    Break("retries_check1", TRY | {"kind": "invitation"}),
    Break("retries_check1", TRY | {"method_ref": None}),
    Break("retries_check2", TRY | {"next_check_at": AT}),
    Break("retries_check3", TRY | {"ended_at": None}),
    Break("retries_check4", TRY | {"state": "cancelled"}),
    Break("retries_check4", TRY | {"because": "it was done"}),
    Break("retries_payment_id_fkey", TRY | {"payment_id": "pmt_gone"}),
    Break("retries_after_attempt_id_payment_id_fkey", TRY | {"after_attempt_id": "att_gone"}),
    Break("retries_attempt_id_payment_id_fkey", TRY | {"attempt_id": "att_gone"}),
    Break("mails_pkey", {"occasion": "anew"}),
    Break("one_mail_an_occasion", ANEW),
    Break("mails_mode_check", MAIL | {"mode": "test"}),
    Break("mails_recipient_check", MAIL | {"recipient": ""}),
    Break("mails_channel_check", MAIL | {"channel": "pigeon"}),
    Break("mails_outcome_check", MAIL | ENDED | {"outcome": "lost"}),
    Break("mails_check", MAIL | {"outcome": "sent", "ended_at": AT}),
    Break("mails_check1", MAIL | {"ended_at": AT}),
    Break("mails_merchant_id_fkey", MAIL | GONE),
    Break("refunds_pkey", {"gateway_ref": None}),
    Break("refunds_account_id_gateway_ref_key", ANEW, "gateway_ref IS NOT NULL"),
    Break("refunds_mode_check", REFUND | {"mode": "test"}),
    Break("refunds_amount_check", REFUND | {"amount": 0}),
    Break("refunds_amount_check", REFUND | {"amount": -1}),
    Break("refunds_currency_check", REFUND | {"currency": "usd"}),
    Break("refunds_reason_check", REFUND | {"reason": ""}),
    Break("refunds_source_check", REFUND | {"source": "wish"}),
    Break("refunds_method_check", REFUND | {"method": "cash", "evidence": "UTR 1"}),
    Break("refunds_state_check", REFUND | {"state": "paid"}),
    Break("refunds_needed_check", REFUND | {"needed": -1}),
    Break("refunds_needed_check", REFUND | {"needed": 3, "state": "pending_approval"}),
    Break("refunds_person_check", REFUND | {"person": ""}),
    Break("refunds_speed_check", REFUND | {"speed": "instant"}),
    Break("refunds_check", REFUND | {"method": "manual"}),
    Break("refunds_check1", REFUND | {"state": "rejected"}),
    Break("refunds_check1", REFUND | {"state": "cancelled"}),
    Break("refunds_merchant_id_fkey", REFUND | GONE),
    Break("refunds_payment_id_fkey", REFUND | {"payment_id": "pmt_gone"}),
    Break("refunds_charge_id_fkey", REFUND | {"charge_id": "chg_gone"}),
    Break("refunds_account_id_fkey", REFUND | {"account_id": "gwa_gone"}),
    Break("refunds_batch_id_fkey", REFUND | {"batch_id": "bat_gone"}),
    Break("refunds_retry_of_fkey", REFUND | {"retry_of": "rfn_gone"}),
    Break("refund_approvals_pkey", {"at": AT}),
    Break("nobody_approves_their_own_request", {"person": "anna"}),
    Break("refund_approvals_person_check", {"person": ""}),
    Break("refund_approvals_role_check", YES | {"role": "support"}),
    Break(APPROVED_TERMS, YES | {"refund_id": "rfn_gone"}),
    Break(APPROVED_TERMS, YES | {"payment_id": "pmt_gone"}),
    Break(APPROVED_TERMS, YES | {"amount": 999}),
    Break(APPROVED_TERMS, YES | {"currency": "EUR"}),
    Break(APPROVED_TERMS, {"person": "anna", "requester": "somebody else"}),
    Break("receipts_pkey", {"number": "R-1", "sequence": 90, "voided_at": AT, "void_reason": "a test"}, "refund_id IS NULL"),
    Break("receipts_mode_check", RECEIPT | {"mode": "test"}, "refund_id IS NULL"),
    Break("receipts_kind_check", RECEIPT | {"kind": "bill"}, "refund_id IS NULL"),
    Break("receipts_sequence_check", RECEIPT | {"sequence": 0}, "refund_id IS NULL"),
    Break("receipts_number_check", RECEIPT | {"number": "R-2026-0000000001"}, "refund_id IS NULL"),
    Break("receipts_merchant_id_fkey", RECEIPT | GONE, "refund_id IS NULL"),
    Break("receipts_payment_id_fkey", RECEIPT | {"payment_id": "pmt_gone"}, "refund_id IS NULL"),
    Break("receipts_refund_id_fkey", RECEIPT | {"kind": "refund", "refund_id": "rfn_gone"}, "refund_id IS NULL"),
    Break("a_refund_has_a_refund_receipt", RECEIPT | {"kind": "refund"}, "refund_id IS NULL"),
    Break("void_says_why", RECEIPT | {"void_reason": None}, "refund_id IS NULL"),
    Break("one_receipt_a_number", RECEIPT | {"sequence": "{receipts.sequence}"}, "refund_id IS NULL"),
    Break("receipt_numbers", RECEIPT | {"number": "{receipts.number}"}, "refund_id IS NULL"),
    Break("one_receipt_a_payment", RECEIPT | {"voided_at": None, "void_reason": None}, "refund_id IS NULL"),
    Break("one_receipt_a_refund", RECEIPT | {"voided_at": None, "void_reason": None}, "refund_id IS NOT NULL"),
    Break("receipt_templates_pkey", {}),
    Break("receipt_templates_name_check", {"name": "Plain"}),
    Break("receipt_templates_last_check", {"name": "anew", "last": 0, "published": None}),
    Break("receipt_templates_check", {"name": "anew", "published": 2}),
    Break("receipt_templates_check", {"name": "anew", "published": 0}),
    Break("receipt_templates_merchant_id_fkey", GONE),
    Break("receipt_template_versions_pkey", {}),
    Break("receipt_template_versions_version_check", {"version": 0}),
    Break("receipt_template_versions_merchant_id_name_fkey", {"name": "anew"}),
    Break("receipt_template_files_pkey", {}),
    Break("receipt_template_files_path_check", {"path": ""}),
    Break("receipt_template_files_merchant_id_name_version_fkey", {"version": 2}),
    Break("receipt_series_pkey", {}),
    Break("receipt_series_prefix_check", {"prefix": "too long"}),
    Break("receipt_series_last_check", {"prefix": "X", "last": 0}),
    Break("receipt_series_merchant_id_fkey", GONE),
    Break("disputes_pkey", {"ref": "dp_anew"}),
    Break("disputes_account_id_ref_key", ANEW),
    Break("disputes_mode_check", DISPUTE | {"mode": "test"}),
    Break("disputes_state_check", DISPUTE | {"state": "open"}),
    Break("disputes_currency_check", DISPUTE | {"currency": "usd"}),
    Break("disputes_answer_check", DISPUTE | {"answer": "perhaps"}),
    Break("somebody_submits", DISPUTE | {"answer": "submitting", "sent": {}}),
    Break("somebody_submits", DISPUTE | {"answer": "submitted", "submitted_by": "key_1", "submitted_at": AT}),
    Break("somebody_accepts", DISPUTE | {"answer": "accepting"}),
    Break("submission_has_its_time", DISPUTE | {"answer": "submitted", "submitted_by": "key_1", "sent": {}}),
    Break("acceptance_has_its_time", DISPUTE | {"answer": "accepted", "accepted_by": "key_1"}),
    Break("disputes_merchant_id_fkey", DISPUTE | GONE),
    Break("disputes_payment_id_fkey", DISPUTE | {"payment_id": "pmt_gone"}),
    Break("disputes_charge_id_fkey", DISPUTE | {"charge_id": "chg_gone"}),
    Break("disputes_account_id_fkey", DISPUTE | {"account_id": "gwa_gone"}),
    Break("calls_dispute_id_fkey", CALL | {"dispute_id": "dsp_gone"}),
    Break("refund_batches_pkey", {"digest": "anew"}),
    Break("one_batch_a_file", ANEW),
    Break("batch_says_why", BATCH | {"state": "rejected"}),
    Break("batch_says_why", BATCH | {"state": "cancelled"}),
    Break("refund_batches_mode_check", BATCH | {"mode": "test"}),
    Break("refund_batches_state_check", BATCH | {"state": "paid"}),
    Break("refund_batches_needed_check", BATCH | {"needed": 0}),
    Break("refund_batches_needed_check", BATCH | {"needed": 3}),
    Break("refund_batches_person_check", BATCH | {"person": ""}),
    Break("refund_batches_rows_check", BATCH | {"rows": 0}),
    Break("refund_batches_merchant_id_fkey", BATCH | GONE),
    Break("refund_batch_rows_pkey", {}),
    Break("refund_batch_rows_amount_check", ROW | {"amount": 0}),
    Break("refund_batch_rows_check", ROW | {"refund_id": "rfn_asked", "because": "too much"}),
    Break("refund_batch_rows_batch_id_fkey", ROW | {"batch_id": "bat_gone"}),
    Break("refund_batch_rows_refund_id_fkey", ROW | {"refund_id": "rfn_gone"}),
    Break("refund_batch_approvals_pkey", {"at": AT}),
    Break("nobody_approves_their_own_batch", {"person": "anna"}),
    Break("refund_batch_approvals_person_check", {"person": ""}),
    Break("refund_batch_approvals_role_check", YES | {"role": "support"}),
    Break(APPROVED_FILE, YES | {"batch_id": "bat_gone"}),
    Break(APPROVED_FILE, YES | {"digest": "another file"}),
    Break(APPROVED_FILE, {"person": "anna", "requester": "somebody else"}),
    Break("receipt_exports_pkey", {}),
    Break("receipt_exports_mode_check", ANEW | {"mode": "test"}),
    Break("receipt_exports_state_check", OVER | {"state": "lost"}),
    Break("receipt_exports_format_check", ANEW | {"format": ""}),
    Break("receipt_exports_done_check", ANEW | {"done": -1}),
    Break("receipt_exports_size_check", ANEW | {"size": -1}),
    Break("receipt_exports_listed_check", ANEW | {"listed": -1}),
    Break("receipt_exports_tries_check", ANEW | {"tries": -1}),
    Break("receipt_exports_asked_by_check", ANEW | {"asked_by": ""}),
    Break("receipt_exports_merchant_id_fkey", ANEW | GONE),
    Break("export_of_a_period", ANEW | {"issued_to": "2000-01-01T00:00:00Z"}),
    Break("export_within_its_total", ANEW | {"done": 1}),
    Break("export_due_while_open", ANEW | {"next_check_at": None}),
    Break("export_due_while_open", OVER | {"state": "ready", "next_check_at": AT}),
    Break("export_ends", ANEW | {"ended_at": AT, "expires_at": AT}),
    Break("export_ends", OVER | {"state": "ready", "ended_at": None, "expires_at": None}),
    Break("export_ends", OVER | {"state": "ready", "expires_at": None}),
    Break("failed_export_says_why", OVER | {"state": "failed"}),
    Break("receipt_export_parts_pkey", {}),
    Break("receipt_export_parts_at_check", PART | {"at": -1}),
    Break("receipt_export_parts_bytes_check", PART | {"bytes": "\\x"}),
    Break("receipt_export_parts_export_id_fkey", PART | {"export_id": "exp_gone"}),
    Break("refund_days_pkey", {}),
    Break("refund_days_amount_check", {"subject": "anew", "amount": -1}),
    Break("refund_days_merchant_id_fkey", {"subject": "anew"} | GONE),
]  # fmt: skip
# They say no more than the primary key; they are there for the foreign keys that point at them.
FOR_REFERENCE = {
    "attempts_id_payment_id_key",
    "gateway_accounts_id_mode_key",
    "ledger_accounts_id_currency_key",
    "payments_id_mode_amount_currency_key",
    "batch_of_its_file",
    "refunds_id_payment_id_amount_currency_person_key",
}


@pytest.mark.parametrize(
    "broken", BREAKS, ids=lambda broken: f"{broken.constraint}-{sorted(broken.changes)[-1:]}"
)
async def test_every_constraint_refuses_what_breaks_it(conn: asyncpg.Connection, broken: Break):
    changes = await _filled(conn, broken.changes)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        await conn.execute(_copied(broken.table, broken.where), changes)
    assert refused.value.constraint_name == broken.constraint


async def _filled(conn: asyncpg.Connection, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes, with {table} or {table.column} as a value of the row that stands there."""
    filled = dict(changes)
    for name, value in changes.items():
        if isinstance(value, str) and value.startswith("{"):
            table, _, column = value.strip("{}").partition(".")
            filled[name] = await conn.fetchval(f"SELECT {column or 'id'} FROM {table} LIMIT 1")
    return filled


def _copied(table: str, where: str = "true") -> str:
    """A statement that inserts a copy of one row of the table, but for the columns of its argument."""
    return (
        f"INSERT INTO {table} OVERRIDING SYSTEM VALUE"
        f" SELECT (jsonb_populate_record(r, $1::jsonb)).* FROM (SELECT * FROM {table} WHERE {where} LIMIT 1) AS o,"
        f" LATERAL (SELECT o.*) AS n, LATERAL (SELECT n::text::{table} AS r) AS typed"
    )


async def test_no_constraint_of_the_model_is_left_unbroken(conn: asyncpg.Connection):
    found = await conn.fetch(
        """
        SELECT conname FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u')
          AND conrelid::regclass::text = ANY($1)
        UNION
        SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique AND indrelid::regclass::text = ANY($1)
        """,
        list(TABLES),
    )
    assert {row["conname"] for row in found} == {broken.constraint for broken in BREAKS} | FOR_REFERENCE


async def test_every_table_of_the_model_is_looked_at(conn: asyncpg.Connection):
    found = await conn.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    own = {row["relname"] for row in found if not row["relname"].startswith("pgqueuer")}
    assert own - {"alembic_version"} == set(TABLES)


# Append-only.


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE", "DELETE FROM {0} WHERE false"],
)
async def test_what_is_append_only_is_never_changed(conn: asyncpg.Connection, table: str, statement: str):
    refusal = (asyncpg.InsufficientPrivilegeError, asyncpg.CheckViolationError)
    by_app = await conn.fetchval("SELECT current_user") == "app"
    with pytest.raises(refusal[0] if by_app else refusal[1], match="denied" if by_app else "append-only"):
        await conn.execute(statement.format(table, APPEND_ONLY[table]))


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE {0} DISABLE TRIGGER ALL",
        "DROP TRIGGER append_only ON {0}",
        "DROP TABLE {0} CASCADE",
        "CREATE RULE r AS ON UPDATE TO {0} DO INSTEAD NOTHING",
    ],
)
async def test_the_services_role_cannot_take_the_rules_away(model: Database, table: str, statement: str):
    connection = await asyncpg.connect(model.app_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(table))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SET session_replication_role = replica")
    finally:
        await connection.close()


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_the_services_role_may_read_and_add_and_cannot_give_itself_more(model: Database, table: str):
    connection = await asyncpg.connect(model.app_url)
    try:
        await connection.execute(f"GRANT ALL ON {table} TO app")  # PostgreSQL warns, and grants nothing
        rights = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER")
        found = {
            right: await connection.fetchval("SELECT has_table_privilege($1, $2)", table, right)
            for right in rights
        }
    finally:
        await connection.close()
    assert [right for right, has in found.items() if has] == ["SELECT", "INSERT"]


# The books.


async def _journal(conn: asyncpg.Connection, *amounts: int, currency: str | None = None) -> str:
    """A journal with these entries, alternately on the accounts that stand; its id."""
    await conn.execute(_copied("journals"), JOURNAL)
    await _entries(conn, "anew", *amounts, currency=currency)
    return "anew"


async def _entries(
    conn: asyncpg.Connection, journal: str, *amounts: int, currency: str | None = None
) -> None:
    books = await conn.fetch("SELECT id, currency FROM ledger_accounts ORDER BY id")
    for n, amount in enumerate(amounts):
        book = books[n % 2] if currency is None else next(b for b in books if b["currency"] == currency)
        await conn.execute(
            "INSERT INTO entries (journal_id, ledger_account_id, amount, currency) VALUES ($1, $2, $3, $4)",
            journal,
            book["id"],
            amount,
            book["currency"],
        )


@pytest.mark.parametrize("amounts", [(100,), (100, -99), (100, -50, -51), (9_223_372_036_854_775_807, 1)])
async def test_a_journal_that_does_not_balance_is_refused_at_the_commit(
    conn: asyncpg.Connection, amounts: tuple[int, ...]
):
    transaction = conn.transaction()
    await transaction.start()
    await _journal(conn, *amounts)
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        await transaction.commit()
    assert await conn.fetchval("SELECT count(*) FROM journals WHERE id = 'anew'") == 0


async def test_a_journal_without_entries_is_refused_at_the_commit(conn: asyncpg.Connection):
    transaction = conn.transaction()
    await transaction.start()
    await _journal(conn)
    with pytest.raises(asyncpg.CheckViolationError, match="has no entries"):
        await transaction.commit()


async def test_one_currency_does_not_balance_another(conn: asyncpg.Connection):
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(_copied("ledger_accounts"), {"id": 1_000_001, "currency": "EUR"})
    await _journal(conn, 100)
    await _entries(conn, "anew", -100, currency="EUR")
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        await transaction.commit()


@pytest.mark.parametrize("amounts", [(1,), (5, -4)])
async def test_an_entry_added_later_cannot_unbalance_a_journal(
    conn: asyncpg.Connection, amounts: tuple[int, ...]
):
    stands = await conn.fetchval("SELECT id FROM journals LIMIT 1")
    transaction = conn.transaction()
    await transaction.start()
    await _entries(conn, stands, *amounts)
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        await transaction.commit()


async def test_a_journal_that_balances_is_taken(conn: asyncpg.Connection):
    transaction = conn.transaction()
    await transaction.start()
    await _journal(conn, 100, -60, 20, -60)
    await conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
    await transaction.rollback()


# The winner and the fence.


async def test_a_payment_with_money_keeps_its_winner(conn: asyncpg.Connection):
    paid = await conn.fetchval("SELECT id FROM payments WHERE winner_attempt_id IS NOT NULL")
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(_copied("attempts", f"payment_id = '{paid}'"), ATTEMPT)
    await _savepoint(
        conn, f"UPDATE payments SET winner_attempt_id = 'anew' WHERE id = '{paid}'", "already won by"
    )
    await _savepoint(
        conn, f"UPDATE payments SET winner_attempt_id = NULL WHERE id = '{paid}'", "has money captured"
    )
    await transaction.rollback()


async def test_a_winner_without_money_is_given_up_but_never_replaced(conn: asyncpg.Connection):
    attempt = await conn.fetchrow("SELECT id, payment_id FROM attempts WHERE ref = 'order_open'")
    payment = attempt["payment_id"]
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(_copied("attempts", "ref = 'order_open'"), ATTEMPT)
    claim = f"UPDATE payments SET winner_attempt_id = '{attempt['id']}' WHERE id = '{payment}'"
    await conn.execute(claim)
    await conn.execute(claim)  # what it has already, it may claim again
    await _savepoint(
        conn, f"UPDATE payments SET winner_attempt_id = 'anew' WHERE id = '{payment}'", "already won"
    )
    await conn.execute(f"UPDATE payments SET winner_attempt_id = NULL WHERE id = '{payment}'")
    await conn.execute(f"UPDATE payments SET winner_attempt_id = 'anew' WHERE id = '{payment}'")
    await transaction.rollback()


async def _savepoint(conn: asyncpg.Connection, statement: str, refusal: str) -> None:
    """What the statement is refused with, leaving the transaction usable."""
    with pytest.raises(asyncpg.CheckViolationError, match=refusal):
        async with conn.transaction():
            await conn.execute(statement)


async def test_a_fence_once_committed_stands(conn: asyncpg.Connection):
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute("UPDATE attempts SET fenced_at = now() WHERE ref = 'order_open'")
    await _savepoint(conn, "UPDATE attempts SET fenced_at = NULL WHERE ref = 'order_open'", "stays fenced")
    await conn.execute("UPDATE attempts SET state = 'fenced' WHERE ref = 'order_open'")
    await transaction.rollback()


@pytest.mark.parametrize("column", ["amount = 1", "currency = 'EUR'", "mode = 'live'"])
async def test_what_is_owed_does_not_change_under_an_attempt(conn: asyncpg.Connection, column: str):
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await conn.execute(
            f"UPDATE payments SET {column} WHERE id = (SELECT payment_id FROM attempts LIMIT 1)"
        )


async def test_an_account_does_not_change_its_mode_under_its_attempts(conn: asyncpg.Connection):
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await conn.execute(
            "UPDATE gateway_accounts SET mode = 'live' WHERE id = (SELECT account_id FROM attempts LIMIT 1)"
        )


async def test_what_a_browser_has_seen_cannot_be_forgotten(conn: asyncpg.Connection):
    with pytest.raises(asyncpg.CheckViolationError, match="attempts_check"):
        await conn.execute("UPDATE attempts SET dead_at = now() WHERE ref = 'order_open'")


# Refunds: what was asked for, who agreed, and what is there to be given back.


@pytest.mark.parametrize(
    "change",
    [
        "amount = 999",
        "currency = 'EUR'",
        "person = 'bob'",
        "requested_by = 'key_bob'",
        "method = 'manual', evidence = 'UTR 1'",
        "payment_id = (SELECT id FROM payments WHERE winner_attempt_id IS NULL LIMIT 1)",
        "charge_id = 'chg_gone'",
        "account_id = (SELECT id FROM gateway_accounts WHERE gateway = 'razorpay')",
    ],
)
@pytest.mark.parametrize("approved", [False, True], ids=["waiting", "approved"])
async def test_a_refund_stays_what_was_asked_for(conn: asyncpg.Connection, change: str, approved: bool):
    transaction = conn.transaction()
    await transaction.start()
    if approved:
        await conn.execute("UPDATE refunds SET state = 'approved' WHERE id = 'rfn_asked'")
    await _savepoint(conn, f"UPDATE refunds SET {change} WHERE id = 'rfn_asked'", "keeps its terms")
    await transaction.rollback()


LETTING_GO = [
    "state = 'approved'",
    "state = 'processing'",
    "state = 'succeeded'",
    "state = 'approved', source = 'gateway'",
    "state = 'approved', needed = 0",
    "state = 'succeeded', gateway_ref = 'by hand', arn = 'UTR 1'",
]


@pytest.mark.parametrize("change", LETTING_GO)
@pytest.mark.parametrize("before", ["pending_approval", "rejected", "cancelled", "failed"])
async def test_a_refund_does_not_go_without_the_approvals_that_it_needs(
    conn: asyncpg.Connection, before: str, change: str
):
    manual = (
        "gateway_ref" in change
    )  # of any other it would be what a gateway says, which is always recordable
    row = REFUND | {"state": before, "because": "a test", "method": "manual" if manual else "gateway"}
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(_copied("refunds", "id = 'rfn_asked'"), row | {"evidence": "UTR 1"})
    await _savepoint(conn, f"UPDATE refunds SET {change} WHERE id = 'anew'", "needs 1 approvals")
    await transaction.rollback()


@pytest.mark.parametrize("state", ["approved", "processing", "succeeded"])
async def test_a_refund_is_not_written_as_if_it_had_its_approvals(conn: asyncpg.Connection, state: str):
    with pytest.raises(asyncpg.CheckViolationError, match="needs 1 approvals"):
        await conn.execute(_copied("refunds", "id = 'rfn_asked'"), REFUND | {"state": state})


async def test_with_its_approvals_it_goes_and_with_rules_that_ask_for_more_it_does_not(
    conn: asyncpg.Connection,
):
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute("UPDATE refunds SET state = 'approved' WHERE id = 'rfn_asked'")
    await conn.execute("UPDATE refunds SET state = 'pending_approval', needed = 2 WHERE id = 'rfn_asked'")
    for change in ("state = 'approved'", "state = 'approved', needed = 1"):
        await _savepoint(conn, f"UPDATE refunds SET {change} WHERE id = 'rfn_asked'", "needs 2 approvals")
    await conn.execute(_copied("refund_approvals"), YES)
    await conn.execute("UPDATE refunds SET state = 'processing' WHERE id = 'rfn_asked'")
    await transaction.rollback()


@pytest.mark.parametrize("before", ["pending_approval", "rejected", "done"])
async def test_a_batch_does_not_run_without_the_approvals_that_it_needs(
    conn: asyncpg.Connection, before: str
):
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(_copied("refund_batches"), BATCH | {"state": before, "because": "a test"})
    await _savepoint(
        conn, "UPDATE refund_batches SET state = 'running' WHERE id = 'anew'", "needs 1 approvals"
    )
    await conn.execute("UPDATE refund_batches SET state = 'running' WHERE id = 'bat_asked'")
    await transaction.rollback()


@pytest.mark.parametrize(
    "change",
    [
        "refund_batches SET digest = 'another', needed = 2",
        "refund_batches SET rows = 2",
        "refund_batches SET totals = '{\"USD\": 1}'",
        "refund_batches SET person = 'bob'",
        "refund_batch_rows SET amount = 200",
        "refund_batch_rows SET amount = NULL",
        "refund_batch_rows SET payment_id = 'pmt_other'",
        "refund_batch_rows SET number = 5",
        "refund_batch_rows SET reason = 'other', note = 'x'",
    ],
)
async def test_a_batch_stays_the_file_that_was_approved(conn: asyncpg.Connection, change: str):
    with pytest.raises(asyncpg.CheckViolationError, match="keeps its terms"):
        await conn.execute(f"UPDATE {change}")


async def test_what_became_of_a_row_is_said_once_and_fewer_people_are_never_enough(conn: asyncpg.Connection):
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute("UPDATE refund_batch_rows SET refund_id = 'rfn_asked'")
    await _savepoint(conn, "UPDATE refund_batch_rows SET refund_id = NULL", "keeps its terms")
    await conn.execute("UPDATE refund_batches SET needed = 2")
    await _savepoint(conn, "UPDATE refund_batches SET needed = 1", "keeps its terms")
    await _savepoint(conn, "UPDATE refund_batches SET state = 'running'", "needs 2 approvals")
    await transaction.rollback()


async def test_what_a_charge_has_not_got_is_not_reserved(conn: asyncpg.Connection):
    left = await conn.fetchval(
        "SELECT captured - refunded_seen - disputed_held FROM charges WHERE ref = 'ch_paid' AND reserved = 1000"
    )
    over, keep = "has less left than", "UPDATE charges SET reserved = {} WHERE ref = 'ch_paid'"
    transaction = conn.transaction()
    await transaction.start()
    await _savepoint(conn, keep.format(left + 1), over)
    await _savepoint(conn, keep.format(f"1001, disputed_held = disputed_held + {left - 1000}"), over)
    await conn.execute(keep.format(left))
    # What gateways report stands, and so does what was reserved before they did.
    await conn.execute("UPDATE charges SET refunded_seen = captured WHERE ref = 'ch_paid'")
    await conn.execute(keep.format(left - 1))
    await transaction.rollback()


# What gateways report is always recordable.


@pytest.mark.parametrize("state", ["processing", "succeeded", "failed"])
@pytest.mark.parametrize("before", ["pending_approval", "rejected", "cancelled"])
async def test_a_refund_may_be_whatever_its_gateway_says(conn: asyncpg.Connection, before: str, state: str):
    transaction = conn.transaction()
    await transaction.start()
    row = REFUND | {"state": before, "because": "a test"}
    await conn.execute(_copied("refunds", "id = 'rfn_asked'"), row)
    await conn.execute(f"UPDATE refunds SET state = '{state}', gateway_ref = 're_told' WHERE id = 'anew'")
    await transaction.rollback()


@pytest.mark.parametrize(
    "reported",
    [
        {"captured": 10_001},
        {"captured": 10**18},
        {"refunded_seen": 20_000},
        {"captured": 0, "refunded_seen": 5},
        {"disputed_held": 99_999},
        {"refunded_seen": 10_000, "disputed_held": 10_000},
        {"amount": 0},
        {"amount": 77, "currency": "XAU"},
        {"state": "voided", "captured": 1},
    ],
)
async def test_a_charge_may_be_whatever_its_gateway_says(conn: asyncpg.Connection, reported: dict[str, Any]):
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(_copied("charges"), CHARGE | reported)
    await transaction.rollback()


@pytest.mark.parametrize(
    "reported", [{"amount": 0}, {"amount": 10**18}, {"currency": "EUR"}, {"object_id": "?"}]
)
async def test_a_fact_may_be_whatever_its_gateway_says(conn: asyncpg.Connection, reported: dict[str, Any]):
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(_copied("facts"), FACT | reported)
    await transaction.rollback()


# The same through the store.


async def test_a_fact_told_twice_is_kept_once(ctx: Context):
    family = await builders.owed(ctx)
    report = Report(
        kind=Kind.CHARGE_CAPTURED,
        object_id="ch_1",
        amount=Money(10_000, "USD"),
        at=ctx.now(),
        detail={"event_type": "charge.succeeded"},
    )
    tellings = [
        report,
        replace(report, detail={}),
        replace(report, at=builders.NOW.replace(year=2027)),
        report,
    ]
    more = [replace(report, amount=Money(9_000, "USD")), replace(report, kind=Kind.CHARGE_VOIDED)]
    kept = []
    for telling in (*tellings, *more):
        async with ctx.db.transaction() as conn:
            source = Source(kind="webhook", id="whk_1")
            kept.append(
                await facts.insert(
                    conn, family.attempts[0], telling, charge_ref="ch_1", source=source, now=ctx.now()
                )
            )
    assert kept == [True, False, False, False, True, True]
    assert await builders.one(ctx, "SELECT count(*) FROM facts") == 3


async def test_the_same_fact_told_at_once_is_kept_once(ctx: Context):
    family = await builders.owed(ctx)
    report = Report(kind=Kind.ATTEMPT_OPENED, object_id="pi_1", amount=Money(10_000, "USD"), at=ctx.now())

    async def tell() -> bool:
        async with ctx.db.transaction() as conn:
            source = Source(kind="api", id="cal_1")
            return await facts.insert(
                conn, family.attempts[0], report, charge_ref=None, source=source, now=ctx.now()
            )

    assert sorted(await asyncio.gather(*(tell() for _ in range(12)))) == [False] * 11 + [True]


async def test_a_payment_is_claimed_by_one_attempt_alone(ctx: Context):
    family = await builders.owed(ctx)
    for _ in range(7):
        family = await builders.another(ctx, family)

    async def claim(attempt_id: str) -> bool:
        async with ctx.db.transaction() as conn:
            return await payments.claim_winner(conn, family.payment.id, attempt_id)

    claimed = await asyncio.gather(*(claim(attempt.id) for attempt in family.attempts))
    assert sorted(claimed) == [False] * 7 + [True]
    winner = family.attempts[claimed.index(True)]
    assert (await builders.family_of(ctx, family.payment.id)).payment.winner_attempt_id == winner.id
    assert await claim(winner.id)


async def test_a_claim_is_given_up_only_by_who_has_it(ctx: Context):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        await payments.claim_winner(conn, family.payment.id, family.attempts[0].id)
        await payments.release_winner(conn, family.payment.id, "att_another")
        assert (await payments.get(conn, family.payment.id)).payment.winner_attempt_id is not None
        await payments.release_winner(conn, family.payment.id, family.attempts[0].id)
        assert (await payments.get(conn, family.payment.id)).payment.winner_attempt_id is None


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE receipts SET number = 'R-9'", "stays as it was issued"),
        ("UPDATE receipts SET document = '{}'", "stays as it was issued"),
        ("UPDATE receipt_series SET last = last + 2", "goes up by one"),
        ("UPDATE receipt_series SET last = last - 1", "goes up by one"),
    ],
)
async def test_a_receipt_and_its_series_stay_as_they_are(conn: asyncpg.Connection, statement: str, says: str):
    with pytest.raises(asyncpg.PostgresError, match=says):
        await conn.execute(statement)


@pytest.mark.parametrize("table", ["receipts", "receipt_series"])
@pytest.mark.parametrize("statement", ["DELETE FROM {0}", "TRUNCATE {0} CASCADE"])
async def test_no_number_that_was_given_ever_goes(conn: asyncpg.Connection, table: str, statement: str):
    refusal = (asyncpg.InsufficientPrivilegeError, asyncpg.CheckViolationError)
    by_app = await conn.fetchval("SELECT current_user") == "app"
    with pytest.raises(refusal[0] if by_app else refusal[1], match="denied" if by_app else "stays"):
        await conn.execute(statement.format(table))


async def test_a_receipt_is_voided_once(conn: asyncpg.Connection):
    void, trial = "UPDATE receipts SET voided_at = now(), void_reason = 'a test'", conn.transaction()
    await trial.start()
    await conn.execute(void)
    with pytest.raises(asyncpg.PostgresError, match="stays as it was issued"):
        await conn.execute(void)
    await trial.rollback()
