"""What no webhook brought is found on the gateways' own lists: all of it, once, and by however many sweepers."""

import asyncio
import re
from base64 import b64encode
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

import builders
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.gateways.base import Found, Listed, Listing
from counterfoil.gateways.razorpay import recovering as razorpay
from counterfoil.gateways.stripe import recovering as stripe
from counterfoil.gateways.stripe import speak
from counterfoil.services import inbox, recovering, settling
from counterfoil.store import facts as stored_facts
from counterfoil.store import payments as stored_payments
from service import Service, call

# Past the time that is left to webhooks, and the pause between two readings of a list.
LATER_S = 200
LISTS = 7


@pytest.fixture
def service(running: Service) -> Service:
    """Every list was read up to now, and from here on every webhook is lost."""
    running.sandbox.control("DELETE", "faults")
    running.sandbox.webhooks(hold=False)
    for gateway in ("stripe", "razorpay"):
        running.sandbox.fault(gateway, "webhooks", "drop", times=None)
    running.advance(LATER_S)
    sweep(running)
    understand(running)
    return running


def sweep(service: Service, *, turns: int = 4) -> None:
    """As often as it takes to read nine lists, four at once."""
    for _ in range(turns):
        service.run(recovering.due_lists(service.context))


def catch_up(service: Service) -> None:
    """Until no list is due; bounded, because every turn reads windows of hours."""
    for _ in range(300):
        sweep(service, turns=1)
        if all(row["next_check_at"] > service.context.now() for row in cursors(service).values()):
            return
    raise AssertionError(cursors(service))


def understand(service: Service) -> None:
    for row in service.rows("SELECT id FROM inbox WHERE status = 'received' ORDER BY id"):
        service.run(inbox.understand(service.context, row["id"]))


def cursors(service: Service) -> dict[str, Any]:
    return {row["list"]: row for row in service.rows("SELECT * FROM recovery")}


def recovered(service: Service) -> int:
    return sum(row["recovered"] for row in cursors(service).values())


def letters(service: Service, payment: Any) -> list[dict[str, Any]]:
    return service.rows("SELECT * FROM inbox WHERE payment_id = $1 ORDER BY id", payment["id"])


def facts(service: Service, payment: Any) -> list[tuple[str, str]]:
    found = service.rows(
        "SELECT kind, source FROM facts WHERE payment_id = $1 AND kind NOT LIKE 'attempt.%' ORDER BY id",
        payment["id"],
    )
    return [(row["kind"], row["source"]) for row in found]


def calls(service: Service, name: str) -> float:
    """How often a gateway was called by this name, whatever came of it."""
    registry = service.house.metrics.registry
    return sum(
        sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "counterfoil_gateway_call_seconds_count" and sample.labels["call"] == name
    )


def exceptions(service: Service) -> list[dict[str, Any]]:
    return service.rows("SELECT kind, subject, payment_id, sentence FROM exceptions ORDER BY id")


def paid_in_checkout(service: Service, **chosen: Any) -> Any:
    """A payment that the customer paid at Razorpay, of which the service has not heard."""
    made = service.create(50_000, "INR", gateway="razorpay", **chosen)
    service.pay_razorpay(made["checkout"]["razorpay"]["order_id"])
    return made


def confirmed_unheard(service: Service) -> Any:
    """A payment that was charged at Stripe by a call whose answer was lost."""
    service.sandbox.fault("stripe", "payment_intents.confirm", "timeout_after", times=2, seconds=0.05)
    made = service.create(payment_method="pm_card_visa", confirm=True)
    assert made["status"] == "pending"
    return made


def at_razorpay(service: Service, path: str, body: Any) -> Any:
    """What somebody else does with the merchant's account."""
    config = service.sandbox.config
    keys = f"{config.razorpay_key_id}:{config.razorpay_key_secret}"
    headers = {"authorization": f"Basic {b64encode(keys.encode()).decode()}"}
    answer = call(service.sandbox.url, "POST", f"/razorpay/v1/{path}", body, headers=headers)
    assert answer.status == 200, answer
    return answer.json


