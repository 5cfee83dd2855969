"""How customers and operators are written to, as the settings say it."""

import base64
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from counterfoil.domain import delivery
from counterfoil.domain.delivery import Policy, Provider, QuietHours, Security, Smtp
from counterfoil.domain.errors import InvalidRequestError

SMTP = {"host": "smtp.example.com", "from": "shop@example.com"}
SEALED = {"sealed": base64.b64encode(b"sealed").decode(), "last4": "word"}


def read(**section):
    return delivery.read({"delivery": section})


def test_nothing_is_sent_from_the_start():
    assert delivery.read({}) == Policy()
    assert read(smtp=None).smtp is None


def test_the_whole_of_it():
    smtp = SMTP | {"port": 2465, "security": "tls", "username": "shop", "password": SEALED}
    document = {
        "delivery": {"smtp": smtp, "operators": ["a@example.com", "b@example.com", "a@example.com"]},
        "productionSettings": {"failedPaymentNotification": False},
        "refundProcessing": {"tellCustomers": False},
        "business": {"locale": "de-AT"},
    }
    server = Smtp(
        host="smtp.example.com",
        port=2465,
        security=Security.TLS,
        sender="shop@example.com",
        username="shop",
        password=b"sealed",
    )
    wanted = Policy(
        smtp=server,
        operators=("a@example.com", "b@example.com"),
        language="de",
        tell_failures=False,
        tell_refunds=False,
    )
    assert delivery.read(document) == wanted
    assert "sealed" not in repr(server)


@pytest.mark.parametrize(("security", "port"), [("tls", 465), ("starttls", 587)])
def test_each_security_has_its_usual_port(security, port):
    smtp = read(smtp=SMTP | {"security": security}).smtp
    assert smtp.port == port


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_in_the_clear_only_on_this_machine(host):
    assert read(smtp=SMTP | {"host": host, "security": "none"}).smtp.port == 25


@pytest.mark.parametrize(
    ("field", "section"),
    [
        ("delivery", []),
        ("delivery.operators", {"operators": "a@example.com"}),
        ("delivery.operators", {"operators": ["a"]}),
        ("delivery.operators", {"operators": ["a@example.com"] * 21}),
        ("delivery.smtp", {"smtp": "smtp.example.com"}),
        ("delivery.smtp.hots", {"smtp": SMTP | {"hots": "x"}}),
        ("delivery.smtp.host", {"smtp": {"from": "shop@example.com"}}),
        ("delivery.smtp.host", {"smtp": SMTP | {"host": "a b"}}),
        ("delivery.smtp.from", {"smtp": {"host": "smtp.example.com"}}),
        ("delivery.smtp.from", {"smtp": SMTP | {"from": "Shop <shop@example.com>"}}),
        ("delivery.smtp.security", {"smtp": SMTP | {"security": "ssl"}}),
        ("delivery.smtp.security", {"smtp": SMTP | {"security": "none"}}),
        ("delivery.smtp.security", {"smtp": SMTP | {"security": "none", "host": "10.0.0.1"}}),
        ("delivery.smtp.port", {"smtp": SMTP | {"port": 0}}),
        ("delivery.smtp.port", {"smtp": SMTP | {"port": True}}),
        ("delivery.smtp.port", {"smtp": SMTP | {"port": "465"}}),
        ("delivery.smtp.username", {"smtp": SMTP | {"username": 3, "password": SEALED}}),
        ("delivery.smtp.password", {"smtp": SMTP | {"username": "shop"}}),
        ("delivery.smtp.password", {"smtp": SMTP | {"password": SEALED}}),
        ("delivery.smtp.password", {"smtp": SMTP | {"username": "shop", "password": "in the clear"}}),
        ("delivery.smtp.password", {"smtp": SMTP | {"username": "shop", "password": {"sealed": "é"}}}),
        ("delivery.smtp.password", {"smtp": SMTP | {"username": "shop", "password": {}}}),
    ],
)
def test_what_is_wrong_is_named(field, section):
    with pytest.raises(InvalidRequestError) as wrong:
        delivery.read({"delivery": section})
    assert wrong.value.facts["field"] == field


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (
            {"productionSettings": {"failedPaymentNotification": 1}},
            "productionSettings.failedPaymentNotification",
        ),
        ({"business": {"locale": None}}, "business.locale"),
    ],
)
def test_so_is_what_is_wrong_elsewhere(document, field):
    with pytest.raises(InvalidRequestError) as wrong:
        delivery.read(document)
    assert wrong.value.facts["field"] == field


@pytest.mark.parametrize("good", ["a@b.co", "anna.o'hara+shop@mail.example.com", "jörg@example.com"])
def test_plain_addresses_are_addresses(good):
    assert delivery.is_address(good)


