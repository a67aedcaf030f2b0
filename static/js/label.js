// The label page: shows the next pair at once, saves behind it, and never loses what somebody entered.
import { copyText } from "./copy.js";
import { Draft, fieldsOf } from "./label/draft.js";
import { canDiff, clearDiff, toggleDiff } from "./label/diff.js";
import { element } from "./label/element.js";
import { listen } from "./label/keys.js";
import { showLast, stopCountdown, textsIn, wireLast } from "./label/last.js";
import { newKey, Outbox, post } from "./label/outbox.js";
import { wireRewrites } from "./label/rewrite.js";
import { fitPanes, scrollPanes } from "./label/scroll.js";
import { isOn, nextSize, toggle, wireSettings } from "./label/settings.js";
import { wireSpans } from "./label/spans.js";
import { restore } from "./label/store.js";
import { mustSayWhy } from "./label/why.js";

const root = document.getElementById("label");
const stage = root.querySelector(".stage");
const after = root.querySelector(".after");
const lost = root.querySelector(".lost");
lost.querySelector("button").addEventListener("click", () => (lost.hidden = true));
const waiting = root.querySelector(".waiting");
const net = document.querySelector("[data-net]");
const text = root.dataset;
const ahead = []; // {uid, html}: leased and rendered, not shown yet
let current = null; // {uid, view, form, draft, shownAt}
let last = null; // {uid, key, html, undoWanted}: the answer given before this pair
let active = true; // somebody did something since the last heartbeat
const rules = JSON.parse(text.rules);

// --- the pair on the desk
function show(view) {
  const form = view.querySelector("form.dock");
  current = { uid: view.dataset.uid, view, form, draft: new Draft(view.dataset.uid, form), shownAt: performance.now() };
  markChoice(current.draft.choice);
  waiting.hidden = true;
  clearDiff();
  for (const button of view.querySelectorAll("[data-tool=diff]")) button.setAttribute("aria-pressed", "false");
  fit();
}

const pairOf = () => current?.view.querySelector(".pair");
const fit = () => current && fitPanes(pairOf(), isOn("together"));

function place(html) {
  pauseClock();
  const view = element(html);
  stage.replaceChildren(view);
  stage.classList.remove("fresh");
  void stage.offsetWidth; // restarts the arrival's animation
  stage.classList.add("fresh");
  show(view);
  scrollTo({ top: 0 });
  // Tab and screen readers go on from the new pair, not from the top of the page.
  view.tabIndex = -1;
  if (document.activeElement === document.body) view.focus({ preventScroll: true });
  heartbeat();
}

function advance() {
  current = null;
  const next = ahead.shift();
  if (next) return place(next.html);
  stage.replaceChildren();
  waiting.hidden = false;
}

function pauseClock() {
  if (!current || current.shownAt === null) return;
  current.draft.ms += Math.round(performance.now() - current.shownAt);
  current.shownAt = null;
}

document.addEventListener("visibilitychange", () => {
  if (!current) return;
  if (document.hidden) {
    pauseClock();
    current.draft.store();
  } else current.shownAt = performance.now();
});

function markChoice(choice) {
  for (const button of current.form.querySelectorAll("[name=choice]")) button.setAttribute("aria-pressed", String(button.value === choice));
  current.form.querySelector("[data-save]").hidden = !choice;
}

// --- answering
const desk = {
  choose(choice, { hold = false } = {}) {
    if (!current || !current.form.querySelector(`[name=choice][value="${choice}"]`)) return;
    current.draft.choice = choice;
    markChoice(choice);
    if (!isWhySaid(choice)) return;
    if (hold || isOn("confirm")) return current.draft.save();
    answer({ choice });
  },
  save() {
    if (current?.draft.choice && isWhySaid(current.draft.choice)) answer({ choice: current.draft.choice });
  },
  skip: (reason) => current && answer({ choice: "skip", skip_reason: reason }),
  skipMenu: () => current?.form.querySelector("details.skip"),
  toggleSkip() {
    const menu = desk.skipMenu();
    if (menu) menu.open = !menu.open;
  },
  closeSkip() {
    const menu = desk.skipMenu();
    if (menu) menu.open = false;
  },
  focusWhy: () => current?.form.querySelector("[name=rationale]")?.focus(),
  nextAspect() {
    const aspects = [...(current?.form.querySelectorAll(".aspect") ?? [])];
    const here = aspects.findIndex((aspect) => aspect.contains(document.activeElement));
    const next = aspects[(here + 1) % aspects.length];
    (next?.querySelector(":checked") ?? next?.querySelector("input"))?.focus();
  },
  toggleReason: (index) => current?.form.querySelectorAll("[name=reasons]")[index]?.click(),
  toggleHistory() {
    const history = current?.view.querySelector(".history");
    if (history) history.open = !history.open;
  },
  scroll: (pages, lines) => scrollPanes(pairOf(), pages, lines),
  toggleTogether: () => toggle("together"),
  toggleDiff: () => toggleDiff(pairOf()),
  undo,
};

