"""The courier: carries signed events to URLs that other people chose.

It trusts neither the URL nor what answers there. Names are resolved by a resolver of its own, all addresses of a name
are checked, and the connection is made to a checked address itself: a name that answers otherwise a moment later gains
nothing. A last look is taken as each socket is made. No proxy, no redirect, no cookie, no decompression; an answer is
bounded in time and size. Its sessions are its own: what happens here cannot disturb the calls to gateways.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from counterfoil.domain import address
from counterfoil.domain.boundary import refuse_inside_transaction
from counterfoil.domain.errors import InvalidRequestError

TOTAL_S: Final = 15.0  # name, connection, TLS and the whole answer; Svix and Stripe allow about as much
ANSWER_BYTES: Final = 65_536  # read; more is not waited for
KEPT_BYTES: Final = 1_024
RESOLVE_S: Final = 5.0
# A name that does not resolve holds a thread until the system gives up; these are no one else's.
THREADS: Final = 128
MODES: Final = ("sandbox", "live")

Resolve: TypeAlias = Callable[[str], Awaitable[list[str]]]


class NotPublicError(OSError):
    """The address is none that events are sent to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of a sending. `status` is None where no whole answer came; `error` says why in a few words."""

    status: int | None
    answer: str
    error: str | None
    duration_ms: int


class Courier:
    """Sends to endpoints. `allow_loopback` lets those of sandbox mode, and no others, stand on this machine."""

    def __init__(self, *, allow_loopback: bool = False, resolve: Resolve | None = None) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="courier")
        self._resolve = resolve or self._ask_the_system
        self._guards = {mode: _Guard(self._resolve, allow_loopback and mode == "sandbox") for mode in MODES}
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def check(self, url: str, mode: str) -> None:
        """Whether events may be sent there, as far as can be told now. Raises InvalidRequestError."""
        address.check_url(url, mode=mode)
        host = urlsplit(url).hostname or ""
        try:
            async with asyncio.timeout(RESOLVE_S):
                await self._guards[mode].addresses(host)
        except NotPublicError as refused:
            raise InvalidRequestError(f"url will not do: {refused}.", field="url") from None
        except (OSError, UnicodeError, TimeoutError):
            raise InvalidRequestError(f"url names {host}, which cannot be resolved.", field="url") from None

    async def post(self, url: str, mode: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send once. Raises NetworkInsideTransactionError where a transaction is open, and nothing else."""
        refuse_inside_transaction()
        started = monotonic()
        status, answer, error = await self._exchange(url, mode, headers, body)
        return Reply(
            status=status, answer=answer, error=error, duration_ms=round((monotonic() - started) * 1000)
        )

    async def _exchange(
        self, url: str, mode: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int | None, str, str | None]:
        try:
            address.check_url(url, mode=mode)
            async with self._session(mode).post(
                URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
            ) as response:
                answer = await _read(response)
                return response.status, answer, _complaint(response.status)
        except InvalidRequestError as refused:
            return None, "", refused.detail
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return None, "", _why(error)

    def _session(self, mode: str) -> aiohttp.ClientSession:
        if mode not in self._sessions:
            self._sessions[mode] = _open(self._guards[mode])
        return self._sessions[mode]

    async def _ask_the_system(self, host: str) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return [str(info[4][0]) for info in found]

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Guard(AbstractResolver):
    """Names become addresses here, and every one of them is checked."""

    def __init__(self, resolve: Resolve, allow_loopback: bool) -> None:
        self._resolve, self._allow_loopback = resolve, allow_loopback

    async def addresses(self, host: str) -> list[str]:
        """What the name stands for. Raises NotPublicError where any of it will not do, OSError where it is unknown."""
        found = await self._resolve(host)
        for one in found:
            self.check(one, host)
        return found

    def check(self, one: str, host: str) -> None:
        if reason := address.refused(one, allow_loopback=self._allow_loopback):
            raise NotPublicError(f"{host} is at {one}, which is no public address ({reason})")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family  # both are welcome
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in await self.addresses(host)
        ]

    def open_socket(self, info: Any) -> socket.socket:
        """The socket for one connection: the last look at where it goes, for addresses written into the URL too."""
        family, kind, protocol, _, where = info
        self.check(where[0], "the host")
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Nothing is held."""


def _open(guard: _Guard) -> aiohttp.ClientSession:
    """A session whose every connection is new, looked up and checked anew."""
    connector = aiohttp.TCPConnector(
        resolver=guard,
        socket_factory=guard.open_socket,
        use_dns_cache=False,
        force_close=True,
        limit=0,  # whoever sends counts
        ssl=True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=TOTAL_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": "counterfoil", "Accept-Encoding": "identity"},
    )


async def _read(response: aiohttp.ClientResponse) -> str:
    """The beginning of the answer as text that PostgreSQL can hold. What is beyond the limit is left unread."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) >= ANSWER_BYTES:
            break
    return bytes(body[:KEPT_BYTES]).decode("utf-8", "replace").replace("\x00", "�")


def _complaint(status: int) -> str | None:
    if 200 <= status < 300:  # noqa: PLR2004  what HTTP calls success
        return None
    return "redirects are not followed" if 300 <= status < 400 else f"answered {status}"  # noqa: PLR2004  the same


def _why(error: BaseException) -> str:
    """A few words of our own: the text of some errors quotes what the peer sent."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, NotPublicError):
            return str(inner)
        inner = getattr(inner, "os_error", None) or inner.__cause__
    return "no whole answer in time" if isinstance(error, TimeoutError) else type(error).__name__