@pytest.mark.parametrize(
    "bad",
    [
        "a@b\r\nBcc: c@d", "a@b\n", "a,b@c", "<a@b>", '"a b"@c', "a@b@c", "a@", "@b", "a@-b", "a@b-", "a b@c", "a@b\x00",
        "a\u2028@b", f"{'a' * 250}@b.co", 3, None,
    ],
)  # fmt: skip
def test_what_some_server_could_take_for_more_than_one_is_none(bad):
    assert not delivery.is_address(bad)


BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7))


def at(text: str, fold: int = 0) -> datetime:
    """A moment in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("quiet", "moment", "ends"),
    [
        (NIGHT, at("2026-11-22T21:59:59"), None),
        (NIGHT, at("2026-11-22T22:00"), at("2026-11-23T07:00")),
        (NIGHT, at("2026-11-23T00:30"), at("2026-11-23T07:00")),
        (NIGHT, at("2026-11-23T07:00"), None),
        (QuietHours(time(12), time(14)), at("2026-11-22T13:00"), at("2026-11-22T14:00")),
        (QuietHours(time(12), time(14)), at("2026-11-22T23:00"), None),
        # The night in which clocks go forward is an hour shorter, the one in which they go back an hour longer.
        (NIGHT, at("2026-03-28T23:00"), at("2026-03-29T07:00")),
        (NIGHT, at("2026-10-24T23:00"), at("2026-10-25T07:00")),
        # What ends at half past two ends there the second time, and where there is none, no sooner than three.
        (QuietHours(time(22), time(2, 30)), at("2026-10-25T02:45"), at("2026-10-25T02:30", 1)),
        (QuietHours(time(22), time(2, 30)), at("2026-10-25T02:29", 1), at("2026-10-25T02:30", 1)),
        (QuietHours(time(22), time(2, 30)), at("2026-10-25T02:30", 1), None),
        (QuietHours(time(22), time(2, 30)), at("2026-03-29T01:59"), at("2026-03-29T03:30")),
        (QuietHours(time(22), time(2, 30)), at("2026-03-29T03:30"), None),
    ],
)
def test_quiet_hours_end_by_the_clock_of_the_business(
    quiet: QuietHours, moment: datetime, ends: datetime | None
):
    found = quiet.ends(moment.astimezone(UTC), BERLIN)
    assert found == (ends.astimezone(UTC) if ends else None)


@pytest.mark.parametrize(
    "hours", [{"from": "22:00", "to": "22:00"}, {"from": "22:00"}, {"from": 22, "to": 7}, "at night"]
)
def test_quiet_hours_that_are_none_are_refused(hours: object):
    with pytest.raises(InvalidRequestError, match="quietHours"):
        delivery.read({"delivery": {"quietHours": hours}})


TWILIO = {"provider": "twilio", "account": "AC1", "sender": "+15005550006", "secret": SEALED}


def test_each_carrier_has_what_it_needs():
    twilio, msg91 = (
        read(sms=TWILIO).sms,
        read(sms={"provider": "msg91", "template": "t1", "secret": SEALED}).sms,
    )
    assert (twilio.provider, twilio.account, twilio.sender) == (Provider.TWILIO, "AC1", "+15005550006")
    assert (msg91.provider, msg91.template, msg91.sender) == (Provider.MSG91, "t1", None)
    assert "sealed" not in repr(twilio)
    assert read(sms=None).sms is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider": "pigeon"}, "provider"),
        ({"provider": None}, "provider"),
        ({"account": None}, "account"),
        ({"sender": None}, "sender"),
        ({"sender": "x/../y"}, "sender"),
        ({"account": 1}, "account"),
        ({"provider": "msg91"}, "template"),
        ({"secret": None}, "secret"),
        ({"secret": "in the clear"}, "secret"),
        ({"url": "https://sms.example"}, "url"),
    ],
)
def test_a_carrier_that_cannot_be_used_is_refused_by_its_field(change, field):
    with pytest.raises(InvalidRequestError) as refused:
        read(sms=TWILIO | change)
    assert refused.value.facts["field"] == f"delivery.sms.{field}"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+91 98765-43210", "+919876543210"),
        ("+1 (500) 555 0006", "+15005550006"),
        ("9876543210", None),
        ("+0123456789", None),
        ("+91x", None),
        (None, None),
        ("", None),
    ],
)
def test_a_number_has_its_country(text, number):
    assert delivery.number_of(text) == number


def test_receipts_go_by_the_channels_that_are_chosen():
    chosen = {"receiptGeneration": {"automatedDelivery": {"email": True, "sms": True, "inApp": False}}}
    policy = delivery.read(chosen)
    assert (policy.receipts_by_email, policy.receipts_by_sms, policy.receipts_in_app) == (True, True, False)
    begun = delivery.read({})
    assert (begun.receipts_by_email, begun.receipts_by_sms, begun.receipts_in_app) == (False, False, True)
