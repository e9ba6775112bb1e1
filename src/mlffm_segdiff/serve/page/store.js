/**
 * Work kept in this browser (IndexedDB) until it is removed: entries of the list, image files, and answers of the
 * server. Where the browser does not keep it, it stays in memory, and `lasting` is false.
 */

const DATABASE = "mlffm-segdiff";
const KINDS = ["cases", "files", "answers"];

/** @typedef {"cases" | "files" | "answers"} Kind */

export class Store {
  /** @param {IDBDatabase | null} database */
  constructor(database) {
    this.database = database;
    this.lasting = database !== null;
    this.memory = Object.fromEntries(KINDS.map((kind) => [kind, new Map()]));
  }

  /** @returns {Promise<Store>} */
  static async open() {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => KINDS.forEach((kind) => request.result.createObjectStore(kind));
      return new Store(await finished(request));
    } catch {
      return new Store(null);
    }
  }

  /** @param {Kind} kind @param {string} id @returns {Promise<any>} undefined if there is none */
  async get(kind, id) {
    if (this.memory[kind].has(id)) return this.memory[kind].get(id);
    return this.database && finished(this.#objects(kind, "readonly").get(id));
  }

  /** @param {Kind} kind @param {string} id @param {any} value */
  async put(kind, id, value) {
    if (this.database) {
      try {
        const objects = this.#objects(kind, "readwrite");
        objects.put(value, id);
        await committed(objects.transaction);
        this.memory[kind].delete(id);
        return;
      } catch {
        this.lasting = false; // the disk is full, or the browser keeps nothing
      }
    }
    this.memory[kind].set(id, value);
  }

  /** @param {string} id removes its entry, file and answer */
  async remove(id) {
    for (const kind of KINDS) {
      this.memory[kind].delete(id);
      if (this.database) await finished(this.#objects(kind, "readwrite").delete(id));
    }
  }

  /** Remove everything. */
  async clear() {
    for (const kind of KINDS) {
      this.memory[kind].clear();
      if (this.database) await finished(this.#objects(kind, "readwrite").clear());
    }
    this.lasting = this.database !== null;
  }

  /** @returns {Promise<any[]>} the entries of an earlier visit; without an answer, as they were before it */
  async entries() {
    if (!this.database) return [];
    const transaction = this.database.transaction(KINDS);
    const reads = [["cases", "getAll"], ["files", "getAllKeys"], ["answers", "getAllKeys"]];
    const [entries, files, answers] = await Promise.all(
      reads.map(([kind, read]) => finished(transaction.objectStore(kind)[read]())),
    );
    const [withFile, withAnswer] = [new Set(files), new Set(answers)];
    const removed = ({ id }) => !withFile.has(id) && !withAnswer.has(id);
    for (const { id } of entries.filter(removed)) await this.remove(id);
    return entries.filter((entry) => !removed(entry)).map((entry) => {
      const { id, name, options, dicom } = entry;
      return entry.measured && !withAnswer.has(id) ? { id, name, options, dicom } : entry;
    });
  }

  /** @param {Kind} kind @param {IDBTransactionMode} mode */
  #objects(kind, mode) {
    return this.database.transaction(kind, mode).objectStore(kind);
  }
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function finished(request) {
  return new Promise((done, fail) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
function committed(transaction) {
  return new Promise((done, fail) => {
    transaction.oncomplete = () => done();
    transaction.onabort = transaction.onerror = () => fail(transaction.error);
  });
}
