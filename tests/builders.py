"""Valid things in one call: a house over a database, payments with an attempt, and what gateways send of them."""

import hmac
import json
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from counterfoil import wiring
from counterfoil.domain.attempt import Attempt, AttemptState
from counterfoil.domain.clock import SettableClock
from counterfoil.domain.payment import Payment, Status
from counterfoil.services import inbox as service
from counterfoil.services.context import Context, House
from counterfoil.settings import Settings
from counterfoil.store import inbox, payments
from counterfoil.store.database import Connection, Hook
from counterfoil.store.payments import Family

DATA = Path(__file__).parent / "data"
# A moment after the last event of both scenarios.
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

STRIPE_SECRET = "whsec_counterfoil_tests"
RAZORPAY_SECRET = "counterfoil_tests_webhook"
KEYS: dict[str, Any] = {
    "stripe_secret_key": "sk_test_counterfoil_tests",
    "stripe_publishable_key": "pk_test_counterfoil_tests",
    "stripe_webhook_secret": STRIPE_SECRET,
    "razorpay_key_id": "rzp_test_counterfoil",
    "razorpay_key_secret": "counterfoil_tests_secret",
    "razorpay_webhook_secret": RAZORPAY_SECRET,
}

_numbers = count(1)


def unique() -> str:
    """A few letters and digits that no other call has given in this run."""
    return f"{next(_numbers):05d}x"


@asynccontextmanager
async def open_house(
    database_url: str, *, on_commit: Hook | None = None, at: datetime = NOW, key_file: Path | None = None
) -> AsyncIterator[House]:
    """Everything but the doors: both gateways configured, nothing behind them, and a clock that stands still."""
    with tempfile.TemporaryDirectory(prefix="counterfoil-house-") as folder:
        settings = Settings(**KEYS, key_file=key_file or Path(folder) / "key")
        addresses = wiring.Addresses(url=database_url, owner_url=database_url, direct_url=database_url)
        async with wiring.open_house(settings, addresses, on_commit=on_commit) as house:
            yield replace(house, context=replace(house.context, clock=SettableClock(at)))


def account(ctx: Context, gateway: str) -> str:
    """The id of the account that takes new payments there."""
    return ctx.directory.active(gateway, ctx.mode).account_id


def payment(ctx: Context, **changes: Any) -> Payment:
    """A payment of 100 dollars that was just created and is not stored."""
    made = Payment(
        id=ctx.new_id("payment"),
        merchant_id=ctx.merchant_id,
        mode=ctx.mode,
        amount=10_000,
        currency="USD",
        reference=None,
        description=None,
        customer={},
        metadata={},
        line_items=[],
        capture="automatic",
        gateway=None,
        method=None,
        planned_gateway=None,
        return_url=None,
        status=Status.CREATED,
        amount_captured=0,
        amount_refunded=0,
        winner_attempt_id=None,
        cancel_requested_at=None,
        capture_requested=None,
        expires_at=ctx.now() + timedelta(days=1),
        next_check_at=ctx.now() + timedelta(days=1),
        checks=0,
        version=1,
        created_at=ctx.now(),
        updated_at=ctx.now(),
    )
    return replace(made, **changes)


def attempt(ctx: Context, of: Payment, gateway: str = "stripe", **changes: Any) -> Attempt:
    """The payment's first attempt, open and disclosed, and not stored."""
    made = Attempt(
        id=ctx.new_id("attempt"),
        payment_id=of.id,
        number=1,
        account_id=account(ctx, gateway),
        gateway=gateway,
        mode=of.mode,
        amount=of.amount,
        currency=of.currency,
        capture="automatic" if gateway == "stripe" else "manual",
        reason="for a test",
        ref=f"pi_{unique()}" if gateway == "stripe" else f"order_{unique()}",
        state=AttemptState.OPEN,
        failure=None,
        disclosed_at=ctx.now(),
        fenced_at=None,
        dead_at=None,
        created_at=ctx.now(),
    )
    return replace(made, **changes)


async def owed(
    ctx: Context, gateway: str = "stripe", *, amount: int = 10_000, currency: str = "USD", **changes: Any
) -> Family:
    """A stored payment with one open attempt; `changes` are the attempt's."""
    due = payment(ctx, amount=amount, currency=currency)
    first = attempt(ctx, due, gateway, **changes)
    async with ctx.db.transaction() as conn:
        await payments.insert(conn, due)
        await payments.insert_attempt(conn, first)
    return Family(due, (first,))


async def another(ctx: Context, family: Family, gateway: str = "stripe", **changes: Any) -> Family:
    """The family with one more open attempt, stored."""
    more = attempt(ctx, family.payment, gateway, number=len(family.attempts) + 1, **changes)
    async with ctx.db.transaction() as conn:
        await payments.insert_attempt(conn, more)
    return replace(family, attempts=(*family.attempts, more))


# What gateways say.


