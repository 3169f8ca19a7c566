/** How loud the two sides of a recording are, as the API tells it. Pure. */

import { fromBase64 } from "../common/mulaw.js";

const LOUDEST = 127;

/**
 * @param {{per_second: number, duration_ms: number, caller: string, agent: string}} peaks of `GET …/peaks`: a byte for each figure, from 0
 *   to 127 on the scale of mu-law, where 16 steps are about 6 dB
 * @returns {{per_second: number, duration_ms: number, loudness: {caller: Uint8Array, agent: Uint8Array}, caller: Float32Array,
 *   agent: Float32Array}} the figures, and each from 0 to 1, as high as it is drawn
 */
export function decodePeaks({ per_second, duration_ms, caller, agent }) {
  const loudness = { caller: fromBase64(caller), agent: fromBase64(agent) };
  return { per_second, duration_ms, loudness, caller: heights(loudness.caller), agent: heights(loudness.agent) };
}

function heights(values) {
  // Quiet sound is seen, too, but speech stands out of the noise of the line.
  return Float32Array.from(values, (value) => Math.min(1, value / LOUDEST) ** 1.8);
}
