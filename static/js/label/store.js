// What must not be lost, kept twice. localStorage answers at once, but Chromium writes it to the disk seconds later,
// so that a killed browser forgets the newest of it. IndexedDB answers later, but is on the disk when a "strict"
// transaction ends: <html data-kept> is "yes" from then on, and "no" from a change until then. Where there is no
// IndexedDB (private windows of some browsers), localStorage stands alone, and the answer stays "no".
const TABLE = "kept";
const PATIENCE_MS = 5000; // a page does not wait longer for what the disk has
const opened = open();
const full = new Map(); // what localStorage had no room for, while the page is open
const waiting = new Map(); // name -> record, null for a removed one: not yet in IndexedDB
let writing = false;

function open() {
  return new Promise((resolve) => {
    try {
      const request = indexedDB.open("chosen.label", 1);
      request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
}

// Whether all of it came about.
const ended = (transaction) =>
  new Promise((resolve) => {
    transaction.oncomplete = () => resolve(true);
    transaction.onabort = transaction.onerror = () => resolve(false);
  });

async function put(batch) {
  try {
    const transaction = (await opened).transaction(TABLE, "readwrite", { durability: "strict" });
    const table = transaction.objectStore(TABLE);
    for (const [name, record] of batch) record ? table.put(record, name) : table.delete(name);
    return await ended(transaction);
  } catch {
    return false; // no database, or one that was closed
  }
}

const tell = (isKept) => (document.documentElement.dataset.kept = isKept ? "yes" : "no");

async function flush() {
  writing = true;
  let isKept = true;
  while (isKept && waiting.size) {
    const batch = new Map(waiting);
    waiting.clear();
    isKept = await put(batch);
    // With the next change, unless that is a newer one of the same name; until then localStorage has it.
    if (!isKept) for (const [name, record] of batch) if (!waiting.has(name)) waiting.set(name, record);
  }
  writing = false;
  tell(isKept);
}

function later(name, record) {
  waiting.set(name, record);
  tell(false);
  if (!writing) flush();
}

function keepHere(name, record) {
  try {
    localStorage.setItem(name, JSON.stringify(record));
    full.delete(name);
  } catch {
    full.set(name, record); // and IndexedDB has it
  }
}

export function read(name) {
  try {
    return full.get(name) ?? JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}

export function write(name, record) {
  const kept = { ...record, at: Date.now() };
  keepHere(name, kept);
  later(name, kept);
}

export function remove(name) {
  full.delete(name);
  localStorage.removeItem(name);
  later(name, null);
}

// Once, before anything is read: what the disk has of a browser that was killed.
export async function restore() {
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  const database = await Promise.race([opened, late]);
  if (!database) return;
  const transaction = database.transaction(TABLE);
  const table = transaction.objectStore(TABLE);
  const [names, records] = [table.getAllKeys(), table.getAll()];
  await ended(transaction);
  for (const [number, name] of (names.result ?? []).entries()) {
    const record = records.result[number];
    if (record.at > (read(name)?.at ?? 0)) keepHere(name, record);
  }
}
