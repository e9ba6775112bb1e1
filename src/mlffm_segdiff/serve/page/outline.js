/** The line between lesion and skin: to be drawn, and as a polygon with nodes. */

/** Ends of the line in a cell of four pixel centres, by which of them are lesion: marching squares. */
const TOP = [0.5, 0], RIGHT = [1, 0.5], BOTTOM = [0.5, 1], LEFT = [0, 0.5];
const PIECES = [
  [], [LEFT, TOP], [TOP, RIGHT], [LEFT, RIGHT],
  [RIGHT, BOTTOM], [LEFT, TOP, RIGHT, BOTTOM], [TOP, BOTTOM], [LEFT, BOTTOM],
  [LEFT, BOTTOM], [TOP, BOTTOM], [TOP, RIGHT, LEFT, BOTTOM], [RIGHT, BOTTOM],
  [LEFT, RIGHT], [TOP, RIGHT], [LEFT, TOP], [],
];

/**
 * @param {import("./mask.js").Raster} raster
 * @param {import("./mask.js").Box} [box] the pixels whose part of the line is wanted; by default all
 * @returns {Path2D} in pixels of the mask, (0, 0) the outer corner of the first; along the frame too
 */
export function outline({ data, width, height }, box = { left: 0, top: 0, right: width, bottom: height }) {
  const path = new Path2D();
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : data[y * width + x]);
  const right = box.right === width ? width : box.right - 1;
  const bottom = box.bottom === height ? height : box.bottom - 1;
  for (let y = box.top - 1; y < bottom; y++) {
    let west = at(box.left - 1, y) | (at(box.left - 1, y + 1) << 3);
    for (let x = box.left - 1; x < right; x++) {
      const east = at(x + 1, y) | (at(x + 1, y + 1) << 3);
      const kind = west | ((east & 1) << 1) | ((east & 8) >> 1);
      west = east;
      if (kind === 0 || kind === 15) continue;
      const ends = PIECES[kind];
      for (let k = 0; k < ends.length; k += 2) {
        path.moveTo(x + 0.5 + ends[k][0], y + 0.5 + ends[k][1]);
        path.lineTo(x + 0.5 + ends[k + 1][0], y + 0.5 + ends[k + 1][1]);
      }
    }
  }
  return path;
}

/**
 * Follow the outer border of the component at a pixel, clockwise along the pixels' edges.
 * @param {import("./mask.js").Raster} raster @param {number} column @param {number} row of a lesion pixel
 * @returns {import("./mask.js").Point[]} its corners
 */
function border({ data, width, height }, column, row) {
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[y * width + x] === 1;
  const steps = [[1, 0], [0, 1], [-1, 0], [0, -1]];
  const ahead = [[[0, -1], [0, 0]], [[0, 0], [-1, 0]], [[-1, 0], [-1, -1]], [[-1, -1], [0, -1]]];
  let [x, y, way] = [column, row, 0];
  const points = [];
  do {
    const [left, right] = ahead[way].map(([dx, dy]) => at(x + dx, y + dy));
    if (left) way = (way + 3) % 4;
    else if (!right) way = (way + 1) % 4;
    if (left || !right) points.push([x, y]);
    x += steps[way][0];
    y += steps[way][1];
  } while (x !== column || y !== row || way !== 3);
  return [[column, row], ...points];
}

/**
 * The outer contour of a component as a polygon with few nodes (Douglas and Peucker, 1973).
 * @param {import("./mask.js").Raster} raster
 * @param {import("./components.js").Component} part
 * @param {number} tolerance largest distance from the contour, in pixels
 * @returns {import("./mask.js").Point[]}
 */
export function contourNodes(raster, part, tolerance) {
  const [row, column] = part.runs[0];
  const points = border(raster, column, row);
  const far = points.reduce((best, point, index) =>
    Math.hypot(point[0] - column, point[1] - row)
      > Math.hypot(points[best][0] - column, points[best][1] - row) ? index : best, 0);
  const halves = [points.slice(0, far + 1), [...points.slice(far), points[0]]];
  return halves.flatMap((half) => simplified(half, tolerance).slice(0, -1));
}

/** @param {import("./mask.js").Point[]} line @param {number} tolerance @returns {import("./mask.js").Point[]} */
export function simplified(line, tolerance) {
  const kept = new Set([0, line.length - 1]);
  const parts = [[0, line.length - 1]];
  while (parts.length) {
    const [first, last] = parts.pop();
    let [best, most] = [-1, tolerance];
    for (let index = first + 1; index < last; index++) {
      const distance = distanceToLine(line[index], line[first], line[last]);
      if (distance > most) [best, most] = [index, distance];
    }
    if (best < 0) continue;
    kept.add(best);
    parts.push([first, best], [best, last]);
  }
  return line.filter((_, index) => kept.has(index));
}

function distanceToLine([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}
