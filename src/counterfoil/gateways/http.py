"""One thin client for every gateway: whether a request left, what came back, and which outcome that is.

    Request ──► Answer    the gateway answered, whatever the status
            ├─► Unsent    certainly never left: no name, no connection, no TLS     → Refused
            └─► Lost      left, or may have left, and no whole answer came         → Unknown

Whether it left is told by a trace of the client at the moment the headers go out, never by the name of an exception:
the same timeout is raised while connecting and while waiting for an answer.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from time import monotonic
from types import SimpleNamespace
from typing import Final, TypeAlias

import aiohttp
from yarl import URL

from counterfoil.domain.boundary import refuse_inside_transaction
from counterfoil.domain.call import Repeat
from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.failure import FailureCode
from counterfoil.gateways.base import Accepted, Declined, Outcome, Refused, Unknown

# A name, a connection, TLS, and the wait for a free connection: a gateway that is up does it in well under a second.
CONNECT_S: Final = 5.0
# Between two pieces of an answer: the slowest issuing banks take about twenty seconds to decide.
READ_S: Final = 25.0
# One sending as a whole; a call that may be repeated takes two at most. Rules that wait "twice our timeout" before they
# believe an absence count from this.
TOTAL_S: Final = 30.0
# Calls in flight from one process: above what one event loop can drive, below the usual limit of open files.
CONNECTIONS: Final = 512
# Shorter than any gateway keeps an idle connection, so that a POST seldom meets a dead one.
KEEP_ALIVE_S: Final = 15.0
# A page of a hundred full charges is half of one megabyte; more than eight times that is no answer of a gateway.
ANSWER_BYTES: Final = 4 * 2**20
# Longer waits are not worth a place in memory: the sweep comes round before.
MAX_RETRY_AFTER_S: Final = 3600
_SECONDS: Final = re.compile(r"[0-9]{1,9}")

# aiohttp silently sends these again when a kept connection turns out dead. For GET that is welcome.
_SENT_AGAIN_BY_THE_CLIENT: Final = frozenset({"PUT", "DELETE"})
# Sending these again does nothing the second time, so a lost connection costs one more try and not a lookup.
_RESENT: Final = frozenset({Repeat.KEYED, Repeat.SINGLE_SHOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    total_s: float = TOTAL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call. `call` is its name as in the gateway's SDK, for metrics; headers and body stay out of every repr."""

    gateway: str
    call: str
    method: str
    url: str
    account_id: str = ""  # whose call it is: how that account fares is told from its outcomes
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """The request certainly never left."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The request may have arrived. `status` is known where only the body was lost."""

    why: str
    status: int | None = None


Judge: TypeAlias = Callable[[Answer], Outcome]
Observe: TypeAlias = Callable[[str, str, str, float], None]
Told: TypeAlias = Callable[[str, Outcome], None]
Watch: TypeAlias = Callable[[str, str], None]


async def _mark_left(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.left = True


_TRACE: Final = aiohttp.TraceConfig()
_TRACE.on_request_headers_sent.append(_mark_left)


class _Departure:
    """Whether the headers of one request went out."""

    left = False


class _AnswerTooLongError(ValueError):
    pass


def open_session(*, reuse: bool = True) -> aiohttp.ClientSession:
    """A session for this event loop: verified TLS, no proxy of the environment, no cookies, no decompression.

    Answers are asked for uncompressed, and one that comes compressed all the same is not unpacked: a few kilobytes
    can hold gigabytes.
    """
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS,
        ssl=True,
        force_close=not reuse,
        keepalive_timeout=KEEP_ALIVE_S if reuse else None,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": "counterfoil", "Accept": "application/json", "Accept-Encoding": "identity"},
        trace_configs=[_TRACE],
    )


