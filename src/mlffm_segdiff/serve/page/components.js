/** Post-processing of a mask, step by step as `inference/postprocessing.py` does it. */

const SPECKS_PER_LESION = 1000;

/**
 * A component's pixels as runs: row, first column, and the column after the last.
 * @typedef {{area: number, runs: [number, number, number][], frame: boolean}} Component
 */

/**
 * @typedef {{keep_specks: boolean, largest: boolean, fill_holes: boolean}} PostProcessing
 * @param {Uint8Array} mask 1 on the lesion; changed in place
 * @param {PostProcessing} steps @param {number} width @param {number} height
 */
export function postProcess(mask, steps, width, height) {
  if (steps.fill_holes) {
    for (const part of components(mask, 0, 0, width, height)) if (!part.frame) paintRuns(mask, part, 1, width);
  }
  if (steps.keep_specks && !steps.largest) return;
  const parts = components(mask, 1, 1, width, height);
  const total = parts.reduce((sum, part) => sum + part.area, 0);
  const largest = parts.reduce((best, part) => (best && best.area >= part.area ? best : part), null);
  for (const part of parts) {
    const kept = steps.largest ? part === largest : part.area * SPECKS_PER_LESION >= total;
    if (!kept) paintRuns(mask, part, 0, width);
  }
}

/**
 * The connected components of the pixels of a value, in reading order. Runs of rows are joined (union-find),
 * so that memory grows with the outline and not with the area.
 * @param {Uint8Array} mask @param {0 | 1} value
 * @param {0 | 1} reach 1: pixels that meet in a corner are connected (8-connected), 0: not (4-connected)
 * @param {number} width @param {number} height
 * @returns {Component[]}
 */
export function components(mask, value, reach, width, height) {
  const runs = [];
  const parent = [];
  const root = (run) => {
    while (parent[run] !== run) run = parent[run] = parent[parent[run]];
    return run;
  };
  let above = 0;
  for (let y = 0; y < height; y++) {
    const row = runs.length;
    let over = above;
    for (let x = 0; x < width; x++) {
      if (mask[y * width + x] !== value) continue;
      const start = x;
      while (x < width && mask[y * width + x] === value) x++;
      const run = runs.push([y, start, x]) - 1;
      parent.push(run);
      while (over < row && runs[over][2] + reach <= start) over++;
      for (let k = over; k < row && runs[k][1] < x + reach; k++) {
        const [one, other] = [root(k), root(run)];
        parent[Math.max(one, other)] = Math.min(one, other);
      }
    }
    above = row;
  }
  return gathered(runs, root, width, height);
}

function gathered(runs, root, width, height) {
  /** @type {Map<number, Component>} */
  const parts = new Map();
  runs.forEach((run, number) => {
    const [y, start, end] = run;
    const first = root(number);
    if (!parts.has(first)) parts.set(first, { area: 0, runs: [], frame: false });
    const part = parts.get(first);
    part.area += end - start;
    part.runs.push(run);
    part.frame ||= y === 0 || y === height - 1 || start === 0 || end === width;
  });
  return [...parts.values()];
}

/**
 * Set the pixels of a component.
 * @param {Uint8Array} mask @param {Component} part @param {0 | 1} value @param {number} width
 */
export function paintRuns(mask, part, value, width) {
  for (const [y, start, end] of part.runs) mask.fill(value, y * width + start, y * width + end);
}
