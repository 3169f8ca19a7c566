/** A later transcription of the recording beside the live one: where they differ, both are shown. */

import { h } from "../common/dom.js";
import { count, fullMoment, speaker } from "../common/format.js";

/** @param {object[]} transcriptions as the call's document has them */
export function retranscriptionView(transcriptions) {
  return h(
    "div",
    { class: "retranscriptions" },
    h("p", { class: "small soft" }, "The recording, transcribed again. Where it says something else than the live transcript, ", h("del", {}, "what the live one has"), " stands before ", h("ins", {}, "what was found later"), "."),
    transcriptions.map(one),
  );
}

function one({ side, model, made_at, text, differences }) {
  const words = text.split(/\s+/).filter(Boolean);
  const changed = differences.filter((each) => each.kind !== "equal");
  const many = changed.reduce((sum, { live, new: its }) => sum + Math.max(live[1] - live[0], its[1] - its[0]), 0);
  return h(
    "section",
    { class: "retranscription" },
    h(
      "h2",
      {},
      h("span", { class: `said-by ${side}` }, speaker(side)),
      h("span", { class: "soft small" }, ` ${model} · ${fullMoment(made_at)} · `),
      h("span", { class: many ? "badge warn" : "badge good" }, many ? `${count(many, "word")} of ${words.length} differ` : "the same words"),
    ),
    h("p", { class: "again", dir: "auto" }, differences.length ? differences.flatMap((each) => [piece(each, words), " "]) : text),
  );
}

function piece({ kind, live_text, new_text, new: [from, to] }, words) {
  if (kind === "equal") return words.slice(from, to).join(" ");
  return [
    live_text ? h("del", { dir: "auto" }, h("span", { class: "unseen" }, "live: "), live_text) : null,
    live_text && new_text ? " " : null,
    new_text ? h("ins", { dir: "auto" }, h("span", { class: "unseen" }, "later: "), new_text) : null,
  ];
}
