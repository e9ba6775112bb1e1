/** The page: a list of images, one of which is shown. */

import { about } from "./api.js";
import { Case } from "./case.js";
import { useCorrection } from "./correcting.js";
import { showSamples, useIntake } from "./intake.js";
import { measureCase } from "./measuring.js";
import { element, showFlags, showMeasures, showSampleSwitches } from "./panel.js";
import { useSaving } from "./saving.js";
import { readSettings, showSettings } from "./settings.js";
import { Sender } from "./sending.js";
import { say, sayProblem } from "./status.js";
import { showStrip } from "./strip.js";
import { useLayers, useZoom, Viewer } from "./viewer.js";

const STILL_MS = 400;

const $ = (id) => document.getElementById(id);
const viewer = new Viewer($("canvas"), $("frame"));
const sender = new Sender((one) => (one === shown ? select(one) : showStrip(cases, shown, select)));
/** @type {Case[]} */
const cases = [];
/** @type {Case | null} */
let shown = null;
let still = 0;

/** @param {File[]} files */
function take(files) {
  const options = readSettings();
  if (!options || !files.length) return;
  const added = files.map((file) => new Case(file, options));
  cases.push(...added);
  document.body.classList.remove("empty");
  select(added[0]);
  sender.send(added);
  bringIntoView();
}

/** On a small screen the result is below the button that was pressed. */
function bringIntoView() {
  const { top } = $("busy").getBoundingClientRect();
  if (top > innerHeight / 2) scrollBy({ top: top - 80, behavior: "smooth" });
}

/** @param {Case} one */
function select(one) {
  shown = one;
  const { name, result, problem } = one;
  $("work").hidden = !result;
  $("failure").hidden = !problem;
  $("busy").hidden = Boolean(result || problem);
  viewer.show(result);
  showStrip(cases, shown, select);
  if (result) showResult(one);
  else if (problem) showProblem(one);
  else say($("busy-text").textContent = `Segmenting ${name} …`);
}

function showResult({ name, result }) {
  const count = result.maps.samples.length;
  $("case-name").textContent = name;
  $("canvas").setAttribute("aria-label", `${name} with the lesion's outline`);
  $("show-spread").disabled = count < 2;
  $("spread-top").textContent = result.spreadTop.toFixed(2);
  showSampleSwitches($("sample-switches"), count, viewer.layers.samples, () => viewer.refresh());
  showEdit();
}

function showProblem(one) {
  const { name, problem } = one;
  const parts = [element("strong", `${name} could not be segmented`), `${problem.message}: ${problem.hint}.`];
  $("failure").replaceChildren(...parts);
  if (problem.status === 0 || problem.status >= 500) {
    const again = Object.assign(element("button", "Try again"), { type: "button" });
    again.addEventListener("click", () => {
      one.problem = null;
      select(one);
      sender.send([one]);
    });
    $("failure").append(again);
  }
}

/** Show the current mask, and request its measures once it stops changing. */
function showEdit() {
  const { history, edit, fresh } = shown.result;
  $("threshold").value = String(edit.threshold);
  $("threshold-value").textContent = edit.threshold.toFixed(2);
  $("undo").disabled = !history.past.length;
  $("redo").disabled = !history.future.length;
  viewer.refresh();
  showNumbers();
  clearTimeout(still);
  if (!fresh) still = setTimeout(measureShown, STILL_MS);
}

async function measureShown() {
  const one = shown;
  try {
    await measureCase(one);
    if (one === shown) showNumbers();
  } catch (error) {
    $("measures-state").textContent = "of an earlier mask";
    sayProblem(error, "the measures are of an earlier mask");
  }
}

function showNumbers() {
  const { name, result } = shown;
  const { measures, quality } = result.measured.answer;
  showMeasures({ expected_dice: quality?.expected_dice ?? null, ...measures });
  showFlags($("flags"), quality?.flags ?? []);
  $("measures").classList.toggle("stale", !result.fresh);
  const state = result.corrected ? "of the corrected mask" : "";
  $("measures-state").textContent = result.fresh ? state : "being measured …";
  if (result.fresh) say(`${name}: the lesion covers ${(100 * measures.area_share).toFixed(1)} % of the image`);
}

useIntake(take);
useCorrection(viewer, showEdit);
useLayers(viewer);
useZoom(viewer);
useSaving(() => cases, () => shown);
try {
  const server = await about();
  showSettings(server);
  showSamples(server.sample_images, take, (error) => sayProblem(error, "no sample"));
} catch (error) {
  sayProblem(error, "samples are not shown");
}
