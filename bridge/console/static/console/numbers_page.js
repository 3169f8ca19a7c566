/** The phone numbers that have settings of their own, and what answers at each. */

import { h } from "../common/dom.js";
import { number } from "../common/format.js";
import { documentPage } from "./loading.js";
import { empty } from "./states.js";
import { values } from "./values.js";

/** @returns {import("./router.js").Page} */
export function numbersPage() {
  return documentPage("Numbers", "What answers at each number. It is set in the settings file.", "/numbers", show);
}

function show(found) {
  const items = found.items ?? found.numbers ?? [];
  if (!items.length) {
    return empty("hash", "All numbers are answered alike", "A number gets an agent, a voice or a greeting of its own by a ", h("code", {}, "[[numbers]]"), " table in the settings file.");
  }
  return h("div", { class: "columns" }, items.map(one));
}

function one({ number: its, ...rest }) {
  return h("section", { class: "card section" }, h("h2", { dir: "auto" }, number(its)), values(rest));
}
