/** The calls that go on, as they go on. */

import { h, oncePerFrame, replace, setText } from "../common/dom.js";
import { number } from "../common/format.js";
import { LiveCard } from "./live_card.js";
import { empty } from "./states.js";

/** @returns {import("./router.js").Page} */
export function livePage(feed) {
  const page = new LivePage(feed);
  return { title: "Live calls", node: page.node, close: () => page.close() };
}

class LivePage {
  constructor(feed) {
    this._feed = feed;
    /** @type {Map<string, LiveCard>} */
    this._cards = new Map();
    this._dirty = new Set();
    this._grid = h("div", { class: "live-grid" });
    this._nothing = h("div", {});
    this._said = h("p", { class: "unseen", role: "status" });
    this.node = h("div", { class: "live-page" }, h("div", { class: "page-head" }, h("h1", {}, "Live calls")), this._said, this._grid, this._nothing);
    this._draw = oncePerFrame(() => this._paint());
    this._unlisten = feed.listen((event) => this._take(event));
    this._ticking = setInterval(() => this._tick(), 250);
    this._sync();
  }

  close() {
    this._unlisten();
    clearInterval(this._ticking);
    for (const card of this._cards.values()) card.close();
  }

  _take(event) {
    if (event.type === "loaded" || event.type === "forgotten" || event.type === "call.started") this._sync();
    else if (event.call) {
      this._dirty.add(event.call);
      this._draw();
    }
    const call = this._feed.book.calls.get(event.call);
    if (event.type === "call.started" && call) setText(this._said, `A call from ${number(call.facts.from)} began.`);
    if (event.type === "call.ended" && call) setText(this._said, `The call from ${number(call.facts.from)} ended.`);
  }

  /** Have a card for each call, in their order, and for no other. */
  _sync() {
    const { calls } = this._feed.book;
    for (const [id, card] of this._cards) {
      if (calls.get(id) === card.call) continue;
      if (calls.has(id)) card.take(calls.get(id));
      else {
        card.close();
        card.node.remove();
        this._cards.delete(id);
      }
    }
    for (const [id, call] of calls) {
      if (this._cards.has(id)) continue;
      const card = new LiveCard(call);
      this._cards.set(id, card);
      this._grid.append(card.node);
      requestAnimationFrame(() => card.down());
    }
    const none = this._cards.size === 0;
    replace(this._nothing, none ? nothing() : null);
    this._grid.hidden = none;
  }

  _paint() {
    for (const id of this._dirty) this._cards.get(id)?.paint();
    this._dirty.clear();
  }

  _tick() {
    const now = performance.now();
    for (const card of this._cards.values()) card.tick(now);
  }
}

function nothing() {
  return empty(
    "live",
    "No call at the moment",
    "Calls appear here as they come in, word by word. ",
    h("a", { href: "/softphone", target: "_blank", rel: "noopener" }, "Call from the browser"),
    " to try it, or look at ",
    h("a", { href: "/calls" }, "past calls"),
    ".",
  );
}
