"""Everything that can go wrong and be told: one closed list of problem types, one tree of errors.

Problem                      a member of the list: slug, HTTP status, title, what to do
CounterfoilError             carries its Problem and the facts, writes its own sentence
├── InvalidRequestError      a field is missing, unknown, or of a wrong shape
│   └── AmountNotValidError  not a positive integer of minor units the gateway can take
│   └── BatchFaultyError     rows of a file cannot be taken; each says why
├── MalformedRequestError    no well-formed JSON
├── CardNumberRefusedError   a card number stands where none may
├── NotAuthenticatedError · NotPermittedError · NotFoundError
├── NotAcceptableError       no format of it is one that was asked for
├── WrongStateError          the thing exists, but not in a state that allows this
├── GoneError                it was kept for a time, and that is over
├── RefundRefusedError       nothing, or less, is left to refund, or refunds like this are switched off
├── RefundLimitError         more than this role or person may ask for
├── OwnRequestError          nobody approves what they asked for themselves
├── NotSupportedError        the gateway, account, currency or method cannot do this
├── IdempotencyMismatchError · IdempotencyInFlightError
├── SignatureRefusedError    a webhook that its secret does not vouch for
├── TooLargeError · TooSlowError · RateLimitedError
├── NoGatewayError           nothing is configured that could take this payment
├── GatewayAwayError         those that could do not answer now
├── DatabaseAwayError        the database cannot be reached now
├── DocumentsAwayError       no process that draws documents can be started now
├── SigningAwayError         a receipt is to be signed, or its signature judged, and this cannot be done now
└── ConfigurationError       the service cannot start like this
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple


class ProblemType(NamedTuple):
    slug: str
    status: int
    title: str
    what_to_do: str


class Problem(ProblemType, Enum):
    """The closed list. A slug, once published, never changes its meaning."""

    INVALID_REQUEST = ProblemType(
        "invalid_request", 422, "The request is not valid", "Correct the named field and send it again."
    )
    MALFORMED_REQUEST = ProblemType(
        "malformed_request", 400, "The request cannot be read", "Send well-formed JSON in UTF-8."
    )
    PAN_NOT_ALLOWED = ProblemType(
        "pan_not_allowed",
        400,
        "Card numbers are not accepted here",
        "Let the gateway's own fields collect the card; send its token instead.",
    )
    NOT_AUTHENTICATED = ProblemType(
        "not_authenticated",
        401,
        "No valid API key",
        "Send `Authorization: Bearer <key>`; `counterfoil keys create` makes a key.",
    )
    NOT_PERMITTED = ProblemType(
        "not_permitted",
        403,
        "This key's role does not allow that",
        "Use a key with the role named in detail.",
    )
    NOT_FOUND = ProblemType(
        "not_found",
        404,
        "There is no such thing",
        "Check the path, the id and the key's mode; /docs has every path.",
    )
    METHOD_NOT_ALLOWED = ProblemType(
        "method_not_allowed", 405, "This path does not take that method", "See /docs for what it takes."
    )
    NOT_ACCEPTABLE = ProblemType(
        "not_acceptable",
        406,
        "There is no such format of this",
        "Ask for one of the formats that detail names, by `format` or by the Accept header.",
    )
    WRONG_STATE = ProblemType(
        "wrong_state",
        409,
        "Not possible in this state",
        "Read the object again and act on its present status.",
    )
    GONE = ProblemType(
        "gone",
        410,
        "It was kept for a time, and is gone",
        "Ask for it anew: what it was made from is still there.",
    )
    REFUND_NOT_POSSIBLE = ProblemType(
        "refund_not_possible",
        409,
        "This cannot be refunded",
        "Read the payment's refunds and disputes; `refundable` says what is left.",
    )
    REFUND_LIMIT = ProblemType(
        "refund_limit",
        403,
        "Above a limit of refunds",
        "Ask somebody with a higher limit, or an admin to change the settings.",
    )
    OWN_REQUEST = ProblemType(
        "own_request",
        403,
        "Nobody approves their own request",
        "Have another person decide, with a key of their own.",
    )
    IDEMPOTENCY_IN_FLIGHT = ProblemType(
        "idempotency_in_flight",
        409,
        "The same request is still being carried out",
        "Wait a second and send it again with the same key.",
    )
    IDEMPOTENCY_MISMATCH = ProblemType(
        "idempotency_mismatch",
        422,
        "This idempotency key belongs to another request",
        "Use a new key for a new request.",
    )
    NOT_SUPPORTED_BY_GATEWAY = ProblemType(
        "not_supported_by_gateway",
        422,
        "The gateway cannot do this",
        "See detail for what it can do, or choose the other gateway.",
    )
    NO_GATEWAY = ProblemType(
        "no_gateway",
        422,
        "No gateway can take this payment",
        "Configure a gateway for this currency and mode; `counterfoil doctor` says what is missing.",
    )
    GATEWAY_AWAY = ProblemType(
        "gateway_away",
        503,
        "No gateway answers now",
        "Nothing was sent; send it again after Retry-After.",
    )
    SIGNATURE_REFUSED = ProblemType(
        "signature_refused",
        400,
        "The webhook's signature does not hold",
        "Check that the endpoint's secret is the one configured here.",
    )
    TOO_LARGE = ProblemType("too_large", 413, "The request is too large", "Send less.")
    TOO_SLOW = ProblemType("too_slow", 408, "The request took too long to arrive", "Send it again.")
    RATE_LIMITED = ProblemType("rate_limited", 429, "Too many requests", "Wait as Retry-After says.")
    DATABASE_AWAY = ProblemType(
        "database_away", 503, "The database cannot be reached", "Nothing was lost; send it again in a moment."
    )
    DOCUMENTS_AWAY = ProblemType(
        "documents_away",
        503,
        "Documents cannot be drawn now",
        "Have the operator free memory, processes and space for temporary files, as `counterfoil doctor` says; send it again then.",
    )
    SIGNING_AWAY = ProblemType(
        "signing_away",
        503,
        "Receipts cannot be signed now",
        "Have the operator mend what `counterfoil doctor` names; until then ask for another format than PDF.",
    )
    INTERNAL = ProblemType(
        "internal",
        500,
        "Something went wrong here",
        "Send it again with the same Idempotency-Key; give the operator the instance id.",
    )


class CounterfoilError(Exception):
    """Carries its problem type and its facts; `str()` is a sentence for a person."""

    problem: ClassVar[Problem] = Problem.INTERNAL

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class InvalidRequestError(CounterfoilError):
    problem = Problem.INVALID_REQUEST

    def __init__(self, detail: str, *, field: str | None = None, **facts: Any) -> None:
        super().__init__(detail, **({"field": field} if field else {}), **facts)


class BatchFaultyError(InvalidRequestError):
    """Nothing of the file was taken. `rows` has the first of its faults."""

    def __init__(self, faults: Sequence[tuple[int, str]], *, told: int) -> None:
        super().__init__(
            f"Nothing of the file was taken: {len(faults)} {'row is' if len(faults) == 1 else 'rows are'} wrong."
            f" The first, line {faults[0][0]}: {faults[0][1]}.",
            field="csv",
            faulty=len(faults),
            rows=[{"row": row, "problem": problem} for row, problem in faults[:told]],
        )


class MalformedRequestError(CounterfoilError):
    problem = Problem.MALFORMED_REQUEST


class AmountNotValidError(InvalidRequestError):
    pass


class CardNumberRefusedError(CounterfoilError):
    """The value itself is never kept: only the place where it stood."""

    problem = Problem.PAN_NOT_ALLOWED

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} looks like a card number; it was not stored.", field=field)


class NotAuthenticatedError(CounterfoilError):
    problem = Problem.NOT_AUTHENTICATED


class NotPermittedError(CounterfoilError):
    problem = Problem.NOT_PERMITTED

    def __init__(self, *, needs: str, has: str) -> None:
        super().__init__(f"This needs the role {needs}; the key has {has}.", needs=needs, has=has)


class NotFoundError(CounterfoilError):
    problem = Problem.NOT_FOUND

    def __init__(self, noun: str, id_: str) -> None:
        super().__init__(f"There is no {noun} {id_} in this mode.", noun=noun)


class NotAcceptableError(CounterfoilError):
    problem = Problem.NOT_ACCEPTABLE


class WrongStateError(CounterfoilError):
    problem = Problem.WRONG_STATE

    def __init__(self, *, command: str, state: str, because: str = "") -> None:
        why = f": {because}" if because else ""
        super().__init__(f"Cannot {command} while the state is {state}{why}.", command=command, state=state)


class GoneError(CounterfoilError):
    problem = Problem.GONE


class RefundRefusedError(CounterfoilError):
    problem = Problem.REFUND_NOT_POSSIBLE


class RefundLimitError(CounterfoilError):
    problem = Problem.REFUND_LIMIT


class OwnRequestError(CounterfoilError):
    problem = Problem.OWN_REQUEST


class NotSupportedError(CounterfoilError):
    problem = Problem.NOT_SUPPORTED_BY_GATEWAY


class NoGatewayError(CounterfoilError):
    problem = Problem.NO_GATEWAY


class GatewayAwayError(CounterfoilError):
    problem = Problem.GATEWAY_AWAY


class IdempotencyMismatchError(CounterfoilError):
    problem = Problem.IDEMPOTENCY_MISMATCH

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was first used with another body.")


class IdempotencyInFlightError(CounterfoilError):
    problem = Problem.IDEMPOTENCY_IN_FLIGHT

    def __init__(self) -> None:
        super().__init__("The first request with this Idempotency-Key has not finished.")


class SignatureRefusedError(CounterfoilError):
    problem = Problem.SIGNATURE_REFUSED


class TooLargeError(CounterfoilError):
    problem = Problem.TOO_LARGE


class TooSlowError(CounterfoilError):
    problem = Problem.TOO_SLOW


class RateLimitedError(CounterfoilError):
    problem = Problem.RATE_LIMITED


class DatabaseAwayError(CounterfoilError):
    problem = Problem.DATABASE_AWAY


class DocumentsAwayError(CounterfoilError):
    """`reason` is what the system said: told to operators alone, by the log and the doctor."""

    problem = Problem.DOCUMENTS_AWAY

    def __init__(self, reason: str) -> None:
        super().__init__(
            "Documents are drawn by a process of their own, and none can be started here now; what is stored is as it was."
        )
        self.reason = reason


class SigningAwayError(CounterfoilError):
    """What is wrong is told to operators alone, by the log and the doctor: whoever has a link may ask for its receipt."""

    problem = Problem.SIGNING_AWAY

    def __init__(self) -> None:
        super().__init__(
            "Receipts are signed here, and the key or the program for it cannot be used now: `counterfoil doctor` says why."
        )


class ConfigurationError(CounterfoilError):
    """The service cannot start like this; the sentence says what to set."""
