"""Which text goes into which context, and when its words sound."""

from __future__ import annotations

import pytest

from bridge.conversation.events import Word
from bridge.tts.cartesia_utterance import Piece, Utterance
from bridge.tts.cartesia_wire import WordTimes

SECOND = bytes(8000)


def utterance() -> Utterance:
    return Utterance("call", 7, now=0.0)


def test_pieces_go_into_one_context_as_they_come() -> None:
    speech = utterance()
    assert speech.add("Sure, ", more=True, now=0.0) == [Piece("call-7", "Sure, ", more=True)]
    assert speech.add("here it is.", more=True, now=0.1) == [Piece("call-7", "here it is.", more=True)]
    assert speech.add("", more=False, now=0.2) == [Piece("call-7", "", more=False)]
    assert not speech.finished
    assert speech.take_done("call-7", 0.3)
    assert speech.add("more", more=True, now=0.4) == []


def test_white_space_is_not_spoken_alone_but_never_lost_between_words() -> None:
    speech = utterance()
    assert speech.add(" \n", more=True, now=0.0) == []
    assert speech.add("One", more=True, now=0.0) == [Piece("call-7", " \nOne", more=True)]
    assert speech.add(" ", more=True, now=0.0) == []
    assert speech.add(" two", more=True, now=0.0) == [Piece("call-7", "  two", more=True)]
    assert speech.add(" ", more=False, now=0.0) == [Piece("call-7", "", more=False)]


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_to_say_asks_for_nothing(text: str) -> None:
    speech = utterance()
    assert speech.add(text, more=False, now=0.0) == []
    assert speech.finished


def test_text_after_a_long_pause_goes_into_a_new_context() -> None:
    speech = utterance()
    speech.add("One moment. ", more=True, now=0.0)
    speech.take_audio("call-7", SECOND, 0.2)
    assert speech.add("Still ", more=True, now=0.9) == [Piece("call-7", "Still ", more=True)]
    speech.take_audio("call-7", SECOND, 1.0)
    assert speech.add("here.", more=False, now=2.0) == [Piece("call-7.2", "here.", more=False)]
    assert not speech.take_done("call-7", 2.1)
    assert speech.take_words("call-7.2", WordTimes(["here."], [0.1], [0.4]), 2.2) == (Word("here.", 2.1, 2.4),)
    assert speech.take_words("call-7", WordTimes(["late"], [0.1], [0.4]), 2.2) == ()
    assert speech.take_done("call-7.2", 2.3)


def test_text_after_a_context_was_ended_by_the_service() -> None:
    speech = utterance()
    speech.add("One. ", more=True, now=0.0)
    speech.take_audio("call-7", SECOND, 0.2)
    assert not speech.take_done("call-7", 0.3)
    assert not speech.waiting
    assert speech.add("Two.", more=True, now=0.4) == [Piece("call-7.2", "Two.", more=True)]
    speech.take_done("call-7.2", 0.5)
    assert speech.add("", more=False, now=0.6) == []
    assert speech.finished


@pytest.mark.parametrize(("told_at", "only_closing"), [(0.5, False), (5.0, True)])
def test_the_end_told_to_an_expired_context_need_not_be_answered(told_at: float, *, only_closing: bool) -> None:
    speech = utterance()
    speech.add("One.", more=True, now=0.0)
    speech.take_audio("call-7", SECOND, 0.2)
    assert speech.add("", more=False, now=told_at) == [Piece("call-7", "", more=False)]
    assert speech.waiting
    assert speech.only_closing is only_closing


def test_who_is_waited_for() -> None:
    speech = utterance()
    waiting = [speech.waiting]
    speech.add("One. ", more=True, now=0.0)
    waiting.append(speech.waiting)
    speech.take_audio("call-7", b"\xff", 0.1)
    waiting.append(speech.waiting)  # more audio may come, and more text: nobody can tell
    speech.add("Two.", more=False, now=0.2)
    waiting.append(speech.waiting)
    speech.take_done("call-7", 0.3)
    waiting.append(speech.waiting)
    assert waiting == [False, True, False, True, False]


def test_asking_again_uses_a_new_context() -> None:
    speech = utterance()
    speech.add("One. ", more=True, now=0.0)
    speech.add("Two.", more=False, now=0.0)
    assert speech.restart(1.0) == [Piece("call-7.2", "One. ", more=True), Piece("call-7.2", "Two.", more=False)]
    assert speech.restart(2.0) == [Piece("call-7.3", "One. ", more=True), Piece("call-7.3", "Two.", more=False)]
    assert speech.contexts == ["call-7", "call-7.2", "call-7.3"]


def test_only_what_gave_no_audio_is_asked_for_again() -> None:
    speech = utterance()
    speech.add("One. ", more=True, now=0.0)
    speech.take_audio("call-7", SECOND, 0.2)
    speech.take_done("call-7", 0.3)
    speech.add("Two.", more=False, now=0.4)
    assert not speech.heard
    assert speech.restart(1.0) == [Piece("call-7.3", "Two.", more=False)]
    assert speech.take_words("call-7.3", WordTimes(["Two."], [0.1], [0.4]), 1.1) == (Word("Two.", 1.1, 1.4),)


def test_word_times_from_the_start_of_the_context() -> None:
    speech = utterance()
    speech.add("One two. ", more=True, now=0.0)
    assert speech.take_words("call-7", WordTimes(["One", "two."], [0.0, 0.3], [0.2, 0.6]), 0.1) == (
        Word("One", 0.0, 0.2),
        Word("two.", 0.3, 0.6),
    )
    speech.take_audio("call-7", SECOND, 0.2)
    speech.take_boundary("call-7")
    assert speech.take_words("call-7", WordTimes(["Three."], [1.0], [1.4]), 0.3) == (Word("Three.", 1.0, 1.4),)


def test_word_times_that_begin_anew_with_each_text() -> None:
    speech = utterance()
    speech.add("One two. Three four.", more=True, now=0.0)
    speech.take_words("call-7", WordTimes(["One", "two."], [0.0, 0.3], [0.2, 0.6]), 0.1)
    speech.take_audio("call-7", SECOND, 0.2)
    speech.take_boundary("call-7")
    assert speech.take_words("call-7", WordTimes(["Three"], [0.1], [0.4]), 0.3) == (Word("Three", 1.1, 1.4),)
    assert speech.take_words("call-7", WordTimes(["four."], [0.5], [0.8]), 0.3) == (Word("four.", 1.5, 1.8),)


def test_a_context_that_still_has_to_speak_has_not_expired() -> None:
    speech = utterance()
    speech.add("One. ", more=True, now=0.0)
    speech.take_audio("call-7", SECOND, 0.2)
    speech.add("Two. ", more=True, now=0.9)
    assert speech.add("Three.", more=True, now=4.0) == [Piece("call-7", "Three.", more=True)]


def test_a_context_whose_text_may_be_held_has_not_expired() -> None:
    speech = Utterance("call", 7, now=0.0, hold_s=3.0)
    speech.add("One ", more=True, now=0.0)
    speech.add("two ", more=True, now=0.1)
    speech.take_audio("call-7", SECOND, 0.2)  # of the first word; the second may be held until 3.1
    assert speech.add("three ", more=True, now=2.0) == [Piece("call-7", "three ", more=True)]
    speech.take_audio("call-7", SECOND, 2.1)
    assert speech.add("four.", more=True, now=6.0) == [Piece("call-7.2", "four.", more=True)]
