"""Mails of payments: the customer is invited to pay another way, and told, as the operators are, of what failed."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from counterfoil.domain.endpoint import Endpoint
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.postman import Postman
from counterfoil.services import endpoints, mailing, retrying, sending, sweeping
from counterfoil.services.endpoints import NewEndpoint
from counterfoil.services.payments import Caller
from counterfoil.services.settings import change
from counterfoil.store import endpoints as stored_endpoints
from outgoing import owner
from postbox import PASSWORD, USER, Postbox, certificate, postbox
from service import Service, Weak, call

ANNA, MONEY = "anna@example.com", "money@shop.example"
POOR, LOST = "pm_card_chargeDeclinedInsufficientFunds", "pm_card_chargeDeclinedLostCard"
WANTS_ITS_HOLDER = "pm_card_authenticationRequired"
DAY, HOUR = 86_400, 3_600


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture
def service(running: Service, weak: Weak, box: Postbox) -> Iterator[Service]:
    settings(running, box)
    running.run(alone(running))
    yield running
    weak.left = None


async def alone(service: Service) -> None:
    """Nothing that another test has left is due in this one."""
    async with service.context.db.transaction() as conn:
        await conn.execute("DELETE FROM mails")
        await conn.execute("UPDATE payments SET next_check_at = NULL")
        await conn.execute(
            "UPDATE retries SET state = 'cancelled', because = 'another test', next_check_at = NULL, ended_at = due_at"
            " WHERE state = 'planned'"
        )


def settings(service: Service, box: Postbox | None, *, attempts: int = 3, tell: bool = True) -> None:
    smtp = box and {"host": box.host, "port": box.port, "security": "none", "from": "shop@shop.example"}
    service.change_settings(
        {
            "productionSettings": {"paymentRetryAttempts": attempts, "failedPaymentNotification": tell},
            "delivery": {"smtp": smtp, "operators": [MONEY]},
        }
    )


def pass_by(service: Service, seconds: float) -> None:
    service.advance(seconds)
    for sweep in (sweeping.due_payments, retrying.due_retries, sending.due_mails):
        service.run(sweep(service.context))


def declined(
    service: Service, method: str = POOR, *, away: bool = False, email: str | None = ANNA, **asked: Any
) -> Any:
    customer = {"customer": {"email": email}} if email else {}
    return service.create(payment_method=method, confirm=True, off_session=away, **customer, **asked)


def mails(service: Service, payment: Any) -> list[tuple[str, str, str | None]]:
    lines = service.get(f"/api/payments/{payment['id']}/timeline").json["data"]
    return [
        (line["what"], line["detail"]["recipient"], line["detail"]["outcome"])
        for line in lines
        if line["kind"] == "mail"
    ]


def text(mail: Any) -> str:
    return mail.get_body(("plain",)).get_content()


def visit(service: Service, mail: Any) -> str:
    """The page behind a mail's link, as a browser comes to it."""
    came = call(service.url, "GET", text(mail).splitlines()[-1].removeprefix(service.url))
    cookie = came.headers["set-cookie"].partition(";")[0]
    page = call(service.url, "GET", came.headers["location"], headers={"cookie": cookie})
    assert page.status == 200, page
    return page.body.decode()


def test_a_customer_whose_card_wants_them_is_invited_at_once_and_can_pay_by_the_link(service, box):
    made = declined(service, WANTS_ITS_HOLDER, away=True)
    assert made["retry"]["kind"] == "invitation"
    pass_by(service, 5)
    [mail] = box.mails
    assert (mail["To"], mail["Subject"]) == (ANNA, "[Sandbox] Your payment to Your shop is not complete")
    assert "100.00 USD" in text(mail)
    assert "Your bank wants you to confirm this payment." in text(mail)
    assert "Your details go straight to Stripe" in visit(service, mail)
    paid = service.post(
        f"/api/payments/{made['id']}/confirm", {"confirmation_token": service.confirmation_token()}
    ).json
    assert (paid["status"], mails(service, made)) == ("captured", [("invitation", ANNA, "sent")])


def test_a_customer_at_the_checkout_is_left_in_peace_for_half_an_hour(service, box):
    made = declined(service)
    pass_by(service, 29 * 60)
    assert box.mails == []
    pass_by(service, 2 * 60)
    assert [mail["To"] for mail in box.mails] == [ANNA]
    assert (service.payment(made["id"])["status"], service.payment(made["id"])["retry"]) == ("pending", None)


def test_a_customer_who_has_paid_meanwhile_is_not_invited(service, box):
    made = declined(service)
    service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    pass_by(service, HOUR)
    assert (box.mails, mails(service, made)) == ([], [])


