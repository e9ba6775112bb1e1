/** The numbers and contours of the current mask: those of the server's answer, or measured by the server. */

import { measure } from "./api.js";
import { maskPng } from "./png.js";

const OUTLIER = "not_dermoscopy";

/** Contours by the edit whose mask they enclose. @type {WeakMap<import("./mask.js").Edit, any>} */
const contours = new WeakMap();

/**
 * Have a mask measured, again if it changed meanwhile. The original mask keeps the numbers of its answer.
 * @param {import("./store.js").Store} store
 * @param {import("./case.js").Case} one
 * @param {import("./result.js").Answer} answer
 * @param {() => import("./mask.js").Raster} current its mask
 */
export async function measureCase(store, one, answer, current) {
  while (!one.fresh || !contours.has(one.edit)) {
    const { edit } = one;
    const found = one.original ? answer : await measured(store, one, answer, current());
    one.measured = { edit, numbers: found.numbers };
    contours.set(edit, found.contours);
  }
}

async function measured(store, one, answer, { data, width, height }) {
  const file = await store.get("files", one.id);
  const found = await measure(file, one.name, await maskPng(data, width, height), one.options.mm_per_pixel);
  const { measures, mm_per_pixel } = found;
  const quality = withOutlier(found.quality, answer.numbers.quality);
  return { numbers: { measures, quality, width, height, mm_per_pixel }, contours: found.contours };
}

/** A mask's quality with what is known of the image itself, which measuring a mask does not find. */
function withOutlier(quality, original) {
  const outlier_score = original?.outlier_score ?? null;
  const flags = original?.flags.includes(OUTLIER) ? [OUTLIER, ...quality.flags] : quality.flags;
  return { ...quality, outlier_score, flags };
}

/** @returns {Promise<any>} the contours of a case's mask as GeoJSON; see `measureCase` */
export async function contoursOf(store, one, answer, current) {
  await measureCase(store, one, answer, current);
  return contours.get(one.edit);
}
