"""counterfoil exceptions."""

import json

from service import Service

ABSENT = "exc_01m82q4mexgp9s3vb3tax4n4pn"


def test_what_waits_is_listed_and_settled(run, service: Service):
    assert "Nothing waits for a person." in run("exceptions", "list", "--kind", "tried_out").out
    payment = service.create(1_000)["id"]
    service.run(_open(service, payment))
    assert "Look at it." in run("exceptions", "list").out
    [one] = json.loads(run("exceptions", "list", "--kind", "tried_out", "--json").out)
    done = run("exceptions", "resolve", one["id"], "--note", "looked at")
    assert (done.status, "looked at" in done.out) == (0, True), done.err
    assert one["id"] not in run("exceptions", "list").out
    assert "looked at" in run("exceptions", "list", "--all").out
    assert "while the state is resolved" in run("exceptions", "resolve", one["id"], "--note", "x").err
    for wrong in (ABSENT, "exc_?"):
        assert f"no exception {wrong}" in run("exceptions", "resolve", wrong, "--note", "x").err


async def _open(service: Service, payment: str) -> None:
    async with service.context.db.transaction() as conn:
        await conn.execute(
            "INSERT INTO exceptions (id, merchant_id, mode, kind, subject, payment_id, sentence, opened_at)"
            " VALUES ($1, $2, 'sandbox', 'tried_out', 'x', $3, 'Look at it.', $4)",
            service.context.new_id("exception"),
            service.context.merchant_id,
            payment,
            service.context.now(),
        )
