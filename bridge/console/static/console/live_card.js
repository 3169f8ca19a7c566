/** One live call: who talks with whom, how it stands, every word, and what can be done about it. */

import { session } from "../common/api.js";
import { h, replace, setText, words } from "../common/dom.js";
import { duration, ending, latency, number, speaker } from "../common/format.js";
import { icon } from "../common/icons.js";
import { callAddress } from "./calls_row.js";
import { LiveActions } from "./live_actions.js";
import { median } from "./story.js";

const STATES = { listening: "Listening", thinking: "Thinking", talking: "Talking", away: "Away" };
const MEANS = {
  listening: "The bridge listens to the caller",
  thinking: "The agent has been asked and has not answered yet",
  talking: "The agent is being heard",
  away: "The carrier's stream is gone, or the caller talks with somebody else",
};

export class LiveCard {
  /** @param {import("./live_calls.js").LiveCall} call */
  constructor(call) {
    this.call = call;
    this._rows = new Map();
    this._state = h("span", { class: "live-state" });
    this._time = h("span", { class: "figures live-time" });
    this._answers = h("span", { class: "figures soft small" });
    this._talk = h("ol", { class: "live-talk", tabindex: 0, "aria-label": "What is said" });
    this._actions = new LiveActions(call);
    const { from, to, direction, agent } = call.facts;
    const outbound = direction === "outbound";
    this.node = h(
      "article",
      { class: "card live-card", "aria-label": `Call from ${number(from)} to ${number(to)}` },
      h(
        "header",
        { class: "live-head" },
        h("span", { class: `way-icon ${direction}`, title: outbound ? "Outbound" : "Inbound" }, icon(outbound ? "outgoing" : "incoming")),
        h(
          "div",
          { class: "live-who" },
          h("h2", {}, h("a", { href: callAddress(call.id) }, words(number(from)), h("span", { class: "soft", "aria-hidden": "true" }, " → "), h("span", { class: "unseen" }, " to "), words(number(to)))),
          h("p", { class: "live-sub small soft" }, h("span", {}, agent === "log" ? "two people" : agent), this._answers),
        ),
        h("div", { class: "live-now" }, this._state, this._time),
      ),
      this._talk,
      session.may("read") ? this._actions.node : null,
    );
    this.paint();
    this.tick(performance.now());
  }

  /** Go on with another state of the same call. */
  take(call) {
    this.call = call;
    this._actions.call = call;
    this._rows.clear();
    replace(this._talk);
    this.paint();
  }

  close() {
    this._actions.close();
  }

  /** Show the latest words: of a card that was not on the page, nobody knows how high it is. */
  down() {
    this._talk.scrollTop = this._talk.scrollHeight;
  }

  tick(now) {
    setText(this._time, duration(this.call.lasted(now)));
  }

  paint() {
    const { call } = this;
    const state = call.over ? "over" : call.state;
    if (this._state.dataset.state !== state) {
      this._state.dataset.state = state;
      this._state.title = MEANS[state] ?? "";
      replace(this._state, h("span", { class: "pulse", "aria-hidden": "true" }), call.over ? ending(call.over) : (STATES[state] ?? state));
    }
    this.node.classList.toggle("over", Boolean(call.over));
    this._actions.paint();
    if (call.answers.length) setText(this._answers, `last answer ${latency(call.answers.at(-1))} · median ${latency(median(call.answers))}`);
    this._lines();
  }

  _lines() {
    const talk = this._talk;
    const down = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 40;
    for (const [line, row] of this._rows) {
      if (this.call.lines.includes(line)) continue;
      row.node.remove();
      this._rows.delete(line);
    }
    if (!this.call.lines.length && !talk.childElementCount) talk.append(h("li", { class: "live-quiet soft small" }, "Nothing was said yet."));
    for (const line of this.call.lines) {
      let row = this._rows.get(line);
      if (!row) {
        talk.querySelector(".live-quiet")?.remove();
        row = line.kind === "said" ? new SaidRow(line) : new EventRow(line);
        this._rows.set(line, row);
        talk.append(row.node);
      }
      row.paint();
    }
    if (down) talk.scrollTop = talk.scrollHeight;
  }
}

class SaidRow {
  constructor(line) {
    this._line = line;
    const side = line.speaker === "operator" ? "agent" : line.speaker;
    this._remarks = h("span", { class: "live-remarks" });
    this._words = h("p", { class: "live-words", dir: "auto" });
    this.node = h("li", { class: `live-line ${side}` }, h("div", { class: "line-head" }, h("span", { class: `said-by ${side}` }, speaker(line.speaker)), this._remarks), this._words);
    this._painted = "";
  }

  paint() {
    const { text, open, heard, unheard, interrupted, answer_ms, aside, masked } = this._line;
    const now = JSON.stringify([text, open, heard, unheard, interrupted, answer_ms, aside]);
    if (now === this._painted) return;
    this._painted = now;
    this.node.classList.toggle("open", open);
    this.node.classList.toggle("aside", aside);
    replace(
      this._words,
      masked ? h("span", { class: "soft" }, "(not shown: a secret was asked for)") : null,
      heard === null ? text : [text.slice(0, heard), h("span", { class: "coming" }, text.slice(heard))],
      open && !text ? h("span", { class: "dots", "aria-label": "speaks" }, "…") : null,
      unheard ? h("s", { class: "unheard", title: interrupted ? "Not heard: the caller cut it off" : "Not heard" }, unheard) : null,
    );
    replace(
      this._remarks,
      answer_ms === null ? null : h("span", { class: "soft small figures", title: "From the end of the caller's turn" }, `after ${latency(Math.max(0, answer_ms))}`),
      interrupted ? h("span", { class: "badge barge" }, "Barge-in") : null,
    );
  }
}

class EventRow {
  constructor(line) {
    const pictures = { key: "keypad", message: "record", note: "note", transfer: "transfer", problem: "warning", recording: "pause", "call.ended": "hangUp" };
    this.node = h(
      "li",
      { class: `live-event small soft ${line.what === "problem" ? "bad" : ""}` },
      icon(pictures[line.what] ?? "info"),
      h("span", {}, line.title),
      line.text ? words(line.text, { class: "event-detail" }) : null,
    );
  }

  paint() {} // It never changes.
}
