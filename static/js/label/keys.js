// Shortcuts of the label page. Off while somebody types, composes Chinese, or reads a sheet.
const REASON_KEYS = "qweyiop";

const isTyping = (target) =>
  target.matches?.("textarea, select, input:not([type=checkbox], [type=radio])") || target.isContentEditable;

function onTyping(event, desk) {
  if (!event.target.matches("textarea[name=rationale]") || event.isComposing || event.keyCode === 229) return;
  if (event.key === "Escape") event.target.blur();
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    event.target.blur();
    if (event.target.closest(".dock")) desk.save();
  }
}

function onDigit(event, digit, desk) {
  const menu = desk.skipMenu();
  if (menu?.open) menu.querySelectorAll("[name=skip_reason]")[digit - 1]?.click();
  else if (digit <= 8) desk.choose(String(digit), { hold: event.shiftKey });
  else return;
  event.preventDefault();
}

export function listen(desk) {
  const actions = {
    t: () => desk.choose("tie"),
    x: () => desk.choose("both_bad"),
    s: () => desk.toggleSkip(),
    u: () => desk.undo(),
    r: () => desk.focusWhy(),
    d: () => desk.toggleDiff(),
    h: () => desk.toggleHistory(),
    g: () => document.getElementById("guidelines").togglePopover(),
    "?": () => document.getElementById("shortcuts").togglePopover(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (isTyping(event.target)) return onTyping(event, desk);
    const sheet = document.querySelector("[popover]:popover-open");
    const key = event.key.toLowerCase();
    if (sheet && !(key === "g" || key === "?")) return;
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
    if (digit) return onDigit(event, Number(digit), desk);
    if (key === "enter" && !event.target.closest?.("a, button, summary")) return desk.save();
    if (key === "escape") return desk.closeSkip();
    const reason = REASON_KEYS.indexOf(key);
    if (reason >= 0) return desk.toggleReason(reason);
    if (actions[key]) {
      event.preventDefault();
      actions[key]();
    }
  });
}
