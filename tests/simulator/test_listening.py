from __future__ import annotations

from bridge.simulator.listening import Listener, Spurt, is_loud, speech_bounds
from bridge.simulator.voice import FRAME_S, CallerVoice, Utterance

QUIET = b"\xff" * 80
LOUD = b"\x20" * 80


def rounded(spurts: list[Spurt]) -> list[tuple[float, float]]:
    return [(round(spurt.start_s, 3), round(spurt.end_s, 3)) for spurt in spurts]


def test_what_is_loud() -> None:
    assert is_loud(LOUD)
    assert is_loud(QUIET[:76] + LOUD[:4])
    assert not is_loud(QUIET[:77] + LOUD[:3]), "a click"
    assert not is_loud(b"\x7f\xfe\xf0\x70\xe8\x62" * 10), "the hiss of a line"
    assert is_loud(b"\x00" * 80)
    assert not is_loud(b"")


def test_spurts_and_the_pauses_in_them() -> None:
    began: list[float] = []
    listener = Listener(pause_s=0.1, on_start=lambda spurt: began.append(spurt.start_s))
    listener.feed(1.0, QUIET + LOUD * 3 + QUIET * 10 + LOUD + QUIET * 11 + LOUD)
    assert rounded(listener.spurts) == [(1.01, 1.15), (1.26, 1.27)]
    assert [round(at, 3) for at in began] == [1.01, 1.26]
    assert not listener.talking(1.38)
    assert listener.talking(1.36)
    assert round(listener.quiet_for(2.27), 3) == 1.0
    assert round(listener.first_after(1.02) or 0, 3) == 1.26
    assert listener.first_after(1.27) is None
    assert listener.at(1.1) is listener.spurts[0]
    assert listener.at(1.2) is None
    assert listener.heard_after(1.26)
    assert not listener.heard_after(1.28)


def test_talk_after_a_cut_is_another() -> None:
    listener = Listener(pause_s=0.5)
    listener.feed(0.0, LOUD + LOUD[:40])
    listener.cut()
    listener.feed(0.02, LOUD * 2)
    assert rounded(listener.spurts) == [(0.0, 0.015), (0.02, 0.04)]


def test_pieces_of_any_length_join() -> None:
    audio = QUIET * 3 + LOUD * 7 + QUIET * 2
    whole, pieces = Listener(), Listener()
    whole.feed(5.0, audio)
    for at in range(0, len(audio), 37):
        pieces.feed(5.0 + at / 8000, audio[at : at + 37])
    assert rounded(pieces.spurts) == rounded(whole.spurts) == [(5.03, 5.1)]


def test_between_pieces_that_do_not_join_it_is_quiet() -> None:
    listener = Listener(pause_s=0.1)
    listener.feed(0.0, LOUD[:60])
    listener.feed(1.0, LOUD)
    assert rounded(listener.spurts) == [(1.0, 1.01)]
    assert Listener().quiet_for(3.0) == float("inf")
    assert not Listener().talking(3.0)


def test_the_bounds_of_speech_in_a_recording() -> None:
    assert speech_bounds(QUIET * 5 + LOUD + QUIET * 100 + LOUD + QUIET) == (0.05, 1.07)
    assert speech_bounds(QUIET * 5) is None


def test_an_utterance_tells_when_its_speech_was() -> None:
    voice = CallerVoice()
    utterance = Utterance(QUIET * 2 + LOUD * 2 + QUIET * 2, not_before_s=0.03)
    voice.say(utterance)
    frames = [voice.frame(number * FRAME_S) for number in range(6)]
    assert b"".join(frames) == QUIET * 5 + LOUD * 2 + QUIET * 5
    assert utterance.speech_start_s is not None
    assert utterance.speech_end_s is not None
    assert round(utterance.speech_start_s, 4) == 0.05
    assert round(utterance.speech_end_s, 4) == 0.07
    assert not utterance.silent


def test_silence_is_no_speech() -> None:
    voice, utterance = CallerVoice(), Utterance(QUIET * 4)
    assert utterance.silent
    voice.say(utterance)
    voice.frame(0.0)
    voice.drop(utterance)
    assert (utterance.start_s, utterance.end_s) == (0.0, 0.02)
    assert utterance.speech_end_s == 0.02
    assert voice.frame(0.02) == QUIET * 2
