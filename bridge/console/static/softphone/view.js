/** What the softphone's page shows, and how it asks how a transfer ends. */

import { h, setText } from "../common/dom.js";
import { moment } from "../common/format.js";

export const at = (id) => document.getElementById(id);

export const STATES = {
  idle: ["Ready", ""],
  asking: ["Asking for the microphone", "warn"],
  calling: ["Calling", "warn"],
  talking: ["Connected", "good"],
  listening: ["Listening", "good"],
  thinking: ["Thinking", "accent"],
  speaking: ["Agent talks", "good"],
  away: ["Away from the bridge", "warn"],
  broken: ["Connection broke", "bad"],
  over: ["Over", ""],
};
const LOG_LINES = 500;
const QUIETEST_DB = -60;

/** Show how the call stands: the name of one of `STATES`. */
export function state(name) {
  const [text, kind] = STATES[name];
  document.body.dataset.state = name;
  setText(at("state"), text);
  at("state").className = `badge ${kind}`;
}

/** Whether there is a call. */
export function busy(is) {
  at("call").hidden = is;
  at("hang-up").hidden = !is;
  at("mute").disabled = !is;
  at("number").disabled = is;
  for (const id of ["caller", "parameters"]) at(id).disabled = is;
}

/** Show a sentence in its place; an empty one hides that. */
export function notice(id, text) {
  at(id).hidden = !text;
  setText(at(id), text);
}

/** Write a line into the protocol. @param {number} since when the call began, on the clock of `performance` */
export function log(text, kind, since) {
  const place = at("log");
  const stamp = moment(since ? performance.now() - since : 0);
  place.append(h("li", { class: kind }, `${stamp} ${text}`));
  while (place.children.length > LOG_LINES) place.firstChild.remove();
  place.scrollTop = place.scrollHeight;
}

/** Show how loud a side is. @param {number} loudness 0 to 1 */
export function level(id, loudness) {
  const db = 20 * Math.log10(Math.max(loudness, 1e-4));
  at(id).style.transform = `scaleX(${Math.max(0, 1 - db / QUIETEST_DB).toFixed(3)})`;
}

/**
 * A phone company would ring somebody now: ask how that ends.
 * @param {object} step as the API tells it
 * @param {AbortSignal} signal where the caller hangs up meanwhile
 * @returns {Promise<{status: string, seconds: number}>}
 */
export function askHowItEnds(step, signal) {
  const place = at("dial");
  const since = performance.now();
  setText(at("dial-title"), `A phone company would now ring ${step.to}.`);
  const facts = [`for up to ${step.ring_s} s`];
  if (step.caller_id) facts.push(`showing ${step.caller_id}`);
  if (step.digits) facts.push(`pressing ${step.digits} when they answer`);
  setText(at("dial-about"), `It would ring ${facts.join(", ")}.`);
  place.hidden = false;
  at("dial-title").focus();
  return new Promise((resolve) => {
    const done = new AbortController();
    const answer = (status) => {
      done.abort();
      place.hidden = true;
      resolve({ status, seconds: Math.round((performance.now() - since) / 1000) });
    };
    signal.addEventListener("abort", () => answer("canceled"), { signal: done.signal });
    place.addEventListener("click", ({ target }) => target.dataset.status && answer(target.dataset.status), {
      signal: done.signal,
    });
  });
}