# What is found.


def test_what_stripe_did_and_did_not_tell_is_found_among_its_events(service):
    made = confirmed_unheard(service)
    service.advance(LATER_S)
    sweep(service)
    understand(service)
    assert service.payment(made["id"])["status"] == "captured"
    found = letters(service, made)
    assert {(row["secret_id"], row["status"], row["deliveries"]) for row in found} == {
        ("recovered", "processed", 1)
    }
    assert {row["type"] for row in found} >= {"payment_intent.succeeded", "charge.succeeded"}


def test_what_razorpay_did_and_did_not_tell_is_found_among_its_payments(service):
    made = paid_in_checkout(service)
    assert service.payment(made["id"])["status"] == "created"
    service.advance(LATER_S)
    sweep(service)
    assert service.payment(made["id"])["status"] == "authorized"
    assert facts(service, made) == [("charge.authorized", "sweep")]
    jobs = service.rows("SELECT payload FROM pgqueuer WHERE entrypoint = 'look_after'")
    assert made["id"].encode() in [row["payload"] for row in jobs]


def test_what_is_younger_than_a_minute_is_left_to_its_webhook(service):
    service.advance(LATER_S)
    made = paid_in_checkout(service)
    sweep(service)
    assert service.payment(made["id"])["status"] == "created"


def test_a_refund_made_in_razorpays_dashboard_is_found(service):
    made = paid_in_checkout(service)
    paid = service.run(settling.sync(service.context, made["id"]))
    assert paid.payment.status == "captured"
    at_razorpay(service, f"payments/{paid.charges[0].ref}/refund", {"amount": 20_000})
    service.advance(LATER_S)
    sweep(service)
    assert service.payment(made["id"])["amount_refunded"] == 20_000
    assert ("refund.succeeded", "sweep") in facts(service, made)


def test_a_hold_that_razorpay_gave_back_is_no_refund(service):
    made = service.create(50_000, "INR", gateway="razorpay", capture="manual")
    service.pay_razorpay(made["checkout"]["razorpay"]["order_id"])
    service.advance(6 * 86400)
    catch_up(service)
    seen = facts(service, made)
    assert ("charge.voided", "sweep") in seen
    assert not [kind for kind, _ in seen if kind.startswith("refund")]
    assert service.payment(made["id"])["amount_refunded"] == 0
    before = calls(service, "orders.retrieve")
    service.advance(LATER_S)
    sweep(service)
    assert calls(service, "orders.retrieve") == before  # and is not asked about for ever


def test_a_refund_of_a_charge_that_is_not_known_as_captured_is_asked_about_before_it_is_believed(service):
    held = service.create(50_000, "INR", gateway="razorpay", capture="manual")
    service.pay_razorpay(held["checkout"]["razorpay"]["order_id"])
    service.run(settling.sync(service.context, held["id"]))
    service.advance(6 * 86400)
    service.sandbox.fault("razorpay", "payments.list", "error_5xx_before", times=None)
    catch_up(service)  # only the list of refunds can be read
    seen = facts(service, held)
    assert ("charge.voided", "sweep") in seen
    assert not [kind for kind, _ in seen if kind.startswith("refund")]
    service.sandbox.control("DELETE", "faults")
    service.advance(3600)
    catch_up(service)


def test_what_changed_days_after_it_was_made_is_found_on_the_late_lists(service):
    service.sandbox.control("POST", "razorpay", {"refunds": "pending"})
    made = paid_in_checkout(service)
    paid = service.run(settling.sync(service.context, made["id"]))
    at_razorpay(service, f"payments/{paid.charges[0].ref}/refund", {"amount": 50_000})
    service.sandbox.control("POST", "razorpay", {"refunds": "processed"})
    service.advance(LATER_S)
    sweep(service)
    assert ("refund.pending", "sweep") in facts(service, made)
    for _ in range(7):  # the refund is too old for the list of what is new before it is processed
        service.advance(3600)
        catch_up(service)
    assert ("refund.succeeded", "sweep") in facts(service, made)
    assert cursors(service)["late refunds"]["recovered"] >= 1


