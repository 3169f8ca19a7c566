/** Everything of a call that can be taken away as a file. */

import { address, path } from "../common/api.js";
import { h } from "../common/dom.js";
import { icon } from "../common/icons.js";

const TEXTS = [["text", "Text"], ["json", "JSON"], ["jsonl", "JSON lines"], ["csv", "CSV"], ["vtt", "WebVTT"], ["srt", "SRT"]];
const SOUNDS = [["wav", "WAV"], ["opus", "Opus"], ["mp3", "MP3"]];

/** @param {string} id of the call @param {{recorded: boolean}} call */
export function downloads(id, { recorded }) {
  const link = (name, where, query) =>
    h("a", { class: "button", href: address(path("calls", id, ...where), query), download: "" }, icon("down"), name);
  return h(
    "div",
    { class: "downloads" },
    group("Transcript", TEXTS.map(([format, name]) => link(name, ["transcript"], { format }))),
    recorded ? group("Recording", SOUNDS.map(([format, name]) => link(name, ["recording"], { format }))) : null,
    group("Picture", [link("SVG", ["timeline.svg"]), link("PNG", ["timeline.png"])]),
    group("Everything", [link("Journal", ["journal"]), link("Bundle (zip)", ["bundle"])]),
  );
}

function group(name, links) {
  return h("div", { class: "download-group" }, h("h3", {}, name), h("div", { class: "button-row" }, links));
}
