"""What a picture of a call shows, read off its journal."""

from __future__ import annotations

from bridge.conversation import journal as j
from bridge.store.loudness import Peaks
from bridge.store.scene import Speech, read_scene
from tests.store.samples import ENTRIES, TROUBLED, TROUBLED_PEAKS, loudness


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
        (11_920, "message", "message 1"),
        (11_980, "transfer", "transfer: busy"),
        (12_000, "note", "note: name: Zoë 😀, numbers: [1, 2.5, None], deep: {'a': True}"),
        (12_500, "problem", "text to speech: speech_timeout"),
        (12_600, "recording paused", "(recording paused)"),
        (12_900, "recording resumed", "(recording resumed)"),
        (13_000, "stream broke", "stream broke"),
        (14_000, "stream broke", "taken over"),
        (15_000, "stream resumed", "resumed"),
        (17_000, "end", "end: caller"),
    ]


def test_how_long_answers_took() -> None:
    greeting, early, plain = read_scene(ENTRIES).answers
    assert (greeting.question, greeting.asked_for, greeting.from_ms, greeting.response_ms) == ("", False, 20, 242)
    assert (early.question, early.from_ms, early.response_ms) == (" Hi, when do you open? ", 5000, 702)
    assert (early.eager_ms, early.quiet_ms, early.wait_ms) == (4700, None, 702), "without a recording"
    assert plain.eager_ms is None


def test_the_recording_tells_when_the_caller_was_last_heard() -> None:
    scene = read_scene(TROUBLED, TROUBLED_PEAKS)
    assert [turn.quiet_ms for turn in scene.caller] == [
        *(5900, 12_200, 15_300, 16_100),
        20_000,  # The service was away, and it took long until the turn was given up.
        None,  # no words
        *(35_100, 52_300, 53_900),
    ]
    assert [(a.reply, a.quiet_ms, a.wait_ms, a.response_ms) for a in scene.answers] == [
        (1, None, 192, 192),
        (2, 5900, 900, 0),
        (4, 12_200, 1605, 805),
        (6, 35_100, 10_900, 10_000),
        (7, 52_300, None, None),
        (8, 53_900, 901, 301),
    ], "what the bridge says itself is no answer"


def test_an_eager_end_that_the_caller_took_back() -> None:
    _, straight, resumed, *_ = read_scene(TROUBLED, TROUBLED_PEAKS).answers
    assert not straight.taken_back
    assert resumed.taken_back
    assert not read_scene(TROUBLED).answers[2].taken_back, "nobody knows without a recording"


def test_turns_with_missing_words_are_known() -> None:
    assert [turn.number for turn in read_scene(TROUBLED).caller if turn.degraded] == [5, 6]
    assert [turn.number for turn in read_scene(TROUBLED).caller if turn.kind == "echo"] == [3]


def test_the_same_problem_again_and_again_is_one_marker() -> None:
    met = [j.ProblemMet(at, "stt", "connect_failed", "503") for at in (0, 1000, 9000, 23_999, 39_000)]
    met.insert(1, j.ProblemMet(500, "tts", "connect_failed", "503"))
    assert [(m.at_ms, m.label) for m in read_scene(met).markers] == [
        (0, "speech to text: connect_failed ×4"),
        (500, "text to speech: connect_failed"),
        (39_000, "speech to text: connect_failed"),
    ]


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


def test_a_sound_of_the_turn_before_is_not_taken_for_one_of_this_turn() -> None:
    entries: list[j.Entry] = [
        j.CallerSpoke(1, "one", 1200, 2600),
        j.CallerSpoke(2, "two", 2700, 4000),
    ]
    heard = Peaks(50, loudness((1000, 2500), length_ms=6000), b"")
    assert [turn.quiet_ms for turn in read_scene(entries, heard).caller] == [2500, None]