# What is not.


def test_a_webhook_that_comes_after_all_is_a_duplicate(service):
    made = confirmed_unheard(service)
    service.advance(LATER_S)
    sweep(service)
    understand(service)
    before, known = recovered(service), facts(service, made)
    [late, *_] = letters(service, made)
    body = bytes(late["body"])
    secret = service.sandbox.config.stripe_webhook_secret
    headers = builders.signed("stripe", body, at=service.context.now(), secret=secret)
    assert service.call("POST", "/webhooks/stripe", body, key="", headers=headers).status == 200
    [told] = [row for row in letters(service, made) if row["id"] == late["id"]]
    assert (told["status"], told["deliveries"]) == ("processed", 2)
    assert told["secret_id"] != "recovered"
    assert told["headers"]["stripe-signature"] == headers["stripe-signature"]
    assert (recovered(service), facts(service, made)) == (before, known)


def test_what_webhooks_brought_is_left_as_it_is(service):
    service.sandbox.control("DELETE", "faults")
    made = service.create(payment_method="pm_card_visa", confirm=True)
    service.eventually(
        lambda: (
            len(letters(service, made)) + len(service.rows("SELECT 1 FROM inbox WHERE status = 'received'"))
            >= 3
        )
    )
    service.advance(LATER_S)
    service.eventually(lambda: all(d["state"] == "delivered" for d in service.sandbox.deliveries()[-3:]))
    understand(service)
    before, heard = recovered(service), letters(service, made)
    sweep(service)
    service.advance(LATER_S)
    sweep(service)  # the overlap is read again
    assert recovered(service) == before
    assert letters(service, made) == heard


def test_what_other_systems_do_on_the_same_account_stays_theirs(service):
    before = exceptions(service), service.rows("SELECT count(*) AS n FROM inbox"), recovered(service)
    order = at_razorpay(
        service, "orders", {"amount": 700, "currency": "INR", "notes": {"counterfoil_attempt": "theirs"}}
    )
    service.pay_razorpay(order["id"])
    headers = {
        "authorization": f"Bearer {service.sandbox.config.stripe_secret_key}",
        "content-type": "application/x-www-form-urlencoded",
    }
    body = b"amount=700&currency=usd&confirm=true&payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example"
    theirs = call(service.sandbox.url, "POST", "/stripe/v1/payment_intents", body, headers=headers)
    assert theirs.json["status"] == "succeeded"
    service.advance(LATER_S)
    sweep(service)
    assert (
        exceptions(service),
        service.rows("SELECT count(*) AS n FROM inbox"),
        recovered(service),
    ) == before
    assert {row["error"] for row in cursors(service).values()} == {None}


def test_a_lost_payment_that_names_us_is_kept_for_a_person(service):
    """As after a backup that was older than the payment."""
    headers = {
        "authorization": f"Bearer {service.sandbox.config.stripe_secret_key}",
        "content-type": "application/x-www-form-urlencoded",
    }
    body = b"amount=700&currency=usd&metadata%5Bcounterfoil_attempt%5D=att_01m82q4mexgp9s3vb3tax4n4pn"
    lost = call(service.sandbox.url, "POST", "/stripe/v1/payment_intents", body, headers=headers).json
    service.advance(LATER_S)
    sweep(service)
    understand(service)
    [row] = [row for row in service.rows("SELECT * FROM inbox") if lost["id"].encode() in row["body"]]
    assert (row["status"], row["secret_id"]) == ("parked", "recovered")
    assert row["reason"].startswith("unknown_object")


