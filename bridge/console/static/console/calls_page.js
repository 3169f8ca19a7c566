/** Past calls: the list, and what a search finds, part by part as far as it is scrolled. */

import { get } from "../common/api.js";
import { h, replace, setText } from "../common/dom.js";
import { count, day } from "../common/format.js";
import { asQuery, filterAddress, filterForm, narrowed, readFilters } from "./calls_filters.js";
import { callRow, hitRow } from "./calls_row.js";
import { chunk } from "./chunks.js";
import * as router from "./router.js";
import { empty, failed, waiting } from "./states.js";

const AT_ONCE = 50;
/** How high a line is about, for what is not in sight: browsers lay only those out that are. */
const LINE_PX = { call: 50, hit: 74 };

/** @returns {import("./router.js").Page} */
export function callsPage(url) {
  let filters = readFilters(url);
  let listing = null;
  const results = h("div", { class: "results" });
  const told = h("p", { class: "small soft", role: "status" });
  const clear = h("div", {});
  const formPlace = h("div", {});

  function list() {
    listing?.close();
    narrowed(clear, filters);
    listing = new Listing(filters, results, told);
    listing.more();
  }

  function fillForm() {
    replace(
      formPlace,
      filterForm(filters, (changed) => router.go(filterAddress(changed), { instead: true })),
    );
  }

  fillForm();
  list();
  return {
    title: "Calls",
    node: h(
      "div",
      { class: "calls-page" },
      h("div", { class: "page-head" }, h("h1", {}, "Calls"), clear),
      formPlace,
      told,
      results,
    ),
    take(changed) {
      const asked = readFilters(changed);
      if (JSON.stringify(asked) === JSON.stringify(filters)) return true;
      filters = asked;
      // Whoever types goes on typing; after a link or the back button the form shows what the address says.
      if (!formPlace.contains(document.activeElement)) fillForm();
      list();
      return true;
    },
    close: () => listing?.close(),
    keep: true,
  };
}

/** One list: it is filled from its cursor on whenever its end comes near. */
class Listing {
  constructor(filters, place, told) {
    this._query = asQuery(filters);
    this._narrowed = Object.keys(filters).length > 0;
    this._place = place;
    this._told = told;
    this._cursor = null;
    this._loading = false;
    this._done = false;
    this._shown = 0;
    this._day = "";
    this._days = null;
    this._chunk = null;
    this._aborting = new AbortController();
    this._button = h("button", { class: "button", type: "button", on: { click: () => this.more() } }, "Show more");
    this._foot = h("div", { class: "list-foot", hidden: true }, this._button);
    this._list = h("div", { class: this._query.q ? "list hits card" : "list card" });
    this._near = new IntersectionObserver(
      (seen) => {
        if (seen.some((one) => one.isIntersecting)) this.more();
      },
      { rootMargin: "1200px" },
    );
    this._begun = false;
  }

  close() {
    this._aborting.abort();
    this._near.disconnect();
  }

  async more() {
    if (this._loading || this._done) return;
    this._loading = true;
    // What was found before stays until something else is: nothing jumps while somebody types.
    const late = setTimeout(() => !this._begun && replace(this._place, waiting()), 400);
    try {
      const where = this._query.q ? "/search" : "/calls";
      const query = { ...this._query, cursor: this._cursor, limit: AT_ONCE };
      const page = await get(where, query, { signal: this._aborting.signal });
      clearTimeout(late);
      this._take(page);
    } catch (error) {
      clearTimeout(late);
      if (error.name === "AbortError") return;
      if (this._begun) this._foot.before(failed(error));
      else replace(this._place, failed(error, () => this.more()));
      setText(this._told, "");
    } finally {
      this._loading = false;
    }
    this._continue();
  }

  /** Where the end of the list is still in sight, the observer says nothing new. */
  _continue() {
    if (this._done || !this._begun || this._aborting.signal.aborted) return;
    this._near.unobserve(this._foot);
    this._near.observe(this._foot);
  }

  _take(page) {
    if (!this._begun) {
      this._begun = true;
      replace(this._place, page.items.length ? [this._list, this._foot] : this._nothing());
    }
    // Thousands of lines are laid out by the part, each only when it comes into sight.
    this._chunk = chunk(h("div", {}), page.items.length * LINE_PX[this._query.q ? "hit" : "call"]);
    this._days = null;
    for (const item of page.items) this._add(item);
    this._list.append(this._chunk);
    this._shown += page.items.length;
    this._cursor = page.next;
    this._done = !page.next;
    this._foot.hidden = this._done;
    const what = this._query.q ? "match" : "call";
    const number = count(this._shown, what, this._query.q ? "matches" : "calls");
    setText(this._told, this._done ? number : `${number} shown, more below`);
  }

  _add(item) {
    const call = this._query.q ? item.call : item;
    const its = day(call.started_at);
    if (its !== this._day || !this._days) {
      const name = its === this._day ? null : h("h2", { class: "day-name" }, its);
      this._day = its;
      this._days = h("ol", { class: "day-list", "aria-label": its });
      this._chunk.append(h("div", { class: "day" }, name, this._days));
    }
    this._days.append(this._query.q ? hitRow(item) : callRow(item));
  }

  _nothing() {
    if (this._query.q) return empty("search", "Nothing was found", "No turn holds these words. Fewer words, or other filters, find more.");
    if (this._narrowed) return empty("search", "No call is like that", "No call fits these filters.");
    return empty("phone", "No calls yet", "Calls are listed here once there are any. ", h("a", { href: "/softphone", target: "_blank", rel: "noopener" }, "Call from the browser"), " to try it.");
  }
}
