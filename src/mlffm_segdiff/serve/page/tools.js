/**
 * The tools, each with what pointer and keyboard do with it.
 *
 * @typedef {object} Tool
 * @property {(place: import("./mask.js").Point, alt?: boolean) => void} begin the pointer goes down, with Alt or without
 * @property {(place: import("./mask.js").Point) => void} [extend] it moves while it is down
 * @property {() => void} [end] it goes up
 * @property {() => void} [cancel]
 * @property {(key: string) => boolean} [press] a key; returns whether the tool used it
 * @property {(context: CanvasRenderingContext2D, view: import("./view.js").View) => void} [marks]
 */

import { components } from "./components.js";
import { CATCH, crosshair, drawNodes, MARK, near, nearest, polyline } from "./marks.js";
import { contourNodes } from "./outline.js";
import { BoxPrompter, PointsPrompter } from "./prompt_tools.js";
import { say } from "./status.js";

const MIN_POINTS = 3;
const NODE_TOLERANCE = 0.004;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @param {import("./editor.js").Editor} editor @returns {Record<string, Tool | null>} null: the view is moved */
export function makeTools(editor) {
  return {
    view: null,
    box: new BoxPrompter(editor),
    points: new PointsPrompter(editor),
    brush: new Brush(editor, false),
    eraser: new Brush(editor, true),
    lasso: new Lasso(editor),
    polygon: new Polygon(editor),
    nodes: new Nodes(editor),
    fill: new Fill(editor),
  };
}

class Brush {
  /** @param {import("./editor.js").Editor} editor @param {boolean} erase */
  constructor(editor, erase) {
    this.editor = editor;
    this.erase = erase;
    /** @type {import("./mask.js").Stroke | null} */
    this.stroke = null;
  }

  begin(place) {
    this.stroke = { kind: "stroke", erase: this.erase, radius: this.editor.radius, points: [place] };
    this.editor.draft(this.stroke);
  }

  extend(place) {
    if (!this.stroke) return;
    this.stroke.points.push(place);
    this.editor.draft({ ...this.stroke, points: this.stroke.points.slice(-2) });
  }

  end() {
    if (this.stroke) this.editor.commit(this.stroke, true);
    this.stroke = null;
  }

  cancel() {
    this.stroke = null;
    this.editor.discard();
  }

  marks(context, view) {
    if (!this.editor.cursor) return;
    const path = new Path2D();
    path.arc(...this.editor.cursor, Math.max(this.editor.radius, 2 / view.scale), 0, 2 * Math.PI);
    view.stroke(context, [path], MARK, 1.2);
  }
}

/** Tools that enclose a region: its points, and the line through them. */
class Enclosing {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    /** @type {import("./mask.js").Point[]} */
    this.points = [];
  }

  close() {
    const { points, editor } = this;
    this.points = [];
    if (points.length >= MIN_POINTS) editor.commit({ kind: "region", erase: editor.removing, points });
    else editor.view.refresh();
  }

  cancel() {
    this.points = [];
    this.editor.view.refresh();
  }

  marks(context, view) {
    const { cursor } = this.editor;
    if (cursor) view.stroke(context, [crosshair(cursor, view.scale)], MARK, 1);
    const line = this.points.length && cursor ? [...this.points, cursor] : this.points;
    view.stroke(context, [polyline(line)], this.editor.removing ? "#ff8a80" : MARK, 1.5);
  }
}

class Lasso extends Enclosing {
  begin(place) {
    this.points = [place];
  }

  extend(place) {
    if (this.points.length) this.points.push(place);
    this.editor.view.refresh();
  }

  end() {
    this.close();
  }
}

class Polygon extends Enclosing {
  begin(place) {
    const [first] = this.points;
    if (first && this.points.length >= MIN_POINTS && near(first, place, CATCH / this.editor.view.scale)) this.close();
    else this.points.push(place);
    this.editor.view.refresh();
  }