def test_what_contradicts_our_record_calls_a_person_and_is_not_believed(service):
    order = at_razorpay(service, "orders", {"amount": 700, "currency": "INR"})
    family = service.run(
        builders.owed(service.context, "razorpay", amount=600, currency="INR", ref=order["id"])
    )
    service.pay_razorpay(order["id"])
    service.advance(LATER_S)
    sweep(service)
    [found] = [row for row in exceptions(service) if row["payment_id"] == family.payment.id]
    assert found["kind"] == "gateway_contradicts"
    assert "7.00" in found["sentence"]
    assert service.payment(family.payment.id)["status"] == "created"
    assert facts(service, {"id": family.payment.id}) == []


# How the lists are walked.


def test_after_an_outage_of_days_the_lists_are_caught_up_with_in_bounded_steps(service):
    made = [paid_in_checkout(service)]
    for _ in range(2):
        service.advance(86400)
        made.append(paid_in_checkout(service))
    service.advance(86400)
    start = cursors(service)["payments"]["next_from"]
    sweep(service, turns=2)
    assert cursors(service)["payments"]["next_from"] - start <= 2 * recovering.LONGEST
    catch_up(service)
    assert [service.payment(one["id"])["status"] for one in made] == ["authorized"] * 3
    now = service.context.now()
    for row in cursors(service).values():
        assert timedelta(0) < now - row["read_to"] < timedelta(minutes=4)
        assert row["next_check_at"] > now


def test_a_window_with_more_than_can_be_held_is_read_in_parts(service, monkeypatch):
    for module in (stripe, razorpay):
        monkeypatch.setattr(module, "MAX_PAGES", 2)
        monkeypatch.setattr(module, "PAGE", 3)
    orders, intents = [], []
    for _ in range(6):
        orders.append(paid_in_checkout(service))
        intents.append(confirmed_unheard(service))
        service.advance(20)
    service.advance(LATER_S)
    catch_up(service)
    understand(service)
    assert {service.payment(one["id"])["status"] for one in orders} == {"authorized"}
    assert {service.payment(one["id"])["status"] for one in intents} == {"captured"}
    assert {row["failures"] for row in cursors(service).values()} == {0}
    monkeypatch.undo()
    service.advance(LATER_S)
    sweep(service)
    assert cursors(service)["payments"]["step"] > timedelta(seconds=20)  # it widens again


def test_an_object_met_on_two_pages_is_one(service, monkeypatch):
    monkeypatch.setattr(razorpay, "PAGE", 1)
    made = paid_in_checkout(service)
    service.advance(LATER_S)
    sweep(service)
    assert facts(service, made) == [("charge.authorized", "sweep")]


@pytest.mark.parametrize(
    ("fault", "more", "told"),
    [
        ("refuse", {}, "could not be reached|no whole answer"),
        ("error_5xx_before", {"status": 503}, "503"),
        ("error_4xx", {"status": 401}, "API Key"),
        ("garbage", {}, "no whole answer|cannot be relied on"),
    ],
)
def test_a_list_that_cannot_be_read_is_asked_for_again_after_a_growing_pause(service, fault, more, told):
    made = confirmed_unheard(service)
    service.advance(LATER_S)
    service.sandbox.fault("stripe", "events.list", fault, times=None, **more)
    pauses = []
    for _ in range(3):
        now = service.context.now()
        sweep(service)
        row = cursors(service)["charge.*"]
        pauses.append(round((row["next_check_at"] - now).total_seconds() / 60))
        service.advance((row["next_check_at"] - now).total_seconds() + 1)
    assert pauses == [1, 2, 4]
    assert row["failures"] == 3
    assert re.search(told, row["error"]), row["error"]
    service.sandbox.control("DELETE", "faults")
    sweep(service)
    understand(service)
    assert service.payment(made["id"])["status"] == "captured"
    assert (cursors(service)["charge.*"]["failures"], cursors(service)["charge.*"]["error"]) == (0, None)


