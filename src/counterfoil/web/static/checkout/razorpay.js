// Razorpay's window: it takes the payment itself, and hands over a signature that our server checks.
"use strict";

(() => {
  const { button, settings, ready, rest, stop, unavailable, confirm, settle } = window.checkout;
  if (!window.Razorpay) return unavailable();

  async function pay() {
    let failed = false;
    const window_ = new window.Razorpay({
      key: settings.key,
      order_id: settings.order,
      amount: settings.amount,
      currency: settings.currency,
      name: settings.name,
      description: settings.description,
      prefill: settings.prefill,
      theme: { color: "#0b5f58" },
      modal: { ondismiss: () => dismissed(failed) },
      handler: async (signed) =>
        settle(
          await confirm({
            razorpay_order_id: signed.razorpay_order_id,
            razorpay_payment_id: signed.razorpay_payment_id,
            razorpay_signature: signed.razorpay_signature,
          }),
        ),
    });
    window_.on("payment.failed", () => (failed = true));
    window_.open();
  }

  function dismissed(failed) {
    if (failed) return stop("The payment did not go through. You can try again.");
    rest();
    button.focus();
  }

  ready(pay);
})();
