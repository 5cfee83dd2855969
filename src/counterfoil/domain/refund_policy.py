"""Who must agree to a refund, and what nobody may ask: the rules of the settings, read once and asked often.

A threshold counts what a payment, and a customer within a day, get back in all, so that splitting does not slip under.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from counterfoil.domain.errors import InvalidRequestError, RefundLimitError, RefundRefusedError
from counterfoil.domain.money import Money

NOTE_REASONS: Final = ("other",)  # says nothing by itself
EXPIRY_HOURS: Final = 72
REMINDER_HOURS: Final = 24
BEFORE_FULFILMENT: Final = "requested_by_customer"
Amounts = Mapping[str, int]  # currency → minor units


@dataclass(frozen=True, slots=True)
class Limits:
    """What somebody may ask for, in one refund and in one day."""

    per_refund: Amounts = field(default_factory=dict)
    per_day: Amounts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    reasons: tuple[str, ...]
    note_reasons: tuple[str, ...]
    partial: bool
    automated: bool  # what needs nobody's approval any more is sent without a person
    always: bool
    threshold: Amounts
    second: Amounts  # from here two must agree
    expiry: timedelta
    reminder: timedelta
    roles: Mapping[str, Limits]
    people: Mapping[str, Limits]
    small: Amounts  # up to here, in all, nobody is asked
    before_fulfilment: bool
    duplicates: bool
    early_warnings: bool
    speed: str


def read(document: Mapping[str, Any]) -> Policy:
    """The policy of a settings document."""
    section = document.get("refundProcessing", {})
    automatic, limits = section.get("automatic", {}), section.get("limits", {})
    return Policy(
        reasons=tuple(section.get("refundReasons", ())),
        note_reasons=tuple(section.get("noteReasons", NOTE_REASONS)),
        partial=section.get("partialRefundsEnabled", True),
        automated=section.get("automatedRefunds", False),
        always=section.get("refundApprovalRequired", True),
        threshold=section.get("refundThreshold", {}),
        second=section.get("secondApprovalThreshold", {}),
        expiry=timedelta(hours=section.get("approvalExpiryHours", EXPIRY_HOURS)),
        reminder=timedelta(hours=section.get("approvalReminderHours", REMINDER_HOURS)),
        roles={role: _limits(limits.get(role, {})) for role in ("support", "approver", "admin")},
        people={person: Limits(per_day=most) for person, most in limits.get("people", {}).items()},
        small=automatic.get("smallAmounts", {}),
        before_fulfilment=automatic.get("beforeFulfilment", False),
        duplicates=automatic.get("duplicatePayments", False),
        early_warnings=automatic.get("earlyFraudWarnings", False),
        speed=section.get("speed", "normal"),
    )


def _limits(section: Mapping[str, Any]) -> Limits:
    return Limits(per_refund=section.get("perRefund", {}), per_day=section.get("perDay", {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A refund that is asked for, with what it adds up to. Sums include it, and are of its currency."""

    money: Money
    reason: str
    of_payment: int  # live and done refunds of the payment
    of_customer_day: int
    of_person_day: int
    role: str
    person: str
    fulfilled: bool  # the goods are on their way
    manual: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """How many people must agree, and which rule says so."""

    needed: int
    rule: str


def decide(policy: Policy, ask: Ask) -> Decision:
    """Who must agree. A manual refund always needs somebody: no gateway vouches for it."""
    currency = ask.money.currency
    if (second := policy.second.get(currency)) is not None and _most(ask) >= second:
        return Decision(2, f"two must agree from {Money(second, currency)}")
    if not ask.manual and (waived := _waived(policy, ask)):
        return Decision(0, waived)
    if (threshold := policy.threshold.get(currency)) is not None:
        if ask.of_payment >= threshold:
            return Decision(1, f"approval from {Money(threshold, currency)} of one payment")
        if ask.of_customer_day >= threshold:
            return Decision(1, f"approval from {Money(threshold, currency)} of one customer and day")
    elif policy.always:
        return Decision(1, "every refund needs an approval")
    if ask.manual:
        return Decision(1, "a manual refund needs an approval")
    return Decision(
        0, "no approval is required" if threshold is None else f"below {Money(threshold, currency)}"
    )


def _most(ask: Ask) -> int:
    return max(ask.of_payment, ask.of_customer_day)


def _waived(policy: Policy, ask: Ask) -> str | None:
    """The rule of automatic refunds that this one falls under."""
    small = policy.small.get(ask.money.currency)
    if small is not None and _most(ask) <= small:
        return f"automatic: small amounts up to {Money(small, ask.money.currency)}"
    if policy.before_fulfilment and ask.reason == BEFORE_FULFILMENT and not ask.fulfilled:
        return "automatic: cancelled before fulfilment"
    return None


def check(policy: Policy, ask: Ask, *, note: str | None, whole: bool) -> None:
    """Raise where nobody may ask for this: an unknown reason, a missing note, a part, a limit of a role or person."""
    if ask.reason not in policy.reasons:
        allowed = ", ".join(policy.reasons)
        raise InvalidRequestError(
            f"reason must be one of: {allowed}.", field="reason", allowed=list(policy.reasons)
        )
    if ask.reason in policy.note_reasons and not note:
        raise InvalidRequestError(f"The reason {ask.reason} needs a note that says more.", field="note")
    if not whole and not policy.partial:
        raise RefundRefusedError("Partial refunds are switched off: leave amount out to refund all of it.")
    check_limits(policy, ask)


def check_limits(policy: Policy, ask: Ask) -> None:
    """Raise RefundLimitError where it is more than this role or person may ask for."""
    _within(policy.roles.get(ask.role, Limits()), ask, f"the role {ask.role}")
    _within(policy.people.get(ask.person, Limits()), ask, ask.person)


def check_approver(policy: Policy, money: Money, *, role: str, person: str) -> None:
    """Raise RefundLimitError where this role or person may not let so much go."""
    for limits, who in ((policy.roles.get(role), f"the role {role}"), (policy.people.get(person), person)):
        most = limits.per_refund.get(money.currency) if limits else None
        if most is not None and money.minor > most:
            raise RefundLimitError(
                f"A refund that {who} agrees to may be {Money(most, money.currency)} at most."
            )


def _within(limits: Limits, ask: Ask, who: str) -> None:
    currency = ask.money.currency
    most, day = limits.per_refund.get(currency), limits.per_day.get(currency)
    if most is not None and ask.money.minor > most:
        raise RefundLimitError(f"A refund by {who} may be {Money(most, currency)} at most.")
    if day is not None and ask.of_person_day > day:
        raise RefundLimitError(
            f"With this, refunds asked for today would come to {Money(ask.of_person_day, currency)};"
            f" {who} may ask for {Money(day, currency)} a day."
        )
