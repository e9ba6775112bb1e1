/** Maps of numbers at the network's size, and at any other. */

/** @param {string} text base64 of float32, lowest byte first @returns {Float32Array} */
export function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(4 * index, true));
}

/**
 * Resize a square map bilinearly between pixel centres, antialiased where it shrinks: as the server does.
 * @param {Float32Array} map size x size, row by row
 * @param {number} size
 * @param {number} width
 * @param {number} height
 * @returns {Float32Array} height x width
 */
export function resample(map, size, width, height) {
  const shrinks = width < size || height < size;
  const across = weights(size, width, shrinks);
  const down = weights(size, height, shrinks);
  const wide = new Float32Array(size * width);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < width; x++) {
      const { first, shares } = across[x];
      let sum = 0;
      for (let k = 0; k < shares.length; k++) sum += shares[k] * map[y * size + first + k];
      wide[y * width + x] = sum;
    }
  }
  const found = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const { first, shares } = down[y];
    for (let k = 0; k < shares.length; k++) {
      const share = shares[k];
      const from = (first + k) * width;
      for (let x = 0; x < width; x++) found[y * width + x] += share * wide[from + x];
    }
  }
  return found;
}

/**
 * The pixels that each new pixel is made of: a triangle around its centre, cut off at the frame.
 * @param {number} from @param {number} to @param {boolean} antialias
 * @returns {{first: number, shares: number[]}[]}
 */
function weights(from, to, antialias) {
  const scale = from / to;
  const reach = antialias ? Math.max(1, scale) : 1;
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const inside = antialias ? centre : Math.min(Math.max(centre, 0.5), from - 0.5);
    const first = Math.max(0, Math.floor(inside - reach + 0.5));
    const end = Math.min(from, Math.ceil(inside + reach + 0.5));
    const shares = [];
    for (let place = first; place < end; place++) {
      shares.push(Math.max(0, 1 - Math.abs((place + 0.5 - inside) / reach)));
    }
    const total = shares.reduce((sum, share) => sum + share, 0);
    return { first, shares: shares.map((share) => share / total) };
  });
}
