"""A real mail server for tests: aiosmtpd on a port of its own, which does to each mail what a test has told it."""

import asyncio
import ssl
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from queue import Queue
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from counterfoil.web.server import listen

USER, PASSWORD = "counterfoil", "a made-up password"


@dataclass
class Postbox:
    """What came, and what is answered: the next of `rcpt` and `data`, then 250. "lose" closes the line instead."""

    host: str = "127.0.0.1"
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    rcpt: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    slow_s: float = 0

    def to(self, recipient: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == recipient]

    async def handle_RCPT(  # noqa: N802  aiosmtpd calls it so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        await asyncio.sleep(self.slow_s)
        answer = self.rcpt.pop(0) if self.rcpt else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802  the same
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = self.data.pop(0) if self.data else "250 OK"
        if answer.startswith(("250", "lose")):
            content = envelope.original_content or b""
            self.mails.append(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
            self.envelopes.append((str(envelope.mail_from), list(envelope.rcpt_tos)))
            self.encrypted.append(session.ssl is not None)
        if answer == "lose" and server.transport is not None:
            server.transport.abort()
        return answer

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        right = data == LoginPassword(USER.encode(), PASSWORD.encode())
        self.users += [data.login.decode()] if right else []
        return AuthResult(success=right, handled=False)


@contextmanager
def postbox(tls: ssl.SSLContext | None = None, *, login: bool = False) -> Iterator[Postbox]:
    """Serve until the block ends. `tls` offers STARTTLS and insists on it; `login` insists on USER and PASSWORD."""
    box = Postbox()

    def protocol() -> SMTP:
        with warnings.catch_warnings():  # it warns of a login without TLS, which some tests want
            warnings.simplefilter("ignore")
            return SMTP(
                box,
                hostname="localhost",
                enable_SMTPUTF8=True,
                tls_context=tls,
                require_starttls=tls is not None,
                authenticator=box.authenticate if login else None,
                auth_required=login,
                auth_require_tls=tls is not None,
            )

    started: Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def serve() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        async with await loop.create_server(protocol, sock=bound):
            started.put((loop, ended))
            await ended.wait()

    with closing(listen("127.0.0.1", 0)) as bound:
        box.port = bound.getsockname()[1]
        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        loop, ended = started.get(timeout=5)
        try:
            yield box
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join(5)


def certificate() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A self-made certificate of 127.0.0.1: what serves with it, and what trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "counterfoil tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(pem + secret)
        serving.load_cert_chain(path)
    return serving, ssl.create_default_context(cadata=pem.decode())
