/** A mask as a PNG file, 8 bits of gray, as `mlffm-segdiff predict` writes it. */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GRAY_8_BITS = [8, 0, 0, 0, 0];
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/**
 * @param {Uint8Array} mask @param {number} width @param {number} height
 * @returns {Promise<Blob>} 255 on the lesion, 0 elsewhere
 */
export async function maskPng(mask, width, height) {
  const rows = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = mask[y * width + x] * 255;
  }
  const header = Uint8Array.from([...bigEndian(width), ...bigEndian(height), ...GRAY_8_BITS]);
  const parts = [chunk("IHDR", header), chunk("IDAT", await deflate(rows)), chunk("IEND", new Uint8Array())];
  return new Blob([Uint8Array.from(SIGNATURE), ...parts], { type: "image/png" });
}

/** @param {string} kind @param {Uint8Array} data */
function chunk(kind, data) {
  const body = new Uint8Array(4 + data.length);
  body.set([...kind].map((letter) => letter.charCodeAt(0)));
  body.set(data, 4);
  return new Blob([Uint8Array.from(bigEndian(data.length)), body, Uint8Array.from(bigEndian(checksum(body)))]);
}

/** @param {Uint8Array} data @returns {Promise<Uint8Array>} zlib's format, as PNG has it */
async function deflate(data) {
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** @param {Uint8Array} data @returns {number} CRC-32, as PNG and ZIP use it */
export function checksum(data) {
  let value = 0xffffffff;
  for (const byte of data) value = CRC_TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

/** @param {number} value */
function bigEndian(value) {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
