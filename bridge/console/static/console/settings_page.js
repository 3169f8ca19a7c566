/** The settings that the bridge runs with. They can be read here, not changed; secrets are not shown. */

import { h } from "../common/dom.js";
import { documentPage } from "./loading.js";
import { value, values } from "./values.js";

/** @returns {import("./router.js").Page} */
export function settingsPage() {
  return documentPage("Settings", "What the bridge runs with. Change them in the settings file or the environment.", "/settings", show);
}

function show(found) {
  const sections = found.sections ?? found;
  return h(
    "div",
    { class: "columns" },
    Object.entries(sections).map(([name, given]) =>
      h("section", { class: "card section" }, h("h2", { class: "mono" }, `[${name}]`), isTable(given) ? values(given) : value(given)),
    ),
  );
}

function isTable(given) {
  return given !== null && typeof given === "object" && !Array.isArray(given);
}
