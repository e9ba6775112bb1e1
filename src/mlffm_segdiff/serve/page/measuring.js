/** The measures and contours of the current mask, computed by the server. */

import { measure } from "./api.js";
import { maskPng } from "./png.js";

/** @param {import("./case.js").Result} result @returns {Promise<Blob>} the mask at the image's own size */
export function pngOf(result) {
  return maskPng(result.sourceMask(), result.source.width, result.source.height);
}

/** Have the mask measured, again if it changed meanwhile. @param {import("./case.js").Case} one */
export async function measureCase({ file, result, options }) {
  while (!result.fresh) {
    const edit = result.edit;
    const answer = await measure(file, await pngOf(result), options.mm_per_pixel);
    result.measured = { edit, answer };
  }
}
