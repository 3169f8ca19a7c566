/** One call: its sound and its words side by side, how its answers came, its picture, its journal, its files. */

import { address, get, path, remove, session } from "../common/api.js";
import { ask, tell as tellUser } from "../common/dialog.js";
import { h, replace, words } from "../common/dom.js";
import { count, duration, fullMoment, number, spelled } from "../common/format.js";
import { icon } from "../common/icons.js";
import { answersView } from "./answers.js";
import { ends, state } from "./calls_row.js";
import { downloads } from "./downloads.js";
import { journalView } from "./journal_view.js";
import { leftBehind } from "./left_behind.js";
import { decodePeaks } from "./peaks.js";
import { Player } from "./player.js";
import { lastSounds } from "./quiet.js";
import { retranscriptionView } from "./retranscription.js";
import * as router from "./router.js";
import { empty, failed, waiting } from "./states.js";
import { readJournal, tell } from "./story.js";
import { tabs } from "./tabs.js";
import { dataList, Transcript } from "./transcript.js";
import { Wave } from "./wave.js";

/** Of a call that goes on, what is new is fetched this long after it was told. */
const FRESH_MS = 700;

/** @returns {import("./router.js").Page} */
export function callPage(id, url, feed) {
  const page = new CallPage(id, Number(url.searchParams.get("at")) || null, feed);
  page.load();
  return { title: "Call", node: page.node, close: () => page.close(), take: (changed) => page.take(changed) };
}

class CallPage {
  constructor(id, at, feed) {
    this._id = id;
    this._at = at;
    this._feed = feed;
    this._parts = [];
    this._aborting = new AbortController();
    this.node = h("div", { class: "call-page" }, h("h1", { class: "unseen" }, "Call"), waiting());
  }

  close() {
    this._aborting.abort();
    for (const part of this._parts) part.close();
  }

  take(url) {
    const at = Number(url.searchParams.get("at"));
    if (at) this._seek?.(at);
    return true;
  }

  async load() {
    const options = { signal: this._aborting.signal };
    try {
      const call = await get(path("calls", this._id), {}, options);
      if (!call.state) {
        replace(this.node, this._head(call), ordered(call)); // It was ordered, and not answered (yet).
        return;
      }
      const [journal, peaks] = await Promise.all([this._journal(options), this._peaks(options)]);
      this._show(call, readJournal(journal), peaks);
    } catch (error) {
      if (error.name === "AbortError") return;
      const gone = error.status === 404;
      replace(
        this.node,
        h("h1", { class: "unseen" }, "Call"),
        gone ? empty("search", "There is no such call", "It may have been deleted. See ", h("a", { href: "/calls" }, "all calls"), ".") : failed(error, () => this.load()),
      );
    }
  }

  _journal(options) {
    return get(path("calls", this._id, "journal"), {}, { ...options, as: "text" });
  }

  async _peaks(options) {
    try {
      return decodePeaks(await get(path("calls", this._id, "peaks"), {}, options));
    } catch (error) {
      if (error.name === "AbortError") throw error;
      return null; // Nothing was recorded, or it cannot be read: the rest of the call is there all the same.
    }
  }

  _show(call, entries, peaks) {
    for (const part of this._parts.splice(0)) part.close();
    const story = tell(entries, lastSounds(entries, peaks));
    document.title = `${number(call.caller)} → ${number(call.other || call.called)} · phone-bridge`;
    this._transcript = new Transcript(story, call, (ms) => this._seek(ms, true));
    const sound = peaks ? this._sound(call, story, peaks) : this._silent(story, call);
    const views = h("div", { class: "call-views card" }, this._views(call, story, entries));
    replace(this.node, this._head(call), h("div", { class: "call-sound card" }, sound), h("div", { class: "call-columns" }, views, this._side(call, story, peaks)));
    if (this._at) {
      this._seek(this._at);
      this._transcript.point(this._at);
    }
    if (call.state === "live") this._followOn(call);
  }

