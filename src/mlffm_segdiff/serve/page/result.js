/** The opened image: its maps, its mask at full size, and what is drawn over it. */

import { heat } from "./colours.js";
import { resample, unpack } from "./maps.js";
import { applyStep, thresholdMask, wholeBox } from "./mask.js";
import { outline } from "./outline.js";
import { withinBox, withPoints } from "./prompt.js";
import { Problem } from "./status.js";

const SKETCH_SIDE = 1600;
const COARSE_SIDE = 800;
const GONE = 410;

/**
 * What the store keeps of the server's answer.
 * @typedef {{numbers: import("./case.js").Numbers, width: number, height: number,
 *   post: import("./components.js").PostProcessing, size: number, probability: Float32Array,
 *   spread: Float32Array, samples: Float32Array[], preview: Blob, contours: any,
 *   band: {inner: any, outer: any} | null,
 *   boxes: Record<string, import("./prompt.js").ProbabilityMap>}} Answer `boxes`: the map within each box
 */

/** @param {any} response of the REST API @param {Blob} preview @returns {Answer} */
export function answerOf(response, preview) {
  const { measures, quality, intervals, width, height, mm_per_pixel, post_processing, maps, contours, band } = response;
  return {
    numbers: { measures, quality, intervals, width, height, mm_per_pixel },
    width, height, preview, contours, band,
    boxes: {},
    post: post_processing,
    size: maps.size,
    probability: unpack(maps.probability),
    spread: unpack(maps.spread),
    samples: maps.samples.map(unpack),
  };
}

export class Result {
  /**
   * @param {import("./store.js").Store} store @param {import("./case.js").Case} one that is done
   * @returns {Promise<Result>}
   */
  static async open(store, one) {
    const answer = await store.get("answers", one.id);
    if (!answer) throw new Problem("It was removed in another tab", "reload the page", GONE);
    return new Result(one, answer, await createImageBitmap(answer.preview));
  }

  /** @param {import("./case.js").Case} one @param {Answer} answer @param {ImageBitmap} image the preview */
  constructor(one, answer, image) {
    this.one = one;
    this.answer = answer;
    this.image = image;
    /** The image at full size; undefined while it is decoded, or if the browser cannot. @type {ImageBitmap | null | undefined} */
    this.full = null;
    this.width = answer.width;
    this.height = answer.height;
    /** @type {import("./mask.js").Raster | null} */
    this.raster = null;
    /** The edit that the raster shows; null while a draft is drawn over it. @type {import("./mask.js").Edit | null} */
    this.rasterEdit = null;
    /** The edit under the draft; null without a draft. @type {import("./mask.js").Edit | null} */
    this.draftEdit = null;
    this.kept = new Map();
  }

  /**
   * Bring the mask up to date with the case's edit, unless a draft is drawn over it.
   * @returns {import("./mask.js").Box[]} what may have changed since the last time
   */
  update() {
    const { edit } = this.one;
    if (this.rasterEdit === edit || this.draftEdit) return [];
    const shown = this.rasterEdit;
    const follows = shown !== null && ["threshold", "box", "points"].every((name) => shown[name] === edit[name])
      && shown.steps.every((step, index) => step === edit.steps[index]);
    const changed = follows ? [] : [wholeBox(this)];
    if (!follows) this.#restart(edit);
    for (const step of edit.steps.slice(follows ? shown.steps.length : 0)) {
      const box = applyStep(this.raster, step);
      if (box) changed.push(box);
    }
    this.rasterEdit = edit;
    return changed;
  }

  /** @returns {Uint8Array} the mask at the image's own size */
  mask() {
    if (this.draftEdit) return maskOf(this.answer, this.one.edit).data;
    this.update();
    return this.raster.data;
  }

