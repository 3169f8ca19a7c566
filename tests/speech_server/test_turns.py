"""The turns of a stream, window by window."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from bridge.speech_server.turns import (
    EagerEnded,
    Ended,
    Habits,
    Purpose,
    Resumed,
    Started,
    Transcribe,
    Turns,
    Updated,
    silence_ms,
)
from bridge.stt.cartesia_wire import TurnThresholds
from tests.speech_server.play import Talk

QUIET = Habits(first_preview_ms=100_000)
"""Without previews, where they are not the point."""


def talk(says: str | None = "Hello there.", habits: Habits = QUIET, **thresholds: Any) -> Talk:
    answer = None if says is None else (lambda _: says)
    return Talk(Turns(TurnThresholds(**thresholds), habits), answer)


def test_a_turn() -> None:
    play = talk()
    assert play.silence(500) == []
    assert play.speech(1000) == [Started()]
    assert play.silence(250) == []
    assert play.silence(100) == [EagerEnded("Hello there.")]
    assert play.silence(400) == []
    assert play.silence(100) == [Ended("Hello there.")]
    assert play.silence(5000) == []


def test_the_audio_asked_for_begins_before_the_onset_and_ends_in_the_pause() -> None:
    play = talk()
    play.silence(960)
    play.speech(960)
    play.silence(400)
    (job,) = play.asked
    assert (job.start_ms, job.purpose) == (960 - 350, Purpose.PAUSE)
    assert 1920 + 240 <= job.end_ms <= 1920 + 300
    assert job.voiced_ms == 960


def test_the_pre_roll_does_not_reach_into_the_turn_before() -> None:
    play = talk(None)
    play.speech(640)
    play.silence(320)
    play.answer("One.")
    play.silence(640)
    assert play.told[-1] == Ended("One.")
    play.speech(640)
    play.silence(320)
    first, second = play.asked
    assert second.start_ms >= first.end_ms
    assert play.logic.keep_from_ms == second.start_ms


def test_without_audio_a_turn_stays_open() -> None:
    play = talk()
    play.speech(1000)
    play.silence(700)
    assert not play.logic.idle
    assert play.told == [Started(), EagerEnded("Hello there.")]


def test_speech_after_the_eager_end_resumes_the_turn() -> None:
    texts = iter(["Press one.", "Press one. Or press two."])
    play = Talk(Turns(habits=QUIET), lambda _: next(texts))
    play.speech(1000)
    assert play.silence(400) == [EagerEnded("Press one.")]
    assert play.speech(1000) == [Resumed()]
    assert play.silence(900) == [EagerEnded("Press one. Or press two."), Ended("Press one. Or press two.")]


def test_a_short_pause_is_none_of_the_clients_business() -> None:
    play = talk()
    play.speech(1000)
    play.silence(270)  # long enough to ask for the text, too short for an eager end
    assert play.speech(1000) == []
    assert [job.purpose for job in play.asked] == [Purpose.PAUSE]


def test_from_the_second_turn_on_texts_begin_with_a_space() -> None:
    play = talk("Yes.")
    for _ in range(2):
        play.speech(500)
        play.silence(1000)
    assert [told.text for told in play.told if isinstance(told, Ended)] == ["Yes.", " Yes."]


def test_a_turn_without_words_does_not_count_for_the_space() -> None:
    texts = iter(["", "Yes."])
    play = Talk(Turns(habits=QUIET), lambda _: next(texts))
    play.speech(500)
    assert play.silence(1000) == [Ended("")]
    play.speech(500)
    assert play.silence(1000) == [EagerEnded("Yes."), Ended("Yes.")]


def test_too_little_speech_is_noise_and_is_not_transcribed() -> None:
    play = talk("You")
    assert play.speech(130) == [Started()]
    assert play.silence(1000) == [Ended("")]
    assert play.asked == []


@pytest.mark.parametrize("scores", [[0.9], [0.9, 0.9], [0.9, 0.1, 0.9, 0.1, 0.1], [0.49] * 50])
def test_a_click_starts_nothing(scores: list[float]) -> None:
    logic = Turns()
    assert [output for score in [*scores, *[0.0] * 50] for output in logic.hear(score)] == []


def test_three_loud_windows_of_four_start_a_turn() -> None:
    logic = Turns()
    assert [logic.hear(score) for score in (0.9, 0.1, 0.9, 0.9)] == [[], [], [], [Started()]]


def test_a_click_in_the_pause_neither_ends_nor_prolongs_the_turn() -> None:
    play = talk()
    play.speech(1000)
    play.silence(600)
    play.logic.hear(0.9)
    assert play.silence(128) == []
    assert play.silence(32) == [Ended("Hello there.")]


OFTEN = Habits(first_preview_ms=320, preview_ms=320, preview_share=0)


def test_previews_send_only_what_three_of_them_agree_on_but_the_last_word() -> None:
    play = talk(None, habits=OFTEN)
    play.speech(500)
    assert play.answer("I would like to") == []
    play.speech(350)
    assert play.answer("I would like two") == []
    play.speech(350)
    assert play.answer("I would like two tickets") == [Updated("I would like")]
    play.speech(350)
    assert play.answer("I would like two tickets, please.") == [Updated("I would like two")]


def test_what_was_sent_stays_when_the_final_text_differs() -> None:
    play = talk(None, habits=OFTEN)
    play.speech(150)
    for text in ("four words", "four words to", "four words to go"):
        play.speech(350)
        play.answer(text)
    assert play.told[-1] == Updated("four words")
    play.silence(320)
    assert play.answer("For words to go on with.", Purpose.PAUSE)[-1:] == [EagerEnded("four words to go on with.")]


def test_a_short_pause_will_do_to_freeze_very_long_speech() -> None:
    play = talk(None)
    play.speech(6500)
    play.silence(192)
    assert play.answer("A long one.") == []
    assert play.speech(320) == [Updated("A long one.")]
    assert play.logic.keep_from_ms > 6400


def test_a_final_replaces_a_preview_that_is_still_in_work() -> None:
    play = talk(None, habits=Habits(first_preview_ms=320))
    play.speech(500)
    preview = play.asked[-1]
    play.silence(320)
    assert play.asked[-1].purpose is Purpose.PAUSE
    assert play.logic.transcribed(preview.job, "late") == []
    assert play.answer("Now.") == [EagerEnded("Now.")]


def test_a_text_that_comes_late_ends_the_turn_at_once() -> None:
    play = talk(None)
    play.speech(500)
    assert play.silence(2000) == []
    assert play.answer("Late.") == [Ended("Late.")]


def test_speech_while_the_text_is_awaited_goes_on_with_the_same_turn() -> None:
    play = talk(None)
    play.speech(500)
    play.silence(1000)
    assert play.speech(500) == []
    assert play.answer("One") == []
    play.silence(320)
    assert play.answer("One two.") == [EagerEnded("One two.")]


def test_a_recogniser_that_fails_ends_the_turn_with_what_is_known() -> None:
    play = talk(None)
    play.speech(500)
    play.silence(900)
    assert play.answer(None) == [Ended("")]


def test_long_speech_is_frozen_at_a_pause() -> None:
    play = talk(None)
    play.speech(6000)
    play.silence(320)
    assert play.answer("A long one.") == [EagerEnded("A long one.")]
    assert play.speech(1000) == [Resumed()]
    play.silence(320)
    last = play.asked[-1]
    assert last.start_ms >= 6000
    assert play.answer("And more.") == [EagerEnded("A long one. And more.")]


def test_long_speech_is_frozen_at_a_short_pause_too() -> None:
    play = talk(None)
    play.speech(6000)
    play.silence(270)
    play.answer("A long one.")
    assert play.speech(500) == [Updated("A long one.")]
    play.silence(320)
    assert play.asked[-1].start_ms >= 6000


def test_speech_without_a_pause_is_cut_at_its_quietest_place() -> None:
    play = talk(None, habits=Habits(first_preview_ms=100_000, longest_ms=10_000, search_ms=2_000))
    play.speech(8960)
    play.logic.hear(0.4)  # quieter, but speech all the same
    play.speech(1500)
    (job,) = play.asked
    assert job.purpose is Purpose.FREEZE
    assert abs(job.end_ms - 8976) <= 32
    assert play.answer("The first part") == [Updated("The first part")]
    play.silence(320)
    assert play.asked[-1].start_ms == job.end_ms
    assert play.answer("and the second.") == [EagerEnded("The first part and the second.")]


def test_the_end_of_the_audio_ends_the_turn() -> None:
    play = talk()
    play.speech(1000)
    assert play.finish() == [Ended("Hello there.")]
    assert play.logic.idle


def test_the_end_of_the_audio_in_a_pause_needs_no_new_text() -> None:
    play = talk()
    play.speech(1000)
    play.silence(320)
    assert play.finish() == [Ended("Hello there.")]
    assert len(play.asked) == 1


def test_the_end_of_the_audio_waits_for_a_text_in_work_and_for_what_came_after_it() -> None:
    play = talk(None)
    play.speech(1000)
    play.silence(320)
    play.speech(640)
    assert play.finish() == []
    assert play.answer("One") == []
    assert play.answer("One two.") == [Ended("One two.")]


def test_the_end_of_the_audio_without_a_turn_is_nothing() -> None:
    assert talk().finish() == []


# Thresholds.


def test_the_defaults_are_300_and_800_ms() -> None:
    assert silence_ms(0.4) == pytest.approx(300, abs=1)
    assert silence_ms(0.2) == pytest.approx(800)


def end_after(**thresholds: Any) -> int:
    """ms of silence until the turn ends."""
    play = talk(**thresholds)
    play.speech(1000)
    for count in range(1, 1000):
        if any(isinstance(told, Ended) for told in play.silence(32)):
            return count * 32
    raise AssertionError("no end")


def test_a_lower_end_threshold_is_more_patient() -> None:
    waits = [
        end_after(eager_end_threshold=0.6, end_threshold=threshold) for threshold in (0.5, 0.3, 0.2, 0.1, 0.05)
    ]
    assert waits == sorted(waits)
    assert len(set(waits)) == 5
    assert waits[0] < 400
    assert waits[-1] > 5000


def test_the_time_out_is_the_longest_silence() -> None:
    assert end_after(end_threshold=0.05, end_timeout_ms=640) == 640
    assert end_after(end_timeout_ms=11200) == end_after() == 800


def test_a_lower_eager_threshold_is_more_patient() -> None:
    play = talk(eager_end_threshold=0.3)
    play.speech(1000)
    assert play.silence(450) == []
    assert play.silence(64) == [EagerEnded("Hello there.")]


def test_the_start_threshold_is_the_detectors_limit() -> None:
    strict, lax = (Turns(TurnThresholds(start_threshold=threshold)) for threshold in (0.9, 0.5))
    for _ in range(10):
        strict.hear(0.5)
        lax.hear(0.5)
    assert (strict.idle, lax.idle) == (True, False)


def test_thresholds_change_in_mid_session() -> None:
    play = talk()
    play.speech(1000)
    play.silence(400)
    play.logic.configure(TurnThresholds(end_threshold=0.1))
    assert play.silence(1600) == []
    assert play.silence(200) == [Ended("Hello there.")]


@pytest.mark.parametrize("change", [{"end_threshold": 0.45}, {"start_threshold": 2}, {"end_timeout_ms": 1}])
def test_a_forbidden_change_raises_and_changes_nothing(change: dict[str, float]) -> None:
    play = talk()
    with pytest.raises(ProtocolError):
        play.logic.configure(TurnThresholds(**change))
    play.speech(1000)
    play.silence(800)
    assert play.told[-1] == Ended("Hello there.")


# What holds whatever happens.

WORDS = st.lists(st.sampled_from(["one", "two,", "Three.", "for", "four", "a"]), max_size=6).map(" ".join)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), st.integers(1, 40), st.sampled_from([0.0, 0.02, 0.4, 0.6, 0.95])),
        st.tuples(st.just("answer"), st.just(0), WORDS),
    ),
    max_size=80,
)


class Referee:
    """Checks every event against the protocol's order and the texts against the one before."""

    AFTER: ClassVar[dict[tuple[str, type], str]] = {
        ("idle", Started): "speaking",
        ("speaking", Updated): "speaking",
        ("speaking", EagerEnded): "eager",
        ("speaking", Ended): "idle",
        ("eager", Resumed): "speaking",
        ("eager", Ended): "idle",
    }

    def __init__(self) -> None:
        self.state = "idle"
        self.text = ""
        self.job: Transcribe | None = None
        self.wanted: Transcribe | None = None
        """The same, unless its turn has ended: then nobody waits for its text."""

    def check(self, outputs: list[Any]) -> None:
        for output in outputs:
            if isinstance(output, Transcribe):
                assert output.start_ms < output.end_ms
                self.job = self.wanted = output
                continue
            if isinstance(output, Ended):
                self.wanted = None
            assert (self.state, type(output)) in self.AFTER
            if isinstance(output, Started):
                self.text = ""
            elif not isinstance(output, Resumed):
                assert output.text.startswith(self.text)
                assert output.text != self.text or not isinstance(output, Updated)
                assert output.text or isinstance(output, Ended)
                self.text = output.text
            self.state = self.AFTER[self.state, type(output)]

    def take_job(self) -> int:
        assert self.job is not None
        job, self.job, self.wanted = self.job.job, None, None
        return job


@given(STEPS)
@example([("hear", 4, 0.6), ("hear", 25, 0.0), ("hear", 3, 0.6)])  # A cough, whose preview nobody wants any more.
def test_events_are_legal_and_texts_only_grow(steps: list[tuple[str, int, Any]]) -> None:
    logic = Turns(habits=Habits(first_preview_ms=96, preview_ms=96, freeze_ms=900, longest_ms=2000, search_ms=500))
    referee = Referee()
    for kind, count, value in steps:
        if kind == "hear":
            for _ in range(count):
                referee.check(logic.hear(value))
        elif referee.job is not None:
            referee.check(logic.transcribed(referee.take_job(), value))
        if referee.wanted is not None:
            assert logic.keep_from_ms <= referee.wanted.start_ms
        assert logic.idle == (referee.state == "idle")
    referee.check(logic.finish())
    while referee.job is not None:
        referee.check(logic.transcribed(referee.take_job(), "end"))
    assert referee.state == "idle"
