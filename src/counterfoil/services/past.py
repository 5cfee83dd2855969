"""A payment that was taken before this service was there, as the rows that any other payment has."""

from datetime import datetime

from counterfoil.domain import ids, importing
from counterfoil.domain.attempt import Attempt, AttemptState
from counterfoil.domain.charge import Charge, ChargeState
from counterfoil.domain.importing import Past, PastRefund
from counterfoil.domain.payment import Payment, Status
from counterfoil.domain.refund import Method, Refund, Source, State
from counterfoil.services.context import Context
from counterfoil.store.importing import Imported


def rows_of(ctx: Context, past: Past, *, as_of: datetime) -> Imported:
    """The rows of a payment of before. Its ids are of its own time, so that it stands among the payments of its day."""
    payment_id, attempt_id, charge_id = (
        ids.make(noun, past.captured_at, ctx.chance(10)) for noun in ("payment", "attempt", "charge")
    )
    openings = importing.openings(past, as_of=as_of)
    charge = _charge(ctx, past, payment_id, attempt_id, charge_id)
    return Imported(
        payment=_payment(ctx, past, payment_id, attempt_id),
        attempt=_attempt(ctx, past, payment_id, attempt_id),
        charge=charge,
        refunds=tuple(_refund(ctx, charge, one) for one in past.refunds),
        openings=tuple((ctx.new_id("journal"), opening) for opening in openings),
    )


def _payment(ctx: Context, past: Past, id_: str, attempt_id: str) -> Payment:
    return Payment(
        id=id_,
        merchant_id=ctx.merchant_id,
        mode=ctx.mode,
        amount=past.amount,
        currency=past.currency,
        reference=past.reference,
        description=past.description,
        customer=past.customer,
        metadata=past.metadata,
        line_items=[],
        capture="automatic",
        gateway=None,
        method=None,
        planned_gateway=None,
        return_url=None,
        status=Status.CAPTURED,
        amount_captured=past.captured,
        amount_refunded=past.refunded,
        winner_attempt_id=attempt_id,
        cancel_requested_at=None,
        capture_requested=None,
        expires_at=past.captured_at,
        next_check_at=None,
        checks=0,
        version=1,
        created_at=past.captured_at,
        updated_at=ctx.now(),
    )


def _attempt(ctx: Context, past: Past, payment_id: str, id_: str) -> Attempt:
    return Attempt(
        id=id_,
        payment_id=payment_id,
        number=1,
        account_id=past.account_id or "",
        gateway=past.gateway,
        mode=ctx.mode,
        amount=past.amount,
        currency=past.currency,
        capture="automatic",
        reason="taken there before it was imported",
        ref=past.attempt_ref,
        state=AttemptState.WON,
        failure=None,
        disclosed_at=past.captured_at,
        fenced_at=None,
        dead_at=None,
        created_at=past.captured_at,
        imported=True,
    )


def _charge(ctx: Context, past: Past, payment_id: str, attempt_id: str, id_: str) -> Charge:
    return Charge(
        id=id_,
        payment_id=payment_id,
        attempt_id=attempt_id,
        account_id=past.account_id or "",
        ref=past.charge_ref,
        state=ChargeState.CAPTURED,
        amount=past.amount,
        currency=past.currency,
        captured=past.captured,
        refunded_seen=past.refunded,
        disputed_held=0,
        reserved=0,
        surplus=False,
        detail=past.detail,
        made_at=past.captured_at,
        created_at=ctx.now(),
    )


def _refund(ctx: Context, charge: Charge, one: PastRefund) -> Refund:
    """A refund of before, made in the gateway's own dashboard as far as this service is concerned."""
    return Refund(
        id=ids.make("refund", one.at, ctx.chance(10)),
        merchant_id=ctx.merchant_id,
        mode=ctx.mode,
        payment_id=charge.payment_id,
        charge_id=charge.id,
        account_id=charge.account_id,
        amount=one.amount,
        currency=charge.currency,
        reason="other",
        note=None,
        source=Source.GATEWAY,
        method=Method.GATEWAY,
        state=State.SUCCEEDED,
        because=None,
        rule="made before it was imported",
        needed=0,
        requested_by="gateway",
        person="gateway",
        role="service",
        batch_id=None,
        retry_of=None,
        evidence=None,
        speed="normal",
        subject=f"payment:{charge.payment_id}",
        day=one.at.date().isoformat(),
        gateway_ref=one.ref,
        arn=None,
        speed_processed=None,
        failure=None,
        tries=0,
        requested_at=one.at,
        approved_at=None,
        expires_at=None,
        reminded_at=None,
        sent_at=one.at,
        ended_at=one.at,
        next_check_at=None,
        checks=0,
        version=1,
        updated_at=ctx.now(),
    )
