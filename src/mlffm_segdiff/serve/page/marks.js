/** Marks that tools draw on the image, and which of them a pointer is at. */

/** @typedef {import("./mask.js").Point} Point */

export const MARK = "#ffffff";
/** How near a pointer must be, in pixels of the screen. */
export const CATCH = 10;
const NODE = 5;

/** @param {Point} one @param {Point} other @param {number} reach @returns {boolean} */
export function near([ax, ay], [bx, by], reach) {
  return Math.hypot(ax - bx, ay - by) <= reach;
}

/** @param {Point[]} points @param {Point} place @param {number} reach @returns {number} its place in the list, or -1 */
export function nearest(points, place, reach) {
  const distances = points.map(([x, y]) => Math.hypot(x - place[0], y - place[1]));
  const least = Math.min(...distances);
  return least <= reach ? distances.indexOf(least) : -1;
}

/** @param {Point[]} points @returns {Path2D} */
export function polyline(points) {
  const path = new Path2D();
  points.forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
  return path;
}

/** @param {Point} place @param {number} scale of the view @returns {Path2D} */
export function crosshair([x, y], scale) {
  const path = new Path2D();
  const reach = 8 / scale;
  path.moveTo(x - reach, y);
  path.lineTo(x + reach, y);
  path.moveTo(x, y - reach);
  path.lineTo(x, y + reach);
  return path;
}

/** @param {Point[]} points @param {number} held the one that is emphasised, or -1 */
export function drawNodes(context, view, points, held) {
  points.forEach(([x, y], index) => {
    const path = new Path2D();
    path.arc(x, y, (index === held ? 1.5 : 1) * (NODE / view.scale), 0, 2 * Math.PI);
    context.fillStyle = index === held ? "#00e5ff" : MARK;
    context.fill(path);
    view.stroke(context, [path], MARK, 1);
  });
}
