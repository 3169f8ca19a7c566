/**
 * What is still to be played, and the marks in it, as Twilio keeps them: audio in the order in which it came, a mark
 * returned when all before it has been played, `clear` throws the rest away and returns its marks. Pure.
 */

import { LEVELS } from "../common/mulaw.js";

/** More than ten minutes of audio are thrown away, as Twilio does (its warning 31931). In samples. */
const MOST = 600 * 8000;

export class Playout {
  constructor() {
    /** @type {(Uint8Array | string)[]} audio, and names of marks */
    this.queue = [];
    /** Bytes of the first audio that were played. */
    this.offset = 0;
    /** Bytes that wait. */
    this.waiting = 0;
    /** Bytes that did not fit. */
    this.lost = 0;
  }

  /** Audio comes, mu-law. @param {Uint8Array} audio */
  media(audio) {
    const fits = audio.subarray(0, Math.max(0, MOST - this.waiting));
    this.lost += audio.length - fits.length;
    if (!fits.length) return;
    this.queue.push(fits);
    this.waiting += fits.length;
  }

  /** A mark comes. @returns {string[]} marks that are reached already: this one, if nothing waits before it */
  mark(name) {
    this.queue.push(name);
    return this.reached();
  }

  /** Throw away what waits. @returns {{dropped: number, marks: string[]}} bytes, and marks to be returned */
  clear() {
    const marks = this.queue.filter((item) => typeof item === "string");
    const dropped = this.waiting;
    this.queue = [];
    this.offset = 0;
    this.waiting = 0;
    return { dropped, marks };
  }

  /**
   * Play the next samples into `samples`; where nothing waits it is silent.
   * @param {Float32Array} samples
   * @returns {{played: number, marks: string[]}} how many were audio, and marks that are reached now
   */
  play(samples) {
    samples.fill(0);
    const marks = [];
    let played = 0;
    while (played < samples.length && this.queue.length) {
      const head = this.queue[0];
      if (typeof head === "string") {
        marks.push(this.queue.shift());
        continue;
      }
      const count = Math.min(samples.length - played, head.length - this.offset);
      for (let index = 0; index < count; index += 1) samples[played + index] = LEVELS[head[this.offset + index]];
      played += count;
      this.offset += count;
      this.waiting -= count;
      if (this.offset === head.length) {
        this.queue.shift();
        this.offset = 0;
      }
    }
    marks.push(...this.reached());
    return { played, marks };
  }

  reached() {
    const marks = [];
    while (typeof this.queue[0] === "string") marks.push(this.queue.shift());
    return marks;
  }
}
