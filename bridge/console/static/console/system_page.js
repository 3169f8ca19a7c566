/** How the bridge and what it needs are: speech, agent, store, carrier, disk; and for admins, who did what. */

import { get, session } from "../common/api.js";
import { h, replace, words } from "../common/dom.js";
import { bytes, day, duration, spelled, time } from "../common/format.js";
import { icon } from "../common/icons.js";
import { callAddress } from "./calls_row.js";
import { documentPage } from "./loading.js";
import { failed } from "./states.js";
import { values } from "./values.js";

const EVERY_MS = 5000;

/** @returns {import("./router.js").Page} */
export function systemPage() {
  const page = documentPage("System", "How the bridge is, and what it needs.", "/system", show, { every: EVERY_MS });
  if (session.may("admin")) page.node.append(audit());
  return page;
}

function show(found) {
  return h("div", { class: "columns" }, Object.entries(found).map(([name, given]) => part(name, given)));
}

function part(name, given) {
  const table = given !== null && typeof given === "object" && !Array.isArray(given);
  const { ok, status, ...rest } = table ? given : { value: given };
  return h("section", { class: "card section" }, h("h2", {}, spelled(name), badge(ok, status)), values(shown(rest)));
}

function badge(ok, status) {
  if (ok === undefined) return null;
  const kind = !ok ? "bad" : status === "warning" || status === "draining" ? "warn" : "good";
  return h("span", { class: `badge ${kind}` }, icon(kind === "good" ? "check" : "warning"), spelled(status));
}

/** Figures by what their names say they are. */
function shown(found) {
  return Object.fromEntries(
    Object.entries(found).map(([name, given]) => {
      if (typeof given !== "number") return [name, given];
      if (name.endsWith("_bytes")) return [name.replace(/_bytes$/, ""), bytes(given)];
      if (name.endsWith("_seconds") || name.endsWith("_s")) return [name.replace(/_(seconds|s)$/, ""), duration(given * 1000)];
      return [name, given.toLocaleString("en")];
    }),
  );
}

/** Who read recordings, listened in and deleted; part by part. */
function audit() {
  const rows = h("tbody", {});
  const more = h("div", { class: "list-foot", hidden: true }, h("button", { class: "button", type: "button", on: { click: () => load() } }, "Show more"));
  const place = h("div", {});
  let cursor = null;

  async function load() {
    try {
      const page = await get("/audit", { cursor, limit: 50 });
      rows.append(...page.items.map(row));
      cursor = page.next;
      more.hidden = !cursor;
      replace(place, rows.childElementCount ? null : h("p", { class: "soft small section" }, "Nothing yet: reading a recording, listening in and deleting leave a line here."));
    } catch (error) {
      replace(place, failed(error, load));
    }
  }

  load();
  return h(
    "section",
    { class: "card audit" },
    h("h2", { class: "audit-title" }, "Audit"),
    h(
      "div",
      { class: "table-wrap", tabindex: 0, role: "region", "aria-label": "Audit" },
      h("table", {}, h("thead", {}, h("tr", {}, ["When", "Who", "What", "Call", "Detail"].map((name) => h("th", { scope: "col" }, name)))), rows),
    ),
    place,
    more,
  );
}

function row({ at, who, what, call_id, detail }) {
  return h(
    "tr",
    {},
    h("td", { class: "figures" }, `${day(at)}, ${time(at, { seconds: true })}`),
    h("td", {}, words(who)),
    h("td", {}, spelled(what)),
    h("td", {}, call_id ? h("a", { href: callAddress(call_id), class: "mono" }, call_id.slice(0, 10)) : "–"),
    h("td", {}, words(detail || "–")),
  );
}
