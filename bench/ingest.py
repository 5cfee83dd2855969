"""Webhooks stored: 64 connections that never wait, beside the same load on peers; then 1,000 a second, come what may.

Every event is signed, has an id of its own, and is about a payment that the service knows, so that a worker in the
same process captures that payment while more webhooks come.
"""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final

from bench import client, webhooks
from bench.book import Book
from bench.client import Load, Result
from bench.figures import Figure, median, percentile
from bench.running import WEBHOOK_SECRET, Database, Ground, Process, free_port
from bench.scale import Scale

CONNECTIONS: Final = 64
STEADY_RATE: Final = 1_000
STRIPE_PATH: Final = "/webhooks/stripe"
DJSTRIPE_PATH: Final = "/webhook/00000000-0000-4000-8000-000000000001/"
BOTH, ALONE = "web and worker in one process", "web alone"
NOTHING, ONE_BY_ONE, DJSTRIPE = (
    "the same server, storing nothing",
    "one commit each",
    "dj-stripe, callback only",
)
DJANGO: Final = {"asgi": "Django view, ASGI", "wsgi": "Django view, WSGI in 10 threads"}

Start = Callable[[Database], AbstractContextManager[Process]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is measured: a server over a database, and what its rounds came to."""

    name: str
    start: Start
    path: str = STRIPE_PATH
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    slowest_ms: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(self.rates)


def measure(ground: Ground, book: Book, scale: Scale, djstripe: str | None) -> list[Figure]:
    """All figures. djstripe is the interpreter that has it; without one it is told that it was not measured."""
    peers = _peers(ground, djstripe)
    for _ in range(scale.rounds):
        for peer in peers:
            _round(ground, book, peer, scale)
    return [*_rates(peers), *_ratios(peers), *_steady(ground, book, scale)]


def _peers(ground: Ground, djstripe: str | None) -> list[Peer]:
    def ours(command: str) -> Start:
        return lambda database: ground.service(command, env=ground.environment(database))

    def writer(name: str) -> Start:
        return lambda database: _module(ground, "writers", name, env=ground.environment(database))

    def django(module: str, interface: str, python: str | None = None) -> Start:
        return lambda database: _module(
            ground, module, interface, after=(database.owner_url, WEBHOOK_SECRET), python=python
        )

    peers = [
        Peer(BOTH, ours("serve")),
        Peer(ALONE, ours("web")),
        Peer(NOTHING, writer("nothing")),
        Peer(ONE_BY_ONE, writer("one_by_one")),
    ]
    if importlib.util.find_spec("django") and importlib.util.find_spec("psycopg"):
        peers += [Peer(name, django("django_view", interface)) for interface, name in DJANGO.items()]
    if djstripe:
        peers.append(Peer(DJSTRIPE, django("djstripe_view", "wsgi", djstripe), DJSTRIPE_PATH))
    return peers


@contextmanager
def _module(
    ground: Ground,
    module: str,
    first: str,
    *,
    after: Sequence[str] = (),
    env: dict[str, str] | None = None,
    python: str | None = None,
) -> Iterator[Process]:
    port = free_port()
    arguments = ("-m", f"bench.peers.{module}", first, port, *after)
    with ground.process(*arguments, port=port, env=env, python=python) as running:
        yield running


def _round(ground: Ground, book: Book, peer: Peer, scale: Scale) -> None:
    with ground.database(book.database) as database, peer.start(database) as server:
        load = Load(
            port=server.port,
            requests=webhooks.succeeded(book.pages[: scale.webhooks], peer.path),
            connections=CONNECTIONS,
            seconds=scale.webhooks_s,
        )
        before = server.cpu_s()
        result = client.run(load)
        peer.cpu_ms.append((server.cpu_s() - before) * 1000 / len(result.sent))
        peer.rates.append(result.after(scale.webhooks_warm).rate())
        peer.slowest_ms.append(max(result.latencies_ms()))
        peer.refused.append(result.refused())
        if peer.name in {BOTH, ALONE, ONE_BY_ONE}:
            peer.lost.append(_acknowledged(result) - database.value("SELECT count(*) FROM inbox"))


def _acknowledged(result: Result) -> int:
    return len(result.sent) - result.refused()


def _rates(peers: Sequence[Peer]) -> Iterator[Figure]:
    for peer in peers:
        note = f"{median(peer.cpu_ms):.2f} ms of processor each, slowest answer {max(peer.slowest_ms):.0f} ms"
        yield Figure(what=f"webhooks stored: {peer.name}", value=peer.rate, unit="/s", note=note)
    yield Figure(
        what="slowest answer under full load, ours",
        value=max(_of(peers, BOTH).slowest_ms),
        unit="ms",
        at_most=2_000,
    )
    yield Figure(
        what="answered by anything but 200, all peers",
        value=sum(map(sum, (p.refused for p in peers))),
        at_most=0,
    )
    yield Figure(what="acknowledged but not stored", value=sum(map(sum, (p.lost for p in peers))), at_most=0)


def _ratios(peers: Sequence[Peer]) -> Iterator[Figure]:
    django = [peer for peer in peers if peer.name in DJANGO.values()]
    best = max(django, key=lambda peer: peer.rate, default=None)
    for ours in (BOTH, ALONE):
        for what, peer, bar in (
            (NOTHING, _of(peers, NOTHING), 0.3),
            (ONE_BY_ONE, _of(peers, ONE_BY_ONE), 1.5),
            ("the better Django view", best, 3.0),
            (DJSTRIPE, next((peer for peer in peers if peer.name == DJSTRIPE), None), 5.0),
        ):
            yield Figure(
                what=f"{ours} ÷ {what}",
                value=_of(peers, ours).rate / peer.rate if peer else None,
                unit="×",
                at_least=bar,
                note="" if peer else "not installed here",
            )


def _of(peers: Sequence[Peer], name: str) -> Peer:
    return next(peer for peer in peers if peer.name == name)


def _steady(ground: Ground, book: Book, scale: Scale) -> Iterator[Figure]:
    """The open loop: the service as one process, as most run it."""
    warm = int(STEADY_RATE * scale.steady_warm_s)
    with (
        ground.database(book.database) as database,
        ground.service("serve", env=ground.environment(database)) as server,
    ):
        count = warm + int(STEADY_RATE * scale.steady_s)
        requests = webhooks.succeeded(book.pages[:count])
        result = client.run(
            Load(port=server.port, requests=requests, connections=CONNECTIONS, rate=STEADY_RATE)
        ).after(warm)
        understood = database.value("SELECT count(*) FROM inbox WHERE status = 'processed'")
    latencies = result.latencies_ms()
    name = f"{STEADY_RATE:,} webhooks a second, open loop"
    yield Figure(what=f"{name}: p50", value=median(latencies), unit="ms")
    yield Figure(what=f"{name}: p99", value=percentile(latencies, 0.99), unit="ms", at_most=25)
    yield Figure(what=f"{name}: slowest", value=max(latencies), unit="ms", at_most=2_000)
    yield Figure(what=f"{name}: answered by anything but 200", value=result.refused(), at_most=0)
    yield Figure(
        what=f"{name}: understood by the end of it", value=100 * understood / len(requests), unit="%"
    )