@dataclass(frozen=True, slots=True)
class Life:
    """The events of one payment's life as a gateway sends them, and the payment they are about."""

    gateway: str
    amount: int
    currency: str
    ref: str
    tag: str  # stands in every id of this life, and in no other's
    events: dict[str, dict[str, Any]]  # file name without its ending → body


def life(gateway: str) -> Life:
    """The scenario of tests/data, with ids that no other life in this run has."""
    files = sorted((DATA / gateway / "events_scenario").glob("*.json"))
    return (_stripe_life if gateway == "stripe" else _razorpay_life)(files, unique())


def _stripe_life(files: Sequence[Path], tag: str) -> Life:
    events = {file.stem: json.loads(file.read_text().replace("TestVec", tag)) for file in files}
    return Life("stripe", 10_000, "USD", f"pi_3{tag}0000000000000001", tag, events)


def _razorpay_life(files: Sequence[Path], tag: str) -> Life:
    def read(file: Path) -> dict[str, Any]:
        text = re.sub(r"(order|pay|rfnd|setl)_([A-Za-z0-9]{14})", rf"\1_{tag}\2", file.read_text())
        body: dict[str, Any] = json.loads(text)["body"]
        order = body["payload"].get("order")
        if order:  # the receipt of our own orders is our attempt's id
            order["entity"]["receipt"] = None
        return body

    events = {file.stem: read(file) for file in files}
    ref = events["03_payment.captured"]["payload"]["payment"]["entity"]["order_id"]
    return Life("razorpay", 500_000, "INR", ref, tag, events)


async def owed_by(ctx: Context, story: Life, **changes: Any) -> Family:
    """The stored payment that the events are about."""
    return await owed(
        ctx, story.gateway, amount=story.amount, currency=story.currency, **({"ref": story.ref} | changes)
    )


def event(
    kind: str, told: dict[str, Any], *, created: int = 1_793_000_000, **envelope: Any
) -> dict[str, Any]:
    """A Stripe event of this type about this object."""
    return {
        "id": f"evt_{unique()}",
        "object": "event",
        "created": created,
        "livemode": False,
        "type": kind,
        "data": {"object": told},
        **envelope,
    }


def intent(of: Attempt, status: str, **more: Any) -> dict[str, Any]:
    """The attempt's PaymentIntent."""
    return {
        "object": "payment_intent",
        "id": of.ref,
        "amount": of.amount,
        "amount_received": of.amount if status == "succeeded" else 0,
        "currency": of.currency.lower(),
        "status": status,
        "created": 1_793_000_000,
        "livemode": of.mode == "live",
        "metadata": {"counterfoil_attempt": of.id},
        **more,
    }


def charge(of: Attempt, ref: str, **more: Any) -> dict[str, Any]:
    """A charge that succeeded and was captured whole, on the attempt's PaymentIntent."""
    return {
        "object": "charge",
        "id": ref,
        "amount": of.amount,
        "amount_captured": of.amount,
        "captured": True,
        "currency": of.currency.lower(),
        "status": "succeeded",
        "created": 1_793_000_000,
        "livemode": of.mode == "live",
        "payment_intent": of.ref,
        "metadata": {"counterfoil_attempt": of.id},
        **more,
    }


def refund(of: Attempt, ref: str, charge_ref: str, amount: int, **more: Any) -> dict[str, Any]:
    """A refund that succeeded, of a Stripe charge."""
    return {
        "object": "refund",
        "id": ref,
        "amount": amount,
        "currency": of.currency.lower(),
        "status": "succeeded",
        "created": 1_793_000_100,
        "charge": charge_ref,
        "payment_intent": of.ref,
        **more,
    }


def razorpay_event(kind: str, *, created: int = 1_793_000_000, **entities: Any) -> dict[str, Any]:
    """A Razorpay event around these entities: payment, order, refund."""
    return {
        "entity": "event",
        "account_id": "acc_counterfoil00",
        "event": kind,
        "contains": list(entities),
        "payload": {name: {"entity": entity} for name, entity in entities.items()},
        "created_at": created,
    }


def razorpay_payment(of: Attempt, ref: str, status: str, **more: Any) -> dict[str, Any]:
    """A payment on the attempt's order."""
    return {
        "id": ref,
        "entity": "payment",
        "amount": of.amount,
        "currency": of.currency,
        "status": status,
        "order_id": of.ref,
        "method": "upi",
        "captured": status == "captured",
        "notes": [],
        "created_at": 1_793_000_000,
        **more,
    }


def razorpay_order(of: Attempt, status: str = "paid", **more: Any) -> dict[str, Any]:
    """The attempt's order, made by us."""
    return {
        "id": of.ref,
        "entity": "order",
        "amount": of.amount,
        "currency": of.currency,
        "status": status,
        "receipt": of.id,
        "notes": {"counterfoil_attempt": of.id},
        "created_at": 1_793_000_000,
        **more,
    }


