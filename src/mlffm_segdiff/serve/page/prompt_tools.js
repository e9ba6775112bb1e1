/** The tools that mark the lesion for the network: a box around it, and points on it or next to it. */

import { CATCH, crosshair, MARK, near, nearest } from "./marks.js";
import { say } from "./status.js";

const LESION = "#00e5ff";
const SKIN = "#ff8a80";
const POINT = 7;
const DASH = 6;
const MAX_POINTS = 64;

/** Drag a box, or click two opposite corners. */
export class BoxPrompter {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.forget();
  }

  forget() {
    /** @type {import("./mask.js").Point | null} */
    this.corner = null;
    /** @type {import("./mask.js").Point | null} */
    this.opposite = null;
    /** Whether the pointer is down at the first corner. */
    this.first = true;
  }

  begin(place) {
    this.first = this.corner === null;
    this.corner ??= place;
    this.opposite = place;
    this.editor.view.refresh();
  }

  extend(place) {
    if (!this.corner) return;
    this.opposite = place;
    this.editor.view.refresh();
  }

  end() {
    const { corner, opposite, editor } = this;
    if (!corner || !opposite) return;
    if (this.first && near(corner, opposite, CATCH / editor.view.scale)) {
      this.opposite = null;
      say("Now click or set the opposite corner");
      return;
    }
    this.cancel();
    const [left, right] = edges(corner[0], opposite[0], editor.result.width);
    const [top, bottom] = edges(corner[1], opposite[1], editor.result.height);
    if (left === right || top === bottom) say("This box is empty: drag it around the lesion");
    else editor.prompting.segment(editor.result.one, [left, top, right, bottom]);
  }

  cancel() {
    this.forget();
    this.editor.view.refresh();
  }

  press(key) {
    if (key !== "Backspace" || !this.editor.result.one.edit.box) return false;
    this.editor.change({ box: null });
    say("Box removed");
    return true;
  }

  marks(context, view) {
    const { cursor, result } = this.editor;
    if (cursor) view.stroke(context, [crosshair(cursor, view.scale)], MARK, 1);
    drawPrompt(context, view, result.one.edit);
    const opposite = this.opposite ?? cursor;
    if (!this.corner) return;
    if (opposite) view.stroke(context, [boxPath([...this.corner, ...opposite])], MARK, 1.5);
    else view.stroke(context, [crosshair(this.corner, view.scale)], MARK, 1.5);
  }
}

/** Whole pixels between two places, within the image. */
function edges(one, other, size) {
  return [Math.min(one, other), Math.max(one, other)].map((place) => Math.min(Math.max(Math.round(place), 0), size));
}

/** Click what is lesion, or what is not; a click on a point removes it. */
export class PointsPrompter {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    /** Where the pointer is down. @type {import("./mask.js").Point | null} */
    this.place = null;
    this.alt = false;
  }

  begin(place, alt = false) {
    this.place = place;
    this.alt = alt;
  }

  extend(place) {
    if (this.place) this.place = place;
  }

  end() {
    const { place, editor } = this;
    if (!place) return;
    this.place = null;
    const { width, height, one } = editor.result;
    const { points } = one.edit;
    const at = nearest(points, place, CATCH / editor.view.scale);
    const [x, y] = place.map((side) => Math.floor(100 * side) / 100);
    if (at >= 0) {
      editor.change({ points: points.filter((_, index) => index !== at) });
      say("Point removed");
    } else if (x < 0 || y < 0 || x >= width || y >= height) {
      say("Click within the image");
    } else if (points.length >= MAX_POINTS) {
      say(`There are ${MAX_POINTS} points: click one to remove it`);
    } else {
      const label = editor.removing !== this.alt ? 0 : 1;
      editor.change({ points: [...points, [x, y, label]] });
      say(label ? "Marked as lesion" : "Marked as not lesion");
    }
  }

  cancel() {
    this.place = null;
  }

  press(key) {
    const { points } = this.editor.result.one.edit;
    if (key !== "Backspace" || !points.length) return false;
    this.editor.change({ points: points.slice(0, -1) });
    say("Point removed");
    return true;
  }

  marks(context, view) {
    const { cursor, result, removing } = this.editor;
    drawPrompt(context, view, result.one.edit);
    if (cursor) view.stroke(context, [crosshair(cursor, view.scale)], removing ? SKIN : MARK, 1);
  }
}

/** @param {import("./view.js").View} view @param {import("./mask.js").Edit} edit whose box and points are drawn */
function drawPrompt(context, view, { box, points }) {
  if (box) view.stroke(context, [boxPath(box)], MARK, 1.5);
  for (const [x, y, label] of points) {
    const [disc, sign] = [new Path2D(), new Path2D()];
    const reach = POINT / view.scale;
    disc.arc(x, y, reach, 0, 2 * Math.PI);
    context.fillStyle = label ? LESION : SKIN;
    context.fill(disc);
    view.stroke(context, [disc], MARK, 1);
    sign.moveTo(x - reach / 2, y);
    sign.lineTo(x + reach / 2, y);
    if (label) sign.moveTo(x, y - reach / 2);
    if (label) sign.lineTo(x, y + reach / 2);
    context.strokeStyle = "#000000";
    context.lineWidth = 2 / view.scale;
    context.stroke(sign);
  }
}

/**
 * Draw the box within which the image is being segmented, dashed.
 * @param {import("./view.js").View} view @param {import("./prompt.js").BoxPrompt} box
 */
export function drawAwaited(context, view, box) {
  context.setLineDash([DASH / view.scale, DASH / view.scale]);
  view.stroke(context, [boxPath(box)], MARK, 1.5);
  context.setLineDash([]);
}

/** @param {number[]} box two opposite corners */
function boxPath([left, top, right, bottom]) {
  const path = new Path2D();
  path.rect(left, top, right - left, bottom - top);
  return path;
}
