"""Every fault that the sandbox can make, one by one, at every call and at the webhooks: the timeline that each leaves.

What a timeline must say is written here as the calls of the payment, each with what became of it, in their order; and
whatever happened on the way, the gateways' own records must agree with the payment's in the end.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from counterfoil.sandbox.faults import CALL_FAULTS, WEBHOOK_FAULTS
from database import Postgres
from service import Service, serving

# No whole answer, and nothing done; no usable answer, though it was done; an answer that says it was not done.
NOT_DONE = ("refuse", "reset_before", "timeout_before", "error_5xx_before")
DONE = ("reset_after", "timeout_after", "error_5xx_after", "garbage", "truncated")
NOT_TAKEN = ("error_4xx", "rate_limit")
# Where no answer comes at all, the second sending with the same key must fail too.
SILENT = frozenset({"refuse", "reset_before", "reset_after", "timeout_before", "timeout_after"})
SOON = {"timeout_before": {"seconds": 0.05}, "timeout_after": {"seconds": 0.05}, "delay": {"seconds": 0.05}}
# What else a gateway says in refusing: keys that are revoked, an id it does not know, and a limit it has a word on.
WORDS: list[tuple[str, dict[str, Any]]] = [
    ("error_4xx", {"status": 401}),
    ("error_4xx", {"status": 403}),
    ("error_4xx", {"status": 404}),
    ("rate_limit", {"retry_after": 7}),
    ("rate_limit", {"headers": {"Stripe-Should-Retry": "true"}}),
    ("rate_limit", {"headers": {"Stripe-Should-Retry": "false"}}),
]
ABSENCE_COUNTS_S = 91
LOOKS = 4  # two that find nothing, one that does it again, one that sees it done


class Script(NamedTuple):
    """A call of a payment's life: how it comes about, and what follows where it was not done."""

    call: str  # as the sandbox names it
    line: str  # as the timeline names it
    before: list[str]  # the lines before it
    play: Callable[[Service, Callable[[], None]], Any]  # calls its argument just before the call is made
    status: str  # what the payment comes to once it is done
    instead: str | None  # the line that follows where it was not done; None where a caller must ask anew


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres) -> Iterator[Service]:
    """No worker and no webhooks: only what is asked for is learned."""
    with serving(fast_postgres, work=False) as service:
        service.sandbox.webhooks(hold=True)
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    yield running
    running.sandbox.control("DELETE", "faults")


def opens_at_stripe(service: Service, break_it: Callable[[], None]) -> Any:
    break_it()
    return service.create(5_000, "USD")


def opens_at_razorpay(service: Service, break_it: Callable[[], None]) -> Any:
    break_it()
    return service.create(50_000, "INR")


def confirms(service: Service, break_it: Callable[[], None]) -> Any:
    made = service.create(5_000, "USD")
    break_it()
    service.post(f"/api/payments/{made['id']}/confirm", {"payment_method": "pm_card_visa"})
    return made


def captures_at_stripe(service: Service, break_it: Callable[[], None]) -> Any:
    made = service.create(5_000, "USD", capture="manual", payment_method="pm_card_visa", confirm=True)
    break_it()
    service.post(f"/api/payments/{made['id']}/capture")
    return made


def captures_at_razorpay(service: Service, break_it: Callable[[], None]) -> Any:
    made = service.create(50_000, "INR")
    service.pay_razorpay(made["attempts"][0]["gateway_reference"])
    break_it()
    service.post(f"/api/payments/{made['id']}/sync")
    return made


def cancels(service: Service, break_it: Callable[[], None]) -> Any:
    made = service.create(5_000, "USD", gateway="stripe")
    break_it()
    service.post(f"/api/payments/{made['id']}/cancel")
    return made


OPENED, CONFIRMED, ORDERED = "stripe.open accepted", "stripe.confirm accepted", "razorpay.open accepted"
SCRIPTS = {
    "opening at Stripe": Script(
        "payment_intents.create", "stripe.open", [], opens_at_stripe, "created", ORDERED
    ),
    "opening at Razorpay": Script("orders.create", "razorpay.open", [], opens_at_razorpay, "created", OPENED),
    "confirming": Script("payment_intents.confirm", "stripe.confirm", [OPENED], confirms, "captured", None),
    "capturing at Stripe": Script(
        "payment_intents.capture",
        "stripe.capture",
        [OPENED, CONFIRMED],
        captures_at_stripe,
        "captured",
        "stripe.capture accepted",
    ),
    "capturing at Razorpay": Script(
        "payments.capture",
        "razorpay.capture",
        [ORDERED],
        captures_at_razorpay,
        "captured",
        "razorpay.capture accepted",
    ),
    "cancelling": Script(
        "payment_intents.cancel", "stripe.cancel", [OPENED], cancels, "cancelled", "stripe.cancel accepted"
    ),
}


