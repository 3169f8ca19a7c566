/** What somebody who looks after a live call can do: hear it, say something, press keys, pass it on, end it. */

import { path, post, session } from "../common/api.js";
import { ask, attempt, tell } from "../common/dialog.js";
import { h, replace } from "../common/dom.js";
import { number } from "../common/format.js";
import { icon } from "../common/icons.js";
import { Listening } from "./listen.js";

export class LiveActions {
  /** @param {import("./live_calls.js").LiveCall} call */
  constructor(call) {
    this.call = call;
    this._listening = null;
    this._listen = button("listen", "Listen in", () => this._toggleListening());
    this._ear = h("div", { class: "ear", hidden: true });
    this._pause = button("pause", "Pause recording", () => this._record());
    const two = call.mode === "log";
    const may = session.may("control");
    this.node = h(
      "footer",
      { class: "live-actions" },
      may && !two ? this._sayForm() : null,
      h(
        "div",
        { class: "button-row" },
        this._listen,
        may && !two ? button("keypad", "Keys", () => this._digits()) : null,
        may && !two ? button("transfer", "Transfer", () => this._transfer()) : null,
        may ? button("note", "Note", () => this._note()) : null,
        may && !two ? this._pause : null,
        may ? button("hangUp", "Hang up", () => this._hangUp(), "danger") : null,
      ),
      this._ear,
    );
    this.paint();
  }

  close() {
    this._listening?.stop();
  }

  paint() {
    const paused = this.call.recording === "paused";
    if (this._pause.dataset.paused !== String(paused)) {
      this._pause.dataset.paused = String(paused);
      replace(this._pause, icon(paused ? "record" : "pause"), paused ? "Resume recording" : "Pause recording");
    }
    if (!this.call.over) return;
    this._listening?.stop();
    for (const control of this.node.querySelectorAll("button, input")) control.disabled = true;
  }

  /** Do it, and tell what will happen, as the bridge says it. */
  async _post(what, body) {
    const answer = await post(path("calls", this.call.id, what), body);
    if (answer?.will) tell(answer.will);
    return answer ?? {};
  }

  _sayForm() {
    const field = h("input", { type: "text", dir: "auto", maxlength: 2000, placeholder: "Say a sentence to the caller …", "aria-label": "Say a sentence to the caller", autocomplete: "off" });
    const form = h("form", { class: "say-form" }, field, h("button", { class: "button", type: "submit" }, icon("say"), "Say"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const text = field.value;
      if (!text.trim()) return;
      field.value = "";
      const done = await attempt(() => this._post("say", { text }));
      if (!done && !field.value) field.value = text;
    });
    return form;
  }

  _digits() {
    return ask({
      title: "Send keys",
      about: "The caller's side hears them as tones, as if somebody pressed them here.",
      fields: [{ name: "digits", label: "Keys", required: true, pattern: "[0-9*#A-DwW]{1,100}", inputmode: "tel", hint: "0 to 9, * and #; w waits half a second, W a second." }],
      confirm: "Send keys",
      act: ({ digits }) => this._post("digits", { digits }),
    });
  }

  _transfer() {
    return ask({
      title: "Transfer the call",
      about: `Whoever called from ${number(this.call.facts.from)} is connected with somebody else; the agent leaves the call.`,
      fields: [
        { name: "to", label: "To", required: true, maxlength: 500, hint: "A number such as +15551234567, or an address such as sip:desk@example.com." },
        { name: "summary", label: "Tell them first", kind: "textarea", maxlength: 2000, hint: "What the other side is told while the caller waits. Empty: they are connected at once." },
      ],
      confirm: "Transfer",
      act: ({ to, summary }) => this._post("transfer", { to: to.trim(), ...(summary.trim() ? { summary } : {}) }),
    });
  }

  _note() {
    return ask({
      title: "Leave a note with the call",
      fields: [{ name: "text", label: "Note", kind: "textarea", required: true, maxlength: 2000 }],
      confirm: "Leave note",
      act: ({ text }) => this._post("note", { data: { note: text } }),
    });
  }

  _hangUp() {
    return ask({
      title: "Hang up?",
      about: `The call with ${number(this.call.facts.from)} ends for everybody in it.`,
      confirm: "Hang up",
      danger: true,
      act: () => this._post("hang-up", {}),
    });
  }

  async _record() {
    const state = this.call.recording === "paused" ? "on" : "paused";
    await attempt(async () => {
      await this._post("recording", { state });
      this.call.recording = state;
      this.paint();
    });
  }

  _toggleListening() {
    if (this._listening) {
      this._listening.stop();
      return;
    }
    this._listening = new Listening(this.call.id, {
      ended: (problem) => {
        this._listening = null;
        this._listen.setAttribute("aria-pressed", "false");
        replace(this._listen, icon("listen"), "Listen in");
        this._ear.hidden = true;
        if (problem) tell(problem, "problem");
      },
    });
    this._listen.setAttribute("aria-pressed", "true");
    replace(this._listen, icon("stop"), "Stop listening");
    replace(this._ear, this._listening.node);
    this._ear.hidden = false;
  }
}

function button(picture, name, does, kind = "") {
  return h("button", { class: `button ${kind}`, type: "button", on: { click: does } }, icon(picture), name);
}
