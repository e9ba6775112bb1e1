/** Sends waiting images to the server as small jobs, so that it segments them in batches. */

import { stem } from "./download.js";
import { endJob, jobEvents, jobResponse, startJob } from "./jobs.js";
import { answerOf } from "./result.js";
import { asProblem, Problem } from "./status.js";

const AT_ONCE = 2;
const MAX_IMAGES = 8;
const MAX_BYTES = 2 ** 25;
const LONGEST_PAUSE_SECONDS = 30;
const THUMBNAIL_SIDE = 96;
/** The status of a job that a stopped server had. */
const GONE = 404;
/** Statuses after which the same request may succeed; 0: no answer. */
const PASSING = [0, 401, GONE, 408, 429, 502, 503, 504];

/** @typedef {import("./case.js").Case} Case */

export class Sender {
  /**
   * @param {import("./store.js").Store} store
   * @param {(one: Case) => void} done called with each case once it is answered
   * @param {() => void} changed called when sending stops or continues
   */
  constructor(store, done, changed) {
    this.store = store;
    this.done = done;
    this.changed = changed;
    /** @type {Case[]} */
    this.waiting = [];
    /** What is at the server. @type {Set<{cases: Set<Case>, stop: AbortController}>} */
    this.running = new Set();
    /** Cases whose job was refused as a whole: each is sent alone. @type {WeakSet<Case>} */
    this.alone = new WeakSet();
    this.finished = 0;
    this.since = 0;
    this.stopped = false;
    /** Why sending waits. @type {Problem | null} */
    this.trouble = null;
    this.pause = 0;
    this.timer = 0;
    addEventListener("online", () => this.trouble && this.resume());
    /** Whether the page was left; browsers may show it again as it was. */
    this.away = false;
    addEventListener("pagehide", () => {
      this.away = true;
      this.#stopJobs();
    });
    addEventListener("pageshow", () => {
      this.away = false;
      this.send([]);
    });
  }

  /** @param {Case[]} cases whose files are in the store */
  send(cases) {
    if (!this.left) Object.assign(this, { finished: 0, since: performance.now() });
    for (const one of cases) one.problem = null;
    this.waiting.push(...cases);
    const sends = !this.stopped && !this.trouble && !this.away;
    while (sends && this.running.size < AT_ONCE && this.waiting.length) this.#next();
  }

  /** @param {Case[]} cases that are no longer wanted */
  drop(cases) {
    const gone = new Set(cases);
    this.waiting = this.waiting.filter((one) => !gone.has(one));
    for (const { cases: sent, stop } of this.running) {
      for (const one of gone) sent.delete(one);
      if (!sent.size) stop.abort();
    }
  }

  /** Stop: images without an answer wait until `resume`. */
  stop() {
    clearTimeout(this.timer);
    Object.assign(this, { stopped: true, trouble: null });
    this.#stopJobs();
    this.changed();
  }

  resume() {
    clearTimeout(this.timer);
    Object.assign(this, { stopped: false, trouble: null, finished: 0, since: performance.now() });
    this.send([]);
    this.changed();
  }

  /** Number of images without an answer. */
  get left() {
    return [...this.running].reduce((sum, { cases }) => sum + cases.size, this.waiting.length);
  }

  /** Seconds until the last answer, at the present rate; null before the first, and while nothing is sent. */
  get secondsLeft() {
    if (this.stopped || this.trouble || !this.finished) return null;
    return (this.left * (performance.now() - this.since)) / this.finished / 1000;
  }

