/**
 * The bridge's live events: server-sent, taken up again where they broke off.
 *
 * They are read with `fetch` rather than an `EventSource`, which would neither tell a session that has run out from
 * a bridge that is away, nor notice a connection that has died without a word.
 */

import { address } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** The bridge sends a comment at least every 15 s; silence for this long means that the connection is dead. */
const SILENT_MS = 40_000;

/**
 * Take server-sent text apart. Pure; exported for tests.
 *
 * @param {(event: {id: string, type: string, data: string}) => void} take called for each event that is whole; one
 *   without data only moves the id that is gone on after, which is why it is told as well
 * @returns {(text: string) => void} to be handed the text piece by piece, cut anywhere
 */
export function parser(take) {
  let rest = "";
  let id = "";
  let type = "";
  let data = [];
  return (text) => {
    rest += text;
    // A CR at the end may be half of a line's end: it waits for what follows.
    const whole = rest.endsWith("\r") ? rest.slice(0, -1) : rest;
    const lines = whole.split(/\r\n|\n|\r/);
    rest = lines.pop() + rest.slice(whole.length);
    for (const line of lines) {
      if (line === "") {
        if (data.length || id) take({ id, type: type || "message", data: data.join("\n") });
        type = "";
        data = [];
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "id") id = value;
      else if (field === "event") type = value;
      else if (field === "data") data.push(value);
    }
  };
}

/**
 * Follow the events until `stop` is called.
 *
 * @param {object} does
 * @param {(event: object) => void} does.event each event, its JSON read
 * @param {(state: "connecting"|"open"|"lost"|"refused") => void} does.state how the connection stands
 * @param {string} [where] below `/api/v1`
 * @param {string} [after] id of the last event that is already known
 * @returns {{stop: () => void, retry: () => void}}
 */
export function follow(does, where = "/events", after = "") {
  let last = after;
  let wait = FIRST_WAIT_MS;
  let stopped = false;
  let controller = null;
  let wake = () => {};

  const take = parser((event) => {
    if (event.id) last = event.id;
    if (!event.data) return;
    let read;
    try {
      read = JSON.parse(event.data);
    } catch {
      return; // Not ours.
    }
    does.event({ type: event.type, ...read, id: event.id || read.id });
  });

  async function once() {
    controller = new AbortController();
    let timer = 0;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(), SILENT_MS);
    };
    try {
      alive();
      const headers = { accept: "text/event-stream" };
      if (last) headers["last-event-id"] = last;
      const answer = await fetch(address(where), { headers, signal: controller.signal, cache: "no-store" });
      if (answer.status === 401 || answer.status === 403) return "refused";
      if (!answer.ok || !answer.body) return "lost";
      wait = FIRST_WAIT_MS;
      does.state("open");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return "lost";
        alive();
        take(value);
      }
    } catch {
      return "lost";
    } finally {
      clearTimeout(timer);
      controller.abort();
    }
  }

  async function run() {
    does.state("connecting");
    while (!stopped) {
      const how = await once();
      if (stopped) return;
      does.state(how);
      if (how === "refused") return;
      take("\n\n"); // What was half an event is none.
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, wait * (0.75 + Math.random() / 2));
      });
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  const retry = () => wake();
  addEventListener("online", retry);
  run();
  return {
    stop() {
      stopped = true;
      removeEventListener("online", retry);
      controller?.abort();
      wake();
    },
    retry,
  };
}
