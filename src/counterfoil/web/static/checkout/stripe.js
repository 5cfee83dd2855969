// Stripe's fields: the browser makes a token of what the customer entered, and our server charges it.
"use strict";

(() => {
  const { settings, ready, rest, stop, unavailable, confirm, settle, leave } = window.checkout;
  if (!window.Stripe) return unavailable();

  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const colours = dark
    ? { colorPrimary: "#7fd8cb", colorBackground: "#18211f", colorText: "#e6eeeb", colorDanger: "#ffa79d" }
    : { colorPrimary: "#0b5f58", colorBackground: "#ffffff", colorText: "#16211f", colorDanger: "#a3241b" };
  const stripe = window.Stripe(settings.key);
  const elements = stripe.elements({
    mode: "payment",
    amount: settings.amount,
    currency: settings.currency.toLowerCase(),
    captureMethod: settings.capture,
    appearance: { theme: dark ? "night" : "stripe", variables: { ...colours, borderRadius: "9px" } },
  });
  const fields = elements.create("payment", { defaultValues: { billingDetails: settings.billing } });
  fields.on("ready", () => ready(pay));
  fields.on("loaderror", unavailable);
  fields.mount("#fields");

  async function pay() {
    const wrong = (await elements.submit()).error;
    if (wrong) return wrong.type === "validation_error" ? rest() : stop(wrong.message);
    const made = await stripe.createConfirmationToken({ elements, params: { return_url: settings.returning } });
    if (made.error) return stop(made.error.message);
    const answer = await confirm({ confirmation_token: made.confirmationToken.id });
    if (answer.status !== "next_action") return settle(answer);
    await stripe.handleNextAction({ clientSecret: answer.next_action.client_secret });
    leave(settings.result); // how it went, our server asks
  }
})();
