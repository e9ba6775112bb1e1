/** Has images segmented again within a box; of several boxes of one image, the newest wins. */

import { segmentWithin } from "./api.js";
import { unpack } from "./maps.js";
import { say, sayProblem } from "./status.js";

/** @typedef {import("./case.js").Case} Case */
/** @typedef {import("./prompt.js").BoxPrompt} BoxPrompt */

export class Prompting {
  /**
   * @param {import("./store.js").Store} store
   * @param {(one: Case, boxes: Record<string, import("./prompt.js").ProbabilityMap>) => void} done called with a case
   *   whose edit has a new box, and the maps of its boxes
   * @param {() => void} waits called when a request starts or ends
   */
  constructor(store, done, waits) {
    this.store = store;
    this.done = done;
    this.waits = waits;
    /** @type {Map<Case, {box: BoxPrompt, controller: AbortController}>} */
    this.requests = new Map();
  }

  /** The box with which an image is being segmented. @param {Case} one @returns {BoxPrompt | null} */
  boxOf(one) {
    return this.requests.get(one)?.box ?? null;
  }

  /** @param {Case} one whose mask the server has found @param {BoxPrompt} box */
  async segment(one, box) {
    this.cancel(one);
    const request = { box, controller: new AbortController() };
    this.requests.set(one, request);
    this.waits();
    say(`Segmenting ${one.name} within the box …`);
    try {
      await this.#segment(one, request);
    } catch (error) {
      if (this.requests.get(one) === request) sayProblem(error, "the mask is unchanged");
    }
    this.#end(one, request);
  }

  /** @param {Case} one @returns {boolean} whether a request was cancelled */
  cancel(one) {
    const request = this.requests.get(one);
    request?.controller.abort();
    return this.#end(one, request);
  }

  async #segment(one, request) {
    const { box, controller } = request;
    const file = await this.store.get("files", one.id);
    const { maps } = await segmentWithin(file, one.name, one.options, box, controller.signal);
    const answer = await this.store.get("answers", one.id);
    if (this.requests.get(one) !== request) return;
    const { past, now, future } = one.history;
    const used = new Set([...past, now, ...future].map((edit) => String(edit.box)));
    const boxes = Object.fromEntries(Object.entries(answer.boxes).filter(([key]) => used.has(key)));
    boxes[box] = { size: maps.size, probability: unpack(maps.probability) };
    await this.store.put("answers", one.id, { ...answer, boxes });
    if (this.requests.get(one) !== request) return;
    one.history.push({ ...one.edit, box });
    this.done(one, boxes);
  }

  #end(one, request) {
    const ended = request !== undefined && this.requests.get(one) === request;
    if (ended) this.requests.delete(one);
    if (ended) this.waits();
    return ended;
  }
}
