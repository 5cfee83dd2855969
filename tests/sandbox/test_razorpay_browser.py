"""The stand-in for Razorpay's checkout.js, as a customer meets it in Chromium."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from chromium import open_browser
from counterfoil.sandbox.razorpay.instruments import BANKS, WALLETS
from sandbox_razorpay import GOOD_CARD, Shop, fresh, open_shop
from sandbox_server import eventually

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A shop</title>
<script src="{sandbox}/razorpay/checkout.js"></script><script src="/shop.js" defer></script></head>
<body><main><h1>A shop</h1><button id="buy">Buy</button><p>Behind the dialog.</p></main></body></html>"""
SHOP_JS = """
window.told = [];
window.begin = (options) => {
  const checkout = new Razorpay({
    handler: (response) => told.push(["paid", response]),
    modal: { ondismiss: () => told.push(["dismissed"]) },
    ...options,
  });
  checkout.on("payment.failed", (response) => told.push(["failed", response.error.reason]));
  document.querySelector("#buy").onclick = () => checkout.open();
  window.checkout = checkout;
};
"""
# As strict as a page can be that lets the sandbox in: no inline script, no inline style, no frame.
POLICY = (
    "default-src 'none'; script-src 'self' {sandbox}; connect-src {sandbox}; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; img-src 'self'"
)


