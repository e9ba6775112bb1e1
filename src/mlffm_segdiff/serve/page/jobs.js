/** Jobs of the server: several images in one request, and an event for each that is done. */

import { ask, form } from "./api.js";
import { storedKey } from "./key.js";
import { Problem } from "./status.js";

/** Seconds without a request after which the server removes the job of a page that is gone. */
const IDLE_SECONDS = 60;

/**
 * @param {[Blob, string][]} images with their files' names
 * @param {import("./settings.js").Settings} options @param {AbortSignal} signal
 * @returns {Promise<string>} the address of the job
 */
export async function startJob(images, options, signal) {
  const body = form({}, { ...options, outputs: "response", idle_seconds: IDLE_SECONDS });
  for (const [image, name] of images) body.append("image", image, name);
  const { url } = await unlessCutOff((await ask("api/v1/batches", body, signal)).json());
  return url.slice(1);
}

/**
 * Server-sent events from the first on; EventSource sends no API key.
 * @param {string} job its address @param {AbortSignal} signal
 * @returns {AsyncGenerator<{kind: string, data: any}>} `image` for each image, then `end`, unless it is cut off
 */
export async function* jobEvents(job, signal) {
  const { body } = await ask(`${job}/events`, undefined, signal);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await unlessCutOff(reader.read());
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const [, kind, data] = /^event: ([^\n]*)\ndata: ([^\n]*)/m.exec(block) ?? [];
      if (kind) yield { kind, data: JSON.parse(data) };
    }
  }
}

/**
 * @param {string} job its address @param {{files: string[]}} image of an event @param {AbortSignal} signal
 * @returns {Promise<any>} measures, intervals, contours, their band, maps and a preview; null if it has none
 */
export async function jobResponse(job, { files }, signal) {
  const path = files.find((file) => file.startsWith("results/response/"));
  return path ? unlessCutOff((await ask(`${job}/${path}`, undefined, signal)).json()) : null;
}

/** Stop a job and remove its files, even if the page is being left. @param {string} job its address */
export async function endJob(job) {
  const key = storedKey();
  try {
    await fetch(job, { method: "DELETE", keepalive: true, headers: key === null ? {} : { "X-API-Key": key } });
  } catch {
    // the server has stopped, and its jobs with it
  }
}

/** @template T @param {Promise<T>} reading of a response @returns {Promise<T>} */
async function unlessCutOff(reading) {
  try {
    return await reading;
  } catch {
    throw new Problem("The connection was lost", "check that the server is running, then try again");
  }
}
