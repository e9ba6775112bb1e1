/** Draws a result on the canvas: image, heat maps, outlines, brush. */

import { SAMPLE_COLOURS } from "./colours.js";
import { outline } from "./outline.js";

const OUTLINE = "#00e5ff";
const CASING = "rgba(0, 0, 0, 0.75)";
const MOST_PIXELS = 4096;
const ZOOMS = [1, 1.5, 2, 3, 4, 6];

/** @typedef {{outline: boolean, probability: boolean, spread: boolean, samples: boolean[]}} Layers */

export class Viewer {
  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} frame */
  constructor(canvas, frame) {
    this.canvas = canvas;
    this.frame = frame;
    this.context = canvas.getContext("2d");
    this.zoom = 1;
    /** @type {import("./case.js").Result | null} */
    this.result = null;
    /** @type {Layers} */
    this.layers = { outline: true, probability: false, spread: false, samples: [] };
    /** A draft, shown in place of the result's mask. @type {Uint8Array | null} */
    this.draft = null;
    /** @type {{x: number, y: number, radius: number} | null} */
    this.cursor = null;
    this.waiting = false;
    new ResizeObserver(() => this.fit()).observe(frame);
  }

  /** @param {import("./case.js").Result | null} result */
  show(result) {
    this.result = result;
    this.draft = null;
    this.cursor = null;
    this.fit();
  }

  /** Fit the canvas to the frame's width and the window's height, times the zoom. */
  fit() {
    const { result, canvas } = this;
    if (!result) return;
    const scale = Math.min(this.frame.clientWidth / result.width, (0.76 * innerHeight) / result.height);
    const width = Math.max(1, Math.floor(result.width * scale * this.zoom));
    const height = Math.max(1, Math.round((width * result.height) / result.width));
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const sharp = Math.min(devicePixelRatio, MOST_PIXELS / Math.max(width, height));
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
    this.draw();
  }

  /** Draw at the next frame. */
  refresh() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const { result, context, canvas, layers } = this;
    if (!result) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(result.image, 0, 0, canvas.width, canvas.height);
    for (const kind of ["probability", "spread"]) if (layers[kind]) this.#drawHeat(result.heat(kind));
    const scale = canvas.width / result.width;
    context.setTransform(scale, 0, 0, canvas.height / result.height, 0, 0);
    layers.samples.forEach((on, number) => {
      if (on && number < result.maps.samples.length) {
        this.#stroke(result.sampleOutline(number), SAMPLE_COLOURS[number % SAMPLE_COLOURS.length], 1.5 / scale);
      }
    });
    if (layers.outline) {
      const path = this.draft ? outline(this.draft, result.width, result.height) : result.outline;
      this.#stroke(path, OUTLINE, 2 / scale);
    }
    if (this.cursor) this.#drawCursor(this.cursor, result.scale, scale);
  }

  /** @param {{clientX: number, clientY: number}} event @returns {[number, number]} in the image's own pixels */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.result.source;
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  }

  /** Scroll the frame so that a point of the image is visible. @param {number} x @param {number} y */
  reveal(x, y) {
    const { canvas, frame, result } = this;
    const left = (x / result.source.width) * canvas.clientWidth;
    const top = (y / result.source.height) * canvas.clientHeight;
    const margin = 30;
    frame.scrollLeft = Math.min(Math.max(frame.scrollLeft, left + margin - frame.clientWidth), left - margin);
    frame.scrollTop = Math.min(Math.max(frame.scrollTop, top + margin - frame.clientHeight), top - margin);
  }

  #drawHeat(image) {
    const layer = new OffscreenCanvas(image.width, image.height);
    layer.getContext("2d").putImageData(image, 0, 0);
    this.context.drawImage(layer, 0, 0, this.canvas.width, this.canvas.height);
  }

  #stroke(path, colour, width) {
    const { context } = this;
    context.lineCap = "round";
    const sharp = Math.max(1, this.canvas.width / this.canvas.clientWidth);
    for (const [style, factor] of [[CASING, 2.2], [colour, 1]]) {
      context.strokeStyle = style;
      context.lineWidth = width * factor * sharp;
      context.stroke(path);
    }
  }

  #drawCursor({ x, y, radius }, shown, scale) {
    const path = new Path2D();
    path.arc(x * shown, y * shown, Math.max(radius * shown, 2 / scale), 0, 2 * Math.PI);
    this.#stroke(path, "#ffffff", 1.2 / scale);
  }
}

/** The switches next to the image. @param {Viewer} viewer */
export function useLayers(viewer) {
  for (const layer of ["outline", "probability", "spread"]) {
    document.getElementById(`show-${layer}`).addEventListener("change", (event) => {
      viewer.layers[layer] = event.target.checked;
      viewer.refresh();
    });
  }
}

/** The zoom buttons. @param {Viewer} viewer */
export function useZoom(viewer) {
  const buttons = { out: document.getElementById("zoom-out"), in: document.getElementById("zoom-in") };
  const change = (way) => {
    const next = ZOOMS.indexOf(viewer.zoom) + way;
    viewer.zoom = ZOOMS[next];
    document.getElementById("zoom").textContent = `${100 * viewer.zoom} %`;
    buttons.out.disabled = next === 0;
    buttons.in.disabled = next === ZOOMS.length - 1;
    viewer.fit();
  };
  buttons.out.addEventListener("click", () => change(-1));
  buttons.in.addEventListener("click", () => change(1));
}
