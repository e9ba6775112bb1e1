/** Colours of maps and samples; the ramps of maps are matplotlib's magma and cividis, which order by lightness. */

const MAGMA = ["2c115f", "721f81", "b73779", "f1605d", "feb078", "fcfdbf"];
const CIVIDIS = ["00224e", "35456c", "666970", "948e77", "c8b866", "fee838"];
const FULL_ALPHA = 190;

export const SAMPLE_COLOURS = ["#ffd400", "#ff7ac6", "#7dff6a", "#ff9a3d", "#b79bff", "#ff5d5d", "#6ab7ff", "#ffffff"];

/**
 * @param {Float32Array} values @param {number} top the value of the ramp's end
 * @param {"probability" | "uncertainty"} kind @param {number} width @param {number} height
 * @returns {ImageData} transparent at 0
 */
export function heat(values, top, kind, width, height) {
  const table = ramp(kind === "probability" ? MAGMA : CIVIDIS);
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let place = 0; place < values.length; place++) {
    pixels[place] = table[Math.round(255 * Math.min(1, values[place] / top))];
  }
  return image;
}

/** @param {string[]} stops @returns {Uint32Array} 256 colours as bytes red, green, blue, alpha */
function ramp(stops) {
  const colours = stops.map((stop) => [0, 2, 4].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  const bytes = new Uint8ClampedArray(1024);
  for (let level = 0; level < 256; level++) {
    const place = (level / 255) * (colours.length - 1);
    const below = Math.min(Math.floor(place), colours.length - 2);
    for (let channel = 0; channel < 3; channel++) {
      const [low, high] = [colours[below][channel], colours[below + 1][channel]];
      bytes[4 * level + channel] = low + (place - below) * (high - low);
    }
    bytes[4 * level + 3] = Math.min(FULL_ALPHA, level * 6);
  }
  return new Uint32Array(bytes.buffer);
}
