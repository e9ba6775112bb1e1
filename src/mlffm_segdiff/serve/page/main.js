/** The page: cases come in, one is shown, corrected and taken away. */

import * as api from "./api.js";
import { useBrush } from "./brush.js";
import { Case, Result } from "./case.js";
import { csv } from "./csv.js";
import { download, stem } from "./download.js";
import { showSamples, useIntake } from "./intake.js";
import { countPixels, drawStroke } from "./mask.js";
import { element, showFlags, showMeasures, showSampleSwitches } from "./panel.js";
import { maskPng } from "./png.js";
import { Viewer, ZOOMS } from "./viewer.js";

const AT_ONCE = 4;
const STILL_MS = 400;

const $ = (id) => document.getElementById(id);
const viewer = new Viewer($("canvas"), $("frame"));
/** @type {Case[]} */
const cases = [];
/** @type {Case[]} */
const waiting = [];
/** @type {Case | null} */
let current = null;
let running = 0;
let measuring = 0;
/** @type {import("./mask.js").Stroke | null} */
let stroke = null;

function say(text) {
  $("status").textContent = text;
}

// Pictures come in

function take(files) {
  if (!files.length) return;
  const invalid = ["samples-count", "steps-count", "spacing"].map($).find((input) => !input.checkValidity());
  if (invalid) {
    $("drawing").open = true;
    invalid.reportValidity();
    return;
  }
  const options = { samples: Number($("samples-count").value), steps: Number($("steps-count").value) };
  if ($("spacing").value) options.mm_per_pixel = Number($("spacing").value);
  const added = files.map((file) => new Case(file, options));
  cases.push(...added);
  waiting.push(...added);
  select(added[0]);
  work();
}

function work() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    solve(waiting.shift()).finally(() => {
      running -= 1;
      work();
    });
  }
}

async function solve(one) {
  try {
    const answer = await api.segment(one.file, one.options);
    one.result = new Result(answer, await decoded(answer.preview));
  } catch (error) {
    one.problem = asProblem(error);
  }
  if (one === current) select(one);
  else showCases();
}

/** @param {string} url of a picture's bytes */
async function decoded(url) {
  const image = Object.assign(new Image(), { src: url });
  await image.decode();
  return createImageBitmap(image);
}

function asProblem(error) {
  return error instanceof api.Problem ? error : new api.Problem(`The page has a fault (${error})`, "reload it");
}

// One picture is shown

function select(one) {
  current = one;
  const { result, problem } = one;
  $("work").hidden = !result;
  $("failure").hidden = !problem;
  viewer.cursor = null;
  viewer.show(result);
  if (result) showResult(one, result);
  else if (problem) showProblem(one, problem);
  else say(`Segmenting ${one.name} …`);
  showCases();
}

function showResult(one, result) {
  $("case-name").textContent = one.name;
  $("canvas").setAttribute("aria-label", `${one.name} with the lesion's outline`);
  $("show-spread").disabled = result.maps.samples.length < 2;
  showSampleSwitches($("sample-switches"), result.maps.samples.length, viewer.layers.samples, () => viewer.refresh());
  viewer.fit();
  showEdit();
}

function showProblem(one, problem) {
  $("failure").replaceChildren(element("strong", `${one.name}: ${problem.message}`), capital(problem.mend));
  if (problem.status === 0 || problem.status >= 500) {
    const again = Object.assign(element("button", "Try again"), { type: "button" });
    again.addEventListener("click", () => {
      one.problem = null;
      waiting.push(one);
      select(one);
      work();
    });
    $("failure").append(" ", again);
  }
  say(`${one.name} could not be segmented`);
}

function capital(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function showCases() {
  $("cases-box").hidden = cases.length < 2;
  const items = cases.map((one) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.setAttribute("aria-current", String(one === current));
    const state = one.problem ? "not segmented" : one.result ? "done" : "working …";
    button.append(element("span", one.name, "name"), element("span", state, one.problem ? "hint failed" : "hint"));
    button.addEventListener("click", () => select(one));
    const item = element("li", "");
    item.append(button);
    return item;
  });
  const focused = [...$("cases").children].findIndex((item) => item.contains(document.activeElement));
  $("cases").replaceChildren(...items);
  items[focused]?.firstElementChild.focus();
}

// The mask is changed

function change(edit) {
  current.result.history.push(edit);
  showEdit();
}

/** Show the mask as it is now, and ask for its measures once it stays so. */
function showEdit() {
  const { result } = current;
  const { threshold } = result.edit;
  $("threshold").value = String(threshold);
  $("threshold-value").textContent = threshold.toFixed(2);
  $("undo").disabled = !result.history.past.length;
  $("redo").disabled = !result.history.future.length;
  viewer.draft = null;
  viewer.refresh();
  showNumbers();
  clearTimeout(measuring);
  if (!result.fresh) measuring = setTimeout(() => measureCase(current).catch(tellStale), STILL_MS);
}

function showNumbers() {
  const { name, result } = current;
  const { answer } = result.measured;
  showMeasures($("measures"), { ...answer.measures, ...(answer.quality ?? {}), flags: null });
  showFlags($("flags"), answer.quality?.flags ?? []);
  $("measures").classList.toggle("stale", !result.fresh);
  $("measures-state").textContent = result.fresh ? (result.corrected ? "of the corrected mask" : "") : "being measured …";
  if (result.fresh) say(`${name}: the lesion covers ${(100 * answer.measures.area_share).toFixed(1)} % of the picture`);
}

