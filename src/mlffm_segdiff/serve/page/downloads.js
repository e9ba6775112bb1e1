/** The buttons that save or copy something. */

import { download, stem } from "./download.js";
import { archiveOf, ENDINGS, fileOf, tableOf } from "./export.js";
import { storedKey } from "./key.js";
import { curlCommand, pythonProgram } from "./snippets.js";
import { say, sayProblem } from "./status.js";

const $ = (id) => document.getElementById(id);
const SUFFIXES = { masks: "_mask", overlays: "_overlay", contours: "_contour", dicom: "_seg" };
const WORDS = { masks: "mask", overlays: "overlay", contours: "contour", dicom: "DICOM SEG" };

/** @param {import("./store.js").Store} store @param {import("./queue.js").Queue} queue */
export function useDownloads(store, queue) {
  for (const [part, suffix] of Object.entries(SUFFIXES)) {
    onClick(`save-${part}`, async () => {
      const one = queue.shown;
      download(await fileOf(store, one, part), `${stem(one.name)}${suffix}.${ENDINGS[part]}`);
      say(`The ${WORDS[part]} of ${one.name} was saved`);
    });
  }
  for (const [id, write] of [["copy-curl", curlCommand], ["copy-python", pythonProgram]]) {
    onClick(id, async () => {
      const server = new URL(".", location.href).href;
      await copy(write(queue.shown, server, storedKey() !== null));
      say(queue.shown.drawn ? "Copied; it gives the mask without what you drew" : "Copied");
    });
  }
  useExport(store, queue);
}

/** Copy a text, or show it to be copied: browsers have no clipboard over plain HTTP. @param {string} text */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  $("copy-text").value = text;
  $("copy-box").showModal();
  return $("copy-text").select();
}

/** The dialog that saves many images at once. */
function useExport(store, queue) {
  const chosen = () => {
    const which = $("export-cases").value;
    const cases = which === "listed" ? queue.listed : queue.cases;
    return cases.filter((one) => one.done && !one.problem && (which !== "accepted" || one.status === "accepted"));
  };
  const count = () => {
    const number = chosen().length;
    $("export-count").textContent = number === 1 ? "1 image" : `${number} images`;
    $("export-zip").disabled = $("export-table").disabled = number === 0;
  };
  $("open-export").addEventListener("click", count);
  $("export-cases").addEventListener("change", count);
  onClick("export-table", async () => {
    const cases = chosen();
    download(await tableOf(store, cases), "predictions.csv");
    say(`The measures of ${cases.length === 1 ? "one image" : `${cases.length} images`} were saved`);
  });
  onClick("export-zip", async () => {
    const cases = chosen();
    const parts = new Set([...document.querySelectorAll("[name=part]:checked")].map(({ value }) => value));
    Object.assign($("export-progress"), { hidden: false, max: cases.length, value: 0 });
    $("export-zip").disabled = true;
    try {
      download(await archiveOf(store, cases, parts, (done) => ($("export-progress").value = done)), "masks.zip");
      say(`The files of ${cases.length === 1 ? "one image" : `${cases.length} images`} were saved`);
    } finally {
      $("export-progress").hidden = true;
      $("export-zip").disabled = false;
    }
  });
}

function onClick(id, save) {
  $(id).addEventListener("click", () => {
    save().catch((error) => sayProblem(error, "nothing was saved"));
  });
}
