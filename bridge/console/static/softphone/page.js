/** The softphone's page: its buttons and keys, and what it shows of a call. */

import { ApiError, get, sentence, session } from "../common/api.js";
import { h, replace, setText } from "../common/dom.js";
import { follow } from "../common/events.js";
import { duration, latency, number as shown } from "../common/format.js";
import { Call } from "./call.js";
import { Captions } from "./captions.js";
import { checkPlace, devices, Sound, SoundError } from "./sound.js";
import { Speech } from "./speech.js";
import { soundKey, soundKeys } from "./tones.js";
import { askHowItEnds, at, busy, level, log, notice, state, STATES } from "./view.js";

const captions = new Captions(at("captions"));

/** An answer that comes later than this belongs to something else. In seconds. */
const LONGEST_ANSWER_S = 60;
const EVENTS_LATER_MS = 400;
let call = null;
let sound = null;
let speech = new Speech();
let began = 0;
let reattachMs = 10_000;
let numbers = [];
let answers = [];

function showAnswers() {
  const sorted = [...answers].sort((one, other) => one - other);
  const half = (sorted.length - 1) / 2;
  const middle = (sorted[Math.floor(half)] + sorted[Math.ceil(half)]) / 2;
  const text = `Answer after ${latency(answers.at(-1))}`;
  setText(at("latency"), answers.length > 1 ? `${text}, median ${latency(middle)}` : text);
}

function show(text, kind = "") {
  log(text, kind, began);
}

// --- one call ------------------------------------------------------------------------------------------

const heard = {
  frame({ frame, level: loudness, at: when }) {
    const silent = call?.muted;
    call?.frame(frame);
    level("level-you", silent ? 0 : loudness);
    if (!silent) speech.take(loudness, when);
  },
  marks(names, cleared) {
    call?.marks(names);
    show(`${cleared ? "returned by clear" : "played up to"} mark ${names.join(", ")}`);
  },
  dropped: (seconds) => show(`clear: ${seconds.toFixed(2)} s thrown away`),
  sound(when) {
    const asked = speech.endedAt;
    speech.answered();
    if (asked === null || when < asked || when - asked > LONGEST_ANSWER_S) return;
    const ms = (when - asked) * 1000;
    show(`sound, ${Math.round(ms)} ms after your last word`);
    // The bridge's events say whether it answers anything; they may come a little later than the sound.
    setTimeout(() => {
      if (!captions.answered(ms)) return;
      answers.push(ms);
      showAnswers();
    }, EVENTS_LATER_MS);
  },
  level: (loudness) => level("level-agent", loudness),
  lost: () => notice("problem", "The microphone is gone. Choose another one below, or call again."),
};

const follower = {
  state,
  log: show,
  says: (text) => captions.aside("carrier", text),
  keys: (digits) => soundKeys(sound.context, digits),
  dial: askHowItEnds,
  begun(found) {
    show(`call ${found.call}, to ${found.called} as ${found.caller}`);
    const link = at("record");
    link.href = `/calls/${encodeURIComponent(found.call)}`;
    link.hidden = false;
    watch(found.call, before);
  },
  over(text, bad) {
    show(text, bad ? "bad" : "");
    notice(bad ? "problem" : "ending", text);
  },
};

async function begin() {
  let asked;
  notice("problem", "");
  notice("ending", "");
  try {
    asked = { number: at("number").value, caller: at("caller").value.trim(), parameters: parameters() };
  } catch (error) {
    notice("problem", error.message);
    return;
  }
  reset();
  busy(true);
  state("asking");
  try {
    sound = await Sound.open({ microphone: at("microphone").value, speaker: at("speaker").value }, heard);
    showDevices();
    show(`sound at ${sound.context.sampleRate} Hz, ${latency((sound.context.outputLatency || sound.context.baseLatency) * 1000)} to the speaker`);
    // From here on nothing of the call is missed, though its id is known only when it has begun.
    before = await get("/live").then((found) => found.last_event_id, () => "");
    call = new Call(sound, follower, reattachMs);
    began = performance.now();
    at("hang-up").focus();
    await call.run(asked);
  } catch (error) {
    state("over");
    notice("problem", error instanceof SoundError ? error.message : sentence(error));
  } finally {
    await end();
  }
}

function reset() {
  captions.clear();
  replace(at("log"));
  setText(at("latency"), "");
  at("record").hidden = true;
  answers = [];
  speech = new Speech();
  began = 0;
  setText(at("duration"), "0:00");
  mute(false);
}

async function end() {
  const was = document.activeElement === at("hang-up");
  showDuration();
  call = null;
  began = 0;
  await sound?.close();
  sound = null;
  level("level-you", 0);
  level("level-agent", 0);
  mute(false);
  busy(false);
  if (was || document.activeElement === document.body) at("call").focus();
}

function mute(muted) {
  if (call) call.muted = muted;
  sound?.mute(muted);
  at("mute").setAttribute("aria-pressed", String(muted));
  setText(at("mute"), muted ? "Muted" : "Mute");
  document.body.toggleAttribute("data-muted", muted);
}

