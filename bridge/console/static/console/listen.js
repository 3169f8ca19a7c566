/** Listening in to a live call: the caller in the left ear, what the caller hears in the right one. */

import { address, path } from "../common/api.js";
import { h, s, setText } from "../common/dom.js";
import { decode, loudness, RATE } from "../common/mulaw.js";

/** So much sound is kept in hand, in seconds, that a network which stutters is not heard. */
const LEAD_S = 0.3;
/** What comes later than that behind its time shows that the network has grown slower: all is heard later from now. */
const LATE_S = 0.02;
const HEAD_BYTES = 5;

/** Sound of one call, as long as it is wanted; `node` shows how loud both sides are. */
export class Listening {
  /**
   * @param {string} id of the call
   * @param {{ended: (problem: string) => void}} does told once when it is over; with a sentence where something failed
   */
  constructor(id, does) {
    this._does = does;
    this._done = false;
    this._opened = false;
    this._moving = false;
    this._context = new AudioContext();
    this._zero = null;
    this._sides = [new Side(this._context, -1), new Side(this._context, 1)];
    this._meters = [meter("caller", "Caller, left ear"), meter("agent", "Other side, right ear")];
    this._told = h("span", { class: "soft", role: "status" }, "Connecting …");
    this.node = h("div", { class: "ear-row" }, this._meters.map((each) => each.node), this._told);
    this._fading = setInterval(() => this._show(), 60);
    const url = new URL(address(path("calls", id, "listen")), location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this._socket = new WebSocket(url);
    this._socket.binaryType = "arraybuffer";
    this._socket.addEventListener("open", () => {
      this._opened = true;
      setText(this._told, "Listening");
    });
    this._socket.addEventListener("message", (event) => this._take(event.data));
    this._socket.addEventListener("close", (event) => this._over(this._problem(event)));
  }

  stop() {
    this._over("");
  }

  _problem(event) {
    if (event.code === 1000 || event.code === 1005) return "";
    if (!this._opened) return "Listening in was refused: the call may be over.";
    if (event.code === 1012) return "Listening in ended: the node that held the call cannot be reached.";
    return event.code === 1013 ? "Listening in ended: your connection is too slow." : "Listening in ended: the connection was lost.";
  }

  _over(problem) {
    if (this._done) return;
    this._done = true;
    clearInterval(this._fading);
    this._socket.close(1000);
    this._context.close();
    this._does.ended(problem);
  }

  /** Sound is binary: the side, the ms of the call, mu-law. What else happens is JSON. */
  _take(data) {
    if (this._done) return;
    if (typeof data !== "string") {
      const head = new DataView(data);
      this._hear(head.getUint8(0), head.getUint32(1) / 1000, decode(new Uint8Array(data, HEAD_BYTES)));
      return;
    }
    const { type, at_ms } = JSON.parse(data);
    if (type === "clear" && this._zero !== null) this._sides[1].clear(this._zero + at_ms / 1000);
    else if (type === "paused") this._found("The recording is paused: nothing is heard");
    else if (type === "resumed") this._found("Listening");
    else if (type === "moved") this._follow();
    else if (type === "ended") this._over("");
  }

  /** The call goes on elsewhere: what had not sounded there will not. */
  _follow() {
    this._sides[1].clear(this._context.currentTime);
    this._moving = true;
    setText(this._told, "The call moves to another node …");
  }

  /** Something comes of the call: if it moved, it is there again. */
  _found(text) {
    this._moving = false;
    setText(this._told, text);
  }

  /** Put a piece where it belongs: the sides keep together as they were in the call. */
  _hear(side, at_s, samples) {
    const to = this._sides[side];
    if (!to || !samples.length) return;
    if (this._moving) this._found("Listening");
    const now = this._context.currentTime;
    this._zero ??= now + LEAD_S - at_s;
    if (this._zero + at_s < now + LATE_S) this._zero = now + LEAD_S - at_s;
    to.play(samples, this._zero + at_s);
  }

  _show() {
    this._sides.forEach((side, index) => this._meters[index].show(side.loudness(this._context.currentTime)));
  }
}

/** One ear: pieces that sound one behind the other, and can be taken back before they do. */
class Side {
  constructor(context, pan) {
    this._context = context;
    this._to = new StereoPannerNode(context, { pan });
    this._to.connect(context.destination);
    this._next = 0;
    /** @type {{source: AudioBufferSourceNode, start: number, end: number, loud: number}[]} */
    this._pieces = [];
  }

  play(samples, at) {
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this._context, { buffer });
    const start = Math.max(at, this._next);
    source.connect(this._to);
    source.start(start);
    this._next = start + buffer.duration;
    this._pieces.push({ source, start, end: this._next, loud: loudness(samples) });
  }

  clear(at) {
    for (const { source, end } of this._pieces) if (end > at) source.stop(Math.max(at, 0));
    this._pieces = this._pieces.filter(({ start }) => start < at);
    this._next = Math.min(this._next, at);
  }

  /** How loud it is now, 0 to 1; what has sounded is let go. */
  loudness(now) {
    this._pieces = this._pieces.filter(({ end }) => end > now);
    const piece = this._pieces.find(({ start }) => start <= now);
    return piece ? piece.loud : 0;
  }
}

function meter(side, name) {
  const bar = s("rect", { class: `level-${side}`, width: 0, height: 8, rx: 4 });
  return {
    node: h("span", { class: "ear-row" }, h("span", { class: `said-by ${side}` }, name), s("svg", { class: "level", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { class: "rail", width: 100, height: 8, rx: 4 }), bar)),
    show: (loud) => bar.setAttribute("width", String(Math.min(100, Math.round(Math.sqrt(loud) * 160)))),
  };
}