  /** The mask of another threshold at a lower resolution. @param {number} threshold @returns {import("./mask.js").Raster} */
  sketch(threshold) {
    const { answer, one } = this;
    const share = Math.min(1, COARSE_SIDE / Math.max(this.width, this.height));
    const [width, height] = [this.width, this.height].map((side) => Math.max(1, Math.round(side * share)));
    const edit = { ...one.edit, threshold };
    const map = this.#keep("sketch's map", mapKey(edit), () => mapOf(answer, edit));
    const values = this.#keep("sketch", map, () =>
      withinBox(resample(map.probability, map.size, width, height), edit, width, height, share));
    const raster = thresholdMask(values, threshold, answer.post, width, height);
    for (const step of edit.steps) applyStep(raster, scaled(step, share));
    return raster;
  }

  /** Apply a step to the shown mask without adding it to the edit. @returns {import("./mask.js").Box | null} */
  draft(step) {
    this.draftEdit ??= this.rasterEdit;
    this.rasterEdit = null;
    return applyStep(this.raster, step);
  }

  /** Forget the draft; the next update removes it. */
  discard() {
    this.draftEdit = null;
  }

  /** Make a step part of the edit. @param {import("./mask.js").Step} step @param {boolean} drawn by `draft` */
  commit(step, drawn = false) {
    const { history, edit } = this.one;
    history.push({ ...edit, steps: [...edit.steps, step] });
    if (drawn && this.draftEdit === edit) this.rasterEdit = this.one.edit;
    this.draftEdit = null;
  }

  /** The outline of a map at the threshold, in pixels of the image. @param {"probability" | number} name @returns {Path2D} */
  mapOutline(name) {
    const { threshold } = this.one.edit;
    return this.#keep(`outline ${name}`, threshold, () => {
      const scale = Math.min(1, SKETCH_SIDE / Math.max(this.width, this.height));
      const [width, height] = [this.width, this.height].map((side) => Math.max(1, Math.round(side * scale)));
      const map = name === "probability" ? this.answer.probability : this.answer.samples[name];
      const values = resample(map, this.answer.size, width, height);
      const path = new Path2D();
      path.addPath(outline(thresholdMask(values, threshold, this.answer.post, width, height)),
        new DOMMatrix([this.width / width, 0, 0, this.height / height, 0, 0]));
      return path;
    });
  }

  /** What is thresholded. @returns {import("./prompt.js").ProbabilityMap} */
  get map() {
    const { edit } = this.one;
    return this.#keep("map", mapKey(edit), () => mapOf(this.answer, edit));
  }

  /** The inner and outer contour of the server's answer. @returns {Path2D[]} */
  get band() {
    const { band } = this.answer;
    return band ? this.#keep("band", band, () => [band.inner, band.outer].map(pathOf)) : [];
  }

  /** The value at the end of the ramp of uncertainty. */
  get uncertaintyTop() {
    return this.#keep("top", this.map, () => this.#uncertainty().reduce((a, b) => Math.max(a, b), 0.01));
  }

  /** @param {"probability" | "uncertainty"} kind @returns {ImageData} at the size of the maps */
  heat(kind) {
    const { size, probability } = this.map;
    return this.#keep(`heat ${kind}`, this.map, () => kind === "probability"
      ? heat(probability, 1, kind, size, size)
      : heat(this.#uncertainty(), this.uncertaintyTop, kind, size, size));
  }

  /** Release the decoded images. */
  close() {
    this.image.close();
    this.full?.close();
  }

  /** The samples of the shown mask; a box or points have none. @returns {Float32Array[]} */
  get samples() {
    return this.one.prompted ? [] : this.answer.samples;
  }

  /** The standard deviation of the samples; without samples that of a pixel's label, from its probability. */
  #uncertainty() {
    const { spread } = this.answer;
    return this.samples.length > 1 ? spread : this.map.probability.map((p) => Math.sqrt(Math.max(0, p * (1 - p))));
  }

  #restart(edit) {
    const { width, height, map } = this;
    const base = this.#keep("base", `${edit.threshold} ${mapKey(edit)}`, () => {
      const values = this.#keep("full", map, () =>
        withinBox(resample(map.probability, map.size, width, height), edit, width, height));
      return thresholdMask(values, edit.threshold, this.answer.post, width, height);
    });
    if (!this.raster) this.raster = { data: new Uint8Array(width * height), width, height };
    this.raster.data.set(base.data);
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

/** The map of an edit: the network's, or that within its box, with its points. */
function mapOf(answer, edit) {
  const map = edit.box ? answer.boxes[edit.box] : answer;
  return edit.points.length ? withPoints(map, edit, answer.width, answer.height) : map;
}

/** What the map of an edit depends on. */
function mapKey({ threshold, box, points }) {
  return points.length ? `${box} ${points.join(" ")} ${threshold}` : `${box}`;
}

/** @param {Answer} answer @param {import("./mask.js").Edit} edit @returns {import("./mask.js").Raster} at full size */
export function maskOf(answer, edit) {
  const { post, width, height } = answer;
  const { size, probability } = mapOf(answer, edit);
  const values = withinBox(resample(probability, size, width, height), edit, width, height);
  const raster = thresholdMask(values, edit.threshold, post, width, height);
  for (const step of edit.steps) applyStep(raster, step);
  return raster;
}

/** @param {any} collection GeoJSON of polygons @returns {Path2D} */
function pathOf(collection) {
  const path = new Path2D();
  for (const { geometry } of collection.features) {
    for (const ring of geometry.type === "Polygon" ? geometry.coordinates : geometry.coordinates.flat()) {
      ring.forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
      path.closePath();
    }
  }
  return path;
}

/** @param {import("./mask.js").Step} step @param {number} share @returns {import("./mask.js").Step} on a smaller mask */
function scaled(step, share) {
  if (step.kind === "smooth") return { ...step, radius: Math.round(step.radius * share) };
  const small = (value) => (Array.isArray(value) ? value.map(small) : value * share);
  const fields = ["points", "before", "after", "at", "radius"].filter((name) => name in step);
  return { ...step, ...Object.fromEntries(fields.map((name) => [name, small(step[name])])) };
}
