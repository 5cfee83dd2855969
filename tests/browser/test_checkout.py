"""A customer's journey through the checkout, in Chromium."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, Route, expect

from customer import CHALLENGED_CARD, DECLINED_CARD, GOOD_CARD, Customer, arrive
from service import Service

pytestmark = pytest.mark.browser

WAIT_MS = 5000
# Told to the test by the browser itself, whatever the console shows.
TELL = "addEventListener('securitypolicyviolation', (e) => tell(`${e.violatedDirective}: ${e.blockedURI}`))"
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
LINES = [
    {"name": "The Overstory, paperback", "quantity": 2, "amount": 1_499},
    {"name": "Reading lamp with a rather long name that has to wrap somewhere", "amount": 4_200},
]


class Tab:
    """A page, with everything it complained of, asked for and sent."""

    def __init__(self, service: Service, page: Page) -> None:
        self.service, self.page = service, page
        self.problems: list[str] = []
        self.requests: list[Request] = []
        page.set_default_timeout(WAIT_MS)
        page.expose_function("tell", self._told)
        page.add_init_script(TELL)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._said)
        page.on("request", self._asked)

    def _told(self, problem: str) -> None:
        self.problems.append(problem)

    def _asked(self, request: Request) -> None:
        self.requests.append(request)

    def _said(self, message: Any) -> None:
        if message.type in {"error", "warning"} and message.location["url"].startswith(self.service.url):
            self.problems.append(message.text)

    def open(self, payment: Any) -> str:
        """Follow the payment's link, and wait until the page can be used. The payment's id."""
        self.page.goto(payment["checkout"]["url"])
        expect(self.button).to_be_enabled()
        return str(payment["id"])

    @property
    def button(self) -> Any:
        return self.page.locator("#submit")

    @property
    def alert(self) -> Any:
        return self.page.locator("#alert")

    def fill(self, card: str) -> None:
        self.page.get_by_label("Card number").fill(card)
        self.page.get_by_label("Expiry date").fill("12/34")
        self.page.get_by_label("Security code").fill("123")

    def pay(self, card: str = GOOD_CARD) -> None:
        self.fill(card)
        self.button.click()

    def pay_by_upi(self, address: str) -> None:
        """In Razorpay's window, which is open."""
        window = self.page.get_by_role("dialog")
        window.get_by_role("tab", name="UPI").click()
        window.get_by_label("UPI ID").fill(address)
        window.get_by_role("button", name="Pay").click()

    def expect_result(self, heading: str) -> None:
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)
        assert "?" not in self.page.url

    def confirmations(self) -> int:
        return sum(request.url.endswith("/confirm") for request in self.requests)

    def check_accessibility(self) -> None:
        found = Axe().run(self.page, options=WCAG)
        assert found.violations_count == 0, found.generate_report()


@pytest.fixture
def tab(browser: Browser, service: Service) -> Iterator[Tab]:
    with closing(browser.new_context(viewport={"width": 1360, "height": 900})) as context:
        tab = Tab(service, context.new_page())
        yield tab
        service.sandbox.control("DELETE", "faults")
        assert tab.problems == []
        homes = (service.url, service.sandbox.url)
        assert [request.url for request in tab.requests if not request.url.startswith(homes)] == []


def charges(service: Service, payment_id: str) -> list[str]:
    """The states of the charges that Stripe has of a payment."""
    truth = service.sandbox.truth()["stripe"]
    ours = {i["id"] for i in truth["payment_intents"] if i["metadata"]["counterfoil_payment"] == payment_id}
    return [charge["status"] for charge in truth["charges"] if charge["payment_intent"] in ours]


def razorpay_payments(service: Service, payment_id: str) -> list[str]:
    order = service.payment(payment_id)["attempts"][0]["gateway_reference"]
    return [p["status"] for p in service.sandbox.truth()["razorpay"]["payments"] if p["order_id"] == order]


# Stripe


def test_a_card_pays(service, tab):
    payment = tab.open(service.create(7_198, line_items=LINES))
    assert "token" not in tab.page.url
    tab.pay()
    tab.expect_result("Payment received")
    expect(tab.page.locator("main")).to_contain_text("Visa ending in 4242")
    assert charges(service, payment) == ["succeeded"]
    assert service.payment(payment)["amount_captured"] == 7_198


def test_after_a_decline_another_card_pays(service, tab):
    payment = tab.open(service.create())
    tab.pay(DECLINED_CARD)
    expect(tab.alert).to_have_text("The bank declined the payment. Please use another card or method.")
    expect(tab.alert).to_be_focused()
    expect(tab.button).to_be_enabled()
    tab.pay()
    tab.expect_result("Payment received")
    assert charges(service, payment) == ["failed", "succeeded"]


