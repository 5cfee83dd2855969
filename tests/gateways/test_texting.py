"""SMS by Twilio and by MSG91: what is asked, and what each answer means."""

import base64
from collections.abc import AsyncIterator, Iterator

import pytest

from carrier import ACCOUNT, SECRET, Carrier, carrier
from counterfoil.domain.delivery import Fate, Provider, Sms, Text
from counterfoil.gateways.http import Http, Timeouts, open_session
from counterfoil.gateways.texting import Texting

TWILIO = Sms(provider=Provider.TWILIO, account=ACCOUNT, sender="+15005550006", secret=b"sealed")
MSG91 = Sms(provider=Provider.MSG91, template="made0up", sender="SHOPIN", secret=b"sealed")
TEXT = Text("Your shop: 100 ₹\nhttps://pay.example/r/1~2", {"number": "R-2026-000001", "link": "https://x"})
TO = "+919876543210"


@pytest.fixture
def played() -> Iterator[Carrier]:
    with carrier() as played:
        yield played


@pytest.fixture
async def texting(played: Carrier) -> AsyncIterator[Texting]:
    async with open_session() as session:
        limits = Timeouts(connect_s=1, read_s=0.3, total_s=2)
        yield Texting(Http(session, timeouts=limits), played.hosts)


async def test_twilio_is_asked_as_it_wants_to_be(texting, played):
    assert (await texting.send(TWILIO, SECRET, TO, TEXT)).fate is Fate.SENT
    [got] = played.got
    assert got.path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert got.asked == {"To": TO, "From": "+15005550006", "Body": TEXT.body}
    login = base64.b64decode(got.headers["authorization"].removeprefix("Basic "))
    assert login.decode() == f"{ACCOUNT}:{SECRET}"


async def test_a_messaging_service_of_twilio_chooses_the_sender(texting, played):
    pool = Sms(provider=Provider.TWILIO, account=ACCOUNT, sender="MGcounterfoil", secret=b"sealed")
    await texting.send(pool, SECRET, TO, TEXT)
    assert (played.got[0].asked["MessagingServiceSid"], "From" in played.got[0].asked) == (
        "MGcounterfoil",
        False,
    )


async def test_msg91_is_given_the_parts_of_the_registered_template(texting, played):
    assert (await texting.send(MSG91, SECRET, TO, TEXT)).fate is Fate.SENT
    [got] = played.got
    assert (got.path, got.headers["authkey"]) == ("/api/v5/flow", SECRET)
    recipient = {"mobiles": "919876543210", "number": "R-2026-000001", "link": "https://x"}
    assert got.asked == {"template_id": "made0up", "sender": "SHOPIN", "recipients": [recipient]}


TWILIO_SAYS = {"code": 21211, "message": "The 'To' number is not a valid phone number.", "status": 400}
ANSWERS = [
    (TWILIO, (400, TWILIO_SAYS), Fate.BOUNCED),
    (TWILIO, (400, {"code": 21610, "message": "opted out"}), Fate.BOUNCED),
    (TWILIO, (400, {"code": 21602, "message": "no body"}), Fate.REFUSED),
    (TWILIO, (401, {"code": 20003}), Fate.LATER),
    (TWILIO, (429, {"code": 20429, "message": "too many"}), Fate.LATER),
    (TWILIO, (408, {}), Fate.UNKNOWN),
    (TWILIO, (500, {"code": 20500}), Fate.UNKNOWN),
    (TWILIO, (503, b"<html>"), Fate.UNKNOWN),
    (TWILIO, (201, b"no json"), Fate.UNKNOWN),
    (TWILIO, (302, {}), Fate.UNKNOWN),
    (TWILIO, "lose", Fate.UNKNOWN),
    (TWILIO, "hang", Fate.UNKNOWN),
    (MSG91, (200, {"type": "error", "message": "template not found"}), Fate.REFUSED),
    (MSG91, (400, {"type": "error", "code": 21211}), Fate.REFUSED),
    (MSG91, (401, {"type": "error", "message": "Unauthorized"}), Fate.LATER),
    (MSG91, (429, {}), Fate.LATER),
    (MSG91, (200, {"message": "5762846b4f8d"}), Fate.UNKNOWN),
    (MSG91, (500, {}), Fate.UNKNOWN),
    (MSG91, "lose", Fate.UNKNOWN),
    (MSG91, "hang", Fate.UNKNOWN),
]


@pytest.mark.parametrize(("sms", "answer", "fate"), ANSWERS)
async def test_only_what_was_surely_not_taken_may_be_sent_again(texting, played, sms, answer, fate):
    played.answers.append(answer)
    came = await texting.send(sms, SECRET, TO, TEXT)
    assert (came.fate, bool(came.error), len(played.got)) == (fate, True, 1)
    assert SECRET not in str(came.error)


async def test_what_the_carrier_says_is_told(texting, played):
    played.answers.append((400, TWILIO_SAYS))
    came = await texting.send(TWILIO, SECRET, TO, TEXT)
    assert came.error == "twilio answers 400: 21211 The 'To' number is not a valid phone number."


async def test_where_nobody_answers_nothing_was_sent(texting):
    texting.hosts[Provider.TWILIO] = "http://127.0.0.1:9"
    came = await texting.send(TWILIO, SECRET, TO, TEXT)
    assert came.fate is Fate.LATER
