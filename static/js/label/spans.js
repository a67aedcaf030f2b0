// Marked passages: a selection in a response becomes a field of the answer's form, a quotation beside it, and colour.
// Keys select sentence by sentence.
import { highlight, quoteOf, rangeOf } from "../quotes.js";
import { Draft } from "./draft.js";
import { isTyping } from "./keys.js";
import { reveal } from "./scroll.js";
import { sentencesIn } from "./sentences.js";

const QUOTE_MAX = 500;
const MARKS_MAX = 20;
const SIDES = { left: "a", right: "b" };
const begun = new WeakSet();
let selected = null; // {holder, side, quote, nth}: what a press of the key would mark
let place = { holder: null, at: -1 }; // which sentence of which pair the keys have come to

const root = document.getElementById("label");
const holders = () => [...root.querySelectorAll(".pair-view, .again")].filter((holder) => holder.querySelector(".marks"));
const formOf = (holder) => holder.querySelector("form.dock, form.change");
const textOf = (holder, side) => holder.querySelector(`.response.${SIDES[side]} .text`);
const spansOf = (holder) => [...formOf(holder).querySelectorAll("[name=span]")].map(({ value }) => JSON.parse(value));

// A new pair on the desk: what was marked before comes from this browser, else from the server.
function begin(holder) {
  if (begun.has(holder)) return;
  begun.add(holder);
  const list = holder.querySelector(".marks");
  const stored = holder.dataset.uid ? Draft.newer(holder.dataset.uid)?.fields : null;
  const spans = stored ? stored.filter(([name]) => name === "span").map(([, value]) => JSON.parse(value)) : JSON.parse(list.dataset.spans);
  write(holder, spans);
}

function write(holder, spans) {
  const form = formOf(holder);
  for (const field of form.querySelectorAll("[name=span]")) field.remove();
  for (const span of spans) {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "span";
    field.setAttribute("value", JSON.stringify(span));
    form.append(field);
  }
  holder.querySelector(".mark-list").replaceChildren(...spans.map((span, index) => entry(holder, span, index)));
  draw();
}

function entry(holder, span, index) {
  const { dataset } = holder.querySelector(".marks");
  const item = document.createElement("li");
  item.className = `mark ${SIDES[span.side]}`;
  const quote = document.createElement("q");
  quote.textContent = span.quote;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "quiet small";
  remove.textContent = "×";
  remove.setAttribute("aria-label", dataset.tRemove);
  remove.addEventListener("click", () => change(holder, spansOf(holder).filter((_, at) => at !== index)));
  item.append(quote, ...reasonsOf(holder, span, index), remove);
  return item;
}

function reasonsOf(holder, span, index) {
  const { dataset } = holder.querySelector(".marks");
  const reasons = JSON.parse(dataset.reasons);
  if (!reasons.length) return [];
  const select = document.createElement("select");
  select.setAttribute("aria-label", dataset.tReason);
  for (const reason of ["", ...reasons]) select.add(new Option(reason || "–", reason, false, reason === span.reason));
  select.addEventListener("change", (event) => {
    event.stopPropagation();
    change(holder, spansOf(holder).map((other, at) => (at === index ? { ...other, reason: select.value } : other)));
  });
  return [select];
}

function change(holder, spans) {
  write(holder, spans);
  formOf(holder).dispatchEvent(new Event("input", { bubbles: true })); // the draft is kept
}

function draw() {
  for (const [side, tone] of Object.entries(SIDES)) {
    const ranges = holders().flatMap((holder) => {
      const text = textOf(holder, side);
      return text ? spansOf(holder).filter((span) => span.side === side).map((span) => rangeOf(text, span.quote, span.nth)) : [];
    });
    highlight(`mark-${tone}`, ranges);
  }
}

// What the keys are about: where something was selected last, else the pair on the desk.
function inSight() {
  const isSeen = (holder) => textOf(holder, "left")?.checkVisibility();
  return selected?.holder.isConnected ? selected.holder : holders().find(isSeen);
}

// Selects the next sentence, the one before, or the first of the other response.
function step(key) {
  const holder = inSight();
  if (!holder) return;
  const [left, right] = Object.keys(SIDES).map((side) => sentencesIn(textOf(holder, side), QUOTE_MAX));
  const all = [...left, ...right];
  const at = place.holder === holder ? place.at : -1;
  const next = { j: at + 1, k: at - 1, l: at < left.length ? left.length : 0 }[key];
  place = { holder, at: Math.max(0, Math.min(next, all.length - 1)) };
  const range = all[place.at];
  if (!range) return;
  document.getSelection().removeAllRanges();
  document.getSelection().addRange(range);
  remember();
  reveal(range);
  holder.querySelector("[data-spoken]").textContent = range.toString();
}

// The button takes the focus and some browsers the selection with it: what was selected last counts.
function remember() {
  const selection = document.getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return;
  const range = selection.getRangeAt(0);
  const element = range.commonAncestorContainer.parentElement;
  const text = element?.closest(".response .text") ?? element?.querySelector?.(":scope > .text");
  const holder = text?.closest(".pair-view, .again");
  selected = null;
  if (!holder?.querySelector(".marks") || !text.contains(range.startContainer) || !text.contains(range.endContainer)) return;
  const found = quoteOf(text, range);
  if (found && found.nth >= 0 && found.quote.length <= QUOTE_MAX) {
    selected = { holder, side: text.closest(".response").classList.contains("a") ? "left" : "right", ...found };
  }
}

function mark() {
  const holder = inSight();
  if (!holder) return;
  const { tNothing } = holder.querySelector(".marks").dataset;
  if (!selected?.holder.isConnected) {
    holder.querySelector("[data-hint]").textContent = tNothing;
    return;
  }
  const { side, quote, nth } = selected;
  const spans = spansOf(holder).filter((span) => span.side !== side || span.quote !== quote || span.nth !== nth);
  selected = null;
  document.getSelection().removeAllRanges();
  holder.querySelector("[data-hint]").textContent = "";
  if (spans.length < MARKS_MAX) change(holder, [...spans, { side, quote, nth, reason: "" }]);
}

document.addEventListener("selectionchange", remember);
document.addEventListener("click", (event) => event.target.closest("[data-mark]") && mark());
document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  if (!"jklm".includes(key) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target) || document.querySelector("[popover]:popover-open")) return;
  if (key !== "m") step(key);
  else if (!event.repeat) mark();
});

// Once the store has what the disk has.
export function wireSpans() {
  holders().forEach(begin);
  new MutationObserver(() => {
    holders().forEach(begin);
    draw();
  }).observe(root, { childList: true, subtree: true });
}
