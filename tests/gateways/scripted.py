"""A gateway on a real port that behaves exactly as told, connection by connection, and keeps what it was sent."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from struct import pack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from counterfoil.gateways.http import Http, Timeouts, open_session

Writer = asyncio.StreamWriter
Act = Callable[["Sent", Writer], Awaitable[bool]]  # whether the connection stays open


@dataclass
class Sent:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), strict_parsing=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Scripted:
    url: str
    port: int
    sent: list[Sent] = field(default_factory=list)
    connections: int = 0
    stop: Callable[[], None] = lambda: None


def answers(body: Any = None, *, status: int = 200, **headers: str) -> Act:
    raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def act(_: Sent, writer: Writer) -> bool:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)
        await writer.drain()
        return True

    return act


def says(raw: bytes) -> Act:
    """These bytes, and then the end of the connection."""

    async def act(_: Sent, writer: Writer) -> bool:
        writer.write(raw)
        await writer.drain()
        return False

    return act


closes = says(b"")
garbage = says(b"\x00\x01\x02 nothing that is HTTP \xff\r\n\r\n")
truncated = says(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id":')


async def resets(_: Sent, writer: Writer) -> bool:
    """The connection is torn down, as by a cable that is cut."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
    return False


async def hangs(_: Sent, writer: Writer) -> bool:
    await asyncio.sleep(30)
    return False


async def _request(reader: asyncio.StreamReader, connection: int) -> Sent | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Sent(method, target, headers, body, connection)


@asynccontextmanager
async def scripted(*acts: Act, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Serve: the first request meets the first act, and so on; the last act stays."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        here.connections += 1
        number = here.connections
        try:
            stays = True
            while stays:
                request = await _request(reader, number)
                here.sent.append(request)
                stays = await acts[min(len(here.sent), len(acts)) - 1](request, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()
            running.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    here = Scripted(f"http{'s' if tls else ''}://127.0.0.1:{port}", port, stop=server.close)
    try:
        yield here
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def client(*, read_s: float = 5.0, total_s: float = 10.0, **watchers: Any) -> AsyncIterator[Http]:
    timeouts = Timeouts(connect_s=2.0, read_s=read_s, total_s=total_s)
    async with open_session() as session:
        yield Http(session, timeouts=timeouts, **watchers)


def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def self_signed(folder: Path) -> ssl.SSLContext:
    """The TLS of a server whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "self_signed.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
