"""The check: proves over all that is stored, and against the gateways, what the service promises.

Nothing is taken from the code that wrote it: statuses are derived anew from facts, decisions and calls, sums are added
up again, and what is wrong is told with its ids. Payments are read a page at a time, each page as of one moment, so that
a service that goes on working meanwhile does not look wrong.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from counterfoil.domain.attempt import Attempt
from counterfoil.domain.charge import REFUND_SAYS, Charge, ChargeState, refund_state, weigh
from counterfoil.domain.dispute import Dispute, DisputeState, held
from counterfoil.domain.dispute import weigh as weigh_dispute
from counterfoil.domain.fact import Fact, Kind, Report
from counterfoil.domain.ids import is_id
from counterfoil.domain.ledger import DISPUTE_LOSSES, DISPUTED, GATEWAY, OPENED, OPENED_REFUND
from counterfoil.domain.payment import Status, winner_charge
from counterfoil.domain.refund import SAID, manually, reserved
from counterfoil.gateways.base import Accepted
from counterfoil.services import facts, standing
from counterfoil.services.context import Context
from counterfoil.services.progress import Progress, nobody_watches
from counterfoil.store import checking, payments, receipts
from counterfoil.store.checking import Lopsided, Posted
from counterfoil.store.payments import Family

PAGE: Final = 200  # payments at once: a few hundred kilobytes, and a snapshot held for a few milliseconds
AT_ONCE: Final = 4  # payments asked about at a gateway at once: a tenth of what either allows a second
SHOWN: Final = 1_000  # letters and requests told of; where there are more, these are enough to begin with
# An unknown outcome is asked about from half a minute on, ever less often, up to once an hour (services/sweeping.py).
UNSETTLED_FOR: Final = timedelta(hours=2)
# The sweeps come round every second; what was due so long ago is looked at by nobody.
OVERDUE_FOR: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it is promised: which rule, what it is about, and a sentence."""

    rule: str
    subject: str
    sentence: str


async def check(ctx: Context, *, progress: Progress = nobody_watches) -> list[Difference]:
    """Everything that is wrong in what is stored."""
    found = [*await _schema(ctx), *await _elsewhere(ctx)]
    done, total, after = 0, await _count(ctx), ""
    while page := await _page(ctx, after):
        families, posted, lopsided = page
        for family in families:
            own = [line for line in posted if line.payment_id == family.payment.id]
            found += _of_family(family, own, now=ctx.now())
        found += [_unbalanced(journal) for journal in lopsided]
        done, after = done + len(families), families[-1].payment.id
        progress(done, max(done, total))
    return found


async def _count(ctx: Context) -> int:
    async with ctx.db.reading() as conn:
        return await checking.count(conn, ctx.merchant_id, ctx.mode)


async def _page(ctx: Context, after: str) -> tuple[list[Family], list[Posted], list[Lopsided]] | None:
    async with ctx.db.transaction() as conn:
        await checking.one_moment(conn)
        ids = await checking.page(conn, ctx.merchant_id, ctx.mode, after=after, since=None, limit=PAGE)
        if not ids:
            return None
        return (
            await payments.families(conn, ids),
            await checking.posted(conn, ids),
            await checking.lopsided(conn, ids),
        )


async def _schema(ctx: Context) -> list[Difference]:
    async with ctx.db.reading() as conn:
        gone, unproven = await checking.missing_triggers(conn), await checking.unproven_constraints(conn)
    return [
        Difference(
            "schema", f"{table}.{trigger}", f"The trigger {trigger} of {table} is gone or switched off."
        )
        for table, trigger in gone
    ] + [
        Difference(
            "schema", f"{table}.{name}", f"The constraint {name} of {table} was never proven over all rows."
        )
        for table, name in unproven
    ]


