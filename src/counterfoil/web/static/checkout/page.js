// What every payment page does, whichever gateway's fields it shows: one payment at a time, and said aloud.
"use strict";

window.checkout = (() => {
  const LOOK_EVERY_MS = 5000;
  const SEND_AGAIN_MS = [500, 1000, 2000, 4000, 8000];
  const SEND_AGAIN = [409, 502, 503, 504]; // still at work, or not reached
  const UNDECIDED = ["created", "pending"];
  const LOST =
    "No answer came. Your payment may still have gone through: see whether it did before you pay again.";

  const form = document.querySelector("#pay");
  const [button, alarm, news, check] = ["#submit", "#alert", "#news", "#check"].map((id) => form.querySelector(id));
  const others = document.querySelector("#others"); // other ways to pay, once this one has failed
  const settings = JSON.parse(form.dataset.settings);
  let leaving = false;

  const wait = (ms) => new Promise((done) => setTimeout(done, ms));

  /** The fields can be used; `pay` begins a payment when the customer says so, and never while one is under way. */
  function ready(pay) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (button.disabled) return;
      work("Your payment is being made. Please stay on this page.");
      pay().catch((error) => {
        console.warn(error);
        stop("Something went wrong on this page. Please reload it and try again.");
      });
    });
    button.disabled = false;
  }

  function work(sentence) {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    alarm.textContent = "";
    check.hidden = true;
    news.textContent = sentence;
  }

  /** Nothing is under way any more. The focus stays where the gateway's fields have put it. */
  function rest() {
    button.disabled = false;
    button.removeAttribute("aria-busy");
    news.textContent = "";
  }

  /** The same, and the customer is told why. */
  function stop(sentence) {
    rest();
    alarm.textContent = sentence;
    others?.removeAttribute("hidden");
    alarm.focus();
  }

  function unavailable() {
    document.querySelector("#fields .loading")?.remove();
    button.disabled = true;
    button.removeAttribute("aria-busy");
    alarm.textContent = "The payment form could not be loaded. Please check your connection and reload the page.";
  }

  function leave(address) {
    leaving = true;
    location.assign(address);
  }

  /** Send what the fields made. A lost answer is asked for again: the same token is charged once, whatever happens. */
  async function confirm(body) {
    for (const pause of [...SEND_AGAIN_MS, null]) {
      const answer = await send(body);
      if (answer) return answer;
      if (pause !== null) await wait(pause);
    }
    return { status: "lost", message: LOST };
  }

  async function send(body) {
    try {
      const headers = { "Content-Type": "application/json" };
      const response = await fetch(settings.confirm, { method: "POST", headers, body: JSON.stringify(body) });
      return SEND_AGAIN.includes(response.status) ? null : await response.json();
    } catch {
      return null;
    }
  }

  /** Do what our server answered; its next action, where there is one, is the gateway's business. */
  function settle(answer) {
    if (answer.redirect) return leave(answer.redirect);
    stop(answer.message);
    check.hidden = answer.status !== "lost";
  }

  /** Paid in another window, or in an app: then this page is over. */
  async function watch() {
    for (;;) {
      await wait(LOOK_EVERY_MS);
      if (document.hidden || leaving) continue;
      const seen = await fetch(settings.status).then((answer) => (answer.ok ? answer.json() : null), () => null);
      if (seen && !UNDECIDED.includes(seen.status)) return leave(settings.result);
    }
  }

  // A page that comes back from the browser's memory still believes that it is working.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  watch();

  return { button, settings, ready, rest, stop, unavailable, confirm, settle, leave };
})();