def test_once_for_each_series_of_declines_and_not_more_than_three_times(service, box):
    settings(service, box, attempts=8)
    made = declined(service)
    for invited in (1, 2, 3, 3):
        for _ in range(3):
            service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": POOR})
            pass_by(service, 20 * 60)
        assert len(box.to(ANNA)) == invited
        service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": POOR})  # they came by the link
        pass_by(service, 40 * 60)
        assert len(box.to(ANNA)) == invited
        pass_by(service, HOUR)
    assert service.payment(made["id"])["status"] == "pending"


def test_nobody_is_invited_to_pay_with_a_card_that_is_lost(service, box):
    made = declined(service, LOST)
    pass_by(service, HOUR)
    assert (made["retry"], box.mails) == (None, [])


def test_the_invited_customer_may_choose_the_other_gateway(service, box):
    made = declined(service, amount=50_000, currency="INR")
    pass_by(service, 31 * 60)
    assert f"/pay/{made['id']}/gateway" in visit(service, box.mails[0])


def test_one_who_was_away_and_then_failed_at_the_other_gateway_is_invited_again(service, box):
    made = declined(service, POOR, away=True, amount=50_000, currency="INR")
    assert made["retry"]["kind"] == "charge"
    changed = service.post(f"/api/payments/{made['id']}/attempts", {"gateway": "razorpay"}).json
    order = changed["attempts"][1]["gateway_reference"]
    service.pay_razorpay(order, method="upi", vpa="failure@razorpay")
    service.post(f"/api/payments/{made['id']}/sync")
    assert service.payment(made["id"])["retry"]["kind"] == "invitation"
    pass_by(service, 31 * 60)
    assert [mail["To"] for mail in box.mails] == [ANNA]


def test_a_final_failure_is_told_once_to_the_customer_and_to_the_operators(service, box):
    made = declined(service, LOST, away=True, reference="order 7")
    pass_by(service, 31)
    [to_customer], [to_operator] = box.to(ANNA), box.to(MONEY)
    assert "The bank declined the payment." in text(to_customer)
    told = to_customer.as_string().lower()
    assert not any(word in told for word in ("lost", "stolen", "fraud", "do_not_try"))
    assert f"/pay/{made['id']}?token=" in text(to_customer)
    assert (made["id"] in text(to_operator), "lost_or_stolen" in text(to_operator)) == (True, True)
    assert ("order 7" in text(to_operator), "token=" in text(to_operator)) == (True, False)
    pass_by(service, DAY)
    pass_by(service, 60)
    assert service.payment(made["id"])["status"] == "failed"
    assert (len(box.to(ANNA)), len(box.to(MONEY))) == (1, 1)


def test_a_payment_that_failed_by_time_is_told_of_if_somebody_tried_to_pay_it(service, box):
    settings(service, box, attempts=0)
    tried, left = declined(service), service.create(customer={"email": ANNA})
    pass_by(service, DAY + 10)
    pass_by(service, 60)
    assert {service.payment(one["id"])["status"] for one in (tried, left)} == {"failed"}
    assert (len(mails(service, tried)), mails(service, left)) == (2, [])
    assert "please get in touch with Your shop" in text(box.to(ANNA)[0])


def test_after_the_last_retry_the_failure_is_told(service, box):
    settings(service, box, attempts=1)
    made = declined(service, "pm_card_chargeCustomerFail", away=True, email=None)
    assert (made["retry"], made["failure"]["advice"]) == (None, "other_method")  # nobody can be invited
    pass_by(service, 31)
    assert [mail["To"] for mail in box.mails] == [MONEY]


@pytest.mark.parametrize("unset", ["smtp", "setting"])
def test_where_it_is_not_set_nothing_waits_to_be_sent(service, box, unset):
    settings(service, None if unset == "smtp" else box, tell=unset == "smtp")
    made = declined(service, LOST, away=True)
    assert service.rows("SELECT id FROM mails WHERE about = $1", made["id"]) == []


def test_a_failure_that_passes_is_told_to_nobody(service, box):
    made = declined(service, LOST, away=True)
    service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    pass_by(service, 31)
    assert (box.mails, {outcome for *_, outcome in mails(service, made)}) == ([], {"withdrawn"})


@pytest.mark.parametrize(
    ("where", "answer"), [("rcpt", "450 later"), ("data", "451 later"), ("data", "lose")]
)
def test_what_is_not_taken_now_comes_again_under_the_same_message_id(service, box, where, answer):
    made = declined(service, WANTS_ITS_HOLDER, away=True)
    getattr(box, where).append(answer)
    pass_by(service, 5)
    assert mails(service, made) == [("invitation", ANNA, "waits")]
    pass_by(service, 55)
    assert mails(service, made) == [("invitation", ANNA, "waits")]
    pass_by(service, 10)
    assert mails(service, made) == [("invitation", ANNA, "sent")]
    assert len({mail["Message-ID"] for mail in box.mails}) == 1