  press(key) {
    if (!this.points.length) return false;
    if (key === "Enter") this.close();
    else if (key === "Backspace" || key === "Delete") this.points.pop();
    else return false;
    this.editor.view.refresh();
    return true;
  }

  marks(context, view) {
    super.marks(context, view);
    drawNodes(context, view, this.points, 0);
  }
}

/** Moves the nodes of a contour. */
class Nodes {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.forget();
  }

  forget() {
    /** @type {import("./mask.js").Point[]} */
    this.points = [];
    this.edit = null;
    this.held = -1;
    this.moved = null;
  }

  begin(place) {
    const { view, result } = this.editor;
    if (this.edit !== result.one.edit) this.forget();
    this.held = nearest(this.points, place, CATCH / view.scale);
    if (this.held < 0) this.#pick(place);
    view.refresh();
  }

  extend(place) {
    if (this.held < 0) return;
    this.moved = this.points.map((point, index) => (index === this.held ? place : point));
    this.editor.view.refresh();
  }

  end() {
    if (!this.moved) return;
    const [before, after] = [this.points, this.moved];
    this.points = after;
    this.moved = null;
    this.editor.commit({ kind: "reshape", before, after });
    this.edit = this.editor.result.one.edit;
  }

  cancel() {
    this.forget();
    this.editor.view.refresh();
  }

  press(key) {
    if (!this.points.length || this.edit !== this.editor.result.one.edit) return false;
    if (key === "," || key === ".") {
      this.held = (this.held + (key === "." ? 1 : -1) + this.points.length) % this.points.length;
      this.editor.view.reveal(...this.points[this.held]);
      say(`Node ${this.held + 1} of ${this.points.length}`);
    } else if (key in ARROWS && this.held >= 0) {
      const [x, y] = this.points[this.held];
      const step = 2 / this.editor.view.scale;
      this.extend([x + ARROWS[key][0] * step, y + ARROWS[key][1] * step]);
      this.end();
    } else return false;
    this.editor.view.refresh();
    return true;
  }

  marks(context, view) {
    if (this.editor.cursor) view.stroke(context, [crosshair(this.editor.cursor, view.scale)], MARK, 1);
    if (this.edit !== view.result.one.edit) return;
    const points = this.moved ?? this.points;
    if (points.length) view.stroke(context, [polyline([...points, points[0]])], MARK, 1);
    drawNodes(context, view, points, this.held);
  }

  /** Take the contour of the component at a point. */
  #pick([x, y]) {
    const { result } = this.editor;
    const { data, width, height } = result.raster;
    const [column, row] = [Math.floor(x), Math.floor(y)];
    const part = components(data, 1, 1, width, height).find(({ runs }) =>
      runs.some(([line, start, end]) => line === row && start <= column && column < end));
    if (!part) return say("Click on the lesion to show the nodes of its contour");
    this.points = contourNodes(result.raster, part, Math.max(1, NODE_TOLERANCE * Math.max(width, height)));
    this.edit = result.one.edit;
    return say(`${this.points.length} nodes: drag one, or choose with , and . and move with the arrow keys`);
  }
}

class Fill {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    /** Where the pointer is down. @type {import("./mask.js").Point | null} */
    this.place = null;
  }

  begin(place) {
    this.place = place;
  }

  extend(place) {
    if (this.place) this.place = place;
  }

  cancel() {
    this.place = null;
  }

  end() {
    const { result } = this.editor;
    const { place } = this;
    this.place = null;
    if (!place) return;
    const lesion = result.raster.data[Math.floor(place[1]) * result.width + Math.floor(place[0])];
    const step = { kind: "fill", at: place };
    if (!result.draft(step)) {
      this.editor.discard();
      say("There is no hole here: this skin reaches the edge of the image");
      return;
    }
    this.editor.commit(step, true);
    this.editor.view.mask.clear();
    say(lesion ? "Component removed" : "Hole filled");
  }

  marks(context, view) {
    if (this.editor.cursor) view.stroke(context, [crosshair(this.editor.cursor, view.scale)], MARK, 1);
  }
}
