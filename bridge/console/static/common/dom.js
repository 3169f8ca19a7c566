/**
 * Making elements. Whatever comes from a call is put in as text, never as HTML, so no words can become markup.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 *
 * @param {string} tag name of the element
 * @param {object} [properties] `class`, `dataset`, `on` (listeners by event), `ref` (called with the element);
 *   `text` for its text; booleans switch an attribute on or off; null and undefined leave it out; whatever else is
 *   an attribute.
 * @param {...(Node|string|number|null|undefined|false|Array)} children nodes, or texts to be put in as text
 * @returns {HTMLElement}
 */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Make an SVG element, otherwise as `h`. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.setAttribute("class", value);
    else if (name === "text") element.textContent = value;
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "on") for (const [event, does] of Object.entries(value)) element.addEventListener(event, does);
    else if (name !== "ref") element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  properties?.ref?.(element);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

/** Put `children` in the place of all that is in `element`. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Set an element's text, but only when it changes: screen readers and selections are left alone. */
export function setText(element, text) {
  const wanted = String(text ?? "");
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Words from a call or from people, in any script: their direction is their own. */
export function words(text, properties = {}) {
  return h("span", { dir: "auto", ...properties }, text);
}

/** Text with stretches marked. @param {string} text @param {[number, number][]} ranges in UTF-16 units, in order */
export function marked(text, ranges) {
  const pieces = [];
  let at = 0;
  for (const [from, to] of ranges ?? []) {
    if (from < at || to <= from) continue;
    pieces.push(text.slice(at, from), h("mark", {}, text.slice(from, to)));
    at = to;
  }
  pieces.push(text.slice(at));
  return h("span", { dir: "auto" }, pieces);
}

/**
 * Run `work` at most once per frame, however often the returned function is called.
 * @param {() => void} work
 */
export function oncePerFrame(work) {
  let waiting = 0;
  return () => {
    if (waiting) return;
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      work();
    });
  };
}

/** Whether whoever looks has asked for less movement. */
export function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
