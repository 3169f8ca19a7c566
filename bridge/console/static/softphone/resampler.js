/** Changes the rate of sound, in a stream: nothing above what the lower rate can carry comes through. Pure. */

/** Share of the lower rate's bandwidth that passes unchanged; above the whole of it nothing passes. */
const PASSES = 0.85;
/** Half the width of the filter, in samples of the lower rate: with the window below, 70 dB down. */
const HALF_WIDTH = 30;
/** Steps between two samples for which the filter is worked out; between them it is drawn straight. */
const STEPS = 512;
/** Of the Kaiser window. */
const BETA = 7;

/** Takes pieces of any length, and returns what can be known so far; the rest comes with the next piece. */
export class Resampler {
  /**
   * @param {number} from rate of what comes, in Hz; any
   * @param {number} to rate of what goes, in Hz; any
   */
  constructor(from, to) {
    this.step = from / to;
    const scale = Math.min(1, to / from);
    this.reach = HALF_WIDTH / scale;
    this.filter = filter(this.reach, scale);
    this.taps = Math.ceil(this.reach);
    this.clear();
  }

  /** Forget what came: the next piece begins behind silence. */
  clear() {
    this.held = new Float32Array(2 * this.taps);
    /** Where the next sample to go lies, counted in samples of `held`. */
    this.at = this.taps;
  }

  /** @param {Float32Array} piece @returns {Float32Array} */
  process(piece) {
    const held = new Float32Array(this.held.length + piece.length);
    held.set(this.held);
    held.set(piece, this.held.length);
    const last = held.length - this.taps;
    const gone = new Float32Array(Math.max(0, Math.ceil((last - this.at) / this.step)));
    let count = 0;
    let { at } = this;
    for (; at < last && count < gone.length; at += this.step) {
      gone[count] = this.sample(held, at);
      count += 1;
    }
    const done = Math.max(0, Math.floor(at) - this.taps);
    this.held = held.slice(done);
    this.at = at - done;
    return gone.subarray(0, count);
  }

  sample(held, at) {
    const first = Math.max(0, Math.ceil(at - this.reach));
    const end = Math.min(held.length - 1, Math.floor(at + this.reach));
    const { filter: weights } = this;
    let sum = 0;
    for (let index = first; index <= end; index += 1) {
      const place = Math.abs(at - index) * STEPS;
      const below = Math.floor(place);
      const part = place - below;
      sum += held[index] * (weights[below] + part * (weights[below + 1] - weights[below]));
    }
    return sum;
  }
}

/** Half of a symmetric low pass: a sinc in a Kaiser window, at `STEPS` places per sample. */
function filter(reach, scale) {
  const cut = (scale * (1 + PASSES)) / 2;
  const weights = new Float32Array(Math.ceil(reach * STEPS) + 2);
  for (let index = 0; index < weights.length; index += 1) {
    const x = index / STEPS;
    if (x > reach) continue;
    const angle = Math.PI * cut * x;
    const sinc = x === 0 ? 1 : Math.sin(angle) / angle;
    weights[index] = (cut * sinc * bessel(BETA * Math.sqrt(1 - (x / reach) ** 2))) / bessel(BETA);
  }
  return weights;
}

/** The modified Bessel function of order 0. */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let n = 1; term > 1e-9 * sum; n += 1) {
    term *= (x / (2 * n)) ** 2;
    sum += term;
  }
  return sum;
}