  _sound(call, story, peaks) {
    const wave = new Wave((ms) => player.seek(ms));
    const player = new Player(call.id, peaks.duration_ms, {
      at: (ms, playing) => {
        wave.at(ms);
        this._transcript.at(ms, { follow: playing });
      },
      lasts: (ms) => wave.lasts(ms),
    });
    wave.show(peaks, story, { other: call.agent_kind === "log" ? "Other side" : "Agent", duration: peaks.duration_ms });
    this._parts.push(wave, player);
    this._seek = (ms, play) => player.seek(ms, { play });
    this._wave = wave;
    return [wave.node, player.node, key(story)];
  }

  /** Without a recording the wave shows who spoke when. */
  _silent(story, call) {
    const wave = new Wave((ms) => this._seek(ms));
    wave.show(null, story, { other: call.agent_kind === "log" ? "Other side" : "Agent" });
    this._parts.push(wave);
    this._wave = wave;
    this._seek = (ms) => {
      wave.at(ms);
      this._transcript.at(ms, { follow: true });
    };
    return [wave.node, h("p", { class: "small soft no-sound" }, "This call was not recorded: the picture shows who spoke when."), key(story)];
  }

  _head(call) {
    const [from, to] = call.state ? ends(call) : [call.from, call.to];
    const outbound = call.direction === "outbound";
    return h(
      "div",
      { class: "call-head" },
      h("a", { class: "back small", href: "/calls" }, icon("back"), "Calls"),
      h(
        "h1",
        {},
        words(number(from)),
        h("span", { class: "soft", "aria-hidden": "true" }, " → "),
        h("span", { class: "unseen" }, " to "),
        words(number(to)),
      ),
      h(
        "p",
        { class: "call-sub soft" },
        call.started_at ? h("span", {}, fullMoment(call.started_at)) : null,
        call.duration_ms ? h("span", { class: "figures" }, duration(call.duration_ms)) : null,
        h("span", {}, outbound ? "Outbound" : "Inbound"),
        call.state ? state(call) : null,
        call.interruptions ? h("span", { class: "badge barge" }, count(call.interruptions, "barge-in")) : null,
        call.problems ? h("span", { class: "badge bad" }, count(call.problems, "problem")) : null,
      ),
    );
  }

  _views(call, story, entries) {
    const views = [
      { name: "Transcript", make: () => (story.items.length ? this._transcript.node : empty("say", "Nothing was said", "No words were recognised in this call.")) },
      { name: "Answers", make: () => answersView(story, (ms) => this._seek(ms, true)) },
      { name: "Picture", make: () => picture(this._id) },
      { name: "Journal", make: () => journalView(entries) },
    ];
    if (call.transcriptions?.length) views.splice(1, 0, { name: "Transcribed again", make: () => retranscriptionView(call.transcriptions) });
    if (call.leftovers?.length) views.push({ name: "Left behind", make: () => leftBehind(call.leftovers) });
    return tabs("Views of the call", views);
  }

  _side(call, story, peaks) {
    const notes = story.items.filter((item) => item.what === "note");
    return h(
      "aside",
      { class: "call-side", "aria-label": "About the call" },
      card("Facts", facts(call, story)),
      call.messages?.length ? card("Messages", call.messages.map((each) => message(call.id, each, story))) : null,
      notes.length ? card("Notes", notes.map((item) => dataList(item.entry.data))) : null,
      card("Download", downloads(call.id, { recorded: peaks !== null })),
      session.may("admin") && call.state !== "live" ? this._deletion(call) : null,
    );
  }

  _deletion(call) {
    const erase = () =>
      ask({
        title: "Delete this call?",
        about: "Its transcript, recording, journal and picture are deleted for good, from the database and the disk. This cannot be undone.",
        confirm: "Delete call",
        danger: true,
        act: () => remove(path("calls", call.id), { erase: true }),
      }).then((done) => {
        if (done === undefined) return;
        tellUser("The call was deleted.");
        router.go("/calls", { instead: true });
      });
    return h("div", { class: "call-delete" }, h("button", { class: "button danger", type: "button", on: { click: erase } }, icon("trash"), "Delete call …"));
  }

