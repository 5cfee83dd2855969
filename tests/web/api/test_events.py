"""What happened, as a list and as a stream."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from counterfoil.web import streams as module
from database import Postgres
from service import Service, serving

PATH = "/api/payments/events"


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres) as running:
        yield running


class Reader:
    """A reader of one stream: the events as they come, and the comments between them."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self._answer = answer.status, dict(answer.getheaders()), answer
        self.comments: list[str] = []

    def next(self) -> dict[str, str] | None:
        """The next event's fields; None at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self._answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if line == "\n" and "data" in fields:
                return fields
            if line == "\n":
                fields = {}
            elif name == "":
                self.comments.append(value)
            else:
                fields[name] = value
        return None

    def events(self, count: int) -> list[Any]:
        return [json.loads((self.next() or {})["data"]) for _ in range(count)]


@contextmanager
def reading(service: Service, *, key: str | None = None, query: str = "", **headers: str) -> Iterator[Reader]:
    sent = {
        "accept": "text/event-stream",
        "authorization": f"Bearer {key or service.key('viewer')}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    with closing(http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=15)) as connection:
        connection.request("GET", PATH + query, headers=sent)
        yield Reader(connection.getresponse())


def last(service: Service) -> int:
    return service.rows("SELECT last FROM event_sequence")[0]["last"]


def numbered(service: Service) -> None:
    unnumbered = "SELECT count(*) AS n FROM events WHERE sequence IS NULL"
    service.eventually(lambda: service.rows(unnumbered)[0]["n"] == 0)


def test_events_are_listed_oldest_first_and_paged_by_sequence(service: Service):
    start = last(service)
    made = [service.create()["id"] for _ in range(5)]
    service.eventually(lambda: last(service) >= start + 5)
    seen, cursor = [], str(start)
    while cursor:
        page = service.get(PATH, limit=2, cursor=cursor).json
        seen += page["data"]
        cursor = page["next_cursor"]
    assert [one["sequence"] for one in seen] == list(range(start + 1, last(service) + 1))
    assert [one["data"]["id"] for one in seen if one["type"] == "payment.created"] == made
    rest = service.get(PATH, cursor=seen[-1]["sequence"]).json
    assert rest == {"data": [], "next_cursor": None}


def test_a_stream_tells_what_happens_as_it_happens(service: Service):
    with reading(service) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        began = time.monotonic()
        made = service.create()["id"]
        [event] = stream.events(1)
        assert (event["type"], event["data"]["id"]) == ("payment.created", made)
        assert time.monotonic() - began < module.POLL_S  # woken, not polled


def test_a_stream_outlives_the_line_that_wakes_it(service: Service):
    listening = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%events%'"
    before = service.rows(f"SELECT pid {listening}")
    with reading(service) as stream:
        service.rows(f"SELECT pg_terminate_backend(pid) {listening}")
        made = service.create()["id"]
        assert stream.events(1)[0]["data"]["id"] == made  # by its poll
        service.eventually(lambda: service.rows(f"SELECT pid {listening}") not in ([], before))
        made = service.create()["id"]
        assert stream.events(1)[0]["data"]["id"] == made


def test_a_stream_goes_on_after_the_last_event_that_its_reader_has(service: Service):
    made = [service.create()["id"] for _ in range(4)]
    numbered(service)
    listed = service.get(PATH, cursor=max(0, last(service) - 20)).json["data"]
    ours = [one for one in listed if one["data"]["id"] in made]
    with reading(service, last_event_id=str(ours[1]["sequence"]), query="?cursor=1") as stream:
        fields = stream.next() or {}
        assert fields["id"] == str(ours[2]["sequence"])
        assert fields["event"] == "payment.created"
        assert json.loads(fields["data"]) == ours[2]
        assert stream.events(1) == [ours[3]]


def test_a_stream_is_of_the_keys_mode_alone(service: Service):
    with reading(service, key=service.key("viewer", mode="live"), query="?cursor=0") as stream:
        service.create()
        numbered(service)
        stream_socket: Any = stream._answer.fp.raw
        stream_socket._sock.settimeout(module.POLL_S + 1)
        with pytest.raises(TimeoutError):
            stream.next()


def test_a_silent_stream_beats_and_ends_in_time(service: Service, monkeypatch: pytest.MonkeyPatch):
    numbered(service)
    for name, value in {"HEARTBEAT_S": 0.1, "POLL_S": 0.05, "STREAM_S": 0.6}.items():
        monkeypatch.setattr(module, name, value)
    with reading(service) as stream:
        assert stream.next() is None
        assert 3 <= len(stream.comments) <= 6


def test_there_are_only_so_many_streams_and_one_that_ends_makes_room(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    streams = service_streams(service)
    service.eventually(lambda: streams.open == 0, seconds=20)
    monkeypatch.setattr(module, "STREAMS_MOST", 1)
    with reading(service) as first:
        assert first.status == 200
        service.eventually(lambda: streams.open == 1)
        assert service.call("GET", PATH, headers={"accept": "text/event-stream"}).status == 429
    service.create()  # writing to it tells that its reader has gone
    service.eventually(lambda: streams.open == 0)
    with reading(service) as second:
        assert second.status == 200


def service_streams(service: Service) -> module.Streams:
    app: Any = service.server.config.app
    streams: module.Streams = app.state.streams
    return streams


def test_a_reader_who_takes_nothing_is_cut_off(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "STREAM_S", 0.5)
    monkeypatch.setattr(module, "STUCK_S", 0.5)
    streams = service_streams(service)
    service.eventually(lambda: streams.open == 0, seconds=20)
    big = {f"key{n}": "x" * 200 for n in range(10)}
    service.run(_flood(service, big))
    with reading(service, query="?cursor=0"):
        service.eventually(lambda: streams.open == 1)
        service.eventually(lambda: streams.open == 0, seconds=5)


async def _flood(service: Service, body: dict[str, str]) -> None:
    """More than a socket holds."""
    async with service.context.db.transaction() as conn:
        await conn.execute(
            "INSERT INTO events (id, sequence, merchant_id, mode, type, object_id, version, object, created_at)"
            " SELECT 'out_flood' || n, 1000000 + n, $1, 'sandbox', 'payment.updated', 'pmt_flood', n, $2, now()"
            " FROM generate_series(1, 8000) n",
            service.context.merchant_id,
            body,
        )


@pytest.mark.parametrize("query", ["?cursor=x", "?cursor=-1", "?limit=201", "?page=2", "?cursor=" + "9" * 19])
def test_a_cursor_is_the_sequence_of_an_event(service: Service, query):
    assert service.get(PATH + query).status == 422


def test_a_last_event_id_is_too(service: Service):
    headers = {"accept": "text/event-stream", "last-event-id": "x"}
    assert service.call("GET", PATH, headers=headers).status == 422


def test_streams_end_when_the_service_does(fast_postgres: Postgres):
    with serving(fast_postgres) as leaving, reading(leaving) as stream:
        assert stream.status == 200
        began = time.monotonic()
        leaving.server.should_exit = True
        assert stream.next() is None
        assert time.monotonic() - began < 5