def test_a_recipient_who_is_not_known_there_is_given_up_and_a_person_is_called(service, box):
    made = declined(service, WANTS_ITS_HOLDER, away=True)
    box.rcpt.append("550 5.1.1 no such user")
    pass_by(service, 5)
    pass_by(service, HOUR)
    assert (mails(service, made), box.mails) == ([("invitation", ANNA, "bounced")], [])
    [opened] = service.rows("SELECT kind, sentence FROM exceptions WHERE payment_id = $1", made["id"])
    assert (opened["kind"], "no such user" in opened["sentence"]) == ("mail_failed", True)


def test_the_tries_grow_rarer_and_end(service, box):
    made = declined(service, LOST, away=True, email=None)
    box.data += ["451 never"] * 20
    pauses = [timedelta(seconds=31), *sending.PAUSES]
    for pause in pauses:
        assert mails(service, made) == [("payment_failed_operators", MONEY, "waits")]
        pass_by(service, pause.total_seconds() + 1)
    assert mails(service, made) == [("payment_failed_operators", MONEY, "failed")]
    assert len(pauses) == 20 - len(box.data)


@pytest.mark.parametrize("commit", [1, 2])
def test_a_process_that_dies_while_it_sends_doubles_nothing_that_cannot_be_told_apart(
    service, box, weak, commit
):
    made = declined(service, WANTS_ITS_HOLDER, away=True)
    service.run(retrying.due_retries(service.context))
    weak.left = commit
    with suppress(DatabaseAwayError):
        service.run(sending.due_mails(service.context))
    weak.left = None
    pass_by(service, 300)
    assert mails(service, made) == [("invitation", ANNA, "sent")]
    assert (len(box.mails), len({mail["Message-ID"] for mail in box.mails})) == (commit, 1)


@pytest.mark.parametrize("commit", range(1, 4))
def test_a_process_that_dies_while_it_invites_invites_once(service, box, weak, commit):
    made = declined(service, WANTS_ITS_HOLDER, away=True)
    weak.left = commit
    with suppress(DatabaseAwayError):
        service.run(retrying.due_retries(service.context))
    weak.left = None
    for _ in range(2):
        pass_by(service, 130)
    assert (len(box.mails), mails(service, made)) == (1, [("invitation", ANNA, "sent")])


def test_two_senders_at_once_send_once(service, box):
    declined(service, WANTS_ITS_HOLDER, away=True)
    service.run(retrying.due_retries(service.context))

    async def both() -> None:
        await asyncio.gather(*(sending.due_mails(service.context) for _ in range(4)))

    service.run(both())
    assert len(box.mails) == 1


@pytest.mark.parametrize(
    "evil", ["anna@example.com\r\nBcc: all@example.com", "a,b@example.com", "<a>@example.com"]
)
def test_an_address_that_would_be_more_than_one_is_none(service, box, evil):
    asked = {"amount": 10_000, "currency": "USD", "customer": {"email": evil}}
    made = service.post(
        "/api/payments", {**asked, "payment_method": LOST, "confirm": True, "off_session": True}
    )
    pass_by(service, 31)
    assert (made.status in {201, 422}, [mail["To"] for mail in box.mails if mail["To"] != MONEY]) == (
        True,
        [],
    )
    assert all(set(recipients) == {MONEY} for _, recipients in box.envelopes)


def test_what_is_put_into_a_mail_stays_text(service, box):
    evil = 'x\r\nBcc: all@example.com <script>alert(1)</script> {business} "&'
    declined(service, LOST, away=True, reference=evil)
    pass_by(service, 31)
    [mail] = box.to(MONEY)
    assert mail["Bcc"] is None
    html = mail.get_body(("html",)).get_content()
    assert ("<script>" in html, "&lt;script&gt;" in html, "{business}" in text(mail)) == (False, True, True)
    assert [mail["To"]] in [envelope[1] for envelope in box.envelopes]


def test_a_login_by_starttls_with_the_password_that_the_settings_api_sealed(service):
    serving_tls, trusting = certificate()
    with postbox(serving_tls, login=True) as box:
        smtp = {"host": box.host, "port": box.port, "security": "starttls", "from": "shop@shop.example"}
        caller = Caller("tests", service.context.merchant_id, "sandbox")
        patch = {"delivery": {"smtp": smtp | {"username": USER, "password": PASSWORD}}}
        service.run(change(service.context, caller, patch))
        stored = service.rows("SELECT document::text AS text FROM settings")[0]["text"]
        assert PASSWORD not in stored
        service.context.postman.tls = trusting
        try:
            declined(service, WANTS_ITS_HOLDER, away=True)
            pass_by(service, 5)
        finally:
            service.context.postman.tls = None
    assert ([mail["To"] for mail in box.mails], box.encrypted, box.users) == ([ANNA], [True], [USER])


