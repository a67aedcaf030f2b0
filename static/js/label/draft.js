// The draft of one answer: in localStorage at once, on the server a moment later. Its idempotency key goes with it.
import { newKey, post } from "./outbox.js";

const PREFIX = "chosen.draft.";
const KEEP_DAYS = 30;

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
    if (stored) this.restore(stored.fields);
    form.addEventListener("input", () => this.save());
  }

  static read(uid) {
    try {
      return JSON.parse(localStorage.getItem(PREFIX + uid));
    } catch {
      return null;
    }
  }

  static forget(uid) {
    localStorage.removeItem(PREFIX + uid);
  }

  // Drafts of pairs that never came back.
  static tidy() {
    const oldest = Date.now() - KEEP_DAYS * 86400000;
    for (const name of Object.keys(localStorage)) {
      if (name.startsWith(PREFIX) && (Draft.read(name.slice(PREFIX.length))?.at ?? 0) < oldest) localStorage.removeItem(name);
    }
  }

  restore(fields) {
    for (const box of this.form.querySelectorAll("[type=checkbox], [type=radio]")) {
      box.checked = fields.some(([name, value]) => name === box.name && value === box.value);
    }
    const why = this.form.querySelector("[name=rationale]");
    if (why) why.value = fields.find(([name]) => name === "rationale")?.[1] ?? "";
  }

  store() {
    const record = { key: this.key, ms: this.ms, choice: this.choice, fields: fieldsOf(this.form), at: Date.now() };
    localStorage.setItem(PREFIX + this.uid, JSON.stringify(record));
  }

  save() {
    this.store();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), 800);
  }

  send() {
    this.stop();
    return post(this.form.dataset.draft, this.body().toString());
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
