// Marked passages: a selection in a response becomes a field of the answer's form, a quotation beside it, and colour.
import { highlight, quoteOf, rangeOf } from "../quotes.js";
import { Draft } from "./draft.js";

const QUOTE_MAX = 500;
const MARKS_MAX = 20;
const SIDES = { left: "a", right: "b" };
const begun = new WeakSet();
let selected = null; // {holder, side, quote, nth}: what a press of the key would mark

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
  const stored = holder.dataset.uid ? Draft.read(holder.dataset.uid)?.fields : null;
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
  const holder = selected?.holder.isConnected ? selected.holder : holders()[0];
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
  if (event.key.toLowerCase() !== "m" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches?.("textarea, select, input") || document.querySelector("[popover]:popover-open")) return;
  mark();
});
new MutationObserver(() => {
  holders().forEach(begin);
  draw();
}).observe(root, { childList: true, subtree: true });
queueMicrotask(() => holders().forEach(begin));
