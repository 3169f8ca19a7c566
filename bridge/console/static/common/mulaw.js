/** G.711 mu-law, 8000 Hz: what phones speak. */

export const RATE = 8000;

const BIAS = 0x84;
const CLIP = 32_635;

/** Linear value, -1 to 1, of each of the 256 bytes. */
export const LEVELS = Float32Array.from({ length: 256 }, (_, byte) => toLinear(byte) / 32_768);

function toLinear(byte) {
  const flipped = ~byte & 0xff;
  const size = (((flipped & 0x0f) << 3) + BIAS) << ((flipped & 0x70) >> 4);
  return flipped & 0x80 ? BIAS - size : size - BIAS;
}

/** Decode bytes to samples from -1 to 1. @param {Uint8Array} bytes @returns {Float32Array} */
export function decode(bytes) {
  const samples = new Float32Array(bytes.length);
  for (let index = 0; index < bytes.length; index += 1) samples[index] = LEVELS[bytes[index]];
  return samples;
}

/** Encode samples from -1 to 1; louder ones are clipped. @param {Float32Array} samples @returns {Uint8Array} */
export function encode(samples) {
  const bytes = new Uint8Array(samples.length);
  for (let index = 0; index < samples.length; index += 1) bytes[index] = encodeSample(samples[index]);
  return bytes;
}

/** Encode one sample from -1 to 1. */
export function encodeSample(sample) {
  const linear = Math.round(sample * 32_768);
  const sign = linear < 0 ? 0x80 : 0;
  const size = Math.min(Math.abs(linear), CLIP) + BIAS;
  const segment = 24 - Math.clz32(size); // 0 for 0x84…0xff, 7 for 0x4000…
  return ~(sign | (segment << 4) | ((size >> (segment + 3)) & 0x0f)) & 0xff;
}

/** How loud samples are, 0 to 1 (root of their mean square). */
export function loudness(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length ? Math.sqrt(sum / samples.length) : 0;
}

/** Bytes of base64 text. */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Base64 text of bytes. */
export function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
