"""Receipts are signed wherever they leave, and a file that comes back is judged by its signature."""

import zipfile
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field
from structlog.testing import LogCapture

from counterfoil.documents import receipt_signing
from counterfoil.documents.receipt_signing import Verdict
from counterfoil.domain.errors import SigningAwayError
from counterfoil.domain.signing import KEY_PLACE
from counterfoil.services import examining, exporting, sending, signing
from counterfoil.services.caller import Caller
from counterfoil.settings import Settings
from counterfoil.vault import KEY_BYTES, Vault
from database import Postgres
from postbox import postbox
from service import Answer, Service, call, serving
from signers import certificate, new_key, pem

SETTINGS = "/api/payments/settings"
OPEN = {"automatedRefunds": True, "refundApprovalRequired": False, "tellCustomers": False}
SAME = "The file you sent is this receipt, unchanged."
CHANGED = "The file you sent is not this receipt: it was changed, or is an older state of it."
ANOTHER = (
    "The file you sent is not this receipt, but another of the seller's documents or an older state of it."
)
NO_PDF = "The file you sent is not a PDF."
BY_US = "It was signed by the seller and has not been changed since."
BROKEN = "It was signed, and has been changed since."
BY_OTHERS = "It was signed by somebody else, not by the seller."
UNSIGNED = "It is not signed."


class Pair(NamedTuple):
    """A key and its certificate, both as PEM."""

    key: str
    certificate: str

    @property
    def known(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.certificate.encode())

    def sign(self, pdf: bytes) -> bytes:
        return receipt_signing.load(self.key.encode(), self.certificate.encode()).sign(pdf)


def pair(**of_certificate: Any) -> Pair:
    key = new_key()
    return Pair(pem(key).decode(), certificate(key, **of_certificate).decode())


OURS, OTHERS = pair(), pair()


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres, work=False) as service:
        service.sandbox.webhooks(hold=True)
        service.change_settings({"refundProcessing": OPEN})
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """Receipts are signed with our key."""
    sign_with(running, OURS)
    yield running
    running.change_settings({"receiptGeneration": {"signing": {}}})


def ask(service: Service, signing: Any) -> Answer:
    return service.call("PATCH", SETTINGS, {"receiptGeneration": {"signing": signing}})


def sign_with(service: Service, chosen: Pair, *before: Pair) -> Any:
    known = [chosen.certificate, *(one.certificate for one in before)]
    answer = ask(service, {"key": chosen.key, "certificates": known})
    assert answer.status == 200, answer
    return answer.json["receiptGeneration"]["signing"]


def off(service: Service) -> None:
    assert ask(service, {"key": None, "password": None}).status == 200


def paid(service: Service, **asked: Any) -> Any:
    made = service.create(gateway="stripe", payment_method="pm_card_bypassPending", confirm=True, **asked)
    assert made["status"] == "captured", made
    return made


def shown(service: Service, payment: Any, **query: Any) -> Answer:
    return service.get(f"/api/payments/{payment['id']}/receipt", **query)


def drawn(service: Service, payment: Any) -> bytes:
    answer = shown(service, payment, format="pdf")
    assert answer.status == 200, answer
    return answer.body


def unsigned(service: Service, payment: Any) -> bytes:
    """The receipt as it is drawn where nobody signs."""
    stored = service.get(SETTINGS).json["receiptGeneration"]["signing"]["certificates"]
    service.change_settings({"receiptGeneration": {"signing": {}}})
    pdf = drawn(service, payment)
    sign_with(service, OURS, *(Pair("", one) for one in stored if one != OURS.certificate))
    return pdf


def path(service: Service, payment: Any) -> str:
    link: str = shown(service, payment).json["verify_url"]
    return link.removeprefix(service.url)


def judged(service: Service, payment: Any, file: bytes) -> str:
    """What the page says of a file, with the name of the receipt left out."""
    answer = call(
        service.url, "POST", path(service, payment), file, headers={"content-type": "application/pdf"}
    )
    assert answer.status == 200, answer
    said = answer.body.decode().split('role="status"')[1].partition(">")[2].split("<a ")[0]
    return " ".join(unescape(said).split()).partition(". ")[2]


def verdict(pdf: bytes, *whose: Pair) -> Verdict:
    return receipt_signing.verify(pdf, [known for one in whose for known in one.known])


# Signed wherever they leave


