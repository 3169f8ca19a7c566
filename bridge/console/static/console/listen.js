/** Listening in to a live call: the caller in the left ear, what the caller hears in the right one. */

import { address, path } from "../common/api.js";
import { h, s, setText } from "../common/dom.js";
import { decode, loudness, RATE } from "../common/mulaw.js";

/** So much sound is kept in hand, in seconds, that a network which stutters is not heard. */
const LEAD_S = 0.25;
/** More than that is a delay that nobody wants: what is too late is left out. */
const MOST_S = 1.2;

/** Sound of one call, as long as it is wanted; `node` shows how loud both sides are. */
export class Listening {
  /**
   * @param {string} id of the call
   * @param {{ended: (problem: string) => void}} does told once when it is over; with a sentence where something failed
   */
  constructor(id, does) {
    this._does = does;
    this._done = false;
    this._context = new AudioContext();
    this._next = 0;
    this._meters = [meter("caller", "Caller, left ear"), meter("agent", "Other side, right ear")];
    this._told = h("span", { class: "soft", role: "status" }, "Connecting …");
    this.node = h("div", { class: "ear-row" }, this._meters.map((each) => each.node), this._told);
    const url = new URL(address(path("calls", id, "listen")), location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this._socket = new WebSocket(url);
    this._socket.binaryType = "arraybuffer";
    this._socket.addEventListener("open", () => setText(this._told, "Listening"));
    this._socket.addEventListener("message", (event) => this._take(event.data));
    this._socket.addEventListener("close", (event) => this._over(event.code === 1000 || event.code === 1001 ? "" : event.reason || "Listening in ended: the connection was lost."));
  }

  stop() {
    this._over("");
  }

  _over(problem) {
    if (this._done) return;
    this._done = true;
    this._socket.close(1000);
    this._context.close();
    this._does.ended(problem);
  }

  /** A message holds both sides' mu-law, sample by sample in turn: left the caller, right the other side. */
  _take(data) {
    if (this._done || typeof data === "string") return;
    const both = new Uint8Array(data);
    const sides = [0, 1].map((side) => decode(both.filter((_, index) => index % 2 === side)));
    const buffer = this._context.createBuffer(2, Math.max(1, sides[0].length), RATE);
    sides.forEach((samples, side) => {
      buffer.copyToChannel(samples, side);
      this._meters[side].show(loudness(samples));
    });
    const now = this._context.currentTime;
    if (this._next < now) this._next = now + LEAD_S;
    if (this._next > now + MOST_S) return;
    const source = new AudioBufferSourceNode(this._context, { buffer });
    source.connect(this._context.destination);
    source.start(this._next);
    this._next += buffer.duration;
  }
}

function meter(side, name) {
  const bar = s("rect", { class: `level-${side}`, width: 0, height: 8, rx: 4 });
  return {
    node: h("span", { class: "ear-row" }, h("span", { class: `said-by ${side}` }, name), s("svg", { class: "level", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { class: "rail", width: 100, height: 8, rx: 4 }), bar)),
    show: (loud) => bar.setAttribute("width", String(Math.min(100, Math.round(Math.sqrt(loud) * 160)))),
  };
}
