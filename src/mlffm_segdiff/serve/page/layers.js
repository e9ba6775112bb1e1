/**
 * The mask as it is drawn: tiles of fill and outline, made when they become visible and again only where the
 * mask changed, so that a brush stroke on a large image costs the tiles under it.
 */

import { wholeBox } from "./mask.js";
import { outline } from "./outline.js";

const TILE = 256;
const FILL = new Uint32Array(new Uint8ClampedArray([0, 229, 255, 255]).buffer)[0];

/**
 * @typedef {{left: number, top: number, width: number, height: number, image: OffscreenCanvas | null,
 *   path: Path2D | null}} Tile a part of the mask, in pixels of the image
 */

/**
 * @param {import("./mask.js").Raster} raster a coarse mask @param {{width: number, height: number}} size of the image
 * @returns {Tile} the whole mask
 */
export function sketchTile(raster, { width, height }) {
  const path = new Path2D();
  path.addPath(outline(raster), new DOMMatrix([width / raster.width, 0, 0, height / raster.height, 0, 0]));
  return { left: 0, top: 0, width, height, image: filled(raster, wholeBox(raster)).image, path };
}

export class MaskLayer {
  /** @param {import("./mask.js").Raster} raster */
  constructor(raster) {
    this.raster = raster;
    this.across = Math.ceil(raster.width / TILE);
    this.down = Math.ceil(raster.height / TILE);
    this.clear();
  }

  clear() {
    /** @type {({image: OffscreenCanvas | null, path: Path2D | null} | undefined)[]} */
    this.tiles = new Array(this.across * this.down);
  }

  /** @param {import("./mask.js").Box} box where the mask changed */
  touch({ left, top, right, bottom }) {
    for (const { index } of this.#within({ left: left - 1, top: top - 1, right: right + 1, bottom: bottom + 1 })) {
      this.tiles[index] = undefined;
    }
  }

  /**
   * @param {import("./mask.js").Box} visible
   * @returns {Tile[]} those with lesion
   */
  visible(visible) {
    const found = [];
    for (const { index, left, top } of this.#within(visible)) {
      const width = Math.min(TILE, this.raster.width - left);
      const height = Math.min(TILE, this.raster.height - top);
      this.tiles[index] ??= this.#made({ left, top, right: left + width, bottom: top + height });
      const { image, path } = this.tiles[index];
      if (image || path) found.push({ left, top, width, height, image, path });
    }
    return found;
  }

  *#within({ left, top, right, bottom }) {
    const range = (from, to, count) => [Math.max(0, Math.floor(from / TILE)), Math.min(count, Math.ceil(to / TILE))];
    const [first, last] = range(left, right, this.across);
    const [above, below] = range(top, bottom, this.down);
    for (let row = above; row < below; row++) {
      for (let column = first; column < last; column++) {
        yield { index: row * this.across + column, left: column * TILE, top: row * TILE };
      }
    }
  }

  #made(box) {
    const { width, height } = this.raster;
    const { image, full } = filled(this.raster, box);
    const edge = image && (!full || onFrame(box, width, height) || !this.#surrounded(box));
    return { image, path: edge || (!image && this.#touched(box)) ? outline(this.raster, box) : null };
  }

  /** Whether all pixels left of and above a tile are lesion. */
  #surrounded(box) {
    return this.#border(box).every((place) => this.raster.data[place] === 1);
  }

  /** Whether a pixel left of or above a tile is lesion: its outline is in the tile's cells. */
  #touched(box) {
    return this.#border(box).some((place) => this.raster.data[place] === 1);
  }

  /** The places of the pixels left of and above a tile, within the image. */
  #border({ left, top, right, bottom }) {
    const { width } = this.raster;
    const places = [];
    for (let x = Math.max(0, left - 1); top > 0 && x < right; x++) places.push((top - 1) * width + x);
    for (let y = top; left > 0 && y < bottom; y++) places.push(y * width + left - 1);
    return places;
  }
}

/** The fill of a part of a mask; no image without lesion, `full` if all of it is lesion. */
function filled({ data, width }, box) {
  const pixels = new ImageData(box.right - box.left, box.bottom - box.top);
  const colours = new Uint32Array(pixels.data.buffer);
  let inside = 0;
  let place = 0;
  for (let y = box.top; y < box.bottom; y++) {
    for (let x = box.left; x < box.right; x++, place++) {
      if (!data[y * width + x]) continue;
      colours[place] = FILL;
      inside++;
    }
  }
  const image = inside ? new OffscreenCanvas(pixels.width, pixels.height) : null;
  image?.getContext("2d").putImageData(pixels, 0, 0);
  return { image, full: inside === place };
}

function onFrame({ left, top, right, bottom }, width, height) {
  return left === 0 || top === 0 || right === width || bottom === height;
}
