from base64 import b64decode, b64encode
from functools import cache
from io import BytesIO

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

import receipt_samples
from counterfoil.documents import jail, receipt_pdf, receipt_signing
from counterfoil.documents.jail import Renderer
from counterfoil.documents.receipt_signing import Verdict, load, verify
from counterfoil.documents.warden import MB, Limits, Worker
from counterfoil.domain.errors import ConfigurationError
from signers import certificate, new_key, pem


def signer(days=400):
    key = new_key()
    return load(pem(key), certificate(key, days=days))


OURS = cache(signer)


@cache
def signed():
    return receipt_pdf.render(receipt_samples.receipt(), signer=OURS())


def test_a_signed_receipt_is_intact_and_still_the_same_file():
    plain = receipt_pdf.render(receipt_samples.receipt())
    assert signed().startswith(plain)
    assert len(signed()) - len(plain) < 12_000
    assert verify(signed(), OURS().certificates) is Verdict.INTACT


@pytest.mark.parametrize("part", range(24))
def test_one_bit_anywhere_changes_the_verdict(part):
    at = (len(signed()) - 1) * part // 23
    changed = bytearray(signed())
    changed[at] ^= 1
    assert verify(bytes(changed), OURS().certificates) is Verdict.CHANGED


def test_what_is_added_or_cut_off_changes_it():
    assert verify(signed() + b"\n% more", OURS().certificates) is Verdict.CHANGED
    assert verify(signed()[:-9], OURS().certificates) is Verdict.CHANGED


def test_a_revision_put_behind_the_signature_changes_it():
    writer = IncrementalPdfFileWriter(BytesIO(signed()))
    append_signature_field(writer, SigFieldSpec("Another"))
    revised = BytesIO()
    writer.write(revised)
    assert verify(revised.getvalue(), OURS().certificates) is Verdict.CHANGED


def test_the_signature_of_another_is_not_ours():
    other = signer()
    assert verify(signed(), other.certificates) is Verdict.UNKNOWN_SIGNER
    assert verify(signed(), ()) is Verdict.UNKNOWN_SIGNER
    again = other.sign(receipt_pdf.render(receipt_samples.receipt()))
    assert verify(again, OURS().certificates) is Verdict.UNKNOWN_SIGNER


def test_a_receipt_stays_verifiable_when_its_certificate_has_ended(caplog):
    old = signer(days=-1)
    pdf = receipt_pdf.render(receipt_samples.receipt(), signer=old)
    assert verify(pdf, [*OURS().certificates, *old.certificates]) is Verdict.INTACT
    assert caplog.records == []


@pytest.mark.parametrize("body", [b"", b"%PDF-1.7", b"no such file", b"\0" * 1000])
def test_what_was_never_signed_is_unsigned(body):
    assert verify(body, OURS().certificates) is Verdict.UNSIGNED
    assert verify(receipt_pdf.render(receipt_samples.receipt()), OURS().certificates) is Verdict.UNSIGNED


async def test_the_pool_signs_without_holding_up_the_event_loop():
    renderer = Renderer(workers=1)
    try:
        pdf = await renderer.pdf(receipt_samples.receipt(), signer=OURS())
    finally:
        renderer.close()
    assert verify(pdf, OURS().certificates) is Verdict.INTACT


async def test_a_file_that_somebody_sent_is_read_where_it_can_do_no_harm():
    renderer = Renderer(workers=2)
    plain = receipt_pdf.render(receipt_samples.receipt())
    bomb = b"%PDF-1.7\n" + b"1 0 obj<</A" * 2_000_000
    try:
        verdicts = [
            await renderer.verdict(file, OURS().certificates)
            for file in (signed(), signed().replace(b"Kaveri", b"Kavery"), plain, bomb, b"")
        ]
        assert await renderer.verdict(signed(), ()) is Verdict.UNKNOWN_SIGNER
    finally:
        renderer.close()
    assert verdicts == [Verdict.INTACT, Verdict.CHANGED, Verdict.UNSIGNED, Verdict.UNSIGNED, Verdict.UNSIGNED]