def test_a_gateway_that_wants_to_be_left_alone_is(service):
    service.advance(LATER_S)
    service.sandbox.fault("razorpay", "payments.list", "rate_limit", times=None, retry_after=600)
    now = service.context.now()
    sweep(service)
    assert cursors(service)["payments"]["next_check_at"] - now >= timedelta(seconds=600)
    service.sandbox.control("DELETE", "faults")
    service.advance(601)
    sweep(service)


# Several at once, and death.


def test_two_sweepers_at_once_do_no_harm(service):
    made, charged = paid_in_checkout(service), confirmed_unheard(service)
    service.advance(LATER_S)
    before = calls(service, "events.list"), calls(service, "payments.list"), recovered(service)

    async def both() -> None:
        for _ in range(3):
            await asyncio.gather(*(recovering.due_lists(service.context) for _ in range(4)))

    service.run(both())
    understand(service)
    assert calls(service, "events.list") - before[0] == len(stripe.GROUPS)
    assert calls(service, "payments.list") - before[1] == 1
    assert facts(service, made) == [("charge.authorized", "sweep")]
    assert service.payment(charged["id"])["amount_captured"] == 10_000
    assert len({row["dedupe_key"] for row in letters(service, charged)}) == len(letters(service, charged))
    assert recovered(service) - before[2] == 1 + len(letters(service, charged))


def test_a_list_in_another_sweepers_hands_is_left_alone(service):
    service.advance(LATER_S)
    service.sandbox.fault("razorpay", "payments.list", "delay", times=None, seconds=0.6)
    before = calls(service, "payments.list")

    async def one_after_the_other() -> None:
        slow = asyncio.create_task(recovering.due_lists(service.context))
        await asyncio.sleep(0.3)  # it waits for its answers
        for _ in range(3):
            await recovering.due_lists(service.context)
        await slow

    service.run(one_after_the_other())
    assert calls(service, "payments.list") - before == 1


def test_two_who_read_the_same_window_keep_each_thing_once(service):
    """As when the lease of a slow one ran out."""
    made, charged = paid_in_checkout(service), confirmed_unheard(service)
    service.advance(LATER_S)
    ctx = service.context
    listed = recovering._listings(ctx)
    rows = service.rows("SELECT * FROM recovery")
    taken = [recovering.Cursor(**row) for row in rows]

    async def both() -> None:
        await asyncio.gather(
            *(recovering._read(ctx, one, *listed[one.account_id, one.list]) for one in taken * 2)
        )

    before = recovered(service)
    service.run(both())
    understand(service)
    assert facts(service, made) == [("charge.authorized", "sweep")]
    found = letters(service, charged)
    assert len({row["dedupe_key"] for row in found}) == len(found)
    assert recovered(service) - before == 1 + len(found)


@pytest.mark.parametrize("commit", range(1, 8))
def test_a_sweeper_that_dies_at_any_commit_leaves_all_to_the_next(service, weak, commit):
    made, charged = paid_in_checkout(service), confirmed_unheard(service)
    service.advance(LATER_S)
    weak.left = commit
    with pytest.raises(DatabaseAwayError):
        sweep(service)
    assert weak.left is None
    service.advance(recovering.LEASE.total_seconds() + 1)
    sweep(service, turns=6)
    understand(service)
    assert facts(service, made) == [("charge.authorized", "sweep")]
    assert service.payment(charged["id"])["status"] == "captured"


@pytest.fixture
def unlearnable(service, monkeypatch) -> Any:
    """A payment at Razorpay, of which nothing can be written down."""
    bad, insert = paid_in_checkout(service), stored_facts.insert

    async def breaking(conn: Any, attempt: Any, *rest: Any, **named: Any) -> bool:
        if attempt.payment_id == bad["id"]:
            raise ZeroDivisionError("a rule of ours is wrong")
        return await insert(conn, attempt, *rest, **named)

    monkeypatch.setattr(stored_facts, "insert", breaking)
    yield bad
    service.rows("UPDATE exceptions SET resolved_at = now() WHERE resolved_at IS NULL RETURNING id")


