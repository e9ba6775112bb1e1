/** The page: a list of images, one of which is open. */

import { about } from "./api.js";
import { Case } from "./case.js";
import { useCorrection, useLayers, useTools, useZoom } from "./controls.js";
import { showBusy, showCase, showCounts, showFailure, showFrame, showNumbers, showProgress, showRamp,
  showResult } from "./desk.js";
import { confirmed, useDialogs } from "./dialogs.js";
import { useDownloads } from "./downloads.js";
import { Editor } from "./editor.js";
import { showSamples, useIntake } from "./intake.js";
import { List } from "./list.js";
import { measureCase } from "./measuring.js";
import { Prompting } from "./prompting.js";
import { Queue } from "./queue.js";
import { Result } from "./result.js";
import { Sender } from "./sending.js";
import { readSettings, showSettings } from "./settings.js";
import { useShortcuts } from "./shortcuts.js";
import { asProblem, say, sayProblem } from "./status.js";
import { Store } from "./store.js";
import { View } from "./view.js";

const STILL_MS = 400;
const OPEN = ["new", "seen", "corrected"];

const $ = (id) => document.getElementById(id);
const store = await Store.open();
const queue = new Queue();
const sender = new Sender(store, answered, sendingChanged);
const view = new View($("image"), $("canvas"), $("minimap"));
const prompting = new Prompting(store, boxed, awaiting);
const editor = new Editor(view, prompting, changed);
const list = new List($("list"), choose);
/** New images, of which the first that does not fail is opened. @type {Set<Case>} */
const awaited = new Set();
let added = 0;
/** Number of added images that are not in the store yet. */
let unkept = 0;
let still = 0;
/** Number of times an image was opened. */
let opened = 0;

/** @param {File[]} files */
async function take(files) {
  const options = readSettings();
  if (!options || !files.length) return;
  const cases = files.map((file) => new Case(newId(), file.name, options));
  const wasEmpty = queue.cases.length === 0;
  queue.cases.push(...cases);
  unkept += cases.length;
  awaited.clear();
  for (const one of cases) awaited.add(one);
  showFrame(queue);
  showList();
  if (wasEmpty || !view.result) await open(null);
  if (wasEmpty) $("canvas").focus();
  for (const [index, one] of cases.entries()) {
    await store.put("files", one.id, files[index]);
    one.dicom = await isDicom(files[index]);
    await save(one);
    unkept -= 1;
    if (queue.cases.includes(one)) sender.send([one]);
    else await store.remove(one.id);
  }
  showList();
}

/** By the mark after the preamble (DICOM PS3.10, 7.1): names of DICOM files often have no ending. @param {File} file */
async function isDicom(file) {
  return (await file.slice(128, 132).text()) === "DICM";
}

/** Names in the store sort by the time they were added. */
function newId() {
  added += 1;
  return `${Date.now().toString(36).padStart(9, "0")}${added.toString(36).padStart(4, "0")}`;
}

/** @param {Case} one keeps its entry */
function save(one) {
  return store.put("cases", one.id, one.entry);
}

/** @param {Case} one that the server has answered */
async function answered(one) {
  if (!queue.cases.includes(one)) return store.remove(one.id);
  await save(one);
  if (one === queue.shown) return open(one);
  const first = [...awaited].find(({ problem }) => !problem) ?? [...awaited][0];
  return first?.done || first?.problem ? open(first) : showList();
}

/** Sending stopped, waits for the server, or continues. */
function sendingChanged() {
  showList();
  if (sender.trouble) sayProblem(sender.trouble, sender.left === 1 ? "one image waits" : `${sender.left} images wait`);
}

/** @param {Case | null} one chosen by the user */
function choose(one) {
  if (!one || one === view.result?.one) return;
  awaited.clear();
  open(one);
}

/** Show an image, or that it is waiting or failed. @param {Case | null} one */
async function open(one) {
  const turn = ++opened;
  queue.shown = one;
  if (one?.done || one?.problem) awaited.clear();
  if (one?.done && one.decision === "new") {
    one.decision = "seen";
    save(one);
  }
  showFrame(queue);
  showList();
  if (!one?.done || one.problem) {
    close();
    if (one?.problem) showFailure(one, () => retry(one));
    else if (queue.cases.length) showBusy(one ? `Segmenting ${one.name} …` : "Segmenting …");
    return;
  }
  try {
    const result = await Result.open(store, one);
    if (turn !== opened) return result.close();
    close();
    view.show(result);
  } catch (error) {
    one.problem = asProblem(error);
    return turn === opened ? open(one) : showList();
  }
  showResult(view);
  showCase(one, prompting);
  showNumbers(one);
  measureLater(one);
}

/** An image starts or ends to be segmented within a box, which undo cancels. */
function awaiting() {
  view.refresh();
  if (view.result?.one === queue.shown) showCase(queue.shown, prompting);
}

/** A case has a mask within a new box. */
function boxed(one, boxes) {
  if (view.result?.one === one) {
    view.result.answer.boxes = boxes;
    editor.refresh();
    return;
  }
  save(one);
  if (one === queue.shown) open(one);
  else showList();
}

function close() {
  view.result?.close();
  view.show(null);
}

function retry(one) {
  one.problem = null;
  open(one);
  sender.send([one]);
  showList();
}