function press(key) {
  if (!call?.stream) return;
  call.press(key);
  soundKey(sound.context, key);
  show(`key ${key}`);
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  button?.classList.add("down");
  setTimeout(() => button?.classList.remove("down"), 120);
}

function showDuration() {
  if (began) setText(at("duration"), duration(performance.now() - began));
}

// --- what the bridge tells -----------------------------------------------------------------------------

let feed = null;
/** Id of the last event before the call. */
let before = "";
/** How long after a call its last events may still come. */
const AFTERWARDS_MS = 5000;

function watch(id, after) {
  feed?.stop();
  const mine = follow(
    {
      event(event) {
        if (event.call && event.call !== id) return;
        captions.take(event);
        if (event.type === "state" && call) spokenState(event.state);
        if (event.type === "call.ended") setTimeout(() => mine.stop(), AFTERWARDS_MS);
      },
      state(how) {
        const away = { lost: "Captions are away; trying again.", refused: "Captions need a token that may read." };
        setText(at("feed"), away[how] ?? "");
      },
    },
    `/events?call=${encodeURIComponent(id)}`,
    after,
  );
  feed = mine;
}

function spokenState(name) {
  if (["broken", "away"].includes(document.body.dataset.state) || !call?.stream) return;
  state({ talking: "speaking" }[name] ?? (STATES[name] ? name : "talking"));
}

// --- what is chosen ------------------------------------------------------------------------------------

function parameters() {
  const found = {};
  for (const line of at("parameters").value.split("\n")) {
    if (!line.trim()) continue;
    const split = line.indexOf("=");
    if (split < 1) throw new Error(`“${line.trim()}” is no parameter: write name=value, one a line.`);
    found[line.slice(0, split).trim()] = line.slice(split + 1).trim();
  }
  return found;
}

async function showDevices() {
  const found = await devices();
  at("speaker-field").hidden = !found.speakers.length;
  for (const [id, list] of [["microphone", found.microphones], ["speaker", found.speakers]]) {
    const chosen = at(id).value;
    replace(
      at(id),
      h("option", { value: "" }, "The usual one"),
      list.map((one) => h("option", { value: one.deviceId, selected: one.deviceId === chosen }, one.label)),
    );
  }
}

function named({ number, agent, open }) {
  const kind = { log: "connects two people", none: "only transcribed" }[agent] ?? `${agent} agent`;
  const other = numbers.length > 1 ? "Any other number" : "The bridge";
  return `${number ? shown(number) : other} – ${kind}${open ? "" : ", closed now"}`;
}

function showNumber() {
  const found = numbers.find((one) => one.number === at("number").value);
  const texts = [];
  if (found?.agent === "log") texts.push("The softphone cannot connect two people, so it cannot call this number.");
  if (found?.announcement) texts.push(`Callers first hear: ${found.announcement}`);
  notice("announcement", texts.join(" "));
  at("call").disabled = found?.agent === "log";
}

async function load() {
  try {
    checkPlace();
    const who = await session.load().catch((error) => (error.status === 404 ? undefined : Promise.reject(error)));
    if (who === null) throw new ApiError(401, "unauthorized", "");
    const found = await get("/softphone");
    numbers = found.numbers;
    reattachMs = found.reattach_seconds * 1000;
    const asked = new URLSearchParams(location.search).get("number");
    replace(
      at("number"),
      numbers.map((one) => h("option", { value: one.number, selected: one.number === asked }, named(one))),
    );
    showNumber();
    showDevices();
  } catch (error) {
    at("call").disabled = true;
    at("problem").hidden = false;
    if (error.status === 401) {
      replace(at("problem"), h("span", {}, "Log in at the ", h("a", { href: "/" }, "console"), " first, then come back."));
    } else setText(at("problem"), error instanceof SoundError ? error.message : sentence(error));
  }
}

// --- listeners -----------------------------------------------------------------------------------------

at("call").addEventListener("click", begin);
at("hang-up").addEventListener("click", () => call?.hangUp());
at("mute").addEventListener("click", () => mute(!call?.muted));
at("show-keys").addEventListener("click", () => {
  const shows = document.body.toggleAttribute("data-keys");
  at("show-keys").setAttribute("aria-expanded", String(shows));
});
at("number").addEventListener("change", showNumber);
at("microphone").addEventListener("change", () => {
  notice("problem", "");
  sound?.hearWith(at("microphone").value).catch((error) => notice("problem", error.message));
});
at("speaker").addEventListener("change", () => {
  sound?.playOn(at("speaker").value).catch(() => notice("problem", "This speaker cannot be used."));
});
document.querySelector(".keys").addEventListener("click", ({ target }) => target.dataset.key && press(target.dataset.key));
document.addEventListener("keydown", (event) => {
  if (!call || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input, textarea, select")) return;
  if (/^[0-9*#]$/.test(event.key)) press(event.key);
  else if (event.key.toLowerCase() === "m") mute(!call.muted);
});
addEventListener("pagehide", () => call?.hangUp());
navigator.mediaDevices?.addEventListener?.("devicechange", showDevices);
setInterval(showDuration, 250);
load();
