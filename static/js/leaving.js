// Log-out: what this browser alone knows is sent first, and the person is asked where that fails. What the server has
// is forgotten by the log-in page (entrance.js), so that the next person at this machine finds nothing.
import { Draft } from "./label/draft.js";
import { me } from "./label/me.js";
import { read } from "./label/store.js";

const PATIENCE_MS = 5000;
const namesIn = (storage, prefix) => Object.keys(storage).filter((name) => name.startsWith(prefix));

// The person's drafts, answers on their way and reasons that were begun: how many the server does not have.
function countUnsaved() {
  const boxes = namesIn(localStorage, "chosen.outbox.").map(read).filter((box) => box?.me === me());
  const reasons = namesIn(sessionStorage, `chosen.reason.${me()}.`).filter((name) => sessionStorage.getItem(name).trim());
  return Draft.unsaved().length + boxes.flatMap(({ items }) => items).length + reasons.length;
}

// The page sends what it holds itself: each listener adds its promise.
async function sendAll() {
  const promises = [];
  document.dispatchEvent(new CustomEvent("chosen:leaving", { detail: promises }));
  await Promise.allSettled(promises);
  await Draft.sendUnsaved();
}

export async function leave(form) {
  const button = form.querySelector("button");
  button.disabled = true; // once is enough
  await Promise.race([sendAll(), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  const count = countUnsaved();
  if (!count || window.confirm(form.dataset.tUnsaved.replace("{n}", count))) form.submit();
  else button.disabled = false;
}