def not_learned(service: Service, payment: Any) -> list[dict[str, Any]]:
    return service.rows(
        "SELECT * FROM exceptions WHERE kind = $1 AND payment_id = $2 ORDER BY id",
        recovering.NOT_LEARNED,
        payment["id"],
    )


def test_an_object_that_breaks_a_rule_of_ours_is_told_and_hides_none_after_it(
    service, unlearnable, monkeypatch
):
    good = paid_in_checkout(service)
    service.advance(LATER_S)
    sweep(service)
    assert service.payment(good["id"])["status"] == "authorized"
    assert cursors(service)["payments"]["error"].endswith("could not be learned: ZeroDivisionError")
    [called] = not_learned(service, unlearnable)
    assert called["resolved_at"] is None
    monkeypatch.undo()
    service.advance(LATER_S)
    sweep(service)
    assert service.payment(unlearnable["id"])["status"] == "authorized"
    assert cursors(service)["payments"]["error"] is None
    [called] = not_learned(service, unlearnable)
    assert (called["resolved_at"] is None, called["resolved_by"]) == (False, None)  # it ended by itself


def test_an_object_that_is_never_learned_waits_for_a_person_when_its_list_has_long_forgotten_it(
    service, unlearnable
):
    service.advance(LATER_S)
    sweep(service)
    service.advance(LATER_S)
    sweep(service)  # the overlap is read again: it is tried again, and a person is called once
    service.advance(86_400)
    catch_up(service)
    service.advance(LATER_S)
    sweep(service)
    assert cursors(service)["payments"]["error"] is None
    [called] = not_learned(service, unlearnable)
    [ref] = [one["id"] for one in of_order(service, unlearnable)]
    assert (called["subject"], called["resolved_at"]) == (ref, None)
    assert "ZeroDivisionError" in called["sentence"]


def of_order(service: Service, payment: Any) -> list[dict[str, Any]]:
    order = payment["checkout"]["razorpay"]["order_id"]
    return [one for one in service.sandbox.truth()["razorpay"]["payments"] if one["order_id"] == order]


def test_what_a_person_has_settled_of_it_stays_settled_while_it_is_tried_again(service, unlearnable):
    service.advance(LATER_S)
    sweep(service)
    [called] = not_learned(service, unlearnable)
    path = f"/api/payments/exceptions/{called['id']}/resolve"
    assert service.post(path, {"note": "known"}, key=service.key("approver")).status == 200
    service.advance(LATER_S)
    sweep(service)
    assert len(not_learned(service, unlearnable)) == 1


