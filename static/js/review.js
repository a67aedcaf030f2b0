// The review desk by keys: a step is chosen, a reason written, Enter settles and goes on to the next.
import { wireDiff } from "./label/diff.js";
import { me } from "./label/me.js";

const dock = document.querySelector(".desk-dock");
const form = dock?.querySelector("form.settle");
const reason = form?.querySelector("textarea[name=reason]");
const hint = form?.querySelector(".desk-hint");
const buttons = form ? [...form.querySelectorAll("button[name=choice]")] : [];
const back = document.querySelector(".back-menu");
const chosen = () => buttons.find((button) => button.getAttribute("aria-pressed") === "true");

function say(text) {
  hint.textContent = text;
  hint.hidden = !text;
}

function choose(value, { write = true } = {}) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.value === value));
  say("");
  if (write) reason.focus();
}

// Draft of the reason: a reload or a log-in in between loses nothing, and nobody else at this machine is shown it.
const draftName = form ? `chosen.reason.${me()}.${new URL(form.action).pathname}` : "";

function settle() {
  const choice = chosen();
  const isWritten = reason.value.trim() !== "";
  dock.classList.toggle("missing-reason", Boolean(choice) && !isWritten);
  if (!choice) return say(hint.dataset.tChoice);
  if (!isWritten) {
    say(hint.dataset.tReason);
    return reason.focus();
  }
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name: "choice", value: choice.value });
  form.append(field);
  form.requestSubmit();
}

if (form) {
  form.querySelector("[data-settle]").hidden = false;
  form.querySelector("[data-settle]").addEventListener("click", settle);
  for (const button of buttons) {
    button.type = "button";
    button.addEventListener("click", () => choose(button.value));
  }
  // The key makes a double click, or a second try after a lost answer, one settlement.
  const key = document.createElement("input");
  Object.assign(key, { type: "hidden", name: "idempotency_key", value: newKey() });
  form.append(key);
  if (!reason.value) reason.value = sessionStorage.getItem(draftName) ?? "";
  reason.addEventListener("input", () => {
    dock.classList.remove("missing-reason");
    if (hint.textContent === hint.dataset.tReason) say("");
    sessionStorage.setItem(draftName, reason.value);
  });
  form.addEventListener("submit", () => sessionStorage.removeItem(draftName));
}

// randomUUID asks for HTTPS; a lab's server may have none.
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function toggleBack() {
  back.open = !back.open;
  if (back.open) back.querySelector("input, textarea").focus();
}

function toggleHistory() {
  const fold = document.querySelector(".history-fold");
  fold.open = !fold.open;
  if (fold.open) fold.scrollIntoView({ block: "nearest" });
}

const diff = wireDiff();

const follow = (key) => document.querySelector(`a[data-key=${key}]`)?.click();
const actions = {
  j: () => follow("j"),
  k: () => follow("k"),
  d: diff,
  h: toggleHistory,
  "?": () => document.getElementById("shortcuts").togglePopover(),
  ...(form && {
    t: () => choose("tie"),
    x: () => choose("both_bad"),
    r: () => reason.focus(),
    b: toggleBack,
    c: () => document.querySelector(".comment-form textarea").focus(),
  }),
};

const isTyping = (target) => target.matches?.("textarea, select, input:not([type=checkbox], [type=radio])");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape") event.target.blur();
    // Enter that ends a composed Chinese word is no answer.
    const isComposing = event.isComposing || event.keyCode === 229;
    if (event.target === reason && event.key === "Enter" && !event.shiftKey && !isComposing) {
      event.preventDefault();
      settle();
    }
    return;
  }
  const key = event.key.toLowerCase();
  if (document.querySelector("[popover]:popover-open") && key !== "?") return;
  const digit = /^(?:Digit|Numpad)([1-8])$/.exec(event.code)?.[1];
  if (form && digit && !event.shiftKey) {
    event.preventDefault();
    return choose(digit);
  }
  if (form && key === "enter" && !event.target.closest?.("a, button, summary")) return settle();
  if (actions[key]) {
    event.preventDefault();
    actions[key]();
  }
});
