// Rewriting a response: the text is kept in this browser until it is saved, and what changed is shown beside it.
import { canDiff, clearDiff, showDiff } from "./diff.js";
import { me } from "./me.js";
import { newKey, post } from "./outbox.js";

const UNDO_S = 10;
const DIFF_MS = 200;
const holderOf = (form) => form.closest(".pair-view, .again");
const nameOf = (form) => `chosen.rewrite.${me()}.${form.getAttribute("action")}.${form.elements.side.value}`;
const originalOf = (form) => holderOf(form)?.querySelector(`.response.${form.closest(".rewrite").classList.contains("a") ? "a" : "b"} .text`);
let timer = 0;

function compare(form) {
  const preview = form.querySelector(".preview");
  const original = originalOf(form);
  preview.textContent = form.elements.text.value;
  preview.hidden = !canDiff() || !original;
  if (!preview.hidden) showDiff(original, preview);
}

document.addEventListener("toggle", (event) => {
  const form = event.target.matches?.(".rewrite") && event.target.querySelector("form");
  if (!form) return;
  if (!event.target.open) return clearDiff();
  const kept = localStorage.getItem(nameOf(form));
  if (kept !== null) form.elements.text.value = kept;
  compare(form);
  form.elements.text.focus();
}, true);

document.addEventListener("input", (event) => {
  const form = event.target.closest?.(".rewrite-form");
  if (!form) return;
  delete form.dataset.key; // another text than one that may have arrived unseen
  localStorage.setItem(nameOf(form), form.elements.text.value);
  clearTimeout(timer);
  timer = setTimeout(() => compare(form), DIFF_MS);
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches(".rewrite-form")) return;
  event.preventDefault();
  keep(event.target);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-take-back]");
  if (button) takeBack(button.closest("form"));
});

const bodyOf = (form) => new URLSearchParams([["side", form.elements.side.value], ["text", form.elements.text.value]]).toString();

function say(form, { status, data }) {
  const words = { offline: form.dataset.tOffline, login: form.dataset.tLogin };
  form.querySelector("[data-said]").textContent = words[status] ?? data?.message ?? data?.error?.message ?? "";
  form.querySelector("[data-said]").classList.toggle("bad", status !== "ok");
}

function settle(form, isKept) {
  form.elements.text.readOnly = isKept;
  form.querySelector("[data-keep]").hidden = isKept;
  form.querySelector("[data-take-back]").hidden = !isKept;
}

async function keep(form) {
  form.dataset.key ??= newKey();
  const result = await post(form.getAttribute("action"), bodyOf(form), form.dataset.key);
  say(form, result);
  if (result.status !== "ok") return;
  localStorage.removeItem(nameOf(form));
  settle(form, true);
  setTimeout(() => (form.querySelector("[data-take-back]").hidden = true), 1000 * UNDO_S);
}

async function takeBack(form) {
  form.dataset.undoKey ??= newKey();
  const result = await post(form.dataset.undo, bodyOf(form), form.dataset.undoKey);
  say(form, result);
  if (result.status !== "ok") return;
  delete form.dataset.key;
  delete form.dataset.undoKey;
  localStorage.setItem(nameOf(form), form.elements.text.value);
  settle(form, false);
}
