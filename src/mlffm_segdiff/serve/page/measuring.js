/** The measures and contours of the current mask, computed by the server. */

import { measure } from "./api.js";
import { maskPng } from "./png.js";

const OUTLIER = "not_dermoscopy";

/** Contours by the edit whose mask they enclose. @type {WeakMap<import("./mask.js").Edit, any>} */
const contours = new WeakMap();

/**
 * Have a mask measured, again if it changed meanwhile.
 * @param {import("./store.js").Store} store
 * @param {import("./case.js").Case} one
 * @param {() => import("./mask.js").Raster} current its mask
 */
export async function measureCase(store, one, current) {
  const file = await store.get("files", one.id);
  while (!one.fresh || !contours.has(one.edit)) {
    const { edit } = one;
    const { data, width, height } = current();
    const answer = await measure(file, one.name, await maskPng(data, width, height), one.options.mm_per_pixel);
    const { measures, mm_per_pixel } = answer;
    const quality = withOutlier(answer.quality, one.measured?.numbers.quality);
    one.measured = { edit, numbers: { measures, quality, width, height, mm_per_pixel } };
    contours.set(edit, answer.contours);
  }
}

/** The answer's quality with what is known of the image itself, which measuring a mask does not find. */
function withOutlier(quality, earlier) {
  const outlier_score = earlier?.outlier_score ?? null;
  const flags = earlier?.flags.includes(OUTLIER) ? [OUTLIER, ...quality.flags] : quality.flags;
  return { ...quality, outlier_score, flags };
}

/** @returns {Promise<any>} the contours of a case's mask as GeoJSON; see `measureCase` */
export async function contoursOf(store, one, current, answer) {
  if (one.original && one.fresh) return answer.contours;
  await measureCase(store, one, current);
  return contours.get(one.edit);
}
