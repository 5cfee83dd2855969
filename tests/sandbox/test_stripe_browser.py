"""The stand-in for Stripe.js, the 3D Secure page and the front page, as a person meets them in Chromium."""

import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from chromium import open_browser
from sandbox_server import eventually

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A shop</title>
<script src="{stripe}/js"></script><script src="/shop.js" defer></script></head>
<body><main><h1>A shop</h1><div id="card"></div><button id="buy">Pay</button></main></body></html>"""
SHOP_JS = """
window.told = [];
window.begin = (key, where) => {
  window.stripe = Stripe(key);
  const elements = stripe.elements({mode: "payment", amount: 1000, currency: "usd"});
  const element = elements.create("payment");
  element.on("ready", () => told.push("ready"));
  element.on("change", (event) => { window.complete = event.complete; });
  element.mount(where === "#card" ? where : document.querySelector(where));
  document.querySelector("#buy").onclick = async () => {
    const {error: wrong} = await elements.submit();
    if (wrong) return told.push(wrong.code);
    const {confirmationToken, error} = await stripe.createConfirmationToken(
      {elements, params: {return_url: location.href, payment_method_data: {billing_details: {name: "Jenny"}}}});
    told.push(error ? error.code : confirmationToken.id);
  };
};
"""
# As strict as a page can be that lets the sandbox in: no inline script, no inline style, no frame.
POLICY = (
    "default-src 'none'; script-src 'self' {origin}; connect-src {origin}; img-src 'self'; base-uri 'none'"
)


@contextmanager
def shop_at(sandbox):
    """A shop's page on an origin of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, text = ("text/javascript", SHOP_JS) if self.path == "/shop.js" else ("text/html", PAGE)
            self.send_response(200)
            self.send_header("content-type", f"{kind}; charset=utf-8")
            self.send_header("content-security-policy", POLICY.format(origin=sandbox.url))
            self.end_headers()
            self.wfile.write(text.replace("{stripe}", sandbox.stripe).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with open_browser() as chromium:
        yield chromium


@pytest.fixture(params=["light", "dark"])
def tab(browser, request):
    yield from open_tab(browser, request.param)


@pytest.fixture
def page(browser, sandbox):
    with shop_at(sandbox) as address:
        for page in open_tab(browser, "light"):
            page.goto(address)
            page.evaluate("key => begin(key, '#card')", sandbox.config.stripe_publishable_key)
            yield page


def open_tab(browser, scheme):
    with closing(browser.new_context(color_scheme=scheme)) as context:
        page = context.new_page()
        page.set_default_timeout(5000)
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        yield page
        # An answer of 402 is no problem of the page, though the browser's console calls it one.
        assert [one for one in problems if not one.startswith("Failed to load resource")] == []


def fill(page: Page, number="4242 4242 4242 4242", expiry="12 / 34", cvc="123"):
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry date (MM / YY)").fill(expiry)
    page.get_by_label("Security code (CVC)").fill(cvc)


def pay(page: Page):
    """Press Pay; what the page was told."""
    known = len(page.evaluate("told"))
    page.get_by_role("button", name="Pay").click()
    eventually(lambda: len(page.evaluate("told")) > known)
    return page.evaluate("told")[-1]


def assert_accessible(page: Page):
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_a_card_becomes_a_token_with_which_the_server_confirms(page, merchant):
    fill(page)
    assert page.evaluate("complete") is True
    token = pay(page)
    assert "ready" in page.evaluate("told")
    shown = merchant.v1.confirmation_tokens.retrieve(token)
    assert shown.payment_method_preview.billing_details.name == "Jenny"
    paid = merchant.v1.payment_intents.confirm(merchant.intent(1000).id, {"confirmation_token": token})
    assert paid.status == "succeeded"


def test_3d_secure_leads_to_the_bank_and_back(page, merchant):
    address = page.url
    fill(page, "4000 0000 0000 3220")
    intent = merchant.intent(1000)
    asked = merchant.v1.payment_intents.confirm(intent.id, {"confirmation_token": pay(page)})
    assert asked.status == "requires_action"
    page.evaluate("secret => { stripe.handleNextAction({clientSecret: secret}); }", intent.client_secret)
    expect(page.get_by_role("heading", name="3D Secure")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Complete").click()
    page.wait_for_url(f"{address}?*redirect_status=succeeded")
    assert merchant.again(intent).status == "succeeded"


def test_there_is_nothing_to_handle_where_nothing_is_asked(page, merchant):
    secret = merchant.paid(1000).client_secret
    handled = page.evaluate("secret => stripe.handleNextAction({clientSecret: secret})", secret)
    assert handled["paymentIntent"]["status"] == "succeeded"
    wrong = page.evaluate("secret => stripe.retrievePaymentIntent(secret)", "pi_nope_secret_x")
    assert wrong["error"]["code"] == "resource_missing"


@pytest.mark.parametrize(
    ("facts", "code", "field"),
    [
        ({"number": "4242"}, "incomplete_number", "Card number"),
        ({"expiry": "12"}, "incomplete_expiry", "Expiry date (MM / YY)"),
        ({"cvc": ""}, "incomplete_cvc", "Security code (CVC)"),
        ({"number": "4242 4242 4242 4241"}, "incorrect_number", "Card number"),
        ({"expiry": "12 / 20"}, "invalid_expiry_year", "Expiry date (MM / YY)"),
    ],
)
def test_what_is_wrong_is_said_and_the_field_has_the_focus(page, facts, code, field):
    fill(page, **facts)
    assert pay(page) == code
    expect(page.get_by_role("alert")).not_to_be_empty()
    expect(page.get_by_label(field)).to_be_focused()
    expect(page.get_by_label(field)).to_have_attribute("aria-invalid", "true")


def test_the_card_form_is_accessible_empty_and_with_an_error(page):
    assert page.get_by_label("Card number").input_value() == ""
    assert_accessible(page)
    fill(page, number="4")
    pay(page)
    assert_accessible(page)


def test_an_unreachable_sandbox_is_an_error_to_show(page, sandbox):
    fill(page)
    page.route("**/v1/confirmation_tokens", lambda route: route.abort())
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")


def test_the_front_page_is_accessible_and_its_switches_work(tab, merchant):
    merchant.paid()
    merchant.sandbox.fault("stripe", "refunds.create", "delay")
    tab.goto(f"{merchant.sandbox.url}/_sandbox/")
    tab.get_by_text("Test values").first.click()
    assert_accessible(tab)
    tab.get_by_role("button", name="Remove fault").click()
    expect(tab.get_by_text("Everything works as it should")).to_be_visible()
    tab.get_by_role("combobox", name="Fault").select_option("rate_limit")
    tab.get_by_role("button", name="Set").click()
    expect(tab.get_by_role("button", name="Remove fault")).to_be_visible()
    assert merchant.sandbox.faults()[0]["fault"] == "rate_limit"
    tab.get_by_role("button", name="Hold webhooks").click()
    expect(tab.get_by_role("button", name="Release webhooks")).to_be_visible()
    tab.get_by_label("Go forward by").select_option("86400")
    tab.get_by_role("button", name="Go", exact=True).click()
    expect(tab.get_by_text("+86400 s from real time")).to_be_visible()
    tab.get_by_label("Times").fill("never")
    tab.get_by_role("button", name="Set").click()
    expect(tab.get_by_role("status")).to_contain_text("whole number")
