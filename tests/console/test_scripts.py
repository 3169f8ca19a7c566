"""What the pages are made of, in a real browser: figures, events, calls as they are told. Against our own where we
have the same in Python."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from bridge.console.files import read_files
from bridge.console.routes import ConsoleRoutes
from bridge.conversation import journal
from bridge.conversation.journal import to_dict
from bridge.store.loudness import Peaks
from bridge.store.scene import read_scene
from bridge.store.waterfall import agent_stretches, caller_stretches
from tests.console.browser import chromium, needs_browser

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def page() -> AsyncIterator[Page]:
    app = web.Application()
    ConsoleRoutes(await asyncio.to_thread(read_files), lambda _: True).add_to(app)
    async with TestServer(app) as server, chromium() as browser:
        page = await browser.new_page()
        # Any file of the same origin does: a page would start its own scripts.
        await page.goto(str(server.make_url("/static/common/base.css")))
        yield page


async def run(page: Page, module: str, code: str, given: Any = None) -> Any:
    """Return what `code` makes of `given`, with what the module exports as `m`."""
    body = f"async (given) => {{ const m = await import('/static/{module}.js'); return {code}; }}"
    return await page.evaluate(body, given)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("duration(7_400)", "0:07"),
        ("duration(3_725_000)", "1:02:05"),
        ("duration(null)", "–"),
        ("moment(7_450)", "0:07.4"),
        ("latency(639.6)", "640 ms"),
        ("latency(1_240)", "1.24 s"),
        ("bytes(3_400_000)", "3.4 MB"),
        ("bytes(999)", "999 B"),
        ("count(1, 'turn')", "1 turn"),
        ("count(1200, 'match', 'matches')", "1,200 matches"),
        ("number('+15550100001')", "+1 555 010 0001"),
        ("number('+4930901820')", "+4930901820"),
        ("number('')", "Unknown"),
        ("ending('caller')", "Caller hung up"),
        ("ending('something_new')", "Something new"),
        ("ending(null)", "In progress"),
        ("day(new Date(2026, 4, 3), new Date(2026, 4, 4, 0, 1))", "Yesterday"),
        ("day('no day')", "–"),
    ],
)
async def test_figures_are_told_as_people_read_them(page: Page, call: str, text: str) -> None:
    assert await run(page, "common/format", f"m.{call}") == text


async def test_events_are_read_wherever_the_network_cuts_them(page: Page) -> None:
    stream = (
        "retry: 1000\nid: e-6\n: listening\n\n"
        'id: e-7\nevent: turn.words\ndata: {"text": "ÿ – \U0001f600"}\n\n'
        ": \n\n"
        "id: e-8\r\nevent: note\r\ndata: one\r\ndata: two\r\n\r\n"
        "id: e-9\rdata:x\r\r"
        "data: half an event"
    )
    random.seed(5)
    whole = [
        ["e-6", "message", ""],
        ["e-7", "turn.words", '{"text": "ÿ – \U0001f600"}'],
        ["e-7", "message", ""],
        ["e-8", "note", "one\ntwo"],
        ["e-9", "message", "x"],
    ]
    for _ in range(50):
        cuts = sorted(random.sample(range(len(stream)), 8))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        code = """(() => { const got = []; const take = m.parser((e) => got.push([e.id, e.type, e.data]));
                 for (const piece of given) take(piece); return got; })()"""
        assert await run(page, "common/events", code, pieces) == whole


async def test_words_never_become_markup(page: Page) -> None:
    evil = '<img src=x onerror="alert(1)"> & </p>'
    code = """(() => { const node = m.h('p', {title: given}, given, m.marked(given, [[1, 4]]), m.words(given));
             const all = node.querySelectorAll('*').length;
             return [all, node.textContent, node.title, node.querySelector('mark').textContent]; })()"""
    children, text, title, mark = await run(page, "common/dom", code, evil)
    assert (children, text, title, mark) == (3, evil * 3, evil, "img")


def a_call() -> list[journal.Entry]:
    return [
        journal.CallOpened(),
        journal.AgentSpoke(1, 0, "call.started", "Hello.", "", False, 0, 900, 20, 40, 50, 200),
        journal.CallerSpoke(1, "When do you open?", 1000, 3000, eager_ms=2600),
        journal.AgentSilenced(4200, 2, 2),
        journal.AgentSpoke(2, 1, "turn.ended", "At ", "nine.", True, 2600, 4500, 2700, 2900, 3010, 3300, True),
        journal.CallerSpoke(2, " Thanks", 4200, 5200, eager_ms=4400),
        journal.SpeculationDropped(4500, 2, 3),
        journal.CallerSpoke(3, "", 5300, 5400, meaning="empty"),
        journal.KeyPressed(5600, "4"),
        journal.KeyPressed(6000, "2"),
        journal.NoteTaken(6500, {"name": "Ada"}),
        journal.RecordingPaused(6600),
        journal.RecordingResumed(6900),
        journal.AgentSpoke(4, 2, "turn.ended", "", "Bye.", False, 5200, 7000, 5300, 5400),
        journal.CallClosed(7000, "caller"),
    ]


def loudness(length_ms: int, *spoken: tuple[int, int]) -> Peaks:
    random.seed(1)
    heard = bytes(
        random.randint(80, 110) if any(a <= at * 20 < b for a, b in spoken) else random.randint(0, 12)
        for at in range(length_ms // 20)
    )
    return Peaks(50, heard, bytes(len(heard)))


async def told(page: Page, entries: list[journal.Entry], peaks: Peaks | None = None) -> Any:
    """The story of a call as the page tells it."""
    given: dict[str, Any] = {"entries": [to_dict(entry) for entry in entries], "peaks": None}
    if peaks is not None:
        given["peaks"] = {"per_second": peaks.per_second, "loudness": {"caller": [*peaks.caller]}}
    code = """await (async () => { const q = await import('/static/console/quiet.js');
      const story = m.tell(given.entries, q.lastSounds(given.entries, given.peaks));
      return {...story, stretches: story.answers.map((a) => m.stretches(a))}; })()"""
    return await run(page, "console/story", code, given)


async def test_a_call_is_told_as_its_transcript_is(page: Page) -> None:
    entries = a_call()
    story = await told(page, entries)
    said = [item for item in story["items"] if item["kind"] == "said"]
    lines = journal.transcript(entries)
    assert [(s["speaker"], s["text"], s["at_ms"], s["interrupted"], s["unheard"]) for s in said] == [
        (line.speaker, line.text, line.started_ms, line.interrupted, line.unheard) for line in lines
    ]
    marks = [(item["what"], item.get("detail")) for item in story["items"] if item["kind"] == "mark"]
    assert marks == [
        ("key", "42"),
        ("note", None),
        ("paused", None),
        ("recording", None),
        ("end", "caller"),
    ]
    assert story["pauses"] == [[6600, 6900]]
    assert story["silences"] == [[4200, None, 2]]
    assert story["duration_ms"] == 7000


async def test_the_answers_came_as_the_picture_of_the_call_has_it(page: Page) -> None:
    entries = a_call()
    peaks = loudness(7000, (1100, 2300), (4250, 4700))
    answers = read_scene(entries, peaks).answers
    assert answers[1].quiet_ms is not None, "the recording tells"
    story = await told(page, entries, peaks)
    its = {answer["reply"]: answer for answer in story["answers"]}
    stretches = dict(zip(its, story["stretches"], strict=True))
    for answer in answers:
        same = its[answer.reply]
        assert (same["quiet_ms"], same["wait_ms"]) == (answer.quiet_ms, answer.wait_ms)
        ours = [*caller_stretches(answer), *agent_stretches(answer)]
        assert [(s["name"], s["start"], s["stop"]) for s in stretches[answer.reply]] == [
            (s.name, s.start, s.stop) for s in ours
        ]


async def test_the_last_sound_of_any_turn_is_where_we_find_it(page: Page) -> None:
    random.seed(11)
    for _ in range(25):
        entries: list[journal.Entry] = []
        spoken, at = [], 200
        for turn in range(1, 6):
            begin = at + random.randint(0, 800)
            stop = begin + random.randint(100, 1500)
            spoken.append((begin, stop))
            at = stop + random.randint(0, 1200)
            entries.append(journal.CallerSpoke(turn, "words", begin + random.randint(0, 300), at))
            entries.append(journal.AgentSpoke(turn, turn, "turn.ended", "x", "", False, at, at, at, at, at, at))
        peaks = loudness(at + 500, *spoken)
        story = await told(page, entries, peaks)
        ours = [answer.quiet_ms for answer in read_scene(entries, peaks).answers]
        assert [answer["quiet_ms"] for answer in story["answers"]] == ours


async def test_a_journal_that_breaks_off_is_read_as_far_as_it_goes(page: Page) -> None:
    text = '{"format": 1}\n{"entry": "call_opened", "at_ms": 0}\n{"entry": "key_pre'
    assert await run(page, "console/story", "m.readJournal(given)", text) == [{"entry": "call_opened", "at_ms": 0}]
    assert await run(page, "console/story", "m.readJournal('')") == []


async def test_peaks_are_read_as_the_api_sends_them(page: Page) -> None:
    given = {"per_second": 50, "caller": base64.b64encode(bytes([0, 127])).decode(), "agent": ""}
    code = "[Array.from(m.decodePeaks(given).caller), m.decodePeaks(given).loudness.agent.length]"
    assert await run(page, "console/peaks", code, given) == [[0, 1], 0]


async def test_a_live_call_is_told_as_its_events_come(page: Page) -> None:
    call: dict[str, Any] = {
        "id": "c",
        "from": "+1",
        "to": "+2",
        "agent": "echo",
        "talk": [],
        "words": {},
        "saying": None,
    }
    events: list[dict[str, Any]] = [
        {"type": "turn.started", "speaker": "caller", "at_ms": 100},
        {"type": "turn.words", "speaker": "caller", "text": "When do", "at_ms": 300},
        {"type": "state", "state": "thinking", "at_ms": 900},
        {"type": "turn.ended", "speaker": "caller", "turn": 1, "text": "When do you open?", "meaning": "words"},
        {"type": "agent.speaking", "reply": 1, "text": "At nine.", "heard": "At", "answer_ms": 640, "occasion": ""},
    ]
    code = """(() => { const call = new m.LiveCall(given[0]); const seen = [];
      for (const event of given[1]) {
        call.take(event);
        seen.push(call.lines.map((l) => [l.speaker, l.text, l.open, l.heard]));
      }
      const lines = call.lines.map((l) => [l.text, l.unheard, l.interrupted, l.title]);
      return [seen, call.state, call.answers, lines]; })()"""
    seen, state, answers, _ = await run(page, "console/live_calls", code, [call, events])
    assert seen[0] == [["caller", "", True, None]]
    assert seen[1] == [["caller", "When do", True, None]]
    assert seen[3] == [["caller", "When do you open?", False, None]]
    assert seen[4][1] == ["agent", "At nine.", True, 2]
    assert (state, answers) == ("thinking", [])
    events += [
        {"type": "turn.started", "speaker": "caller"},
        {
            "type": "agent.spoke",
            "reply": 1,
            "occasion": "turn.ended",
            "heard": "At",
            "unheard": " nine.",
            "interrupted": True,
            "latencies": {"sent_ms": 650},
        },
        {"type": "turn.ended", "speaker": "caller", "turn": 2, "text": "", "meaning": "empty"},
        {"type": "key", "digit": "", "masked": True},
        {"type": "call.ended", "reason": "caller"},
    ]
    _, _, answers, lines = await run(page, "console/live_calls", code, [call, events])
    assert answers == [650]
    assert lines[:2] == [["When do you open?", "", False, None], ["At", " nine.", True, None]]
    assert [line[3] for line in lines[2:]] == ["A key was pressed (masked)", "Call ended"]


@pytest.mark.parametrize("since", ["2026-05-03", "2026-13-99", "x"])
async def test_days_are_the_readers_from_midnight_to_midnight(page: Page, since: str) -> None:
    code = "m.asQuery({since: given, until: given, q: '', speaker: 'agent', number: '1'})"
    query = await run(page, "console/calls_filters", code, since)
    assert query["number"] == "1"
    assert "speaker" not in query, "without words nobody said them"
    if since == "2026-05-03":
        day = await page.evaluate("([a, b]) => new Date(b) - new Date(a)", [query["since"], query["until"]])
        assert day == 24 * 3600 * 1000


async def test_a_paused_call_that_has_moved_is_told_to_be_paused(page: Page) -> None:
    code = """await (async () => {
      window.WebSocket = class extends EventTarget { close() {} };
      const ear = new m.Listening("c1", { ended() {} });
      const told = given.map((what) => {
        ear._take(what === "sound" ? new Uint8Array(6).buffer : JSON.stringify({ type: what, at_ms: 0 }));
        return ear.node.querySelector("[role=status]").textContent;
      });
      ear.stop();
      return told; })()"""
    moves, paused = "The call moves to another node …", "The recording is paused: nothing is heard"
    told = await run(page, "console/listen", code, ["moved", "sound", "moved", "paused", "sound", "resumed"])
    assert told == [moves, "Listening", moves, paused, paused, "Listening"]