async def _elsewhere(ctx: Context) -> list[Difference]:
    """What is asked of all payments at once, or hangs on none: approvals, webhooks and requests."""
    before = ctx.now() - OVERDUE_FOR
    async with ctx.db.reading() as conn:
        letters = await checking.stuck_letters(
            conn, ctx.merchant_id, ctx.mode, due_before=before, limit=SHOWN
        )
        alone = await checking.unapproved(conn, ctx.merchant_id, ctx.mode, limit=SHOWN)
        gaps = await receipts.gaps(conn, ctx.merchant_id, ctx.mode)
        requests = await checking.unanswered(
            conn, ctx.merchant_id, ctx.mode, leased_before=before, limit=SHOWN
        )
    return (
        [
            Difference("inbox", id_, f"Webhook {id_} is {status}: {reason or 'nobody has looked at it'}.")
            for id_, status, reason in letters
        ]
        + [
            Difference(
                "idempotency",
                payment,
                f"A request to {path} broke off, and {payment} has not come to an end since.",
            )
            for path, payment in requests
        ]
        + [
            Difference("approvals", id_, f"Refund {id_} is {state} with {given} of {needed} approvals.")
            for id_, state, given, needed in alone
        ]
        + [
            Difference(
                "receipts",
                f"{prefix}-{year}",
                f"The series {prefix}-{year} has given {last} numbers to {there} receipts.",
            )
            for prefix, year, last, there in gaps
        ]
    )


def _of_family(family: Family, posted: Sequence[Posted], *, now: datetime) -> Iterator[Difference]:
    """What is wrong with one payment and all that hangs on it."""
    sentences = {
        "attempts": _attempts(family),
        "status": _status(family, now),
        "charges": _charges(family),
        "winner": _winner(family),
        "disputes": _disputes(family),
        "refunds": _refunds(family),
        "books": chain(_books(family, posted), _dispute_books(family, posted)),
        "calls": _calls(family, now),
    }
    for rule, told in sentences.items():
        yield from (Difference(rule, family.payment.id, sentence) for sentence in told)


def _attempts(family: Family) -> Iterator[str]:
    for attempt in family.attempts:
        state = standing.state_of(family, attempt)
        if state is not attempt.state:
            yield f"Attempt {attempt.id} is stored as {attempt.state}; decisions, calls and facts make it {state}."


def _status(family: Family, now: datetime) -> Iterator[str]:
    """The stored status was right when it was last written: before or after the payment expired."""
    payment = family.payment
    possible = {standing.status_of(family, expired=False)}
    if now >= payment.expires_at:
        possible.add(standing.status_of(family, expired=True))
    if payment.status not in possible:
        derived = " or ".join(sorted(status.value for status in possible))
        yield f"{payment.id} is stored as {payment.status}; its attempts, calls and facts make it {derived}."
    winner = winner_charge(payment.winner_attempt_id, family.charges)
    sums = (winner.captured, winner.refunded_seen) if winner else (0, 0)
    if (payment.amount_captured, payment.amount_refunded) != sums:
        yield (
            f"{payment.id} says captured {payment.amount_captured} and refunded {payment.amount_refunded};"
            f" its winning charge says {sums[0]} and {sums[1]}."
        )


def _charges(family: Family) -> Iterator[str]:
    """Each charge is what its facts make it, and every fact about money has its charge."""
    known = {charge.ref for charge in family.charges}
    for charge in family.charges:
        figures = weigh(charge.ref, family.facts)
        if (charge.state, charge.captured, charge.refunded_seen) != (
            figures.state,
            figures.captured,
            figures.refunded,
        ):
            yield (
                f"Charge {charge.ref} is stored as {_told(charge)};"
                f" its facts make it {figures.state}, captured {figures.captured}, refunded {figures.refunded}."
            )
    for ref in sorted({fact.charge_ref for fact in family.facts if fact.charge_ref} - known):
        yield f"Facts speak of charge {ref}, which is not stored."


def _told(charge: Charge) -> str:
    return f"{charge.state}, captured {charge.captured}, refunded {charge.refunded_seen}"


