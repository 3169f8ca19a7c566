/** How each answer came: when its question was over, the agent's text, the first audio, the first sound at the phone. */

import { h, s } from "../common/dom.js";
import { latency, moment } from "../common/format.js";
import { chunksLater } from "./chunks.js";
import { median, stretches } from "./story.js";
import { empty } from "./states.js";

const NAMES = {
  quiet: "since the last sound",
  eager: "since the eager end",
  text: "until the first text",
  audio: "until the first audio",
  sent: "held until sent",
  mark: "until the phone played it",
};
const WIDE = 1000;
const LINE_PX = 79;
/** The scale reaches this many medians at most: one answer that took long does not make the others unreadable. */
const OUTLIER = 3;

/** @param {ReturnType<typeof import("./story.js").tell>} story @param {(ms: number) => void} seek */
export function answersView(story, seek) {
  const answers = story.answers.filter((answer) => answer.sent_ms !== null || answer.asked_for);
  if (!answers.length) return empty("pulse", "No answers", "Nobody was asked for an answer in this call.");
  const waits = answers.filter((answer) => answer.asked_for && answer.wait_ms !== null).map((answer) => answer.wait_ms);
  const heard = answers.some((answer) => answer.quiet_ms !== null);
  const [before, after] = scale(answers);
  return h(
    "div",
    { class: "answers" },
    h(
      "dl",
      { class: "tiles" },
      tile("Median wait", latency(median(waits))),
      tile("Longest", latency(waits.length ? Math.max(...waits) : null)),
      tile("Prepared early", `${answers.filter((answer) => answer.speculative).length} of ${answers.length}`),
    ),
    h("p", { class: "small soft" }, heard ? "The caller waits from their last sound until the first audio is sent to the phone. The upright line is the end of their turn." : "The caller waits from the end of their turn, the upright line, until the first audio is sent to the phone."),
    legend(),
    h("div", { class: "waterfall" }, chunksLater(answers, (answer) => row(answer, before, after, seek), LINE_PX)),
  );
}

function tile(name, figure) {
  return h("div", { class: "tile" }, h("dt", {}, name), h("dd", { class: "figures" }, figure));
}

function legend() {
  return h(
    "ul",
    { class: "legend small" },
    Object.entries(NAMES).map(([name, means]) =>
      h("li", {}, s("svg", { class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true" }, s("rect", { width: 10, height: 10, rx: 2, class: `fill-${name}` })), means),
    ),
  );
}

/** How many ms the bars have room for, before the end of the turn and after it. */
function scale(answers) {
  const firsts = answers.flatMap((answer) => stretches(answer).map((stretch) => -stretch.start)).filter((ms) => ms > 0);
  const lasts = answers.map((answer) => Math.max(0, ...stretches(answer).map((stretch) => stretch.stop))).filter((ms) => ms > 0);
  const reach = (lengths) => (lengths.length ? Math.min(Math.max(...lengths), median(lengths) * OUTLIER) : 0);
  return [Math.max(50, reach(firsts) * 1.05), Math.max(200, reach(lasts) * 1.05)];
}

function row(answer, before, after, seek) {
  const per = WIDE / (before + after);
  const zero = before * per;
  const wait = answer.wait_ms;
  const parts = stretches(answer);
  const said = parts.map(({ name, start, stop }) => `${NAMES[name]}: ${Math.round(stop - start)} ms`).join("; ");
  const bars = parts.map(({ side, name, start, stop }) => {
    const x = Math.max(0, zero + start * per);
    const end = Math.min(WIDE, zero + stop * per);
    if (end - x <= 0) return null;
    return s("rect", { x, y: side === "caller" ? 2 : 14, width: Math.max(3, end - x - 1), height: 9, rx: 2, class: `fill-${name}` }, s("title", {}, `${NAMES[name]}: ${latency(stop - start)}`));
  });
  return h(
    "li",
    { class: "answer" },
    h(
      "div",
      { class: "answer-head" },
      h("button", { class: "line-time figures", type: "button", "aria-label": `Hear from ${moment(answer.from_ms)}`, on: { click: () => seek(answer.from_ms) } }, moment(answer.from_ms)),
      h("span", { class: "answer-question", dir: "auto" }, answer.asked_for ? answer.question : unasked(answer)),
      answer.speculative ? h("span", { class: "badge accent" }, "early") : null,
      h("strong", { class: "figures answer-wait" }, wait === null ? "not sent" : answer.asked_for ? latency(wait) : `${latency(wait)} after asking`),
    ),
    s(
      "svg",
      { class: "bars", viewBox: `0 0 ${WIDE} 25`, preserveAspectRatio: "none", role: "img", "aria-label": said || "nothing was measured" },
      s("rect", { x: 0, y: 2, width: WIDE, height: 9, class: "rail" }),
      s("rect", { x: 0, y: 14, width: WIDE, height: 9, class: "rail" }),
      bars,
      answer.asked_for ? s("rect", { x: zero - 1.5, y: 0, width: 3, height: 25, class: "turn-end" }) : null,
    ),
  );
}

function unasked(answer) {
  return { "call.started": "(greeting)", prompt: "(said by the bridge)", operator: "(said by an operator)" }[answer.occasion] ?? "(unasked)";
}
