/** The transcript of a call: each line can be heard, what nobody heard is struck, what happened stands in between. */

import { calm, h, words } from "../common/dom.js";
import { ending, latency, moment, number, speaker } from "../common/format.js";
import { icon } from "../common/icons.js";
import { chunks } from "./chunks.js";

const LINE_PX = 66;

const MARK_ICONS = {
  ...{ key: "keypad", digits: "keypad", message: "record", transfer: "transfer", note: "note", problem: "warning" },
  ...{ broken: "warning", resumed: "check", answerer: "info", paused: "pause", recording: "record", end: "hangUp" },
};
const OCCASIONS = { "call.started": "greeting", prompt: "said by the bridge", operator: "said by an operator" };

/** The transcript's list; `seek` is called with the ms of a line that is to be heard. */
export class Transcript {
  constructor(story, call, seek) {
    this._seek = seek;
    this._call = call;
    this._rows = [];
    this._current = null;
    this.node = h("div", { class: "transcript" });
    this.show(story);
  }

  /** Show another state of the call. */
  show(story) {
    this._rows = story.items.map((item) => ({ item, node: item.kind === "said" ? this._line(item) : this._mark(item) }));
    this.node.replaceChildren(...chunks(this._rows.map((row) => row.node), LINE_PX));
    this._current = null;
  }

  /** Mark the line that sounds at a moment, and bring it into sight if somebody listens. */
  at(ms, { follow = false } = {}) {
    const found = this._rows.findLast(({ item }) => item.kind === "said" && item.at_ms <= ms && ms < item.until_ms + 400);
    if (found === this._current) return;
    this._current?.node.removeAttribute("aria-current");
    this._current = found ?? null;
    if (!found) return;
    found.node.setAttribute("aria-current", "true");
    if (follow) found.node.scrollIntoView({ block: "nearest", behavior: calm() ? "instant" : "smooth" });
  }

  /** Bring the line at a moment into sight and mark it, as after a search. */
  point(ms) {
    this.at(ms);
    this._current?.node.scrollIntoView({ block: "center" });
  }

  _line(item) {
    const side = item.speaker === "caller" ? "caller" : item.speaker === "callee" ? "callee" : "agent";
    return h(
      "li",
      { class: `line ${side} ${item.meaning === "words" ? "" : "aside"}` },
      this._time(item.at_ms),
      h(
        "div",
        { class: "line-body", on: { click: (event) => this._clicked(event, item.at_ms) } },
        h("div", { class: "line-head" }, h("span", { class: `said-by ${side}` }, this._name(item)), remarks(item)),
        h("p", { class: "line-words", dir: "auto" }, item.text, unheard(item)),
      ),
    );
  }

  _name(item) {
    if (item.speaker === "callee" && this._call.other) return number(this._call.other);
    return speaker(item.speaker);
  }

  _mark(item) {
    return h(
      "li",
      { class: `event-line ${item.what}` },
      this._time(item.at_ms),
      h(
        "div",
        { class: "event-body" },
        icon(MARK_ICONS[item.what] ?? "info"),
        h("span", {}, item.title),
        detail(item),
      ),
    );
  }

  _time(ms) {
    return h(
      "button",
      { class: "line-time figures", type: "button", "aria-label": `Hear from ${moment(ms)}`, on: { click: () => this._seek(ms) } },
      moment(ms),
    );
  }

  /** A click on words plays them, unless it was to select some. */
  _clicked(event, ms) {
    if (event.target.closest("a, button, summary") || String(getSelection()).length) return;
    this._seek(ms);
  }
}

function remarks(item) {
  return [
    OCCASIONS[item.occasion] ? h("span", { class: "soft small" }, OCCASIONS[item.occasion]) : null,
    item.wait_ms !== null ? h("span", { class: "soft small figures", title: "How long the caller waited for it" }, `after ${latency(item.wait_ms)}`) : null,
    item.interrupted ? h("span", { class: "badge barge" }, "Barge-in") : null,
    item.meaning === "backchannel" ? h("span", { class: "soft small" }, "only shows that they listen") : null,
    item.meaning === "echo" ? h("span", { class: "soft small" }, "the agent's own echo") : null,
    item.incomplete ? h("span", { class: "badge warn" }, "Breaks off") : null,
    item.degraded ? h("span", { class: "badge warn" }, "Words missing") : null,
  ];
}

function unheard(item) {
  if (!item.unheard) return null;
  const why = item.interrupted ? "Not heard: the caller cut it off" : "Not heard: the call went on or ended before";
  return [
    h("span", { class: "unseen" }, ` (${why}: `),
    h("s", { class: "unheard", title: why }, item.unheard),
    h("span", { class: "unseen" }, ")"),
  ];
}

function detail(item) {
  if (item.what === "note") return dataList(item.entry.data);
  if (!item.detail) return null;
  if (item.what === "end") return h("span", { class: "soft" }, ending(item.detail));
  if (item.what === "transfer") return words(number(item.detail), { class: "soft" });
  if (item.what === "key" || item.what === "digits") return h("kbd", { class: "keys" }, item.detail);
  return words(item.detail, { class: "event-detail" });
}

/** Data of a note: names and values as they are. */
export function dataList(data) {
  return h(
    "dl",
    { class: "data" },
    Object.entries(data ?? {}).map(([name, value]) =>
      h("div", {}, h("dt", { dir: "auto" }, name), h("dd", { dir: "auto" }, typeof value === "string" ? value : JSON.stringify(value))),
    ),
  );
}
