import { components, paintRuns, postProcess } from "./components.js";

/**
 * A mask is what it is made of: a threshold, a box and points for the network, post-processing, and the steps of
 * the user's correction, which stay on top of whatever the others change. So it is small to keep, and undo is an
 * earlier edit.
 *
 * @typedef {[number, number]} Point x, y in pixels of the image, (0, 0) the outer corner of the first pixel
 * @typedef {{kind: "stroke", erase: boolean, radius: number, points: Point[]}} Stroke
 * @typedef {{kind: "region", erase: boolean, points: Point[]}} Region a closed polygon that is added or removed
 * @typedef {{kind: "reshape", before: Point[], after: Point[]}} Reshape a polygon with moved nodes
 * @typedef {{kind: "fill", at: Point}} Fill of a hole, or removal of a component
 * @typedef {{kind: "holes"} | {kind: "largest"} | {kind: "smooth", radius: number}} Cleaning
 * @typedef {Stroke | Region | Reshape | Fill | Cleaning} Step
 * @typedef {{threshold: number, box: import("./prompt.js").BoxPrompt | null,
 *   points: import("./prompt.js").PointPrompt[], steps: Step[]}} Edit
 * @typedef {{data: Uint8Array, width: number, height: number}} Raster 1 on the lesion, row by row
 * @typedef {{left: number, top: number, right: number, bottom: number}} Box right and bottom excluded
 */

/**
 * @param {Float32Array} probability height x width
 * @param {number} threshold
 * @param {import("./components.js").PostProcessing} post
 * @param {number} width @param {number} height
 * @returns {Raster} the mask without corrections
 */
export function thresholdMask(probability, threshold, post, width, height) {
  const least = Math.fround(threshold);
  const data = new Uint8Array(width * height);
  for (let place = 0; place < data.length; place++) data[place] = probability[place] >= least ? 1 : 0;
  postProcess(data, post, width, height);
  return { data, width, height };
}

const STEPS = {
  stroke: drawStroke,
  region: (raster, { erase, points }) => fillPolygon(raster, points, erase ? 0 : 1),
  reshape,
  fill: fillAt,
  holes: (raster) => clean(raster, { fill_holes: true, largest: false, keep_specks: true }),
  largest: (raster) => clean(raster, { fill_holes: false, largest: true, keep_specks: true }),
  smooth,
};

/** Correct a mask in place. @param {Raster} raster @param {Step} step @returns {Box | null} what may have changed */
export function applyStep(raster, step) {
  return STEPS[step.kind](raster, step);
}

/** @param {Raster} raster @returns {Box} */
export function wholeBox({ width, height }) {
  return { left: 0, top: 0, right: width, bottom: height };
}

/** Set or clear the pixels whose centre is within the stroke's radius of its line. */
function drawStroke(raster, { erase, radius, points }) {
  for (let index = 0; index < points.length; index++) {
    drawPiece(raster, points[Math.max(0, index - 1)], points[index], radius, erase ? 0 : 1);
  }
  return boxOf(raster, points, radius);
}

function drawPiece(raster, [ax, ay], [bx, by], radius, value) {
  const dx = bx - ax;
  const dy = by - ay;
  const length2 = dx * dx + dy * dy;
  const { left, top, right, bottom } = boxOf(raster, [[ax, ay], [bx, by]], radius);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const px = x + 0.5 - ax;
      const py = y + 0.5 - ay;
      const along = length2 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length2)) : 0;
      const ox = px - along * dx;
      const oy = py - along * dy;
      if (ox * ox + oy * oy <= radius * radius) raster.data[y * raster.width + x] = value;
    }
  }
}

/** @param {Raster} raster @param {Point[]} points @param {number} margin @returns {Box} within the image */
function boxOf({ width, height }, points, margin = 0) {
  const box = { left: width, top: height, right: 0, bottom: 0 };
  for (const [x, y] of points) {
    box.left = Math.min(box.left, Math.max(0, Math.floor(x - margin)));
    box.top = Math.min(box.top, Math.max(0, Math.floor(y - margin)));
    box.right = Math.max(box.right, Math.min(width, Math.ceil(x + margin)));
    box.bottom = Math.max(box.bottom, Math.min(height, Math.ceil(y + margin)));
  }
  return box;
}

