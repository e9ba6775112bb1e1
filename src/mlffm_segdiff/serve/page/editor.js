/** Corrects the shown mask: each correction is a step that can be undone. */

import { sketchTile } from "./layers.js";
import { say } from "./status.js";

const SMOOTHING = 0.004;

export class Editor {
  /**
   * @param {import("./view.js").View} view
   * @param {import("./prompting.js").Prompting} prompting
   * @param {() => void} changed called after each change of the mask
   */
  constructor(view, prompting, changed) {
    this.view = view;
    this.prompting = prompting;
    this.changed = changed;
    /** Where the tool is. @type {import("./mask.js").Point | null} */
    this.cursor = null;
    /** Size of the brush, in thousandths of the image's longer side. */
    this.brush = 12;
    /** Whether lasso and polygon remove what they enclose, and points mark what is not lesion. */
    this.removing = false;
  }

  get result() {
    return this.view.result;
  }

  /** The brush's radius in pixels of the image. */
  get radius() {
    return Math.max(0.5, (this.brush / 1000) * Math.max(this.result.width, this.result.height));
  }

  /** Show a step that is not finished. @param {import("./mask.js").Step} step */
  draft(step) {
    this.view.changed([this.result.draft(step)]);
  }

  /** Add a step to the correction. @param {import("./mask.js").Step} step @param {boolean} [drawn] by `draft` */
  commit(step, drawn = false) {
    this.result.commit(step, drawn);
    this.refresh();
  }

  /** Change what is under the drawn steps. @param {Partial<import("./mask.js").Edit>} fields */
  change(fields) {
    const { history, edit } = this.result.one;
    history.push({ ...edit, ...fields });
    this.refresh();
  }

  /** Undo also cancels the box that is being segmented. @param {"undo" | "redo"} way */
  travel(way) {
    if (!this.result || this.result.draftEdit) return;
    if (way === "undo" && this.prompting.cancel(this.result.one)) {
      say("Box cancelled");
      return;
    }
    if (this.result.one.history[way]()) this.refresh();
  }

  /** Draw the mask of a threshold coarsely, while the slider moves. @param {number} threshold */
  previewThreshold(threshold) {
    this.view.sketch = sketchTile(this.result.sketch(threshold), this.result);
    this.view.refresh();
  }

  /** Another threshold: one step, however long the slider was moved. @param {number} threshold */
  setThreshold(threshold) {
    this.view.sketch = null;
    const { history, edit } = this.result.one;
    if (threshold === edit.threshold) return this.view.refresh();
    history.push({ ...edit, threshold });
    return this.refresh();
  }

  /** @param {"holes" | "largest" | "smooth"} kind */
  clean(kind) {
    const radius = Math.max(1, Math.round(SMOOTHING * Math.max(this.result.width, this.result.height)));
    this.commit(kind === "smooth" ? { kind, radius } : { kind });
    say({ holes: "Holes filled", largest: "Only the largest component kept", smooth: "Outline smoothed" }[kind]);
  }

  /** Discard a draft. */
  discard() {
    if (!this.result?.draftEdit) return;
    this.result.discard();
    this.view.changed(this.result.update());
  }

  refresh() {
    this.view.changed(this.result.update());
    this.changed();
  }
}