def test_after_a_decline_the_customer_pays_another_way(service, tab):
    payment = tab.open(service.create(50_000, "INR", reference="another way"))
    other = tab.page.get_by_role("button", name="Pay another way")
    expect(other).to_be_hidden()
    tab.button.click()
    tab.pay_by_upi("failure@razorpay")
    expect(tab.page.get_by_role("dialog").get_by_role("alert")).to_contain_text("try again")
    tab.page.keyboard.press("Escape")
    expect(other).to_be_visible()
    tab.check_accessibility()
    other.click()
    expect(tab.page.get_by_label("Card number")).to_be_visible()
    expect(tab.button).to_be_enabled()
    tab.pay()
    tab.expect_result("Payment received")
    after = service.payment(payment)
    assert [(a["gateway"], a["status"]) for a in after["attempts"]] == [
        ("razorpay", "fenced"),
        ("stripe", "won"),
    ]


def test_the_bank_asks_and_the_customer_confirms(service, tab):
    payment = tab.open(service.create())
    tab.pay(CHALLENGED_CARD)
    tab.page.get_by_role("button", name="Complete").click()
    tab.expect_result("Payment received")
    assert charges(service, payment) == ["succeeded"]


def test_the_bank_asks_and_the_customer_fails_then_pays_with_another_card(service, tab):
    payment = tab.open(service.create())
    tab.pay(CHALLENGED_CARD)
    tab.page.get_by_role("button", name="Fail").click()
    tab.expect_result("Payment not completed")
    expect(tab.page.locator("main")).to_contain_text("could not confirm that it was you")
    tab.page.get_by_role("link", name="Try again").click()
    expect(tab.button).to_be_enabled()
    tab.pay()
    tab.expect_result("Payment received")
    assert charges(service, payment) == ["succeeded"]


def test_a_double_click_pays_once(service, tab):
    payment = tab.open(service.create())
    service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=0.7)
    tab.fill(GOOD_CARD)
    tab.button.dblclick()
    expect(tab.button).to_be_disabled()
    expect(tab.button).to_have_attribute("aria-busy", "true")
    expect(tab.page.get_by_role("status")).to_contain_text("is being made")
    tab.page.evaluate("for (let n = 0; n < 5; n++) document.querySelector('#pay').requestSubmit()")
    tab.expect_result("Payment received")
    assert tab.confirmations() == 1
    assert charges(service, payment) == ["succeeded"]


def test_an_answer_that_is_lost_on_its_way_is_asked_for_again(service, tab):
    payment = tab.open(service.create())
    lost: list[str] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().text())  # the server has done it
        route.abort("connectionreset")

    tab.page.route("**/confirm", lose)
    tab.pay()
    tab.expect_result("Payment received")
    assert "paid" in lost[0]
    assert tab.confirmations() == 2
    assert charges(service, payment) == ["succeeded"]
    tab.problems.clear()  # the browser tells of the lost connection


def test_when_no_answer_comes_at_all_nobody_is_told_to_pay_again(service, tab):
    tab.page.clock.install()
    tab.open(service.create())
    tab.page.route("**/confirm", lambda route: route.abort("connectionreset"))
    tab.pay()

    def given_up() -> str:
        tab.page.clock.run_for(2_000)
        return str(tab.alert.inner_text())

    service.eventually(given_up)
    assert tab.confirmations() == 6
    expect(tab.alert).to_contain_text("may still have gone through")
    tab.check_accessibility()
    tab.page.get_by_role("link", name="See whether it went through").click()
    tab.expect_result("Not paid yet")
    tab.problems.clear()  # the browser tells of the lost connections


def test_what_the_customer_forgot_is_asked_for_before_anything_is_sent(service, tab):
    tab.open(service.create())
    tab.button.click()
    expect(tab.page.get_by_label("Card number")).to_be_focused()
    expect(tab.button).to_be_enabled()
    assert tab.confirmations() == 0


def test_the_keyboard_alone_pays(service, tab):
    payment = tab.open(service.create())
    keyboard = tab.page.keyboard
    tab.page.get_by_label("Card number").focus()
    for text in (GOOD_CARD, "12/34", "123"):
        keyboard.type(text)
        keyboard.press("Tab")
    expect(tab.button).to_be_focused()
    keyboard.press("Enter")
    tab.expect_result("Payment received")
    assert charges(service, payment) == ["succeeded"]


# Razorpay


def test_upi_pays(service, tab):
    payment = tab.open(service.create(50_000, "INR"))
    tab.button.click()
    tab.pay_by_upi("success@razorpay")
    tab.expect_result("Payment received")
    expect(tab.page.locator("main")).to_contain_text("su***@razorpay")
    assert razorpay_payments(service, payment) == ["captured"]
    assert service.payment(payment)["amount_captured"] == 50_000


