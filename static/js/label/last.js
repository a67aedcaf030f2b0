// The panel of the last answer: its texts again, ten seconds to undo it, the other voices.
import { element } from "./element.js";

let countdown = 0;

export const stopCountdown = () => clearInterval(countdown);

// The two texts of an answer, which the page holds already.
export const textsIn = (place) => place.querySelectorAll(".prompt, .pair");

export function showLast(place, html, texts) {
  const panel = html.trim() ? element(html) : null;
  panel?.querySelector("[data-texts]")?.replaceWith(...texts);
  place.replaceChildren(...(panel ? [panel] : []));
  wireLast(place);
}

export function wireLast(place) {
  const form = place.querySelector("form.undo");
  if (form) countDown(form);
  for (const panel of place.querySelectorAll("[data-panel]")) loadPanel(panel);
}

function countDown(form) {
  const end = Date.now() + 1000 * Number(form.dataset.seconds);
  const shown = form.querySelector(".countdown");
  const timer = (countdown = setInterval(() => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (!form.isConnected) return clearInterval(timer);
    shown.textContent = `${Math.max(left, 0)} ${shown.dataset.unit}`;
    if (left > 0) return;
    clearInterval(timer);
    form.remove();
  }, 250));
}

async function loadPanel(panel) {
  try {
    const response = await fetch(panel.dataset.panel, { headers: { "HX-Request": "true" } });
    if (response.ok && !response.redirected) panel.innerHTML = await response.text();
  } catch {
    // Offline: the link stays, and leads to the same panel.
  }
}