def test_old_mails_are_forgotten(service, box):
    made = declined(service, WANTS_ITS_HOLDER, away=True)
    pass_by(service, 5)
    service.run(sending.prune(service.context))
    assert len(mails(service, made)) == 1
    service.advance(sending.KEPT.total_seconds())
    service.run(sending.prune(service.context))
    assert mails(service, made) == []


def test_the_postman_of_a_service_trusts_what_the_system_trusts(service):
    assert isinstance(service.context.postman, Postman)
    assert service.context.postman.tls is None


def disabled(service: Service, *, enabled_again: bool = False) -> Endpoint:
    """An endpoint that the service has disabled."""
    ctx, caller = service.context, owner(service.context)

    async def act() -> Endpoint:
        endpoint, _ = await endpoints.create(
            ctx, caller, NewEndpoint(url="https://93.184.216.34/hooks/secret")
        )
        async with ctx.db.transaction() as conn:
            changes = {"disabled_at": ctx.now(), "disabled_because": "it answered 410"}
            endpoint = await stored_endpoints.update(conn, endpoint.id, **changes)
            for _ in range(2):
                await mailing.tell_disabled(ctx, conn, endpoint, changes["disabled_at"])
        if enabled_again:
            await endpoints.update(ctx, caller, endpoint.id, {"enabled": True})
        return endpoint

    return service.run(act())


def test_operators_are_told_once_of_an_endpoint_that_was_disabled(service, box):
    endpoint = disabled(service)
    pass_by(service, 60)
    [mail] = box.mails
    assert (mail["To"], mail["Subject"]) == (
        MONEY,
        "[Sandbox] Your backend hears nothing more: 93.184.216.34",
    )
    assert f"counterfoil endpoints update {endpoint.id} --enable" in text(mail)
    assert "hooks/secret" not in text(mail)


def test_of_an_endpoint_that_was_enabled_again_meanwhile_nobody_is_told(service, box):
    disabled(service, enabled_again=True)
    pass_by(service, 60)
    assert box.mails == []


def test_a_mail_of_an_endpoint_that_cannot_be_delivered_calls_a_person(service, box):
    box.rcpt.append("550 5.1.1 no such user")
    endpoint = disabled(service)
    pass_by(service, 60)
    [called] = service.rows(
        "SELECT sentence FROM exceptions WHERE kind = 'mail_failed' AND payment_id IS NULL"
    )
    assert f"endpoint_disabled of {endpoint.id} could not be delivered" in called["sentence"]


def quiet(service: Service, hours: tuple[int, int]) -> None:
    """Quiet hours in Kolkata, from and to so many hours after the hour that it is there now."""
    local = service.context.now().astimezone(ZoneInfo("Asia/Kolkata"))
    start, end = (f"{(local + timedelta(hours=n)):%H}:00" for n in hours)
    service.change_settings(
        {"delivery": {"quietHours": {"from": start, "to": end}}, "business": {"timeZone": "Asia/Kolkata"}}
    )


def test_a_mail_to_a_customer_waits_for_the_end_of_the_quiet_hours_and_one_to_operators_does_not(
    service, box
):
    quiet(service, (0, 3))
    made = declined(service, LOST, away=True)
    try:
        pass_by(service, 60)
        assert [mail["To"] for mail in box.mails] == [MONEY]
        [waits] = service.rows(
            "SELECT tries, next_check_at, error FROM mails WHERE about = $1 AND recipient = $2",
            made["id"],
            ANNA,
        )
        assert (waits["tries"], waits["error"]) == (0, None)
        ends = waits["next_check_at"].astimezone(ZoneInfo("Asia/Kolkata"))
        assert (ends.minute, ends.second) == (0, 0)
        pass_by(service, (waits["next_check_at"] - service.context.now()).total_seconds() + 2)
        assert [mail["To"] for mail in box.mails] == [MONEY, ANNA]
    finally:
        service.change_settings({"delivery": {"quietHours": None}, "business": {"timeZone": "UTC"}})


def test_outside_the_quiet_hours_a_customer_is_written_to_at_once(service, box):
    quiet(service, (2, 3))
    try:
        declined(service, LOST, away=True)
        pass_by(service, 60)
        assert {mail["To"] for mail in box.mails} == {MONEY, ANNA}
    finally:
        service.change_settings({"delivery": {"quietHours": None}, "business": {"timeZone": "UTC"}})
