// What must not be lost, kept twice. localStorage answers at once, but Chromium writes it to the disk seconds later,
// so that a killed browser forgets the newest of it. IndexedDB answers later, but is on the disk when a "strict"
// transaction ends. Where there is none (private windows of some browsers), localStorage stands alone.
const TABLE = "kept";
const OPEN_MS = 1500;
const opened = open();
const full = new Map(); // what localStorage had no room for, while the page is open
const waiting = new Map(); // name -> record, null for a removed one: not yet in IndexedDB
let writing = false;

function open() {
  return new Promise((resolve) => {
    setTimeout(resolve, OPEN_MS, null);
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

const ended = (transaction) =>
  new Promise((resolve) => {
    transaction.oncomplete = transaction.onabort = transaction.onerror = resolve;
  });

async function flush() {
  writing = true;
  const database = await opened;
  while (waiting.size) {
    const batch = [...waiting];
    waiting.clear();
    try {
      const transaction = database.transaction(TABLE, "readwrite", { durability: "strict" });
      const table = transaction.objectStore(TABLE);
      for (const [name, record] of batch) record ? table.put(record, name) : table.delete(name);
      await ended(transaction);
    } catch {
      break; // no database, or one that was closed: localStorage has it
    }
  }
  writing = false;
}

function later(name, record) {
  waiting.set(name, record);
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
  const database = await opened;
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