def _winner(family: Family) -> Iterator[str]:
    """One attempt has the payment, and one charge of it pays; every other capture is surplus and goes back."""
    payment = family.payment
    captured = [charge for charge in family.charges if charge.captured]
    paying = [charge for charge in captured if not charge.surplus]
    if len(paying) > 1:
        refs = " and ".join(sorted(charge.ref for charge in paying))
        yield f"{payment.id} is paid by more than one charge: {refs}."
    for charge in paying:
        if charge.attempt_id != payment.winner_attempt_id:
            yield (
                f"Charge {charge.ref} pays {payment.id}, but the winner is {payment.winner_attempt_id},"
                f" not its attempt {charge.attempt_id}."
            )
    if captured and not paying and payment.status is Status.CAPTURED:
        yield f"{payment.id} is captured, and all of its captured charges are surplus."


def _books(family: Family, posted: Sequence[Posted]) -> Iterator[str]:
    """What each charge took and gave back stands in the books, once and in its currency."""
    payment = family.payment
    held = {
        (line.charge_ref, line.rule): line.amount
        for line in posted
        if line.account == GATEWAY and line.currency == payment.currency
    }
    for charge in family.charges:
        back = charge.refunded_seen - manually(family.refunds, charge.id)
        for rule, due in (("capture", charge.captured), ("refund", -back)):
            booked = held.pop((charge.ref, rule), 0) + held.pop((charge.ref, _OPENED[rule]), 0)
            if booked != due:
                yield f"The books of {payment.id} hold {booked} for the {rule} of {charge.ref}; it should be {due}."
    for (ref, rule), amount in held.items():
        if amount and rule in {*_OPENED, *_OPENED.values()}:
            yield f"The books of {payment.id} hold {amount} for a {rule} of {ref}, which is no charge of it."


# What was booked elsewhere before an import counts as booked.
_OPENED: Final = {"capture": OPENED, "refund": OPENED_REFUND}


def _refunds(family: Family) -> Iterator[str]:
    """Each charge keeps what its unsent refunds ask for, and each refund stands as its gateway says."""
    for charge in family.charges:
        kept = reserved(family.refunds, charge.id)
        if charge.reserved != kept:
            yield f"Charge {charge.ref} keeps {charge.reserved} for refunds; they ask for {kept}."
    said: dict[str, list[Kind]] = {}
    for fact in family.facts:
        if fact.kind in REFUND_SAYS:
            said.setdefault(fact.object_id, []).append(fact.kind)
    for refund in family.refunds:
        if refund.gateway_ref is None:
            continue
        stands = SAID[refund_state(said.get(refund.gateway_ref, ()))]
        if refund.gateway_ref not in said:
            yield f"Refund {refund.id} is known as {refund.gateway_ref}, of which there is no fact."
        elif refund.state is not stands:
            yield f"Refund {refund.id} is stored as {refund.state}; its facts make it {stands}."


def _disputes(family: Family) -> Iterator[str]:
    """Each dispute is what its facts make it, and its charge holds what its disputes hold."""
    for dispute in family.disputes:
        derived = weigh_dispute(dispute, family.facts)
        if derived != dispute:
            yield (
                f"Dispute {dispute.ref} is stored as {_of_dispute(dispute)};"
                f" its facts make it {_of_dispute(derived)}."
            )
    for charge in family.charges:
        due = held(family.disputes, charge.id) if charge.captured else 0
        if charge.disputed_held != due:
            yield f"Charge {charge.ref} holds {charge.disputed_held} for disputes; they hold {due}."
    known = {dispute.ref for dispute in family.disputes}
    told = {fact.object_id for fact in family.facts if fact.kind.noun == "dispute" and fact.charge_ref}
    for ref in sorted(told - known):
        yield f"Facts speak of dispute {ref}, which is not stored."


