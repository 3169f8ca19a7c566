"""Where speech begins and ends."""

from __future__ import annotations

from bridge.speech_server.activity import SpeechActivity


def heard(*scores: float) -> SpeechActivity:
    activity = SpeechActivity(0.5)
    for score in scores:
        activity.hear(score)
    return activity


def test_the_onset_is_where_the_first_of_the_loud_windows_began() -> None:
    activity = heard(0.0, 0.0, 0.9, 0.1, 0.9, 0.9)
    assert activity.speaking
    assert (activity.onset_ms, activity.now_ms) == (64, 192)


def test_a_gap_of_two_windows_belongs_to_speech_and_one_of_three_does_not() -> None:
    speech = [0.9] * 4
    assert heard(*speech, 0.0, 0.0).speaking
    activity = heard(*speech, 0.0, 0.0, 0.0)
    assert not activity.speaking
    assert (activity.last_speech_ms, activity.silence_ms) == (128, 96)


def test_soft_windows_prolong_speech_but_begin_none() -> None:
    assert heard(*[0.9] * 4, *[0.4] * 10).last_speech_ms == 14 * 32
    assert not heard(*[0.4] * 50).speaking


def test_windows_before_a_gap_do_not_help_the_next_onset() -> None:
    assert not heard(*[0.9] * 4, 0.0, 0.0, 0.0, 0.9, 0.9).speaking
    assert heard(*[0.9] * 4, 0.0, 0.0, 0.0, 0.9, 0.9, 0.9).speaking


def test_loud_windows_are_counted_confirmed_or_not() -> None:
    assert heard(0.9, 0.0, 0.9, 0.0, 0.0).voiced_ms == 64
    assert heard(0.9).maybe_speech
    assert not heard(0.9, 0.1).maybe_speech
