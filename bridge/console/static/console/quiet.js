/**
 * When the caller was last heard before a turn ended, read off how loud the recording is; as the picture of the call
 * reads it (`bridge/store/loudness.py`). A turn ends only when that was sure: the waiting began earlier. Pure.
 */

const FLOOR_SHARE = 0.2;
const STANDS_OUT = 20;
const LOUD_SHARE = 0.35;
const TOP_MS = 100;
const EARLIER_MS = 1000;
const NEIGHBOURS_MS = 60;
const STILL_MS = 60;
/** Coarser figures, as there are of long calls, do not tell it. */
const LEAST_PER_SECOND = 20;

/**
 * @param {object[]} entries of the journal
 * @param {{per_second: number, loudness: {caller: ArrayLike<number>}}|null} peaks
 * @returns {Map<number, number>} by the number of a turn, ms of the call
 */
export function lastSounds(entries, peaks) {
  const found = new Map();
  if (!peaks || peaks.per_second < LEAST_PER_SECOND) return found;
  const ear = new Ear(peaks.loudness.caller, peaks.per_second);
  let before = 0;
  const turns = entries.filter((entry) => entry.entry === "caller_spoke");
  for (const turn of turns.sort((one, other) => one.ended_ms - other.ended_ms)) {
    if (turn.meaning !== "empty") {
      const moment = ear.lastSound(turn.started_ms, turn.ended_ms, before);
      if (moment !== null) found.set(turn.turn, moment);
    }
    before = turn.ended_ms;
  }
  return found;
}

class Ear {
  constructor(loudness, per_second) {
    this._loudness = loudness;
    this._per_second = per_second;
    this._floor = level(loudness, FLOOR_SHARE);
  }

  lastSound(started, ended, after) {
    const first = this._index(Math.max(after, started - EARLIER_MS));
    const turn = this._loudness.slice(first, this._index(ended));
    const top = level(turn, 1 - this._index(TOP_MS) / Math.max(1, turn.length));
    if (top - this._floor < STANDS_OUT) return null;
    const limit = this._floor + (top - this._floor) * LOUD_SHARE;
    const near = Math.max(1, this._index(NEIGHBOURS_MS));
    let before = null;
    let last = null;
    turn.forEach((loud, index) => {
      if (loud < limit) return;
      if (before !== null && index - before <= near) last = index;
      before = index;
    });
    if (last === null) return null;
    const over = Math.floor(((first + last + 1) * 1000) / this._per_second);
    return ended - over > STILL_MS ? over : null;
  }

  _index(ms) {
    return Math.floor((Math.max(0, ms) * this._per_second) / 1000);
  }
}

/** The loudness that `share` of the figures stay at or under. */
function level(loudness, share) {
  const many = new Uint32Array(128);
  for (const value of loudness) many[value] += 1;
  let wanted = loudness.length * share;
  for (let value = 0; value < 128; value += 1) {
    wanted -= many[value];
    if (wanted <= 0) return value;
  }
  return 127;
}