  /** Take in what is said while the page is open; when the call is over, show all of it. */
  _followOn(call) {
    let timer = 0;
    const stop = this._feed.listen((event) => {
      if (event.call !== call.id && event.call !== call.sid) return;
      if (event.type === "call.ended") setTimeout(() => this.load(), FRESH_MS);
      if (!["turn.ended", "agent.spoke", "key", "note", "transfer", "problem"].includes(event.type) || timer) return;
      timer = setTimeout(async () => {
        timer = 0;
        try {
          const story = tell(readJournal(await this._journal({ signal: this._aborting.signal })));
          this._transcript.show(story);
          this._wave.show(null, story);
        } catch {
          // The next one brings it.
        }
      }, FRESH_MS);
    });
    this._parts.push({ close: stop });
  }
}

function card(title, ...content) {
  return h("section", { class: "card side-card" }, h("h2", {}, title), content);
}

function facts(call, story) {
  const closed = story.closed ?? {};
  const rows = [
    ["Answered by", call.agent_kind === "log" ? "two people talk" : call.agent_kind],
    ["Turns", call.turns],
    ["Barge-ins", call.interruptions || null],
    ["Early answers not used", call.wasted || null],
    ["Transferred to", call.transfer_to ? number(call.transfer_to) : null],
    ["Audio ran dry", closed.under_runs ? count(closed.under_runs, "time") : null],
    ["Marks lost", closed.lost_marks || null],
    ["Call", h("code", {}, call.id)],
    ["Carrier's id", h("code", {}, call.sid)],
    ["Folder", call.folder ? h("code", {}, call.folder) : null],
  ];
  return list(rows);
}

/** Names and values, but for those that there are none of. */
function list(rows) {
  return h(
    "dl",
    { class: "facts" },
    rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, value instanceof Node ? value : String(value)))),
  );
}

/** A message that the caller left: its sound and its words. */
function message(id, its, story) {
  const mark = story.items.find((item) => item.what === "message" && item.entry.number === its);
  return h(
    "div",
    { class: "message" },
    h("audio", { controls: true, preload: "none", src: address(path("calls", id, "messages", String(its))), "aria-label": `Message ${its}` }),
    mark?.detail ? words(mark.detail, { class: "small" }) : null,
  );
}

/** A call that was ordered and has no record: how far it is. */
function ordered(call) {
  const rows = [
    ["Status", spelled(call.status)],
    ["Why", call.detail || (call.reason ? spelled(call.reason) : null)],
    ["Answered by", call.answered_by],
    ["Ordered", call.created_at ? fullMoment(call.created_at) : null],
    ["Call", h("code", {}, call.id)],
    ["Carrier's id", call.sid ? h("code", {}, call.sid) : null],
  ];
  return card("Not answered (yet)", list(rows));
}

/** What the marks of the wave mean: only those that there are. */
function key(story) {
  const has = (...kinds) => story.items.some((item) => kinds.includes(item.what));
  const parts = [
    [story.silences.some((one) => one[1] === null), "barge", "barge-in"],
    [story.silences.some((one) => one[1] !== null), "alarm", "false alarm"],
    [has("key", "digits", "message"), "key", "key or message"],
    [has("note", "transfer"), "accent", "note or transfer"],
    [has("problem", "broken"), "danger", "problem"],
    [story.pauses.length > 0, "paused", "recording paused"],
  ];
  return h("ul", { class: "wave-key small soft" }, parts.filter(([there]) => there).map(([, name, means]) => h("li", {}, h("span", { class: `dot ${name}`, "aria-hidden": "true" }), means)));
}

function picture(id) {
  const where = address(path("calls", id, "timeline.svg"));
  return h(
    "figure",
    { class: "picture", tabindex: 0, "aria-label": "Picture of the call" },
    h("img", { src: where, alt: "Timeline of the call: who spoke when, what was heard, and how long each answer took. The transcript and the answers say the same in words." }),
  );
}
