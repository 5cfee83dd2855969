/*
 * The sandbox's stand-in for Razorpay's checkout.js.
 *
 *   const checkout = new Razorpay({key, order_id, amount, currency, name, description, prefill, notes,
 *                                  handler(response), modal: {ondismiss(), escape}, callback_url, theme: {color}});
 *   checkout.on("payment.failed", ({error}) => …);
 *   checkout.open();
 *
 * It draws a modal dialog in a shadow root, so that it and the page cannot disturb one another, and asks the sandbox
 * it was loaded from what the bank says. Its styles are a constructed sheet: a page whose policy forbids inline styles
 * can use it. The policy must allow this origin for scripts and for connections.
 */
(() => {
  "use strict";

  const SANDBOX = new URL(".", document.currentScript.src);
  const ASK_AGAIN_MS = 2000;

  const CARDS = {
    "4100 2800 0000 1007": "approved",
    "4100 2800 0008 0001": "insufficient funds",
    "4100 2800 0006 0003": "declined",
    "4100 2800 0009 0000": "times out",
  };
  const UPI_IDS = {
    "success@razorpay": "approved",
    "failure@razorpay": "fails",
    "pending@razorpay": "the bank does not answer yet",
    "retry@razorpay": "fails, then succeeds in the app",
  };
  const BANKS = {
    HDFC: "HDFC Bank",
    ICIC: "ICICI Bank",
    SBIN: "State Bank of India",
    UTIB: "Axis Bank",
    KKBK: "Kotak Mahindra Bank",
  };
  const WALLETS = {
    mobikwik: "MobiKwik",
    olamoney: "Ola Money",
    airtelmoney: "Airtel Money",
    payzapp: "PayZapp",
  };
  const NO_ANSWER =
    "No answer came. The payment may still go through: look whether it did before you pay again.";

  const STYLE = `
    :host { --ground: #fff; --text: #1b2430; --quiet: #4a5568; --line: #7a8699; --accent: #1b58b3;
            --on-accent: #fff; --alarm: #a3201a; --stripe: var(--accent); }
    @media (prefers-color-scheme: dark) {
      :host { --ground: #161b22; --text: #e6edf3; --quiet: #b3bdc9; --line: #8a95a3; --accent: #8abaff;
              --on-accent: #0b1520; --alarm: #ffa79f; }
    }
    * { box-sizing: border-box; }
    dialog { width: min(27rem, calc(100vw - 2rem)); max-height: calc(100vh - 2rem); padding: 0; border: 1px solid var(--line);
             border-top: .4rem solid var(--stripe); border-radius: .6rem; background: var(--ground); color: var(--text);
             font: 1rem/1.45 system-ui, sans-serif; overflow: auto; }
    dialog::backdrop { background: rgb(10 15 25 / .6); }
    header, form { padding: 1rem 1.25rem; }
    header { display: grid; grid-template-columns: 1fr auto; gap: .1rem 1rem; border-bottom: 1px solid var(--line); }
    h2 { margin: 0; font-size: 1.1rem; }
    p { margin: 0; }
    .quiet { color: var(--quiet); font-size: .875rem; }
    ul { margin: 0; padding-left: 1.1rem; }
    code { font: inherit; font-variant-numeric: tabular-nums; }
    header p { grid-column: 1 / -1; }
    .amount { font-size: 1.4rem; font-weight: 600; font-variant-numeric: tabular-nums; }
    .close { grid-area: 1 / 2; width: 2.25rem; height: 2.25rem; border: 1px solid transparent; border-radius: .4rem;
             background: none; color: inherit; font: inherit; font-size: 1.4rem; line-height: 1; cursor: pointer; }
    [role=tablist] { display: flex; flex-wrap: wrap; gap: .25rem; margin-bottom: 1rem; }
    [role=tab] { flex: 1; min-height: 2.5rem; padding: .35rem .5rem; border: 1px solid var(--line); border-radius: .4rem;
                 background: none; color: inherit; font: inherit; font-size: .9rem; cursor: pointer; }
    [role=tab][aria-selected=true] { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
    [role=tabpanel] { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
    [role=tabpanel][hidden] { display: none; }
    .wide, fieldset { grid-column: 1 / -1; }
    label { display: grid; gap: .2rem; font-size: .9rem; }
    input:not([type=radio]), select { width: 100%; min-height: 2.5rem; padding: .4rem .6rem; border: 1px solid var(--line);
                    border-radius: .4rem; background: var(--ground); color: inherit; font: inherit; }
    fieldset { margin: 0; padding: .4rem .75rem .6rem; border: 1px solid var(--line); border-radius: .4rem; }
    fieldset label { display: inline-flex; align-items: center; gap: .4rem; margin-right: 1rem; }
    legend { font-size: .9rem; }
    .pay { width: 100%; min-height: 2.9rem; margin-top: 1rem; border: 0; border-radius: .4rem; background: var(--accent);
           color: var(--on-accent); font: inherit; font-weight: 600; cursor: pointer; }
    .pay[aria-disabled=true] { cursor: progress; }
    .alarm { color: var(--alarm); font-weight: 600; }
    .alarm:not(:empty), .news:not(:empty) { margin-top: .75rem; }
    :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
  `;

  /** An element with attributes and children; a child that is a string becomes text. */
  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /** "₹499.00" for 49900 INR. The decimal point is set in the text: no fraction is computed. */
  function amountText(minor, currency) {
    const format = new Intl.NumberFormat("en-IN", { style: "currency", currency });
    const places = format.resolvedOptions().maximumFractionDigits;
    const digits = String(minor).padStart(places + 1, "0");
    const point = digits.length - places;
    return format.format(places ? `${digits.slice(0, point)}.${digits.slice(point)}` : digits);
  }

  function field(label, name, attributes) {
    return make("label", { class: attributes.class ?? "wide" }, label, make("input", { name, required: "", ...attributes }));
  }

  function suggestions(id, values) {
    const options = Object.entries(values).map(([value, what]) => make("option", { value, label: `${value} (${what})` }));
    return make("datalist", { id }, ...options);
  }

  function hint(id, values) {
    const lines = Object.entries(values).map(([value, what]) => make("li", {}, make("code", {}, value), `: ${what}`));
    return make("div", { id, class: "wide quiet" }, "Test values:", make("ul", {}, ...lines));
  }

  function choice(label, name, values) {
    const options = Object.entries(values).map(([value, text]) => make("option", { value }, text));
    return make("label", { class: "wide" }, label, make("select", { name }, ...options));
  }

  /** The bank's or the wallet's own page, on which the customer agrees or does not. */
  function theirPage(name, legend) {
    const button = (value, text, more) =>
      make("label", {}, make("input", { type: "radio", name, value, ...more }), text);
    const [approve, decline] = [button("success", "Approve", { checked: "" }), button("failure", "Decline", {})];
    return make("fieldset", {}, make("legend", {}, legend), approve, decline);
  }

  const TABS = [
    {
      id: "card",
      label: "Card",
      draw: () => [
        field("Card number", "number", {
          inputmode: "numeric",
          autocomplete: "cc-number",
          list: "cards",
          "aria-describedby": "card-hint",
        }),
        suggestions("cards", CARDS),
        field("Expiry (MM/YY)", "expiry", { class: "half", inputmode: "numeric", autocomplete: "cc-exp" }),
        field("CVV", "cvv", { class: "half", inputmode: "numeric", autocomplete: "cc-csc", maxlength: "4" }),
        field("Name on card", "name", { autocomplete: "cc-name" }),
        hint("card-hint", CARDS),
      ],
      read: ({ number, expiry, cvv, name }) => ({ method: "card", card: { number, expiry, cvv, name } }),
    },
    {
      id: "upi",
      label: "UPI",
      draw: () => [
        field("UPI ID", "vpa", {
          autocapitalize: "none",
          autocomplete: "off",
          spellcheck: "false",
          list: "upi-ids",
          "aria-describedby": "upi-hint",
        }),
        suggestions("upi-ids", UPI_IDS),
        hint("upi-hint", UPI_IDS),
      ],
      read: (values) => ({ method: "upi", vpa: values.vpa }),
    },
    {
      id: "netbanking",
      label: "Netbanking",
      draw: () => [choice("Bank", "bank", BANKS), theirPage("at-bank", "On the bank's page")],
      read: (values) => ({ method: "netbanking", bank: values.bank, simulate: values["at-bank"] }),
    },
    {
      id: "wallet",
      label: "Wallet",
      draw: () => [choice("Wallet", "wallet", WALLETS), theirPage("at-wallet", "On the wallet's page")],
      read: (values) => ({ method: "wallet", wallet: values.wallet, simulate: values["at-wallet"] }),
    },
  ];

  /** Post to the sandbox, or get from it. Anything but a JSON object throws: then nobody knows what became of it. */
  async function ask(path, body) {
    const request = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(new URL(path, SANDBOX), request);
    const answer = await response.json();
    if (typeof answer !== "object" || answer === null) throw new TypeError("the answer is no object");
    return answer;
  }

  /** The dialog of one open checkout. `events` has succeeded(response), failed(response) and dismissed(). */
  class Dialog {
    #options;
    #events;
    #host = make("div", { "data-razorpay-checkout": "" });
    #dialog;
    #form;
    #pay;
    #alarm = make("p", { class: "alarm", role: "alert" });
    #news = make("p", { class: "news", role: "status" });
    #tab = TABS[0];
    #busy = false;
    #done = false;

    constructor(options, events) {
      this.#options = options;
      this.#events = events;
      this.#draw();
      document.body.append(this.#host);
      this.#dialog.showModal();
      this.#choose(TABS.find((tab) => tab.id === options.prefill?.method) ?? TABS[0]);
      this.#shown().querySelector("input, select").focus();
    }

    /** Leave the page. Nothing more is told to it. */
    end() {
      this.#done = true;
      this.#dialog.close();
      this.#host.remove();
    }

    #draw() {
      const root = this.#host.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
      if (CSS.supports("color", this.#options.theme?.color ?? "")) {
        this.#host.style.setProperty("--stripe", this.#options.theme.color);
      }
      const facts = { role: "dialog", "aria-modal": "true", "aria-labelledby": "title" };
      this.#dialog = make("dialog", facts, this.#header(), this.#body());
      this.#dialog.addEventListener("cancel", (event) => this.#cancel(event));
      this.#dialog.addEventListener("keydown", (event) => this.#keepFocus(event));
      root.append(this.#dialog);
    }

    #header() {
      const close = make("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
      close.addEventListener("click", () => this.#dismiss());
      const { name, description } = this.#options;
      return make(
        "header",
        {},
        make("h2", { id: "title" }, name ? `Pay ${name}` : "Pay"),
        close,
        make("p", { class: "amount" }, this.#amount()),
        ...(description ? [make("p", { class: "quiet" }, description)] : []),
        make("p", { class: "quiet" }, "Sandbox: no money moves."),
      );
    }

    #amount() {
      return amountText(this.#options.amount, this.#options.currency ?? "INR");
    }

    #body() {
      const drawn = TABS.map((tab) => this.#drawTab(tab));
      const tabs = make("div", { role: "tablist", "aria-label": "Payment method" }, ...drawn);
      const panels = TABS.map((tab) =>
        make("div", { role: "tabpanel", id: `panel-${tab.id}`, "aria-labelledby": `tab-${tab.id}` }, ...tab.draw()),
      );
      this.#pay = make("button", { type: "submit", class: "pay" }, `Pay ${this.#amount()}`);
      this.#form = make("form", { autocomplete: "on" }, tabs, ...panels, this.#pay, this.#alarm, this.#news);
      this.#form.addEventListener("submit", (event) => {
        event.preventDefault();
        this.#submit();
      });
      this.#prefill();
      return this.#form;
    }

    #drawTab(tab) {
      const facts = { type: "button", role: "tab", id: `tab-${tab.id}`, "aria-controls": `panel-${tab.id}` };
      const drawn = make("button", facts, tab.label);
      drawn.addEventListener("click", () => this.#choose(tab));
      drawn.addEventListener("keydown", (event) => this.#walkTabs(event, tab));
      return drawn;
    }

    #prefill() {
      const { name = "", vpa = "" } = this.#options.prefill ?? {};
      this.#form.elements.name.value = name;
      this.#form.elements.vpa.value = vpa;
    }

    /** Show one panel. The fields of the others are disabled, so that they are neither checked nor sent. */
    #choose(chosen) {
      this.#tab = chosen;
      this.#alarm.textContent = "";
      for (const tab of TABS) {
        const selected = tab === chosen;
        const button = this.#form.querySelector(`#tab-${tab.id}`);
        button.setAttribute("aria-selected", String(selected));
        button.tabIndex = selected ? 0 : -1;
        const panel = this.#form.querySelector(`#panel-${tab.id}`);
        panel.hidden = !selected;
        for (const input of panel.querySelectorAll("input, select")) input.disabled = !selected;
      }
    }

    #shown() {
      return this.#form.querySelector(`#panel-${this.#tab.id}`);
    }

    #walkTabs(event, tab) {
      const last = TABS.length - 1;
      const at = TABS.indexOf(tab);
      const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.#choose(TABS[to]);
      this.#form.querySelector(`#tab-${TABS[to].id}`).focus();
    }

    /** Tab goes round inside the dialog. */
    #keepFocus(event) {
      if (event.key !== "Tab") return;
      const reachable = [...this.#dialog.querySelectorAll("button, input, select")].filter(
        (element) => !element.disabled && element.tabIndex >= 0 && element.checkVisibility(),
      );
      const [first, last] = [reachable[0], reachable[reachable.length - 1]];
      const leaving = event.shiftKey ? first : last;
      if (this.#host.shadowRoot.activeElement !== leaving) return;
      event.preventDefault();
      (event.shiftKey ? last : first).focus();
    }

    #cancel(event) {
      event.preventDefault();
      if (this.#options.modal?.escape !== false) this.#dismiss();
    }

    #dismiss() {
      this.end();
      this.#events.dismissed();
    }

    async #submit() {
      if (this.#busy) return;
      this.#work(true, "Asking the bank…");
      const values = Object.fromEntries(new FormData(this.#form));
      const { key, order_id, description, prefill, notes } = this.#options;
      const said = { email: prefill?.email, contact: prefill?.contact, description, notes };
      await this.#settle(ask("checkout/pay", { key, order_id, ...said, ...this.#tab.read(values) }));
    }

    /** What the sandbox says, when it says it. */
    async #settle(asked) {
      let answer;
      try {
        answer = await asked;
      } catch {
        answer = null;
      }
      if (this.#done) return;
      if (answer === null) this.#warn(NO_ANSWER);
      else if (answer.error) this.#fail(answer);
      else if (answer.status === "created") this.#wait(answer.razorpay_payment_id);
      else this.#succeed(answer);
    }

    #wait(paymentId) {
      this.#work(true, "The bank has not answered yet. This window will tell you when it does.");
      const question = `checkout/payments/${paymentId}?key=${encodeURIComponent(this.#options.key)}`;
      setTimeout(() => this.#done || this.#settle(ask(question)), ASK_AGAIN_MS);
    }

    #succeed(answer) {
      this.end();
      this.#events.succeeded(answer);
    }

    #fail(answer) {
      // Where no payment was made, the request itself was not possible: trying again would not help.
      const said = answer.error.description.replace(/\.?$/, ".");
      this.#warn(answer.error.metadata.payment_id ? `${said} You can try again.` : said);
      this.#events.failed(answer);
    }

    #warn(text) {
      this.#work(false, "");
      this.#alarm.textContent = text;
    }

    #work(busy, news) {
      this.#busy = busy;
      this.#pay.setAttribute("aria-disabled", String(busy));
      this.#alarm.textContent = "";
      this.#news.textContent = news;
    }
  }

  /** Go to the merchant's own address with the result, as a form would. */
  function submitTo(address, values) {
    const inputs = Object.entries(values).map(([name, value]) => make("input", { type: "hidden", name, value }));
    const form = make("form", { method: "post", action: address, hidden: "" }, ...inputs);
    document.body.append(form);
    form.submit();
  }

  class Razorpay {
    #options;
    #listeners = new Map();
    #dialog = null;

    constructor(options) {
      for (const name of ["key", "order_id", "amount"]) {
        if (!options?.[name]) throw new TypeError(`Razorpay needs the option ${name}`);
      }
      this.#options = options;
    }

    /** Listen to "payment.failed", or to "payment.success". */
    on(event, listener) {
      this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    }

    open() {
      this.#dialog ??= new Dialog(this.#options, {
        succeeded: (response) => this.#succeeded(response),
        failed: (response) => this.#tell("payment.failed", response),
        dismissed: () => this.#dismissed(),
      });
    }

    close() {
      this.#dialog?.end();
      this.#dialog = null;
    }

    #succeeded(response) {
      this.#dialog = null;
      this.#tell("payment.success", response);
      if (this.#options.callback_url) submitTo(this.#options.callback_url, response);
      else this.#options.handler?.(response);
    }

    #dismissed() {
      this.#dialog = null;
      this.#options.modal?.ondismiss?.();
    }

    #tell(event, response) {
      for (const listener of this.#listeners.get(event) ?? []) listener(response);
    }
  }

  window.Razorpay = Razorpay;
})();
