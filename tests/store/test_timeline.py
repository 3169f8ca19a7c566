"""The picture of a call: well-formed whatever was said, nothing cut off, no text over another."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.conversation import journal as j
from bridge.store import svg
from bridge.store.loudness import Peaks
from bridge.store.scene import read_scene
from bridge.store.timeline import timeline_svg
from bridge.store.timeline_plan import TEXT_SIZE, Label, LanePlan
from bridge.store.timeline_style import LEFT, RIGHT
from tests.store.samples import ENTRIES, HEADER, TROUBLED, TROUBLED_PEAKS, loudness

SVG = "{http://www.w3.org/2000/svg}"
ODD = [
    "control \x00\x08\x1b\x7f\ufffe characters",
    "half \ud83d a pair",
    "👩‍👩‍👧‍👦 😀 emoji",
    "W" * 5000,
    '<script>alert("&amp;")</script>]]>',
    "日本語のテキスト مرحبا بالعالم \u202e right to left",
    "\n\t \r",
]


def draw(entries: list[j.Entry], peaks: Peaks | None = None) -> ET.Element:
    return ET.fromstring(timeline_svg(HEADER, entries, peaks))


def words(picture: ET.Element) -> str:
    return " ".join(" ".join(text.itertext()) for text in picture.iter(SVG + "text"))


def test_everything_that_happened_is_in_it() -> None:
    # The caller is loud until 4.2 s, 0.8 s before the first turn's end, and so on.
    caller = loudness((2800, 4200), (7100, 8100), (15_400, 15_700), (16_000, 16_200), length_ms=17_000)
    picture = draw(ENTRIES, Peaks(50, caller, bytes([0, 100] * 425)))
    shown = words(picture)
    for text in (
        *("+15551234567 → +15557654321", "2026-03-01 12:34:56 UTC", "inbound", "webhook", "the caller hung up"),
        *("5f0c2a7be1d9", "CA0123456789abcdef0123456789abcdef", "0:17.0"),
        *("Hello, Blue Door.", "Hi, when do you open?", "uh-huh", "1502 ms", "802 ms"),
        *("barge-in", "false alarm", "keys 4#", "note: name: Zoë", "speech_timeout", "stream broke", "resumed"),
        *("early answer dropped", "after the last sound", "end: caller"),
    ):
        assert text in shown
    looks = [element.get("class") for element in picture.iter()]
    for look in ("caller", "noise", "agent", "unheard", "hush", "hush-sign", "gone", "wave", "idle", "wait"):
        assert look in looks
    assert {"caller-tail", "caller-aside", "fill-quiet", "fill-eager", "turn-end"} <= set(looks)
    missed = [span.text for span in picture.iter(SVG + "tspan") if span.get("class") == "missed"]
    assert missed == ["eight."]


def test_every_step_of_an_answer_is_told_with_its_time() -> None:
    shown = words(draw(TROUBLED, TROUBLED_PEAKS))
    minus = "\N{MINUS SIGN}"
    for told in (
        # Prepared at the eager end, and held until the turn was over.
        "last sound _900 · eager _400 · text _350 · audio _100 · turn end 0 · sent 0 · mark +510 ms",
        # The caller went on after an eager end.
        "false eager _2400 · last sound _800 · turn end 0 · text +420 · audio +800 · sent +805 · mark +1310 ms",
        "asked 0 · text +3 · audio +190 · sent +192 · mark +690 ms",
        "last sound _700 · turn end 0 · text +600 ms",
    ):
        assert told.replace("_", minus) in shown
    assert "1253 ms usual wait after the last sound, 10900 at most" in shown
    assert "553 ms usual wait after the turn's end, 10000 at most" in shown


def test_nothing_that_was_over_before_the_turns_end_stands_after_it() -> None:
    picture = draw(
        [
            j.CallerSpoke(1, "Hi", 0, 1000, eager_ms=400),
            j.AgentSpoke(1, 1, "turn.ended", "Yes", "", False, 400, 2000, 500, 700, 1000, 1600, speculative=True),
        ]
    )
    bars = {
        str(box.get("class")): (float(box.get("x", "0")), float(box.get("width", "0")))
        for box in picture.iter(SVG + "rect")
        if box.get("height") in {"8.0", "25.0"} and box.get("class") != "rail"
    }
    end = bars["turn-end"][0] + 1
    assert set(bars) == {"turn-end", "fill-eager", "fill-text", "fill-audio", "fill-sent", "fill-mark"}
    for look in ("fill-eager", "fill-text", "fill-audio", "fill-sent"):
        assert bars[look][0] + bars[look][1] <= end + 0.1, look
    assert bars["fill-mark"][0] == pytest.approx(end, abs=0.2)
    starts = [bars[look][0] for look in ("fill-eager", "fill-text", "fill-audio", "fill-sent", "fill-mark")]
    assert starts == sorted(starts)


def test_an_answer_that_took_far_longer_than_the_others_is_cut() -> None:
    looks = [element.get("class") for element in draw(TROUBLED, TROUBLED_PEAKS).iter()]
    assert looks.count("cut") == 1
    assert "cut" not in [element.get("class") for element in draw(ENTRIES).iter()]


def test_echoes_and_turns_with_missing_words() -> None:
    picture = draw(TROUBLED, TROUBLED_PEAKS)
    shown = words(picture)
    assert "And could you …  – speech service away" in shown
    assert "(echo)" in shown
    assert "speech to text: connect_failed ×4" in shown
    looks = [element.get("class") for element in picture.iter()]
    assert looks.count("trouble") == 3, "one of the two goes on in the next lane"
    assert looks.count("caller-aside") == 2, "the echo and the backchannel"
    titles = [title.text or "" for title in picture.iter(SVG + "title")]
    assert any(title.endswith("half past eight it [echo]") for title in titles)
    assert any("(no speech) [the speech service was away, words are missing]" in title for title in titles)
    assert any("(4 times in 5500 ms)" in title for title in titles)


def test_it_is_a_plain_picture() -> None:
    drawn = timeline_svg(HEADER, ENTRIES)
    assert "prefers-color-scheme:dark" in drawn
    assert drawn.count("http") == 1, "nothing is fetched from anywhere: only the name of the format"
    assert not [element for element in draw(ENTRIES).iter() if element.tag.endswith(("script", "image", "use"))]


@pytest.mark.parametrize("text", ODD)
def test_odd_texts(text: str) -> None:
    entries: list[j.Entry] = [
        j.CallerSpoke(1, text, 0, 1000),
        j.AgentSpoke(1, 1, "turn.ended", text, text, True, 1000, 2000, 1100, 1200, 1300, 1400),
        j.KeyPressed(1, text[:3]),
        j.NoteTaken(2, {text: text}),
        j.ProblemMet(3, "agent", text, text),
        j.CallClosed(2500, text),
    ]
    ET.fromstring(timeline_svg(replace(HEADER, id=text, caller=text, started_at=text), entries, None))


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(), max_size=200), min_size=4, max_size=4))
def test_any_text_makes_a_well_formed_picture(texts: list[str]) -> None:
    a, b, c, d = texts
    entries: list[j.Entry] = [
        j.CallerSpoke(1, a, 0, 1000),
        j.AgentSpoke(1, 1, "turn.ended", b, c, True, 1000, 2000, 1100, 1200, 1300, 1400),
        j.NoteTaken(2, {d: a}),
    ]
    draw(entries)


@pytest.mark.parametrize(
    "entries", [[], [j.CallOpened()], [j.CallOpened(), j.CallClosed(0, "caller")], [j.CallClosed(10**15, "caller")]]
)
def test_calls_in_which_nothing_happened(entries: list[j.Entry]) -> None:
    picture = draw(entries)
    assert "Caller" in words(picture)
    assert float(picture.get("height", "0")) < 60 * 200


def test_the_sound_of_a_side_that_did_not_speak() -> None:
    draw([], Peaks(10, b"", b""))
    draw([], Peaks(10, bytes([127] * 100), b""))


def test_a_long_call_wraps_into_lanes() -> None:
    def lanes(seconds: int) -> int:
        picture = draw([j.CallClosed(seconds * 1000, "caller")])
        return sum(element.get("class") == "panel" for element in picture.iter(SVG + "rect"))

    assert [lanes(s) for s in (3, 30, 31, 300, 1800, 3600, 7200)] == [1, 1, 2, 10, 60, 60, 60]


@pytest.mark.parametrize("entries", [ENTRIES, TROUBLED])
def test_nothing_stands_outside(entries: list[j.Entry]) -> None:
    picture = draw(entries)
    wide, high = float(picture.get("width", "0")), float(picture.get("height", "0"))
    for text in picture.iter(SVG + "text"):
        length = svg.width("".join(text.itertext()), 12)
        x = float(text.get("x", "0"))
        left = {"end": x - length, "middle": x - length / 2}.get(text.get("text-anchor", ""), x)
        assert left >= 0
        assert left + length <= wide
        assert 0 < float(text.get("y", "0")) < high


moments = st.tuples(st.integers(0, 4000), st.integers(0, 9000), st.integers(0, 40), st.booleans())


def _journal(moves: list[tuple[int, int, int, bool]]) -> list[j.Entry]:
    entries: list[j.Entry] = []
    now = 0
    for number, (wait, length, count, caller) in enumerate(moves):
        start, now = now + wait, now + wait + length
        text = " ".join(["word", "and", "extraordinarily"][n % 3] for n in range(count))
        if caller:
            entries.append(j.CallerSpoke(number, text, start, now))
        else:
            entries.append(j.AgentSpoke(number, 0, "prompt", text, text, True, start, now, sent_ms=start))
        entries.append(j.NoteTaken(start, {"note": text}))
    return entries


@settings(deadline=None)  # what takes long is the machine, and never the same example
@given(st.lists(moments, max_size=30))
def test_no_text_stands_over_another(moves: list[tuple[int, int, int, bool]]) -> None:
    scene = read_scene(_journal(moves))
    for start in range(0, scene.duration_ms + 1, 30_000):
        plan = LanePlan(scene, start, start + 30_000)
        for labels in (plan.caller, plan.agent):
            spans = [(label.x, label.x + _wide(label)) for label in labels if label.lines]
            assert all(left >= LEFT and right <= RIGHT + 0.001 for left, right in spans)
            assert all(a[1] < b[0] for a, b in pairwise(spans))
        for row in range(plan.marker_rows):
            spans = [
                (m.label_x, m.label_x + 14 + svg.width(m.label, 11))
                for m in plan.markers
                if m.row == row and m.label
            ]
            assert all(left >= LEFT and right <= RIGHT + 0.001 for left, right in spans)
            assert all(a[1] < b[0] for a, b in pairwise(spans))


@settings(deadline=None)
@given(st.lists(moments, max_size=20))
def test_every_text_has_its_place_in_one_lane(moves: list[tuple[int, int, int, bool]]) -> None:
    scene = read_scene(_journal(moves))
    plans = [LanePlan(scene, start, start + 30_000) for start in range(0, scene.duration_ms + 1, 30_000)]
    for side, labels in (
        (scene.caller, [len(plan.caller) for plan in plans]),
        (scene.agent, [len(plan.agent) for plan in plans]),
    ):
        begins = [speech.start_ms for speech in side if speech.text or speech.unheard]
        assert sum(labels) <= len(begins)
        if all(after - before > 2500 for before, after in pairwise(begins)):
            assert sum(labels) == len(begins), "none has to give way to another"


def test_a_call_with_thousands_of_turns_stays_a_picture() -> None:
    entries: list[j.Entry] = []
    for number in range(2000):
        at, text = 4000 * number, "What is said in one turn of a very long call, again and again. " * 3
        entries.append(j.CallerSpoke(number, text, at, at + 1500, at + 1300))
        steps = (at + 1500, at + 3900, at + 1600, at + 1800, at + 1900 + number % 700, at + 2500)
        entries.append(j.AgentSpoke(number, number, "turn.ended", text, "", False, *steps))
    entries += [j.KeyPressed(at_ms, "1") for at_ms in range(0, 3_000_000, 3000)]
    picture = timeline_svg(HEADER, entries)
    root = ET.fromstring(picture)
    assert float(root.attrib["height"]) < 25_000
    assert len(picture) < 4_000_000
    assert "How the answers came: the 60 of" in picture


def test_an_hour_is_drawn_in_no_time() -> None:
    moves = [(500, 4000, 20, bool(n % 2)) for n in range(800)]
    entries = _journal(moves)
    peaks = Peaks(50, bytes([80, 20] * 90_000), bytes([80, 20] * 90_000))
    began = time.process_time()
    timeline_svg(HEADER, entries, peaks)
    assert time.process_time() - began < 4


def _wide(label: Label) -> float:
    return max(svg.width("".join(run.text for run in line).removesuffix("…"), TEXT_SIZE) for line in label.lines)
