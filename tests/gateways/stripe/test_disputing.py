from contextlib import asynccontextmanager

import pytest

from counterfoil.domain.fact import Kind
from counterfoil.gateways.base import Accepted, Evidence, Refused, Unknown
from counterfoil.gateways.stripe.disputing import FIELDS, REST, TEXT_CHARS, written
from gateways.scripted import answers, client, resets, scripted
from gateways.stripe.objects import CHARGE, dispute
from gateways.stripe.test_gateway import connected

DISPUTE = dispute()["id"]
EVIDENCE = Evidence(
    summary="The lamp was delivered.",
    texts={
        "product_description": "A lamp",
        "access_log": "12:00 signed in\n12:05 paid",
        "receipt": "No. 1",
        "timeline": "",
    },
)
SENT = {
    "evidence[product_description]": "A lamp",
    "evidence[access_activity_log]": "12:00 signed in\n12:05 paid",
    "evidence[uncategorized_text]": "The lamp was delivered.\n\nReceipt\nNo. 1",
}


@asynccontextmanager
async def stripe(*acts):
    async with scripted(*acts) as server, client() as http:
        yield server, connected(http, server.url).disputes


async def test_a_draft_is_kept_and_not_submitted():
    async with stripe(answers(dispute())) as (server, disputes):
        outcome = await disputes.draft(DISPUTE, EVIDENCE)
    assert server.sent[0].form == {**SENT, "submit": "false"}
    assert server.sent[0].path == f"/v1/disputes/{DISPUTE}"
    assert "idempotency-key" not in server.sent[0].headers
    assert (outcome.ref, [report.kind for report in outcome.reports]) == (DISPUTE, [Kind.DISPUTE_OPEN])


async def test_evidence_is_submitted_under_a_key():
    under_review = dispute(status="under_review", evidence_details={"submission_count": 1})
    async with stripe(answers(under_review)) as (server, disputes):
        outcome = await disputes.submit(DISPUTE, EVIDENCE, key="dsp_1")
    assert server.sent[0].form == {**SENT, "submit": "true"}
    assert server.sent[0].headers["idempotency-key"] == "dsp_1"
    (report,) = outcome.reports
    assert (report.kind, report.charge_ref) == (Kind.DISPUTE_UNDER_REVIEW, CHARGE)
    assert report.detail["evidence_count"] == 1


async def test_a_dispute_is_given_up():
    async with stripe(answers(dispute(status="lost"))) as (server, disputes):
        outcome = await disputes.accept(DISPUTE, key="dsp_1")
    assert (server.sent[0].path, server.sent[0].body) == (f"/v1/disputes/{DISPUTE}/close", b"")
    assert [report.kind for report in outcome.reports] == [Kind.DISPUTE_LOST]


@pytest.mark.parametrize("call", ["draft", "submit", "accept"])
async def test_a_lost_answer_is_asked_for_once_more(call):
    async with stripe(resets, answers(dispute())) as (server, disputes):
        arguments = {"draft": (EVIDENCE,), "submit": (EVIDENCE,), "accept": ()}[call]
        key = {} if call == "draft" else {"key": "dsp_1"}
        assert isinstance(await getattr(disputes, call)(DISPUTE, *arguments, **key), Accepted)
    assert server.sent[0].body == server.sent[1].body


@pytest.mark.parametrize("other", [{"id": "dp_another"}, {"livemode": True}, {"currency": "zzz"}])
async def test_an_answer_about_another_dispute_is_unknown(other):
    async with stripe(answers(dispute(**other))) as (_, disputes):
        for outcome in (
            await disputes.draft(DISPUTE, EVIDENCE),
            await disputes.submit(DISPUTE, EVIDENCE, key="k"),
            await disputes.accept(DISPUTE, key="k"),
            await disputes.look_up_dispute(DISPUTE),
        ):
            assert isinstance(outcome, Unknown)


async def test_a_dispute_that_is_over_is_refused_and_reading_tells_how_it_ended():
    over = answers({"error": {"message": "This dispute is already closed"}}, status=400)
    async with stripe(over, answers(dispute(status="lost"))) as (_, disputes):
        assert isinstance(await disputes.accept(DISPUTE, key="k"), Refused)
        (report,) = (await disputes.look_up_dispute(DISPUTE)).reports
    assert report.kind is Kind.DISPUTE_LOST


def test_nothing_empty_is_written_because_it_would_remove_what_stands_there():
    assert written(Evidence(summary="", texts={"receipt": "", "product_description": ""})) == {}
    assert written(Evidence(summary="Yes.")) == {REST: "Yes."}


def test_every_text_goes_along_in_a_field_of_its_own_or_under_its_name():
    kept = written(Evidence(summary="", texts={name: name.upper() for name in (*FIELDS, "delivery_log")}))
    assert kept == {**{FIELDS[name]: name.upper() for name in FIELDS}, REST: "Delivery log\nDELIVERY_LOG"}


def test_a_text_that_is_too_long_is_clipped():
    kept = written(Evidence(summary="s" * 30_000, texts={"access_log": "a\n" * 30_000}))
    assert {len(text) for text in kept.values()} == {TEXT_CHARS}
