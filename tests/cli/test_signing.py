"""counterfoil receipts signing, and what receipts verify says of a signature."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from counterfoil.documents import receipt_signing
from counterfoil.documents.receipt_signing import Verdict
from service import Service
from signers import certificate, new_key, pem

NAME = "CN=Kaveri Books & Coffee"


@pytest.fixture(scope="module")
def service(own_service: Service) -> Service:
    return own_service


@pytest.fixture(autouse=True)
def _unsigned(service: Service) -> Iterator[None]:
    yield
    service.change_settings({"receiptGeneration": {"signing": {}}})


@pytest.fixture
def files(tmp_path: Path) -> Any:
    """Write a key and a certificate of it; the paths as a command takes them, and the certificate."""

    def written(name: str = "receipts", password: bytes | None = None, **of_certificate: Any) -> Any:
        key = new_key()
        own = certificate(key, **of_certificate)
        (tmp_path / f"{name}.key").write_bytes(pem(key, password))
        (tmp_path / f"{name}.pem").write_bytes(b"subject=CN = K\xc3\xa4veri\n" + own)
        arguments = "--key", str(tmp_path / f"{name}.key"), "--certificate", str(tmp_path / f"{name}.pem")
        return arguments, x509.load_pem_x509_certificates(own)

    return written


def paid(service: Service) -> Any:
    made = service.create(payment_method="pm_card_bypassPending", confirm=True)
    return service.until(made["id"], "captured")


def test_a_key_is_installed_by_one_command_and_every_process_signs_with_it_within_five_seconds(
    spawn, files, service: Service, tmp_path
):
    assert spawn("receipts", "signing").out == "Receipts are not signed.\n"
    arguments, known = files()
    ran = spawn("receipts", "signing", *arguments)
    assert ran.status == 0, ran.err
    until = known[0].not_valid_after_utc.date()
    assert ran.out == f"Receipts are signed as {NAME}, valid until {until}.\n"
    assert spawn("receipts", "signing").out == ran.out
    payment = paid(service)

    def signed() -> bool:
        pdf = service.get(f"/api/payments/{payment['id']}/receipt", format="pdf").body
        return receipt_signing.verify(pdf, known) is Verdict.INTACT

    service.eventually(signed, seconds=5)
    out = tmp_path / "receipt.pdf"
    assert spawn("receipts", "render", payment["id"], "--out", str(out)).status == 0
    assert receipt_signing.verify(out.read_bytes(), known) is Verdict.INTACT


def test_verify_says_what_the_signature_is_worth(run, files, service: Service, tmp_path):
    payment, out = paid(service), tmp_path / "receipt.pdf"
    link = service.get(f"/api/payments/{payment['id']}/receipt").json["verify_url"]

    def said(*more: str) -> Any:
        found = json.loads(run("receipts", "verify", link, *more, "--json").out)
        return found["same"], found["signature"]

    run("receipts", "render", payment["id"], "--out", str(out))
    assert said() == (None, None)
    assert said("--file", str(out)) == (True, None)
    run("receipts", "signing", *files()[0])
    assert said("--file", str(out)) == (True, "unsigned")
    run("receipts", "render", payment["id"], "--out", str(out))
    assert said("--file", str(out)) == (True, "intact")
    assert "signature  intact" in run("receipts", "verify", link, "--file", str(out)).out
    out.write_bytes(out.read_bytes() + b" ")
    assert said("--file", str(out)) == (False, "changed")


def test_a_key_that_is_replaced_keeps_its_certificate_in_the_list_and_off_keeps_both(run, files):
    run("receipts", "signing", *files("old", days=200)[0])
    arguments, known = files("new")
    told = run("receipts", "signing", *arguments).out.splitlines()
    assert told[0] == f"Receipts are signed as {NAME}, valid until {known[0].not_valid_after_utc.date()}."
    assert len(told) == 3
    assert told[1] == "Known for ours beside it, and verifiable:"
    again = json.loads(run("receipts", "signing", *arguments, "--json").out)
    assert (again["signed"], len(again["certificates"])) == (True, 2)
    ended = run("receipts", "signing", "--off")
    assert ended.out.splitlines()[:2] == ["Receipts are not signed.", "Known for ours, and verifiable:"]
    assert len(ended.out.splitlines()) == 4
    assert run("receipts", "signing", "--off").out == ended.out


def test_a_certificate_is_renewed_without_the_key_and_one_that_is_not_valid_is_told(run, tmp_path):
    key = new_key()
    paths = {days: tmp_path / f"{days}.pem" for days in (-1, 300)}
    for days, path in paths.items():
        path.write_bytes(certificate(key, days=days))
    (tmp_path / "key").write_bytes(pem(key))
    first = run("receipts", "signing", "--key", str(tmp_path / "key"), "--certificate", str(paths[-1]))
    assert "The certificate is not valid now: readers of PDFs will warn of it." in first.out
    renewed = json.loads(run("receipts", "signing", "--certificate", str(paths[300]), "--json").out)
    assert [one["valid"] for one in renewed["certificates"]] == [True, False]
    (tmp_path / "other.pem").write_bytes(certificate(new_key()))
    other = run("receipts", "signing", "--certificate", str(tmp_path / "other.pem"))
    assert (other.status, other.err) == (
        1,
        "counterfoil: The first certificate for signing receipts is of another key.\n",
    )


def test_a_key_with_a_password_asks_for_it_or_reads_it(run, files, monkeypatch):
    arguments, _ = files(password=b"a made-up pass phrase")
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: "a made-up pass phrase")
    assert run("receipts", "signing", *arguments).status == 0
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: "another")
    refused = run("receipts", "signing", *arguments)
    assert (refused.status, "its password is another" in refused.err) == (1, True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a made-up pass phrase\n"))
    assert run("receipts", "signing", *arguments, "--password-stdin").status == 0
    plain, _ = files("plain")
    assert run("receipts", "signing", *plain).status == 0  # it takes the password of the one before away


def test_what_is_no_key_or_is_half_asked_for_is_refused(run, files, tmp_path):
    arguments, _ = files()
    for half in (arguments[:2], (*arguments, "--off"), ("--password-stdin", *arguments[2:])):
        ran = run("receipts", "signing", *half)
        assert (ran.status, "Give --key and --certificate" in ran.err) == (2, True)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for wrong in ("binary", "receipts.key"):
        ran = run("receipts", "signing", *arguments[:3], str(tmp_path / wrong))
        assert (ran.status, str(tmp_path / wrong) in ran.err) == (1, True)
    assert run("receipts", "signing").out == "Receipts are not signed.\n"


def test_the_settings_command_takes_the_same_from_files(run, files, tmp_path):
    arguments, _ = files()
    patch = {"key": (tmp_path / "receipts.key").read_text(), "certificates": Path(arguments[3]).read_text()}
    change = tmp_path / "change.json"
    change.write_text(json.dumps({"receiptGeneration": {"signing": patch}}))
    assert run("settings", "set", "--file", str(change)).status == 0
    again = run("settings", "set", "receiptGeneration.signing.key", "--from-file", arguments[1])
    assert again.status == 0, again.err
    refused = run("settings", "set", "receiptGeneration.signing.key", "secret")
    assert "use --stdin or --from-file" in refused.err
    certificates = "receiptGeneration.signing.certificates"
    assert run("settings", "set", certificates, "--from-file", arguments[3]).status == 0
    assert run("settings", "unset", "receiptGeneration.signing.key").status == 0
