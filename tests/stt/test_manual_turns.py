"""Playbook for the turns of the manual socket: speech, silence and texts in, turn events out."""

from __future__ import annotations

import pytest

from bridge.audio.vad import WINDOW_MS
from bridge.conversation import events as on
from bridge.stt.manual_turns import Finalize, ManualTurns, Output

FLUSHED = None
Started, Updated, Eager, Resumed, Ended = (
    on.TurnStarted,
    on.TurnUpdated,
    on.TurnEagerlyEnded,
    on.TurnResumed,
    on.TurnEnded,
)


class Play:
    """One connection. Each call returns what came of it."""

    def __init__(self, pause_ms: int = 800, eager_pause_ms: int = 300) -> None:
        self.turns = ManualTurns(pause_ms=pause_ms, eager_pause_ms=eager_pause_ms)
        self.told: list[Output] = []

    def speech(self, ms: int = 640) -> list[Output]:
        return self._hear(ms, 0.95)

    def silence(self, ms: int) -> list[Output]:
        return self._hear(ms, 0.02)

    def final(self, text: str) -> list[Output]:
        return self._keep(self.turns.transcript(text, is_final=True))

    def interim(self, text: str) -> list[Output]:
        return self._keep(self.turns.transcript(text, is_final=False))

    def flushed(self) -> list[Output]:
        return self._keep(self.turns.flushed())

    def finish(self) -> list[Output]:
        return self._keep(self.turns.finish())

    def _hear(self, ms: int, score: float) -> list[Output]:
        told: list[Output] = []
        for _ in range(round(ms / WINDOW_MS)):
            told += self.turns.hear(score)
        return self._keep(told)

    def _keep(self, outputs: list[Output]) -> list[Output]:
        self.told += outputs
        return outputs


def test_a_turn() -> None:
    play = Play()
    assert play.silence(1000) == []
    assert play.speech() == [Started()]
    assert play.silence(352) == [Finalize()]
    assert play.final("Hello.") == [Updated("Hello.")]
    assert play.flushed() == [Eager("Hello.")]
    assert play.silence(384) == []
    assert play.silence(96) == [Ended("Hello.")]
    assert play.silence(10_000) == []
    assert play.speech() == [Started()]
    assert play.interim(" And") == [Updated(" And")]


def test_speech_is_a_start_within_100_ms() -> None:
    assert Play().speech(96) == [Started()]


def test_a_click_is_nothing() -> None:
    play = Play()
    assert play.speech(64) == []
    assert play.silence(2000) == []


@pytest.mark.parametrize(
    ("answers", "at_once"),
    [
        (["Please hurry.", FLUSHED], True),
        (["Please hur", "ry.", FLUSHED], True),
        ([FLUSHED, "Please hurry."], False),
        ([FLUSHED, "Please hur", "ry."], False),
        (["Please hur", FLUSHED, "ry."], False),
    ],
)
def test_the_answer_in_any_order(answers: list[str | None], at_once: bool) -> None:
    play = Play()
    play.speech()
    play.silence(320)
    for answer in answers:
        if answer is FLUSHED:
            play.flushed()
        else:
            play.final(answer)
    if at_once:
        assert play.told[-1] == Eager("Please hurry.")
    else:
        assert play.told[-1] == Updated("Please hurry.")
        assert play.silence(64) == []
        assert play.silence(224) == [Eager("Please hurry.")]
    assert play.silence(600) == [Ended("Please hurry.")]


def test_a_service_that_sends_finals_late_is_given_time_from_then_on() -> None:
    play = Play()
    play.speech()
    play.silence(320)
    play.flushed()
    play.final("One.")
    play.silence(1000)
    play.speech()
    play.silence(320)
    play.final(" Two")
    assert play.flushed() == []
    assert play.final(" three.") == [Updated(" Two three.")]
    assert play.silence(288) == [Eager(" Two three.")]


def test_going_on_within_the_pause() -> None:
    play = Play()
    play.speech()
    play.silence(320)
    play.final("My number is")
    play.flushed()
    assert play.speech() == [Resumed()]
    assert play.silence(320) == [Finalize()]
    assert play.final(" four two.") == [Updated("My number is four two.")]
    assert play.flushed() == [Eager("My number is four two.")]
    assert play.silence(600) == [Ended("My number is four two.")]


def test_an_answer_without_its_text_is_given_time_in_every_pause() -> None:
    play = Play()
    play.speech()
    play.silence(320)
    play.final("One")
    assert play.flushed() == [Eager("One")]
    play.speech()
    play.silence(320)
    assert play.flushed() == []
    assert play.final(" two.") == [Updated("One two.")]
    assert play.silence(288) == [Eager("One two.")]


def test_interim_texts_in_a_pause_are_told_when_the_caller_goes_on() -> None:
    play = Play()
    play.speech()
    play.silence(320)
    play.final("One")
    play.flushed()
    assert play.interim(" two") == []
    assert play.speech() == [Resumed(), Updated("One two")]


def test_going_on_before_the_answer_is_one_turn_and_no_resume() -> None:
    play = Play()
    play.speech()
    assert play.silence(320) == [Finalize()]
    assert play.speech() == []
    assert play.final("My number is") == [Updated("My number is")]
    assert play.flushed() == []
    assert play.silence(320) == [Finalize()]
    play.final(" four.")
    assert play.flushed() == [Eager("My number is four.")]


def test_two_finalizes_want_two_answers() -> None:
    play = Play()
    play.speech()
    play.silence(320)
    play.speech()
    play.silence(320)
    play.final("One")
    assert play.flushed() == []
    assert play.silence(320) == []
    play.final(" two.")
    assert play.flushed() == [Eager("One two.")]


