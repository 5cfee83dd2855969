"""The payments API, over real HTTP, with the sandbox for both gateways."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from service import Service

ABSENT = "pmt_01m82q4mexgp9s3vb3tax4n4pn"


def paid(service: Service, **asked: Any) -> Any:
    return service.create(payment_method="pm_card_visa", confirm=True, **asked)


def order_of(payment: Any) -> str:
    return payment["checkout"]["razorpay"]["order_id"]


def act(service: Service, payment: Any, verb: str, body: Any = None, **more: Any) -> Any:
    return service.post(f"/api/payments/{payment['id']}/{verb}", body, **more)


def captured(service: Service, payment: Any, body: Any = None) -> Any:
    """The payment once it is captured: from the moment that it is wanted the worker may be at it first."""
    assert act(service, payment, "capture", body).status == 200
    return service.until(payment["id"], "captured")


def intent_of(service: Service, payment: Any) -> Any:
    ref = payment["attempts"][-1]["gateway_reference"]
    return next(i for i in service.sandbox.truth()["stripe"]["payment_intents"] if i["id"] == ref)


# Creating


def test_a_payment_in_dollars_is_opened_at_stripe_and_waits_for_its_customer(service):
    made = service.create(1250, "usd", reference="order 7", customer={"email": "a@shop.example"})
    assert made["id"].startswith("pmt_")
    assert (made["status"], made["amount"], made["currency"], made["mode"]) == (
        "created",
        1250,
        "USD",
        "sandbox",
    )
    assert (made["amount_captured"], made["amount_refunded"], made["surplus"]) == (0, 0, [])
    (attempt,) = made["attempts"]
    assert (attempt["gateway"], attempt["status"], attempt["number"]) == ("stripe", "open", 1)
    assert made["checkout"]["url"].startswith(f"{service.url}/pay/{made['id']}?token=")
    assert made["checkout"]["stripe"] == {
        "publishable_key": "pk_test_counterfoil_sandbox",
        "payment_intent": attempt["gateway_reference"],
    }
    intent = intent_of(service, made)
    assert (intent["amount"], intent["currency"]) == (1250, "usd")
    assert intent["metadata"]["counterfoil_attempt"] == attempt["id"]
    assert "client_secret" not in str(made)


def test_a_payment_in_rupees_is_opened_at_razorpay_for_manual_capture(service):
    made = service.create(50_000, "INR")
    assert made["checkout"]["gateway"] == "razorpay"
    assert made["checkout"]["razorpay"] == {"key_id": "rzp_test_counterfoil", "order_id": order_of(made)}
    assert {"card", "upi", "netbanking"} <= set(made["checkout"]["methods"])
    order = next(o for o in service.sandbox.truth()["razorpay"]["orders"] if o["id"] == order_of(made))
    assert (order["amount"], order["receipt"]) == (50_000, made["attempts"][0]["id"])


def test_a_named_gateway_is_used(service):
    made = service.create(50_000, "INR", gateway="stripe")
    assert made["gateway"] == "stripe"
    assert made["attempts"][0]["reason"] == "named by the caller"


def test_a_payment_with_a_method_is_charged_at_once(service):
    made = paid(service, amount=1999)
    assert (made["status"], made["amount_captured"], made["checkout"]) == ("captured", 1999, None)
    (charge,) = made["attempts"][0]["charges"]
    assert charge["status"] == "captured"
    assert charge["method"] == {"method": "card", "brand": "visa", "last4": "4242"}
    assert made["attempts"][0]["status"] == "won"


def test_a_payment_with_a_token_of_the_browser_is_charged_at_once(service):
    made = service.create(confirmation_token=service.confirmation_token(), confirm=True)
    assert made["status"] == "captured"


def test_a_manual_payment_is_only_authorised(service):
    made = paid(service, capture="manual")
    assert (made["status"], made["amount_captured"], made["checkout"]) == ("authorized", 0, None)
    assert intent_of(service, made)["status"] == "requires_capture"


def test_a_declined_card_answers_with_the_payment_and_what_to_tell_the_customer(service):
    made = service.create(payment_method="pm_card_chargeDeclinedInsufficientFunds", confirm=True)
    assert (made["status"], made["amount_captured"]) == ("pending", 0)
    assert made["failure"]["code"] == "insufficient_funds"
    assert made["failure"]["gateway_code"] == "insufficient_funds"
    assert "funds" in made["failure"]["customer_message"]
    assert made["attempts"][0]["status"] == "open"
    assert made["checkout"]["url"]


@pytest.mark.parametrize("card", ["LostCard", "StolenCard", "Fraudulent"])
def test_a_customer_is_never_told_that_a_card_is_suspect(service, card):
    made = service.create(payment_method=f"pm_card_chargeDeclined{card}", confirm=True)
    told = made["failure"]["customer_message"].lower()
    assert not any(word in told for word in ("lost", "stolen", "fraud", "suspect"))


def test_a_card_that_wants_authentication_gives_the_browser_its_next_action(service):
    made = service.create(payment_method="pm_card_authenticationRequired", confirm=True)
    assert made["status"] == "pending"
    action = made["checkout"]["next_action"]
    assert action["client_secret"].startswith(made["attempts"][0]["gateway_reference"])
    assert "next_action" not in service.payment(made["id"])["checkout"]
    service.authenticate(made["attempts"][0]["gateway_reference"])
    assert service.until(made["id"], "captured")["amount_captured"] == 10_000


def test_everything_that_was_sent_is_kept(service):
    asked = {
        "reference": "order 8",
        "description": "Two kettles",
        "customer": {"id": "c8", "email": "b@shop.example", "phone": "+49 30 1234567", "name": "Åsa 山田", "country": "DE"},
        "metadata": {"channel": "web", "empty": ""},
        "line_items": [{"name": "Kettle", "quantity": 2, "amount": 5000, "reference": "K-1"}],
        "return_url": "https://shop.example/thanks?order=8",
        "capture": "manual",
    }  # fmt: skip
    made = service.create(**asked)
    assert {name: made[name] for name in asked} == asked
    assert service.payment(made["id"]) | {"checkout": None} == made | {"checkout": None}


def test_a_created_payment_lives_for_a_day(service):
    made = service.create()
    created, expires = (datetime.fromisoformat(made[name]) for name in ("created_at", "expires_at"))
    assert expires - created == timedelta(hours=24)


# What a create refuses


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": True}, "amount"),
        ({"amount": 100.0}, "amount"),
        ({"amount": "100"}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 10**12}, "amount"),
        ({"amount": 10**30}, "amount"),
        ({"amount": None}, "amount"),
        ({"currency": "US"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"currency": 840}, "currency"),
        ({"confirm": 1, "payment_method": "pm_card_visa"}, "confirm"),
        ({"confirm": True}, "the body"),
        ({"payment_method": "pm_card_visa"}, "the body"),
        ({"payment_method": "pm_x", "confirmation_token": "ctoken_x", "confirm": True}, "the body"),
        ({"payment_method": "pm card", "confirm": True}, "payment_method"),
        ({"capture": "later"}, "capture"),
        ({"gateway": "paypal"}, "gateway"),
        ({"reference": ""}, "reference"),
        ({"reference": "x" * 101}, "reference"),
        ({"description": "   "}, "description"),
        ({"customer": {"email": "nobody"}}, "customer.email"),
        ({"customer": {"country": "de"}}, "customer.country"),
        ({"customer": {"age": 30}}, "customer.age"),
        ({"customer": "me"}, "customer"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {"k" * 41: "v"}}, f"metadata.{'k' * 41}.[key]"),
        ({"metadata": {str(n): "v" for n in range(14)}}, "metadata"),
        ({"line_items": [{"name": "a", "amount": 1, "tax": 1}]}, "line_items.0.tax"),
        ({"line_items": [{"name": "a", "amount": 1}] * 201}, "line_items"),
        ({"line_items": [{"name": "a", "amount": 1, "quantity": 0}]}, "line_items.0.quantity"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"status": "captured"}, "status"),
        ({"merchant_id": "mer_1"}, "merchant_id"),
        ({"description": "a\x00b"}, "the body"),
        ({"metadata": {"a\x00": "b"}}, "the body"),
        ({"metadata": {"a": "\ud800"}}, "metadata.a"),
    ],
)
def test_a_field_of_a_wrong_shape_is_named(service, change, field):
    answer = service.post("/api/payments", {"amount": 100, "currency": "USD"} | change)
    assert (answer.status, answer.json["code"]) == (422, "invalid_request")
    told = answer.json
    assert field in {told.get("field"), *(wrong["field"] for wrong in told.get("errors", ()))}


@pytest.mark.parametrize("missing", ["amount", "currency"])
def test_a_missing_field_is_named(service, missing):
    body = {name: value for name, value in {"amount": 100, "currency": "USD"}.items() if name != missing}
    answer = service.post("/api/payments", body)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, missing)


@pytest.mark.parametrize("body", [b"null", b"[]", b'"pay"', b"1", b""])
def test_a_body_that_is_no_object_is_refused(service, body):
    assert service.post("/api/payments", body).status == 422


def test_text_that_only_looks_like_an_escape_is_kept(service):
    assert service.create(description="a\\u0000b")["description"] == "a\\u0000b"


def test_razorpay_cannot_be_asked_to_charge_a_method_by_api(service):
    asked = {
        "amount": 500,
        "currency": "INR",
        "gateway": "razorpay",
        "payment_method": "pm_x",
        "confirm": True,
    }
    answer = service.post("/api/payments", asked)
    assert (answer.status, answer.json["code"], answer.json["gateway"]) == (
        422,
        "not_supported_by_gateway",
        "razorpay",
    )


def test_an_amount_that_the_named_gateway_does_not_take_is_refused_with_its_least(service):
    answer = service.post("/api/payments", {"amount": 49, "currency": "USD", "gateway": "stripe"})
    assert (answer.status, answer.json["code"]) == (422, "not_supported_by_gateway")
    assert "0.50 USD" in answer.json["detail"]


def test_an_amount_that_no_gateway_takes_is_refused_by_each_with_its_reason(service):
    answer = service.post("/api/payments", {"amount": 1001, "currency": "KWD"})
    assert (answer.status, answer.json["code"]) == (422, "no_gateway")
    assert "stripe" in answer.json["detail"]
    assert "razorpay" in answer.json["detail"]


def test_nothing_of_a_refused_create_is_kept(service):
    before = service.rows("SELECT count(*) AS n FROM payments")
    for change in ({"amount": 0}, {"currency": "KWD", "amount": 1001}, {"x": 1}):
        assert service.post("/api/payments", {"amount": 100, "currency": "USD"} | change).status == 422
    assert service.rows("SELECT count(*) AS n FROM payments") == before


# Problem documents


def test_every_problem_document_says_what_it_is_and_what_to_do(service):
    made = paid(service)
    refused = {
        "invalid_request": service.post("/api/payments", {}),
        "malformed_request": service.post("/api/payments", b"{"),
        "pan_not_allowed": service.post("/api/payments", {"amount": 4242424242424242}),
        "not_authenticated": service.get("/api/payments", key=""),
        "not_permitted": service.post("/api/payments", {}, key=service.key("viewer")),
        "not_found": service.get(f"/api/payments/{ABSENT}"),
        "method_not_allowed": service.call("DELETE", "/api/payments"),
        "wrong_state": act(service, made, "cancel"),
        "too_large": service.post("/api/payments", b'{"a":"' + b"x" * 1_000_000 + b'"}'),
        "no_gateway": service.post("/api/payments", {"amount": 1, "currency": "USD", "gateway": None}),
    }
    statuses = {
        "invalid_request": 422, "malformed_request": 400, "pan_not_allowed": 400, "not_authenticated": 401,
        "not_permitted": 403, "not_found": 404, "method_not_allowed": 405, "wrong_state": 409, "too_large": 413,
        "no_gateway": 201,
    }  # fmt: skip
    assert refused.pop("no_gateway").status == statuses["no_gateway"]  # Razorpay takes one cent
    for code, answer in refused.items():
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json
        assert (answer.status, document["status"], document["code"]) == (statuses[code], statuses[code], code)
        assert document["type"] == f"https://counterfoil.dev/problems/{code}"
        assert all(document[name] for name in ("title", "detail", "what_to_do"))


# Reading


@pytest.mark.parametrize("verb", ["", "/timeline"])
def test_a_payment_that_is_not_there_is_not_found(service, verb):
    for id_ in (
        ABSENT,
        ABSENT.replace("pmt", "att"),
        "pmt_1",
        "nothing",
        f"{ABSENT}%0a",
        f"{ABSENT}x",
        "%00",
    ):
        answer = service.get(f"/api/payments/{id_}{verb}")
        assert (answer.status, answer.json["code"]) == (404, "not_found"), id_


@pytest.mark.parametrize("verb", ["confirm", "capture", "cancel", "sync"])
def test_nothing_can_be_done_to_a_payment_that_is_not_there(service, verb):
    body = {"payment_method": "pm_card_visa"} if verb == "confirm" else None
    for id_ in (ABSENT, ABSENT.replace("pmt", "chg"), "pmt_1"):
        answer = service.post(f"/api/payments/{id_}/{verb}", body)
        assert (answer.status, answer.json["code"]) == (404, "not_found"), id_


def test_a_named_path_wins_over_an_id(service):
    answer = service.get("/api/payments/webhooks")
    assert answer.status == 200
    assert "data" in answer.json


def test_an_unknown_noun_under_payments_is_an_id_that_is_not_there(service):
    assert service.get("/api/payments/nouns").status == 404


# Listing


@pytest.fixture(scope="module")
def shelf(service):
    """Seven payments that differ in everything a list can be narrowed by."""
    named = {
        "plain": service.create(101, "USD", reference="shelf-1", customer={"id": "c1", "email": "one@shop.example"}),
        "same": service.create(102, "USD", reference="shelf-1", customer={"id": "c2"}),
        "rupees": service.create(10_300, "INR", reference="shelf-2"),
        "stripe": service.create(10_400, "INR", gateway="stripe", reference="shelf-2"),
        "captured": paid(service, amount=105, reference="shelf-3"),
        "held": paid(service, amount=106, capture="manual", reference="shelf-3"),
        "euros": service.create(107, "EUR", reference="shelf-4", customer={"email": "one@shop.example"}),
    }  # fmt: skip
    return {name: payment["id"] for name, payment in named.items()}


def listed(service: Service, shelf: dict[str, str], **query: Any) -> set[str]:
    answer = service.get("/api/payments", limit=200, **query)
    assert answer.status == 200, answer
    names = {id_: name for name, id_ in shelf.items()}
    return {names[payment["id"]] for payment in answer.json["data"] if payment["id"] in names}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"plain", "same", "rupees", "stripe", "captured", "held", "euros"}),
        ({"status": "captured"}, {"captured"}),
        ({"status": "authorized"}, {"held"}),
        ({"status": "created"}, {"plain", "same", "rupees", "stripe", "euros"}),
        ({"status": "failed"}, set()),
        ({"currency": "INR"}, {"rupees", "stripe"}),
        ({"gateway": "razorpay"}, {"rupees"}),
        ({"gateway": "stripe", "currency": "INR"}, {"stripe"}),
        ({"reference": "shelf-1"}, {"plain", "same"}),
        ({"reference": "shelf"}, set()),
        ({"customer_id": "c2"}, {"same"}),
        ({"customer_email": "one@shop.example"}, {"plain", "euros"}),
        ({"customer_email": "one@shop.example", "currency": "EUR"}, {"euros"}),
    ],
)
def test_a_list_is_narrowed_by_what_is_asked(service, shelf, query, found):
    assert listed(service, shelf, **query) == found


def test_a_list_is_narrowed_by_time_from_included_to_excluded(service, shelf):
    times = {name: service.rows("SELECT created_at FROM payments WHERE id = $1", id_)[0]["created_at"] for name, id_ in shelf.items()}  # fmt: skip
    middle = times["stripe"]
    later = {name for name, at in times.items() if at >= middle}
    assert listed(service, shelf, created_from=middle.isoformat()) == later
    assert listed(service, shelf, created_to=middle.isoformat()) == set(times) - later
    assert "stripe" in later


def test_a_time_without_an_offset_is_utc(service, shelf):
    at = service.rows("SELECT created_at FROM payments WHERE id = $1", shelf["stripe"])[0]["created_at"]
    bare = at.replace(tzinfo=None).isoformat()
    assert listed(service, shelf, created_from=bare) == listed(service, shelf, created_from=at.isoformat())


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_walked_to_the_end_skip_and_repeat_nothing(service, shelf, limit):
    whole = [p["id"] for p in service.get("/api/payments", limit=200).json["data"]]
    walked: list[str] = []
    cursor: dict[str, Any] = {}
    while len(walked) <= len(whole):
        page = service.get("/api/payments", limit=limit, **cursor).json
        assert len(page["data"]) <= limit
        walked += [payment["id"] for payment in page["data"]]
        if page["next_cursor"] is None:
            break
        assert len(page["data"]) == limit
        cursor = {"cursor": page["next_cursor"]}
    assert walked == whole
    assert all(newer > older for newer, older in pairwise(walked))


def test_a_page_that_ends_exactly_at_the_end_has_no_next(service, shelf):
    page = service.get("/api/payments", limit=2, reference="shelf-1").json
    assert (len(page["data"]), page["next_cursor"]) == (2, None)


def test_payments_that_come_while_pages_are_walked_move_nothing(service, shelf):
    first = service.get("/api/payments", limit=3).json
    service.create(reference="latecomer")
    rest = service.get("/api/payments", limit=200, cursor=first["next_cursor"]).json["data"]
    walked = [payment["id"] for payment in first["data"] + rest]
    whole = [payment["id"] for payment in service.get("/api/payments", limit=200).json["data"]]
    assert walked == whole[1:]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0}, {"limit": 201}, {"limit": "many"}, {"status": "paid"}, {"gateway": "paypal"},
        {"currency": "usd"}, {"cursor": "x"}, {"cursor": "att_01m82q4mexgp9s3vb3tax4n4pn"}, {"cursor": "\x00"},
        {"created_from": "yesterday"}, {"created_to": "2026-13-01"}, {"reference": "x" * 101},
        {"reference": "\x00"}, {"customer_id": "a\x00"}, {"customer_email": "\x00@x"},
        {"created_from": "0001-01-01T00:00:00+14:00"}, {"created_to": "9999-12-31T23:59:59-14:00"},
    ],
)  # fmt: skip
def test_a_filter_that_means_nothing_is_refused(service, query):
    answer = service.get("/api/payments", **query)
    assert (answer.status, answer.json["code"]) == (422, "invalid_request")


def test_a_filter_that_is_not_known_is_refused(service):
    answer = service.get("/api/payments", colour="red")
    assert (answer.status, answer.json["code"]) == (422, "invalid_request")
    assert "colour" in answer.json["detail"]


def test_a_filter_that_stands_twice_is_refused(service):
    answer = service.get("/api/payments?status=captured&status=failed")
    assert (answer.status, answer.json["field"]) == (422, "status")


def test_a_verb_takes_no_query(service):
    answer = act(service, service.create(), "cancel?amount=1")
    assert (answer.status, answer.json["code"]) == (422, "invalid_request")


# The timeline


def test_the_timeline_has_a_line_of_every_kind_in_the_order_we_knew_them(service):
    made = paid(service)

    def whole() -> Any:
        lines = service.get(f"/api/payments/{made['id']}/timeline").json["data"]
        return lines if {line["kind"] for line in lines} >= {"webhook"} else None

    lines = service.eventually(whole)
    assert {line["kind"] for line in lines} == {"decision", "call", "fact", "journal", "webhook"}
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    said = [(line["kind"], line["what"]) for line in lines]
    wanted = [
        ("decision", "payment.create"),
        ("call", "stripe.open"),
        ("decision", "payment.confirm"),
        ("call", "stripe.confirm"),
        ("fact", "charge.captured"),
        ("journal", "capture"),
    ]
    assert [line for line in said if line in wanted] == wanted
    (journal,) = (line for line in lines if line["kind"] == "journal")
    assert sum(entry["amount"] for entry in journal["detail"]["entries"]) == 0
    (created,) = (line for line in lines if line["what"] == "payment.create")
    assert created["detail"]["actor"].startswith("key_")


def test_a_line_of_the_timeline_leads_to_its_call_and_outcome(service):
    made = service.create(payment_method="pm_card_chargeDeclined", confirm=True)
    lines = service.get(f"/api/payments/{made['id']}/timeline").json["data"]
    outcomes = {line["what"]: line["detail"]["outcome"] for line in lines if line["kind"] == "call"}
    assert outcomes == {"stripe.open": "accepted", "stripe.confirm": "declined"}


# Confirming


def test_a_payment_is_confirmed_with_a_saved_method(service):
    made = service.create()
    done = act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert (done.status, done.json["status"]) == (200, "captured")


def test_a_payment_is_confirmed_with_a_token_of_the_browser(service):
    made = service.create()
    token = service.confirmation_token("5555555555554444")
    done = act(service, made, "confirm", {"confirmation_token": token}).json
    assert done["status"] == "captured"
    assert done["attempts"][0]["charges"][0]["method"]["brand"] == "mastercard"


def test_a_token_is_good_for_one_payment(service):
    token = service.confirmation_token()
    assert service.create(confirmation_token=token, confirm=True)["status"] == "captured"
    again = service.create(confirmation_token=token, confirm=True)
    assert (again["status"], again["amount_captured"]) != ("captured", 10_000)
    assert again["failure"]["gateway_code"] == "token_already_used"


def test_after_a_decline_another_card_may_be_tried(service):
    made = service.create(payment_method="pm_card_chargeDeclined", confirm=True)
    done = act(service, made, "confirm", {"payment_method": "pm_card_visa"}).json
    assert (done["status"], done["failure"]) == ("captured", None)
    assert [c["status"] for c in done["attempts"][0]["charges"]] == ["failed", "captured"]


def test_a_captured_payment_is_not_confirmed_again(service):
    made = paid(service)
    answer = act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert (answer.status, answer.json["code"], answer.json["state"]) == (409, "wrong_state", "captured")
    assert len([c for c in service.sandbox.truth()["stripe"]["charges"] if c["payment_intent"] == made["attempts"][0]["gateway_reference"]]) == 1  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"payment_method": "pm_a", "confirmation_token": "ctoken_a"},
        {"razorpay_order_id": "order_a"},
        {"razorpay_order_id": "order_a", "razorpay_payment_id": "pay_a"},
        {"payment_method": "pm_a", "razorpay_order_id": "order_a"},
        {"payment_method": "pm_a", "amount": 1},
        {"razorpay_order_id": "order_a", "razorpay_payment_id": "pay_a", "razorpay_signature": "f" * 63},
    ],
)
def test_a_confirm_goes_one_way_or_is_refused(service, body):
    made = service.create()
    assert act(service, made, "confirm", body).status == 422


@pytest.fixture
def silence(service) -> Iterator[None]:
    """No webhook comes: what is learned is learned by asking."""
    service.sandbox.webhooks(hold=True)
    yield
    service.sandbox.webhooks(hold=False)


def test_what_razorpays_checkout_signed_is_believed_after_asking(service, silence):
    made = service.create(50_000, "INR")
    brought = service.pay_razorpay(order_of(made))
    done = act(service, made, "confirm", brought)
    assert (done.status, done.json["status"], done.json["amount_captured"]) == (200, "captured", 50_000)
    assert done.json["attempts"][0]["charges"][0]["gateway_reference"] == brought["razorpay_payment_id"]
    again = act(service, made, "confirm", brought)
    assert (again.status, again.json["status"]) == (200, "captured")


def test_a_forged_signature_is_refused_and_changes_nothing(service):
    made = service.create(50_000, "INR")
    forged = {"razorpay_order_id": order_of(made), "razorpay_payment_id": "pay_forged00000001", "razorpay_signature": "0" * 64}  # fmt: skip
    answer = act(service, made, "confirm", forged)
    assert (answer.status, answer.json["field"]) == (422, "razorpay_signature")
    assert service.payment(made["id"])["status"] == "created"


def test_a_signature_of_another_order_is_refused(service):
    cheap, dear = service.create(100, "INR"), service.create(900_000, "INR")
    brought = service.pay_razorpay(order_of(cheap))
    answer = act(service, dear, "confirm", brought)
    assert (answer.status, answer.json["field"]) == (422, "razorpay_order_id")
    answer = act(service, dear, "confirm", brought | {"razorpay_order_id": order_of(dear)})
    assert (answer.status, answer.json["field"]) == (422, "razorpay_signature")
    assert service.payment(dear["id"])["amount_captured"] == 0


def test_a_signature_for_a_stripe_payment_is_refused(service):
    made = service.create()
    signed = {
        "razorpay_order_id": made["attempts"][0]["gateway_reference"],
        "razorpay_payment_id": "pay_1",
        "razorpay_signature": "0" * 64,
    }
    answer = act(service, made, "confirm", signed)
    assert (answer.status, answer.json["code"]) == (422, "not_supported_by_gateway")


def test_a_razorpay_payment_takes_no_stripe_method(service):
    made = service.create(50_000, "INR")
    answer = act(service, made, "confirm", {"payment_method": "pm_card_visa"})
    assert (answer.status, answer.json["code"]) == (422, "not_supported_by_gateway")
    assert "razorpay_" in answer.json["detail"]


def test_a_failed_try_at_razorpay_leaves_the_payment_open_for_another(service):
    made = service.create(50_000, "INR")
    service.pay_razorpay(order_of(made), vpa="failure@razorpay")
    seen = service.until(made["id"], "pending")
    assert seen["failure"]["code"] == "processing_error"
    service.pay_razorpay(order_of(made))
    done = service.until(made["id"], "captured")
    assert [c["status"] for c in done["attempts"][0]["charges"]] == ["failed", "captured"]


# Capturing


def test_an_authorised_payment_is_captured_whole(service):
    made = paid(service, capture="manual")
    assert captured(service, made)["amount_captured"] == 10_000


def test_stripe_captures_a_part(service):
    made = paid(service, capture="manual")
    done = captured(service, made, {"amount": 4_000})
    assert (done["amount"], done["amount_captured"]) == (10_000, 4_000)
    assert intent_of(service, done)["amount_received"] == 4_000


def test_a_capture_repeated_with_the_same_amount_does_nothing(service):
    made = paid(service, capture="manual")
    captured(service, made, {"amount": 4_000})
    again = act(service, made, "capture", {"amount": 4_000})
    assert (again.status, again.json["amount_captured"]) == (200, 4_000)
    for other in ({"amount": 3_000}, None):
        assert act(service, made, "capture", other).status == 409
    assert intent_of(service, made)["amount_received"] == 4_000


def test_razorpay_captures_no_part(service):
    made = service.create(50_000, "INR", capture="manual")
    service.pay_razorpay(order_of(made))
    service.until(made["id"], "authorized")
    answer = act(service, made, "capture", {"amount": 20_000})
    assert (answer.status, answer.json["code"]) == (422, "not_supported_by_gateway")
    assert "50000" in answer.json["detail"]
    done = act(service, made, "capture", {"amount": 50_000}).json
    assert (done["status"], done["amount_captured"]) == ("captured", 50_000)


@pytest.mark.parametrize("amount", [10_001, 0, -1, True, 1.5, "1", 10**30])
def test_more_than_is_authorised_or_no_amount_at_all_is_not_captured(service, amount):
    made = paid(service, capture="manual")
    assert act(service, made, "capture", {"amount": amount}).status == 422
    assert service.payment(made["id"])["status"] == "authorized"


def test_what_is_not_authorised_is_not_captured(service):
    answer = act(service, service.create(capture="manual"), "capture")
    assert (answer.status, answer.json["code"], answer.json["state"]) == (409, "wrong_state", "created")


@pytest.mark.parametrize("body", [None, b"null", {}])
def test_a_capture_needs_no_body(service, body):
    assert act(service, paid(service, capture="manual"), "capture", body).json["status"] == "captured"


def test_a_capture_refuses_a_field_it_does_not_know(service):
    made = paid(service, capture="manual")
    assert act(service, made, "capture", {"amout": 1}).status == 422
    assert service.payment(made["id"])["status"] == "authorized"


# Cancelling


def test_a_created_payment_is_cancelled_and_its_intent_too(service):
    made = service.create()
    done = act(service, made, "cancel")
    assert (done.status, done.json["status"], done.json["checkout"]) == (200, "cancelled", None)
    assert intent_of(service, made)["status"] == "canceled"
    assert done.json["attempts"][0]["status"] == "fenced"


def test_a_pending_payment_is_cancelled(service):
    made = service.create(payment_method="pm_card_authenticationRequired", confirm=True)
    assert act(service, made, "cancel").json["status"] == "cancelled"
    assert intent_of(service, made)["status"] == "canceled"


def test_an_authorised_payment_is_cancelled_and_its_money_let_go(service):
    made = paid(service, capture="manual")
    done = act(service, made, "cancel").json
    assert (done["status"], done["amount_captured"]) == ("cancelled", 0)
    assert intent_of(service, made)["status"] == "canceled"
    assert act(service, made, "capture").status == 409


def test_a_razorpay_payment_is_cancelled_by_our_own_fence(service):
    made = service.create(50_000, "INR")
    done = act(service, made, "cancel").json
    assert (done["status"], done["attempts"][0]["status"]) == ("cancelled", "fenced")


def test_a_captured_payment_is_not_cancelled(service):
    made = paid(service)
    answer = act(service, made, "cancel")
    assert (answer.status, answer.json["state"]) == (409, "captured")
    assert service.payment(made["id"])["status"] == "captured"


def test_a_cancel_repeated_does_nothing(service):
    made = service.create()
    act(service, made, "cancel")
    again = act(service, made, "cancel")
    assert (again.status, again.json["status"]) == (200, "cancelled")


def test_a_cancelled_payment_is_not_confirmed(service):
    made = service.create()
    act(service, made, "cancel")
    assert act(service, made, "confirm", {"payment_method": "pm_card_visa"}).status == 409


def test_a_failed_payment_is_not_cancelled(service):
    service.sandbox.fault("stripe", "payment_intents.create", "error_4xx")
    service.sandbox.fault("razorpay", "orders.create", "error_4xx")
    made = service.create()
    assert (made["status"], [a["status"] for a in made["attempts"]]) == ("failed", ["dead", "dead"])
    assert act(service, made, "cancel").status == 409


# Syncing


def test_a_sync_asks_the_gateway(service, silence):
    made = service.create(50_000, "INR")
    service.pay_razorpay(order_of(made))
    assert service.payment(made["id"])["status"] == "created"
    done = act(service, made, "sync")
    assert (done.status, done.json["status"]) == (200, "captured")


@pytest.mark.parametrize("verb", ["sync", "cancel"])
def test_a_verb_without_fields_takes_none(service, verb):
    assert act(service, service.create(), verb, {"now": True}).status == 422


def test_a_sync_of_a_settled_payment_changes_nothing(service):
    made = paid(service)
    assert act(service, made, "sync").json["version"] == service.payment(made["id"])["version"]
    assert act(service, made, "sync").json["status"] == "captured"