/** The mask of the open image changed. */
function changed() {
  const { one } = view.result;
  save(one);
  if (one === queue.shown) {
    showCase(one, prompting);
    showNumbers(one);
    showRamp(view.result);
  }
  showList();
  measureLater(one);
}

/** Have the mask measured once it stops changing. @param {Case} one */
function measureLater(one) {
  clearTimeout(still);
  if (!one.fresh) still = setTimeout(() => measureShown(view.result), STILL_MS);
}

/** @param {Result | null} result */
async function measureShown(result) {
  if (!result) return;
  const { one } = result;
  try {
    await measureCase(store, one, result.answer, () => ({ ...result.raster, data: result.mask() }));
    save(one);
    if (view.result === result) showNumbers(one);
  } catch (error) {
    $("measures-state").textContent = "of an earlier mask";
    sayProblem(error, "the measures are of an earlier mask");
  }
}

function showList() {
  const { listed } = queue;
  list.show(listed, queue.shown);
  showCounts(queue, listed);
  showProgress(queue, sender);
}

/**
 * Accept or reject the open image, and open the next; or take the decision back.
 * @param {"accepted" | "rejected"} decision
 */
function decide(decision) {
  const one = queue.shown;
  if (!one?.done || one.problem) return;
  const next = queue.neighbour(1);
  const back = one.decision === decision;
  one.decision = back ? "seen" : decision;
  save(one);
  showCase(one, prompting);
  showList();
  say(`${one.name}: ${back ? "not decided" : decision}`);
  if (!back && next) choose(next);
}

async function acceptListed() {
  const cases = queue.listed.filter((one) => OPEN.includes(one.status));
  if (!cases.length || !(await confirmed(`Accept ${cases.length} images?`, "Accept"))) return;
  for (const one of cases) one.decision = "accepted";
  for (const one of cases) await save(one);
  if (queue.shown?.done) showCase(queue.shown, prompting);
  showList();
  say(`${cases.length} images accepted`);
}

/** @param {Case[]} cases @param {string} question */
async function remove(cases, question) {
  if (!cases.length || !(await confirmed(question, "Remove"))) return;
  const next = queue.neighbour(1) ?? queue.neighbour(-1);
  sender.drop(cases);
  for (const one of cases) prompting.cancel(one);
  queue.remove(cases);
  for (const one of cases) awaited.delete(one);
  if (queue.cases.length === 0) await store.clear();
  else for (const one of cases) await store.remove(one.id);
  if (!queue.shown) await open(queue.cases.includes(next) ? next : (queue.cases[0] ?? null));
  else showList();
  showFrame(queue);
  say(cases.length === 1 ? "One image removed" : `${cases.length} images removed`);
}

/** Bring back the work of an earlier visit. */
async function restore() {
  const cases = (await store.entries()).map(Case.restored);
  queue.cases.unshift(...cases);
  if (!cases.length) return;
  sender.send(cases.filter((one) => !one.done && !one.problem));
  await open(cases.find((one) => OPEN.includes(one.status)) ?? cases[0]);
  say(cases.length === 1 ? "One image restored" : `${cases.length} images restored`);
}

/** Decode the image at full size once the view is finer than its preview. */
async function refine() {
  const { result } = view;
  if (!result || result.full !== null || result.image.width === result.width) return;
  if (view.scale * devicePixelRatio <= result.image.width / result.width) return;
  result.full = undefined;
  const full = await createImageBitmap(await store.get("files", result.one.id)).catch(() => null);
  if (!full || full.width !== result.width || full.height !== result.height) return;
  if (view.result !== result) return full.close();
  result.full = full;
  view.refresh(true);
}

view.onmove = () => {
  $("zoom").textContent = `${Math.round(100 * view.scale * devicePixelRatio)} %`;
  refine();
};
useIntake(take);
useDialogs();
useCorrection(editor);
useLayers(view);
useDownloads(store, queue);
const chooseTool = useTools(editor);
const zoom = useZoom(view);
const step = (way) => () => choose(queue.neighbour(way));
const clicks = {
  previous: step(-1),
  next: step(1),
  accept: () => decide("accepted"),
  "stop-sending": () => (sender.stopped || sender.trouble ? sender.resume() : sender.stop()),
  reject: () => decide("rejected"),
  "accept-listed": acceptListed,
  remove: () => queue.shown && remove([queue.shown], `Remove ${queue.shown.name}, with its mask and corrections?`),
  "remove-listed": () => remove(queue.listed, `Remove ${queue.listed.length} images, with their masks and corrections?`),
  "remove-all": () => remove(queue.cases, "Remove all images, masks and decisions from this browser?"),
};
for (const [id, run] of Object.entries(clicks)) $(id).addEventListener("click", run);
for (const name of ["filter", "order", "search"]) {
  $(name).addEventListener("input", () => {
    queue[name] = $(name).value;
    showList();
  });
}
useShortcuts(editor, chooseTool, zoom, clicks);
addEventListener("beforeunload", (event) => {
  const work = queue.cases.some((one) => one.corrected || ["accepted", "rejected"].includes(one.decision));
  if (unkept || (work && !store.lasting)) event.preventDefault();
});
await restore().catch((error) => sayProblem(error, "earlier images are not shown"));
try {
  const server = await about();
  showSettings(server);
  showSamples(server.sample_images, take, (error) => sayProblem(error, "no sample"));
} catch (error) {
  sayProblem(error, "samples are not shown");
}
