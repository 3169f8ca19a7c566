/**
 * The live calls, as the bridge's events tell them: who talks, what was said, what is being said. Pure.
 *
 * @typedef {object} LiveLine
 * @property {"said"|"event"} kind
 * @property {string} speaker caller, callee, agent or operator; empty of an event
 * @property {string} text verbatim; of the agent while it speaks: all that it is to say so far
 * @property {boolean} open whether it goes on
 * @property {number|null} heard of the agent while it speaks: how many characters have sounded
 * @property {string} unheard
 * @property {boolean} interrupted
 * @property {number|null} answer_ms how long the answer took
 * @property {number} at_ms
 * @property {string} what of an event: its type
 */

const LINES_KEPT = 300;

/** One live call. */
export class LiveCall {
  /** @param {object} document as `GET /live` has it */
  constructor(document) {
    this.id = document.id;
    this.facts = document;
    this.mode = document.mode ?? (document.agent === "log" ? "log" : "agent");
    this.state = document.state ?? "listening";
    this.over = null;
    this.recording = document.recording ?? "on";
    /** @type {LiveLine[]} */
    this.lines = [];
    this.answers = [];
    this._open = new Map();
    this._clock(document.at_ms ?? 0);
    for (const said of document.talk ?? []) this._said(said.speaker === "agent" ? { ...said, type: "agent.spoke" } : { ...said, type: "turn.ended" });
    for (const [speaker, text] of Object.entries(document.words ?? {})) this._words(speaker, text, this.at_ms);
    if (document.saying) this._speaking({ ...document.saying, at_ms: this.at_ms });
  }

  /** How long the call has lasted, in ms; it goes on between events. @param {number} now of `performance.now()` */
  lasted(now) {
    return this.over ? this.at_ms : this.at_ms + Math.max(0, now - this._seen);
  }

  /** Take an event of this call. */
  take(event) {
    if (typeof event.at_ms === "number") this._clock(event.at_ms);
    switch (event.type) {
      case "state":
        this.state = event.state;
        break;
      case "turn.started":
        this._words(event.speaker, "", event.at_ms);
        break;
      case "turn.words":
        this._words(event.speaker, event.text, event.at_ms);
        break;
      case "turn.ended":
      case "agent.spoke":
        this._said(event);
        break;
      case "agent.speaking":
        this._speaking(event);
        break;
      case "call.ended":
        this.over = event.reason || "over";
        this._open.clear();
        for (const line of this.lines) line.open = false;
        this._event(event, "Call ended");
        break;
      case "key":
        this._event(event, event.masked ? "A key was pressed (masked)" : "Key pressed", event.digit);
        break;
      case "message":
        this._event(event, `Message ${event.number} left`, event.text);
        break;
      case "note":
        this._event(event, "Note", Object.entries(event.data ?? {}).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", "));
        break;
      case "transfer":
        this._event(event, `Transfer: ${event.status}`, event.to);
        break;
      case "problem":
        this._event(event, `Problem (${event.source}): ${event.code}`, event.message);
        break;
      case "recording":
        this.recording = event.state;
        this._event(event, event.state === "paused" ? "Recording paused" : "Recording resumed");
        break;
      default: // Of no matter to who looks.
    }
  }

  _clock(at_ms) {
    this.at_ms = at_ms;
    this._seen = globalThis.performance.now();
  }

  _words(speaker, text, at_ms) {
    const line = this._line(speaker, () => ({ speaker, at_ms }));
    line.text = text;
  }

  _speaking({ reply, text, heard, answer_ms, occasion, at_ms }) {
    const line = this._line(`reply ${reply}`, () => ({ speaker: occasion === "operator" ? "operator" : "agent", at_ms }));
    line.text = text;
    line.heard = heard.length;
    line.answer_ms ??= answer_ms ?? null;
  }

  /** A turn or a reply is over: its line says what it was. One without words never was. */
  _said(event) {
    const agent = event.type === "agent.spoke";
    const key = agent ? `reply ${event.reply}` : event.speaker;
    const text = agent ? event.heard : event.text;
    const masked = Boolean(event.masked);
    if (!text.trim() && !event.unheard && !masked) {
      this.lines = this.lines.filter((line) => line !== this._open.get(key));
      this._open.delete(key);
      return;
    }
    const speaker = agent ? (event.occasion === "operator" ? "operator" : "agent") : event.speaker;
    const line = this._line(key, () => ({ speaker, at_ms: event.started_ms ?? event.at_ms }));
    this._open.delete(key);
    Object.assign(line, { text, open: false, heard: null, masked });
    if (!agent) {
      line.aside = event.meaning !== "words";
      return;
    }
    line.unheard = event.unheard;
    line.interrupted = event.interrupted;
    if (event.occasion !== "turn.ended") return;
    line.answer_ms = event.latencies?.sent_ms ?? line.answer_ms;
    if (line.answer_ms !== null) this.answers.push(Math.max(0, line.answer_ms));
  }

  _line(key, make) {
    let line = this._open.get(key);
    if (!line) {
      line = { kind: "said", text: "", open: true, heard: null, unheard: "", interrupted: false, answer_ms: null, aside: false, masked: false, what: "", ...make() };
      this._open.set(key, line);
      this._add(line);
    }
    return line;
  }

  _event(event, title, text = "") {
    this._add({ kind: "event", speaker: "", what: event.type, title, text, open: false, heard: null, unheard: "", interrupted: false, answer_ms: null, at_ms: event.at_ms ?? this.at_ms });
  }

  _add(line) {
    this.lines.push(line);
    if (this.lines.length > LINES_KEPT) this.lines.splice(0, this.lines.length - LINES_KEPT);
  }
}

/** All live calls, in the order in which they began. */
export class LiveBook {
  constructor() {
    /** @type {Map<string, LiveCall>} */
    this.calls = new Map();
  }

  /** Take the calls as they are; what was known before counts for nothing. */
  load(documents) {
    this.calls = new Map(documents.map((document) => [document.id, new LiveCall(document)]));
  }

  /** Take an event. Returns its call, or null where there is none such. */
  take(event) {
    if (event.type === "call.started" && !this.calls.has(event.call)) this.calls.set(event.call, new LiveCall({ ...event, id: event.call }));
    const call = this.calls.get(event.call) ?? null;
    call?.take(event);
    return call;
  }

  /** Let go of a call that is over. */
  forget(id) {
    this.calls.delete(id);
  }

  /** How many go on. */
  get going() {
    return [...this.calls.values()].filter((call) => !call.over).length;
  }
}
