/** One image of the list: what is known of it, and the user's corrections and decision. */

import { History } from "./history.js";
import { Problem } from "./status.js";

const THRESHOLD = 0.5;

/** @typedef {"new" | "seen" | "accepted" | "rejected"} Decision */
/** @typedef {{value: number, low?: number, high?: number}} Estimate */
/**
 * The server's numbers for a mask.
 * @typedef {{measures: Record<string, number | null>, quality: any, intervals?: Record<string, any> | null,
 *   width: number, height: number, mm_per_pixel: number | null}} Numbers
 */

export class Case {
  /** @param {string} id @param {string} name @param {import("./settings.js").Settings} options */
  constructor(id, name, options) {
    this.id = id;
    this.name = name;
    this.options = options;
    /** Whether the image is a DICOM file. */
    this.dicom = false;
    /** @type {Decision} */
    this.decision = "new";
    /** @type {History<import("./mask.js").Edit>} */
    this.history = new History({ threshold: THRESHOLD, box: null, points: [], steps: [] });
    /** The numbers, and the edit whose mask they are of. @type {{edit: any, numbers: Numbers} | null} */
    this.measured = null;
    /** @type {Blob | null} */
    this.thumbnail = null;
    /** @type {Problem | null} */
    this.problem = null;
  }

  /** @param {any} entry of the store @returns {Case} */
  static restored({ id, name, options, history, problem, ...rest }) {
    const one = Object.assign(new Case(id, name, options), rest);
    Object.assign(one.history, history);
    if (problem) one.problem = new Problem(problem.message, problem.hint, problem.status);
    return one;
  }

  /** @returns {any} what the store keeps */
  get entry() {
    const { past, now, future } = this.history;
    const { message, hint, status } = this.problem ?? {};
    return { ...this, history: { past, now, future }, problem: this.problem && { message, hint, status } };
  }

  /** @returns {import("./mask.js").Edit} */
  get edit() {
    return this.history.now;
  }

  /** Whether the server has answered with a mask. */
  get done() {
    return this.measured !== null;
  }

  /** Whether the measures are those of the current mask. */
  get fresh() {
    return this.measured?.edit === this.edit;
  }

  /** Whether a box or points were given to the network. */
  get prompted() {
    return this.edit.box !== null || this.edit.points.length > 0;
  }

  /** Whether the mask was drawn on: no request to the server gives it. */
  get drawn() {
    return this.edit.steps.length > 0;
  }

  /** Whether the user changed more than the threshold. */
  get corrected() {
    return this.prompted || this.drawn;
  }

  /** Whether the mask is the one that the server sent. */
  get original() {
    return !this.corrected && this.edit.threshold === THRESHOLD;
  }

  /** @returns {"waiting" | "failed" | "corrected" | Decision} */
  get status() {
    if (this.problem) return "failed";
    if (!this.done) return "waiting";
    return this.corrected && ["new", "seen"].includes(this.decision) ? "corrected" : this.decision;
  }

  /** Expected Dice of the mask, with an interval if known. @returns {Estimate | null} */
  get expectedDice() {
    const { quality, intervals } = this.measured?.numbers ?? {};
    const value = quality?.expected_dice ?? null;
    if (value === null) return null;
    const [low, high] = intervals?.expected_dice ?? [];
    return { value, low, high };
  }

  /** @returns {string[]} */
  get flags() {
    return this.measured?.numbers.quality?.flags ?? [];
  }
}

/** @param {Estimate} estimate @returns {string} such as 0.91 (0.78–0.97) */
export function estimateText({ value, low, high }) {
  const text = value.toFixed(2);
  return low === undefined ? text : `${text} (${low.toFixed(2)}–${high.toFixed(2)})`;
}