async def test_a_file_that_takes_its_reader_too_long_is_none_of_ours(monkeypatch):
    monkeypatch.setattr(jail, "THEIRS", Limits(cpu_s=0.01, wall_s=10.0, memory=150 * MB))
    renderer = Renderer(workers=1)
    try:
        assert await renderer.verdict(signed(), OURS().certificates) is Verdict.UNSIGNED
    finally:
        renderer.close()


def test_a_key_and_certificate_that_do_not_serve_are_told():
    key, other = new_key(), new_key()
    with pytest.raises(ConfigurationError, match="of another key"):
        load(pem(key), certificate(other))
    with pytest.raises(ConfigurationError, match="no private key in PEM"):
        load(b"no key", certificate(key))
    with pytest.raises(ConfigurationError, match="no certificate in PEM"):
        load(pem(key), b"no certificate")
    for wrong in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(ConfigurationError, match="P-256"):
            load(pem(wrong), certificate(wrong))


def test_no_word_of_a_key_stands_in_the_reason_it_is_refused_for():
    lines = pem(new_key()).splitlines()
    lines[1] = lines[1][:-8] + b"!secret!"
    with pytest.raises(ConfigurationError) as refused:
        load(b"\n".join(lines), certificate(new_key()))
    assert refused.value.__cause__ is None
    assert refused.value.detail == "The key that signs receipts cannot be read: it is no private key in PEM."


def test_a_signature_bears_the_certificates_above_its_own_and_none_of_keys_before_it():
    key, authority, before = new_key(), new_key(), new_key()
    own = certificate(key, by=("Authority", authority))
    above, old = certificate(authority, name="Authority"), certificate(before)
    signed = load(pem(key), own + old + above).sign(receipt_pdf.render(receipt_samples.receipt()))
    [signature] = PdfFileReader(BytesIO(signed)).embedded_signatures
    names = [one.subject.native["common_name"] for one in signature.other_embedded_certs]
    assert (signature.signer_cert.subject.native["common_name"], names) == (
        "Kaveri Books & Coffee",
        ["Authority"],
    )


def test_a_renewed_certificate_of_the_same_name_bears_none_before_it():
    key = new_key()
    renewing = load(pem(key), certificate(key) + certificate(key, days=9))
    [signature] = PdfFileReader(
        BytesIO(renewing.sign(receipt_pdf.render(receipt_samples.receipt())))
    ).embedded_signatures
    assert list(signature.other_embedded_certs) == []


def test_without_the_extra_nothing_is_called_unsigned(monkeypatch):
    key = new_key()
    pdf, known = signed(), OURS().certificates
    monkeypatch.setattr(receipt_signing, "find_spec", lambda _: None)
    with Worker() as worker:
        for attempt in (
            lambda: load(pem(key), certificate(key)),
            lambda: verify(pdf, known),
            lambda: worker.verdict(pdf, known),
        ):
            with pytest.raises(ConfigurationError, match=r"counterfoil\[sign\]"):
                attempt()


def test_a_key_may_have_a_password():
    key = new_key()
    locked = pem(key, b"made up")
    assert load(locked, certificate(key), b"made up").key.private_numbers() == key.private_numbers()
    for wrong, told in (
        ((locked, certificate(key)), "it has a password, and none is given"),
        ((locked, certificate(key), b"other"), "or its password is another"),
        ((pem(key), certificate(key), b"made up"), "it has no password, and one is given"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            load(*wrong)


P256, UNKNOWN = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d030109")


def on_an_unknown_curve(text):
    """The same PEM, whose curve is named by an object identifier that nobody has given out."""
    head, *body, foot = text.splitlines()
    der = b64decode(b"".join(body))
    assert P256 in der
    return b"\n".join([head, b64encode(der.replace(P256, UNKNOWN)), foot])


def test_what_is_on_a_curve_that_nobody_knows_is_refused_in_words():
    key = new_key()
    with pytest.raises(ConfigurationError, match="on P-256"):
        load(on_an_unknown_curve(pem(key)), certificate(key))
    with pytest.raises(ConfigurationError, match="no certificate in PEM"):
        receipt_signing.certificates(on_an_unknown_curve(certificate(key)))
