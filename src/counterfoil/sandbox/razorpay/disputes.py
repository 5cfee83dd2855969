"""Disputes and the documents that answer them: the calls about them."""

from base64 import b64decode, b64encode
from email import message_from_bytes
from email.message import Message
from typing import Any, Final

from counterfoil.sandbox.calls import Answer, Incoming
from counterfoil.sandbox.razorpay import disputing
from counterfoil.sandbox.razorpay.account import DISPUTE, DOCUMENT, PAYMENT, Account, Held
from counterfoil.sandbox.razorpay.errors import refused
from counterfoil.sandbox.razorpay.fields import Fields
from counterfoil.sandbox.razorpay.lists import collection, expanded, listed
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

LONGEST_SUMMARY: Final = 1000
LONGEST_TYPE: Final = 255
MOST_DOCUMENTS: Final = 20
PURPOSE: Final = "dispute_evidence"
# What a document begins with, by its kind.
BEGINNINGS: Final = {
    b"%PDF-": "application/pdf",
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n": "image/png",
}


def retrieve(world: World, call: Incoming) -> Answer:
    account = Account(world)
    dispute = account.find(DISPUTE, call.ids["id"]).body
    parts = {
        "payment": lambda: account.find(PAYMENT, dispute["payment_id"]).body,
        "transaction.settlement": lambda: None,
    }
    return Answer.json(expanded(call, dispute, parts))


def list_all(world: World, call: Incoming) -> Answer:
    return collection(listed(Account(world), DISPUTE, call))


def accept(world: World, call: Incoming) -> Answer:
    """Give it up: it is lost, for good."""
    account = Account(world)
    Fields.of(call.body).only()
    dispute = _open(account, call)
    disputing.end(account, dispute, "lost")
    return Answer.json(dispute.body)


def contest(world: World, call: Incoming) -> Answer:
    """Keep a draft of the evidence, or submit it, all of it in one call."""
    account = Account(world)
    fields = Fields.of(call.body).only("amount", "summary", "others", "action", *disputing.EVIDENCE)
    action = fields.choice("action", ("draft", "submit"), "draft")
    dispute = _open(account, call)
    evidence: Json = {
        "amount": fields.optional_integer(
            "amount", dispute.body["amount"], least=1, most=dispute.body["amount"]
        ),
        "summary": fields.optional_text("summary", longest=LONGEST_SUMMARY),
        **{name: _documents(account, fields, name) for name in disputing.EVIDENCE},
        "others": _others(account, fields),
    }
    if action == "submit" and not any(evidence[name] for name in ("summary", "others", *disputing.EVIDENCE)):
        raise refused("Evidence is required to contest a dispute.", field="summary")
    disputing.contest(account, dispute, evidence, submit=action == "submit")
    return Answer.json(dispute.body)


def _open(account: Account, call: Incoming) -> Held:
    """The dispute, where it waits for the merchant."""
    dispute = account.find(DISPUTE, call.ids["id"])
    if dispute.body["status"] != "open":
        raise refused(f"Action not allowed, the dispute is in {dispute.body['status']} status")
    return dispute


def _documents(account: Account, fields: Fields, name: str) -> list[str] | None:
    ids = fields.texts(name, most=MOST_DOCUMENTS)
    for id_ in ids:
        account.find(DOCUMENT, id_)
    return ids or None


def _others(account: Account, fields: Fields) -> list[Json] | None:
    return [
        {
            "type": one.text("type", longest=LONGEST_TYPE),
            "document_ids": _documents(account, one, "document_ids") or [],
        }
        for one in fields.objects("others", most=MOST_DOCUMENTS)
    ] or None


def upload(world: World, call: Incoming) -> Answer:
    """POST /v1/documents: a form with the purpose and one file."""
    account, parts = Account(world), _form(call)
    purpose, file = parts.get("purpose"), parts.get("file")
    if purpose is None or _content(purpose) != PURPOSE.encode():
        raise refused("The purpose field is required.", field="purpose")
    if file is None:
        raise refused("The file field is required.", field="file")
    content = _content(file)
    kind = next((kind for beginning, kind in BEGINNINGS.items() if content.startswith(beginning)), None)
    if kind is None:
        raise refused("The file must be a file of type: jpg, jpeg, png, pdf.", field="file")
    document: Json = {
        "id": world.ids.razorpay("doc"),
        "entity": "document",
        "purpose": PURPOSE,
        "name": (file.get_filename() or "document")[:LONGEST_TYPE],
        "mime_type": kind,
        "size": len(content),
        "created_at": account.now,
    }
    account.save(Held(DOCUMENT, document, {"content": b64encode(content).decode()}))
    return Answer.json(document)


def document(world: World, call: Incoming) -> Answer:
    return Answer.json(Account(world).find(DOCUMENT, call.ids["id"]).body)


def document_content(world: World, call: Incoming) -> Answer:
    """The file as it was uploaded."""
    held = Account(world).find(DOCUMENT, call.ids["id"])
    return Answer(200, b64decode(held.hidden["content"]), {"content-type": held.body["mime_type"]})


def _form(call: Incoming) -> dict[str, Message]:
    """The parts of a multipart form by their names; nothing where it is none."""
    kind = call.headers.get("content-type", "").encode("latin-1")
    form = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + call.body)
    parts: list[Any] = list(form.get_payload()) if form.is_multipart() else []
    return {str(part.get_param("name", header="content-disposition")): part for part in parts}


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""
