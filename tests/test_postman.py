"""The postman against a real mail server: what arrives, and what came of what does not."""

from email.message import EmailMessage
from email.policy import SMTP as WIRE

import pytest

from counterfoil import postman
from counterfoil.domain.boundary import NetworkInsideTransactionError, transaction_open
from counterfoil.domain.delivery import Came, Fate, Security
from counterfoil.postman import Postman, Server
from counterfoil.web.server import listen
from postbox import PASSWORD, USER, certificate, postbox


def mail(subject="Grüße"):
    made = EmailMessage(policy=WIRE)
    made["Subject"], made["From"], made["To"] = subject, "shop@example.com", "anna@example.com"
    made.set_content("100 ₹\n")
    return made


async def bring(box, *, security=Security.NONE, tls=None, recipient="anna@example.com", **login):
    server = Server(host=box.host, port=box.port, security=security, **login)
    return await Postman(tls).bring(server, mail(), sender="shop@example.com", recipient=recipient)


async def test_a_mail_arrives_whole():
    with postbox() as box:
        assert await bring(box) == Came(Fate.SENT)
    [came] = box.mails
    assert (came["Subject"], came.get_content().strip()) == ("Grüße", "100 ₹")
    assert box.envelopes == [("shop@example.com", ["anna@example.com"])]


async def test_starttls_is_insisted_on_and_the_certificate_is_checked():
    serving, trusting = certificate()
    with postbox(serving) as box:
        assert await bring(box, security=Security.STARTTLS, tls=trusting) == Came(Fate.SENT)
        assert box.encrypted == [True]
        untrusted = await bring(box, security=Security.STARTTLS)
        assert (untrusted.fate, len(box.mails)) == (Fate.LATER, 1)
    with postbox() as plain:
        assert (await bring(plain, security=Security.STARTTLS, tls=trusting)).fate is Fate.LATER
    assert plain.mails == []


async def test_the_user_and_password_are_given_and_are_in_no_error():
    serving, trusting = certificate()
    with postbox(serving, login=True) as box:
        right = {"username": USER, "password": PASSWORD}
        assert (await bring(box, security=Security.STARTTLS, tls=trusting, **right)).fate is Fate.SENT
        wrong = {"username": USER, "password": "another made-up one"}
        came = await bring(box, security=Security.STARTTLS, tls=trusting, **wrong)
    assert (came.fate, box.users, len(box.mails)) == (Fate.LATER, [USER], 1)
    assert "SMTPAuthenticationError" in came.error
    assert "made-up" not in came.error
    assert PASSWORD not in repr(Server(host="h", port=1, security=Security.TLS, **right))


@pytest.mark.parametrize(
    ("where", "answer", "fate"),
    [
        ("rcpt", "450 try again", Fate.LATER),
        ("rcpt", "550 no such user", Fate.BOUNCED),
        ("data", "451 greylisted", Fate.LATER),
        ("data", "554 looks like spam", Fate.REFUSED),
        ("data", "lose", Fate.LATER),
    ],
)
async def test_what_the_server_says_decides_whether_it_is_brought_again(where, answer, fate):
    with postbox() as box:
        getattr(box, where).append(answer)
        came = await bring(box)
        assert (came.fate, bool(came.error)) == (fate, True)
        assert answer == "lose" or answer.partition(" ")[2] in came.error
        assert (await bring(box)).fate is Fate.SENT


async def test_a_slow_server_is_left_alone_after_a_while(monkeypatch):
    monkeypatch.setattr(postman, "STEP_S", 0.1)
    with postbox() as box:
        box.slow_s = 0.5
        came = await bring(box)
    assert (came.fate, box.mails) == (Fate.LATER, [])


async def test_a_server_that_is_not_there_is_asked_later():
    with listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
    server = Server(host="127.0.0.1", port=port, security=Security.NONE)
    came = await Postman().bring(server, mail(), sender="shop@example.com", recipient="anna@example.com")
    assert came.fate is Fate.LATER


async def test_no_mail_is_brought_inside_a_transaction():
    with postbox() as box, transaction_open(), pytest.raises(NetworkInsideTransactionError):
        await bring(box)
    assert box.mails == []
