/** One call: what a carrier would do for it, step by step as the bridge says, until it is over. */

import { ApiError, address, path, post, session } from "../common/api.js";
import { Stream } from "./stream.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 3000;

/** Why a stream that has not begun was closed, as the bridge says it in one word. */
const REFUSED = {
  token_expired: "the permission to call came too late",
  token_used: "the permission to call was used before",
  call_over: "the call was over already",
  draining: "the bridge takes no new calls",
  no_start: "the stream did not start in time",
};

/**
 * @typedef {object} Follower whom a call tells what happens
 * @property {(state: "calling"|"talking"|"away"|"broken"|"over") => void} state
 * @property {(text: string, kind?: string) => void} log one line for the protocol
 * @property {(text: string) => void} says a sentence of the carrier's own voice
 * @property {(step: object, signal: AbortSignal) => Promise<{status: string, seconds: number}>} dial ask how it ends
 * @property {(digits: string) => number} keys let keys sound; how long that takes, in seconds
 * @property {(sentence: string, bad: boolean) => void} over the call is over, and why; told once
 */

export class Call {
  /**
   * @param {import("./sound.js").Sound} sound
   * @param {Follower} does
   * @param {number} reattachMs how long the bridge keeps a call whose stream broke
   */
  constructor(sound, does, reattachMs) {
    this.sound = sound;
    this.does = does;
    this.reattachMs = reattachMs;
    this.id = "";
    this.sid = "";
    this.stream = null;
    this.muted = false;
    this.streams = 0;
    this.left = new AbortController();
    /** What is going on now, for the question what comes next. */
    this.now = { after: "stream", leg: "" };
  }

  /** Call, and follow the call to its end. Never throws: `does.over` is told. @param {object} asked the API's body */
  async run(asked) {
    let end;
    try {
      this.does.state("calling");
      const begun = await post("/softphone", asked, { signal: this.left.signal });
      Object.assign(this, { id: begun.call, sid: begun.sid, path: begun.stream_url });
      this.does.begun?.(begun);
      end = await this.follow(begun.steps);
    } catch (error) {
      if (this.left.signal.aborted) end = ["You hung up.", false];
      else if (error instanceof ApiError) end = [error.message, true];
      else throw error;
    } finally {
      this.left.abort();
      this.stream?.stop();
      this.does.state("over");
      if (end) this.does.over(...end);
      else this.does.over("Something went wrong in this page; the browser's console says what.", true);
    }
  }

  /** A frame of the microphone. */
  frame(frame) {
    this.stream?.frame(frame, this.muted);
  }

  /** Marks that were reached. */
  marks(names) {
    for (const name of names) this.stream?.mark(name);
  }

  press(key) {
    this.stream?.key(key);
  }

  /** Hang up, whatever is going on. */
  hangUp() {
    if (this.left.signal.aborted) return;
    if (this.stream) this.stream.stop();
    else if (this.sid) this.tellOver();
    this.left.abort();
  }

  /** A call without a stream is over: nobody else would tell the bridge. Goes out also while the page is left. */
  tellOver() {
    fetch(address(path("softphone", this.sid, "next")), {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf-token": session.current?.csrf ?? "" },
      body: JSON.stringify({ ...this.now, over: true }),
      keepalive: true,
    }).catch(() => {});
  }

  async follow(first) {
    let steps = first;
    for (;;) {
      let next = null;
      for (const step of steps) {
        next = await this.take(step);
        if (next) break;
      }
      if (this.left.signal.aborted) return ["You hung up.", false];
      if (!next) return ["The call is over.", false];
      if (next.end) return next.end;
      steps = next.steps;
    }
  }

  /** Take one step. Returns what to go on with, or null for the step behind it. */
  async take(step) {
    if (this.left.signal.aborted) return { end: ["You hung up.", false] };
    switch (step.do) {
      case "say":
        this.does.says(step.text);
        return null;
      case "digits":
        this.does.log(`The carrier presses ${step.digits}.`);
        await this.wait(this.does.keys(step.digits) * 1000);
        return null;
      case "pause":
        await this.wait(step.seconds * 1000);
        return null;
      case "stream":
        return this.talk(step);
      case "dial":
        return this.dial(step);
      case "other":
        return { end: [`The call goes on with <${step.verb}>, which only a phone company can carry out.`, true] };
      default:
        return { end: ["The bridge hung up.", false] };
    }
  }

  /** Talk over a stream until it is over, and return what comes next. */
  async talk(step) {
    this.now = { after: "stream", leg: step.leg };
    const { how, reason } = await this.streamed(step.parameters);
    this.stream = null;
    this.sound.clear();
    if (how === "stopped") return { end: ["You hung up.", false] };
    if (how === "refused") {
      return { end: [`The bridge did not take the call: ${REFUSED[reason] ?? reason ?? "it gives no reason"}.`, true] };
    }
    const broken = how === "broken";
    this.does.state(broken ? "broken" : "away");
    this.does.log(broken ? "The connection broke." : "The bridge left the stream.", broken ? "bad" : "");
    const next = await this.next({}, broken);
    const [again] = next.steps ?? [];
    if (broken && again?.do === "stream") this.does.log("The connection is taken up again.", "good");
    else if (broken && again?.do === "hang_up") return { end: ["The connection broke, and the bridge has ended the call.", true] };
    return next;
  }

  streamed(parameters) {
    return new Promise((resolve) => {
      this.stream = new Stream(this.path, this.sid, parameters, {
        opened: () => {
          this.streams += 1;
          this.does.log(`Stream ${this.streams} is open.`);
          this.does.state("talking");
        },
        media: (audio) => this.sound.media(audio),
        mark: (name) => this.sound.mark(name),
        clear: () => this.sound.clear(),
        wrong: (sentence) => this.does.log(`The bridge sent ${sentence}.`, "bad"),
        over: (how, reason) => resolve({ how, reason }),
      });
    });
  }

  /** A carrier would ring somebody now; whoever uses the page says how that ends. */
  async dial(step) {
    this.now = { after: "dial", leg: step.leg };
    this.does.state("away");
    this.does.log(`The bridge asks the carrier to connect you with ${step.to}.`);
    const { status, seconds } = await this.does.dial(step, this.left.signal);
    if (this.left.signal.aborted) return { end: ["You hung up.", false] };
    this.does.log(`You said how that ended: ${status}.`);
    return step.leg ? this.next({ dial_status: status, dial_seconds: seconds }, false) : null;
  }

  /** Ask what comes next, also over a network that comes and goes, for as long as the bridge keeps the call. */
  async next(more, broken) {
    const where = path("softphone", this.sid, "next");
    const until = performance.now() + this.reattachMs;
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      try {
        return await post(where, { ...this.now, ...more }, { signal: this.left.signal });
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 404) {
          return { end: ["The bridge does not know this call any more: it was started anew.", true] };
        }
        if (error.status !== 0 && error.status < 500) throw error;
        if (performance.now() + wait > until) {
          const lost = broken ? "The connection broke, and the bridge" : "The bridge";
          return { end: [`${lost} could not be reached again within ${this.reattachMs / 1000} s.`, true] };
        }
      }
      await this.wait(wait);
    }
  }

  wait(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.left.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