def test_every_pdf_that_leaves_is_signed_and_nothing_else_is_touched(service, tmp_path):
    payment = paid(service)
    receipt = shown(service, payment).json
    link = path(service, payment)
    for pdf in (
        drawn(service, payment),
        service.get(f"/api/payments/receipts/{receipt['id']}", format="pdf").body,
        call(service.url, "GET", f"{link}?format=pdf").body,
        exported(service, tmp_path / "all.zip")[f"{receipt['number']}.pdf"],
    ):
        assert verdict(pdf, OURS) is Verdict.INTACT
    for chosen in ("html", "json", "csv", "xlsx"):
        assert b"ByteRange" not in shown(service, payment, format=chosen).body


def test_a_key_is_opened_once_for_many_receipts_and_anew_when_it_is_another(service, tmp_path, monkeypatch):
    for _ in range(2):
        paid(service)
    opened, load = list[bytes](), receipt_signing.load

    def counted(key: bytes, *more: Any) -> Any:
        opened.append(key)
        return load(key, *more)

    monkeypatch.setattr(receipt_signing, "load", counted)
    assert len(exported(service, tmp_path / "all.zip")) > 1
    assert opened == [OURS.key.encode()]
    sign_with(service, OTHERS)
    opened.clear()
    assert verdict(drawn(service, paid(service)), OTHERS) is Verdict.INTACT
    assert opened == [OTHERS.key.encode()]
    off(service)
    assert verdict(drawn(service, paid(service))) is Verdict.UNSIGNED


def exported(service: Service, to: Path) -> dict[str, bytes]:
    now = service.context.now()
    period = now - timedelta(days=1), now + timedelta(days=1)
    caller = Caller("tests", service.context.merchant_id, "sandbox")
    making = exporting.to_zip(service.context, caller, *period, to, chosen="pdf", progress=lambda *_: None)
    service.run(making)
    with zipfile.ZipFile(to) as archive:
        assert len(archive.namelist()) == len(set(archive.namelist()))
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_export_that_was_cut_off_goes_on_and_leaves_what_is_signed_as_it_is(service, tmp_path):
    for _ in range(2):
        paid(service)
    whole = exported(service, tmp_path / "all.zip")
    name, first = next(iter(whole.items()))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr(name, first)
    again = exported(service, tmp_path / "all.zip")
    assert set(again) == set(whole)
    assert again[name] == first
    assert {verdict(pdf, OURS) for pdf in again.values()} == {Verdict.INTACT}


def test_the_mail_brings_it_signed(service):
    with postbox() as box, mailed(service, box):
        paid(service, customer={"email": "anna@example.com"})
        send(service)
        [(_, pdf)] = attached(box.mails[-1])
    assert verdict(pdf, OURS) is Verdict.INTACT