// False, and a word about it, where the scheme asks why of this choice and the form does not say.
function isWhySaid(choice) {
  const { form, draft } = current;
  const fields = fieldsOf(form);
  const aspects = fields.filter(([name]) => name.startsWith("aspect-")).map(([name, value]) => [name.slice(7), value]);
  const said = new Set(fields.filter(([, value]) => value.trim()).map(([name]) => name));
  const missing = mustSayWhy({ choice, aspects: Object.fromEntries(aspects) }, rules).filter((name) => !said.has(name));
  form.dataset.missing = missing.join(" ");
  complain(form, missing.map((name) => (name === "reasons" ? text.tReasons : text.tRequired)).join(" "));
  if (!missing.length) return true;
  const field = form.querySelector(`[name=${missing[0]}]`);
  field.focus();
  field.scrollIntoView({ block: "nearest", inline: "nearest" }); // whole: on a phone it lies in a row that scrolls
  draft.store();
  return false;
}

function complain(form, message) {
  const note = form.querySelector(".dock-error");
  if (!note) return;
  note.textContent = message;
  note.hidden = !message;
}

function answer(said) {
  const { uid, form, draft, view } = current;
  pauseClock();
  draft.stop();
  const body = new URLSearchParams(fieldsOf(form));
  for (const [name, value] of Object.entries({ ...said, duration_ms: String(draft.ms) })) body.set(name, value);
  draft.store();
  fitPanes(pairOf(), false);
  last = { uid, key: draft.key, html: view.outerHTML, undoWanted: false };
  after.replaceChildren(element(`<section class="voices card soft small" role="status"></section>`));
  after.firstElementChild.textContent = text.tSaving;
  advance();
  outbox.add({ uid, url: form.action, key: draft.key, body: body.toString() });
}

const outbox = new Outbox(root.dataset.labeler, {
  // What the page holds need not be sent again: the pairs of `have`, and the texts of the last answer.
  extra: ({ uid: answered }) => (answered === last?.uid ? "" : "&texts=1") + [current?.uid, ...ahead.map(({ uid }) => uid)].filter(Boolean).map((uid) => `&have=${uid}`).join(""),
  onSaved(item, data) {
    Draft.forget(item.uid);
    setToday(data.today);
    if (item.uid === last?.uid || !last) showLast(after, data.last, last ? textsIn(element(last.html)) : []);
    take(data.pairs);
    if (last?.undoWanted && item.uid === last.uid && after.querySelector("form.undo")) undo();
    else if (!current && !ahead.length) location.reload(); // nothing left: the page says why
  },
  onRefused(item, error) {
    const said = new URLSearchParams(item.body).get("rationale");
    lost.querySelector("b").textContent = `${text.tNotSaved} ${error.message ?? text.tGone}`;
    lost.querySelector("blockquote").textContent = said ?? "";
    lost.querySelector("blockquote").hidden = !said;
    lost.hidden = false;
    if (item.uid === last?.uid) after.replaceChildren();
    Draft.renew(item.uid);
    if (!current && !ahead.length) setTimeout(() => location.reload(), 4000);
  },
  onState(state, count) {
    root.dataset.state = state;
    net.classList.toggle("warn", state === "offline" || state === "login");
    if (state === "offline") net.textContent = `${text.tOffline} ${count}`;
    else if (state === "login") net.textContent = text.tLogin;
    else net.textContent = state === "sending" ? text.tSaving : "";
    if (state === "idle") current?.draft.resend();
  },
});

function take(pairs) {
  const known = new Set([current?.uid, ...ahead.map(({ uid }) => uid)]);
  ahead.push(...pairs.filter(({ uid }) => !known.has(uid)));
  if (!current && ahead.length) advance();
}

function setToday(number) {
  document.querySelector("[data-today]").textContent = number;
}

// --- the last answer: undo, a changed mind
function whyNot({ status, data }) {
  if (status === "refused") return data.error?.message ?? text.tGone;
  return status === "login" ? text.tLogin : text.tNoAnswer;
}

