"""A dispute: what a customer's bank asks back. What its gateway says is ranked; what we answer is a closed table.

Where it stands, by what the gateway names it (gateways 1.7 and 2.5):

    inquiry         Stripe: warning_needs_response, warning_under_review. Razorpay: phases fraud and retrieval, undecided
    needs_response  Stripe: needs_response, appeal_needs_response. Razorpay: open
    under_review    Stripe: under_review, appeal_under_review. Razorpay: under_review
    won, lost       so named by both
    closed          Stripe: warning_closed (an inquiry came to nothing), prevented. Razorpay: closed

The rank is nearly the same everywhere. Stripe closes inquiries only, and one that becomes a dispute afterwards is one:
there closed stands below what follows it. A bank that asks again after a review is told by its later deadline.

A verdict need not be the last. Razorpay names the round (its phase): one that was asked about in a later round than the
last that was decided is open again. Stripe names an appeal, but not what the verdict on it is about: there the money tells,
which goes out once more than it came back. Where both won and lost were said, the money decides once it has moved.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from counterfoil.domain.call import Verb
from counterfoil.domain.fact import Fact, Kind, Report
from counterfoil.domain.machine import Machine


class DisputeState(StrEnum):
    INQUIRY = "inquiry"  # a question; no money moves
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    CLOSED = "closed"  # ended without a verdict
    WON = "won"
    LOST = "lost"


OPEN: Final = frozenset({DisputeState.INQUIRY, DisputeState.NEEDS_RESPONSE, DisputeState.UNDER_REVIEW})
ENDS: Final = frozenset(DisputeState) - OPEN

# How far it has gone, by the names of both gateways; a verdict does not say what it is about.
PHASES: Final = ("fraud", "retrieval", "inquiry", "chargeback", "pre_arbitration", "arbitration", "appeal")
# Rounds after the first, by Razorpay's phases; each ends with a verdict of its own.
ROUNDS: Final[Mapping[str, int]] = {"pre_arbitration": 1, "arbitration": 2}

RANK: Final = tuple(DisputeState)
# Gateways whose rank is another.
RANKS: Final[Mapping[str, tuple[DisputeState, ...]]] = {
    "stripe": (
        DisputeState.INQUIRY,
        DisputeState.CLOSED,
        DisputeState.NEEDS_RESPONSE,
        DisputeState.UNDER_REVIEW,
        DisputeState.WON,
        DisputeState.LOST,
    )
}

SAYS: Final = {
    Kind.DISPUTE_INQUIRY: DisputeState.INQUIRY,
    Kind.DISPUTE_OPEN: DisputeState.NEEDS_RESPONSE,
    Kind.DISPUTE_UNDER_REVIEW: DisputeState.UNDER_REVIEW,
    Kind.DISPUTE_CLOSED: DisputeState.CLOSED,
    Kind.DISPUTE_WON: DisputeState.WON,
    Kind.DISPUTE_LOST: DisputeState.LOST,
}


class Answer(StrEnum):
    """What we have answered the bank."""

    NONE = "none"
    SUBMITTING = "submitting"  # the evidence is on its way, or what became of it is not known
    SUBMITTED = "submitted"
    ACCEPTING = "accepting"
    ACCEPTED = "accepted"


class Command(StrEnum):
    EDIT = "edit"
    SUBMIT = "submit"
    ACCEPT = "accept"
    ARRIVE = "arrive"  # the gateway has it
    FAIL = "fail"  # the gateway surely has it not
    ASK_AGAIN = "ask_again"  # the bank wants to know more


# What may be done about a dispute, by where its gateway says that it stands. "." may be asked; "!" is refused.
ALLOWED: Final = Machine.read(
    DisputeState,
    Command,
    """
                      edit  submit  accept  arrive  fail  ask_again
    inquiry           .     .       !       .       .     .
    needs_response    .     .       .       .       .     .
    under_review      !     !       !       .       .     !
    closed            !     !       !       .       .     !
    won               !     !       !       .       .     !
    lost              !     !       !       .       .     !
    """,
)

# How our own answer goes on. "." is so already. One answer is on its way at a time, and what was accepted is given up.
ANSWERS: Final = Machine.read(
    Answer,
    Command,
    """
                  edit  submit      accept     arrive     fail  ask_again
    none          .     submitting  accepting  !          .     .
    submitting    !     !           !          submitted  none  .
    submitted     !     .           !          .          .     none
    accepting     !     !           !          accepted   none  .
    accepted      !     !           .          .          .     .
    """,
)

# What may speak for a charge, by our names: each gateway says which of its own fields it becomes.
TEXTS: Final = (
    "product_description",
    "service_date",
    "customer_name",
    "customer_email",
    "customer_ip",
    "customer_communication",
    "terms",
    "refund_policy",
    "refund_refusal",
    "refund_history",
    "cancellation_policy",
    "delivery_log",
    "receipt",
    "access_log",
    "timeline",
)
SUMMARY_CHARS: Final = 1_000  # Razorpay's limit (gateways 2.5)
TEXT_CHARS: Final = 20_000  # Stripe's limit of a field; of them together it takes 150,000
TEXTS_CHARS: Final = 150_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """One dispute of one charge, as its gateway has it, and what we answer. Amounts are minor units of `currency`.

    held is what may not be refunded now; withdrawn and reinstated what the gateway took out of our balance for it and
    gave back, each time it did. `respond_by` is the latest deadline that was named; up to `answered_until` the bank has its
    answer. The rounds are the latest that was asked about, and the latest that was decided.
    """

    id: str
    merchant_id: str
    mode: str
    payment_id: str
    charge_id: str
    account_id: str
    gateway: str
    ref: str
    state: DisputeState
    amount: int
    currency: str
    reason: str | None
    phase: str | None
    respond_by: datetime | None
    answered_until: datetime | None
    refundable: bool  # as an inquiry it leaves the charge refundable
    submissions: int  # how often the gateway says that it had evidence
    submissions_before: int  # and had had when we last began to send ours
    asked_round: int
    decided_round: int
    held: int
    withdrawn: int
    reinstated: int
    lost: int
    answer: Answer
    failure: Mapping[str, Any] | None  # why the last answer did not arrive
    submitted_at: datetime | None
    submitted_by: str | None
    accepted_at: datetime | None
    accepted_by: str | None
    next_check_at: datetime | None
    checks: int
    version: int
    opened_at: datetime
    created_at: datetime
    updated_at: datetime

    @property
    def taken(self) -> int:
        """What the gateway keeps of our balance for it."""
        return self.withdrawn - self.reinstated

    @property
    def is_taken_again(self) -> bool:
        """Whether the gateway keeps what it had given back: it took more, in all, than is asked."""
        return self.withdrawn > self.amount and self.taken > 0

    @property
    def waits_for_us(self) -> bool:
        """Whether the bank waits for an answer that nobody has sent."""
        if self.state not in {DisputeState.INQUIRY, DisputeState.NEEDS_RESPONSE}:
            return False
        return self.answer is Answer.NONE and not self.is_answered

    @property
    def is_answered(self) -> bool:
        return self.answered_until is not None and not _later(self.respond_by, self.answered_until)


def follow(dispute: Dispute, known: Sequence[Fact], told: Report) -> Dispute:
    """The dispute as all facts have it, with what only this telling of one adds; the order of telling plays no part."""
    after = weigh(_heard(dispute, told), known)
    if after.answer is Answer.SUBMITTED and _asks_again(after):
        return replace(after, answer=ANSWERS.next(after.answer, Command.ASK_AGAIN))
    return after


def weigh(dispute: Dispute, known: Sequence[Fact]) -> Dispute:
    """The dispute as all facts together have it."""
    said = [fact for fact in known if fact.object_id == dispute.ref]
    after = _stands(_moved(dispute, said), said)
    after = replace(after, lost=_lost(after))
    return replace(after, held=_held(after))


def _heard(dispute: Dispute, told: Report) -> Dispute:
    """What a fact is not kept twice for: the deadline may be put off, and an inquiry become refundable."""
    by, count = told.detail.get("respond_by"), told.detail.get("evidence_count")
    round_, says = ROUNDS.get(str(told.detail.get("phase")), 0), SAYS.get(told.kind)
    deadline = datetime.fromtimestamp(by, UTC) if isinstance(by, int) else None
    leaves_refundable = told.kind is Kind.DISPUTE_INQUIRY and told.detail.get("refundable") is True
    return replace(
        dispute,
        respond_by=_latest(dispute.respond_by, deadline),
        answered_until=_latest(dispute.answered_until, deadline if under_review(told) else None),
        refundable=dispute.refundable or leaves_refundable,
        submissions=max(dispute.submissions, count if isinstance(count, int) else 0),
        phase=_furthest(dispute.phase, told.detail.get("phase")),
        asked_round=max(dispute.asked_round, round_ if says in OPEN else 0),
        decided_round=max(dispute.decided_round, round_ if says in ENDS else 0),
        opened_at=min(dispute.opened_at, told.at or dispute.opened_at),
    )


def under_review(told: Report) -> bool:
    """Whether the bank has its answer: an inquiry stays one while it is looked into (gateways 1.7)."""
    status = told.detail.get("gateway_status")
    return told.kind is Kind.DISPUTE_UNDER_REVIEW or str(status).endswith("under_review")


def _moved(dispute: Dispute, said: Sequence[Fact]) -> Dispute:
    moved = {Kind.DISPUTE_WITHDRAWN: 0, Kind.DISPUTE_REINSTATED: 0}
    for fact in said:
        if fact.kind in moved:
            moved[fact.kind] = max(moved[fact.kind], fact.amount)
    return replace(
        dispute, withdrawn=moved[Kind.DISPUTE_WITHDRAWN], reinstated=moved[Kind.DISPUTE_REINSTATED]
    )


def _stands(dispute: Dispute, said: Sequence[Fact]) -> Dispute:
    """The highest state that was said, with the amount and reason of who said it."""
    rank = RANKS.get(dispute.gateway, RANK)
    telling = sorted(
        (fact for fact in said if fact.kind in SAYS),
        key=lambda fact: (rank.index(SAYS[fact.kind]), fact.amount),
    )
    if not telling:
        return dispute
    reasons = [fact.detail["reason"] for fact in telling if fact.detail.get("reason")]
    after = replace(
        dispute,
        state=SAYS[telling[-1].kind],
        amount=telling[-1].amount,
        reason=reasons[-1] if reasons else None,
    )
    return replace(after, state=_beyond(after, frozenset(SAYS[fact.kind] for fact in telling)))


def _beyond(dispute: Dispute, said: frozenset[DisputeState]) -> DisputeState:
    """Where the dispute stands where the highest that was said is not the last: another round, or the other verdict."""
    state = dispute.state
    if {DisputeState.WON, DisputeState.LOST} <= said and dispute.withdrawn:
        state = DisputeState.LOST if dispute.taken > 0 else DisputeState.WON
    if state is DisputeState.UNDER_REVIEW and _asks_again(dispute):
        return DisputeState.NEEDS_RESPONSE
    open_again = dispute.is_taken_again or dispute.asked_round > dispute.decided_round
    if state in {DisputeState.WON, DisputeState.CLOSED} and open_again:
        return DisputeState.UNDER_REVIEW if dispute.is_answered else DisputeState.NEEDS_RESPONSE
    return state


def _asks_again(dispute: Dispute) -> bool:
    """A deadline after the one that was answered: the bank wants to know more."""
    return dispute.answered_until is not None and _later(dispute.respond_by, dispute.answered_until)


def _lost(dispute: Dispute) -> int:
    """What a lost dispute cost: what the gateway took and kept, and its amount until that is told."""
    if dispute.state is not DisputeState.LOST:
        return 0
    return max(dispute.taken, 0) if dispute.withdrawn else dispute.amount


def _held(dispute: Dispute) -> int:
    """What may not be refunded: all of it while it is open, nothing once it is won or closed, what was lost for good."""
    if dispute.state in {DisputeState.WON, DisputeState.CLOSED}:
        return 0
    if dispute.state is DisputeState.LOST:
        return dispute.lost
    return 0 if dispute.state is DisputeState.INQUIRY and dispute.refundable else dispute.amount


def held(disputes: Iterable[Dispute], charge_id: str) -> int:
    """What disputes hold of a charge."""
    return sum(dispute.held for dispute in disputes if dispute.charge_id == charge_id)


def contradiction(dispute: Dispute, known: Iterable[Fact]) -> str | None:
    """The ends that cannot both be true of one dispute, as words for a person. The higher stands all the same."""
    rank = RANKS.get(dispute.gateway, RANK)
    ends = rank[rank.index(DisputeState.UNDER_REVIEW) + 1 :]
    said = {SAYS[fact.kind] for fact in known if fact.object_id == dispute.ref and fact.kind in SAYS}
    both = sorted(said.intersection(ends))
    return " and ".join(both) if len(both) > 1 else None


def seen(verb: Verb, dispute: Dispute, reports: Iterable[Report]) -> bool | None:
    """Whether a call whose outcome is not known was carried out, by what the dispute is read to say. None: not yet.

    False where the dispute has ended otherwise: the call can have no effect any more.
    """
    told = [report for report in reports if report.object_id == dispute.ref and report.kind in SAYS]
    states = {SAYS[report.kind] for report in told}
    if verb is Verb.ACCEPT_DISPUTE:
        return DisputeState.LOST in states if states - OPEN else None
    counts = [report.detail.get("evidence_count") for report in told]
    counted = any(isinstance(count, int) and count > dispute.submissions_before for count in counts)
    if counted or any(map(under_review, told)):
        return True
    return False if states - OPEN else None


def _furthest(*phases: object) -> str | None:
    known = [phase for phase in PHASES if phase in phases]
    return known[-1] if known else None


def _later(moment: datetime | None, than: datetime | None) -> bool:
    return moment is not None and (than is None or moment > than)


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return other if _later(other, one) else one
