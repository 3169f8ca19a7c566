/** What both sides say, as it is said, from the bridge's live events; and how long each answer took. */

import { h, replace, setText } from "../common/dom.js";
import { latency } from "../common/format.js";

/** What the bridge calls the steps of a transfer; its ends are named by the carrier. */
const TRANSFERS = { leaving: "asked for", calling: "they are called", "no-answer": "no answer" };

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
    this.resumed = false;
  }

  /** Take one live event of the call. */
  take(event) {
    switch (event.type) {
      case "turn.started":
        this.caller ??= this.line("caller", "You");
        break;
      case "turn.words":
        this.said(event.text);
        break;
      case "turn.ended":
        this.said(event.masked ? "(hidden)" : event.text);
        this.turnOver(event);
        break;
      case "agent.thinking":
        this.resumed = false;
        break;
      case "agent.speaking":
        this.speaking(event);
        break;
      case "agent.resumed":
        this.resumed = true;
        break;
      case "agent.spoke":
        this.spoke(event);
        break;
      case "key":
        this.aside("key", event.masked ? "You pressed a key, which is kept secret." : `You pressed ${event.digit}.`);
        break;
      case "transfer":
        this.aside("problem", `Transfer to ${event.to}: ${TRANSFERS[event.status] ?? event.status}.`);
        break;
      case "problem":
        this.aside("problem", event.message);
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

  /**
   * Sound began, so long after the caller's last word, in ms, as this page heard both.
   * @returns {boolean} whether it answers anything: an agent that only speaks on does not
   */
  answered(ms) {
    const speaksOn = this.resumed || (this.agent && this.agent.measured !== undefined);
    this.resumed = false;
    if (speaksOn) return false;
    if (this.agent) this.measure(ms);
    else this.measured = ms;
    return true;
  }

  said(text) {
    if (!this.caller && !text) return;
    this.caller ??= this.line("caller", "You");
    setText(this.caller.text, text ?? "");
    this.scroll();
  }

  turnOver({ text, masked, incomplete }) {
    if (!this.caller) return;
    if (text || masked) this.caller.item.classList.add("done");
    else this.caller.item.remove();
    if (incomplete) this.caller.more.append(h("span", { class: "badge warn" }, "Cut off"));
    this.caller = null;
  }

  speaking({ text = "", heard = "" }) {
    this.openAgent();
    replace(this.agent.text, heard, h("span", { class: "soft" }, text.slice(heard.length)));
    this.scroll();
  }

  openAgent() {
    if (this.agent) return;
    this.agent = this.line("agent", "Agent");
    if (this.measured !== null) this.measure(this.measured);
    this.measured = null;
  }

  spoke({ heard = "", unheard = "", interrupted = false, occasion, latencies }) {
    if (!this.agent && !heard) return; // Thought of, and never said.
    this.openAgent();
    const { agent } = this;
    replace(agent.text, heard, unheard ? h("s", { class: "unheard", title: "Not heard" }, unheard) : null);
    if (interrupted) agent.more.append(h("span", { class: "badge barge" }, "Interrupted"));
    const took = latencies?.sent_ms;
    if (occasion === "turn.ended" && Number.isFinite(took)) {
      agent.more.append(h("span", { class: "soft" }, `in the bridge ${latency(Math.max(0, took))}`));
    }
    agent.item.classList.add("done");
    this.agent = null;
    this.scroll();
  }

  measure(ms) {
    this.agent.measured = ms;
    const about = "From your last word to the first sound, as this page heard them";
    this.agent.more.prepend(h("span", { class: "badge", title: about }, latency(ms)));
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
