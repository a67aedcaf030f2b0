// Log-out: what this browser alone knows is sent first, and the person is asked where that fails. What the server has
// is forgotten by the log-in page (entrance.js), so that the next person at this machine finds nothing.
import { Draft } from "./label/draft.js";
import { read } from "./label/store.js";

const PATIENCE_MS = 5000;
const namesIn = (storage, prefix) => Object.keys(storage).filter((name) => name.startsWith(prefix));

// Drafts, answers on their way, rewrites and reasons that were begun: how many the server does not have.
function countUnsaved() {
  const answers = namesIn(localStorage, "chosen.outbox.").reduce((sum, name) => sum + (read(name)?.items?.length ?? 0), 0);
  const reasons = namesIn(sessionStorage, "chosen.reason.").filter((name) => sessionStorage.getItem(name).trim());
  return Draft.unsaved().length + answers + namesIn(localStorage, "chosen.rewrite.").length + reasons.length;
}

// The page sends what it holds itself: each listener adds its promise.
async function sendAll() {
  const promises = [];
  document.dispatchEvent(new CustomEvent("chosen:leaving", { detail: promises }));
  await Promise.allSettled(promises);
  await Draft.sendUnsaved();
}

export async function leave(form) {
  await Promise.race([sendAll(), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  const count = countUnsaved();
  if (!count || window.confirm(form.dataset.tUnsaved.replace("{n}", count))) form.submit();
}