  #stopJobs() {
    for (const { stop } of this.running) stop.abort();
  }

  async #next() {
    const portion = { cases: new Set(), stop: new AbortController() };
    this.running.add(portion);
    try {
      await this.#work(portion, await this.#take(portion.cases));
      this.pause = 0;
    } catch (error) {
      if (!portion.stop.signal.aborted) this.#fail(portion, error);
    }
    this.running.delete(portion);
    this.waiting.unshift(...portion.cases);
    this.send([]);
    if (!this.away) this.changed();
  }

  /**
   * Fill a portion with images of the same options and different names, which the server needs; the first has one
   * image, so that it is shown soon.
   * @param {Set<Case>} cases @returns {Promise<[Case, Blob][]>} those that were not dropped meanwhile, and their files
   */
  async #take(cases) {
    const options = JSON.stringify(this.waiting[0].options);
    const most = this.finished || this.running.size > 1 ? MAX_IMAGES : 1;
    const taken = [];
    const names = new Set();
    let bytes = 0;
    while (this.waiting.length && JSON.stringify(this.waiting[0].options) === options) {
      const name = stem(this.waiting[0].name).toLowerCase();
      if (taken.length === most || bytes > MAX_BYTES || names.has(name)) break;
      if (taken.length && this.alone.has(this.waiting[0])) break;
      const one = this.waiting.shift();
      names.add(name);
      cases.add(one);
      const file = await this.store.get("files", one.id);
      taken.push([one, file]);
      bytes += this.alone.has(one) ? Infinity : (file?.size ?? 0);
    }
    return taken.filter(([one]) => cases.has(one));
  }

  async #work(portion, sent) {
    if (!sent.length) return;
    const { signal } = portion.stop;
    const images = sent.map(([one, file]) => [file, one.name]);
    const job = await startJob(images, sent[0][0].options, signal);
    const end = () => endJob(job);
    signal.addEventListener("abort", end);
    try {
      while (portion.cases.size && !signal.aborted) {
        for await (const { kind, data } of jobEvents(job, signal)) {
          const [one] = sent[data.number - 1] ?? [];
          if (portion.cases.has(one)) await this.#receive(portion, one, job, data.image);
          if (kind === "end" && data.state === "failed") throw new Problem(data.detail, "try again", 500);
        }
      }
    } finally {
      signal.removeEventListener("abort", end);
      end();
    }
  }

  /** Keep the result of a case, or its error. */
  async #receive(portion, one, job, image) {
    const { signal } = portion.stop;
    try {
      const response = await jobResponse(job, image, signal);
      if (!response) throw problemOf(image);
      await this.#keep(one, response);
    } catch (error) {
      if (signal.aborted || passes(error)) throw error;
      one.problem = asProblem(error);
    }
    this.#finish(portion, one);
  }

  #finish(portion, one) {
    portion.cases.delete(one);
    this.finished += 1;
    this.done(one);
  }

  /** Send a failed portion again after a pause, or its images one by one, or report the problem of the only one. */
  #fail(portion, error) {
    if (passes(error)) {
      this.trouble = error.status === GONE ? new Problem("The server was restarted", "nothing is lost", GONE) : error;
      this.pause = Math.min(LONGEST_PAUSE_SECONDS, 2 * this.pause || 1);
      clearTimeout(this.timer);
      if (error.status !== 401) this.timer = setTimeout(() => this.resume(), 1000 * this.pause);
    } else if (portion.cases.size > 1) {
      for (const one of portion.cases) this.alone.add(one);
    } else {
      for (const one of portion.cases) {
        one.problem = asProblem(error);
        this.#finish(portion, one);
      }
    }
  }

  async #keep(one, response) {
    const preview = blobOf(response.preview);
    one.thumbnail = await thumbnailOf(preview);
    const answer = answerOf(response, preview);
    await this.store.put("answers", one.id, answer);
    one.measured = { edit: one.edit, numbers: answer.numbers };
  }
}

/** Whether the same request may succeed later. @param {unknown} error */
function passes(error) {
  return error instanceof Problem && PASSING.includes(error.status);
}

/** @param {{error: string}} image of a job, without a mask @returns {Problem} its hint follows the last semicolon */
function problemOf({ error }) {
  const [, detail, hint] = /^(.*); (.*)$/s.exec(error) ?? [];
  return hint ? new Problem(detail, hint, 422) : new Problem(error, "try again", 500);
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
