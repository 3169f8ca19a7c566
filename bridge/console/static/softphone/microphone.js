/** Audio worklet: the microphone as a phone sends it, in frames of 20 ms. */

import { encode, loudness } from "../common/mulaw.js";
import { Resampler } from "./resampler.js";

const RATE = 8000;
const FRAME = 160;

/**
 * Posts `{frame, level, at}` for every 20 ms: mu-law, its loudness from 0 to 1, and when it ended, in seconds of the
 * audio context. Frames go on while no microphone is connected; they are silent then.
 */
class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.samples = new Float32Array(FRAME);
    this.filled = 0;
  }

  process([channels]) {
    for (const sample of this.resampler.process(mono(channels))) {
      this.samples[this.filled] = sample;
      this.filled += 1;
      if (this.filled === FRAME) this.post();
    }
    return true;
  }

  post() {
    const frame = encode(this.samples);
    this.filled = 0;
    this.port.postMessage({ frame, level: loudness(this.samples), at: currentTime }, [frame.buffer]);
  }
}

function mono(channels) {
  if (!channels || !channels.length) return new Float32Array(128);
  if (channels.length === 1) return channels[0];
  const mixed = new Float32Array(channels[0].length);
  for (const channel of channels) for (let index = 0; index < mixed.length; index += 1) mixed[index] += channel[index];
  return mixed.map((sample) => sample / channels.length);
}

registerProcessor("microphone", Microphone);
