"""What the browser gets from Stripe: the 3D Secure page, the script, and answers it may read."""

from urllib.parse import parse_qs, urlsplit

from sandbox_stripe import RETURN


def page(merchant, method, path):
    return merchant.call(method, path, key="")


def waiting(merchant, return_url=RETURN):
    made = merchant.intent()
    return merchant.confirm(made, "pm_card_authenticationRequired", return_url=return_url)


def test_the_customer_completes_3d_secure_and_comes_back(merchant):
    intent = waiting(merchant, "https://shop.example/return?order=A1#done")
    shown = page(merchant, "GET", f"/3ds/{intent.id}")
    assert shown.status == 200
    assert b"100.00 USD" in shown.body
    decided = page(merchant, "POST", f"/3ds/{intent.id}/succeed")
    assert decided.status == 303
    back = urlsplit(decided.headers["location"])
    assert (back.netloc, back.path, back.fragment) == ("shop.example", "/return", "done")
    assert parse_qs(back.query) == {
        "order": ["A1"],
        "payment_intent": [intent.id],
        "payment_intent_client_secret": [intent.client_secret],
        "redirect_status": ["succeeded"],
    }
    assert merchant.again(intent).status == "succeeded"


def test_the_customer_fails_3d_secure_and_comes_back(merchant):
    intent = waiting(merchant)
    decided = page(merchant, "POST", f"/3ds/{intent.id}/fail")
    assert parse_qs(urlsplit(decided.headers["location"]).query)["redirect_status"] == ["failed"]
    assert merchant.again(intent).status == "requires_payment_method"


def test_an_authorised_payment_counts_as_succeeded_for_the_redirect(merchant):
    made = merchant.intent(capture_method="manual")
    merchant.confirm(made, "pm_card_authenticationRequired")
    decided = page(merchant, "POST", f"/3ds/{made.id}/succeed")
    assert "redirect_status=succeeded" in decided.headers["location"]


def test_the_page_asks_nothing_of_who_has_nothing_to_do(merchant):
    paid = merchant.paid()
    assert b"Nothing is asked of you" in page(merchant, "GET", f"/3ds/{paid.id}").body
    assert page(merchant, "POST", f"/3ds/{paid.id}/succeed").status == 409
    for method, path in (("GET", "/3ds/pi_nope"), ("POST", "/3ds/pi_nope/fail")):
        assert page(merchant, method, path).status == 404


def test_without_a_return_url_the_page_says_that_it_is_done(merchant):
    made = merchant.intent(payment_method_types=["card"])
    merchant.v1.payment_intents.confirm(made.id, {"payment_method": "pm_card_authenticationRequired"})
    decided = page(merchant, "POST", f"/3ds/{made.id}/succeed")
    assert (decided.status, b"succeeded" in decided.body) == (200, True)


def test_a_page_of_any_origin_may_make_a_confirmation_token(merchant):
    asked = page(merchant, "OPTIONS", "/v1/confirmation_tokens")
    assert asked.status == 204
    assert asked.headers["access-control-allow-origin"] == "*"
    assert "authorization" in asked.headers["access-control-allow-headers"]
    card = "payment_method_data[type]=card&payment_method_data[card][number]=4242424242424242"
    body = f"{card}&payment_method_data[card][exp_month]=12&payment_method_data[card][exp_year]=34"
    key = merchant.sandbox.config.stripe_publishable_key
    for given, status in ((body, 200), ("", 400)):
        answer = merchant.call("POST", "/v1/confirmation_tokens", given, key=key)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, "*")


def test_what_is_the_servers_is_closed_to_other_origins(merchant):
    assert "access-control-allow-origin" not in merchant.call("GET", "/v1/events").headers


def test_the_script_is_served(merchant):
    script = page(merchant, "GET", "/js")
    assert (script.status, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert b"createConfirmationToken" in script.body