def test_after_a_failure_upi_pays_in_the_same_window(service, tab):
    payment = tab.open(service.create(50_000, "INR"))
    tab.button.click()
    tab.pay_by_upi("failure@razorpay")
    expect(tab.page.get_by_role("dialog").get_by_role("alert")).to_contain_text("try again")
    tab.pay_by_upi("success@razorpay")
    tab.expect_result("Payment received")
    assert sorted(razorpay_payments(service, payment)) == ["captured", "failed"]


def test_a_customer_who_closes_the_window_after_a_failure_may_open_it_again(service, tab):
    payment = tab.open(service.create(50_000, "INR"))
    tab.button.click()
    expect(tab.button).to_be_disabled()
    tab.page.keyboard.press("Escape")
    expect(tab.button).to_be_focused()
    expect(tab.alert).to_be_empty()
    tab.button.click()
    tab.pay_by_upi("failure@razorpay")
    expect(tab.page.get_by_role("dialog").get_by_role("alert")).to_contain_text("try again")
    tab.page.keyboard.press("Escape")
    expect(tab.alert).to_have_text("The payment did not go through. You can try again.")
    tab.button.click()
    expect(tab.alert).to_be_empty()
    tab.pay_by_upi("success@razorpay")
    tab.expect_result("Payment received")
    assert sorted(razorpay_payments(service, payment)) == ["captured", "failed"]


# While it takes its time, and afterwards


def test_the_result_page_tells_by_itself_when_the_bank_has_answered(service, tab):
    customer = arrive(service, 50_000, "INR")
    order = service.payment(customer.id)["checkout"]["razorpay"]["order_id"]
    pending = service.pay_razorpay(order, vpa="pending@razorpay")
    tab.page.goto(service.url + customer.link)
    tab.expect_result("Your bank is working on it")
    found = {"payment_id": pending["razorpay_payment_id"]}
    service.sandbox.control("POST", "razorpay/late_authorize", found)
    tab.expect_result("Payment received")


def test_a_payment_made_in_another_tab_ends_this_one(service, tab):
    tab.page.clock.install()
    made = service.create()
    tab.open(made)
    other = Customer(service, made)
    other.open()
    other.pay()
    tab.page.clock.run_for(5_000)
    tab.expect_result("Payment received")


SHOP = "https://shop.example/done?cart=7"


def test_when_it_is_paid_the_customer_goes_back_to_the_shop(service, tab):
    tab.page.clock.install()
    tab.page.route("https://shop.example/**", lambda route: route.fulfill(body="<h1>The shop</h1>"))
    payment = tab.open(service.create(return_url=SHOP))
    tab.pay()
    tab.expect_result("Payment received")
    tab.page.clock.run_for(2_000)
    tab.expect_result("Payment received")
    tab.page.clock.run_for(3_100)
    tab.page.wait_for_url(f"{SHOP}&payment={payment}&status=captured")
    shop = [request for request in tab.requests if request.url.startswith(SHOP)]
    assert not any("referer" in request.all_headers() for request in shop)
    tab.requests.clear()  # the shop is elsewhere


def test_the_customer_may_stay(service, tab):
    tab.page.clock.install()
    tab.open(service.create(return_url=SHOP))
    tab.pay()
    tab.page.get_by_role("button", name="Stay on this page").click()
    tab.page.clock.run_for(60_000)
    tab.expect_result("Payment received")
    expect(tab.page.get_by_role("link", name="Back to Lakeside Books")).to_be_visible()


# What can go wrong with a page


def test_a_script_that_is_not_ours_does_not_run_and_nothing_is_sent_elsewhere(service, tab):
    tab.open(service.create())
    ours_unasked = f"{service.url}/static/checkout/result.js"
    stolen, blocked = tab.page.evaluate(
        """async (address) => {
          const blocked = [];
          addEventListener("securitypolicyviolation", (event) => blocked.push(event.blockedURI));
          for (const [name, value] of [["text", "window.stolen = 1"], ["src", address]]) {
            const script = document.createElement("script");
            script[name] = value;
            document.body.append(script);
          }
          document.body.insertAdjacentHTML("beforeend", '<p style="color: red" onclick="window.stolen = 2">x</p>');
          document.body.lastElementChild.click();
          await fetch("https://thief.example/").catch(() => {});
          await new Promise((done) => setTimeout(done, 100));
          return [window.stolen ?? null, blocked];
        }""",
        ours_unasked,
    )
    assert stolen is None
    assert sorted(blocked) == sorted([ours_unasked, "https://thief.example/", "inline", "inline", "inline"])
    tab.problems.clear()  # the browser tells of each


