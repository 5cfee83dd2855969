"""How a dispute stands at its gateway is read: to learn it, and to settle an answer whose outcome is not known.

An answer counts as not sent only after twice our timeout and two reads without its effect (services/settling.py).
"""

from datetime import timedelta
from typing import Final

from counterfoil.domain.call import Call, Settled
from counterfoil.domain.dispute import Dispute, seen
from counterfoil.gateways.base import Accepted
from counterfoil.gateways.http import TOTAL_S
from counterfoil.services import calling, facts, standing
from counterfoil.services.context import Context
from counterfoil.store import calls, disputes, payments
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family

# Twice our timeout after the last sending, which may be a resend: whatever was sent has arrived by then, or never will.
ABSENCE_COUNTS_AFTER: Final = timedelta(seconds=3 * TOTAL_S)
EMPTY_READS: Final = 2


async def read(ctx: Context, dispute: Dispute) -> bool:
    """Ask the gateway how a dispute stands, and learn it. False where it did not tell, or what it told is not believed."""
    part = ctx.directory.gateway(dispute.account_id).disputes
    outcome = await part.look_up_dispute(dispute.ref) if part else None
    if not isinstance(outcome, Accepted):
        return False
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, dispute.payment_id)
        learned = await facts.apply_read(ctx, conn, family, outcome.reports, subject=dispute.id)
        return learned is not None


async def settle(ctx: Context, call: Call) -> None:
    """Settle an answer whose outcome is not known, by how the dispute is read to stand."""
    dispute = await _of_call(ctx, call)
    part = ctx.directory.gateway(dispute.account_id).disputes
    outcome = await part.look_up_dispute(dispute.ref) if part else None
    if not isinstance(outcome, Accepted):
        return
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, call.payment_id)
        if call.id not in {unsettled.id for unsettled in family.unsettled}:
            return
        learned = await facts.apply_read(ctx, conn, family, outcome.reports, subject=dispute.id)
        if learned is not None:
            await _settle(ctx, conn, learned, call, outcome)


async def _of_call(ctx: Context, call: Call) -> Dispute:
    async with ctx.db.reading() as conn:
        return await disputes.get(conn, call.dispute_id or "")


async def _settle(ctx: Context, conn: Connection, family: Family, call: Call, read: Accepted) -> None:
    effect = seen(call.verb, family.dispute(call.dispute_id or ""), read.reports)
    old = ctx.now() - call.started_at >= ABSENCE_COUNTS_AFTER
    if effect:
        settled, message = Settled.ACCEPTED, "seen by reading"
    elif effect is False:
        settled, message = Settled.ABANDONED, "the dispute ended otherwise"
    elif old and await calls.count_read(conn, call.id) >= EMPTY_READS:
        settled, message = Settled.ABANDONED, "without effect, by reading twice"
    elif old and call.settled is None:
        settled, message = Settled.UNKNOWN, "no answer was recorded"
    else:
        return
    await standing.recompute(ctx, conn, await calling.close(ctx, conn, family, call, settled, message))