class mailed:  # noqa: N801  read as a word: with mailed(service, box)
    """Receipts go out by mail, into this box."""

    def __init__(self, service: Service, box: Any) -> None:
        smtp = {"host": box.host, "port": box.port, "security": "none", "from": "shop@shop.example"}
        self._service = service
        service.change_settings(
            {"delivery": {"smtp": smtp}, "receiptGeneration": {"automatedDelivery": {"email": True}}}
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._service.change_settings({"receiptGeneration": {"automatedDelivery": {"email": False}}})


def send(service: Service) -> None:
    service.advance(1)
    service.run(sending.due_mails(service.context))


def attached(mail: Any) -> list[tuple[str, bytes]]:
    return [(part.get_filename(), part.get_content()) for part in mail.iter_attachments()]


# What a file is worth that comes back


def test_a_signed_receipt_is_this_receipt_and_signed_by_the_seller(service):
    payment = paid(service)
    first, second = drawn(service, payment), drawn(service, payment)
    assert first != second  # a signature differs each time
    assert judged(service, payment, first) == judged(service, payment, second) == f"{SAME} {BY_US}"


def test_a_receipt_from_before_the_key_is_this_receipt_and_not_signed(service):
    payment = paid(service)
    assert judged(service, payment, unsigned(service, payment)) == f"{SAME} {UNSIGNED}"


def test_each_way_to_tamper_is_told_for_what_it_is(service):
    payment, other = paid(service), paid(service)
    pdf, plain = drawn(service, payment), unsigned(service, payment)
    assert pdf.startswith(plain)
    middle = bytearray(pdf)
    middle[len(plain) // 2] ^= 1
    own = bytearray(plain)
    own[len(plain) // 2] ^= 1
    for file, said in (
        (bytes(middle), f"{CHANGED} {BROKEN}"),
        (pdf[:-1], f"{CHANGED} {BROKEN}"),
        (pdf[: pdf.index(b"/ByteRange") + 20], f"{CHANGED} {BROKEN}"),
        (
            pdf[: len(plain) + 200],
            f"{CHANGED} {UNSIGNED}",
        ),  # too little is left of it to be called a signature
        (pdf + b"\n% more", f"{CHANGED} {BROKEN}"),
        (revised(pdf), f"{CHANGED} {BROKEN}"),
        (bytes(own), f"{CHANGED} {UNSIGNED}"),
        (OTHERS.sign(plain), f"{CHANGED} {BY_OTHERS}"),
        (OTHERS.sign(bytes(own)), f"{CHANGED} {BY_OTHERS}"),
        (OURS.sign(bytes(own)), f"{ANOTHER} {BY_US}"),
        (drawn(service, other), f"{ANOTHER} {BY_US}"),
        (b"%PDF- no PDF at all", f"{CHANGED} {UNSIGNED}"),
        (b"no PDF at all", NO_PDF),
        (b"", NO_PDF),
    ):
        assert judged(service, payment, file) == said


def revised(pdf: bytes) -> bytes:
    writer, out = IncrementalPdfFileWriter(BytesIO(pdf)), BytesIO()
    append_signature_field(writer, SigFieldSpec("Another"))
    writer.write(out)
    return out.getvalue()


def test_what_was_signed_as_it_was_issued_stays_this_receipt_after_a_refund_and_what_was_between_does_not(
    service,
):
    payment = paid(service)
    issued = drawn(service, payment)
    states = []
    for _ in range(2):
        asked = {"reason": "duplicate", "amount": 1_000}
        assert service.post(f"/api/payments/{payment['id']}/refund", asked).status == 201
        states.append(drawn(service, payment))
    assert judged(service, payment, issued) == f"{SAME} {BY_US}"
    assert judged(service, payment, states[1]) == f"{SAME} {BY_US}"
    assert judged(service, payment, states[0]) == f"{ANOTHER} {BY_US}"


def test_a_key_is_replaced_and_what_the_old_one_signed_is_ours_while_its_certificate_is_in_the_list(service):
    payment = paid(service)
    old, new = drawn(service, payment), pair()
    sign_with(service, new, OURS)
    assert verdict(drawn(service, payment), new) is Verdict.INTACT
    assert judged(service, payment, old) == f"{SAME} {BY_US}"
    off(service)
    assert verdict(drawn(service, payment)) is Verdict.UNSIGNED
    assert judged(service, payment, old) == f"{SAME} {BY_US}"
    sign_with(service, new)
    assert judged(service, payment, old) == f"{CHANGED} {BY_OTHERS}"


def test_where_nobody_ever_signed_nothing_is_said_of_signatures(service):
    payment = paid(service)
    signed = drawn(service, payment)
    service.change_settings({"receiptGeneration": {"signing": {}}})
    assert judged(service, payment, drawn(service, payment)) == SAME
    assert judged(service, payment, signed) == CHANGED


def test_a_long_receipt_is_not_too_large_to_be_judged(service):
    items = [{"name": f"Item {n} with a name of its own", "amount": 100} for n in range(200)]
    payment = paid(service, amount=20_000, line_items=items)
    pdf = drawn(service, payment)
    assert len(pdf) > 270_000
    assert judged(service, payment, pdf) == f"{SAME} {BY_US}"
    too_large = call(service.url, "POST", path(service, payment), pdf * 20)
    assert (too_large.status, too_large.json["code"]) == (413, "too_large")


# What cannot be signed


def spoilt(service: Service) -> None:
    """The key in the settings was sealed with another key-encryption key."""
    elsewhere = b64encode(Vault(b"!" * KEY_BYTES).seal(OURS.key, KEY_PLACE)).decode()
    signing = {"key": {"sealed": elsewhere}, "certificates": [OURS.certificate]}
    service.change_settings({"receiptGeneration": {"signing": signing}})


def test_a_key_that_cannot_be_opened_lets_no_pdf_leave_unsigned_and_holds_up_nothing_else(service):
    payment = paid(service)
    signed, link = drawn(service, payment), path(service, payment)
    spoilt(service)
    for refused in (shown(service, payment, format="pdf"), call(service.url, "GET", f"{link}?format=pdf")):
        assert (refused.status, refused.json["code"]) == (503, "signing_away")
        assert "counterfoil doctor" in refused.json["what_to_do"]
        assert "KEY_FILE" not in refused.body.decode()  # whoever has a link is told nothing of the inside
    assert shown(service, payment, format="html").status == 200
    assert judged(service, payment, signed) == f"{SAME} {BY_US}"  # for that the certificates are enough
    assert service.call("PATCH", SETTINGS, {"business": {"name": "Your shop"}}).status == 200
    [found] = findings(service)
    assert (found.state, "COUNTERFOIL_KEY_FILE is not the key" in found.sentence) == ("fail", True)
    assert "counterfoil receipts signing --key" in found.mend
    sign_with(service, OURS)
    assert verdict(drawn(service, payment), OURS) is Verdict.INTACT


def test_an_export_that_cannot_be_signed_says_so_before_anything_is_sent_or_written(service, tmp_path):
    paid(service)
    spoilt(service)
    now = service.context.now()
    period = {"issued_from": now - timedelta(days=1), "issued_to": now + timedelta(days=1)}
    refused = service.get("/api/payments/receipts/export", **period)
    assert (refused.status, refused.json["code"]) == (503, "signing_away")
    assert service.get("/api/payments/receipts/export", **period, format="csv").status == 200
    with pytest.raises(SigningAwayError):
        exported(service, tmp_path / "all.zip")
    assert not (tmp_path / "all.zip").exists()


def findings(service: Service) -> list[examining.Finding]:
    named = {"stripe_base_url": service.sandbox.stripe, "razorpay_base_url": service.sandbox.razorpay}
    key_file = Path(__file__)  # any file: it is not what is looked at here
    found = service.run(examining.examine(service.context, Settings(**named), key_file))
    return [one for one in found if one.name == "signing"]


def test_a_mail_whose_pdf_cannot_be_signed_goes_with_its_link_alone_and_a_person_is_called(service):
    spoilt(service)
    with postbox() as box, mailed(service, box):
        payment = paid(service, customer={"email": "anna@example.com"})
        send(service)
        [mail] = box.mails
    assert attached(mail) == []
    assert shown(service, payment).json["verify_url"] in mail.get_body(("plain",)).get_content()
    [opened] = service.rows("SELECT kind, sentence FROM exceptions WHERE payment_id = $1", payment["id"])
    assert opened["kind"] == "receipt_not_drawn"
    assert "counterfoil doctor" in opened["sentence"]
    assert ".." not in opened["sentence"]


def test_without_the_extra_nothing_is_signed_nothing_called_unsigned_and_the_doctor_says_what_to_install(
    service, monkeypatch
):
    payment = paid(service)
    signed, plain = drawn(service, payment), unsigned(service, payment)
    monkeypatch.setattr(receipt_signing, "find_spec", lambda _: None)
    assert shown(service, payment, format="pdf").json["code"] == "signing_away"
    refused = call(service.url, "POST", path(service, payment), signed)
    assert (refused.status, refused.json["code"]) == (503, "signing_away")
    assert judged(service, payment, plain) == f"{SAME} {UNSIGNED}"
    [found] = findings(service)
    assert (found.state, found.sentence) == (
        "fail",
        "Signed receipts need the extra: pip install 'counterfoil[sign]'.",
    )
    again = ask(service, {"key": OTHERS.key, "certificates": OTHERS.certificate})
    assert (again.status, again.json["detail"]) == (422, found.sentence)
    off(service)
    assert verdict_free(drawn(service, payment)) == plain


def verdict_free(pdf: bytes) -> bytes:
    assert b"ByteRange" not in pdf
    return pdf


# The doctor


@pytest.mark.parametrize(
    ("days", "state"),
    [(400, "ok"), (29, "warn"), (-1, "fail"), (1_200, "fail")],
    ids=["valid", "ends soon", "ended", "begins later"],
)
def test_the_doctor_says_how_long_the_certificate_is_valid(service, days, state):
    chosen = pair(days=days, at=service.context.now())
    sign_with(service, chosen, OURS)
    [found] = findings(service)
    assert found.state == state
    assert found.sentence.startswith(
        "Receipts are signed as CN=Kaveri Books & Coffee, whose certificate is valid from"
    )
    assert (found.mend == "") is (state == "ok")
    assert verdict(drawn(service, paid(service)), chosen) is Verdict.INTACT  # whatever its certificate


def test_the_doctor_says_where_receipts_are_not_signed(service):
    off(service)
    assert [(one.state, one.sentence) for one in findings(service)] == [
        ("ok", "Receipts are not signed: no key is set.")
    ]


# Saving


def test_key_and_password_are_sealed_and_stand_in_no_answer_log_or_history(service, capfd, monkeypatch):
    key, password = new_key(), "a made-up pass phrase"
    locked = pem(key, password.encode()).decode()
    own = certificate(key).decode()
    answer = ask(service, {"key": locked, "password": password, "certificates": own})
    told = answer.json["receiptGeneration"]["signing"]
    assert told["certificates"] == [own]
    for part in ("key", "password"):
        assert (told[part]["set"], told[part]["last4"]) == (True, None)
    payment = paid(service)
    assert (
        receipt_signing.verify(drawn(service, payment), x509.load_pem_x509_certificates(own.encode()))
        is Verdict.INTACT
    )
    stored = service.rows("SELECT document::text AS text FROM settings")[0]["text"]
    said = LogCapture()
    monkeypatch.setattr(signing, "log", structlog.wrap_logger(None, processors=[said]))
    spoilt(service)
    shown(service, payment, format="pdf")
    history = "".join(row["text"] for row in service.rows("SELECT detail::text AS text FROM audit"))
    assert '"receiptGeneration.signing.key"' in history
    heard = capfd.readouterr()
    assert "receipts cannot be signed" in str(said.entries)
    for secret in (locked.splitlines()[2], password):
        for text in (answer.body.decode(), stored, history, str(said.entries), heard.out, heard.err):
            assert secret not in text


def rsa_key() -> tuple[str, str]:
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    return pem(key).decode(), certificate(key).decode()


def larger_curve() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP384R1())
    return pem(key).decode(), certificate(key).decode()


LOCKED = pem(new_key(), b"made up").decode()


@pytest.mark.parametrize(
    ("signing", "field", "said"),
    [
        ({"key": rsa_key()[0], "certificates": rsa_key()[1]}, "", "must be an elliptic-curve key on P-256"),
        ({"key": larger_curve()[0], "certificates": larger_curve()[1]}, "", "must be an elliptic-curve key on P-256"),
        ({"key": OTHERS.key}, "", "is of another key"),
        ({"certificates": [OTHERS.certificate, OURS.certificate]}, "", "is of another key"),
        ({"key": "no key"}, "", "it is no private key in PEM"),
        ({"key": LOCKED}, "", "it has a password, and none is given"),
        ({"key": LOCKED, "password": "other"}, "", "or its password is another"),
        ({"password": "made up"}, "", "it has no password, and one is given"),
        ({"certificates": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "", "one is no certificate in PEM"),
        ({"key": None, "certificates": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "", "one is no certificate in PEM"),
        ({"certificates": "nothing"}, ".certificates", "must be at most 20 certificates in PEM"),
        ({"certificates": None}, ".certificates", "is needed beside the key"),
        ({"key": None, "password": "made up"}, ".password", "goes with a key"),
        ({"key": "x" * 4_097}, ".key", "must be text of 1 to 4096 characters"),
        ({"key": {"sealed": "AAAA"}}, ".key", "must be text of 1 to 4096 characters"),
        ({"key": ""}, ".key", "must be text of 1 to 4096 characters"),
        ({"password": "x" * 256}, ".password", "must be text of 1 to 255 characters"),
        ({"keys": OURS.key}, ".keys", "did you mean key?"),
    ],
)  # fmt: skip
def test_what_does_not_serve_is_refused_in_a_sentence_and_changes_nothing(service, signing, field, said):
    before = service.get(SETTINGS).json
    refused = ask(service, signing)
    assert (refused.status, refused.json["field"]) == (422, f"receiptGeneration.signing{field}"), refused
    assert said in refused.json["detail"]
    assert service.get(SETTINGS).json == before


def test_all_of_it_is_taken_away_at_once(service):
    answer = service.call("PATCH", SETTINGS, {"receiptGeneration": {"signing": None}})
    signing = answer.json["receiptGeneration"]["signing"]
    assert (signing["key"]["set"], signing["certificates"]) == (False, [])