def test_without_the_gateways_script_the_page_says_so(service, tab):
    tab.page.route("**/stripe/js", lambda route: route.abort())
    tab.page.goto(service.create()["checkout"]["url"])
    expect(tab.alert).to_contain_text("could not be loaded")
    expect(tab.button).to_be_disabled()
    tab.check_accessibility()
    tab.problems.clear()  # the browser tells of the script that did not come


def test_no_address_of_ours_is_told_to_the_gateway(service, tab):
    tab.open(service.create())
    tab.pay(DECLINED_CARD)
    expect(tab.alert).not_to_be_empty()
    theirs = [request for request in tab.requests if request.url.startswith(service.sandbox.url)]
    assert theirs
    assert not any("referer" in request.all_headers() for request in theirs)


def test_without_javascript_the_pages_say_what_to_do(browser, service):
    made = service.create(50_000, "INR")
    service.pay_razorpay(made["checkout"]["razorpay"]["order_id"], vpa="pending@razorpay")
    with closing(browser.new_context(java_script_enabled=False)) as context:
        page = context.new_page()
        page.goto(service.create()["checkout"]["url"])
        expect(page.locator("noscript p")).to_be_visible()  # text in a noscript is no text to Playwright
        expect(page.get_by_role("button")).to_be_disabled()
        page.goto(made["checkout"]["url"])
        page.get_by_role("link", name="Look again").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your bank is working on it")


def test_nothing_turns_for_those_who_asked_for_stillness(service, tab):
    tab.page.emulate_media(reduced_motion="reduce")
    tab.open(service.create())
    service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=0.5)
    tab.pay()
    expect(tab.button).to_have_attribute("aria-busy", "true")
    style = "getComputedStyle(document.querySelector('#submit'), '::before').animationName"
    assert tab.page.evaluate(style) == "none"
    tab.expect_result("Payment received")


# For everybody


def states(service: Service, tab: Tab) -> Iterator[str]:
    """Bring the tab into every state that a customer can meet, and name it."""
    page = tab.page
    tab.open(
        service.create(7_198, line_items=LINES, description="Your order", return_url="https://shop.example")
    )
    yield "the form"
    held: list[Route] = []
    page.route("**/confirm", lambda route: held.append(route))  # noqa: PLW0108  Playwright wants a function
    tab.pay(DECLINED_CARD)
    expect(tab.button).to_have_attribute("aria-busy", "true")
    yield "at work"
    held.pop().continue_()
    expect(tab.alert).not_to_be_empty()
    page.unroute("**/confirm")
    yield "declined"
    declined = service.create(50_000, "INR", gateway=None)
    service.pay_razorpay(declined["checkout"]["razorpay"]["order_id"], vpa="failure@razorpay")
    service.eventually(lambda: service.payment(declined["id"])["failure"])
    tab.page.goto(declined["checkout"]["url"])
    expect(tab.page.get_by_role("button", name="Pay another way")).to_be_visible()
    yield "another way"
    tab.open(service.create())
    tab.pay(DECLINED_CARD)
    expect(tab.alert).not_to_be_empty()
    page.goto(f"{page.url}/return")
    tab.expect_result("Payment not completed")
    yield "the result of a decline"
    tab.open(service.create(12_345_678, "INR"))
    yield "the form for Razorpay"
    for name, payment in results(service).items():
        page.goto(payment["checkout"]["url"])
        tab.expect_result(name)
        yield name
    page.goto(f"{service.url}/pay/nothing")
    yield "a link that opens nothing"
    tab.problems.clear()  # the browser tells of the 403


def results(service: Service) -> dict[str, Any]:
    """Payments by the heading of their result page."""
    made = {name: service.create(return_url="https://shop.example/") for name in ("paid", "cancelled")}
    confirmed = {"payment_method": "pm_card_visa"}
    service.post(f"/api/payments/{made['paid']['id']}/confirm", confirmed)
    service.post(f"/api/payments/{made['cancelled']['id']}/cancel")
    approved = service.create(capture="manual")
    service.post(f"/api/payments/{approved['id']}/confirm", confirmed)
    waiting = service.create(50_000, "INR")
    service.pay_razorpay(waiting["checkout"]["razorpay"]["order_id"], vpa="pending@razorpay")
    return {
        "Payment received": made["paid"],
        "Payment cancelled": made["cancelled"],
        "Payment approved": approved,
        "Your bank is working on it": waiting,
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1360])
def test_every_page_is_for_everybody(service, tab, width, scheme):
    tab.page.emulate_media(color_scheme=scheme)
    tab.page.set_viewport_size({"width": width, "height": 844})
    for state in states(service, tab):
        tab.check_accessibility()
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state
