/** Which page an address shows. Addresses are real ones: they can be linked to, and the back button goes back. */

import { calm } from "../common/dom.js";

/**
 * @typedef {object} Page
 * @property {string} title
 * @property {Node} node
 * @property {() => void} [close] lets go of what the page holds
 * @property {(url: URL) => boolean} [take] takes another address of its own; false: the page is made anew
 */

/** @type {Array<[RegExp, (context: {url: URL, parts: string[]}) => Page]>} */
const routes = [];
let outlet = null;
let current = null;
let announce = () => {};

/** Let `make` make the page of addresses that fit `pattern`; its groups are handed over decoded. */
export function route(pattern, make) {
  routes.push([pattern, make]);
}

/**
 * Show the page of the present address in `element`, and follow links from now on.
 * @param {HTMLElement} element
 * @param {(path: string, title: string) => void} told called after each change
 */
export function start(element, told) {
  outlet = element;
  announce = told;
  show({ first: true });
}

/** Close the page that is shown, until `start` shows one again. */
export function stop() {
  current?.page.close?.();
  current = null;
  outlet = null;
}

/** Go to an address. @param {string} address @param {{instead?: boolean}} [how] in the place of the present one */
export function go(address, { instead = false } = {}) {
  const url = new URL(address, location.href);
  if (url.href === location.href) return;
  if (instead) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  show();
}

function show({ first = false } = {}) {
  if (outlet === null) return;
  const url = new URL(location.href);
  if (current !== null && current.url.pathname === url.pathname) {
    const same = current.url.search === url.search; // Only the place on the page has changed.
    current.url = url;
    if (same || current.page.take?.(url)) return;
  }
  current?.page.close?.();
  const page = make(url);
  current = { url, page };
  outlet.replaceChildren(page.node);
  document.title = `${page.title} · phone-bridge`;
  announce(url.pathname, page.title);
  if (first) return;
  // Whoever uses the keyboard or a screen reader begins at the new page's heading.
  const heading = outlet.querySelector("h1");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
  scrollTo({ top: 0, behavior: calm() ? "instant" : "auto" });
}

function make(url) {
  for (const [pattern, maker] of routes) {
    const found = pattern.exec(url.pathname);
    if (!found) continue;
    let parts;
    try {
      parts = found.slice(1).map(decodeURIComponent);
    } catch {
      continue; // Not an address of ours: its escapes are no UTF-8.
    }
    return maker({ url, parts });
  }
  return routes.at(-1)[1]({ url, parts: [] });
}

addEventListener("popstate", () => show());

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = event.target.closest?.("a[href]");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (outlet === null || !routes.slice(0, -1).some(([pattern]) => pattern.test(link.pathname))) return;
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  go(link.href);
});
