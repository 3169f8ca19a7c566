/** A later transcription of the recording beside the live one: what differs is marked. */

import { h, words } from "../common/dom.js";
import { fullMoment, speaker } from "../common/format.js";

/** @param {object[]} transcriptions as the call's document has them */
export function retranscriptionView(transcriptions) {
  return h("div", { class: "retranscriptions" }, transcriptions.map(one));
}

function one({ side, model, made_at, text, differences }) {
  const found = differences ?? [];
  return h(
    "section",
    { class: "retranscription" },
    h("h2", {}, h("span", { class: `said-by ${side}` }, speaker(side)), h("span", { class: "soft small" }, ` ${model} · ${fullMoment(made_at)}`)),
    h("p", { dir: "auto" }, text),
    found.length ? h("h2", {}, "What differs from the live transcript") : h("p", { class: "soft small" }, "It says the same as the live transcript."),
    found.length ? h("ul", { class: "differences" }, found.map(difference)) : null,
  );
}

function difference(each) {
  const was = each.live ?? each.was ?? each.before ?? "";
  const is = each.again ?? each.now ?? each.is ?? each.after ?? "";
  return h("li", {}, h("del", { dir: "auto" }, was || "–"), h("span", { "aria-hidden": "true" }, " → "), h("ins", { dir: "auto" }, words(is || "–")));
}
