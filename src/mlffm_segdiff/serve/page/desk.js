/** What the page shows of the chosen image, next to its view. */

import { estimateText } from "./case.js";
import { showFlags, showMeasures, showSampleSwitches } from "./panel.js";
import { element, say } from "./status.js";

const $ = (id) => document.getElementById(id);

/** @param {import("./queue.js").Queue} queue the frame of the page: which parts are visible */
export function showFrame(queue) {
  const { cases, shown } = queue;
  document.body.classList.toggle("empty", cases.length === 0);
  document.body.classList.toggle("many", cases.length > 1);
  const open = Boolean(shown?.done && !shown.problem);
  document.body.classList.toggle("open", open);
  $("accept").disabled = $("reject").disabled = !open;
  $("failure").hidden = !shown?.problem;
  $("busy").hidden = open || Boolean(shown?.problem);
  $("case-name").textContent = shown?.name ?? (cases.length ? "Segmenting …" : "");
}

/** @param {import("./case.js").Case} one that failed @param {() => void} retry */
export function showFailure({ name, done, problem }, retry) {
  const head = element("strong", `${name} could not be ${done ? "shown" : "segmented"}`);
  const parts = [head, `${problem.message}: ${problem.hint}.`];
  $("failure").replaceChildren(...parts);
  if (problem.status !== 0 && problem.status < 500) return;
  const again = Object.assign(element("button", "Try again"), { type: "button" });
  again.addEventListener("click", retry);
  $("failure").append(again);
}

/** @param {string} text what is waited for */
export function showBusy(text) {
  $("busy-text").textContent = text;
  say(text);
}

/** @param {import("./view.js").View} view with a newly opened result */
export function showResult(view) {
  const { one, answer } = view.result;
  $("band-box").hidden = !answer.band;
  $("canvas").setAttribute("aria-label", `${one.name} with the lesion's outline`);
  showRamp(view.result);
  showSampleSwitches($("sample-switches"), answer.samples.length, view.layers.samples, () => view.refresh());
}

/** @param {import("./result.js").Result} result whose uncertainty changed */
export function showRamp(result) {
  $("uncertainty-top").textContent = result.uncertaintyTop.toFixed(2);
}

/**
 * @param {import("./case.js").Case} one whose mask or decision changed
 * @param {import("./prompting.js").Prompting} prompting
 */
export function showCase(one, prompting) {
  const { history, edit, status } = one;
  $("threshold").value = String(edit.threshold);
  $("threshold-value").textContent = edit.threshold.toFixed(2);
  $("undo").disabled = !history.past.length && !prompting.boxOf(one);
  $("redo").disabled = !history.future.length;
  $("before-box").hidden = !one.corrected;
  $("save-dicom").hidden = !one.dicom;
  $("accept").setAttribute("aria-pressed", String(status === "accepted"));
  $("reject").setAttribute("aria-pressed", String(status === "rejected"));
}

/** @param {import("./case.js").Case} one its numbers, or those of an earlier mask */
export function showNumbers(one) {
  const { measures } = one.measured.numbers;
  const expected = one.expectedDice;
  showMeasures(measures);
  showFlags($("flags"), one.flags);
  $("expected").hidden = !expected;
  $("expected-value").textContent = expected ? estimateText(expected) : "";
  $("measures").classList.toggle("stale", !one.fresh);
  const state = one.corrected ? "of the corrected mask" : "";
  $("measures-state").textContent = one.fresh ? state : "being measured …";
  if (one.fresh) say(`${one.name}: the lesion covers ${(100 * measures.area_share).toFixed(1)} % of the image`);
}

/** @param {import("./queue.js").Queue} queue @param {import("./sending.js").Sender} sender */
export function showProgress(queue, sender) {
  const { left, secondsLeft, stopped, trouble } = sender;
  const total = queue.cases.length;
  $("progress-box").hidden = left === 0;
  $("progress").max = total;
  $("progress").value = total - left;
  const time = secondsLeft === null ? "" : `about ${duration(secondsLeft)} left`;
  const state = stopped ? "stopped" : (trouble?.message.toLowerCase() ?? time);
  $("progress-text").textContent = `${total - left} of ${total}${state && `, ${state}`}`;
  $("stop-sending").textContent = stopped ? "Continue" : trouble ? "Try now" : "Stop";
}

/** @param {import("./queue.js").Queue} queue */
export function showCounts(queue, listed) {
  const { cases, shown } = queue;
  const count = (status) => cases.filter((one) => one.status === status).length;
  const place = listed.indexOf(shown);
  $("position").textContent = place < 0 ? "" : `${place + 1} of ${listed.length}`;
  const decided = `${count("accepted")} accepted, ${count("rejected")} rejected`;
  $("counts").textContent = `${listed.length} of ${cases.length} listed, ${decided}`;
  $("previous").disabled = !queue.neighbour(-1);
  $("next").disabled = !queue.neighbour(1);
}

/** @param {number} seconds @returns {string} */
function duration(seconds) {
  return seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;
}