async function undo() {
  if (last && outbox.remove(last.key)) return bringBack(last.html);
  if (last && outbox.items().some(({ key }) => key === last.key)) {
    last.undoWanted = true; // it was sent: undone as soon as it is known to have arrived
    outbox.hurry();
    return;
  }
  const form = after.querySelector("form.undo");
  if (!form || form.dataset.busy) return;
  form.dataset.busy = "1";
  stopCountdown(); // the form stays: what came of the undo is said in it
  const result = await post(form.action, "", newKey());
  if (result.status === "ok") {
    setToday(result.data.today);
    bringBack(result.data.pair.html);
  } else {
    delete form.dataset.busy;
    const note = form.querySelector(".countdown");
    note.removeAttribute("aria-hidden");
    note.textContent = whyNot(result);
  }
}

// The undone pair goes back on the desk, under a new key; the pair that lay there waits behind it.
function bringBack(html) {
  const uid = element(html).dataset.uid;
  if (current) {
    pauseClock();
    current.draft.store();
    ahead.unshift({ uid: current.uid, html: current.view.outerHTML });
  }
  Draft.renew(uid, { choice: "" });
  last = null;
  after.replaceChildren();
  place(html);
}

async function changeMind(form, choice) {
  const body = new URLSearchParams(fieldsOf(form));
  body.set("choice", choice);
  form.dataset.key ??= newKey();
  const result = await post(form.action, body.toString(), form.dataset.key);
  if (result.status === "ok") showLast(after, result.data.last, textsIn(after));
  else form.querySelector("p").textContent = whyNot(result);
}

// --- leases
async function heartbeat() {
  active = false;
  const body = new URLSearchParams([...(current ? [["uid", current.uid], ["shown", current.uid]] : []), ...ahead.map(({ uid }) => ["uid", uid])]);
  if (!body.size) return;
  const result = await post(root.dataset.heartbeat, body.toString());
  if (current && result.data?.lost?.includes(current.uid)) complain(current.form, text.tLost);
}

// --- wiring
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("form.dock")) {
    event.preventDefault();
    const { name, value } = event.submitter ?? {};
    if (name === "skip_reason") desk.skip(value);
    else if (value) desk.choose(value);
  } else if (form.matches("form.undo")) {
    event.preventDefault();
    undo();
  } else if (form.matches("form.change")) {
    event.preventDefault();
    if (event.submitter?.value) changeMind(form, event.submitter.value);
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-tool], [data-save], [data-size]");
  if (!button) return;
  if (button.dataset.save !== undefined) desk.save();
  if (button.dataset.size !== undefined) {
    nextSize();
    fit();
  }
  if (button.dataset.tool === "diff") toggleDiff(button.closest(".pair"));
  if (button.dataset.tool === "copy") {
    const response = button.closest(".response");
    if (!(await copyText(response.querySelector("template.raw").content.textContent, response.querySelector(".text")))) return;
    button.classList.add("ok");
    setTimeout(() => button.classList.remove("ok"), 1500);
  }
});

for (const kind of ["pointerdown", "keydown", "scroll", "pointermove"]) addEventListener(kind, () => (active = true), { passive: true });
setInterval(() => active && !document.hidden && heartbeat(), 1000 * Math.max(10, Number(root.dataset.lease) / 4));
addEventListener("pagehide", () => {
  pauseClock();
  current?.draft.leave();
});

document.addEventListener("chosen:leaving", ({ detail }) => {
  if (current && !current.draft.sent) detail.push(current.draft.send());
  detail.push(outbox.settle());
});

addEventListener("resize", fit);

document.documentElement.classList.add("has-js");
document.documentElement.classList.toggle("no-diff", !canDiff());
wireSettings(fit);
restore().then(begin);

function begin() {
  Draft.tidy();
  for (const template of root.querySelectorAll("template.ahead")) {
    const view = template.content.firstElementChild;
    ahead.push({ uid: view.dataset.uid, html: view.outerHTML });
    template.remove();
  }
  const first = stage.querySelector(".pair-view");
  // An answer that is still on its way must not be asked for again.
  const onTheWay = new Set(outbox.items().map(({ uid }) => uid));
  ahead.splice(0, ahead.length, ...ahead.filter(({ uid }) => !onTheWay.has(uid)));
  if (first && onTheWay.has(first.dataset.uid)) advance();
  else if (first) show(first);
  wireLast(after);
  listen(desk);
  outbox.flush();
  wireSpans();
  wireRewrites();
  document.documentElement.dataset.ready = "label";
}
