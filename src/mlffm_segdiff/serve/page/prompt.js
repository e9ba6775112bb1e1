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
  const radius = Math.max(REACH * Math.max(right - left, bottom - top), (2 * Math.max(width, height)) / size);
  const shift = (point) => {
    if (found[cellOf(point)] >= least === Boolean(point[2])) return;
    for (let row = 0, place = 0; row < size; row++) {
      for (let column = 0; column < size; column++, place++) {
        const dy = ((row + 0.5) / size) * height - point[1];
        const dx = ((column + 0.5) / size) * width - point[0];
        const weight = Math.min(Math.max(2 - (2 * Math.hypot(dy, dx)) / radius, 0), 1);
        found[place] = (1 - weight) * found[place] + weight * point[2];
      }
    }
  };
  const lesion = points.filter(([, , label]) => label);
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

/** The number of each pixel's connected component, from 1; 0 where the probability is below the least. */
function labelled(probability, least, size) {
  const mask = Uint8Array.from(probability, (value) => (value >= least ? 1 : 0));
  const labels = new Int32Array(mask.length);
  components(mask, 1, 1, size, size).forEach(({ runs }, index) => {
    for (const [row, start, end] of runs) labels.fill(index + 1, row * size + start, row * size + end);
  });
  return labels;
}
