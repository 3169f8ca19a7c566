/** What a page shows while there is nothing to show: waiting, empty, failed. */

import { sentence } from "../common/api.js";
import { h } from "../common/dom.js";
import { icon } from "../common/icons.js";

/** Something is on its way; shown late, so that it does not flash. */
export function waiting(what = "Loading …") {
  return h("p", { class: "waiting soft", role: "status" }, what);
}

/** There is nothing, and why. @param {string} picture @param {string} title @param {...(Node|string)} about */
export function empty(picture, title, ...about) {
  return h("div", { class: "empty" }, icon(picture), h("h2", {}, title), h("p", { class: "soft" }, about));
}

/** It failed, with a way to try again. */
export function failed(error, again) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    icon("warning"),
    h("div", {}, sentence(error)),
    again ? h("button", { class: "button", type: "button", on: { click: again } }, "Try again") : null,
  );
}

/** A page that is nowhere. */
export function nowherePage() {
  return {
    title: "Not found",
    node: h(
      "div",
      {},
      h("h1", { class: "unseen" }, "Not found"),
      empty("info", "There is no such page", "Go to the ", h("a", { href: "/" }, "live calls"), " or the ", h("a", { href: "/calls" }, "past calls"), "."),
    ),
  };
}
