"""Whether the service and the gateways agree to zero: no order charged twice, no charge lost, nothing in limbo."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg

Truth = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]

# One statement a question, so that the whole of what is stored is read in one place. An order is what a customer meant
# to pay once: the payments of one reference.
QUESTIONS = {
    "payments": "SELECT id, coalesce(reference, id) AS order_id, status, amount_captured, amount_refunded FROM payments",
    "attempts": "SELECT id, payment_id, ref, state FROM attempts",
    # What went back by other ways than the gateway, as a bank transfer, is not the gateway's to know.
    "charges": """SELECT ref, payment_id, captured, surplus, refunded_seen - coalesce((
            SELECT sum(amount) FROM refunds WHERE charge_id = charges.id AND method = 'manual' AND state = 'succeeded'
        ), 0)::bigint AS refunded_seen FROM charges""",
    "refunds": """SELECT id, state, source, method, amount, gateway_ref, needed, next_check_at,
        (SELECT ref FROM charges WHERE id = refunds.charge_id) AS charge_ref,
        (SELECT count(*) FROM refund_approvals WHERE refund_id = refunds.id) AS given,
        EXISTS (SELECT FROM exceptions WHERE kind = 'refund_failed' AND subject = refunds.id
                AND resolved_at IS NULL) AS told FROM refunds""",
    "unsettled": "SELECT id, payment_id, verb, settled FROM calls WHERE settled IS NULL OR settled = 'unknown'",
    "letters": "SELECT id, type, status, reason FROM inbox WHERE status NOT IN ('processed', 'ignored')",
    # A client that never came back is no harm to anybody, once its payment is settled.
    "unanswered": """SELECT i.path, i.payment_id FROM idempotency i JOIN payments p ON p.id = i.payment_id
        WHERE i.answer IS NULL AND p.next_check_at IS NOT NULL""",
    "jobs": "SELECT entrypoint, count(*) AS waiting FROM pgqueuer GROUP BY entrypoint",
    "books": """SELECT j.payment_id, sum(e.amount)::bigint AS held
        FROM entries e JOIN journals j ON j.id = e.journal_id JOIN ledger_accounts a ON a.id = e.ledger_account_id
        WHERE a.name = 'gateway_balance' GROUP BY j.payment_id""",
    "unbalanced": "SELECT journal_id, sum(amount)::bigint AS sum FROM entries GROUP BY journal_id HAVING sum(amount) <> 0",
}
OURS = "counterfoil_refund"  # the label under which our id goes along
SETTLED = {"captured", "failed", "cancelled"}

Stored = Mapping[str, Sequence[Mapping[str, Any]]]


class Charge(NamedTuple):
    """Money that a gateway took on one of its objects, and how much of it went back; minor units."""

    ref: str
    attempt_ref: str
    captured: int
    refunded: int
    disputed: int = 0  # taken out of the balance by disputes, and not given back

    @property
    def kept(self) -> int:
        return self.captured - self.refunded


@dataclass
class Verdict:
    """What was found. Every list empty is agreement."""

    charges: int = 0
    refunds: int = 0
    double_refunds: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    limbo: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.sentences

    @property
    def sentences(self) -> list[str]:
        named = (
            ("double", self.double),
            ("double refund", self.double_refunds),
            ("lost", self.lost),
            ("limbo", self.limbo),
        )
        return [f"{name}: {sentence}" for name, sentences in named for sentence in sentences]


async def stored(conn: "asyncpg.Connection[asyncpg.Record]") -> Stored:
    return {name: [dict(row) for row in await conn.fetch(sql)] for name, sql in QUESTIONS.items()}


def charged(truth: Truth) -> list[Charge]:
    """Every charge on which a gateway has taken money."""
    by_stripe = [
        Charge(
            c["id"],
            c["payment_intent"],
            c["amount_captured"],
            c["amount_refunded"],
            _disputed(truth["stripe"], "charge", c["id"]),
        )
        for c in truth["stripe"]["charges"]
        if c["captured"] and c["status"] == "succeeded"
    ]
    by_razorpay = [
        Charge(
            p["id"],
            p["order_id"],
            p["amount"],
            p["amount_refunded"],
            _disputed(truth["razorpay"], "payment_id", p["id"]),
        )
        for p in truth["razorpay"]["payments"]
        if p["captured"]
    ]
    return by_stripe + by_razorpay


def _disputed(truth: Mapping[str, Sequence[Mapping[str, Any]]], by: str, ref: str) -> int:
    """What the disputes of a charge took: Stripe's by the rows of its balance, Razorpay's by what they say themselves."""
    mine = [dispute for dispute in truth["disputes"] if dispute[by] == ref]
    rows = [row["amount"] for dispute in mine for row in dispute.get("balance_transactions", ())]
    return sum(dispute.get("amount_deducted", 0) for dispute in mine) - sum(rows)


# A gateway's word for how a refund stands → ours.
STANDS = {"pending": "processing", "succeeded": "succeeded", "processed": "succeeded", "failed": "failed"}


class Refund(NamedTuple):
    """Money that a gateway gave back. `ours` is our refund's id, which went along; a person's at the gateway has none."""

    ref: str
    ours: str | None
    amount: int
    state: str


def given_back(truth: Truth, taken: Sequence[Charge]) -> list[Refund]:
    """Every refund of money that was taken; an authorisation that is let go is none."""
    of = {charge.ref for charge in taken}
    return [
        Refund(r["id"], (r["metadata"] or {}).get(OURS), r["amount"], STANDS[r["status"]])
        for r in truth["stripe"]["refunds"]
        if r["charge"] in of
    ] + [
        Refund(r["id"], dict(r["notes"]).get(OURS), r["amount"], STANDS[r["status"]])
        for r in truth["razorpay"]["refunds"]
        if r["payment_id"] in of
    ]


def compare(truth: Truth, said: Stored) -> Verdict:
    """Hold what the gateways hold against what the service says."""
    taken = charged(truth)
    back = given_back(truth, taken)
    payment_of = {row["ref"]: row["payment_id"] for row in said["attempts"] if row["ref"]}
    return Verdict(
        charges=len(taken),
        refunds=len(back),
        double=_double(taken, payment_of, said),
        double_refunds=_double_refunds(back, said),
        lost=[*_lost(taken, payment_of, said), *_lost_refunds(back, said), *_books(taken, payment_of, said)],
        limbo=_limbo(said),
    )


def _double(taken: Sequence[Charge], payment_of: Mapping[str, str], said: Stored) -> list[str]:
    """Orders on which more than one charge was kept."""
    order_of = {row["id"]: row["order_id"] for row in said["payments"]}
    kept = defaultdict(list)
    for charge in _kept(taken, said):
        if payment := payment_of.get(charge.attempt_ref):
            kept[order_of[payment]].append(charge.ref)
    return [f"{order} is charged by {' and '.join(refs)}" for order, refs in kept.items() if len(refs) > 1]


def _kept(taken: Sequence[Charge], said: Stored) -> list[Charge]:
    """Charges that were not given back. A surplus that the customer's bank would not take back waits for a person."""
    with_a_person = {
        row["charge_ref"]
        for row in said["refunds"]
        if (row["source"], row["state"], row["told"]) == ("surplus", "failed", True)
    }
    return [charge for charge in taken if charge.kept and charge.ref not in with_a_person]


