"""Past payments compared with what their gateways say of them, before they are taken over."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from counterfoil.domain import ids, importing
from counterfoil.domain.charge import weigh
from counterfoil.domain.fact import Fact, Kind, Report
from counterfoil.domain.importing import Past, PastRefund
from counterfoil.gateways.base import Accepted
from counterfoil.services.context import Context
from counterfoil.services.facts import charge_ref_of
from counterfoil.store import importing as store

# A refund that took something off its charge, so far.
_GIVEN_BACK: Final = frozenset({Kind.REFUND_PENDING, Kind.REFUND_SUCCEEDED})


async def difference(ctx: Context, past: Past) -> str | None:
    """What the gateway says otherwise, as a sentence; or that it says nothing."""
    if past.attempt_ref is None:
        return f"{past.gateway} is asked by {importing.IDS[past.gateway].attempt_field}, which is missing"
    gateway = ctx.directory.gateway(past.account_id or "")
    outcome = await gateway.collect.look_up(past.attempt_ref)
    if not isinstance(outcome, Accepted):
        return f"{past.gateway} could not be asked: {outcome.message}"
    if await _is_ours(ctx, outcome.reports):
        return "it was made by this service, and is learned from its own webhooks"
    if sentence := _compared(past, outcome.reports):
        return sentence
    for one in past.refunds:
        if sentence := await _refund_difference(ctx, past, one):
            return sentence
    return None


async def _is_ours(ctx: Context, reports: Iterable[Report]) -> bool:
    named = {report.our_reference for report in reports if report.our_reference}
    ours = [name for name in named if ids.is_id("attempt", name)]
    async with ctx.db.reading() as conn:
        return any([await store.is_attempt(conn, name) for name in ours])


def _compared(past: Past, reports: Sequence[Report]) -> str | None:
    mine = [report for report in reports if charge_ref_of(report) == past.charge_ref]
    if not mine:
        return f"{past.gateway} does not name {past.charge_ref} on {past.attempt_ref}"
    for report in mine:
        if report.face is not None and report.face != past.money:
            return f"{past.gateway} says {report.face}, the row {past.money}"
    figures = weigh(past.charge_ref, [_fact(report, past.captured_at) for report in mine])
    if figures.captured != past.captured:
        return f"{past.gateway} says {figures.captured} captured, the row {past.captured}"
    return None


async def _refund_difference(ctx: Context, past: Past, one: PastRefund) -> str | None:
    refunds = ctx.directory.gateway(past.account_id or "").refunds
    if refunds is None:
        return None
    outcome = await refunds.look_up_refund(one.ref)
    if not isinstance(outcome, Accepted):
        return f"{past.gateway} could not be asked about {one.ref}: {outcome.message}"
    said = [
        (report.charge_ref, report.amount.minor) for report in outcome.reports if report.kind in _GIVEN_BACK
    ]
    if (past.charge_ref, one.amount) not in said:
        return f"{past.gateway} does not say that {one.ref} gave {one.amount} of {past.charge_ref} back"
    return None


def _fact(report: Report, at: datetime) -> Fact:
    return Fact(
        id=0,
        object_id=report.object_id,
        kind=report.kind,
        amount=report.amount.minor,
        currency=report.amount.currency,
        attempt_id="",
        charge_ref=charge_ref_of(report),
        detail={},
        said_at=report.at or at,
    )
