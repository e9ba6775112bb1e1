/** A box and points with which the user corrects the extent of a mask, as `inference/prompt.py` does it. */

import { components } from "./components.js";

const REACH = 0.05;

/**
 * @typedef {[number, number, number, number]} BoxPrompt left, top, right and bottom edge, in pixels
 * @typedef {[number, number, 0 | 1]} PointPrompt x, y and label: 1 on the lesion, 0 on what is not
 * @typedef {{size: number, probability: Float32Array}} ProbabilityMap size x size, row by row
 */

/** @param {import("./mask.js").Edit} edit @returns {{box?: string, points?: string}} options of the REST API */
export function promptFields({ box, points }) {
  return {
    box: box?.join(","),
    points: points.length ? points.map((point) => point.join(",")).join(";") : undefined,
  };
}

/**
 * Apply points to a map: first those on the lesion, then those that are not. See `PromptedImage` of the package.
 * @param {ProbabilityMap} map of the whole image, or within the box
 * @param {import("./mask.js").Edit} edit
 * @param {number} width @param {number} height of the image
 * @returns {ProbabilityMap}
 */
export function withPoints({ size, probability }, { box, points, threshold }, width, height) {
  const least = Math.fround(threshold);
  const found = Float32Array.from(probability);
  const cellOf = ([x, y]) => Math.floor((y / height) * size) * size + Math.floor((x / width) * size);
  const [left, top, right, bottom] = box ?? [0, 0, width, height];
  const reach = Math.max(REACH * Math.max(right - left, bottom - top), (2 * Math.max(width, height)) / size);
  const lesion = points.filter(([, , label]) => label);
  const distance = (place, [x, y]) => {
    const [row, column] = [Math.floor(place / size), place % size];
    return Math.hypot(((row + 0.5) / size) * height - y, ((column + 0.5) / size) * width - x);
  };
  const shift = (point) => {
    if (found[cellOf(point)] >= least === Boolean(point[2])) return;
    const nearest = point[2] ? [] : lesion.map((one) => distance(cellOf(one), point));
    const radius = Math.min(reach, ...nearest);
    if (radius === 0) return;
    for (let place = 0; place < found.length; place++) {
      const weight = Math.min(Math.max(2 - (2 * distance(place, point)) / radius, 0), 1);
      found[place] = (1 - weight) * found[place] + weight * point[2];
    }
  };
  lesion.forEach(shift);
  const before = labelled(found, least, size);
  const kept = new Set(lesion.map((point) => before[cellOf(point)]));
  for (const point of points.filter(([, , label]) => !label)) {
    const part = before[cellOf(point)];
    if (kept.has(part)) shift(point);
    else if (part) before.forEach((label, place) => (found[place] = label === part ? 0 : found[place]));
  }
  if (lesion.length) {
    const after = labelled(found, least, size);
    const marked = new Set(lesion.map((point) => after[cellOf(point)]));
    after.forEach((label, place) => (found[place] = label && !marked.has(label) ? 0 : found[place]));
  }
  return { size, probability: found };
}

/**
 * Set what is outside the box of an edit to 0, but with points on the lesion, which may be outside.
 * @param {Float32Array} probability height x width, of the image or a smaller view of it; changed
 * @param {import("./mask.js").Edit} edit
 * @param {number} width @param {number} height of the view
 * @param {number} share the view's size as a share of the image's
 * @returns {Float32Array} the same
 */
export function withinBox(probability, { box, points }, width, height, share = 1) {
  if (!box || points.some(([, , label]) => label)) return probability;
  const [left, top, right, bottom] = box.map((edge) => Math.round(edge * share));
  for (let row = 0; row < height; row++) {
    const start = row * width;
    if (row < top || row >= bottom) probability.fill(0, start, start + width);
    else probability.fill(0, start, start + left).fill(0, start + right, start + width);
  }
  return probability;
}

/** The number of each pixel's connected component, from 1; 0 where the probability is below the least. */
function labelled(probability, least, size) {
  const mask = Uint8Array.from(probability, (value) => (value >= least ? 1 : 0));
  const labels = new Int32Array(mask.length);
  components(mask, 1, 1, size, size).forEach(({ runs }, index) => {
    for (const [row, start, end] of runs) labels.fill(index + 1, row * size + start, row * size + end);
  });
  return labels;
}
