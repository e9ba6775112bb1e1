import { postProcess } from "./components.js";

/**
 * A mask is what it is made of: a threshold, post-processing, and the strokes of brush and eraser that go over
 * it. So it can be drawn at any size, and a step back is an earlier list of strokes.
 *
 * @typedef {{erase: boolean, radius: number, points: [number, number][]}} Stroke in the image's own pixels
 * @typedef {{threshold: number, strokes: Stroke[]}} Edit
 */

/**
 * @param {Float32Array} probability height x width
 * @param {Edit} edit
 * @param {import("./components.js").PostProcessing} post
 * @param {number} width
 * @param {number} height
 * @param {number} scale pixels here a pixel of the image
 * @returns {Uint8Array} 1 on the lesion
 */
export function drawMask(probability, edit, post, width, height, scale) {
  const threshold = Math.fround(edit.threshold);
  const mask = new Uint8Array(width * height);
  for (let place = 0; place < mask.length; place++) mask[place] = probability[place] >= threshold ? 1 : 0;
  postProcess(mask, post, width, height);
  for (const stroke of edit.strokes) drawStroke(mask, stroke, width, height, scale);
  return mask;
}

/**
 * Set or clear the pixels whose centre is within the stroke's radius of its line.
 * @param {Uint8Array} mask @param {Stroke} stroke @param {number} width @param {number} height
 * @param {number} scale
 */
export function drawStroke(mask, stroke, width, height, scale) {
  const points = stroke.points.map(([x, y]) => [x * scale, y * scale]);
  const radius = stroke.radius * scale;
  const value = stroke.erase ? 0 : 1;
  for (let index = 0; index < points.length; index++) {
    drawPiece(mask, points[Math.max(0, index - 1)], points[index], radius, value, width, height);
  }
}

/**
 * @param {Uint8Array} mask @param {number[]} start @param {number[]} end @param {number} radius
 * @param {number} value @param {number} width @param {number} height
 */
function drawPiece(mask, [ax, ay], [bx, by], radius, value, width, height) {
  const dx = bx - ax;
  const dy = by - ay;
  const length2 = dx * dx + dy * dy;
  const left = Math.max(0, Math.floor(Math.min(ax, bx) - radius));
  const right = Math.min(width, Math.ceil(Math.max(ax, bx) + radius));
  const top = Math.max(0, Math.floor(Math.min(ay, by) - radius));
  const bottom = Math.min(height, Math.ceil(Math.max(ay, by) + radius));
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const px = x + 0.5 - ax;
      const py = y + 0.5 - ay;
      const along = length2 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length2)) : 0;
      const ox = px - along * dx;
      const oy = py - along * dy;
      if (ox * ox + oy * oy <= radius * radius) mask[y * width + x] = value;
    }
  }
}
