// The ranking page: places by keys, by dragging letters, or by the selects, which hold the truth of all three.
import { Draft } from "./label/draft.js";
import { newKey, Outbox, post } from "./label/outbox.js";
import { restore } from "./label/store.js";

const lost = document.getElementById("ranking");
const form = document.getElementById("rank");
const undoForm = document.querySelector("form.undo");
const letters = form ? [...form.querySelectorAll(".response")].map((card) => card.dataset.letter) : [];
const text = form?.dataset ?? {};
const selectOf = (letter) => form.querySelector(`[name=place-${letter}]`);
const placeOf = (letter) => Number(selectOf(letter).value) || null;
const MOVED_PX = 6;
let chosen = null;
let draft = null;
const undoKey = newKey();
let shownAt = performance.now();
let active = false;

// --- what is shown
function draw() {
  for (const letter of letters) {
    const zone = form.querySelector(`.zone[data-place="${placeOf(letter) ?? ""}"]`);
    const token = form.querySelector(`.token[data-letter="${letter}"]`);
    if (token.parentElement !== zone) zone.append(token);
    const card = form.querySelector(`.response[data-letter="${letter}"]`);
    card.classList.toggle("ranked", placeOf(letter) !== null);
    card.classList.toggle("chosen", letter === chosen);
    token.setAttribute("aria-pressed", String(letter === chosen));
  }
}

function spoken() {
  const tiers = new Map();
  for (const letter of letters) if (placeOf(letter)) tiers.set(placeOf(letter), [...(tiers.get(placeOf(letter)) ?? []), letter]);
  return [...tiers].sort(([one], [other]) => one - other).map(([, tied]) => tied.join(" = ")).join(" > ");
}

function choose(letter, { scroll = true } = {}) {
  if (!letters.includes(letter)) return;
  chosen = letter;
  draw();
  const card = form.querySelector(`.response[data-letter="${letter}"]`);
  if (scroll) card.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function give(letter, place) {
  selectOf(letter).value = place ? String(place) : "";
  changed();
}

function changed() {
  if (!draft) return;
  draw();
  complain("");
  form.querySelector(".spoken").textContent = spoken();
  outbox.drop(text.kept);
  draft.key = newKey(); // another answer than one that may have arrived unseen
  draft.save();
}

function giveAndGoOn(place) {
  if (place > letters.length) return;
  give(chosen, place);
  const from = letters.indexOf(chosen);
  const order = [...letters.slice(from + 1), ...letters.slice(0, from)];
  const next = order.find((letter) => placeOf(letter) === null);
  if (next) choose(next);
}

function move(step) {
  const place = placeOf(chosen);
  const next = place === null ? (step < 0 ? letters.length : 1) : place + step;
  if (next >= 1 && next <= letters.length) give(chosen, next);
}

function complain(message, note = form?.querySelector(".dock-error") ?? lost) {
  note.textContent = message;
  note.hidden = !message;
}

// --- sending
function told(result) {
  if (result?.status === "ok" && !result.data.held) complain(text.tLost);
  return result;
}

class RankingDraft extends Draft {
  async send() {
    return told(await super.send());
  }

  // The leases alone where the server has all of it: another browser may have gone on with it since.
  async heartbeat() {
    return this.sent ? told(await post(this.form.dataset.draft, "renew=1")) : this.send();
  }
}

const outbox = new Outbox(`rank.${lost.dataset.labeler}`, {
  extra: () => "",
  onSaved(item) {
    draft = null; // the page goes away, and must not keep what is saved
    Draft.forget(item.uid);
    location.reload();
  },
  onRefused(item, error) {
    Draft.renew(item.uid);
    const isHere = item.uid === text.kept;
    if (isHere) draft.key = newKey();
    complain(`${lost.dataset.tNotSaved} ${error.message ?? ""}`, isHere ? undefined : lost);
  },
  onState(state, count) {
    form?.setAttribute("aria-busy", String(state === "sending"));
    if (count && state === "offline") complain(lost.dataset.tOffline);
    if (count && state === "login") complain(lost.dataset.tLogin);
    if (state === "idle") draft?.resend();
  },
});

document.addEventListener("chosen:leaving", ({ detail }) => detail.push(outbox.settle()));

function send(url, body, key) {
  if (outbox.has(text.kept)) return;
  draft.stop();
  draft.store();
  outbox.add({ uid: text.kept, url, key, body: body.toString() });
}

function pauseClock() {
  if (shownAt !== null) draft.ms += Math.round(performance.now() - shownAt);
  shownAt = document.hidden ? null : performance.now();
}

function problem() {
  const places = letters.map(placeOf).filter(Boolean);
  if (places.length < 2) return text.tFew;
  if ("noTies" in text && new Set(places).size < places.length) return text.tTie;
  const why = form.querySelector("textarea[data-required]");
  return why && !why.value.trim() ? text.tRequired : "";
}

function save() {
  const wrong = problem();
  if (wrong) {
    complain(wrong);
    if (wrong === text.tRequired) form.querySelector("[name=rationale]").focus();
    return;
  }
  pauseClock();
  const body = draft.body();
  body.set("duration_ms", String(draft.ms));
  send(form.action, body, draft.key);
}

function skip(button) {
  send(button.formAction, new URLSearchParams([["skip_reason", button.value]]), newKey());
}

async function undo() {
  if (undoForm.hidden) return;
  const result = await post(undoForm.action, "", undoKey);
  if (result.status === "ok") location.reload();
  else complain({ login: lost.dataset.tLogin, refused: result.data?.error?.message }[result.status] ?? lost.dataset.tNoAnswer, lost);
}

// --- dragging letters; a tap chooses a letter, and a tap on a place puts it there
function listenToPointer() {
  let drag = null;
  const zoneAt = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest(".zone");
  const light = (zone) => form.querySelectorAll(".zone").forEach((each) => each.classList.toggle("over", each === zone));
  form.addEventListener("pointerdown", (event) => {
    const token = event.target.closest(".token");
    if (!token || event.button !== 0) return;
    drag = { token, x: event.clientX, y: event.clientY, moved: false };
    token.setPointerCapture(event.pointerId);
  });
  form.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    drag.moved ||= Math.hypot(dx, dy) > MOVED_PX;
    if (!drag.moved) return;
    drag.token.classList.add("dragged");
    drag.token.style.translate = `${dx}px ${dy}px`;
    light(zoneAt(event));
  });
  const end = (event) => {
    if (!drag) return;
    const { token, moved } = drag;
    drag = null;
    const zone = event.type === "pointerup" && moved ? zoneAt(event) : null;
    token.classList.remove("dragged");
    token.style.translate = "";
    light(null);
    choose(token.dataset.letter, { scroll: !moved });
    if (zone) give(token.dataset.letter, Number(zone.dataset.place));
  };
  form.addEventListener("pointerup", end);
  form.addEventListener("pointercancel", end);
  form.addEventListener("click", (event) => {
    const zone = event.target.closest(".zone");
    if (event.target.closest(".token")) choose(event.target.closest(".token").dataset.letter, { scroll: false });
    else if (zone && chosen) give(chosen, Number(zone.dataset.place));
    else if (event.target.closest(".response") && !event.target.closest("a, button, select, label, summary")) choose(event.target.closest(".response").dataset.letter, { scroll: false });
  });
}

