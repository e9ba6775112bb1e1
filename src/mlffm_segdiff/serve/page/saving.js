/** Results saved as files. */

import { csv } from "./csv.js";
import { download, stem } from "./download.js";
import { measureCase, pngOf } from "./measuring.js";
import { say, sayProblem } from "./status.js";

/** @param {() => import("./case.js").Case[]} cases all @param {() => import("./case.js").Case} shown */
export function useSaving(cases, shown) {
  onSave("save-mask", async () => {
    const { name, result } = shown();
    download(await pngOf(result), `${stem(name)}_mask.png`);
    say(`The mask of ${name} was saved`);
  });
  onSave("save-contour", async () => {
    const one = shown();
    await measureCase(one);
    const text = JSON.stringify(one.result.measured.answer.contours);
    download(new Blob([text], { type: "application/geo+json" }), `${stem(one.name)}_contour.geojson`);
    say(`The contour of ${one.name} was saved`);
  });
  onSave("save-table", async () => {
    const done = cases().filter((one) => one.result);
    for (const one of done) await measureCase(one);
    download(new Blob([csv(done.map(tableRow))], { type: "text/csv" }), "predictions.csv");
    say(`The measures of ${done.length === 1 ? "one image" : `${done.length} images`} were saved`);
  });
}

function onSave(id, save) {
  document.getElementById(id).addEventListener("click", () => {
    save().catch((error) => sayProblem(error, "nothing was saved"));
  });
}

function tableRow({ name, result }) {
  const { source, edit, corrected, measured } = result;
  const { measures, quality } = measured.answer;
  const doubts = quality ? { ...quality, flags: quality.flags.join(" ") } : {};
  return { image: name, ...source, threshold: edit.threshold, corrected, ...measures, ...doubts };
}
