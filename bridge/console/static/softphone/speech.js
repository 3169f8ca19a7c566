/** Tells when somebody who speaks into a microphone stops, from how loud its frames are. Pure. */

/** So far above the ground noise, sound is speech. In dB. */
const ABOVE_NOISE = 10;
/** Never speech, however quiet the room is. In dB below full scale. */
const QUIETEST = -50;
/** How fast the ground noise is taken to rise while it is louder than thought. In dB a second. */
const RISE = 3;

export class Speech {
  constructor() {
    this.noise = -60;
    this.last = null;
    /** When the last frame of speech ended, in seconds of the audio context; null before there was any. */
    this.endedAt = null;
  }

  /** A frame. @param {number} level loudness, 0 to 1 @param {number} at when it ended, in seconds */
  take(level, at) {
    const loud = 20 * Math.log10(Math.max(level, 1e-5));
    const passed = this.last === null ? 0 : Math.max(0, at - this.last);
    this.last = at;
    this.noise = Math.max(-80, Math.min(loud, this.noise + RISE * passed));
    if (loud > Math.max(QUIETEST, this.noise + ABOVE_NOISE)) this.endedAt = at;
  }

  /** Forget that somebody spoke: it is answered. */
  answered() {
    this.endedAt = null;
  }
}
