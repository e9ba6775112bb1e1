/** The view of an image: where it is on the screen, and how its layers are drawn. */

import { SAMPLE_COLOURS } from "./colours.js";
import { MaskLayer } from "./layers.js";

const OUTLINE = "#00e5ff";
const BEFORE = "#ffd400";
const BAND = "#ffffff";
const CASING = "rgba(0, 0, 0, 0.7)";
const LARGEST_SCALE = 40;
const PIXELS_FROM = 3;
const MINIMAP_FROM = 2;
const MINIMAP_SIDE = 140;

/**
 * @typedef {object} Layers what is drawn over the image
 * @property {boolean} outline
 * @property {number} fill opacity of the mask, 0 to 1
 * @property {boolean} probability
 * @property {boolean} uncertainty
 * @property {boolean} before the mask before its correction
 * @property {boolean} band inner and outer contour
 * @property {boolean[]} samples
 * @property {number | null} compare share of the width left of which only the image is shown
 * @property {boolean} hidden no layer at all
 */

export class View {
  /**
   * @param {HTMLCanvasElement} image the lower canvas @param {HTMLCanvasElement} overlay the upper one
   * @param {HTMLCanvasElement} minimap
   */
  constructor(image, overlay, minimap) {
    this.canvases = { image, overlay, minimap };
    /** @type {import("./result.js").Result | null} */
    this.result = null;
    /** @type {MaskLayer | null} */
    this.mask = null;
    /** Drawn in place of the mask. @type {import("./layers.js").Tile | null} */
    this.sketch = null;
    /** @type {Layers} */
    this.layers = { outline: true, fill: 0.15, probability: false, uncertainty: false, before: false, band: true,
      samples: [], compare: null, hidden: false };
    /** Draws the tool's own marks: (context, view). */
    this.marks = () => {};
    /** Called after each change of the view. */
    this.onmove = () => {};
    /** Called when another image is shown, or none. */
    this.onshow = () => {};
    this.x = this.y = 0;
    this.scale = 1;
    this.fitted = true;
    this.stale = { image: false, overlay: false };
    new ResizeObserver(() => this.#resize()).observe(overlay);
  }

  /** CSS size of the canvas. */
  get width() {
    return this.canvases.overlay.clientWidth;
  }

  get height() {
    return this.canvases.overlay.clientHeight;
  }

  /** The scale at which the whole image is visible. */
  get fitScale() {
    return Math.min(this.width / this.result.width, this.height / this.result.height);
  }

  /** @param {import("./result.js").Result | null} result shown whole */
  show(result) {
    this.result = result;
    this.mask = this.sketch = null;
    this.onshow();
    if (!result) {
      this.refresh();
      return;
    }
    result.update();
    this.mask = new MaskLayer(result.raster);
    this.fit();
  }

  /** Redraw the mask where it changed. @param {(import("./mask.js").Box | null)[]} boxes */
  changed(boxes) {
    for (const box of boxes) if (box) this.mask.touch(box);
    this.refresh();
  }

  fit() {
    if (!this.result || !this.width) return;
    this.scale = this.fitScale;
    this.x = (this.width - this.result.width * this.scale) / 2;
    this.y = (this.height - this.result.height * this.scale) / 2;
    this.#moved();
    this.fitted = true;
  }

  /** Multiply the scale; the point at (x, y) of the canvas stays where it is, by default the centre. */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    if (!this.result) return;
    const least = Math.min(1, this.fitScale) / 2;
    const scale = Math.min(Math.max(this.scale * factor, least), Math.max(LARGEST_SCALE, this.fitScale));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.#moved();
  }

