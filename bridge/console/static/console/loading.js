/** Pages that show one document of the API. */

import { get } from "../common/api.js";
import { h, replace } from "../common/dom.js";
import { failed, waiting } from "./states.js";

/**
 * @param {string} title
 * @param {string} about what the page is for
 * @param {string} where below `/api/v1`
 * @param {(document: object) => Node|Node[]} show
 * @param {{every?: number}} [how] `every`: ask again after so many ms
 * @returns {import("./router.js").Page}
 */
export function documentPage(title, about, where, show, { every } = {}) {
  const body = h("div", { class: "sections" }, waiting());
  const aborting = new AbortController();
  let timer = 0;
  let before = "";

  async function load() {
    try {
      const found = await get(where, {}, { signal: aborting.signal });
      const now = JSON.stringify(found);
      // What has not changed is left alone: selections, focus and scrolling stay.
      if (now !== before) replace(body, show(found));
      before = now;
    } catch (error) {
      if (error.name === "AbortError") return;
      before = "";
      replace(body, failed(error, load));
    }
    if (every && !aborting.signal.aborted) timer = setTimeout(load, every);
  }

  load();
  return {
    title,
    node: h("div", {}, h("div", { class: "page-head" }, h("h1", {}, title), h("p", { class: "small" }, about)), body),
    close() {
      aborting.abort();
      clearTimeout(timer);
    },
  };
}
