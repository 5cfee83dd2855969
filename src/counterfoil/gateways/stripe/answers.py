"""What Stripe's HTTP answers mean: one of the four outcomes, by status and by what the body says of itself. Pure.

200                       Accepted, unless it cannot be read or speaks of something else than was asked
402                       Declined
400, 401, 403, 404, 429   Refused: Stripe did not execute it
anything else             Unknown: 409 (the same key is still at work), 424, and every 5xx, replayed ones too
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import msgspec

from counterfoil.domain.call import Verb
from counterfoil.domain.fact import Report
from counterfoil.domain.failure import FailureCode
from counterfoil.gateways.base import Accepted, Declined, Outcome, Refused, Unknown, UnreadableEventError
from counterfoil.gateways.http import Answer, Judge, retry_after_s
from counterfoil.gateways.stripe import failures
from counterfoil.gateways.stripe.shapes import Complaint, ErrorBody, Intent, IntentStub
from counterfoil.gateways.stripe.translate import of_intent
from counterfoil.gateways.wire import decode, plain

_REFUSED: Final = frozenset({400, 401, 403, 404, 429})
_BY_STATUS: Final = {
    HTTPStatus.UNAUTHORIZED: FailureCode.MERCHANT_SETUP,
    HTTPStatus.FORBIDDEN: FailureCode.MERCHANT_SETUP,
    HTTPStatus.TOO_MANY_REQUESTS: FailureCode.GATEWAY_UNAVAILABLE,
}
# An intent in one of these states, when the verb is refused, has had it done before. A cancel refused because the
# intent succeeded is not "already cancelled", and a capture refused because it was cancelled not "already captured".
_DONE: Final = {
    Verb.CONFIRM: frozenset({"processing", "requires_capture", "succeeded"}),
    Verb.CAPTURE: frozenset({"succeeded"}),
    Verb.CANCEL: frozenset({"canceled"}),
}
_CLIENT_SECRET: Final = re.compile(rb'("client_secret"\s*:\s*"|client_secret=)(?:[^"\\&]|\\.)*')


def judge(read: Callable[[bytes], Outcome], verb: Verb | None = None) -> Judge:
    """The reading of a call's answers; `read` takes the body of a 200 and may raise UnreadableEventError."""

    def judged(answer: Answer) -> Outcome:
        try:
            if answer.status == HTTPStatus.OK:
                return read(answer.body)
            if answer.status == HTTPStatus.PAYMENT_REQUIRED:
                return _declined(answer)
        except UnreadableEventError as error:
            return _unknown(answer, f"Stripe's answer cannot be relied on: {error}")
        complaint = _complaint(answer)
        if answer.status in _REFUSED:
            return _refused(answer, complaint, verb)
        return _unknown(answer, f"Stripe answered {answer.status}: {plain(complaint.message or '')}")

    return judged


def accepted(intent: Intent, body: bytes) -> Accepted:
    """The outcome of a call that answered with an intent. The client secret is given only where the browser acts."""
    return Accepted(
        ref=intent.id,
        reports=of_intent(intent),
        client_secret=intent.client_secret if intent.next_action else None,
        next_action=intent.next_action,
        raw=redacted(body),
    )


def redacted(body: bytes) -> bytes:
    """The body to keep: a client secret lets whoever holds it act on the intent, so it is never stored."""
    return _CLIENT_SECRET.sub(rb"\1(not kept)", body)


def _unknown(answer: Answer, message: str) -> Unknown:
    return Unknown(message=message, status=answer.status, raw=redacted(answer.body))


def _declined(answer: Answer) -> Declined:
    complaint = decode(answer.body, ErrorBody).error
    return Declined(
        code=failures.of_decline(complaint.code, complaint.decline_code),
        gateway_code=_word(complaint, answer.status),
        message=plain(complaint.message or ""),
        ref=_stub(complaint).id,
        reports=_reports(complaint.payment_intent),
        raw=redacted(answer.body),
    )


def _refused(answer: Answer, complaint: Complaint, verb: Verb | None) -> Refused:
    code = _BY_STATUS.get(HTTPStatus(answer.status)) or _why(complaint, verb)
    return Refused(
        code=code,
        gateway_code=_word(complaint, answer.status),
        message=plain(complaint.message or f"Stripe answered {answer.status}"),
        status=answer.status,
        retry_after_s=retry_after_s(answer),
        already=code is FailureCode.ALREADY_REFUNDED or _already(complaint, verb),
        raw=redacted(answer.body),
    )


def _why(complaint: Complaint, verb: Verb | None) -> FailureCode:
    if verb is Verb.REFUND:
        return failures.of_refusal(complaint.code, complaint.message or "")
    return failures.of_error(complaint.code)


def _already(complaint: Complaint, verb: Verb | None) -> bool:
    if complaint.code == "charge_already_captured":
        return True
    if verb is None or complaint.code != "payment_intent_unexpected_state":
        return False
    return _stub(complaint).status in _DONE.get(verb, ())


def _complaint(answer: Answer) -> Complaint:
    """What an error body complains of. A proxy's page in its place says no more than its status did."""
    try:
        return decode(answer.body, ErrorBody).error
    except UnreadableEventError:
        return Complaint()


def _word(complaint: Complaint, status: int) -> str:
    return plain(complaint.decline_code or complaint.code or complaint.type or f"http_{status}")


def _stub(complaint: Complaint) -> IntentStub:
    try:
        return decode(complaint.payment_intent, IntentStub)
    except UnreadableEventError:
        return IntentStub()


def _reports(intent: msgspec.Raw) -> tuple[Report, ...]:
    """The facts of the intent inside an error, where it is whole; a decline is one without them too."""
    try:
        return of_intent(decode(intent, Intent))
    except UnreadableEventError:
        return ()
