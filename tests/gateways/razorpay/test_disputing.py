from contextlib import asynccontextmanager

import pytest

from counterfoil.domain.fact import Kind
from counterfoil.gateways.base import Accepted, Evidence, Refused, Unknown
from counterfoil.gateways.razorpay.disputing import FIELDS
from gateways.razorpay.entities import PAYMENT, dispute
from gateways.razorpay.test_gateway import connected
from gateways.scripted import answers, client, resets, scripted

DISPUTE = dispute()["id"]
EVIDENCE = Evidence(
    summary="The lamp was delivered.\n" + "x" * 2000,
    texts={"receipt": "No. 1", "timeline": "12:00 paid"},
    papers={"timeline": b"%PDF the timeline", "receipt": b"%PDF the receipt"},
    amount=10000,
)


@asynccontextmanager
async def razorpay(*acts):
    async with scripted(*acts) as server, client() as http:
        yield server, connected(http, server.url).disputes


def document(id_):
    return answers({"id": id_, "entity": "document", "purpose": "dispute_evidence"})


@pytest.mark.parametrize("action", ["draft", "submit"])
async def test_the_paper_of_each_text_becomes_a_document_that_the_contest_names(action):
    acts = (document("doc_1"), document("doc_2"), answers(dispute(status="under_review")))
    async with razorpay(*acts) as (server, disputes):
        if action == "draft":
            outcome = await disputes.draft(DISPUTE, EVIDENCE)
        else:
            outcome = await disputes.submit(DISPUTE, EVIDENCE, key="dsp_1")
    first, second, contest = server.sent
    assert first.path == second.path == "/v1/documents"
    assert b'filename="receipt.pdf"' in first.body
    assert b"\r\n\r\n%PDF the receipt\r\n--" in first.body
    assert b"\r\n\r\n%PDF the timeline\r\n--" in second.body
    assert (contest.method, contest.path) == ("PATCH", f"/v1/disputes/{DISPUTE}/contest")
    assert contest.json == {
        "amount": 10000,
        "summary": EVIDENCE.summary[:1000],
        "billing_proof": ["doc_1"],
        "others": [{"type": "timeline", "document_ids": ["doc_2"]}],
        "action": action,
    }
    assert (outcome.ref, outcome.reports[0].kind) == (DISPUTE, Kind.DISPUTE_UNDER_REVIEW)


async def test_a_summary_alone_is_one_call_about_all_of_the_dispute():
    async with razorpay(answers(dispute())) as (server, disputes):
        await disputes.submit(DISPUTE, Evidence(summary="Yes."), key="dsp_1")
    assert [sent.json for sent in server.sent] == [{"summary": "Yes.", "action": "submit"}]


@pytest.mark.parametrize(
    "upload",
    [answers({}, status=500), answers({"entity": "document"}), answers({"error": {}}, status=400), resets],
    ids=["500", "no id", "refused", "no answer"],
)
async def test_a_document_that_is_not_kept_leaves_the_dispute_untouched(upload):
    async with razorpay(upload) as (server, disputes):
        outcome = await disputes.submit(DISPUTE, EVIDENCE, key="dsp_1")
    assert isinstance(outcome, Refused)
    assert [sent.path for sent in server.sent] == ["/v1/documents"]


async def test_a_submission_without_an_answer_is_sent_once_more_and_its_documents_are_not():
    acts = (document("doc_1"), resets, answers(dispute(status="under_review")))
    async with razorpay(*acts) as (server, disputes):
        one = Evidence(summary="Yes.", texts={"receipt": "1"}, papers={"receipt": b"%PDF"})
        outcome = await disputes.submit(DISPUTE, one, key="k")
    assert isinstance(outcome, Accepted)
    assert [sent.method for sent in server.sent] == ["POST", "PATCH", "PATCH"]


async def test_a_dispute_is_given_up_and_says_what_was_taken():
    lost = dispute(status="lost", amount_deducted=30000)
    async with razorpay(answers(lost)) as (server, disputes):
        outcome = await disputes.accept(DISPUTE, key="dsp_1")
    assert (server.sent[0].method, server.sent[0].path) == ("POST", f"/v1/disputes/{DISPUTE}/accept")
    assert [report.kind for report in outcome.reports] == [Kind.DISPUTE_LOST, Kind.DISPUTE_WITHDRAWN]


async def test_a_second_acceptance_after_a_lost_answer_leaves_it_to_the_dispute_to_tell():
    over = answers({"error": {"description": "The dispute is not open"}}, status=400)
    async with razorpay(resets, over, answers(dispute(status="lost"))) as (_, disputes):
        assert isinstance(await disputes.accept(DISPUTE, key="k"), Unknown)
        (report,) = (await disputes.look_up_dispute(DISPUTE)).reports
    assert (report.kind, report.charge_ref) == (Kind.DISPUTE_LOST, PAYMENT)


async def test_an_answer_about_another_dispute_is_unknown():
    async with razorpay(answers(dispute(id="disp_another"))) as (_, disputes):
        for outcome in (
            await disputes.submit(DISPUTE, Evidence(summary="Yes."), key="k"),
            await disputes.accept(DISPUTE, key="k"),
            await disputes.look_up_dispute(DISPUTE),
        ):
            assert isinstance(outcome, Unknown)


async def test_two_texts_of_one_field_stand_in_it_beside_one_another():
    texts = {"customer_communication": "Hello", "delivery_log": "12:00 sent"}
    both = Evidence(summary="Yes.", texts=texts, papers=dict.fromkeys(texts, b"%PDF"))
    async with razorpay(document("doc_1"), document("doc_2"), answers(dispute())) as (server, disputes):
        await disputes.draft(DISPUTE, both)
    assert server.sent[2].json["customer_communication"] == ["doc_1", "doc_2"]


def test_the_fields_are_razorpays_own():
    assert set(FIELDS.values()) <= {
        *("shipping_proof", "billing_proof", "cancellation_proof", "customer_communication"),
        *("proof_of_service", "explanation_letter", "refund_confirmation", "access_activity_log"),
        *("refund_cancellation_policy", "term_and_conditions"),
    }