def test_the_end_waits_for_the_answer() -> None:
    play = Play()
    play.speech()
    assert play.silence(1600) == [Finalize()]
    assert play.final("Hello.") == [Updated("Hello.")]
    assert play.flushed() == [Ended("Hello.")]


def test_no_word_is_cut_by_a_finalize() -> None:
    play = Play()
    play.speech()
    play.silence(288)
    assert play.speech(32) == []  # may be the beginning of a word
    assert play.silence(32) == [Finalize()]
    later = Play()
    later.speech()
    assert [told for _ in range(12) for told in later.turns.hear(0.02, more=True)] == []
    assert later.turns.hear(0.02) == [Finalize()]


def test_noise_ends_empty_and_is_no_eager_end() -> None:
    play = Play()
    play.speech(128)
    assert play.silence(320) == [Finalize()]
    assert play.flushed() == []
    assert play.silence(700) == [Ended("")]


def test_a_service_that_never_answers() -> None:
    play = Play()
    play.speech()
    assert play.silence(3200) == [Finalize()]
    assert play.silence(200) == [Ended("")]


def test_a_service_that_never_finalises_leaves_its_interim_text() -> None:
    play = Play()
    play.speech()
    assert play.interim("Where are") == [Updated("Where are")]
    play.interim("Where are my keys")
    assert play.silence(4000) == [Finalize(), Ended("Where are my keys")]
    # The final text of what the turn already ended with says nothing new.
    assert play.final("Where are my keys?") == []
    assert play.silence(1000) == []
    assert play.speech() == [Started()]


def test_only_the_rest_of_a_late_final_text_is_news() -> None:
    play = Play()
    play.speech()
    play.interim("Where are")
    play.silence(4000)
    play.final("Where are my keys?")
    assert play.silence(320) == [Started(), Updated(" my keys?"), Ended(" my keys?")]


def test_a_caller_who_repeats_himself_is_not_taken_for_a_late_text() -> None:
    play = Play()
    play.speech()
    play.interim("Yes")
    play.silence(4000)
    assert play.speech() == [Started()]
    play.silence(320)
    assert play.final("Yes.") == [Updated("Yes.")]


def test_late_text_is_a_turn_of_its_own() -> None:
    play = Play()
    play.speech()
    play.silence(4000)
    assert play.final("Hello") == []
    assert play.final(" there.") == []
    assert play.silence(320) == [Started(), Updated("Hello there."), Ended("Hello there.")]
    assert play.silence(5000) == []


def test_late_text_begins_the_turn_that_follows() -> None:
    play = Play()
    play.speech()
    play.silence(4000)
    play.final("Hello")
    assert play.speech() == [Started(), Updated("Hello")]
    play.silence(320)
    play.final(" again.")
    assert play.flushed() == [Eager("Hello again.")]


def test_late_punctuation_opens_no_turn_and_is_kept() -> None:
    play = Play()
    play.speech()
    play.silence(4000)
    assert play.final(".") == []
    assert play.silence(5000) == []
    assert play.speech() == [Started(), Updated(".")]


def test_speech_that_only_the_service_heard_is_a_turn() -> None:
    play = Play()
    play.silence(2000)
    play.final("Yes.")
    assert play.silence(320) == [Started(), Updated("Yes."), Ended("Yes.")]


def test_interim_texts_replace_each_other_and_never_shrink_the_turn() -> None:
    play = Play()
    play.speech()
    assert play.interim("My order") == [Updated("My order")]
    assert play.interim("My") == []
    assert play.interim("My border") == []
    assert play.interim("My order number") == [Updated("My order number")]
    assert play.final("My order") == []  # the rest is to come
    assert play.interim(" number is") == [Updated("My order number is")]
    play.silence(320)
    assert play.final(" number, it is four.") == [Updated("My order number, it is four.")]
    assert play.flushed() == [Eager("My order number, it is four.")]


def test_interim_texts_before_the_start_are_told_with_it() -> None:
    play = Play()
    assert play.interim("Hel") == []
    assert play.speech(96) == [Started(), Updated("Hel")]


def test_finals_without_a_finalize_are_parts_of_the_turn() -> None:
    play = Play()
    play.speech()
    assert play.final("One,") == [Updated("One,")]
    assert play.flushed() == []  # nobody asked
    play.speech()
    play.silence(320)
    play.final(" two.")
    assert play.flushed() == [Eager("One, two.")]


def test_a_final_text_after_the_eager_end_takes_it_back() -> None:
    play = Play()
    play.speech()
    play.silence(320)
    play.final("Call me")
    play.flushed()
    assert play.final(" back.") == [Resumed(), Updated("Call me back.")]
    assert play.silence(128) == [Eager("Call me back.")]
    assert play.final("") == []


def test_an_eager_pause_longer_than_the_pause_has_no_eager_end() -> None:
    play = Play(pause_ms=400, eager_pause_ms=2000)
    play.speech()
    assert play.silence(448) == [Finalize()]
    play.final("Hello.")
    assert play.flushed() == [Ended("Hello.")]


def test_the_end_of_the_call() -> None:
    play = Play()
    play.speech()
    play.final(" Good")
    play.interim("bye")
    assert play.finish() == [Ended(" Goodbye")]
    assert play.finish() == []
    late = Play()
    late.speech(64)
    late.final(" Bye.")
    assert late.finish() == [Started(), Updated(" Bye."), Ended(" Bye.")]
    assert late.finish() == []
    assert Play().finish() == []
