// Rewriting a response: a draft like any answer's until it is saved, and what changed is shown beside it.
import { canDiff, clearDiff, showDiff } from "./diff.js";
import { Draft } from "./draft.js";
import { newKey, Outbox, post } from "./outbox.js";

const UNDO_S = 10;
const DIFF_MS = 200;
const drafts = new WeakMap(); // form -> its draft, once it was opened or restored
const root = document.getElementById("label");
const forms = () => [...root.querySelectorAll(".rewrite-form")];
const holderOf = (form) => form.closest(".pair-view, .again");
const originalOf = (form) => holderOf(form)?.querySelector(`.response.${form.closest(".rewrite").classList.contains("a") ? "a" : "b"} .text`);
let timer = 0;

function draftOf(form) {
  if (!drafts.has(form)) drafts.set(form, new Draft(form.dataset.kept, form));
  return drafts.get(form);
}

function compare(form) {
  const preview = form.querySelector(".preview");
  const original = originalOf(form);
  preview.textContent = form.elements.text.value;
  preview.hidden = !canDiff() || !original;
  if (!preview.hidden) showDiff(original, preview);
}

// What this browser alone has of texts that were not saved.
function restoreRewrites() {
  for (const form of forms()) {
    if (drafts.has(form) || !Draft.newer(form.dataset.kept)) continue;
    form.closest(".rewrite").classList.add("begun");
    draftOf(form).resend();
  }
}

// Once the store has what the disk has.
export function wireRewrites() {
  restoreRewrites();
  new MutationObserver(restoreRewrites).observe(root, { childList: true, subtree: true });
  outbox.flush();
}

document.addEventListener("toggle", (event) => {
  const form = event.target.matches?.(".rewrite") && event.target.querySelector("form");
  if (!form) return;
  if (!event.target.open) return clearDiff();
  draftOf(form);
  compare(form);
  form.elements.text.focus();
}, true);

document.addEventListener("input", (event) => {
  const form = event.target.closest?.(".rewrite-form");
  if (!form) return;
  outbox.drop(form.dataset.kept);
  const draft = draftOf(form);
  draft.key = newKey(); // another text than one that may have arrived unseen
  draft.save();
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

addEventListener("pagehide", () => {
  for (const form of forms()) if (drafts.get(form)?.timer) drafts.get(form).leave();
});

document.addEventListener("chosen:leaving", ({ detail }) => detail.push(outbox.settle()));

function say(form, words, isBad = true) {
  form.querySelector("[data-said]").textContent = words;
  form.querySelector("[data-said]").classList.toggle("bad", isBad);
}

function settle(form, isKept) {
  form.closest(".rewrite").classList.toggle("begun", !isKept);
  form.elements.text.readOnly = isKept;
  form.querySelector("[data-keep]").hidden = isKept;
  form.querySelector("[data-take-back]").hidden = !isKept;
}

const formOf = ({ uid }) => forms().find((form) => form.dataset.kept === uid);

const outbox = new Outbox(`rewrite.${root.dataset.labeler}`, {
  extra: () => "",
  onSaved(item, data) {
    Draft.forget(item.uid);
    const form = formOf(item);
    if (!form) return;
    draftOf(form).key = newKey();
    draftOf(form).sent = performance.timeOrigin;
    say(form, data.message, false);
    settle(form, true);
    setTimeout(() => (form.querySelector("[data-take-back]").hidden = true), 1000 * UNDO_S);
  },
  onRefused(item, error) {
    Draft.renew(item.uid);
    const form = formOf(item);
    const words = error.message ?? root.dataset.tGone;
    if (form) {
      draftOf(form).key = newKey();
      return say(form, words);
    }
    const lost = root.querySelector(".lost");
    lost.querySelector("b").textContent = `${root.dataset.tNotSaved} ${words}`;
    lost.querySelector("blockquote").textContent = new URLSearchParams(item.body).get("text");
    lost.querySelector("blockquote").hidden = lost.hidden = false;
  },
  onState(state) {
    for (const item of outbox.items()) {
      const form = formOf(item);
      if (form && state === "offline") say(form, form.dataset.tOffline);
      if (form && state === "login") say(form, form.dataset.tLogin);
    }
    if (state === "idle") for (const form of forms()) drafts.get(form)?.resend();
  },
});

function keep(form) {
  const draft = draftOf(form);
  if (outbox.has(draft.uid)) return;
  draft.stop();
  draft.store();
  outbox.add({ uid: draft.uid, url: form.getAttribute("action"), key: draft.key, body: draft.body().toString() });
}

async function takeBack(form) {
  form.dataset.undoKey ??= newKey();
  const { status, data } = await post(form.dataset.undo, draftOf(form).body().toString(), form.dataset.undoKey);
  if (status !== "ok") return say(form, { offline: root.dataset.tNoAnswer, login: root.dataset.tLogin }[status] ?? data?.error?.message ?? "");
  delete form.dataset.undoKey;
  settle(form, false);
  say(form, data.message, false);
  draftOf(form).save();
}
