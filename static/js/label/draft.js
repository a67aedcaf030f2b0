// The draft of one answer, ranking or rewrite: in this browser at once, on the server a moment later. Its
// idempotency key goes with it.
// `sent`: since when the server has all of it (0: it does not), so that this browser may forget it when somebody logs
// out, and another may have gone on with it.
import { me } from "./me.js";
import { newKey, post } from "./outbox.js";
import { read, remove, write } from "./store.js";

const PREFIX = "chosen.draft.";
const KEEP_DAYS = 30;
const SEND_MS = 300;

export function fieldsOf(form) {
  const skip = new Set(["csrfmiddlewaretoken", "idempotency_key"]);
  return [...new FormData(form)].filter(([name, value]) => !skip.has(name) && value !== "");
}

const now = () => performance.timeOrigin + performance.now();

function bodyOf({ fields, choice }) {
  const body = new URLSearchParams(fields);
  if (choice) body.set("choice", choice);
  return body;
}

const isUnsaved = (record) => !record.sent && Boolean(record.choice || record.fields?.length);

// Whether the server has it now; it keeps no draft of what is answered or no longer the person's.
const isKept = ({ status, data }) => status === "ok" && data.kept === true;

export class Draft {
  constructor(uid, form) {
    this.uid = uid;
    this.form = form;
    const stored = Draft.read(uid);
    const newer = Draft.newer(uid);
    this.key = stored?.key ?? newKey();
    this.ms = stored?.ms ?? 0;
    this.choice = newer?.choice ?? form.querySelector("[name=choice][aria-pressed=true]")?.value ?? "";
    this.sent = newer ? newer.sent : performance.timeOrigin; // what the page came with is the server's
    this.turn = 0;
    this.way = Promise.resolve(); // what is on its way to the server
    this.next = null; // what goes as soon as that has arrived
    if (newer) this.restore(newer.fields);
    form.addEventListener("input", () => this.save());
  }

  static read(uid) {
    return read(PREFIX + uid);
  }

  // What this browser has of it, unless the server had it when it was asked for the page: that is as new or newer then.
  static newer(uid) {
    const record = Draft.read(uid);
    return record && (!record.sent || record.sent >= performance.timeOrigin) ? record : null;
  }

  static forget(uid) {
    remove(PREFIX + uid);
  }

  // What was said stays, for another answer under another key.
  static renew(uid, changes = {}) {
    const record = Draft.read(uid);
    if (record) write(PREFIX + uid, { ...record, sent: 0, ...changes, key: newKey() });
  }

  static all() {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
    return names.map((name) => ({ name, record: read(name) })).filter(({ record }) => record);
  }

  // What this browser alone knows of the person's.
  static unsaved() {
    return Draft.all().filter(({ record }) => record.me === me() && isUnsaved(record));
  }

  // Whoever wrote them.
  static forgetSaved() {
    for (const { name, record } of Draft.all()) if (!isUnsaved(record)) remove(name);
  }

  // Drafts of pairs that are not on the page.
  static async sendUnsaved() {
    for (const { name, record } of Draft.unsaved()) {
      const isSent = isKept(await post(record.url, bodyOf(record).toString()));
      if (isSent && read(name)) write(name, { ...record, sent: now() }); // not where it was answered meanwhile
    }
  }

  // Drafts of pairs that never came back.
  static tidy() {
    const oldest = Date.now() - KEEP_DAYS * 86400000;
    for (const { name, record } of Draft.all()) if ((record.at ?? 0) < oldest) remove(name);
  }

  restore(fields) {
    for (const box of this.form.querySelectorAll("[type=checkbox], [type=radio]")) {
      box.checked = fields.some(([name, value]) => name === box.name && value === box.value);
    }
    for (const select of this.form.querySelectorAll("select")) select.value = fields.find(([name]) => name === select.name)?.[1] ?? "";
    for (const area of this.form.querySelectorAll("textarea")) area.value = fields.find(([name]) => name === area.name)?.[1] ?? "";
  }

  record() {
    const { key, ms, choice, sent } = this;
    return { key, ms, choice, sent, fields: fieldsOf(this.form), url: this.form.dataset.draft, me: me() };
  }

  store() {
    write(PREFIX + this.uid, this.record());
  }

  save() {
    this.sent = 0;
    this.turn += 1;
    this.store();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), SEND_MS);
  }

  // One after the other, so that none overtakes a newer one.
  send() {
    this.stop();
    this.next ??= this.way.then(() => {
      this.next = null;
      return (this.way = this.deliver());
    });
    return this.next;
  }

  // Nothing where the server has all of it by now, or has what it was the draft of.
  async deliver() {
    if (this.sent) return null;
    const { turn } = this;
    const result = await post(this.form.dataset.draft, this.body().toString());
    if (isKept(result) && turn === this.turn) {
      this.sent = now();
      if (Draft.read(this.uid)) this.store(); // not where it was answered meanwhile
    }
    return result;
  }

  // The server can be reached again.
  resend() {
    if (!this.sent) this.send();
  }

  body() {
    return bodyOf(this.record());
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
  }

  // The page goes away: what waits to be sent is sent by the browser afterwards.
  leave() {
    this.store();
    if (this.timer || this.next) post(this.form.dataset.draft, this.body().toString(), "", { keepalive: true });
  }
}
