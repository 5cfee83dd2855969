// The result page while it waits, and when it leads back to the shop.
"use strict";

(() => {
  const LOOK_EVERY_MS = 2000;
  const LOOKS = 15; // then the page is loaded anew, for which our server asks the gateway
  const FORWARD_S = 5;
  const { status, version, waiting, forward } = document.querySelector("#result").dataset;

  async function watch() {
    document.querySelector("#news").textContent = "This page looks again by itself.";
    for (let looks = 0; looks < LOOKS; ) {
      await new Promise((done) => setTimeout(done, LOOK_EVERY_MS));
      if (document.hidden) continue;
      looks += 1;
      const seen = await fetch(status).then((answer) => (answer.ok ? answer.json() : null), () => null);
      if (seen && String(seen.version) !== version) break;
    }
    location.reload();
  }

  /** Back to the shop after a moment, unless the customer wants to stay. */
  function lead() {
    const line = document.querySelector("#forward");
    const timer = setTimeout(() => location.assign(forward), FORWARD_S * 1000);
    line.querySelector("span").textContent = `You go back to the shop in ${FORWARD_S} seconds.`;
    line.querySelector("button").addEventListener("click", () => {
      clearTimeout(timer);
      line.textContent = "You can stay here as long as you like.";
    });
    line.hidden = false;
  }

  if (waiting === "true") watch();
  else if (forward) lead();
})();
