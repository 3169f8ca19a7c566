/** Hears a recording: the browser's own audio, which asks the API for the parts it needs, with a playhead. */

import { address, path } from "../common/api.js";
import { h, replace, setText } from "../common/dom.js";
import { duration, moment } from "../common/format.js";
import { icon } from "../common/icons.js";

const STEP_MS = 5000;
const SPEEDS = [1, 1.25, 1.5, 2, 0.75];

/** The buttons and the sound of one call's recording. */
export class Player {
  /**
   * @param {string} id of the call
   * @param {number} duration how long the recording is, in ms, as far as is known
   * @param {object} does
   * @param {(ms: number, playing: boolean) => void} does.at told where the sound is, at each frame while it plays
   * @param {(ms: number) => void} does.lasts told how long the recording is
   */
  constructor(id, duration, does) {
    this._does = does;
    this._duration = duration;
    this._wanted = null;
    this._frame = 0;
    // Nothing of it is asked for before somebody wants to hear it: who has heard a recording is kept.
    this.audio = h("audio", { preload: "none", src: address(path("calls", id, "recording")) });
    this._play = h("button", { class: "button primary play", type: "button", on: { click: () => this.toggle() } });
    this._speed = h("button", { class: "button figures", type: "button", on: { click: () => this._faster() } }, "1×");
    this._time = h("span", { class: "figures player-time" });
    this._problem = h("span", { class: "small soft", role: "status" });
    this.node = h(
      "div",
      { class: "player" },
      this._play,
      this._step(-1, "back"),
      this._step(1, "forward"),
      this._speed,
      this._time,
      this._problem,
      this.audio,
    );
    this._speed.setAttribute("aria-label", "Speed: 1×");
    this._shown();
    for (const event of ["play", "pause", "ended"]) this.audio.addEventListener(event, () => this._shown());
    this.audio.addEventListener("loadedmetadata", () => this._known());
    this.audio.addEventListener("seeked", () => this._tell());
    this.audio.addEventListener("error", () => setText(this._problem, "The recording cannot be played."));
  }

  close() {
    cancelAnimationFrame(this._frame);
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  /** Where the sound is, in ms. */
  get ms() {
    return this._wanted ?? this.audio.currentTime * 1000;
  }

  toggle() {
    if (this.audio.paused) this.audio.play().catch(() => {});
    else this.audio.pause();
  }

  /** Go to a moment; `play`: and be heard from there. */
  seek(ms, { play = false } = {}) {
    if (this.audio.readyState < 1) this._wanted = ms;
    else this.audio.currentTime = Math.max(0, ms) / 1000;
    this._tell(ms);
    if (play) this.audio.play().catch(() => {});
  }

  _known() {
    if (Number.isFinite(this.audio.duration)) {
      this._duration = this.audio.duration * 1000;
      this._does.lasts(this._duration);
    }
    if (this._wanted !== null) this.audio.currentTime = this._wanted / 1000;
    this._wanted = null;
    this._tell();
  }

  _step(way, name) {
    return h(
      "button",
      { class: "button figures", type: "button", title: `5 seconds ${name}`, on: { click: () => this.seek(this.ms + way * STEP_MS) } },
      way < 0 ? "−5 s" : "+5 s",
      h("span", { class: "unseen" }, ` ${name}`),
    );
  }

  _faster() {
    const next = SPEEDS[(SPEEDS.indexOf(this.audio.playbackRate) + 1) % SPEEDS.length];
    this.audio.playbackRate = next;
    replace(this._speed, `${next}×`);
    this._speed.setAttribute("aria-label", `Speed: ${next}×`);
  }

  _shown() {
    const playing = !this.audio.paused && !this.audio.ended;
    replace(this._play, icon(playing ? "pause" : "play"), h("span", {}, playing ? "Pause" : "Play"));
    cancelAnimationFrame(this._frame);
    if (playing) this._run();
    this._tell();
  }

  _run() {
    this._tell();
    this._frame = requestAnimationFrame(() => this._run());
  }

  _tell(ms = this.ms) {
    setText(this._time, `${moment(ms)} / ${duration(this._duration)}`);
    this._does.at(ms, !this.audio.paused);
  }
}
