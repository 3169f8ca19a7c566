"""What a picture of a call shows, read off its journal."""

from __future__ import annotations

from bridge.conversation import journal as j
from bridge.store.scene import Peaks, Speech, read_scene
from bridge.store.timeline_answers import steps
from tests.store.samples import ENTRIES


def test_who_spoke_when() -> None:
    scene = read_scene(ENTRIES)
    assert [(s.start_ms, s.stop_ms, s.text, s.kind) for s in scene.caller] == [
        (3000, 5000, " Hi, when do you open? ", "words"),
        (7150, 8600, "And on Sunday?", "words"),
        (9850, 10300, "", "empty"),
        (15500, 15800, "uh-huh", "backchannel"),
        (16000, 16400, "Bye …", "words"),
    ]
    assert scene.agent == (
        Speech(262, 2200, "Hello, Blue Door.", number=1),
        # It was silenced at 7200 for good; the rest of its text would have lasted about as long as it is drawn.
        Speech(5702, 7200, "We open at", unheard=" eight.", unheard_until_ms=7800, number=3),
        Speech(8902, 11000, "Closed.", pauses=((9900, 10350),), number=4),
    )
    assert scene.duration_ms == 17_000
    assert scene.breaks == ((13_000, 15_000),)


def test_the_moments_that_are_marked() -> None:
    assert [(m.at_ms, m.kind, m.label) for m in read_scene(ENTRIES).markers] == [
        (4800, "early answer dropped", "early answer dropped"),
        (7200, "barge-in", "barge-in"),
        (9900, "false alarm", "false alarm"),
        (11_500, "key", "keys 4#"),
        (12_000, "note", "note: name: Zoë 😀, numbers: [1, 2.5, None], deep: {'a': True}"),
        (12_500, "problem", "speech_timeout"),
        (13_000, "stream broke", "stream broke"),
        (15_000, "stream resumed", "resumed"),
        (17_000, "end", "end: caller"),
    ]


def test_how_long_answers_took() -> None:
    greeting, early, plain = read_scene(ENTRIES).answers
    assert (greeting.question, greeting.from_ms, greeting.response_ms) == ("", 20, 242)
    assert (early.question, early.from_ms, early.response_ms) == (" Hi, when do you open? ", 5000, 702)
    assert early.early
    assert steps(early) == [("text", 400), ("audio", 300), ("sent", 2), ("mark", 398)]
    assert steps(plain) == [("text", 50), ("audio", 250), ("sent", 2), ("mark", 398)]


def test_an_answer_that_was_ready_before_the_turn_ended_took_no_time() -> None:
    entries: list[j.Entry] = [
        j.CallerSpoke(1, "Hi", 0, 1000),
        j.AgentSpoke(1, 1, "turn.ended", "Yes", "", False, 500, 2000, 600, 900, 1003, None, speculative=True),
    ]
    (answer,) = read_scene(entries).answers
    assert steps(answer) == [("text", 0), ("audio", 0), ("sent", 3)]
    assert answer.response_ms == 3


def test_what_nobody_heard_gives_way_to_what_was_said_next() -> None:
    entries: list[j.Entry] = [
        j.AgentSpoke(1, 1, "turn.ended", "a", "b" * 500, True, 0, 1000, sent_ms=100),
        j.AgentSpoke(2, 2, "turn.ended", "c", "", False, 1400, 2000, sent_ms=1500),
    ]
    first, _ = read_scene(entries).agent
    assert (first.stop_ms, first.unheard_until_ms) == (1000, 1400)


def test_a_call_without_an_end_lasts_as_long_as_anything_in_it() -> None:
    assert read_scene([]).duration_ms == 0
    assert read_scene([j.KeyPressed(5000, "1")]).duration_ms == 5000
    assert read_scene([], Peaks(10, b"\0" * 70, b"\0" * 70)).duration_ms == 7000
    assert read_scene([j.StreamBroke(500)], Peaks(10, b"\0" * 70, b"\0" * 70)).breaks == ((500, 7000),)


def test_a_time_that_cannot_be_does_not_blow_the_picture_up() -> None:
    assert read_scene([j.CallClosed(10**15, "caller")]).duration_ms == 24 * 3600 * 1000
