/** ZIP files, stored without compression: masks and overlays are compressed already (PKWARE's APPNOTE, 4.3). */

import { checksum } from "./png.js";

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const UTF8_NAMES = 0x0800;
const MAX_BYTES = 0xffffffff;
const MAX_FILES = 0xffff;

export class Archive {
  constructor() {
    /** @type {(Blob | Uint8Array)[]} */
    this.parts = [];
    /** @type {Uint8Array[]} */
    this.entries = [];
    this.size = 0;
    this.stamp = dosTime(new Date());
  }

  /** @param {string} name with / between folders @param {Blob | string} content */
  async add(name, content) {
    const blob = new Blob([content]);
    const path = new TextEncoder().encode(name);
    const sum = checksum(new Uint8Array(await blob.arrayBuffer()));
    if (this.size + blob.size > MAX_BYTES || this.entries.length === MAX_FILES) {
      throw new RangeError("a ZIP file holds at most 4 GB and 65,535 files: choose fewer images");
    }
    const common = [[VERSION, 2], [UTF8_NAMES, 2], [0, 2], [this.stamp, 4], [sum, 4], [blob.size, 4], [blob.size, 4],
      [path.length, 2], [0, 2]];
    const tail = [[0, 2], [0, 2], [0, 2], [0, 4], [this.size, 4]];
    this.entries.push(record([[CENTRAL, 4], [VERSION, 2], ...common, ...tail], path));
    this.#append(record([[LOCAL, 4], ...common], path));
    this.#append(blob);
  }

  /** @returns {Blob} the whole file */
  finish() {
    const start = this.size;
    const count = this.entries.length;
    for (const entry of this.entries) this.#append(entry);
    const counts = [[count, 2], [count, 2], [this.size - start, 4], [start, 4]];
    this.#append(record([[END, 4], [0, 2], [0, 2], ...counts, [0, 2]]));
    return new Blob(this.parts, { type: "application/zip" });
  }

  /** @param {Blob | Uint8Array} part */
  #append(part) {
    this.parts.push(part);
    this.size += part instanceof Blob ? part.size : part.length;
  }
}

/** @param {[number, number][]} fields values and their bytes, lowest first @param {Uint8Array} [tail] */
function record(fields, tail = new Uint8Array()) {
  const bytes = fields.flatMap(([value, count]) => Array.from({ length: count }, (_, k) => (value / 256 ** k) & 255));
  return Uint8Array.from([...bytes, ...tail]);
}

/** @param {Date} date @returns {number} date and time of MS-DOS */
function dosTime(date) {
  const day = ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  return day * 65536 + time;
}