/** Have the mask as it is now measured. @param {Case} one */
async function measureCase(one) {
  const { result } = one;
  while (!result.fresh) {
    const edit = result.edit;
    const answer = await api.measure(one.file, await pngOf(result), one.options.mm_per_pixel);
    result.measured = { edit, answer };
  }
  if (one === current) showNumbers();
}

function tellStale(error) {
  const problem = asProblem(error);
  $("measures-state").textContent = "of an earlier mask";
  say(`${problem.message}: the measures are of an earlier mask; ${problem.mend}`);
}

function pngOf(result) {
  return maskPng(result.sourceMask(), result.source.width, result.source.height);
}

function radius() {
  const { width, height } = current.result.source;
  return Math.max(0.5, (Number($("radius").value) / 1000) * Math.max(width, height));
}

function tool() {
  return document.querySelector("[name=tool]:checked").value;
}

function choose(name) {
  document.querySelector(`[name=tool][value=${name}]`).checked = true;
  $("canvas").dataset.tool = name;
  say(`Tool: ${name}`);
}

useBrush(viewer, {
  tool,
  choose,
  radius,
  resize(change) {
    $("radius").value = String(Number($("radius").value) + 2 * change);
    if (viewer.cursor) viewer.cursor.radius = radius();
    viewer.refresh();
  },
  begin(place) {
    stroke = { erase: tool() === "eraser", radius: radius(), points: [place] };
    viewer.draft = current.result.mask.slice();
    drawLast(1);
  },
  extend(place) {
    if (!stroke) return;
    stroke.points.push(place);
    drawLast(2);
  },
  end() {
    if (!stroke) return;
    const { edit } = current.result;
    const strokes = [...edit.strokes, stroke];
    stroke = null;
    change({ ...edit, strokes });
  },
});

/** Draw the last points of the stroke in work on the draft. @param {number} count */
function drawLast(count) {
  const { width, height, scale } = current.result;
  drawStroke(viewer.draft, { ...stroke, points: stroke.points.slice(-count) }, width, height, scale);
  viewer.refresh();
}

function step(way) {
  if (stroke || !current?.result?.history[way]()) return;
  showEdit();
}

// Controls

$("threshold").addEventListener("input", () => {
  const { result } = current;
  const threshold = Number($("threshold").value);
  $("threshold-value").textContent = threshold.toFixed(2);
  const { strokes } = result.edit;
  const { history } = result;
  const sliding = history.past.length && history.now.sliding;
  const next = { threshold, strokes, sliding: true };
  if (sliding) {
    history.now = next;
    history.future = [];
    showEdit();
  } else change(next);
});
$("threshold").addEventListener("change", () => {
  current.result.history.now.sliding = false;
});
for (const input of document.querySelectorAll("[name=tool]")) {
  input.addEventListener("change", () => choose(tool()));
}
for (const layer of ["outline", "probability", "spread"]) {
  $(`show-${layer}`).addEventListener("change", (event) => {
    viewer.layers[layer] = event.target.checked;
    viewer.refresh();
  });
}
for (const [id, way] of [["zoom-in", 1], ["zoom-out", -1]]) {
  $(id).addEventListener("click", () => {
    const next = ZOOMS.indexOf(viewer.zoom) + way;
    viewer.zoom = ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, next))];
    $("zoom").textContent = `${100 * viewer.zoom} %`;
    viewer.fit();
  });
}
$("undo").addEventListener("click", () => step("undo"));
$("redo").addEventListener("click", () => step("redo"));
addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.target.matches("input[type=number]")) return;
  const key = event.key.toLowerCase();
  if (key === "z" || key === "y") {
    event.preventDefault();
    step(key === "y" || event.shiftKey ? "redo" : "undo");
  }
});

// Results are taken away

function onSave(id, save) {
  $(id).addEventListener("click", async () => {
    try {
      await save(current);
    } catch (error) {
      const problem = asProblem(error);
      say(`${problem.message}: nothing was saved; ${problem.mend}`);
    }
  });
}

onSave("save-mask", async (one) => {
  download(await pngOf(one.result), `${stem(one.name)}_mask.png`);
  say(`The mask of ${one.name} was saved, ${countPixels(one.result.sourceMask())} lesion pixels`);
});
onSave("save-contour", async (one) => {
  await measureCase(one);
  const text = JSON.stringify(one.result.measured.answer.contours);
  download(new Blob([text], { type: "application/geo+json" }), `${stem(one.name)}_contour.geojson`);
  say(`The contour of ${one.name} was saved`);
});
onSave("save-table", async () => {
  const done = cases.filter((one) => one.result);
  for (const one of done) await measureCase(one);
  download(new Blob([csv(done.map(tableRow))], { type: "text/csv" }), "predictions.csv");
  say(`The measures of ${done.length} pictures were saved`);
});

function tableRow({ name, result }) {
  const { width, height } = result.source;
  const { measures, quality } = result.measured.answer;
  const { threshold } = result.edit;
  const flags = quality?.flags ? { flags: quality.flags.join(" ") } : {};
  return { image: name, width, height, threshold, corrected: result.corrected, ...measures, ...quality, ...flags };
}

useIntake(take);
api.about().then(
  (found) => {
    for (const [id, most, value] of [["samples-count", found.most_samples], ["steps-count", found.most_steps, found.sampling.steps]]) {
      $(id).max = String(most);
      if (value) $(id).value = String(value);
    }
    showSamples(found.sample_pictures, take, (error) => say(`The sample could not be had (${error})`));
  },
  (error) => say(`${error.message}; ${error.mend}`),
);
