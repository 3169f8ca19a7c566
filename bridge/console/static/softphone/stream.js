/** One media stream, from the carrier's end: what Twilio would say on the socket to the bridge, and be told. */

import { fromBase64, toBase64 } from "../common/mulaw.js";

const FRAME_MS = 20;
/** Silence of a frame, mu-law. */
const SILENT = 0xff;
/** Frames in a row that must all be late before the clock is taken to have stood: a second. */
const LATE_FRAMES = 50;
const LATE_MS = 100;
/** So much that was not sent, and the connection is as good as broken: five seconds. In bytes. */
const STUCK = 100_000;

/** The times of frames: they go on evenly, except where the browser has lost sound. Pure. */
export class FrameClock {
  constructor() {
    this.frames = 0;
    this.lostMs = 0;
    this.began = null;
    this.late = [];
  }

  /** The time of the next frame, in ms since the stream began. @param {number} now ms on a clock that runs evenly */
  next(now) {
    this.began ??= now - FRAME_MS;
    const at = this.frames * FRAME_MS + this.lostMs;
    this.late.push(now - this.began - FRAME_MS - at);
    if (this.late.length > LATE_FRAMES) this.late.shift();
    const least = Math.min(...this.late);
    this.frames += 1;
    if (this.late.length < LATE_FRAMES || least < LATE_MS) return at;
    this.late = [];
    const lost = Math.round(least / FRAME_MS) * FRAME_MS;
    this.lostMs += lost;
    return at + lost;
  }
}

/** An id as Twilio makes them. */
export function streamId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `MZ${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export class Stream {
  /**
   * Open the stream.
   *
   * @param {string} path of the media stream, on the host of this page
   * @param {string} callSid
   * @param {Record<string, string>} parameters with the token
   * @param {object} does `opened()`, `media(bytes)`, `mark(name)`, `clear()`, `wrong(sentence)` (the bridge sent what
   *   Twilio would refuse), and once `over(how, reason)`: `stopped` (by us), `closed` (by the bridge),
   *   `refused` (by the bridge, with a reason) or `broken`
   */
  constructor(path, callSid, parameters, does) {
    this.id = streamId();
    this.callSid = callSid;
    this.does = does;
    this.sequence = 0;
    this.clock = new FrameClock();
    this.started = false;
    this.stopped = false;
    const url = new URL(path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(url);
    this.socket.onopen = () => this.start(parameters);
    this.socket.onmessage = ({ data }) => this.take(data);
    this.socket.onclose = (event) => this.close(event);
  }

  start(parameters) {
    this.send({ event: "connected", protocol: "Call", version: "1.0.0" });
    this.numbered("start", {
      start: {
        accountSid: `AC${"0".repeat(32)}`,
        streamSid: this.id,
        callSid: this.callSid,
        tracks: ["inbound"],
        mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
        customParameters: parameters,
      },
    });
    this.started = true;
    this.does.opened();
  }

  /** Send a frame of the microphone. @param {Uint8Array} frame @param {boolean} muted send silence instead */
  frame(frame, muted) {
    if (!this.started) return;
    if (this.socket.bufferedAmount > STUCK) {
      this.break();
      return;
    }
    const timestamp = this.clock.next(performance.now());
    const audio = muted ? new Uint8Array(frame.length).fill(SILENT) : frame;
    this.numbered("media", {
      media: {
        track: "inbound",
        chunk: String(this.clock.frames),
        timestamp: String(timestamp),
        payload: toBase64(audio),
      },
    });
  }

  /** Send a key. */
  key(digit) {
    if (this.started) this.numbered("dtmf", { dtmf: { track: "inbound_track", digit } });
  }

  /** Give a mark back. */
  mark(name) {
    if (this.started) this.numbered("mark", { mark: { name } });
  }

  /** Hang up: the last message, then the socket is closed. */
  stop() {
    if (this.stopped) return;
    this.stopped = true;
    if (this.started) this.numbered("stop", { stop: { accountSid: `AC${"0".repeat(32)}`, callSid: this.callSid } });
    this.started = false;
    this.socket.close(1000);
    this.end("stopped", "");
  }

  take(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      message = null;
    }
    if (message?.streamSid !== this.id) {
      this.does.wrong("a message that is not for this stream (Twilio's warning 31951)");
      return;
    }
    try {
      if (message.event === "media") this.does.media(fromBase64(message.media.payload));
      else if (message.event === "mark") this.does.mark(String(message.mark.name));
      else if (message.event === "clear") this.does.clear();
      else throw new TypeError("an event that Twilio does not know");
    } catch (error) {
      this.does.wrong(`a message that cannot be read (Twilio's warning 31951): ${error.message}`);
    }
  }

  close({ code, reason }) {
    this.started = false;
    this.end({ 1006: "broken", 1008: "refused" }[code] ?? "closed", reason);
  }

  /** Nothing goes through any more: do not wait until the browser notices. */
  break() {
    this.started = false;
    this.socket.onclose = null;
    this.socket.close();
    this.end("broken", "");
  }

  end(how, reason) {
    const { over } = this.does;
    this.does.over = () => {};
    over(how, reason);
  }

  numbered(event, body) {
    this.sequence += 1;
    this.send({ event, sequenceNumber: String(this.sequence), streamSid: this.id, ...body });
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