def _of_dispute(dispute: Dispute) -> str:
    money = f"held {dispute.held}, withdrawn {dispute.withdrawn}, reinstated {dispute.reinstated}, lost {dispute.lost}"
    return f"{dispute.state} of {dispute.amount}, {money}"


def _dispute_books(family: Family, posted: Sequence[Posted]) -> Iterator[str]:
    """What disputes took of each charge stands in the books: out of the balance, in dispute or lost."""
    booked = {
        (line.charge_ref, line.account): line.amount
        for line in posted
        if line.rule == "dispute" and line.currency == family.payment.currency
    }
    for charge in family.charges:
        mine = [dispute for dispute in family.disputes if dispute.charge_id == charge.id]
        taken = sum(dispute.taken for dispute in mine)
        gone = sum(dispute.taken for dispute in mine if dispute.state is DisputeState.LOST)
        for account, due in ((GATEWAY, -taken), (DISPUTED, taken - gone), (DISPUTE_LOSSES, gone)):
            found = booked.pop((charge.ref, account), 0)
            if found != due:
                yield f"The books of {family.payment.id} hold {found} on {account} for disputes of {charge.ref}; it should be {due}."
    for (ref, account), amount in booked.items():
        if amount:
            yield f"The books of {family.payment.id} hold {amount} on {account} for disputes of {ref}, which is no charge of it."


def _calls(family: Family, now: datetime) -> Iterator[str]:
    payment = family.payment
    for call in family.unsettled:
        if now - call.started_at > UNSETTLED_FOR:
            yield f"The outcome of {call.verb} {call.id} is unknown since {call.started_at:%Y-%m-%d %H:%M} UTC."
    if payment.next_check_at is not None and now - payment.next_check_at > OVERDUE_FOR:
        yield f"{payment.id} should have been looked at {payment.next_check_at:%Y-%m-%d %H:%M} UTC; no sweep has come."
    if payment.next_check_at is None and (payment.status not in standing.SETTLED or family.unsettled):
        yield f"{payment.id} is {payment.status} with {len(family.unsettled)} calls unsettled, and no check is planned."


def _unbalanced(journal: Lopsided) -> Difference:
    sentence = (
        f"Journal {journal.journal_id} of {journal.payment_id} has no entries."
        if journal.currency is None
        else f"Journal {journal.journal_id} of {journal.payment_id} is {journal.amount} {journal.currency} out of balance."
    )
    return Difference("books", journal.payment_id, sentence)


async def check_gateways(ctx: Context, *, days: int, progress: Progress = nobody_watches) -> list[Difference]:
    """What the gateways say otherwise of the payments of so many days; each is read, a few at once."""
    since, after, ids = ctx.now() - timedelta(days=days), "", list[str]()
    while page := await _ids(ctx, after, since):
        ids += page
        after = page[-1]
    found: list[Difference] = []
    for start in range(0, len(ids), AT_ONCE):
        batch = ids[start : start + AT_ONCE]
        for told in await asyncio.gather(*(_asked(ctx, payment_id) for payment_id in batch)):
            found += told
        progress(start + len(batch), len(ids))
    return found


async def _ids(ctx: Context, after: str, since: datetime) -> list[str]:
    async with ctx.db.reading() as conn:
        return await checking.page(conn, ctx.merchant_id, ctx.mode, after=after, since=since, limit=PAGE)


async def _asked(ctx: Context, payment_id: str) -> list[Difference]:
    """Ask about each attempt; what differs is compared once more, since the service may have learned it meanwhile."""
    told = [
        sentence
        for attempt in (await _family(ctx, payment_id)).attempts
        if attempt.ref is not None
        for sentence in await _attempt_asked(ctx, payment_id, attempt)
    ]
    return [Difference("gateway", payment_id, sentence) for sentence in told]


async def _family(ctx: Context, payment_id: str) -> Family:
    async with ctx.db.reading() as conn:
        return await payments.get(conn, payment_id)


