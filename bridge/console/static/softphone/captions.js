/** What both sides say, as it is said, from the bridge's live events; and how long each answer took. */

import { h, replace, setText } from "../common/dom.js";
import { latency } from "../common/format.js";

/** Shows the lines of one call. */
export class Captions {
  /** @param {HTMLElement} place a list; lines are put at its end, and it is scrolled with them */
  constructor(place) {
    this.place = place;
    this.clear();
  }

  clear() {
    replace(this.place);
    this.caller = null;
    this.agent = null;
    this.measured = null;
    this.answers = [];
  }

  /** Take one live event of the call. */
  take(event) {
    switch (event.type) {
      case "turn.started":
        this.caller ??= this.line("caller", "You");
        break;
      case "turn.words":
        this.said(event.text, false);
        break;
      case "turn.ended":
        this.said(event.text, true);
        this.caller = null;
        break;
      case "agent.speaking":
        this.speaking(event.text);
        break;
      case "agent.spoke":
        this.spoke(event);
        break;
      case "key":
        this.aside("key", `You pressed ${event.digit ?? event.digits ?? event.key ?? "a key"}.`);
        break;
      case "transfer":
      case "problem":
        if (event.text ?? event.message) this.aside("problem", event.text ?? event.message);
        break;
      default:
        break;
    }
  }

  /** Something that neither side said. */
  aside(kind, text) {
    const line = this.line(kind, kind === "carrier" ? "Announcement" : "");
    setText(line.text, text);
    line.item.classList.add("done");
  }

  /** The first sound of an answer came so long after the caller's last word, in ms, as this page heard both. */
  answered(ms) {
    this.answers.push(ms);
    if (this.agent && this.agent.measured === undefined) this.measure(this.agent, ms);
    else this.measured = ms;
  }

  said(text, done) {
    if (!this.caller && !text) return;
    this.caller ??= this.line("caller", "You");
    setText(this.caller.text, text ?? "");
    this.caller.item.classList.toggle("done", done);
    if (done && !text) this.caller.item.remove();
    this.scroll();
  }

  speaking(text) {
    if (!this.agent) {
      this.agent = this.line("agent", "Agent");
      if (this.measured !== null) this.measure(this.agent, this.measured);
      this.measured = null;
    }
    setText(this.agent.text, text ?? "");
    this.scroll();
  }

  spoke(event) {
    const { heard = "", unheard = "", interrupted = false } = event;
    if (!this.agent && !heard && !unheard) return;
    if (!this.agent) this.speaking(heard);
    const { agent } = this;
    replace(agent.text, heard, unheard ? h("s", { class: "unheard", title: "Not heard" }, unheard) : null);
    if (interrupted) agent.more.append(h("span", { class: "badge barge" }, "Interrupted"));
    const bridge = inBridge(event.latencies);
    if (bridge !== null) agent.more.append(h("span", { class: "soft" }, `in the bridge ${latency(bridge)}`));
    agent.item.classList.add("done");
    this.agent = null;
    this.scroll();
  }

  measure(line, ms) {
    line.measured = ms;
    line.more.prepend(h("span", { class: "badge", title: "From your last word to the first sound" }, latency(ms)));
  }

  line(kind, who) {
    const text = h("span", { class: "words", dir: "auto" });
    const more = h("span", { class: "more small" });
    const item = h("li", { class: kind, dataset: { kind } }, who ? h("span", { class: "who" }, who) : null, text, more);
    this.place.append(item);
    this.scroll();
    return { item, text, more, measured: undefined };
  }

  scroll() {
    this.place.scrollTop = this.place.scrollHeight;
  }
}

/** How long the bridge took from the end of the turn to the first sound, in ms; null where it does not say. */
function inBridge(latencies) {
  const found = latencies?.answer_ms ?? latencies?.total_ms ?? latencies?.first_audio_ms;
  return Number.isFinite(found) ? found : null;
}