// --- keys
const isTyping = (target) => target.matches?.("textarea, input") || target.isContentEditable;

function onTyping(event) {
  if (event.isComposing || event.keyCode === 229) return;
  if (event.key === "Escape") event.target.blur();
  if (event.key === "Enter" && !event.shiftKey && event.target.name === "rationale") {
    event.preventDefault();
    event.target.blur();
    save();
  }
}

function onKey(event) {
  const pressed = event.key.toLowerCase();
  const menu = form?.querySelector("details.skip");
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code)?.[1];
  if (digit && form && menu.open) return menu.querySelectorAll("[name=skip_reason]")[Number(digit) - 1]?.click() ?? true;
  if (digit && form) return Number(digit) ? giveAndGoOn(Number(digit)) : give(chosen, null);
  if (form && letters.includes(pressed.toUpperCase())) return choose(pressed.toUpperCase());
  const step = letters.indexOf(chosen);
  const onForm = {
    arrowright: () => choose(letters[step + 1]),
    arrowleft: () => choose(letters[step - 1]),
    "[": () => move(-1),
    "]": () => move(1),
    s: () => (menu.open = !menu.open),
    r: () => form.querySelector("[name=rationale]")?.focus(),
    enter: save,
    escape: () => (menu.open = false),
  };
  const anywhere = { u: () => undoForm?.requestSubmit(), g: () => document.getElementById("guidelines").togglePopover(), "?": () => document.getElementById("shortcuts").togglePopover() };
  const action = (form && onForm[pressed]) || anywhere[pressed];
  return action ? (action(), undefined) : false;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (form && !draft) return; // not there yet, or saved and going away
  if (isTyping(event.target)) return onTyping(event);
  const sheet = document.querySelector("[popover]:popover-open");
  if (sheet && event.key !== "?") return;
  if (event.target.matches("select") && event.key !== "Enter") return; // its own keys
  if (event.key === "Enter" && event.target.closest("a, summary, button:not(.token)")) return;
  if (onKey(event) !== false) event.preventDefault();
});

// --- wiring
function countDown() {
  const end = Date.now() + 1000 * Number(undoForm.dataset.seconds);
  const timer = setInterval(() => {
    const left = Math.ceil((end - Date.now()) / 1000);
    undoForm.querySelector(".countdown").textContent = `${Math.max(left, 0)} ${undoForm.dataset.tSeconds}`;
    if (left <= 0) {
      clearInterval(timer);
      undoForm.hidden = true;
    }
  }, 250);
}

function begin() {
  Draft.tidy();
  if (form) wireForm();
  outbox.flush();
  document.documentElement.dataset.ready = "rank";
}

function wireForm() {
  draft = new RankingDraft(text.kept, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.name === "skip_reason") skip(event.submitter);
    else save();
  });
  form.addEventListener("change", (event) => event.target.matches("select") && changed());
  form.addEventListener("input", (event) => event.target.matches("textarea") && changed());
  listenToPointer();
  for (const kind of ["pointerdown", "keydown", "scroll", "pointermove"]) addEventListener(kind, () => (active = true), { passive: true });
  setInterval(() => {
    if (active && draft && !document.hidden && !outbox.has(text.kept)) draft.heartbeat();
    active = false;
  }, 1000 * Math.max(10, Number(text.lease) / 4));
  document.addEventListener("visibilitychange", () => {
    if (!draft) return;
    pauseClock();
    if (document.hidden) draft.leave();
  });
  document.documentElement.classList.add("has-js");
  choose(letters.find((letter) => placeOf(letter) === null) ?? letters[0], { scroll: false });
}
if (undoForm) {
  countDown();
  undoForm.addEventListener("submit", (event) => {
    event.preventDefault();
    undo();
  });
}
restore().then(begin);
