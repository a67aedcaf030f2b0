// Answers on their way to the server. Each stays in this browser until the server has acknowledged or refused it,
// and is sent again under the same idempotency key: a cut connection, a closed tab or a killed browser loses nothing.
import { me } from "./me.js";
import { read, write } from "./store.js";

const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

export function newKey() {
  // crypto.randomUUID exists on https and localhost only; this works on a plain address in a lab, too.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// A request that has no answer by then is sent again, under the same key.
const PATIENCE_MS = 20000;
const HURRIED_MS = 2000;

// Returns {status: "ok" | "refused" | "offline" | "login", data}. `cut` ends the wait before its time.
export async function post(url, body, key = "", { cut = new AbortController(), ...options } = {}) {
  AbortSignal.timeout(PATIENCE_MS).addEventListener("abort", () => cut.abort());
  let response;
  try {
    response = await fetch(url, {
      ...options,
      method: "POST",
      signal: cut.signal,
      headers: {
        Accept: "application/json",
        "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
        "X-CSRFToken": csrf(),
        ...(key ? { "Idempotency-Key": key } : {}),
      },
      body,
    });
  } catch {
    return { status: "offline" };
  }
  // The log-in page answers a redirected post with a form, even as JSON: that is no acknowledgement.
  if (response.redirected) return { status: "login" };
  const isJson = (response.headers.get("Content-Type") ?? "").startsWith("application/json");
  if (response.status >= 500 || response.status === 429) return { status: "offline" };
  if (!isJson) return response.status === 404 ? { status: "refused", data: { error: { code: "gone" } } } : { status: "login" };
  let data;
  try {
    data = await response.json();
  } catch {
    return { status: "offline" }; // the answer was cut on its way; the same key will bring it again
  }
  return { status: response.ok ? "ok" : "refused", data };
}

export class Outbox {
  constructor(name, { onSaved, onRefused, onState, extra }) {
    this.name = `chosen.outbox.${name}`;
    Object.assign(this, { onSaved, onRefused, onState, extra, sending: null, cut: null, wait: 1000, timer: 0 });
    addEventListener("online", () => this.flush());
  }

  items() {
    return read(this.name)?.items ?? [];
  }

  keep(items) {
    write(this.name, { items, me: me() });
  }

  add(item) {
    this.keep([...this.items().filter((other) => other.key !== item.key), item]);
    return this.flush();
  }

  // Take back what has never left. False once it was sent: the server may hold it, acknowledged or not.
  remove(key) {
    const items = this.items();
    const rest = items.filter((item) => item.key !== key || item.tried);
    this.keep(rest);
    return rest.length < items.length;
  }

  // Take it back, sent or not: what is said now goes under another key.
  drop(uid) {
    if (!this.has(uid)) return;
    this.cut?.abort();
    this.keep(this.items().filter((item) => item.uid !== uid));
  }

  has(uid) {
    return this.items().some((item) => item.uid === uid);
  }

  // Somebody waits to undo what was sent, and the server allows that for seconds only.
  hurry() {
    this.wait = 1000;
    const { cut } = this;
    if (this.sending) setTimeout(() => cut.abort(), HURRIED_MS);
    else this.flush();
  }

  // Ends when nothing is on its way any more: all has arrived, or the server cannot be reached.
  async settle() {
    while (this.sending) await new Promise((resolve) => setTimeout(resolve, 50));
    if (this.items().length) await this.flush();
  }

  async flush() {
    if (this.sending) return;
    clearTimeout(this.timer);
    for (let item = this.items()[0]; item; item = this.items()[0]) {
      this.sending = item.key;
      this.cut = new AbortController();
      this.keep(this.items().map((other) => (other.key === item.key ? { ...other, tried: true } : other)));
      this.onState("sending", this.items().length);
      const result = await post(item.url, item.body + this.extra(item), item.key, { cut: this.cut });
      this.sending = null;
      if (result.status === "offline" || result.status === "login") {
        this.onState(result.status, this.items().length);
        this.timer = setTimeout(() => this.flush(), this.wait);
        this.wait = Math.min(this.wait * 2, 20000);
        return;
      }
      this.wait = 1000;
      this.keep(this.items().filter((other) => other.key !== item.key));
      try {
        if (result.status === "ok") this.onSaved(item, result.data);
        else this.onRefused(item, result.data.error);
      } finally {
        this.onState("idle", this.items().length); // now that what was saved is known to be: no draft of it goes after it
      }
    }
    this.onState("idle", 0);
  }
}
