/** The one stream of events that all pages share, and the live calls that it tells of. */

import { get, session } from "../common/api.js";
import { follow } from "../common/events.js";
import { LiveBook } from "./live_calls.js";

/** A call that is over stays to be seen for so long. */
const LINGERS_MS = 12_000;

export class Feed {
  constructor() {
    this.book = new LiveBook();
    this.connection = "connecting";
    this._listeners = new Set();
    this._watchers = new Set();
    this._stream = null;
    this._timers = new Set();
    this._held = null;
  }

  /** Begin: the calls as they are, and from there on what happens. */
  start() {
    this._stream = follow({
      event: (event) => (this._held === null ? this._take(event) : this._held.push(event)),
      state: (state) => this._stands(state),
    });
  }

  stop() {
    this._stream?.stop();
    for (const timer of this._timers) clearTimeout(timer);
    this._listeners.clear();
    this._watchers.clear();
  }

  /** Call `does` with each event; `{type: "loaded"}` where all is known anew. Returns what ends that. */
  listen(does) {
    this._listeners.add(does);
    return () => this._listeners.delete(does);
  }

  /** Tell `connection` how the stream stands, and `count` how many calls are live. */
  watch(watcher) {
    this._watchers.add(watcher);
    watcher.connection?.(this.connection);
    return () => this._watchers.delete(watcher);
  }

  _stands(state) {
    this.connection = state;
    for (const watcher of this._watchers) watcher.connection?.(state);
    if (state === "open") this._load();
    if (state === "refused") session.load().catch(() => {});
  }

  /** Ask for the calls as they are. Events that come meanwhile wait: those that the answer knows are not told twice. */
  async _load() {
    if (this._held !== null) return;
    this._held = [];
    try {
      const answer = await get("/live");
      this.book.load(answer.calls);
      const known = numberOf(answer.last_event_id);
      const fresh = this._held.filter((event) => numberOf(event.id) > known);
      this._held = null;
      this._tell({ type: "loaded" });
      for (const event of fresh) this._take(event);
    } catch {
      // The stream breaks, too, when the bridge is gone; and with it comes the next try.
      const waiting = this._held ?? [];
      this._held = null;
      for (const event of waiting) this._take(event);
    }
    this._count();
  }

  _take(event) {
    if (event.type === "gap") {
      this._load();
      return;
    }
    const call = this.book.take(event);
    this._tell(event);
    if (call && event.type === "call.ended") {
      const timer = setTimeout(() => {
        this._timers.delete(timer);
        if (this.book.calls.get(call.id) !== call) return;
        this.book.forget(call.id);
        this._tell({ type: "forgotten", call: call.id });
      }, LINGERS_MS);
      this._timers.add(timer);
    }
    if (event.type.startsWith("call.")) this._count();
  }

  _tell(event) {
    for (const does of this._listeners) does(event);
  }

  _count() {
    for (const watcher of this._watchers) watcher.count?.(this.book.going);
  }
}

/** The number of an event's id, which is `<epoch>-<number>`; -1 of none. */
function numberOf(id) {
  const number = Number(String(id ?? "").split("-").at(-1));
  return id && Number.isFinite(number) ? number : -1;
}
