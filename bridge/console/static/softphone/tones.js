/** Tones that only this side hears: the keys of a phone. */

const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477, 1633];
const KEYS = ["123A", "456B", "789C", "*0#D"];
const LOUD = 0.08;
const KEY_S = 0.12;
const GAP_S = 0.06;

/** Let one key sound, from `at` (seconds of the context). @param {AudioContext} context */
export function soundKey(context, key, at = context.currentTime) {
  const row = KEYS.findIndex((keys) => keys.includes(key));
  if (row < 0) return;
  const gain = context.createGain();
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(LOUD, at + 0.005);
  gain.gain.setValueAtTime(LOUD, at + KEY_S - 0.01);
  gain.gain.linearRampToValueAtTime(0, at + KEY_S);
  gain.connect(context.destination);
  for (const frequency of [ROWS[row], COLUMNS[KEYS[row].indexOf(key)]]) {
    const tone = new OscillatorNode(context, { frequency });
    tone.connect(gain);
    tone.start(at);
    tone.stop(at + KEY_S);
  }
}

/** Let keys sound one after the other; `w` waits half a second. @returns {number} how long that takes, in seconds */
export function soundKeys(context, keys) {
  let after = 0;
  for (const key of keys) {
    if (key.toLowerCase() === "w") {
      after += key === "w" ? 0.5 : 1;
      continue;
    }
    soundKey(context, key, context.currentTime + after);
    after += KEY_S + GAP_S;
  }
  return after;
}