  /** @param {number} dx @param {number} dy in CSS pixels */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#moved();
  }

  /** @param {{clientX: number, clientY: number}} event @returns {import("./mask.js").Point} in pixels of the image */
  place(event) {
    const box = this.canvases.overlay.getBoundingClientRect();
    return [(event.clientX - box.left - this.x) / this.scale, (event.clientY - box.top - this.y) / this.scale];
  }

  /** Pan so that a point of the image is visible. @param {number} x @param {number} y */
  reveal(x, y) {
    const margin = 30;
    const [left, top] = [this.x + x * this.scale, this.y + y * this.scale];
    const dx = Math.min(Math.max(left, margin), this.width - margin) - left;
    const dy = Math.min(Math.max(top, margin), this.height - margin) - top;
    if (dx || dy) this.pan(dx, dy);
  }

  /** Draw at the next frame. @param {boolean} image the image too, not only what is over it */
  refresh(image = false) {
    const waiting = this.stale.overlay;
    this.stale.overlay = true;
    this.stale.image ||= image;
    if (!waiting) requestAnimationFrame(() => this.#draw());
  }

  /** The centre of the canvas stays within the image. */
  #moved() {
    const { result, scale } = this;
    const within = (start, size, middle) => Math.min(Math.max(start, middle - size), middle);
    this.x = within(this.x, result.width * scale, this.width / 2);
    this.y = within(this.y, result.height * scale, this.height / 2);
    this.fitted = false;
    this.refresh(true);
    this.onmove();
  }

  #resize() {
    const { image, overlay } = this.canvases;
    for (const canvas of [image, overlay]) {
      canvas.width = Math.round(this.width * devicePixelRatio);
      canvas.height = Math.round(this.height * devicePixelRatio);
    }
    if (!this.result) return;
    if (this.fitted) this.fit();
    else this.#moved();
  }

  #draw() {
    const { image } = this.stale;
    this.stale = { image: false, overlay: false };
    if (!this.width) return;
    const overlay = this.#clearedOverlay();
    if (!this.result) return;
    if (image) this.#drawImage();
    this.#drawOverlay(overlay);
    if (image) this.#drawMinimap();
  }

  #drawImage() {
    const context = this.canvases.image.getContext("2d", { alpha: false });
    const { width, height } = context.canvas;
    const ratio = devicePixelRatio;
    const { result, scale } = this;
    context.fillStyle = "#2b2a29";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = scale * ratio < PIXELS_FROM;
    const finer = scale * ratio > result.image.width / result.width && result.full;
    context.drawImage(finer || result.image, this.x * ratio, this.y * ratio, result.width * scale * ratio,
      result.height * scale * ratio);
  }

  #clearedOverlay() {
    const context = this.canvases.overlay.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    return context;
  }

  #drawOverlay(context) {
    const { result, layers, scale } = this;
    const ratio = devicePixelRatio;
    if (!layers.hidden) {
      context.save();
      if (layers.compare !== null) this.#splitAt(context, layers.compare);
      for (const kind of ["probability", "uncertainty"]) if (layers[kind]) this.#drawHeat(context, result.heat(kind));
      const tiles = this.sketch ? [this.sketch] : this.mask.visible(this.#visible());
      this.#drawFill(context, tiles);
      context.setTransform(scale * ratio, 0, 0, scale * ratio, this.x * ratio, this.y * ratio);
      layers.samples.forEach((on, number) => {
        if (!on || number >= result.samples.length) return;
        this.stroke(context, [result.mapOutline(number)], SAMPLE_COLOURS[number % SAMPLE_COLOURS.length], 1.5);
      });
      if (layers.band && result.one.original) this.stroke(context, result.band, BAND, 1.2);
      if (layers.before && result.one.corrected) this.stroke(context, [result.mapOutline("probability")], BEFORE, 1.5);
      if (layers.outline) this.stroke(context, tiles.map(({ path }) => path), OUTLINE, 2);
      context.restore();
    }
    context.setTransform(scale * ratio, 0, 0, scale * ratio, this.x * ratio, this.y * ratio);
    this.marks(context, this);
  }

  /** Draw lines that stand out on light and dark skin. @param {number} width in CSS pixels */
  stroke(context, paths, colour, width) {
    const lines = new Path2D();
    for (const path of paths) if (path) lines.addPath(path);
    for (const [style, more] of [[CASING, 1.6], [colour, 0]]) {
      context.strokeStyle = style;
      context.lineWidth = (width + more) / this.scale;
      context.stroke(lines);
    }
  }

  /** The part of the image on the screen. @returns {import("./mask.js").Box} */
  #visible() {
    const { x, y, scale, result } = this;
    return {
      left: Math.max(0, -x / scale),
      top: Math.max(0, -y / scale),
      right: Math.min(result.width, (this.width - x) / scale),
      bottom: Math.min(result.height, (this.height - y) / scale),
    };
  }

  /** Tiles begin and end at whole pixels of the screen, so that no seams show. */
  #drawFill(context, tiles) {
    if (!this.layers.fill) return;
    const at = (origin, place) => Math.round((origin + place * this.scale) * devicePixelRatio);
    context.globalAlpha = this.layers.fill;
    context.imageSmoothingEnabled = this.scale < 1;
    for (const { left, top, width, height, image } of tiles) {
      if (!image) continue;
      const [x, y] = [at(this.x, left), at(this.y, top)];
      context.drawImage(image, x, y, at(this.x, left + width) - x, at(this.y, top + height) - y);
    }
    context.globalAlpha = 1;
  }

  #drawHeat(context, image) {
    const layer = new OffscreenCanvas(image.width, image.height);
    layer.getContext("2d").putImageData(image, 0, 0);
    const scale = this.scale * devicePixelRatio;
    context.imageSmoothingEnabled = true;
    context.drawImage(layer, this.x * devicePixelRatio, this.y * devicePixelRatio, this.result.width * scale,
      this.result.height * scale);
  }

  #splitAt(context, share) {
    const { width, height } = context.canvas;
    context.fillStyle = "#ffffff";
    context.fillRect(Math.round(share * width) - 1, 0, 2, height);
    context.beginPath();
    context.rect(share * width, 0, width, height);
    context.clip();
  }

  /** The whole image with a frame around the visible part, once the image is much larger than the screen. */
  #drawMinimap() {
    const { minimap } = this.canvases;
    const { result } = this;
    minimap.hidden = this.scale <= MINIMAP_FROM * this.fitScale;
    if (minimap.hidden) return;
    const share = MINIMAP_SIDE / Math.max(result.width, result.height);
    minimap.width = Math.ceil(result.width * share);
    minimap.height = Math.ceil(result.height * share);
    const context = minimap.getContext("2d");
    context.drawImage(result.image, 0, 0, minimap.width, minimap.height);
    const { left, top, right, bottom } = this.#visible();
    context.strokeStyle = OUTLINE;
    context.lineWidth = 2;
    context.strokeRect(left * share, top * share, (right - left) * share, (bottom - top) * share);
  }
}
