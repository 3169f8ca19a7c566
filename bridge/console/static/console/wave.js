/** The two sides of a recording as waves: above the line the caller, below it what the caller heard. */

import { h, oncePerFrame } from "../common/dom.js";
import { moment } from "../common/format.js";

const BAR = 3;
const MARKS = { key: "--key", digits: "--key", message: "--key", problem: "--danger", broken: "--danger", transfer: "--accent", note: "--accent" };

/** A canvas with a playhead, and over it a slider that keys and screen readers use. */
export class Wave {
  /** @param {(ms: number) => void} seek called when another moment is chosen */
  constructor(seek) {
    this._peaks = null;
    this._story = null;
    this._duration = 1;
    this._at = 0;
    this._high = 0;
    this._seek = seek;
    this._canvas = h("canvas", { class: "wave-canvas", "aria-hidden": "true" });
    this._slider = h("input", { type: "range", class: "wave-slider", min: 0, max: 1, step: 100, value: 0, "aria-label": "Position in the call" });
    this._slider.addEventListener("input", () => seek(Number(this._slider.value)));
    this.node = h(
      "div",
      { class: "wave" },
      h("span", { class: "wave-name caller", "aria-hidden": "true" }, "Caller"),
      h("span", { class: "wave-name agent", "aria-hidden": "true", ref: (node) => (this._below = node) }, "Agent"),
      this._canvas,
      this._slider,
    );
    this._draw = oncePerFrame(() => this._paint());
    this._resized = new ResizeObserver(this._draw);
    this._resized.observe(this.node);
    this._scheme = matchMedia("(prefers-color-scheme: dark)");
    this._scheme.addEventListener("change", this._draw);
  }

  close() {
    this._resized.disconnect();
    this._scheme.removeEventListener("change", this._draw);
  }

  /** What is heard: how loud both sides were, as `decodePeaks` tells, if it is known; and what happened. */
  show(peaks, story, { other = "Agent", duration } = {}) {
    this._peaks = peaks;
    this._story = story;
    this._below.textContent = other;
    this.lasts(duration ?? story.duration_ms);
  }

  /** How long the call is, in ms. */
  lasts(ms) {
    this._duration = Math.max(1, ms || 1);
    this._slider.max = String(Math.round(this._duration));
    this._draw();
  }

  /** Put the playhead at a moment. */
  at(ms) {
    this._at = ms;
    if (document.activeElement !== this._slider || Math.abs(Number(this._slider.value) - ms) > 150) this._slider.value = String(Math.round(ms));
    this._slider.setAttribute("aria-valuetext", `${moment(ms)} of ${moment(this._duration)}`);
    this._draw();
  }

  _paint() {
    const [wide, high] = [this.node.clientWidth, this.node.clientHeight];
    if (!wide || !high) return;
    this._high = high;
    const scale = devicePixelRatio || 1;
    const canvas = this._canvas;
    if (canvas.width !== Math.round(wide * scale) || canvas.height !== Math.round(high * scale)) {
      canvas.width = Math.round(wide * scale);
      canvas.height = Math.round(high * scale);
    }
    const draw = canvas.getContext("2d");
    draw.setTransform(scale, 0, 0, scale, 0, 0);
    draw.clearRect(0, 0, wide, this._high);
    const look = getComputedStyle(this.node);
    const colour = (name) => look.getPropertyValue(name).trim();
    this._spans(draw, wide, colour);
    this._bars(draw, wide, colour);
    this._markers(draw, wide, colour);
    const x = (this._at / this._duration) * wide;
    draw.fillStyle = colour("--ink");
    draw.fillRect(Math.min(wide - 1.5, Math.max(0, x - 0.75)), 0, 1.5, this._high);
  }

  /** Stretches in which nothing was kept: the recording paused, or the stream gone. */
  _spans(draw, wide, colour) {
    for (const [spans, fill] of [[this._story?.pauses, "--alarm-wash"], [this._story?.breaks, "--danger-wash"]]) {
      for (const [from, to] of spans ?? []) {
        draw.fillStyle = colour(fill);
        draw.fillRect((from / this._duration) * wide, 0, Math.max(2, ((to - from) / this._duration) * wide), this._high);
      }
    }
  }

  _bars(draw, wide, colour) {
    const middle = this._high / 2;
    const head = (this._at / this._duration) * wide;
    const ahead = 0.42;
    for (const [side, up, name] of [["caller", -1, "--caller"], ["agent", 1, "--agent"]]) {
      draw.fillStyle = colour(name);
      for (let x = 0; x < wide; x += BAR) {
        const loud = this._loudest(side, x / wide, (x + BAR) / wide);
        const high = Math.max(1, loud * (middle - 8));
        draw.globalAlpha = x + BAR / 2 <= head ? 1 : ahead;
        draw.fillRect(x, up < 0 ? middle - 1 - high : middle + 1, BAR - 1, high);
      }
    }
    draw.globalAlpha = 1;
    draw.fillStyle = colour("--line-strong");
    draw.fillRect(0, middle - 0.5, wide, 1);
  }

  /** How loud a side is at most between two shares of the call, 0 to 1; without a recording as far as it spoke. */
  _loudest(side, from, to) {
    if (this._peaks) {
      const { per_second } = this._peaks;
      const values = this._peaks[side];
      const first = Math.floor((from * this._duration * per_second) / 1000);
      const last = Math.max(first + 1, Math.floor((to * this._duration * per_second) / 1000));
      let most = 0;
      for (let index = first; index < last && index < values.length; index += 1) if (values[index] > most) most = values[index];
      return most;
    }
    const [start, stop] = [from * this._duration, to * this._duration];
    const talks = this._story?.items.some(
      (item) => item.kind === "said" && (item.speaker === "caller") === (side === "caller") && item.at_ms < stop && item.until_ms > start,
    );
    return talks ? 0.35 : 0;
  }

  _markers(draw, wide, colour) {
    const ticks = (this._story?.items ?? []).filter((item) => item.kind === "mark" && MARKS[item.what]).map((item) => [item.at_ms, MARKS[item.what]]);
    for (const [at, resumed] of this._story?.silences ?? []) ticks.push([at, resumed === null ? "--barge" : "--alarm"]);
    for (const [ms, name] of ticks) {
      const x = (ms / this._duration) * wide;
      draw.fillStyle = colour(name);
      draw.fillRect(x - 0.5, 0, 1, this._high);
      draw.beginPath();
      draw.moveTo(x - 4, 0);
      draw.lineTo(x + 4, 0);
      draw.lineTo(x, 6);
      draw.fill();
    }
  }
}
