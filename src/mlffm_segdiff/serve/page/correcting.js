/** Changes of the shown mask: by brush and eraser, by the threshold, by undo and redo. */

import { useBrush } from "./brush.js";
import { drawStroke } from "./mask.js";
import { say } from "./status.js";

const $ = (id) => document.getElementById(id);

/** @param {import("./viewer.js").Viewer} viewer @param {() => void} changed called after each change */
export function useCorrection(viewer, changed) {
  useBrush(viewer, new Hand(viewer, changed));
  useThreshold(viewer, changed);
  const step = (way) => viewer.draft === null && viewer.result?.history[way]() && changed();
  $("undo").addEventListener("click", () => step("undo"));
  $("redo").addEventListener("click", () => step("redo"));
  addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || event.target.matches("input[type=number]")) return;
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    step(key === "y" || event.shiftKey ? "redo" : "undo");
  });
}

/** What brush and eraser do with the mask; see `Hand` in brush.js. */
class Hand {
  constructor(viewer, changed) {
    this.viewer = viewer;
    this.changed = changed;
    /** @type {import("./mask.js").Stroke | null} */
    this.stroke = null;
    for (const input of document.querySelectorAll("[name=tool]")) {
      input.addEventListener("change", () => this.choose(this.tool()));
    }
  }

  tool() {
    return document.querySelector("[name=tool]:checked").value;
  }

  choose(name) {
    document.querySelector(`[name=tool][value=${name}]`).checked = true;
    this.viewer.canvas.dataset.tool = name;
    say(`Tool: ${name}`);
  }

  radius() {
    const { width, height } = this.viewer.result.source;
    return Math.max(0.5, (Number($("radius").value) / 1000) * Math.max(width, height));
  }

  resize(change) {
    $("radius").value = String(Number($("radius").value) + 2 * change);
    if (this.viewer.cursor) this.viewer.cursor.radius = this.radius();
    this.viewer.refresh();
  }

  begin(place) {
    this.stroke = { erase: this.tool() === "eraser", radius: this.radius(), points: [place] };
    this.viewer.draft = this.viewer.result.mask.slice();
    this.#drawLast(1);
  }

  extend(place) {
    if (!this.stroke) return;
    this.stroke.points.push(place);
    this.#drawLast(2);
  }

  end() {
    if (!this.stroke) return;
    const { history, edit } = this.viewer.result;
    history.push({ ...edit, strokes: [...edit.strokes, this.stroke] });
    this.stroke = null;
    this.viewer.draft = null;
    this.changed();
  }

  /** Draw the last points of the current stroke on the draft. */
  #drawLast(count) {
    const { draft, result } = this.viewer;
    const piece = { ...this.stroke, points: this.stroke.points.slice(-count) };
    drawStroke(draft, piece, result.width, result.height, result.scale);
    this.viewer.refresh();
  }
}

/** One move of the slider, however long, is one step. */
function useThreshold(viewer, changed) {
  const slider = $("threshold");
  let moving = false;
  slider.addEventListener("input", () => {
    const { history, edit } = viewer.result;
    const next = { ...edit, threshold: Number(slider.value) };
    if (moving) history.now = next;
    else history.push(next);
    moving = true;
    changed();
  });
  slider.addEventListener("change", () => {
    moving = false;
  });
}
