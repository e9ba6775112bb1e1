/** Results saved as files: of one image, or of many in one ZIP file. */

import { correctedDicom, segmentDicom } from "./api.js";
import { cocoAnnotation, cocoFile, labelStudioTask, tableRow } from "./annotations.js";
import { Archive } from "./archive.js";
import { csv } from "./csv.js";
import { stem } from "./download.js";
import { contoursOf, measureCase } from "./measuring.js";
import { outline } from "./outline.js";
import { maskPng } from "./png.js";
import { maskOf } from "./result.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./case.js").Case} Case */
/** @typedef {"masks" | "overlays" | "contours" | "dicom" | "coco" | "labelStudio" | "table"} Part */

/** A mask with what its files need. */
class Opened {
  /** @param {Store} store @param {Case} one @param {import("./result.js").Answer} answer */
  constructor(store, one, answer) {
    this.store = store;
    this.one = one;
    this.answer = answer;
    this.current = () => maskOf(answer, one.edit);
    this.raster = this.current();
  }

  mask() {
    return maskPng(this.raster.data, this.raster.width, this.raster.height);
  }

  /** @returns {Promise<any>} GeoJSON */
  contours() {
    return contoursOf(this.store, this.one, this.answer, this.current);
  }

  /** @returns {Promise<Blob>} the preview with the outline, as JPEG */
  async overlay() {
    const image = await createImageBitmap(this.answer.preview);
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const scale = image.width / this.raster.width;
    context.setTransform(scale, 0, 0, image.height / this.raster.height, 0, 0);
    for (const [colour, width] of [["rgba(0, 0, 0, 0.7)", 4], ["#00e5ff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width / scale;
      context.stroke(outline(this.raster));
    }
    image.close();
    return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  }

  /** @returns {Promise<Blob>} by the server, which segments the image again unless the mask was drawn on */
  async dicom() {
    const { name, options, edit, drawn } = this.one;
    const file = await this.store.get("files", this.one.id);
    if (drawn) return correctedDicom(file, name, await this.mask());
    return segmentDicom(file, name, options, edit);
  }
}

/** @returns {Promise<Opened>} */
async function open(store, one) {
  return new Opened(store, one, await store.get("answers", one.id));
}

/** @param {Store} store @param {Case} one @param {Part} part @returns {Promise<Blob>} */
export async function fileOf(store, one, part) {
  const opened = await open(store, one);
  if (part === "contours") return new Blob([JSON.stringify(await opened.contours())], { type: "application/geo+json" });
  return { masks: () => opened.mask(), overlays: () => opened.overlay(), dicom: () => opened.dicom() }[part]();
}

/** Extension of the files of a part. */
export const ENDINGS = { masks: "png", overlays: "jpg", contours: "geojson", dicom: "dcm" };

/** @param {Store} store @param {Case[]} cases @returns {Promise<Blob>} measures as CSV */
export async function tableOf(store, cases) {
  for (const one of cases) await measured(store, one);
  return new Blob([csv(cases.map(tableRow))], { type: "text/csv" });
}

/** Have a mask measured, unless its measures are known. */
async function measured(store, one) {
  if (one.fresh) return;
  const answer = await store.get("answers", one.id);
  await measureCase(store, one, answer, () => maskOf(answer, one.edit));
}

/**
 * @param {Store} store
 * @param {Case[]} cases with a mask
 * @param {Set<Part>} parts
 * @param {(done: number) => void} progress called after each image
 * @returns {Promise<Blob>} a ZIP file
 */
export async function archiveOf(store, cases, parts, progress) {
  const archive = new Archive();
  const names = uniqueStems(cases);
  const [coco, tasks] = [[], []];
  for (const [index, one] of cases.entries()) {
    const opened = await open(store, one);
    const add = async (folder, content) => archive.add(`${folder}/${names[index]}.${ENDINGS[folder]}`, content);
    if (parts.has("masks")) await add("masks", await opened.mask());
    if (parts.has("overlays")) await add("overlays", await opened.overlay());
    if (parts.has("contours")) await add("contours", JSON.stringify(await opened.contours()));
    if (parts.has("dicom") && one.dicom) await add("dicom", await opened.dicom());
    if (parts.has("coco")) coco.push({ one, annotation: cocoAnnotation(opened.raster) });
    if (parts.has("labelStudio")) tasks.push(labelStudioTask(one, await opened.contours()));
    if (parts.has("table")) await measured(store, one);
    progress(index + 1);
  }
  if (parts.has("coco")) await archive.add("coco.json", JSON.stringify(cocoFile(coco)));
  if (parts.has("labelStudio")) await archive.add("label_studio.json", JSON.stringify(tasks));
  if (parts.has("table")) await archive.add("predictions.csv", csv(cases.map(tableRow)));
  return archive.finish();
}

/** Names without their ending; the second of two equal ones gets a number. */
function uniqueStems(cases) {
  const used = new Set();
  return cases.map(({ name }) => {
    const first = stem(name).replaceAll(/[\\/:*?"<>|]/g, "_");
    let unique = first;
    for (let number = 2; used.has(unique.toLowerCase()); number++) unique = `${first}_${number}`;
    used.add(unique.toLowerCase());
    return unique;
  });
}
