/**
 * A call as it is told, read off its journal: what was said, what happened in between, how each answer came. Pure.
 *
 * Times are ms since the call's stream began. An entry is as the journal has it: its kind is under `entry`.
 */

const KEYS_TOGETHER_MS = 2500;

/**
 * @typedef {object} Line
 * @property {"said"} kind
 * @property {string} speaker caller, agent or callee
 * @property {string} text verbatim; of the agent: what was heard
 * @property {string} unheard the rest of what the agent was to say
 * @property {number} at_ms when it began
 * @property {number} until_ms
 * @property {boolean} interrupted whether the caller cut it off
 * @property {boolean} incomplete whether there may have been more
 * @property {boolean} degraded whether words are missing, because the speech service was away
 * @property {string} meaning words, backchannel, echo
 * @property {string} occasion of the agent: turn.ended, call.started, prompt, operator
 * @property {number|null} wait_ms of an answer: how long the caller waited for it
 * @property {boolean} speculative
 *
 * @typedef {object} Mark
 * @property {"mark"} kind
 * @property {string} what key, digits, message, transfer, note, problem, broken, resumed, answerer, paused, recording, end
 * @property {number} at_ms
 * @property {string} title
 * @property {string} [detail] in the caller's or the agent's words
 * @property {object} entry
 */

/**
 * @param {object[]} entries in the journal's order
 * @param {Map<number, number>} [quiet] when the caller was last heard in each turn, where the recording tells
 */
export function tell(entries, quiet = new Map()) {
  const story = { items: [], pauses: [], breaks: [], silences: [], answers: [], duration_ms: 0, closed: null };
  const questions = new Map();
  for (const entry of entries) {
    if (entry.entry === "caller_spoke") questions.set(entry.turn, entry);
    take(story, entry);
  }
  const lines = new Map(story.items.map((item) => [item.entry, item]));
  for (const entry of entries) {
    if (entry.entry !== "agent_spoke") continue;
    const answer = answerOf(entry, questions.get(entry.turn), quiet);
    story.answers.push(answer);
    const line = lines.get(entry);
    if (line && answer.asked_for) line.wait_ms = answer.wait_ms;
  }
  story.items = together(story.items.sort((one, other) => one.at_ms - other.at_ms));
  for (const span of [...story.pauses, ...story.breaks]) span[1] ??= story.duration_ms;
  return story;
}

function take(story, entry) {
  for (const name of ["at_ms", "ended_ms", "to_ms"]) {
    if (typeof entry[name] === "number") story.duration_ms = Math.max(story.duration_ms, entry[name]);
  }
  const mark = (what, title, detail) => story.items.push({ kind: "mark", what, at_ms: entry.at_ms ?? 0, title, detail, entry });
  switch (entry.entry) {
    case "caller_spoke":
      if (entry.transcript.trim()) story.items.push(said("caller", entry, entry.transcript));
      break;
    case "party_spoke":
      if (entry.transcript.trim()) story.items.push(said(entry.party, entry, entry.transcript));
      break;
    case "agent_spoke":
      if (entry.heard || entry.unheard) story.items.push(saidByAgent(entry));
      break;
    case "agent_silenced":
      story.silences.push([entry.at_ms, null, entry.reply]);
      break;
    case "agent_resumed": {
      const open = story.silences.findLast((one) => one[1] === null && one[2] === entry.reply);
      if (open) open[1] = entry.at_ms;
      break;
    }
    case "key_pressed":
      mark("key", "Key pressed", entry.digit);
      break;
    case "digits_gathered":
      mark("digits", entry.count ? "Keys gathered" : "No keys came", entry.masked ? `${entry.count} keys, masked` : entry.digits);
      break;
    case "message_left":
      story.items.push({ kind: "mark", what: "message", at_ms: entry.from_ms, title: `Message ${entry.number} left`, detail: entry.transcript, entry });
      break;
    case "transfer_tried":
      mark("transfer", `${entry.warm ? "Warm transfer" : "Transfer"}: ${entry.status}`, entry.to);
      break;
    case "answerer_told":
      mark("answerer", "Answered by", entry.kind);
      break;
    case "note_taken":
      mark("note", "Note");
      break;
    case "problem_met":
      mark("problem", `Problem (${entry.source}): ${entry.code}`, entry.message);
      break;
    case "stream_broke":
      story.breaks.push([entry.at_ms, null]);
      mark("broken", "The carrier's stream broke");
      break;
    case "call_given_away":
    case "call_taken_over":
      if (!story.breaks.length || story.breaks.at(-1)[1] !== null) story.breaks.push([entry.at_ms, null]);
      if (entry.entry === "call_given_away") mark("broken", "The process gave the call to another one");
      else mark("broken", entry.given ? "Another process went on with the call" : "The process died, and another one went on with the call");
      break;
    case "stream_resumed": {
      const open = story.breaks.findLast((one) => one[1] === null);
      if (open) open[1] = entry.at_ms;
      mark("resumed", "The call came back on a new stream");
      break;
    }
    case "recording_paused":
      story.pauses.push([entry.at_ms, null]);
      mark("paused", "Recording paused");
      break;
    case "recording_resumed": {
      const open = story.pauses.findLast((one) => one[1] === null);
      if (open) open[1] = entry.at_ms;
      mark("recording", "Recording resumed");
      break;
    }
    case "call_closed":
      story.closed = entry;
      mark("end", "Call ended", entry.reason);
      break;
    default: // What only the journal's own view shows, or a newer bridge has written.
  }
}

