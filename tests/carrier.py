"""An SMS carrier on loopback that plays Twilio and MSG91: it keeps what came, and answers as it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from counterfoil.domain.delivery import Provider

ACCOUNT, SECRET = "ACcounterfoil0made0up", "a made-up SMS secret"


@dataclass(frozen=True)
class Sms:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    asked: dict[str, Any]

    @property
    def to(self) -> str:
        return str(self.asked["To"]) if "To" in self.asked else f"+{self.asked['recipients'][0]['mobiles']}"


@dataclass
class Carrier:
    """The next of `answers`, then that it is taken. "lose" closes the line instead, "hang" answers when it ends."""

    url: str
    got: list[Sms] = field(default_factory=list)
    answers: list[tuple[int, Any] | str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def hosts(self) -> dict[Provider, str]:
        return dict.fromkeys(Provider, self.url)


@contextmanager
def carrier() -> Iterator[Carrier]:
    """Serve until the block ends."""
    played = Carrier("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = "form" in self.headers["content-type"]
            asked = dict(parse_qsl(body, strict_parsing=True)) if form else json.loads(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            played.got.append(Sms(self.path, headers, asked))
            taken = (201, {"sid": "SM1", "status": "queued"}) if form else (200, {"type": "success"})
            answer = played.answers.pop(0) if played.answers else taken
            if isinstance(answer, str):
                if answer == "hang":
                    played.ended.wait(10)
                self.close_connection = True
                return
            status, said = answer
            raw = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        played.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield played
        finally:
            played.ended.set()
            server.shutdown()
            thread.join(5)
