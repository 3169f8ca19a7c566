/** Figures, moments and names as people read them. Pure. */

/** Length of time as `0:07`, `12:30` or `1:02:05`. @param {number|null|undefined} ms */
export function duration(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** A moment of a call as `0:07.4`. @param {number|null|undefined} ms since the call began */
export function moment(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  return `${duration(ms)}.${Math.floor((Math.max(0, ms) % 1000) / 100)}`;
}

/** A latency as `640 ms` or `1.24 s`. */
export function latency(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  return Math.abs(ms) < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** Size as `12 kB` or `3.4 MB`, in steps of 1000. */
export function bytes(size) {
  if (size === null || size === undefined || !Number.isFinite(size)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let left = size;
  while (left >= 1000 && unit < units.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${unit && left < 10 ? left.toFixed(1) : Math.round(left)} ${units[unit]}`;
}

const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const TIME_TO_SECONDS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const LONG = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

/** The `Date` of ms since 1970 or ISO 8601 text; null for none. */
export function date(when) {
  if (when === null || when === undefined || when === "") return null;
  const found = new Date(when);
  return Number.isNaN(found.getTime()) ? null : found;
}

/** `14:05`, on the reader's clock. */
export function time(when, { seconds = false } = {}) {
  const found = date(when);
  return found ? (seconds ? TIME_TO_SECONDS : TIME).format(found) : "–";
}

/** `Today`, `Yesterday` or `3 May 2026`, on the reader's calendar. */
export function day(when, now = new Date()) {
  const found = date(when);
  if (!found) return "–";
  const midnight = (of) => new Date(of.getFullYear(), of.getMonth(), of.getDate()).getTime();
  const ago = Math.round((midnight(now) - midnight(found)) / 86_400_000);
  if (ago === 0) return "Today";
  return ago === 1 ? "Yesterday" : DAY.format(found);
}

/** Day and time, in full, for titles and one call's head. */
export function fullMoment(when) {
  const found = date(when);
  return found ? LONG.format(found) : "–";
}

/** `3 turns`, `1 turn`. */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** A code such as `caller_hung_up` as words: `Caller hung up`; what is in words already stays as it is. */
export function spelled(code) {
  if (!code) return "–";
  if (/[^A-Za-z0-9._-]/.test(code)) return String(code);
  const text = String(code).replaceAll(/[._-]+/g, " ").trim();
  if (text === "ok") return "OK";
  return text.charAt(0).toUpperCase() + text.slice(1);
}


const ENDINGS = {
  caller: "Caller hung up",
  agent: "Agent hung up",
  transfer: "Transferred",
  handoff: "Handed over",
  digits: "Caller did not come back",
  silence: "Caller fell silent",
  limit: "Time limit reached",
  callee: "Other side hung up",
  not_reached: "Not reached",
  over: "Call was over",
  log_stopped: "Listening stopped",
  operator: "Ended by an operator",
  lost: "Connection lost",
  shutdown: "Server stopped",
  agent_failed: "Agent failed",
  speech_failed: "Speech service failed",
  voicemail: "Left on voicemail",
  machine: "Answering machine",
  fax: "Fax machine",
  error: "Error",
};

/** Endings that something went wrong in. */
export const BAD_ENDINGS = new Set(["lost", "shutdown", "agent_failed", "speech_failed", "error", "not_reached"]);

/** How a call ended, as words; `live` where it has not. */
export function ending(reason) {
  if (!reason) return "In progress";
  return ENDINGS[reason] ?? spelled(reason);
}

const SPEAKERS = { caller: "Caller", agent: "Agent", callee: "Other side", operator: "Operator" };

/** Who speaks, as a heading. */
export function speaker(name) {
  return SPEAKERS[name] ?? spelled(name);
}

/** A phone number with its country's part set off, as far as that is certain; anything else as it is. */
export function number(text) {
  if (!text) return "Unknown";
  const american = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(text);
  return american ? `+1 ${american[1]} ${american[2]} ${american[3]}` : text;
}
