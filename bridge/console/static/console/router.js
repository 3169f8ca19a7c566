/** Which page an address shows. Addresses are real ones: they can be linked to, and the back button goes back. */

/**
 * @typedef {object} Page
 * @property {string} title
 * @property {Node} node
 * @property {() => void} [close] lets go of what the page holds
 * @property {(url: URL) => boolean} [take] takes another address of its own; false: the page is made anew
 * @property {boolean} [keep] whether going back shows it as it was left
 */

/** @type {Array<[RegExp, (context: {url: URL, parts: string[]}) => Page]>} */
const routes = [];
let outlet = null;
let current = null;
/** The page that going back leads to, as it was left. */
let kept = null;
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
  for (const each of [current, kept]) each?.page.close?.();
  current = kept = null;
  outlet = null;
}

/** Go to an address. @param {string} address @param {{instead?: boolean}} [how] in the place of the present one */
export function go(address, { instead = false } = {}) {
  const url = new URL(address, location.href);
  if (url.href === location.href) return;
  left.scroll = scrollY;
  left.focus = document.activeElement;
  if (instead) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  show();
}

function show({ first = false, back = false } = {}) {
  if (outlet === null) return;
  const url = new URL(location.href);
  if (current !== null && current.url.pathname === url.pathname) {
    const same = current.url.search === url.search; // Only the place on the page has changed.
    current.url = url;
    if (same || current.page.take?.(url)) return;
  }
  leave();
  const again = back && kept?.url.href === url.href ? kept : null;
  if (again) kept = null;
  const page = again?.page ?? make(url);
  current = { url, page };
  outlet.replaceChildren(page.node);
  document.title = `${page.title} · phone-bridge`;
  announce(url.pathname, page.title);
  if (first) return;
  scrollTo({ top: again?.scroll ?? 0, behavior: "instant" });
  // Whoever uses the keyboard or a screen reader goes on where they were, or begins at the new page's heading.
  const heading = again?.focus?.isConnected ? again.focus : outlet.querySelector("h1");
  if (heading?.tagName === "H1") heading.tabIndex = -1;
  heading?.focus({ preventScroll: true });
}

/** Let go of the page that is shown, or keep it for whoever goes back. */
function leave() {
  if (current === null) return;
  if (!current.page.keep) {
    current.page.close?.();
    return;
  }
  kept?.page.close?.();
  kept = { ...current, scroll: left.scroll, focus: left.focus };
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

/** Where somebody was on the page: the browser has scrolled already when it tells that they go back. */
const left = { scroll: 0, focus: null };
history.scrollRestoration = "manual";

addEventListener("popstate", () => show({ back: true }));

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = event.target.closest?.("a[href]");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (outlet === null || !routes.slice(0, -1).some(([pattern]) => pattern.test(link.pathname))) return;
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  go(link.href);
});