def test_an_object_whose_payment_cannot_even_be_looked_for_calls_a_person_about_its_account(
    service, monkeypatch
):
    async def breaking(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(stored_payments, "find_attempt", breaking)
    [last] = walked(service, Odd(Found(refs=("pay\0lost",))), timedelta(minutes=5), turns=1)
    assert "could not be learned" in str(last.error)
    [called] = [row for row in exceptions(service) if row["kind"] == recovering.NOT_LEARNED][-1:]
    assert (called["subject"], called["payment_id"]) == ("pay lost", None)


def test_an_event_that_breaks_the_reading_waits_in_the_inbox_and_hides_none_after_it(service, monkeypatch):
    made, read = [confirmed_unheard(service), confirmed_unheard(service)], speak.read
    [ref] = [
        row["ref"] for row in service.rows("SELECT ref FROM attempts WHERE payment_id = $1", made[0]["id"])
    ]

    def breaking(headers: Any, body: bytes) -> Any:
        if ref.encode() in body:
            raise ZeroDivisionError
        return read(headers, body)

    monkeypatch.setattr(speak, "read", breaking)
    service.advance(LATER_S)
    sweep(service)
    monkeypatch.undo()
    understand(service)
    assert [service.payment(one["id"])["status"] for one in made] == ["captured", "captured"]


class Odd:
    """A gateway's list, told by a test; it keeps the windows that were asked for."""

    def __init__(self, *found: Found, most: timedelta = timedelta(days=9), **listing: Any) -> None:
        spans = {"every": timedelta(minutes=3), "overlap": timedelta(minutes=10), **listing}
        self.listings = (Listing(name="odd", **spans),)
        self.windows: list[tuple[datetime, datetime]] = []
        self._found, self._most = found, most

    async def read(self, _name: str, *, since: datetime, until: datetime) -> Listed:
        self.windows.append((since, until))
        return Listed(found=self._found, whole=until - since <= self._most)


def walked(service: Service, odd: Odd, behind: timedelta, *, turns: int) -> list[recovering.Cursor]:
    """Where the reading stands after each turn, of one that was so far behind the present."""
    ctx, begun = service.context, service.context.now() - behind
    gateway = ctx.directory.active("razorpay", "sandbox")
    cursor = recovering.Cursor(
        account_id=gateway.account_id,
        list="odd",
        next_from=begun,
        read_to=begun,
        step=recovering.LONGEST,
        next_check_at=begun,
        failures=0,
        error=None,
        recovered=0,
    )
    stood = []
    for _ in range(turns):
        cursor, _new = service.run(recovering._window(ctx, cursor, gateway, odd, odd.listings[0]))
        stood.append(cursor)
    return stood


def test_windows_follow_one_another_without_a_gap_and_the_last_is_read_again_in_part(service):
    odd = Odd()
    *_, last = walked(service, odd, timedelta(hours=20), turns=4)
    lengths = [until - since for since, until in odd.windows]
    assert lengths[:3] == [recovering.LONGEST] * 3
    assert all(after[0] == before[1] for before, after in pairwise(odd.windows))
    present = odd.windows[-1][1]
    assert last.next_from == present - timedelta(minutes=10)
    assert last.read_to == present
    assert last.next_check_at > service.context.now() + timedelta(minutes=2)


def test_what_a_gateway_no_longer_keeps_is_not_asked_for(service):
    odd = Odd(kept=timedelta(days=30))
    walked(service, odd, timedelta(days=90), turns=1)
    [(since, _)] = odd.windows
    assert timedelta(days=30) <= service.context.now() - since < timedelta(days=30, minutes=1)


def test_a_window_is_halved_until_it_can_be_held_and_widened_where_little_is_in_it(service):
    odd = Odd(most=timedelta(hours=2))
    stood = walked(service, odd, timedelta(hours=20), turns=4)
    hours = [round((until - since) / timedelta(hours=1), 1) for since, until in odd.windows]
    assert hours == [6, 3, 1.5, 3]
    assert {since for since, _ in odd.windows[:3]} == {odd.windows[0][0]}  # nothing was passed over
    assert [row.failures for row in stood] == [0] * 4


def test_a_second_with_more_than_can_be_held_is_a_failure_that_is_told(service):
    odd = Odd(most=timedelta(0))
    stood = walked(service, odd, timedelta(minutes=2), turns=20)
    assert stood[-1].failures > 0
    assert "one second" in str(stood[-1].error)
    assert min(until - since for since, until in odd.windows) == recovering.SHORTEST


def test_an_object_of_ours_that_cannot_be_read_calls_a_person(service):
    family = service.run(builders.owed(service.context, "razorpay"))
    ours = Found(refs=("pay_odd", family.attempts[0].ref), unreadable="Expected `int`")
    theirs = Found(refs=("pay_theirs", "order_theirs"), unreadable="Expected `int`")
    walked(service, Odd(theirs, ours), timedelta(hours=1), turns=1)
    told = [
        (row["subject"], row["payment_id"])
        for row in exceptions(service)
        if "cannot be read" in row["sentence"]
    ]
    assert told == [("pay_odd", family.payment.id)]
