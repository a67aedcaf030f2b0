// The draft of one answer, ranking or rewrite: in this browser at once, on the server a moment later. Its
// idempotency key goes with it.
import { newKey, post } from "./outbox.js";
import { read, remove, write } from "./store.js";

const PREFIX = "chosen.draft.";
const KEEP_DAYS = 30;
const SEND_MS = 300;

export function fieldsOf(form) {
  const skip = new Set(["csrfmiddlewaretoken", "idempotency_key"]);
  return [...new FormData(form)].filter(([name, value]) => !skip.has(name) && value !== "");
}

export class Draft {
  constructor(uid, form) {
    this.uid = uid;
    this.form = form;
    const stored = Draft.read(uid);
    this.key = stored?.key ?? newKey();
    this.ms = stored?.ms ?? 0;
    this.choice = stored?.choice ?? form.querySelector("[name=choice][aria-pressed=true]")?.value ?? "";
    this.unsent = Boolean(stored); // perhaps the server has an older one
    if (stored) this.restore(stored.fields);
    form.addEventListener("input", () => this.save());
  }

  static read(uid) {
    return read(PREFIX + uid);
  }

  static forget(uid) {
    remove(PREFIX + uid);
  }

  // What was said stays, for another answer under another key.
  static renew(uid, changes = {}) {
    const record = Draft.read(uid);
    if (record) write(PREFIX + uid, { ...record, ...changes, key: newKey() });
  }

  // Drafts of pairs that never came back.
  static tidy() {
    const oldest = Date.now() - KEEP_DAYS * 86400000;
    for (const name of Object.keys(localStorage)) {
      if (name.startsWith(PREFIX) && (Draft.read(name.slice(PREFIX.length))?.at ?? 0) < oldest) remove(name);
    }
  }

  restore(fields) {
    for (const box of this.form.querySelectorAll("[type=checkbox], [type=radio]")) {
      box.checked = fields.some(([name, value]) => name === box.name && value === box.value);
    }
    for (const select of this.form.querySelectorAll("select")) select.value = fields.find(([name]) => name === select.name)?.[1] ?? "";
    for (const area of this.form.querySelectorAll("textarea")) area.value = fields.find(([name]) => name === area.name)?.[1] ?? "";
  }

  store() {
    write(PREFIX + this.uid, { key: this.key, ms: this.ms, choice: this.choice, fields: fieldsOf(this.form) });
  }

  save() {
    this.store();
    this.unsent = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), SEND_MS);
  }

  async send() {
    this.stop();
    this.unsent = false;
    const result = await post(this.form.dataset.draft, this.body().toString());
    this.unsent ||= result.status === "offline" || result.status === "login";
    return result;
  }

  // The server can be reached again.
  resend() {
    if (this.unsent) this.send();
  }

  body() {
    const body = new URLSearchParams(fieldsOf(this.form));
    if (this.choice) body.set("choice", this.choice);
    return body;
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
  }

  // The page goes away: what waits to be sent is sent by the browser afterwards.
  leave() {
    this.store();
    if (this.timer) post(this.form.dataset.draft, this.body().toString(), "", { keepalive: true });
  }
}