@contextmanager
def merchant(sandbox: str) -> Iterator[str]:
    """A merchant's page on an origin of its own; it answers a posted form with what was posted."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, text = ("text/javascript", SHOP_JS) if self.path == "/shop.js" else ("text/html", PAGE)
            self.answer(kind, text.replace("{sandbox}", sandbox))

        def do_POST(self) -> None:
            self.answer("text/plain", self.rfile.read(int(self.headers["content-length"])).decode())

        def answer(self, kind: str, text: str) -> None:
            self.send_response(200)
            self.send_header("content-type", f"{kind}; charset=utf-8")
            self.send_header("content-security-policy", POLICY.format(sandbox=sandbox))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None: ...

    with closing(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        server.close = server.server_close
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def shared():
    with open_shop() as shop:
        yield shop


@pytest.fixture(scope="module")
def browser():
    with open_browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def address(shared: Shop):
    with merchant(shared.sandbox.url) as address:
        yield address


@pytest.fixture
def shop(shared: Shop):
    with fresh(shared) as shop:
        yield shop


@pytest.fixture
def page(browser, address):
    with closing(browser.new_context(color_scheme="light")) as context:
        page = context.new_page()
        page.set_default_timeout(5000)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda said: said.type == "error" and page.problems.append(said.text))
        page.goto(address)
        yield page


def begin(shop: Shop, page: Page, **options):
    """Open the checkout of a new order."""
    order = shop.order(capture="automatic")
    settings = {"key": shop.auth[0], "order_id": order["id"], "amount": order["amount"], "currency": "INR"}
    page.evaluate("begin", {**settings, "name": "A shop", "description": "Tea", **options})
    page.get_by_role("button", name="Buy").click()
    expect(page.get_by_role("dialog", name="Pay A shop")).to_be_visible()
    return order


def told(page: Page, times: int = 1):
    """What the page was told, when it has been told so many things."""
    eventually(lambda: len(page.evaluate("told")) >= times)
    return page.evaluate("told")


def fill_card(page: Page, number: str) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry").fill(GOOD_CARD["expiry"])
    page.get_by_label("CVV").fill(GOOD_CARD["cvv"])
    page.get_by_label("Name on card").fill(GOOD_CARD["name"])


def press_pay(page: Page) -> None:
    page.get_by_role("button", name="Pay ₹500.00").click()


def test_a_card_pays_under_a_strict_policy_and_the_signature_is_right(shop, page):
    begin(shop, page)
    fill_card(page, "4100 2800 0000 1007")
    press_pay(page)
    [[what, response]] = told(page)
    assert what == "paid"
    assert shop.client.utility.verify_payment_signature(response)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.problems == []


def test_after_a_failure_the_customer_tries_again_in_the_same_dialog(shop, page):
    order = begin(shop, page)
    fill_card(page, "4100 2800 0008 0001")
    press_pay(page)
    expect(page.get_by_role("alert")).to_contain_text("You can try again.")
    assert told(page) == [["failed", "insufficient_funds"]]
    page.get_by_role("tab", name="UPI").click()
    page.get_by_label("UPI ID").fill("failure@razorpay")
    press_pay(page)
    expect(page.get_by_role("alert")).to_have_text("Payment failed. You can try again.")
    page.get_by_label("UPI ID").fill("success@razorpay")
    press_pay(page)
    assert told(page, 3)[2][0] == "paid"
    payments = shop.client.order.payments(order["id"])["items"]
    assert [payment["status"] for payment in payments] == ["captured", "failed", "failed"]


@pytest.mark.parametrize(
    ("tab", "label", "codes"), [("Netbanking", "Bank", BANKS), ("Wallet", "Wallet", WALLETS)]
)
def test_banks_and_wallets_are_approved_or_declined_on_their_own_page(shop, page, tab, label, codes):
    begin(shop, page)
    page.get_by_role("tab", name=tab).click()
    choice = page.get_by_role("combobox", name=label)
    offered = choice.locator("option").evaluate_all("options => options.map((option) => option.value)")
    assert offered == list(codes)
    choice.select_option(offered[-1])
    page.get_by_role("radio", name="Decline").check()
    press_pay(page)
    told(page)
    page.get_by_role("radio", name="Approve").check()
    press_pay(page)
    assert [one[0] for one in told(page, 2)] == ["failed", "paid"]


def test_a_bank_that_is_silent_is_waited_for(shop, page):
    order = begin(shop, page)
    page.get_by_role("tab", name="UPI").click()
    page.get_by_label("UPI ID").fill("pending@razorpay")
    press_pay(page)
    expect(page.get_by_role("status")).to_contain_text("has not answered yet")
    [pending] = shop.client.order.payments(order["id"])["items"]
    shop.act("late_authorize", payment_id=pending["id"])
    assert told(page)[0][1]["razorpay_payment_id"] == pending["id"]


def test_a_lost_answer_is_not_called_a_failure(shop, page):
    begin(shop, page)
    shop.sandbox.fault("razorpay", "checkout.pay", "garbage")
    fill_card(page, "4100 2800 0000 1007")
    press_pay(page)
    expect(page.get_by_role("alert")).to_contain_text("may still go through")
    assert page.evaluate("told") == []


def test_a_second_window_learns_that_the_order_is_paid(shop, page):
    order = begin(shop, page)
    shop.paid(order)
    fill_card(page, "4100 2800 0000 1007")
    press_pay(page)
    expect(page.get_by_role("alert")).to_have_text("Payment already done for this order.")
    assert told(page) == [["failed", "order_already_paid"]]


@pytest.mark.parametrize("way", ["Escape", "Close"])
def test_the_customer_may_leave_and_the_focus_goes_back(shop, page, way):
    begin(shop, page)
    if way == "Escape":
        page.keyboard.press("Escape")
    else:
        page.get_by_role("button", name="Close").click()
    assert told(page) == [["dismissed"]]
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Buy")).to_be_focused()
    page.get_by_role("button", name="Buy").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_escape_can_be_forbidden_and_the_page_can_close_the_dialog(shop, page):
    begin(shop, page, modal={"escape": False})
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate("checkout.close()")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("told") == []


def test_tab_goes_round_inside_the_dialog(shop, page):
    begin(shop, page)
    focused = "document.activeElement.shadowRoot.activeElement"
    expect(page.get_by_label("Card number")).to_be_focused()
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(f"{focused}.name || {focused}.textContent"))
    assert seen[:6] == ["expiry", "cvv", "name", "Pay ₹500.00", "×", "Card"]
    assert seen[7:14] == seen[:7]
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(f"{focused}.textContent") == seen[-2]


def test_arrow_keys_walk_the_tabs(shop, page):
    begin(shop, page)
    page.get_by_role("tab", name="Card").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Wallet")).to_be_focused()
    expect(page.get_by_role("tab", name="Wallet")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Card")).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("tabpanel", name="Wallet")).to_be_visible()
    expect(page.get_by_role("tabpanel")).to_have_count(1)


def test_fields_that_are_empty_are_asked_for_before_anything_is_sent(shop, page):
    begin(shop, page)
    press_pay(page)
    expect(page.get_by_label("Card number")).to_be_focused()
    assert shop.sandbox.truth()["razorpay"]["payments"] == []


def test_what_the_page_knows_is_filled_in_and_sent_along(shop, page):
    prefill = {"name": "A Buyer", "email": "buyer@example.test", "contact": "+919999900000"}
    order = begin(shop, page, prefill={**prefill, "method": "upi", "vpa": "success@razorpay"})
    expect(page.get_by_label("UPI ID")).to_have_value("success@razorpay")
    press_pay(page)
    told(page)
    [payment] = shop.client.order.payments(order["id"])["items"]
    assert (payment["email"], payment["contact"]) == (prefill["email"], prefill["contact"])
    assert payment["description"] == "Tea"


def test_a_page_may_have_the_result_posted_to_it(shop, page, address):
    begin(shop, page, callback_url=f"{address}/done")
    fill_card(page, "4100 2800 0000 1007")
    press_pay(page)
    page.wait_for_url(f"{address}/done")
    assert "razorpay_signature=" in page.content()


@pytest.mark.parametrize("missing", ["key", "order_id", "amount"])
def test_options_that_are_missing_are_named(page, missing):
    options = {"key": "k", "order_id": "o", "amount": 100} | {missing: None}
    sentence = page.evaluate(
        "(options) => { try { begin(options) } catch (e) { return e.message } }", options
    )
    assert sentence == f"Razorpay needs the option {missing}"


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1, "INR", "₹0.01"),
        (12345678, "INR", "₹1,23,456.78"),
        (500, "JPY", "JP¥500"),
        (1230, "KWD", "KWD 1.230"),
    ],
)
def test_amounts_are_written_to_the_last_digit(shop, page, minor, currency, text):
    begin(shop, page, amount=minor, currency=currency)
    assert page.locator(".amount").inner_text().replace("\u00a0", " ") == text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1360])
def test_axe_finds_nothing_in_any_tab(shop, page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    begin(shop, page, theme={"color": "#0a7"})
    fill_card(page, "4100 2800 0006 0003")
    press_pay(page)
    expect(page.get_by_role("alert")).not_to_be_empty()
    for tab in ("Card", "UPI", "Netbanking", "Wallet"):
        page.get_by_role("tab", name=tab).click()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
