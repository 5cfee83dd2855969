"""Two accounts of one gateway at one address: each call goes to the sandbox whose keys it carries.

Each sandbox is one account, with its own truth: a call with the wrong keys finds nothing there.
"""

import base64
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sandbox_server import Sandbox


def stripe_auth(key: str) -> str:
    return f"Bearer {key}"


def razorpay_auth(key_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{key_id}:{secret}".encode()).decode()


@dataclass
class Keyring:
    """Which Authorization opens which sandbox, and as what; and what was used, in order."""

    url: str = ""
    opens: dict[str, tuple[Sandbox, str]] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)

    def own(self, sandbox: Sandbox) -> None:
        """Let the sandbox's own keys open it."""
        config = sandbox.config
        for auth in (
            stripe_auth(config.stripe_secret_key),
            razorpay_auth(config.razorpay_key_id, config.razorpay_key_secret),
        ):
            self.opens[auth] = (sandbox, auth)

    def roll(self, sandbox: Sandbox, auth: str) -> None:
        """Let further keys open the same account: those the gateway gave out when they were rolled."""
        own = sandbox.config
        known = (
            stripe_auth(own.stripe_secret_key)
            if auth.startswith("Bearer")
            else razorpay_auth(own.razorpay_key_id, own.razorpay_key_secret)
        )
        self.opens[auth] = (sandbox, known)

    def settings(self) -> dict[str, Any]:
        """The start-up settings of a service that finds its gateways here."""
        return {"stripe_base_url": f"{self.url}/stripe", "razorpay_base_url": f"{self.url}/razorpay"}


@contextmanager
def keyring(*sandboxes: Sandbox) -> Iterator[Keyring]:
    ring = Keyring()

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            auth = self.headers.get("authorization", "")
            ring.used.append(auth)
            if auth not in ring.opens:
                self._answer(
                    401, b'{"error": {"message": "Invalid API Key provided", "code": "BAD_REQUEST_ERROR"}}'
                )
                return
            sandbox, as_what = ring.opens[auth]
            connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            headers = {n: v for n, v in headers.items() if n.lower() != "authorization"}
            connection.request(self.command, self.path, body or None, {**headers, "authorization": as_what})
            came = connection.getresponse()
            self._answer(came.status, came.read())
            connection.close()

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _pass  # noqa: N815  http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    ring.url = f"http://127.0.0.1:{server.server_address[1]}"
    for sandbox in sandboxes:
        ring.own(sandbox)
    try:
        yield ring
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