async def _attempt_asked(ctx: Context, payment_id: str, attempt: Attempt) -> list[str]:
    outcome = await ctx.directory.gateway(attempt.account_id).collect.look_up(attempt.ref or "")
    if not isinstance(outcome, Accepted):
        return [f"{attempt.gateway} could not be asked about {attempt.ref}: {outcome.message}"]
    family = await _family(ctx, payment_id)
    refunds = [await _refund_asked(ctx, attempt, ref) for ref in _refund_refs(family, attempt)]
    unasked = [told for told in refunds if isinstance(told, str)]
    reports = [report for told in refunds if not isinstance(told, str) for report in told]
    return [*unasked, *_compared(family, attempt, [*outcome.reports, *reports])]


def _refund_refs(family: Family, attempt: Attempt) -> list[str]:
    """The gateway's ids of the refunds that were heard of; those paid past the gateway have ours."""
    said = {
        fact.object_id for fact in family.facts if fact.attempt_id == attempt.id and fact.kind in REFUND_SAYS
    }
    return sorted(ref for ref in said if not is_id("refund", ref))


async def _refund_asked(ctx: Context, attempt: Attempt, ref: str) -> tuple[Report, ...] | str:
    """What the gateway says of a refund, or why it could not be asked: an attempt does not tell of its refunds."""
    refunds = ctx.directory.gateway(attempt.account_id).refunds
    if refunds is None:
        return ()
    outcome = await refunds.look_up_refund(ref)
    if isinstance(outcome, Accepted):
        return outcome.reports
    return f"{attempt.gateway} could not be asked about {ref}: {outcome.message}"


def _compared(family: Family, attempt: Attempt, reports: Iterable[Report]) -> Iterator[str]:
    """What the gateway says of an attempt's charges, against what is stored."""
    said = [_fact(attempt, report) for report in reports]
    refs = {fact.charge_ref for fact in said if fact.charge_ref is not None}
    stored = {charge.ref: charge for charge in family.charges if charge.attempt_id == attempt.id}
    for ref in sorted(refs):
        figures, charge = weigh(ref, said), stored.get(ref)
        theirs = f"{figures.state}, captured {figures.captured}, refunded {figures.refunded}"
        if charge is None:
            yield f"{attempt.gateway} has charge {ref} on {attempt.ref} ({theirs}), which is not stored."
        elif _differs(charge, figures.state, figures.captured, figures.refunded + _untold(family, charge)):
            yield f"Charge {ref} is stored as {_told(charge)}; {attempt.gateway} says {theirs}."
    for ref, charge in stored.items():
        if charge.captured and ref not in refs:
            yield f"Charge {ref} is stored as {_told(charge)}; {attempt.gateway} does not name it on {attempt.ref}."


def _untold(family: Family, charge: Charge) -> int:
    """What was given back and no gateway can be asked about: paid past it, or before an import and known by no name."""
    named = [fact for fact in family.facts if fact.kind is not Kind.OPENING_REFUNDED]
    unnamed = weigh(charge.ref, family.facts).refunded - weigh(charge.ref, named).refunded
    return manually(family.refunds, charge.id) + unnamed


def _differs(charge: Charge, state: ChargeState, captured: int, refunded: int) -> bool:
    """Money must agree to the unit; of a state without money a reading may lag behind what an event has told."""
    money = (charge.captured, charge.refunded_seen) != (captured, refunded)
    settled = {ChargeState.CAPTURED, ChargeState.VOIDED}
    return money or (charge.state is not state and bool({charge.state, state} & settled))


def _fact(attempt: Attempt, report: Report) -> Fact:
    return Fact(
        id=0,
        object_id=report.object_id,
        kind=report.kind,
        amount=report.amount.minor,
        currency=report.amount.currency,
        attempt_id=attempt.id,
        charge_ref=facts.charge_ref_of(report),
        detail={},
        said_at=attempt.created_at,
    )
