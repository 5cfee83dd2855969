"""Retries: a saved method charged again while the customer is away, on a schedule that nothing can lose or double."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.services import retrying, sweeping
from postbox import postbox
from service import Service, Weak, call, serving

POOR = "pm_card_chargeDeclinedInsufficientFunds"
DAY, HOUR = 86_400, 3_600


@pytest.fixture
def service(running: Service, weak: Weak) -> Iterator[Service]:
    settings(running, attempts=3)
    yield running
    weak.left = None
    running.sandbox.control("DELETE", "faults")


def settings(service: Service, *, attempts: int, zone: str = "UTC") -> None:
    service.change_settings(
        {"productionSettings": {"paymentRetryAttempts": attempts}, "business": {"timeZone": zone}}
    )


def saved(service: Service, card: str = "pm_card_visa") -> dict[str, Any]:
    """A customer of the gateway with a card that is kept: what the API takes to charge it."""
    customer = gateway(service, "customers", b"")["id"]
    kept = gateway(service, f"payment_methods/{card}/attach", f"customer={customer}".encode())["id"]
    return {"stripe_customer": customer, "payment_method": kept, "off_session": True, "confirm": True}


def gateway(service: Service, path: str, form: bytes) -> Any:
    headers = {
        "authorization": f"Bearer {service.sandbox.config.stripe_secret_key}",
        "content-type": "application/x-www-form-urlencoded",
    }
    answer = call(service.sandbox.url, "POST", f"/stripe/v1/{path}", form, headers=headers)
    assert answer.status == 200, answer
    return answer.json


def declines(service: Service, card: dict[str, Any], times: int, why: str = "insufficient_funds") -> None:
    asked = {"payment_method": card["payment_method"], "times": times, "decline": why}
    service.sandbox.control("POST", "stripe/decline", asked)


def pass_by(service: Service, seconds: float) -> None:
    """Time goes by, and whatever is due is looked after."""
    service.advance(seconds)
    service.run(sweeping.due_payments(service.context))
    service.run(retrying.due_retries(service.context))


def taken(service: Service, payment: Any) -> list[Any]:
    truth, refs = service.sandbox.truth()["stripe"], {a["gateway_reference"] for a in payment["attempts"]}
    return [c for c in truth["charges"] if c["payment_intent"] in refs and c["captured"]]


def plan(payment: Any) -> tuple[int, int, str] | None:
    retry = payment["retry"]
    return retry and (retry["number"], retry["of"], retry["kind"])


def due_in(service: Service, payment: Any) -> timedelta:
    return datetime.fromisoformat(payment["retry"]["due_at"]) - service.context.now()


def decisions(service: Service, payment: Any) -> list[str]:
    lines = service.get(f"/api/payments/{payment['id']}/timeline").json["data"]
    return [
        line["what"]
        for line in lines
        if line["what"].startswith(("payment.retry", "payment.given", "payment.inv"))
    ]


def test_short_funds_are_asked_for_again_days_later_until_they_are_there(service):
    card = saved(service)
    declines(service, card, 2)
    made = service.create(**card)
    assert (made["status"], plan(made)) == ("pending", (1, 3, "charge"))
    assert timedelta(hours=23) < due_in(service, made) <= timedelta(days=1)
    pass_by(service, DAY - 600)
    assert len(service.payment(made["id"])["attempts"]) == 1
    pass_by(service, 700)
    second = service.payment(made["id"])
    assert [a["status"] for a in second["attempts"]] == ["fenced", "open"]
    assert (second["status"], plan(second)) == ("pending", (2, 3, "charge"))
    assert timedelta(days=1, hours=23) < due_in(service, second) <= timedelta(days=2)
    pass_by(service, 2 * DAY)
    paid = service.payment(made["id"])
    assert (paid["status"], paid["retry"], paid["amount_captured"]) == ("captured", None, 10_000)
    assert ([a["status"] for a in paid["attempts"]], len(taken(service, paid))) == (
        ["fenced", "fenced", "won"],
        1,
    )
    assert (
        paid["attempts"][2]["reason"] == "further try 2 of 3, after insufficient_funds: the same saved method"
    )
    assert decisions(service, paid) == ["payment.retry_planned", "payment.retry"] * 2


def test_the_payment_waits_for_its_retries_and_no_longer(service):
    card = saved(service)
    declines(service, card, 9)
    made = service.create(**card)
    for days in (1, 2, 2):
        assert service.payment(made["id"])["status"] == "pending"
        pass_by(service, days * DAY + 60)
    last = service.payment(made["id"])
    assert (last["status"], last["retry"], len(last["attempts"])) == ("pending", None, 4)
    assert decisions(service, last)[-1] == "payment.given_up"
    pass_by(service, DAY)
    assert service.payment(made["id"])["status"] == "failed"
    assert taken(service, last) == []


def test_a_retry_that_comes_late_is_made_all_the_same(service):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    assert due_in(service, made) < datetime.fromisoformat(made["expires_at"]) - service.context.now()
    service.advance(20 * DAY)  # nobody was there to look after it
    service.run(sweeping.due_payments(service.context))
    assert service.payment(made["id"])["status"] == "pending"
    service.run(retrying.due_retries(service.context))
    assert service.payment(made["id"])["status"] == "captured"


def test_the_hour_of_the_clock_is_the_merchants(service):
    settings(service, attempts=1, zone="Asia/Kolkata")
    made = service.create(payment_method=POOR, off_session=True, confirm=True)
    zone = ZoneInfo("Asia/Kolkata")
    due, now = datetime.fromisoformat(made["retry"]["due_at"]), datetime.fromisoformat(made["updated_at"])
    assert due.astimezone(zone).hour == now.astimezone(zone).hour
    assert (due.astimezone(zone).date() - now.astimezone(zone).date()).days == 1


@pytest.mark.parametrize("card", ["LostCard", "StolenCard", "Fraudulent", "ExpiredCard"])
def test_what_a_retry_cannot_help_is_not_tried_again(service, card):
    made = service.create(payment_method=f"pm_card_chargeDeclined{card}", off_session=True, confirm=True)
    assert (made["retry"], decisions(service, made)) == (None, ["payment.given_up"])


def test_a_card_that_wants_its_holder_is_never_charged_again_silently(service):
    made = service.create(payment_method="pm_card_authenticationRequired", off_session=True, confirm=True)
    assert (made["failure"]["code"], made["retry"]) == ("authentication_required", None)


def test_a_passing_fault_is_tried_again_within_the_hour(service):
    made = service.create(
        payment_method="pm_card_chargeDeclinedProcessingError", off_session=True, confirm=True
    )
    assert timedelta(minutes=14) < due_in(service, made) <= timedelta(minutes=15)


def test_a_customer_who_was_there_is_not_charged_behind_their_back(service):
    made = service.create(payment_method=POOR, confirm=True)
    assert (made["retry"], decisions(service, made)) == (None, [])


def test_without_the_setting_nothing_is_tried_again(service):
    settings(service, attempts=0)
    made = service.create(payment_method=POOR, off_session=True, confirm=True)
    assert (made["retry"], decisions(service, made)) == (None, ["payment.given_up"])


def test_a_cancel_ends_the_plan(service):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    ended = service.post(f"/api/payments/{made['id']}/cancel").json
    assert (ended["status"], ended["retry"]) == ("cancelled", None)
    pass_by(service, 2 * DAY)
    after = service.payment(made["id"])
    assert (after["status"], len(after["attempts"]), taken(service, after)) == ("cancelled", 1, [])
    assert decisions(service, after)[-1] == "payment.retry_cancelled"


def test_a_cancel_that_is_not_through_yet_ends_the_plan_too(service):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    service.sandbox.fault("stripe", "payment_intents.cancel", "error_5xx_before", times=1)
    asked = service.post(f"/api/payments/{made['id']}/cancel").json
    assert (asked["status"], asked["retry"]) == ("pending", None)
    pass_by(service, 2 * DAY)
    pass_by(service, 120)
    after = service.payment(made["id"])
    assert (after["status"], len(after["attempts"])) == ("cancelled", 1)


def test_a_customer_who_pays_meanwhile_is_not_charged_again(service):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    paid = service.post(
        f"/api/payments/{made['id']}/confirm", {"confirmation_token": service.confirmation_token()}
    ).json
    assert (paid["status"], paid["retry"]) == ("captured", None)
    pass_by(service, 2 * DAY)
    assert len(taken(service, service.payment(made["id"]))) == 1


def test_a_customer_who_goes_to_the_other_gateway_is_not_charged_at_the_first(service):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(50_000, "INR", **card)
    service.post(f"/api/payments/{made['id']}/attempts", {"gateway": "razorpay"})
    pass_by(service, 2 * DAY - 3 * HOUR)
    after = service.payment(made["id"])
    assert [a["gateway"] for a in after["attempts"]] == ["stripe", "razorpay"]
    assert (after["retry"], decisions(service, after)[-1]) == (None, "payment.retry_cancelled")


@pytest.mark.parametrize("method", ["pm_card_authenticationRequired", "pm_usBankAccount_processing"])
def test_a_customer_who_is_at_it_is_not_interrupted(service, method):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    service.advance(DAY - 30)
    service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": method})
    pass_by(service, 60)
    busy = service.payment(made["id"])
    assert ([a["status"] for a in busy["attempts"]], plan(busy)) == (["open"], (1, 3, "charge"))
    pass_by(service, HOUR + 60)
    after = service.payment(made["id"])
    assert (after["status"], len(taken(service, after))) == ("captured", 1)


def test_while_an_outcome_is_unknown_nothing_is_charged_again(service):
    card = saved(service)
    service.sandbox.fault("stripe", "payment_intents.confirm", "error_5xx_after", times=1)
    made = service.create(**card)
    assert (made["attempts"][0]["status"], made["retry"]) == ("unknown", None)
    pass_by(service, 120)
    after = service.payment(made["id"])
    assert (after["status"], len(taken(service, after))) == ("captured", 1)


@pytest.mark.parametrize(
    "fault", ["error_5xx_before", "error_5xx_after", "rate_limit", "reset_after", "garbage"]
)
@pytest.mark.parametrize("call", ["create", "confirm", "cancel"])
def test_a_retry_that_meets_a_fault_goes_on_and_charges_once(service, call, fault):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    service.sandbox.fault("stripe", f"payment_intents.{call}", fault, times=1)
    pass_by(service, DAY + 60)
    for _ in range(5):
        pass_by(service, 400)
    for _ in range(2):
        pass_by(service, HOUR)
    after = service.payment(made["id"])
    assert (after["status"], len(taken(service, after))) == ("captured", 1)


def test_the_card_is_charged_where_it_is_saved_even_if_new_payments_go_elsewhere(service):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    account = made["attempts"][0]["account"]

    async def drain(since: datetime | None) -> None:
        async with service.context.db.transaction() as conn:
            await conn.execute(
                "UPDATE gateway_accounts SET draining_since = $2 WHERE id = $1", account, since
            )
        await service.context.directory.refresh()

    service.run(drain(service.context.now()))
    try:
        pass_by(service, DAY + 60)
        after = service.payment(made["id"])
    finally:
        service.run(drain(None))
    assert (after["status"], {a["account"] for a in after["attempts"]}) == ("captured", {account})


def test_two_sweepers_at_once_charge_once(service):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    service.advance(DAY + 60)

    async def both() -> None:
        await asyncio.gather(*(retrying.due_retries(service.context) for _ in range(4)))
        await asyncio.gather(*(retrying.carry_out(service.context, made["id"]) for _ in range(4)))

    service.run(both())
    after = service.payment(made["id"])
    assert (after["status"], len(after["attempts"]), len(taken(service, after))) == ("captured", 2, 1)


@pytest.mark.parametrize("commit", range(1, 9))
def test_a_process_that_dies_on_the_way_loses_no_try_and_charges_once(service, weak, commit):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    service.advance(DAY + 60)
    weak.left = commit
    with suppress(DatabaseAwayError):  # the first commit is the sweep's own
        service.run(retrying.due_retries(service.context))
    weak.left = None
    for _ in range(5):
        pass_by(service, 400)
    pass_by(service, HOUR)
    after = service.payment(made["id"])
    assert (after["status"], after["retry"], len(taken(service, after))) == ("captured", None, 1)


@pytest.mark.parametrize("commit", range(1, 6))
def test_a_process_that_dies_when_the_first_charge_is_declined_plans_it_all_the_same(service, weak, commit):
    card = saved(service)
    declines(service, card, 1)
    weak.left = commit
    service.post(
        "/api/payments", {"amount": 10_000, "currency": "USD", **card}, idempotency_key=f"dies-{commit}"
    )
    weak.left = None
    for _ in range(4):
        pass_by(service, 120)
    again = {"amount": 10_000, "currency": "USD", **card}
    made = service.post("/api/payments", again, idempotency_key=f"dies-{commit}")
    assert made.status in {201, 409}, made
    for _ in range(6):
        pass_by(service, 6 * HOUR)
    rows = service.rows("SELECT id, status FROM payments WHERE stripe_customer = $1", card["stripe_customer"])
    assert [row["status"] for row in rows] == ["captured"]
    assert len(taken(service, service.payment(rows[0]["id"]))) == 1


def test_the_method_is_told_to_nobody(service):
    card = saved(service)
    declines(service, card, 1)
    made = service.create(**card)
    told = [service.payment(made["id"]), service.get(f"/api/payments/{made['id']}/timeline").json]
    events = service.rows("SELECT object::text AS object FROM events WHERE object_id = $1", made["id"])
    assert card["payment_method"] not in f"{told} {events}"


@pytest.mark.parametrize("body", [{}, {"confirmation_token": "ctoken_1", "confirm": True}])
def test_only_a_saved_method_is_charged_with_the_customer_away(service, body):
    refused = service.create(status=422, off_session=True, **body)
    assert "off_session needs payment_method" in refused["detail"]


def test_the_worker_makes_the_tries_and_the_mails_by_itself(fast_postgres):
    with postbox() as box, serving(fast_postgres) as service:
        settings(service, attempts=2)
        smtp = {"host": box.host, "port": box.port, "security": "none", "from": "shop@shop.example"}
        service.change_settings({"delivery": {"smtp": smtp}})
        card = saved(service)
        declines(service, card, 1)
        made = service.create(**card)
        wanted = {"payment_method": "pm_card_authenticationRequired", "off_session": True, "confirm": True}
        service.create(**wanted, customer={"email": "anna@example.com"})
        service.eventually(lambda: box.to("anna@example.com"))
        service.advance(DAY + 60)
        assert len(taken(service, service.until(made["id"], "captured"))) == 1
