/** Masks as entries of annotation files: COCO, Label Studio, and a table. */

import { simplified } from "./outline.js";
import { promptFields } from "./prompt.js";

const LABEL = "lesion";
const LABEL_STUDIO_TOLERANCE = 0.0005;

/**
 * @param {import("./mask.js").Raster} raster
 * @returns {{area: number, bbox: number[], segmentation: {size: number[], counts: string}} | null} without ids,
 *   as `predict --write coco` writes it; null without a lesion
 */
export function cocoAnnotation({ data, width, height }) {
  const runs = [];
  let [value, run, area] = [0, 0, 0];
  const box = [width, height, -1, -1];
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++, run++) {
      const here = data[y * width + x];
      if (here !== value) {
        runs.push(run);
        [value, run] = [here, 0];
      }
      if (!here) continue;
      area++;
      [box[0], box[1]] = [Math.min(box[0], x), Math.min(box[1], y)];
      [box[2], box[3]] = [Math.max(box[2], x), Math.max(box[3], y)];
    }
  }
  if (!area) return null;
  runs.push(run);
  const counts = runs.map((length, k) => digits(length - (k > 2 ? runs[k - 2] : 0))).join("");
  return {
    category_id: 1, iscrowd: 0, area,
    bbox: [box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1],
    segmentation: { size: [height, width], counts },
  };
}

/** Five bits per character from the lowest, plus 32 where more follow; the last has the sign. */
function digits(value) {
  let text = "";
  for (;;) {
    const bits = value & 31;
    value >>= 5;
    const last = value === (bits & 16 ? -1 : 0);
    text += String.fromCharCode(48 + (last ? bits : bits | 32));
    if (last) return text;
  }
}

/**
 * @param {{one: import("./case.js").Case, annotation: any}[]} masks
 * @returns {any} a COCO data set; its images also have the box and points that were given
 */
export function cocoFile(masks) {
  const images = masks.map(({ one: { name, measured, edit } }, index) => {
    const { width, height } = measured.numbers;
    return { id: index + 1, file_name: name, width, height, ...promptFields(edit) };
  });
  const found = masks.flatMap(({ annotation }, index) => (annotation ? [{ image_id: index + 1, ...annotation }] : []));
  return {
    categories: [{ id: 1, name: LABEL }],
    images,
    annotations: found.map((annotation, index) => ({ id: index + 1, ...annotation })),
  };
}

/**
 * A task of Label Studio: accepted masks are annotations, others predictions. Polygons there have no holes.
 * @param {import("./case.js").Case} one @param {any} contours GeoJSON
 * @returns {any}
 */
export function labelStudioTask(one, contours) {
  const { width, height } = one.measured.numbers;
  const tolerance = Math.max(0.5, LABEL_STUDIO_TOLERANCE * Math.max(width, height));
  const result = contours.features.map(({ geometry }) => ({
    from_name: "label", to_name: "image", type: "polygonlabels",
    original_width: width, original_height: height, image_rotation: 0,
    value: {
      points: ringNodes(geometry.coordinates[0], tolerance).map(([x, y]) => [(100 * x) / width, (100 * y) / height]),
      closed: true, polygonlabels: [LABEL],
    },
  }));
  const data = { image: `/data/local-files/?d=images/${encodeURIComponent(one.name)}` };
  if (one.status === "accepted") return { data, annotations: [{ result }] };
  return { data, predictions: [{ model_version: "mlffm-segdiff", result }] };
}

/** A closed ring with fewer nodes; both halves are simplified, so that none collapses into a line. */
function ringNodes(ring, tolerance) {
  const half = Math.floor(ring.length / 2);
  return [ring.slice(0, half + 1), ring.slice(half)].flatMap((line) => simplified(line, tolerance).slice(0, -1));
}

/** @param {import("./case.js").Case} one @returns {Record<string, unknown>} its row of predictions.csv */
export function tableRow(one) {
  const { measures, quality, intervals, width, height, mm_per_pixel } = one.measured.numbers;
  const doubts = quality ? { ...quality, flags: quality.flags.join(" ") } : {};
  const { name, edit, corrected, status } = one;
  const { threshold } = edit;
  const given = { threshold, ...promptFields(edit), corrected };
  return { image: name, status, width, height, mm_per_pixel, ...given, ...measures, ...doubts, ...ends(intervals) };
}

/** @param {Record<string, any> | null} [intervals] of a response @returns {Record<string, number>} as columns */
function ends(intervals) {
  if (!intervals) return {};
  const pairs = Object.entries(intervals).filter(([name, value]) => Array.isArray(value) && name !== "levels");
  const columns = pairs.flatMap(([name, [low, high]]) => [[`${name}_low`, low], [`${name}_high`, high]]);
  return { interval_level: intervals.level, ...Object.fromEntries(columns) };
}