/**
 * Set the pixels whose centre is inside a closed polygon, by the nonzero winding rule.
 * @param {Raster} raster @param {Point[]} points @param {0 | 1} value @returns {Box}
 */
function fillPolygon(raster, points, value) {
  const box = boxOf(raster, points);
  for (let y = box.top; y < box.bottom; y++) {
    let winding = 0;
    let start = 0;
    for (const { x, way } of crossings(points, y + 0.5)) {
      if (winding === 0) start = x;
      winding += way;
      if (winding !== 0) continue;
      const from = Math.max(0, Math.ceil(start - 0.5));
      const end = Math.min(raster.width, Math.ceil(x - 0.5));
      if (from < end) raster.data.fill(value, y * raster.width + from, y * raster.width + end);
    }
  }
  return box;
}

/** Where a polygon crosses a horizontal line, from left to right; `way` is 1 downwards and -1 upwards. */
function crossings(points, y) {
  const found = [];
  points.forEach(([bx, by], index) => {
    const [ax, ay] = points.at(index - 1);
    if ((ay <= y) === (by <= y)) return;
    found.push({ x: ax + ((y - ay) / (by - ay)) * (bx - ax), way: by > ay ? 1 : -1 });
  });
  return found.sort((one, other) => one.x - other.x);
}

/** Change only the pixels that are inside one of the two polygons: details away from a moved node stay. */
function reshape(raster, { before, after }) {
  const box = boxOf(raster, [...before, ...after]);
  const [width, height] = [box.right - box.left, box.bottom - box.top];
  const inside = [before, after].map((points) => {
    const part = { data: new Uint8Array(width * height), width, height };
    fillPolygon(part, points.map(([x, y]) => [x - box.left, y - box.top]), 1);
    return part.data;
  });
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const place = y * width + x;
      if (inside[0][place] === inside[1][place]) continue;
      raster.data[(box.top + y) * raster.width + box.left + x] = inside[1][place];
    }
  }
  return box;
}

/** Fill the hole at a point, or remove the component there; background that reaches the frame is not a hole. */
function fillAt({ data, width, height }, { at }) {
  const [column, row] = at.map(Math.floor);
  if (column < 0 || row < 0 || column >= width || row >= height) return null;
  const value = data[row * width + column];
  const part = components(data, value, value, width, height).find(({ runs }) =>
    runs.some(([y, start, end]) => y === row && start <= column && column < end));
  if (!value && part.frame) return null;
  paintRuns(data, part, value ? 0 : 1, width);
  return wholeBox({ width, height });
}

function clean(raster, steps) {
  postProcess(raster.data, steps, raster.width, raster.height);
  return wholeBox(raster);
}

/** Replace each pixel by the majority of the square around it; a tie keeps it. */
function smooth(raster, { radius }) {
  const { data, width, height } = raster;
  const sums = new Uint32Array((width + 1) * (height + 1));
  for (let y = 0; y < height; y++) {
    let row = 0;
    for (let x = 0; x < width; x++) {
      row += data[y * width + x];
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + row;
    }
  }
  for (let y = 0; y < height; y++) {
    const top = Math.max(0, y - radius) * (width + 1);
    const bottom = Math.min(height, y + radius + 1) * (width + 1);
    for (let x = 0; x < width; x++) {
      const left = Math.max(0, x - radius);
      const right = Math.min(width, x + radius + 1);
      const count = sums[bottom + right] - sums[bottom + left] - sums[top + right] + sums[top + left];
      const half = ((right - left) * (bottom - top)) / (2 * (width + 1));
      if (count !== half) data[y * width + x] = count > half ? 1 : 0;
    }
  }
  return wholeBox(raster);
}
