/** Long lists, laid out by the part: browsers lay only those parts out that are in sight. */

import { h } from "../common/dom.js";

const AT_ONCE = 50;

/**
 * Lists of some items each, which read as one.
 * @param {Node[]} items `li` elements
 * @param {number} high how high one is about, in px
 */
export function chunks(items, high) {
  const parts = [];
  for (let from = 0; from < items.length; from += AT_ONCE) {
    const part = items.slice(from, from + AT_ONCE);
    parts.push(chunk(h("ol", {}, part), part.length * high));
  }
  return parts;
}

/** Make a part of a long list of an element; `high` is its height, in px, as long as it was never seen. */
export function chunk(element, high) {
  element.classList.add("chunk");
  element.style.containIntrinsicBlockSize = `auto ${high}px`;
  return element;
}

/**
 * The same where lines are costly to make: each part is made when it comes near to being seen.
 * @param {unknown[]} items
 * @param {(item: unknown) => Node} make makes the `li` of an item
 * @param {number} high how high one is about, in px
 */
export function chunksLater(items, make, high) {
  const near = new IntersectionObserver(
    (seen) => {
      for (const { isIntersecting, target } of seen) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        target.replaceChildren(...waiting.get(target).map(make));
        target.style.minBlockSize = "";
      }
    },
    { rootMargin: "800px" },
  );
  const waiting = new Map();
  for (let from = 0; from < items.length; from += AT_ONCE) {
    const part = items.slice(from, from + AT_ONCE);
    const list = chunk(h("ol", {}), part.length * high);
    list.style.minBlockSize = `${part.length * high}px`;
    waiting.set(list, part);
    near.observe(list);
  }
  return [...waiting.keys()];
}
