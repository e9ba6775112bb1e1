/** Sends waiting images to the server, several at once so that it can segment them in one batch. */

import { segment } from "./api.js";
import { answerOf } from "./result.js";
import { asProblem } from "./status.js";

const AT_ONCE = 4;
const THUMBNAIL_SIDE = 96;

export class Sender {
  /**
   * @param {import("./store.js").Store} store
   * @param {(one: import("./case.js").Case) => void} done called with each case once it is answered
   */
  constructor(store, done) {
    this.store = store;
    this.done = done;
    /** @type {import("./case.js").Case[]} */
    this.waiting = [];
    this.running = 0;
    this.finished = 0;
    this.since = 0;
  }

  /** @param {import("./case.js").Case[]} cases whose files are in the store */
  send(cases) {
    if (!this.left) Object.assign(this, { finished: 0, since: performance.now() });
    this.waiting.push(...cases);
    while (this.running < AT_ONCE && this.waiting.length) this.#next();
  }

  /** @param {import("./case.js").Case[]} cases that are no longer wanted */
  drop(cases) {
    const gone = new Set(cases);
    this.waiting = this.waiting.filter((one) => !gone.has(one));
  }

  /** Number of images without an answer. */
  get left() {
    return this.waiting.length + this.running;
  }

  /** Seconds until the last answer, at the present rate; null before the first. */
  get secondsLeft() {
    return this.finished ? (this.left * (performance.now() - this.since)) / this.finished / 1000 : null;
  }

  async #next() {
    this.running += 1;
    const one = this.waiting.shift();
    one.problem = null;
    try {
      await this.#segment(one);
    } catch (error) {
      one.problem = asProblem(error);
    }
    this.running -= 1;
    this.finished += 1;
    this.done(one);
    this.send([]);
  }

  async #segment(one) {
    const file = await this.store.get("files", one.id);
    const response = await segment(file, one.name, one.options);
    const preview = blobOf(response.preview);
    one.thumbnail = await thumbnailOf(preview);
    await this.store.put("answers", one.id, answerOf(response, preview));
    const { measures, quality, width, height, mm_per_pixel } = response;
    one.measured = { edit: one.edit, numbers: { measures, quality, width, height, mm_per_pixel } };
  }
}

/** @param {string} url with the data in base64 @returns {Blob} */
function blobOf(url) {
  const [head, text] = url.split(",");
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: head.slice("data:".length, head.indexOf(";")) });
}

/** @param {Blob} image @returns {Promise<Blob>} a small JPEG */
async function thumbnailOf(image) {
  const bitmap = await createImageBitmap(image);
  const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.8 });
}