def _double_refunds(back: Sequence[Refund], said: Stored) -> list[str]:
    """Refunds of ours that a gateway carried out more than once, or that too few had agreed to."""
    refs = defaultdict(list)
    for refund in back:
        if refund.ours:
            refs[refund.ours].append(refund.ref)
    few = {row["id"] for row in said["refunds"] if row["given"] < row["needed"]}
    return [
        f"{ours} was given back by {' and '.join(made)}" for ours, made in refs.items() if len(made) > 1
    ] + [
        f"{ours} was given back by {made[0]}, without its approvals"
        for ours, made in refs.items()
        if ours in few
    ]


def _lost_refunds(back: Sequence[Refund], said: Stored) -> list[str]:
    """Refunds that one side has and the other does not know of, or knows otherwise."""
    rows = {
        row["gateway_ref"]: row
        for row in said["refunds"]
        if row["method"] == "gateway" and row["gateway_ref"]
    }
    known = {ref: (row["amount"], row["state"]) for ref, row in rows.items()}
    true = {refund.ref: (refund.amount, refund.state) for refund in back}
    return [
        f"{ref}: the gateway gave back {true.get(ref)}, we say {known.get(ref)}"
        for ref in sorted(known.keys() | true.keys())
        if known.get(ref) != true.get(ref)
    ]


