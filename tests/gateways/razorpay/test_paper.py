from email import message_from_bytes
from email.policy import HTTP

from counterfoil.gateways.razorpay.paper import upload


def test_the_form_carries_the_purpose_and_the_file():
    kind, body = upload('a "b".pdf', b"%PDF\r\nx")
    form = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body, policy=HTTP)
    purpose, file = form.iter_parts()
    assert purpose.get_param("name", header="content-disposition") == "purpose"
    assert purpose.get_payload() == "dispute_evidence"
    assert (file.get_filename(), file.get_content_type()) == ("a__b_.pdf", "application/pdf")
    assert file.get_payload(decode=True) == b"%PDF\r\nx"


def test_the_same_file_is_the_same_form():
    assert upload("a.pdf", b"%PDF x") == upload("a.pdf", b"%PDF x") != upload("a.pdf", b"%PDF y")
