/** Views of one thing, one shown at a time; arrow keys go from one to the next. */

import { h, replace } from "../common/dom.js";

let groups = 0;

/**
 * @param {string} label what the views are of
 * @param {Array<{name: string, make: () => Node}>} views `make` is called when a view is first shown
 * @returns {HTMLElement}
 */
export function tabs(label, views) {
  groups += 1;
  const made = new Map();
  const panel = h("div", { class: "tab-panel", role: "tabpanel", id: `panel-${groups}`, tabindex: 0 });
  const buttons = views.map((view, index) =>
    h(
      "button",
      {
        class: "tab",
        role: "tab",
        type: "button",
        id: `tab-${groups}-${index}`,
        "aria-controls": panel.id,
        on: { click: () => show(index) },
      },
      view.name,
    ),
  );
  const list = h("div", { class: "tabs", role: "tablist", "aria-label": label }, buttons);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const here = buttons.indexOf(document.activeElement);
    let next = here;
    if (step) next = (here + step + buttons.length) % buttons.length;
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = buttons.length - 1;
    else return;
    event.preventDefault();
    show(next);
    buttons[next].focus();
  });

  function show(shown) {
    buttons.forEach((button, index) => {
      button.setAttribute("aria-selected", String(index === shown));
      button.tabIndex = index === shown ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[shown].id);
    if (!made.has(shown)) made.set(shown, views[shown].make());
    replace(panel, made.get(shown));
  }

  show(0);
  return h("div", { class: "tabbed" }, list, panel);
}
