/** How loud the two sides of a recording are, as the API tells it. Pure. */

import { fromBase64 } from "../common/mulaw.js";

const LOUDEST = 127;

/**
 * @param {{per_second: number, caller: string|number[], agent: string|number[]}} peaks each value 0 to 127 on the scale
 *   of mu-law, where 16 steps are about 6 dB; as a list, or as bytes in base64
 * @returns {{per_second: number, caller: Float32Array, agent: Float32Array}} each 0 to 1, as high as it is drawn
 */
export function decodePeaks({ per_second, caller, agent }) {
  return { per_second, caller: heights(caller), agent: heights(agent) };
}

function heights(values) {
  const given = typeof values === "string" ? fromBase64(values) : values;
  // Quiet sound is seen, too, but speech stands out of the noise of the line.
  return Float32Array.from(given, (value) => Math.min(1, Math.max(0, value / LOUDEST)) ** 1.8);
}
