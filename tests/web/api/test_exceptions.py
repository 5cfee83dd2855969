"""Exceptions over HTTP and by command: what waits for a person, and how it was settled."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from counterfoil.services.exceptions import call_a_person
from counterfoil.store import exceptions, payments
from counterfoil.store.exceptions import Again
from database import Postgres
from service import Service, serving

PATH = "/api/payments/exceptions"
ABSENT = "exc_01m82q4mexgp9s3vb3tax4n4pn"


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres, work=False) as running:
        yield running


def opened(service: Service, subject: str, kind: str = "surplus_capture") -> str:
    """An exception on a payment of its own; its id."""
    service.run(calling(service, service.create(1_000)["id"], subject, kind))
    [row] = service.rows("SELECT id FROM exceptions WHERE subject = $1", subject)
    return row["id"]


async def calling(
    service: Service,
    payment: str,
    subject: str,
    kind: str,
    said: str = "Look at it.",
    again: Again = Again.ALWAYS,
) -> None:
    ctx = service.context
    async with ctx.db.transaction() as conn:
        due = (await payments.lock(conn, payment)).payment
        await call_a_person(ctx, conn, due, kind=kind, subject=subject, sentence=said, again=again)


async def ending(service: Service, kind: str, about: str) -> None:
    async with service.context.db.transaction() as conn:
        await exceptions.end(conn, kind=kind, about=about, now=service.context.now())


def listed(service: Service, **query: Any) -> list[str]:
    answer = service.get(PATH, **query)
    assert answer.status == 200, answer
    return [one["id"] for one in answer.json["data"]]


def test_what_is_open_is_listed_the_longest_waiting_first_and_page_by_page(service: Service):
    ids = [opened(service, f"listed-{n}", kind="refund_failed") for n in range(3)]
    assert listed(service, kind="refund_failed") == ids
    assert set(ids) <= set(listed(service))
    first = service.get(PATH, kind="refund_failed", limit=2).json
    assert [one["id"] for one in first["data"]] == ids[:2]
    assert listed(service, kind="refund_failed", cursor=first["next_cursor"]) == ids[2:]
    assert first["data"][0] | {"id": "", "payment": "", "opened_at": ""} == {
        "id": "",
        "object": "exception",
        "kind": "refund_failed",
        "subject": "listed-0",
        "payment": "",
        "sentence": "Look at it.",
        "opened_at": "",
        "resolved_at": None,
        "resolved_by": None,
        "note": None,
    }


def test_one_is_settled_once_with_a_note_and_by_whom(service: Service):
    id_ = opened(service, "settled")
    done = service.post(f"{PATH}/{id_}/resolve", {"note": "paid back, UTR 4711"})
    assert (done.status, done.json["note"], done.json["resolved_by"][:4]) == (
        200,
        "paid back, UTR 4711",
        "key_",
    )
    assert id_ not in listed(service)
    assert id_ in listed(service, settled=True)
    again = service.post(f"{PATH}/{id_}/resolve", {"note": "me too"})
    assert (again.status, "by key_" in again.json["detail"]) == (409, True)
    [row] = service.rows(
        "SELECT actor, detail FROM audit WHERE action = 'exception.resolve' AND detail->>'exception' = $1",
        id_,
    )
    assert (row["actor"][:4], row["detail"]["note"]) == ("key_", "paid back, UTR 4711")


def test_the_same_key_settles_once_and_is_answered_again(service: Service):
    id_ = opened(service, "once")
    one, two = (
        service.call(
            "POST", f"{PATH}/{id_}/resolve", {"note": "done"}, headers={"Idempotency-Key": "settle-once"}
        )
        for _ in range(2)
    )
    assert (one.status, two.status, two.json) == (200, 200, one.json)
    assert two.headers["idempotency-replayed"] == "true"


def test_what_cannot_be_settled_says_why(service: Service):
    assert service.post(f"{PATH}/{ABSENT}/resolve", {"note": "x"}).status == 404
    assert service.post(f"{PATH}/{opened(service, 'no note')}/resolve", {}).status == 422
    assert service.get(PATH, cursor="exc_?").status == 422


def test_what_ended_by_itself_is_settled_by_nobody(service: Service):
    id_ = opened(service, "ept_1/since", kind="endpoint_failing")
    service.run(ending(service, "endpoint_failing", "ept_1"))
    [one] = [one for one in service.get(PATH, settled="true").json["data"] if one["id"] == id_]
    assert one["resolved_at"] is not None
    assert (one["resolved_by"], one["note"]) == (None, None)
    assert "by itself" in service.post(f"{PATH}/{id_}/resolve", {"note": "x"}).json["detail"]


# What a person has settled, and is told of once more: (how it is told, in which words, whether it opens).
TOLD_AGAIN = [
    (Again.ALWAYS, "Look at it.", True),
    (Again.IF_NEWS, "Look at it.", False),
    (Again.IF_NEWS, "Look at this.", True),
    (Again.NEVER, "Look at this.", False),
]


@pytest.mark.parametrize(("again", "said", "opens"), TOLD_AGAIN)
def test_what_was_settled_opens_again_where_it_is_news(
    service: Service, again: Again, said: str, opens: bool
):
    subject = f"{again}-{said}"
    first, payment = opened(service, subject), service.create(1_000)["id"]
    service.run(calling(service, payment, subject, "surplus_capture", "While it is open.", again))
    assert states(service, subject) == [("Look at it.", "open")]
    assert service.post(f"{PATH}/{first}/resolve", {"note": "done"}).status == 200
    for _ in range(2):
        service.run(calling(service, payment, subject, "surplus_capture", said, again))
    assert states(service, subject) == [("Look at it.", "settled"), *([(said, "open")] if opens else [])]
    told = service.rows(
        "SELECT 1 FROM events WHERE type = 'alert.opened' AND object->>'subject' = $1", subject
    )
    assert len(told) == 1 + opens


@pytest.mark.parametrize("again", Again)
def test_what_ended_by_itself_opens_again_when_it_comes_back(service: Service, again: Again):
    subject = f"{again}/alarm"
    opened(service, subject)
    service.run(ending(service, "surplus_capture", str(again)))
    service.run(calling(service, service.create(1_000)["id"], subject, "surplus_capture", again=again))
    assert [state for _, state in states(service, subject)] == ["settled", "open"]


def test_what_is_told_by_many_at_once_after_it_was_settled_opens_once(service: Service):
    service.post(f"{PATH}/{opened(service, 'crowd')}/resolve", {"note": "done"})
    makers = [service.create(1_000)["id"] for _ in range(6)]  # each under the lock of another payment

    async def crowd() -> None:
        await asyncio.gather(*(calling(service, one, "crowd", "surplus_capture") for one in makers))

    service.run(crowd())
    assert [state for _, state in states(service, "crowd")] == ["settled", "open"]


def states(service: Service, subject: str) -> list[tuple[str, str]]:
    """What was said of a subject, and whether it waits."""
    rows = service.rows(
        "SELECT sentence, resolved_at FROM exceptions WHERE subject = $1 ORDER BY id", subject
    )
    return [(row["sentence"], "settled" if row["resolved_at"] else "open") for row in rows]