function said(speaker, entry, text) {
  return {
    kind: "said",
    speaker,
    text,
    unheard: "",
    at_ms: entry.started_ms,
    until_ms: entry.ended_ms,
    interrupted: false,
    incomplete: Boolean(entry.incomplete),
    degraded: Boolean(entry.degraded),
    meaning: entry.meaning ?? "words",
    occasion: "",
    wait_ms: null,
    speculative: false,
    entry,
  };
}

function saidByAgent(entry) {
  return {
    kind: "said",
    speaker: entry.occasion === "operator" ? "operator" : "agent",
    text: entry.heard,
    unheard: entry.unheard,
    at_ms: entry.sent_ms ?? entry.asked_ms,
    until_ms: entry.ended_ms,
    interrupted: Boolean(entry.interrupted),
    incomplete: false,
    degraded: false,
    meaning: "words",
    occasion: entry.occasion,
    wait_ms: null,
    speculative: Boolean(entry.speculative),
    entry,
  };
}

/** When each step of an answer was taken, as the picture of the call has it. */
function answerOf(entry, question, quiet) {
  const asked_for = entry.occasion === "turn.ended" && question !== undefined;
  const quiet_ms = asked_for ? (quiet.get(entry.turn) ?? null) : null;
  const from_ms = asked_for ? question.ended_ms : entry.asked_ms;
  const sent_ms = entry.sent_ms ?? null;
  return {
    reply: entry.reply,
    occasion: entry.occasion,
    question: asked_for ? question.transcript : "",
    asked_for,
    from_ms,
    quiet_ms,
    wait_ms: sent_ms === null ? null : Math.max(0, sent_ms - (quiet_ms ?? from_ms)),
    eager_ms: asked_for ? (question.eager_ms ?? null) : null,
    asked_ms: entry.asked_ms,
    text_ms: entry.text_ms ?? null,
    audio_ms: entry.audio_ms ?? null,
    sent_ms,
    mark_ms: entry.mark_ms ?? null,
    speculative: Boolean(entry.speculative),
  };
}

/**
 * The stretches of an answer's waterfall, in ms from the end of the turn: of the caller what they follow, of the agent
 * what they lead to.
 */
export function stretches(answer) {
  const found = [];
  // An eager end that the caller's going on took back begins nothing.
  const taken_back = answer.eager_ms !== null && answer.quiet_ms !== null && answer.eager_ms < answer.quiet_ms;
  const eager = taken_back ? null : answer.eager_ms;
  const begun = [["quiet", answer.quiet_ms], ["eager", eager]].filter(([, ms]) => ms !== null && ms < answer.from_ms);
  begun.forEach(([name, ms], index) => {
    const stop = index + 1 < begun.length ? begun[index + 1][1] - answer.from_ms : 0;
    found.push({ side: "caller", name, start: ms - answer.from_ms, stop });
  });
  let before = answer.asked_ms - answer.from_ms;
  for (const name of ["text", "audio", "sent", "mark"]) {
    const at = answer[`${name}_ms`];
    if (at === null) continue;
    const stop = Math.max(before, at - answer.from_ms);
    found.push({ side: "agent", name, start: before, stop });
    before = stop;
  }
  return found;
}

/** The middle one of some figures; null of none. */
export function median(figures) {
  if (!figures.length) return null;
  const sorted = [...figures].sort((one, other) => one - other);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Keys that follow each other fast are one mark; a note's data is told with it. */
function together(items) {
  const found = [];
  for (const item of items) {
    const last = found.at(-1);
    if (item.what === "key" && last?.what === "key" && item.at_ms - last.last_ms <= KEYS_TOGETHER_MS) {
      last.detail += item.detail;
      last.last_ms = item.at_ms;
      last.title = "Keys pressed";
    } else if (item.what === "key") found.push({ ...item, last_ms: item.at_ms });
    else found.push(item);
  }
  return found;
}

/**
 * Read what `GET …/journal` answers: JSON lines (the first may be the call's head), or a document with `entries`.
 * A line that breaks off is left out.
 */
export function readJournal(text) {
  const trimmed = text.trim();
  if (!trimmed) return [];
  try {
    const whole = JSON.parse(trimmed);
    const entries = Array.isArray(whole) ? whole : (whole.entries ?? [whole]);
    return entries.filter((entry) => entry?.entry);
  } catch {
    return trimmed.split("\n").map(parsed).filter((entry) => entry?.entry);
  }
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