class Http:
    """The client of one process.

    observe(gateway, call, outcome, seconds) is told of every sending; before_send and after_answer (gateway, call)
    are called around each, so that a harness may count them or end the process there.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        timeouts: Timeouts | None = None,
        observe: Observe = lambda *_: None,
        before_send: Watch = lambda *_: None,
        after_answer: Watch = lambda *_: None,
    ) -> None:
        if _TRACE not in session.trace_configs:
            raise ValueError(
                "make the session with open_session(): without its trace every loss would look unsent"
            )
        limits = timeouts or Timeouts()
        self._session = session
        self._timeout = aiohttp.ClientTimeout(
            total=limits.total_s, connect=limits.connect_s, sock_read=limits.read_s
        )
        self._observe = observe
        self._before_send = before_send
        self._after_answer = after_answer
        self.told: Told = lambda *_: None  # of every outcome, with the account it belongs to

    async def ask(self, request: Request, judge: Judge, *, repeat: Repeat | None = None) -> Outcome:
        """The outcome of a call: `judge` reads whole answers, everything else is decided here.

        A call whose repeat class allows it is sent once more, the same bytes, when no answer came at all.
        Raises NetworkInsideTransactionError where a transaction is open, and nothing else.
        """
        outcome = await self._once(request, judge)
        if repeat in _RESENT and isinstance(outcome, Unknown) and outcome.status is None:
            outcome = after_loss(outcome, await self._once(request, judge))
        self.told(request.account_id, outcome)
        return outcome

    async def _once(self, request: Request, judge: Judge) -> Outcome:
        started = monotonic()
        outcome = _outcome(request.gateway, await self.send(request), judge)
        self._observe(request.gateway, request.call, type(outcome).__name__.lower(), monotonic() - started)
        return outcome

    async def send(self, request: Request) -> Answer | Unsent | Lost:
        """Send once. No redirect is followed: a followed one can hide that the first request was executed."""
        refuse_inside_transaction()
        self._before_send(request.gateway, request.call)
        came = await self._exchange(request)
        self._after_answer(request.gateway, request.call)
        return came

    async def _exchange(self, request: Request) -> Answer | Unsent | Lost:
        departure, status = _Departure(), None
        fresh = request.method in _SENT_AGAIN_BY_THE_CLIENT
        try:
            async with (
                open_session(reuse=False) if fresh else nullcontext(self._session) as session,
                session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers=request.headers,
                    data=request.body,
                    allow_redirects=False,
                    timeout=self._timeout,
                    trace_request_ctx=departure,
                ) as response,
            ):
                status = response.status
                body = await _read(response)
                return Answer(status=status, headers=_headers(response), body=body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = said(error)
            return Lost(why=why, status=status) if departure.left else Unsent(why=why)


# The first that fits. Words of our own: the text of some errors quotes what the peer sent, or the header that could not be.
_WORDS: Final[Mapping[type[BaseException], str]] = {
    aiohttp.ClientConnectorDNSError: "its name cannot be found",
    aiohttp.ClientSSLError: "no trusted TLS connection can be made",
    aiohttp.ConnectionTimeoutError: "no connection was made in time",
    TimeoutError: "it did not answer in time",
    aiohttp.ClientConnectorError: "no connection can be made",
    aiohttp.ServerDisconnectedError: "it closed the connection",
    aiohttp.ClientPayloadError: "the answer broke off",
    aiohttp.ClientResponseError: "the answer is no HTTP",
    _AnswerTooLongError: "the answer is too long",
    ConnectionError: "the connection broke off",
    OSError: "the connection failed",
    ValueError: "the request cannot be written",
}


def said(error: BaseException) -> str:
    """What happened to a connection, as a person says it."""
    refused = isinstance(getattr(error, "os_error", None), ConnectionRefusedError)
    fits = (words for kind, words in _WORDS.items() if isinstance(error, kind))
    return "it refuses connections" if refused else next(fits, "the connection failed")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > ANSWER_BYTES:
            raise _AnswerTooLongError
    return bytes(body)


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _outcome(gateway: str, came: Answer | Unsent | Lost, judge: Judge) -> Outcome:
    match came:
        case Unsent(why=why):
            return Refused(
                code=FailureCode.GATEWAY_UNAVAILABLE,
                gateway_code="not_connected",
                message=f"{gateway} could not be reached: {why}. Nothing was sent.",
            )
        case Lost(why=why, status=status):
            return Unknown(message=f"{gateway} gave no whole answer: {why}.", status=status)
        case answer:
            return judge(answer)


def after_loss(lost: Unknown, second: Outcome) -> Outcome:
    """What a second sending tells of the first, which was lost.

    Done, declined, or "already done" settle both. A plain refusal settles only itself: the first may have been
    executed before the key was revoked, the limit reached, or the line cut.
    """
    match second:
        case Accepted() | Declined() | Unknown() | Refused(already=True):
            return second
        case refused:
            return Unknown(message=f"{lost.message} Sent again: {refused.message}", status=refused.status)


def unwritable(error: AmountNotValidError) -> Refused:
    """The outcome of a call whose amount the gateway has no way to write: nothing was sent."""
    return Refused(
        code=FailureCode.AMOUNT_NOT_ALLOWED, gateway_code="amount_not_writable", message=error.detail
    )


def retry_after_s(answer: Answer) -> int | None:
    """The Retry-After header where it is a number of seconds."""
    text = answer.headers.get("retry-after", "")
    return min(int(text), MAX_RETRY_AFTER_S) if _SECONDS.fullmatch(text) else None
