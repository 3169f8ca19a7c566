/** What only nodes had that held a call before: it went on without this, at another node. */

import { h } from "../common/dom.js";
import { journalView } from "./journal_view.js";

/** @param {object[]} leftovers as the call's document has them */
export function leftBehind(leftovers) {
  const nodes = [...new Set(leftovers.map((one) => one.node))].join(", ");
  return h(
    "div",
    {},
    h("p", { class: "small soft" }, `Only ${nodes} had kept this when another node took the call, which went on without knowing of it.`),
    journalView(leftovers.map(({ node, data }) => ({ ...data, node }))),
  );
}
