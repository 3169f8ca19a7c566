/** Audio worklet: plays what the bridge sends, as Twilio plays it to a caller. */

import { loudness } from "../common/mulaw.js";
import { Playout } from "./playout.js";
import { Resampler } from "./resampler.js";

const RATE = 8000;
/** Sound above this is heard; about -46 dB. */
const AUDIBLE = 0.005;
/** So long without audible sound, and the next is a new one. In seconds. */
const PAUSE_S = 0.25;
const LEVEL_EVERY_S = 0.05;

/**
 * Takes `{media}` (mu-law), `{mark}` and `{clear: true}`, in order. Posts `{marks, cleared}` for marks to be
 * returned, `{dropped, at}` for a clear (seconds thrown away), `{sound: at}` when sound begins after a pause, and
 * `{level, waiting}` now and then: loudness, and seconds that wait.
 */
class Speaker extends AudioWorkletProcessor {
  constructor() {
    super();
    this.playout = new Playout();
    this.resampler = new Resampler(RATE, sampleRate);
    this.ready = new Float32Array(0);
    this.quietSince = -1;
    this.square = 0;
    this.count = 0;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take(message) {
    if (message.media) {
      this.playout.media(message.media);
    } else if (message.mark !== undefined) {
      this.giveBack(this.playout.mark(message.mark), false);
    } else if (message.clear) {
      const { dropped, marks } = this.playout.clear();
      this.quietSince = -1; // What comes next is another sound, however soon it comes.
      this.resampler.clear();
      this.ready = new Float32Array(0);
      this.port.postMessage({ dropped: dropped / RATE, at: currentTime });
      this.giveBack(marks, true);
    }
  }

  process(_inputs, [[out]]) {
    while (this.ready.length < out.length) this.more(out.length - this.ready.length);
    out.set(this.ready.subarray(0, out.length));
    this.ready = this.ready.slice(out.length);
    this.measure(out);
    return true;
  }

  more(wanted) {
    const samples = new Float32Array(Math.ceil((wanted * RATE) / sampleRate));
    const { marks } = this.playout.play(samples);
    this.giveBack(marks, false);
    const next = this.resampler.process(samples);
    const joined = new Float32Array(this.ready.length + next.length);
    joined.set(this.ready);
    joined.set(next, this.ready.length);
    this.ready = joined;
  }

  giveBack(marks, cleared) {
    if (marks.length) this.port.postMessage({ marks, cleared });
  }

  measure(out) {
    const level = loudness(out);
    if (level > AUDIBLE) {
      if (currentTime - this.quietSince >= PAUSE_S || this.quietSince < 0) this.port.postMessage({ sound: currentTime });
      this.quietSince = currentTime;
    }
    this.square += level * level * out.length;
    this.count += out.length;
    if (this.count >= LEVEL_EVERY_S * sampleRate) {
      this.port.postMessage({ level: Math.sqrt(this.square / this.count), waiting: this.playout.waiting / RATE });
      this.square = 0;
      this.count = 0;
    }
  }
}

registerProcessor("speaker", Speaker);
