// A stand-in for Stripe.js, for pages that collect a card first and let the server confirm.
(() => {
  "use strict";
  const api = new URL(document.currentScript.src).href.replace(/\/js([?#].*)?$/, "");
  let drawn = 0;

  // A constructed sheet: a page's content security policy may forbid style elements.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    .sandbox-card { display: grid; gap: .75rem; grid-template-columns: 1fr 1fr; border: 0; margin: 0; padding: 0; min-width: 0; }
    .sandbox-card legend { font-weight: 600; padding: 0 0 .5rem; }
    .sandbox-card .wide { grid-column: 1 / -1; }
    .sandbox-card label { display: block; font-size: .9em; margin-bottom: .25rem; }
    .sandbox-card input { font: inherit; width: 100%; box-sizing: border-box; padding: .6rem .7rem; border: 1px solid #767676; border-radius: .4rem; background: Field; color: FieldText; }
    .sandbox-card input:focus-visible { outline: 3px solid #2563eb; outline-offset: 1px; }
    .sandbox-card input[aria-invalid="true"] { border: 2px solid currentColor; }
    .sandbox-card .error { min-height: 1.4em; margin: 0; font-weight: 600; }
    .sandbox-card .hint { margin: 0; font-size: .85em; }`);
  document.adoptedStyleSheets.push(sheet);

  const FIELDS = [
    {name: "number", label: "Card number", wide: true, complete: "cc-number", mode: "numeric",
      valid: (v) => v.replace(/\s/g, "").length >= 12, problem: "Your card number is incomplete."},
    {name: "expiry", label: "Expiry date (MM / YY)", complete: "cc-exp", mode: "numeric",
      valid: (v) => /^\s*\d{1,2}\s*\/\s*(\d{2}|\d{4})\s*$/.test(v), problem: "Your card's expiry date is incomplete."},
    {name: "cvc", label: "Security code (CVC)", complete: "cc-csc", mode: "numeric",
      valid: (v) => /^\s*\d{3,4}\s*$/.test(v), problem: "Your card's security code is incomplete."},
  ];

  const make = (tag, facts = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(facts)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };

  class PaymentElement {
    #inputs = {};
    #listeners = {};
    #root = null;
    #error = null;

    mount(where) {
      const target = typeof where === "string" ? document.querySelector(where) : where;
      if (!target) throw new Error(`There is no element ${where} to mount the payment element on.`);
      const prefix = `sandbox-card-${++drawn}`;
      this.#error = make("p", {class: "wide error", id: `${prefix}-error`, role: "alert"});
      const hint = make("p", {class: "wide hint", id: `${prefix}-hint`},
        "Sandbox. 4242 4242 4242 4242 is paid, 4000 0000 0000 0002 is declined, 4000 0000 0000 3220 asks for 3D Secure.");
      this.#root = make("fieldset", {class: "sandbox-card", "aria-describedby": hint.id},
        make("legend", {}, "Card"),
        ...FIELDS.map((field) => this.#field(field, prefix)), this.#error, hint);
      target.replaceChildren(this.#root);
      queueMicrotask(() => this.#tell("ready", {elementType: "payment"}));
      return this;
    }

    #field({name, label, wide, complete, mode}, prefix) {
      const input = make("input", {id: `${prefix}-${name}`, name: `${prefix}-${name}`, type: "text", inputmode: mode,
        autocomplete: complete, "aria-describedby": `${prefix}-error`});
      input.addEventListener("input", () => this.#tell("change",
        {elementType: "payment", complete: this.problem() === null, empty: this.empty(), value: {type: "card"}}));
      this.#inputs[name] = input;
      return make("div", wide ? {class: "wide"} : {}, make("label", {for: input.id}, label), input);
    }

    empty() { return Object.values(this.#inputs).every((input) => !input.value.trim()); }

    problem() { return FIELDS.find((field) => !field.valid(this.#inputs[field.name].value)) ?? null; }

    // Says what is wrong, at the field, and moves there; or takes it back.
    complain(field, message) {
      for (const input of Object.values(this.#inputs)) input.removeAttribute("aria-invalid");
      this.#error.textContent = message ?? "";
      if (!field) return;
      this.#inputs[field].setAttribute("aria-invalid", "true");
      this.#inputs[field].focus();
    }

    card() {
      const [month, year] = this.#inputs.expiry.value.split("/").map((part) => part.trim());
      return {number: this.#inputs.number.value.replace(/\s/g, ""), exp_month: month, exp_year: year,
        cvc: this.#inputs.cvc.value.trim()};
    }

    on(event, listener) { (this.#listeners[event] ??= []).push(listener); return this; }
    off(event, listener) { this.#listeners[event] = (this.#listeners[event] ?? []).filter((one) => one !== listener); return this; }
    #tell(event, facts) { for (const listener of this.#listeners[event] ?? []) listener(facts); }
    focus() { this.#inputs.number?.focus(); }
    update() { return this; }
    unmount() { this.#root?.remove(); }
    destroy() { this.unmount(); }
  }

  class Elements {
    #element = null;
    submitted = false;

    constructor(options) {
      const {mode, amount, currency} = options ?? {};
      if (mode !== "payment" || !Number.isInteger(amount) || typeof currency !== "string")
        throw new Error("elements() takes mode 'payment', an amount in minor units and a currency.");
      this.options = options;
    }

    create(kind) {
      if (kind !== "payment") throw new Error("This stand-in draws the payment element only.");
      this.#element = new PaymentElement();
      return this.#element;
    }

    getElement(kind) { return kind === "payment" ? this.#element : null; }
    update(options) { Object.assign(this.options, options); }

    async submit() {
      const wrong = this.#element.problem();
      this.submitted = wrong === null;
      this.#element.complain(wrong?.name, wrong?.problem);
      if (wrong) return {error: {type: "validation_error", code: `incomplete_${wrong.name}`, message: wrong.problem}};
      return {selectedPaymentMethod: "card"};
    }
  }

  // {card: {number: 1}} as card[number]=1
  const encode = (value, name = "") => Object.entries(value).flatMap(([key, inner]) => {
    const path = name ? `${name}[${key}]` : key;
    if (inner === undefined || inner === null) return [];
    return typeof inner === "object" ? encode(inner, path) : [[path, String(inner)]];
  });

  const request = async (key, method, path, body) => {
    try {
      const answer = await fetch(api + path, {method, headers: {Authorization: `Bearer ${key}`},
        body: body && new URLSearchParams(encode(body))});
      return await answer.json();
    } catch (error) {
      return {error: {type: "api_connection_error", message: "The payment service cannot be reached. Try again."}};
    }
  };

  window.Stripe = (key) => {
    if (!/^pk_/.test(key)) throw new Error("Stripe() takes a publishable key: it begins with pk_.");
    return {
      elements: (options) => new Elements(options),

      createConfirmationToken: async ({elements, params = {}}) => {
        if (!elements.submitted)
          return {error: {type: "validation_error", message: "Call elements.submit() first."}};
        const element = elements.getElement("payment");
        const {payment_method_data: data = {}, ...rest} = params;
        const made = await request(key, "POST", "/v1/confirmation_tokens",
          {...rest, payment_method_data: {...data, type: "card", card: element.card()}});
        if (!made.error) return {confirmationToken: made};
        const field = {number: "number", cvc: "cvc"}[made.error.param] ?? (/^exp_/.test(made.error.param) ? "expiry" : null);
        element.complain(field, made.error.message);
        return {error: made.error};
      },

      retrievePaymentIntent: async (secret) => {
        const id = secret.split("_secret_")[0];
        const found = await request(key, "GET", `/v1/payment_intents/${id}?client_secret=${encodeURIComponent(secret)}`);
        return found.error ? {error: found.error} : {paymentIntent: found};
      },

      // Leaves the page for the bank's; resolves only where there is nothing to do.
      async handleNextAction({clientSecret}) {
        const {paymentIntent, error} = await this.retrievePaymentIntent(clientSecret);
        if (error) return {error};
        const action = paymentIntent.next_action;
        if (paymentIntent.status !== "requires_action" || !action) return {paymentIntent};
        location.assign(action.redirect_to_url?.url ?? action.use_stripe_sdk.stripe_js);
        return new Promise(() => {});
      },
    };
  };
  window.Stripe.version = "sandbox";
})();
