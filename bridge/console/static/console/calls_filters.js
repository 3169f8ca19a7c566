/** What the list of calls is narrowed to. It lives in the page's address, so that a list can be linked to. */

import { h, replace } from "../common/dom.js";
import { ending, spelled } from "../common/format.js";
import { icon } from "../common/icons.js";

/** Names of all that can be asked, in the address. */
const NAMES = ["q", "number", "since", "until", "speaker", "direction", "agent_kind", "ended", "interrupted"];

const ENDED = [
  ...["caller", "agent", "transfer", "callee", "operator", "silence", "limit", "voicemail", "machine"],
  ...["not_reached", "lost", "agent_failed", "speech_failed", "shutdown", "error"],
];
const KINDS = ["webhook", "relay", "openai", "flow", "python", "echo", "log", "none"];

/** What an address asks for: only names that there are, only what is given. */
export function readFilters(url) {
  const found = {};
  for (const name of NAMES) {
    const value = url.searchParams.get(name);
    if (value?.trim()) found[name] = value.trim();
  }
  return found;
}

/** The address of a list so narrowed. */
export function filterAddress(filters) {
  const asked = new URLSearchParams();
  for (const name of NAMES) if (filters[name]) asked.set(name, filters[name]);
  const text = asked.toString();
  return text ? `/calls?${text}` : "/calls";
}

/** The same as the API is asked. Days are the reader's: from midnight to midnight on their clock. */
export function asQuery({ since, until, speaker, q, ...same }) {
  const query = { ...same };
  const first = startOfDay(since, 0);
  const last = startOfDay(until, 1);
  if (first) query.since = first;
  if (last) query.until = last;
  if (q) {
    query.q = q;
    if (speaker) query.speaker = speaker;
  }
  return query;
}

/** ISO 8601 of the midnight that a day begins with, `later` days on; null where it is no day. */
function startOfDay(text, later) {
  const found = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text ?? "");
  if (!found) return null;
  const [year, month, day] = found.slice(1).map(Number);
  const moment = new Date(year, month - 1, day + later);
  return month > 12 || day > 31 ? null : moment.toISOString();
}

/**
 * The form.
 * @param {object} filters as `readFilters` gives them
 * @param {(filters: object) => void} change told of each change, words after a short rest
 */
export function filterForm(filters, change) {
  const more = ["speaker", "direction", "agent_kind", "ended", "interrupted"].filter((name) => filters[name]).length;
  const form = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Search calls" },
    h(
      "div",
      { class: "search-box" },
      icon("search"),
      h("label", { class: "unseen", for: "q" }, "Words that were said"),
      h("input", {
        id: "q",
        name: "q",
        type: "search",
        dir: "auto",
        value: filters.q,
        maxlength: 400,
        placeholder: 'Words that were said: refund "tuesday morning" -urgent',
        autocomplete: "off",
        spellcheck: "false",
      }),
    ),
    h(
      "div",
      { class: "filter-row" },
      text("number", "Number", filters.number, { type: "search", placeholder: "+1 555 …", inputmode: "tel" }),
      text("since", "From", filters.since, { type: "date" }),
      text("until", "To", filters.until, { type: "date" }),
    ),
    h(
      "details",
      { class: "more-filters", open: more > 0 },
      h("summary", {}, "More filters", more ? h("span", { class: "badge accent" }, String(more)) : null),
      h(
        "div",
        { class: "filter-row" },
        select("speaker", "Said by", filters.speaker, [["", "Anyone"], ["caller", "Caller"], ["agent", "Agent"], ["callee", "Other side"]]),
        select("direction", "Direction", filters.direction, [["", "Both"], ["inbound", "Inbound"], ["outbound", "Outbound"]]),
        select("agent_kind", "Agent", filters.agent_kind, [["", "Any"], ...KINDS.map((kind) => [kind, kind === "log" ? "Two people" : spelled(kind)])]),
        select("ended", "Ended", filters.ended, [["", "In any way"], ...ENDED.map((how) => [how, ending(how)])]),
        select("interrupted", "Barge-ins", filters.interrupted, [["", "With or without"], ["true", "With"], ["false", "Without"]]),
      ),
    ),
    h("button", { class: "unseen", type: "submit" }, "Search"),
  );
  let timer = 0;
  const tell = () => {
    clearTimeout(timer);
    change(read(form));
  };
  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    if (event.target.tagName === "SELECT") tell();
    else timer = setTimeout(tell, 350);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tell();
  });
  return form;
}

function read(form) {
  return Object.fromEntries(NAMES.map((name) => [name, form.elements.namedItem(name).value.trim()]));
}

function text(name, label, value, attributes) {
  return h(
    "div",
    { class: "field" },
    h("label", { for: name }, label),
    h("input", { id: name, name, value, autocomplete: "off", ...attributes }),
  );
}

function select(name, label, value, options) {
  return h(
    "div",
    { class: "field" },
    h("label", { for: name }, label),
    h("select", { id: name, name }, options.map(([key, shown]) => h("option", { value: key, selected: key === (value ?? "") }, shown))),
  );
}

/** Say in one line that a list is narrowed, with a way out; nothing where it is not. */
export function narrowed(place, filters) {
  const names = Object.keys(filters);
  if (!names.length) return replace(place);
  return replace(place, h("a", { class: "button plain", href: "/calls" }, icon("close"), "Clear filters"));
}
