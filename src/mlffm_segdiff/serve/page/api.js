/** The server's REST API. Addresses are relative, so that the page works below any path of a proxy. */

import { askForKey, storedKey } from "./key.js";
import { promptFields } from "./prompt.js";
import { Problem } from "./status.js";

const PATIENCE = 5;
const BUSY = [429, 503];
const MAX_WAIT_SECONDS = 30;

/** @returns {Promise<any>} what the server reports */
export async function about() {
  return (await ask("api/v1/about")).json();
}

/**
 * @param {Blob} image @param {string} name its file's
 * @param {import("./settings.js").Settings} options
 * @param {import("./prompt.js").BoxPrompt} box around the lesion
 * @param {AbortSignal} signal
 * @returns {Promise<any>} the maps within the box
 */
export async function segmentWithin(image, name, options, box, signal) {
  const fields = { ...options, box: box.join(","), maps: true, format: "json" };
  return (await ask("api/v1/segment", form({ image: [image, name] }, fields), signal)).json();
}

/**
 * @param {Blob} image @param {string} name its file's
 * @param {import("./settings.js").Settings} options
 * @param {import("./mask.js").Edit} edit whose threshold, box and points give the mask
 * @returns {Promise<Blob>} the mask as a DICOM SEG
 */
export async function segmentDicom(image, name, options, edit) {
  const fields = { ...options, threshold: edit.threshold, ...promptFields(edit), format: "dicom" };
  return (await ask("api/v1/segment", form({ image: [image, name] }, fields))).blob();
}

/**
 * @param {Blob} image @param {string} name its file's
 * @param {Blob} mask corrected by hand
 * @returns {Promise<Blob>} the mask as a DICOM SEG
 */
export async function correctedDicom(image, name, mask) {
  const body = form({ image: [image, name], mask: [mask, "mask.png"] }, { format: "dicom" });
  return (await ask("api/v1/measure", body)).blob();
}

/**
 * @param {Blob} image @param {string} name its file's
 * @param {Blob} mask
 * @param {number} [mm_per_pixel]
 * @returns {Promise<any>} measures and contours
 */
export async function measure(image, name, mask, mm_per_pixel) {
  const body = form({ image: [image, name], mask: [mask, "mask.png"] }, { mm_per_pixel });
  return (await ask("api/v1/measure", body)).json();
}

/** @param {Record<string, [Blob, string]>} files @param {Record<string, unknown>} fields */
export function form(files, fields) {
  const body = new FormData();
  for (const [field, [file, name]] of Object.entries(files)) body.append(field, file, name);
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) body.append(name, String(value));
  return body;
}

/**
 * Send a request; retry while the server is busy, and with a key if it needs one.
 * @param {string} path @param {FormData} [body] @param {AbortSignal} [signal] @returns {Promise<Response>}
 */
export async function ask(path, body, signal, patience = PATIENCE) {
  const key = storedKey();
  const response = await reach(path, key, body, signal);
  if (response.ok) return response;
  if (response.status === 401) {
    if (key === storedKey()) await askForKey(key !== null);
    return ask(path, body, signal, patience);
  }
  if (BUSY.includes(response.status) && patience > 0) {
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    await pause(Math.min(seconds, MAX_WAIT_SECONDS), signal);
    return ask(path, body, signal, patience - 1);
  }
  throw await problemOf(response);
}

/** @param {number} seconds @param {AbortSignal} [signal] that ends it early */
function pause(seconds, signal) {
  return new Promise((done) => {
    setTimeout(done, 1000 * seconds);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** @param {string} path @param {string | null} key @param {FormData} [body] @param {AbortSignal} [signal] */
async function reach(path, key, body, signal) {
  try {
    const headers = key === null ? {} : { "X-API-Key": key };
    return await fetch(path, body ? { method: "POST", body, headers, signal } : { headers, signal });
  } catch {
    throw new Problem("The server does not answer", "check that it is running, then try again");
  }
}

/** @param {Response} response */
async function problemOf(response) {
  try {
    const { detail, hint } = await response.json();
    return new Problem(detail, hint, response.status);
  } catch {
    return new Problem(`The server answered with status ${response.status}`, "try again", response.status);
  }
}
