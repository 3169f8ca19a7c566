/** The journal of a call, entry by entry, for whoever wants to know exactly. */

import { h, replace, setText } from "../common/dom.js";
import { count, moment, spelled } from "../common/format.js";
import { chunksLater } from "./chunks.js";

const LINE_PX = 52;

/** @param {object[]} entries */
export function journalView(entries) {
  const kinds = [...new Set(entries.map((entry) => entry.entry))].sort();
  const list = h("div", { class: "journal" });
  const told = h("p", { class: "small soft", role: "status" });
  const select = h(
    "select",
    { id: "journal-kind", on: { change: fill } },
    h("option", { value: "" }, "All entries"),
    kinds.map((kind) => h("option", { value: kind }, spelled(kind))),
  );

  function fill() {
    const shown = entries.filter((entry) => !select.value || entry.entry === select.value);
    replace(list, chunksLater(shown, row, LINE_PX));
    setText(told, count(shown.length, "entry", "entries"));
  }

  fill();
  return h(
    "div",
    { class: "journal-view" },
    h("div", { class: "journal-head" }, h("label", { class: "unseen", for: "journal-kind" }, "Kind of entry"), select, told),
    list,
  );
}

function row(entry) {
  const { entry: kind, ...rest } = entry;
  const at = rest.at_ms ?? rest.started_ms ?? rest.asked_ms ?? rest.from_ms;
  return h(
    "li",
    {},
    h("span", { class: "figures soft" }, moment(at)),
    h("span", { class: "journal-kind" }, kind),
    h("code", { class: "journal-data", dir: "auto" }, JSON.stringify(rest)),
  );
}
