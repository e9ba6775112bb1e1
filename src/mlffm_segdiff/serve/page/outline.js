/** The line between lesion and skin. */

/** Ends of the line in a cell of four pixel centres, by which of them are lesion: marching squares. */
const TOP = [0.5, 0], RIGHT = [1, 0.5], BOTTOM = [0.5, 1], LEFT = [0, 0.5];
const PIECES = [
  [], [LEFT, TOP], [TOP, RIGHT], [LEFT, RIGHT],
  [RIGHT, BOTTOM], [LEFT, TOP, RIGHT, BOTTOM], [TOP, BOTTOM], [LEFT, BOTTOM],
  [LEFT, BOTTOM], [TOP, BOTTOM], [TOP, RIGHT, LEFT, BOTTOM], [RIGHT, BOTTOM],
  [LEFT, RIGHT], [TOP, RIGHT], [LEFT, TOP], [],
];

/**
 * @param {Uint8Array} mask @param {number} width @param {number} height
 * @returns {Path2D} in pixels of the mask, (0, 0) the outer corner of the first; along the frame too
 */
export function outline(mask, width, height) {
  const path = new Path2D();
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : mask[y * width + x]);
  for (let y = -1; y < height; y++) {
    for (let x = -1; x < width; x++) {
      const kind = at(x, y) | (at(x + 1, y) << 1) | (at(x + 1, y + 1) << 2) | (at(x, y + 1) << 3);
      const ends = PIECES[kind];
      for (let k = 0; k < ends.length; k += 2) {
        path.moveTo(x + 0.5 + ends[k][0], y + 0.5 + ends[k][1]);
        path.lineTo(x + 0.5 + ends[k + 1][0], y + 0.5 + ends[k + 1][1]);
      }
    }
  }
  return path;
}
