/** One call in the list, and one hit of a search. */

import { h, words } from "../common/dom.js";
import { BAD_ENDINGS, count, duration, ending, number, speaker, time } from "../common/format.js";
import { icon } from "../common/icons.js";

/** Where a call's page is; `at` is a moment of it, in ms. */
export function callAddress(id, at) {
  const place = `/calls/${encodeURIComponent(id)}`;
  return at === undefined || at === null ? place : `${place}?at=${Math.max(0, Math.round(at))}`;
}

/** A call's two ends, as people read them. */
export function ends(call) {
  const other = call.other || call.called;
  return [call.caller, other];
}

/** A line of the list. */
export function callRow(call) {
  const outbound = call.direction === "outbound";
  const [from, to] = ends(call);
  return h(
    "li",
    { class: "call-item" },
    h(
      "a",
      { class: "call-row", href: callAddress(call.id) },
      h("span", { class: `way-icon ${call.direction}`, title: outbound ? "Outbound" : "Inbound" }, icon(outbound ? "outgoing" : "incoming"), h("span", { class: "unseen" }, outbound ? "Outbound" : "Inbound")),
      h(
        "span",
        { class: "call-who" },
        words(number(from), { class: "call-from" }),
        h("span", { class: "soft", "aria-hidden": "true" }, " → "),
        h("span", { class: "unseen" }, " to "),
        words(number(to), { class: "call-to soft" }),
      ),
      h("span", { class: "call-facts" }, facts(call)),
      h("span", { class: "call-length figures" }, duration(call.duration_ms)),
      h("time", { class: "call-time figures soft", datetime: iso(call.started_at) }, time(call.started_at)),
    ),
  );
}

/** What is worth knowing of a call at a glance. */
export function facts(call) {
  return [
    state(call),
    call.interruptions ? h("span", { class: "badge barge" }, count(call.interruptions, "barge-in")) : null,
    call.problems ? h("span", { class: "badge bad" }, count(call.problems, "problem")) : null,
    h("span", { class: "badge plain-badge" }, call.agent_kind === "log" ? "two people" : call.agent_kind),
    h("span", { class: "badge plain-badge figures" }, count(call.turns ?? 0, "turn")),
  ];
}

/** How a call stands, as a badge. */
export function state(call) {
  if (call.state === "live") return h("span", { class: "badge good" }, "Live");
  if (!call.ended) return h("span", { class: "badge warn" }, "Breaks off");
  return h("span", { class: BAD_ENDINGS.has(call.ended) ? "badge bad" : "badge" }, ending(call.ended));
}

/** A turn that a search has found: its words, and whose they are. */
export function hitRow({ call, turn, snippet }) {
  const [from, to] = ends(call);
  return h(
    "li",
    { class: "hit-item" },
    h(
      "a",
      { class: "hit-row", href: callAddress(call.id, turn.started_ms) },
      h("span", { class: `said-by ${turn.speaker}` }, speaker(turn.speaker)),
      h("span", { class: "hit-words" }, snippetNode(snippet)),
      h(
        "span",
        { class: "hit-call soft small" },
        words(number(from)),
        " → ",
        words(number(to)),
        " · ",
        h("time", { datetime: iso(call.started_at) }, time(call.started_at)),
        h("span", { class: "figures" }, ` · at ${duration(turn.started_ms)}`),
      ),
    ),
  );
}

/** A part of a turn with what was looked for marked. */
function snippetNode(snippet) {
  const pieces = snippet.pieces ?? cut(snippet.text, snippet.marks ?? []);
  return h(
    "bdi",
    {},
    snippet.cut_before ? "… " : "",
    pieces.map(([text, found]) => (found ? h("mark", {}, text) : text)),
    snippet.cut_after ? " …" : "",
  );
}

/** Cut a text at marks that count characters, not JavaScript's units. */
function cut(text, marks) {
  const characters = Array.from(text);
  const pieces = [];
  let done = 0;
  for (const [from, to] of marks) {
    pieces.push([characters.slice(done, from).join(""), false], [characters.slice(from, to).join(""), true]);
    done = to;
  }
  pieces.push([characters.slice(done).join(""), false]);
  return pieces.filter(([piece]) => piece);
}

function iso(when) {
  const found = new Date(when);
  return Number.isNaN(found.getTime()) ? null : found.toISOString();
}
