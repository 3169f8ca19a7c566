/** Settings and figures of any shape, shown as names and values. */

import { h } from "../common/dom.js";
import { icon } from "../common/icons.js";

const MASK = /^[*•]{3,}$/;

/** A value as people read it. Secrets come masked from the bridge; that there is one can be seen. */
export function value(given) {
  if (given === null || given === undefined || given === "") return h("span", { class: "value-unset" }, "not set");
  if (given === true) return "yes";
  if (given === false) return "no";
  if (Array.isArray(given)) {
    if (!given.length) return h("span", { class: "value-unset" }, "none");
    if (given.every((each) => typeof each !== "object")) return given.join(", ");
    return h("ol", {}, given.map((each) => h("li", {}, value(each))));
  }
  if (typeof given === "object") return values(given);
  const text = String(given);
  if (MASK.test(text)) return h("span", { class: "masked" }, icon("check"), "set, not shown");
  return text;
}

/** Whether it is names and values in its turn, at least one. */
function isTable(given) {
  return given !== null && typeof given === "object" && !Array.isArray(given) && Object.keys(given).length > 0;
}

/** Names and values. */
export function values(found) {
  const rows = Object.entries(found);
  if (!rows.length) return h("span", { class: "value-unset" }, "none");
  return h("dl", { class: "settings" }, rows.map(([name, given]) => h("div", { class: isTable(given) ? "setting wide" : "setting" }, h("dt", { class: "mono" }, name), h("dd", { dir: "auto" }, value(given)))));
}
