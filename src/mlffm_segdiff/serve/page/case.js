/** One image, the server's result for it, and the user's corrections. */

import { heat } from "./colours.js";
import { History } from "./history.js";
import { resample, unpack } from "./maps.js";
import { drawMask } from "./mask.js";
import { outline } from "./outline.js";

const THRESHOLD = 0.5;
const LEAST_SPREAD_TOP = 0.05;

/** An image that was sent; `result` or `problem` comes later. */
export class Case {
  /** @param {File} file @param {import("./settings.js").Settings} options */
  constructor(file, options) {
    this.file = file;
    this.name = file.name;
    this.options = options;
    /** @type {Result | null} */
    this.result = null;
    /** @type {import("./status.js").Problem | null} */
    this.problem = null;
  }
}

/** The result of an image, at the size at which it is shown: the image's own, unless that is large. */
export class Result {
  /** @param {any} answer the server's @param {ImageBitmap} image */
  constructor(answer, image) {
    this.image = image;
    this.width = image.width;
    this.height = image.height;
    this.source = { width: answer.width, height: answer.height };
    this.scale = image.width / answer.width;
    this.size = answer.maps.size;
    this.post = answer.post_processing;
    this.maps = {
      probability: unpack(answer.maps.probability),
      spread: unpack(answer.maps.spread),
      samples: answer.maps.samples.map(unpack),
    };
    this.probability = this.#shown(this.maps.probability);
    /** @type {History<import("./mask.js").Edit>} */
    this.history = new History({ threshold: THRESHOLD, strokes: [] });
    this.measured = { edit: this.history.now, answer };
    this.kept = new Map();
  }

  /** @returns {import("./mask.js").Edit} */
  get edit() {
    return this.history.now;
  }

  /** Whether the measures are those of the current mask. */
  get fresh() {
    return this.measured.edit === this.edit;
  }

  /** Whether brush or eraser were used. */
  get corrected() {
    return this.edit.strokes.length > 0;
  }

  /** @returns {Uint8Array} the mask at the size shown */
  get mask() {
    const { width, height, scale, edit, post } = this;
    return this.#keep("mask", edit, () => drawMask(this.probability, edit, post, width, height, scale));
  }

  /** @returns {Path2D} the mask's outline */
  get outline() {
    return this.#keep("outline", this.edit, () => outline(this.mask, this.width, this.height));
  }

  /** @returns {Uint8Array} the mask at the image's own size */
  sourceMask() {
    if (this.scale === 1) return this.mask;
    const { width, height } = this.source;
    const probability = resample(this.maps.probability, this.size, width, height);
    return drawMask(probability, this.edit, this.post, width, height, 1);
  }

  /** @param {number} number @returns {Path2D} the outline of one sample, at the threshold */
  sampleOutline(number) {
    const { width, height, edit, post } = this;
    return this.#keep(`sample ${number}`, edit.threshold, () => {
      const own = { threshold: edit.threshold, strokes: [] };
      const mask = drawMask(this.#shown(this.maps.samples[number]), own, post, width, height, this.scale);
      return outline(mask, width, height);
    });
  }

  /** The value at the end of the ramp of uncertainty. */
  get spreadTop() {
    return Math.max(LEAST_SPREAD_TOP, this.maps.spread.reduce((a, b) => Math.max(a, b)));
  }

  /** @param {"probability" | "spread"} kind @returns {ImageData} */
  heat(kind) {
    return this.#keep(`heat ${kind}`, null, () => {
      const values = this.#shown(this.maps[kind]);
      const top = kind === "probability" ? 1 : this.spreadTop;
      return heat(values, top, kind, this.width, this.height);
    });
  }

  #shown(map) {
    return resample(map, this.size, this.width, this.height);
  }

  /** The result of `make`, computed again only when `state` changes. */
  #keep(name, state, make) {
    const found = this.kept.get(name);
    if (found && found.state === state) return found.value;
    const value = make();
    this.kept.set(name, { state, value });
    return value;
  }
}