def _lost(taken: Sequence[Charge], payment_of: Mapping[str, str], said: Stored) -> list[str]:
    """Money that one side has and the other does not know of."""
    known = {
        row["ref"]: (row["captured"], row["refunded_seen"]) for row in said["charges"] if row["captured"]
    }
    true = {charge.ref: (charge.captured, charge.refunded) for charge in taken}
    found = [
        f"{ref}: the gateway holds {true.get(ref, (0, 0))} (captured, refunded), we say {known.get(ref, (0, 0))}"
        for ref in sorted(known.keys() | true.keys())
        if known.get(ref) != true.get(ref)
    ]
    owned = {payment_of.get(charge.attempt_ref) for charge in _kept(taken, said)}
    return found + [
        f"{row['id']} is {row['status']}, the gateways {'hold' if row['id'] in owned else 'do not hold'} its money"
        for row in said["payments"]
        if (row["status"] == "captured" and row["amount_captured"] > row["amount_refunded"])
        != (row["id"] in owned)
    ]


def _books(taken: Sequence[Charge], payment_of: Mapping[str, str], said: Stored) -> list[str]:
    """Books that do not balance, or hold another sum than the gateways."""
    true: dict[str, int] = defaultdict(int)
    for charge in taken:
        true[payment_of.get(charge.attempt_ref, "nobody")] += charge.kept - charge.disputed
    books = {row["payment_id"]: row["held"] for row in said["books"]}
    return [f"{row['journal_id']} does not balance by {row['sum']}" for row in said["unbalanced"]] + [
        f"{payment}: the books hold {books.get(payment, 0)}, the gateways {true.get(payment, 0)}"
        for payment in sorted(books.keys() | true.keys())
        if books.get(payment, 0) != true.get(payment, 0)
    ]


def _limbo(said: Stored) -> list[str]:
    """What has not come to an end although all that could end it has happened."""
    return [
        *(f"{row['id']} ({row['verb']}) of {row['payment_id']} is unsettled" for row in said["unsettled"]),
        *(f"{row['id']} is {row['state']}" for row in said["attempts"] if row["state"] == "unknown"),
        *(f"{row['id']} is {row['status']}" for row in said["payments"] if row["status"] not in SETTLED),
        *(f"{row['id']} {row['type']} is {row['status']}: {row['reason']}" for row in said["letters"]),
        *(f"{row['id']} is {row['state']}" for row in said["refunds"] if _hangs(row)),
        *(f"{row['path']} of {row['payment_id']} was never answered" for row in said["unanswered"]),
        *(f"{row['waiting']} jobs of {row['entrypoint']} wait" for row in said["jobs"]),
    ]


def _hangs(refund: Mapping[str, Any]) -> bool:
    """Nobody decided, or it was to go by itself and has not, or it went and was not heard of."""
    if refund["state"] == "approved":
        return refund["next_check_at"] is not None
    return refund["state"] == "pending_approval" or (
        refund["state"] == "processing" and not refund["gateway_ref"]
    )
