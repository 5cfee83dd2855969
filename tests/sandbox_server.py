"""A real sandbox behind a real port, for every suite that needs the gateways, and an endpoint for its webhooks."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from counterfoil.sandbox.config import Config
from counterfoil.sandbox.server import make_server


class ControlError(Exception):
    """The control API refused: its status and its sentence."""


class Sandbox:
    """A running sandbox: its addresses, and its control API."""

    def __init__(self, port: int, config: Config) -> None:
        self.port = port
        self.config = config
        self.url = f"http://127.0.0.1:{port}"
        self.stripe = f"{self.url}/stripe"
        self.razorpay = f"{self.url}/razorpay"

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call /_sandbox/{path}; raises ControlError for anything but 2xx."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"/_sandbox/{path}", None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 300:
            raise ControlError(response.status, answer["error"])
        return answer

    def truth(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Every object of both gateways."""
        return self.control("GET", "truth")

    def fault(self, gateway: str, call: str, fault: str, **more: Any) -> dict[str, Any]:
        """Set a fault: times, after and its own parameters by keyword."""
        return self.control("POST", "faults", {"gateway": gateway, "call": call, "fault": fault, **more})

    def faults(self) -> list[dict[str, Any]]:
        return self.control("GET", "faults")

    def advance(self, seconds: float) -> dict[str, float]:
        """Jump in time; what becomes due has happened when this returns. Webhooks pause for `jump_pause_ms`."""
        return self.control("POST", "clock", {"advance": seconds})

    def now(self) -> float:
        return self.control("GET", "clock")["now"]

    def deliveries(self) -> list[dict[str, Any]]:
        return self.control("GET", "deliveries")

    def webhooks(self, **action: Any) -> Any:
        """hold=…, roll_secret=…, replay=… or deliver_to=…"""
        return self.control("POST", "webhooks", action)

    def reset(self) -> None:
        self.control("POST", "reset")


class Endpoint:
    """A webhook endpoint that keeps what it gets, headers and body, and answers `status`."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                endpoint.got.append(({**headers, ":path": self.path}, body))
                self.send_response(endpoint.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def events(self) -> list[dict[str, Any]]:
        """The bodies that came, in the order they came."""
        return [json.loads(body) for _, body in list(self.got)]

    def types(self) -> list[str]:
        """What the events are called: Stripe writes it under `type`, Razorpay under `event`."""
        return [event.get("type") or event["event"] for event in self.events()]

    def expect(self, *types: str) -> dict[str, dict[str, Any]]:
        """Wait until exactly these have come, in any order; the events by type."""
        try:
            eventually(lambda: sorted(self.types()) == sorted(types))
        except AssertionError:
            raise AssertionError(f"expected {sorted(types)}, got {sorted(self.types())}") from None
        return dict(zip(self.types(), self.events(), strict=True))


@contextmanager
def run_sandbox(**config: Any) -> Iterator[Sandbox]:
    """Run a sandbox on a free port of this machine in a thread; keywords are those of Config."""
    made = Config(**config)
    server = make_server(made, port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive(), seconds=10)
        yield Sandbox(server.servers[0].sockets[0].getsockname()[1], made)
    finally:
        server.should_exit = True
        thread.join(10)


def eventually(check: Callable[[], Any], *, seconds: float = 5.0) -> Any:
    """The first true value of `check`, asked for again and again; fails when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"nothing after {seconds} s")