def expected(script: Script, fault: str) -> tuple[list[str], str]:
    """The calls that the timeline must tell of in the end, and the payment's status then."""
    opening = script.line.endswith(".open")
    if fault == "delay" or (fault in DONE and not opening):
        return [*script.before, f"{script.line} accepted"], script.status
    # Nobody was shown what an opening made, so it is not even read: it is given up at once.
    gave_up = "refused" if fault in NOT_TAKEN else "abandoned"
    follows = [script.instead] if script.instead else []
    status = script.status if script.instead else "created"
    return [*script.before, f"{script.line} {gave_up}", *follows], status


def told(service: Service, payment: Any) -> list[str]:
    """The calls of its timeline, each with its outcome."""
    lines = service.get(f"/api/payments/{payment['id']}/timeline").json["data"]
    return [f"{line['what']} {line['detail']['outcome']}" for line in lines if line["kind"] == "call"]


def play(service: Service, script: Script, fault: str, **parameters: Any) -> tuple[Any, Any]:
    """The payment as it was made, and as it is once it was looked at long enough."""

    def break_it() -> None:
        gateway, times = script.line.partition(".")[0], 2 if fault in SILENT else 1
        service.sandbox.fault(gateway, script.call, fault, times=times, **SOON.get(fault, {}), **parameters)

    made = script.play(service, break_it)
    assert all(one["fired"] for one in service.sandbox.faults()), "the fault was not met"
    service.sandbox.control("DELETE", "faults")
    service.advance(ABSENCE_COUNTS_S)
    for _ in range(LOOKS):
        now = service.post(f"/api/payments/{made['id']}/sync").json
    return made, now


def agrees(service: Service, payment: Any) -> bool:
    """Whether the gateways took what the payment says, and once."""
    truth, refs = service.sandbox.truth(), {a["gateway_reference"] for a in payment["attempts"]}
    taken = [
        c["amount_captured"]
        for c in truth["stripe"]["charges"]
        if c["payment_intent"] in refs and c["captured"]
    ]
    taken += [p["amount"] for p in truth["razorpay"]["payments"] if p["order_id"] in refs and p["captured"]]
    return taken == ([payment["amount"]] if payment["status"] == "captured" else [])


def test_every_fault_of_the_sandbox_is_scripted():
    assert {*NOT_DONE, *DONE, *NOT_TAKEN, "delay"} == set(CALL_FAULTS)
    assert set(HEARD) == set(WEBHOOK_FAULTS)


@pytest.mark.parametrize("fault", CALL_FAULTS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_fault_of_a_call_leaves_its_timeline(service, name, fault):
    made, now = play(service, SCRIPTS[name], fault)
    assert (told(service, made), now["status"]) == expected(SCRIPTS[name], fault)
    assert agrees(service, now)


@pytest.mark.parametrize(("fault", "word"), WORDS, ids=str)
@pytest.mark.parametrize("name", SCRIPTS)
def test_whatever_word_a_gateway_refuses_with_it_did_nothing(service, name, fault, word):
    made, now = play(service, SCRIPTS[name], fault, **word)
    assert (told(service, made), now["status"]) == expected(SCRIPTS[name], fault)
    assert agrees(service, now)


# Webhooks: what is heard of a payment at Razorpay, each line with how often it was delivered.
HEARD = {
    "duplicate": {("payment.authorized", 2), ("payment.captured", 2), ("order.paid", 2)},
    "reorder": {("payment.authorized", 1), ("payment.captured", 1), ("order.paid", 1)},
    "delay": {("payment.authorized", 1), ("payment.captured", 1), ("order.paid", 1)},
    "hold": {("payment.authorized", 1), ("payment.captured", 1), ("order.paid", 1)},
    "drop": set(),
}


@pytest.fixture(scope="module")
def listening(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres) as service:
        yield service


@pytest.mark.parametrize("fault", WEBHOOK_FAULTS)
def test_a_fault_of_the_webhooks_leaves_its_timeline(listening, fault):
    listening.sandbox.fault("razorpay", "webhooks", fault, times=None)
    made = listening.create(50_000, "INR")
    listening.pay_razorpay(made["attempts"][0]["gateway_reference"])
    if fault in {"delay", "drop", "hold"}:  # the sweep asks, whether or not anything is heard
        listening.advance(61)
        listening.until(made["id"], "captured", seconds=20)
    if fault in {"delay", "hold"}:
        listening.sandbox.control("DELETE", "faults")
        listening.sandbox.webhooks(hold=False)
        listening.advance(6)
    paid = listening.until(made["id"], "captured", seconds=20)
    listening.eventually(lambda: heard(listening, made) == HEARD[fault], seconds=20)
    listening.sandbox.control("DELETE", "faults")
    assert told(listening, made) == ["razorpay.open accepted", "razorpay.capture accepted"]
    assert agrees(listening, paid)
    facts = listening.rows("SELECT kind FROM facts WHERE payment_id = $1", made["id"])
    assert len(facts) == len({row["kind"] for row in facts})


def heard(service: Service, payment: Any) -> set[tuple[str, int]]:
    lines = service.get(f"/api/payments/{payment['id']}/timeline").json["data"]
    return {
        (line["what"].removeprefix("razorpay "), line["detail"]["deliveries"])
        for line in lines
        if line["kind"] == "webhook" and line["detail"]["status"] == "processed"
    }
