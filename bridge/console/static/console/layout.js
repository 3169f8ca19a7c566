/** What stands around each page: the name, the ways to the pages, who is logged in, whether the bridge is there. */

import { session } from "../common/api.js";
import { attempt } from "../common/dialog.js";
import { h, replace, setText } from "../common/dom.js";
import { icon } from "../common/icons.js";

const WAYS = [
  ["/", "Live", "live"],
  ["/calls", "Calls", "list"],
  ["/numbers", "Numbers", "hash"],
  ["/settings", "Settings", "sliders"],
  ["/system", "System", "pulse"],
];

/** The frame of all pages. `main` is where they are shown. */
export class Layout {
  constructor() {
    this.main = h("main", { id: "main", class: "page", tabindex: -1 });
    this._count = h("span", { class: "count figures", hidden: true });
    this._links = new Map();
    this._connection = h("div", { class: "connection", role: "status" });
    this.node = h(
      "div",
      { class: "frame" },
      h("a", { class: "skip", href: "#main" }, "Skip to the page"),
      this._header(),
      this._connection,
      this.main,
    );
  }

  _header() {
    const ways = WAYS.map(([address, name, picture]) => {
      const link = h(
        "a",
        { href: address, class: "way" },
        icon(picture),
        h("span", { class: "way-name" }, name),
        address === "/" ? this._count : null,
      );
      this._links.set(address, link);
      return h("li", {}, link);
    });
    return h(
      "header",
      { class: "top" },
      h("a", { class: "brand", href: "/" }, logo(), h("span", {}, "phone-bridge")),
      h("nav", { class: "ways", "aria-label": "Pages" }, h("ul", {}, ways)),
      h(
        "div",
        { class: "top-end" },
        h(
          "a",
          { class: "button", href: "/softphone", target: "_blank", rel: "noopener" },
          icon("phone"),
          h("span", { class: "wide-only" }, "Softphone"),
          h("span", { class: "unseen" }, " (opens in a new tab)"),
        ),
        who(),
      ),
    );
  }

  /** Mark which page is shown. */
  at(path) {
    for (const [address, link] of this._links) {
      const here = address === "/" ? path === "/" : path === address || path.startsWith(`${address}/`);
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** Tell how many calls are live. */
  live(number) {
    this._count.hidden = number === 0;
    replace(this._count, String(number), h("span", { class: "unseen" }, " live"));
  }

  /** Tell how the stream of events stands: nothing is shown while it does. */
  connection(state) {
    const lost = state === "lost";
    this._connection.classList.toggle("lost", lost);
    setText(this._connection, lost ? "Connection to the bridge lost. Trying to reach it again …" : "");
  }
}

function who() {
  const { name, scope } = session.current;
  if (name === "local") return h("span", { class: "who small soft wide-only" }, "This machine");
  return h(
    "div",
    { class: "who" },
    h("span", { class: "who-name small wide-only", dir: "auto" }, name, h("span", { class: "badge" }, scope)),
    h(
      "button",
      { class: "button plain", type: "button", on: { click: () => attempt(() => session.close()) } },
      icon("out"),
      h("span", { class: "wide-only" }, "Log out"),
      h("span", { class: "unseen narrow-only" }, "Log out"),
    ),
  );
}

/** The bridge's mark: two voices. */
export function logo() {
  return h("img", { src: "/static/icon.svg", alt: "", width: 26, height: 26, class: "logo" });
}
