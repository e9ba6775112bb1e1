/** Buttons, sliders and switches around the image. */

import { drawAwaited } from "./prompt_tools.js";
import { makeTools } from "./tools.js";
import { useGestures } from "./gestures.js";
import { say } from "./status.js";

const ZOOM_STEP = 1.5;
const $ = (id) => document.getElementById(id);

/** @param {import("./editor.js").Editor} editor @returns {(name: string) => void} chooses a tool */
export function useTools(editor) {
  const canvas = $("canvas");
  const tools = makeTools(editor);
  const radios = [...document.querySelectorAll("[name=tool]")];
  const current = () => tools[canvas.dataset.tool];
  const choose = (name) => {
    current()?.cancel?.();
    const radio = radios.find(({ value }) => value === name);
    const chosen = radio.closest("label");
    radio.checked = true;
    canvas.dataset.tool = name;
    $("brush-size").disabled = !["brush", "eraser"].includes(name);
    $("removing").disabled = !["points", "lasso", "polygon"].includes(name);
    editor.view.refresh();
    say(`${chosen.textContent.trim()}: ${chosen.title}`);
  };
  for (const radio of radios) radio.addEventListener("change", () => choose(radio.value));
  editor.view.marks = (context, view) => {
    const awaited = editor.prompting.boxOf(view.result.one);
    if (awaited) drawAwaited(context, view, awaited);
    current()?.marks?.(context, view);
  };
  editor.view.onshow = () => current()?.cancel?.();
  useGestures(canvas, editor, current);
  $("brush-size").addEventListener("input", () => setBrush(editor, Number($("brush-size").value)));
  $("removing").addEventListener("change", () => (editor.removing = $("removing").checked));
  return choose;
}

/** @param {import("./editor.js").Editor} editor @param {number} size in thousandths of the image's longer side */
export function setBrush(editor, size) {
  $("brush-size").value = String(size);
  editor.brush = Number($("brush-size").value);
  if (editor.result) editor.view.refresh();
}

/** @param {import("./editor.js").Editor} editor */
export function useCorrection(editor) {
  for (const way of ["undo", "redo"]) $(way).addEventListener("click", () => editor.travel(way));
  for (const kind of ["holes", "largest", "smooth"]) $(kind).addEventListener("click", () => editor.clean(kind));
  addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || event.target.matches("input[type=number], input[type=search]")) return;
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    editor.travel(key === "y" || event.shiftKey ? "redo" : "undo");
  });
  const threshold = () => Number($("threshold").value);
  $("threshold").addEventListener("input", () => {
    editor.previewThreshold(threshold());
    $("threshold-value").textContent = threshold().toFixed(2);
  });
  for (const end of ["change", "pointerup", "pointercancel"]) {
    $("threshold").addEventListener(end, () => editor.setThreshold(threshold()));
  }
}

/** @param {import("./view.js").View} view */
export function useLayers(view) {
  for (const layer of ["outline", "before", "band", "probability", "uncertainty"]) {
    $(`show-${layer}`).addEventListener("change", (event) => {
      view.layers[layer] = event.target.checked;
      view.refresh();
    });
  }
  $("fill").addEventListener("input", () => {
    view.layers.fill = Number($("fill").value);
    view.refresh();
  });
  const compare = () => {
    $("compare").hidden = !$("show-compare").checked;
    view.layers.compare = $("compare").hidden ? null : Number($("compare").value);
    view.refresh();
  };
  $("show-compare").addEventListener("change", compare);
  $("compare").addEventListener("input", compare);
}

/** @param {import("./view.js").View} view @returns {Record<string, () => void>} what the zoom buttons do */
export function useZoom(view) {
  const ways = {
    out: () => view.zoom(1 / ZOOM_STEP),
    in: () => view.zoom(ZOOM_STEP),
    fit: () => view.fit(),
    one: () => view.zoom(1 / (view.scale * devicePixelRatio)),
  };
  for (const [name, run] of Object.entries(ways)) $(`zoom-${name}`).addEventListener("click", run);
  return ways;
}