def razorpay_refund(ref: str, charge_ref: str, amount: int, **more: Any) -> dict[str, Any]:
    """A refund that was processed, of a Razorpay payment in rupees."""
    return {
        "id": ref,
        "entity": "refund",
        "amount": amount,
        "currency": "INR",
        "payment_id": charge_ref,
        "status": "processed",
        "created_at": 1_793_000_100,
        **more,
    }


def dispute(of: Attempt, ref: str, charge_ref: str, status: str, amount: int, **more: Any) -> dict[str, Any]:
    """A dispute of a Stripe charge, that is to be answered within a week."""
    return {
        "object": "dispute",
        "id": ref,
        "amount": amount,
        "currency": of.currency.lower(),
        "status": status,
        "reason": "fraudulent",
        "created": 1_793_000_200,
        "livemode": of.mode == "live",
        "charge": charge_ref,
        "payment_intent": of.ref,
        "is_charge_refundable": status.startswith("warning"),
        "evidence_details": {"due_by": int((NOW + timedelta(days=8)).timestamp()), "submission_count": 0},
        "balance_transactions": [],
        **more,
    }


def withdrawal(amount: int, **more: Any) -> dict[str, Any]:
    """The row of Stripe's balance by which a dispute takes money, or, of a negative amount, gives it back."""
    return {
        "object": "balance_transaction",
        "id": f"txn_{unique()}",
        "amount": -amount,
        "currency": "usd",
        "fee": 1500 if amount > 0 else 0,
        **more,
    }


def razorpay_dispute(ref: str, charge_ref: str, status: str, amount: int, **more: Any) -> dict[str, Any]:
    """A chargeback of a Razorpay payment in rupees, that is to be answered within a week."""
    return {
        "id": ref,
        "entity": "dispute",
        "payment_id": charge_ref,
        "amount": amount,
        "currency": "INR",
        "amount_deducted": amount if status == "lost" else 0,
        "reason_code": "goods_or_services_not_received",
        "respond_by": int((NOW + timedelta(days=8)).timestamp()),
        "status": status,
        "phase": "chargeback",
        "created_at": 1_793_000_200,
        **more,
    }


def as_sent(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def signed(gateway: str, body: bytes, *, at: datetime, secret: str | None = None) -> dict[str, str]:
    """The headers with which the gateway sends these bytes."""
    if gateway == "stripe":
        time = int(at.timestamp())
        mark = hmac.digest((secret or STRIPE_SECRET).encode(), f"{time}.".encode() + body, sha256).hex()
        return {"stripe-signature": f"t={time},v1={mark}"}
    return {"x-razorpay-signature": hmac.digest((secret or RAZORPAY_SECRET).encode(), body, sha256).hex()}


def signed_now(gateway: str, body: bytes) -> dict[str, str]:
    """The headers for a service that keeps real time."""
    return signed(gateway, body, at=datetime.now(UTC))


# The inbox.


def delivery(ctx: Context, gateway: str, body: dict[str, Any] | bytes) -> inbox.Delivery:
    """The body as it goes into the inbox once its signature was found right."""
    raw = body if isinstance(body, bytes) else as_sent(body)
    return service.delivery(ctx, ctx.directory.verifiers(gateway)[0], [], raw)


async def stored(ctx: Context, gateway: str, *bodies: dict[str, Any] | bytes) -> list[str]:
    """Store the bodies in one transaction; the ids of their letters, in order."""
    letters = [delivery(ctx, gateway, body) for body in bodies]
    async with ctx.db.transaction() as conn:
        await inbox.store(conn, letters)
    return [letter.id for letter in letters]


async def told(ctx: Context, gateway: str, *bodies: dict[str, Any] | bytes) -> list[str | None]:
    """Store the bodies and understand each in turn; what became of them."""
    return [await understood(ctx, letter) for letter in await stored(ctx, gateway, *bodies)]


async def understood(ctx: Context, letter_id: str) -> str | None:
    came = await service.understand(ctx, letter_id)
    return came.status if came else None


async def family_of(ctx: Context, payment_id: str) -> Family:
    async with ctx.db.reading() as conn:
        return await payments.get(conn, payment_id)


async def rows(ctx: Context, sql: str, *values: Any) -> list[dict[str, Any]]:
    async with ctx.db.reading() as conn:
        return [dict(row) for row in await conn.fetch(sql, *values)]


async def one(ctx: Context, sql: str, *values: Any) -> Any:
    """The single value of a query."""
    async with ctx.db.reading() as conn:
        return await conn.fetchval(sql, *values)


async def books(conn: Connection, payment_id: str) -> dict[tuple[str, str], int]:
    """What a payment's journals come to on each ledger account: (name, currency) → minor units."""
    found = await conn.fetch(
        """
        SELECT a.name, e.currency, sum(e.amount)::bigint AS sum
        FROM journals j JOIN entries e ON e.journal_id = j.id JOIN ledger_accounts a ON a.id = e.ledger_account_id
        WHERE j.payment_id = $1 GROUP BY a.name, e.currency HAVING sum(e.amount) <> 0
        """,
        payment_id,
    )
    return {(row["name"], row["currency"]): row["sum"] for row in found}
