// Shortcuts of the label page. Off while somebody types, composes Chinese, or reads a sheet.
const REASON_KEYS = "qweyiop";
// Pages and lines by which two long texts scroll together.
const SCROLLS = { " ": [0.85, 0], pagedown: [0.85, 0], pageup: [-0.85, 0], arrowdown: [0, 1], arrowup: [0, -1] };

// A checkbox or a radio button types nothing: shortcuts stay on.
export const isTyping = (target) =>
  target.matches?.("textarea, select, input:not([type=checkbox], [type=radio])") || target.isContentEditable;

const CONTROLS = "a, button, input, select, summary, textarea, .prompt";

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
  else desk.choose(String(digit), { hold: event.shiftKey });
  event.preventDefault();
}

export function listen(desk) {
  const actions = {
    t: () => desk.choose("tie"),
    x: () => desk.choose("both_bad"),
    s: () => desk.toggleSkip(),
    u: () => desk.undo(),
    r: () => desk.focusWhy(),
    a: () => desk.nextAspect(),
    d: () => desk.toggleDiff(),
    v: () => desk.toggleTogether(),
    h: () => desk.toggleHistory(),
    g: () => document.getElementById("guidelines").togglePopover(),
    "?": () => document.getElementById("shortcuts").togglePopover(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const sheet = document.querySelector("[popover]:popover-open");
    const scroll = sheet || event.shiftKey || event.target.closest?.(CONTROLS) ? null : SCROLLS[key];
    if (scroll && desk.scroll(...scroll)) return event.preventDefault();
    if (event.repeat) return;
    if (isTyping(event.target)) return onTyping(event, desk);
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
