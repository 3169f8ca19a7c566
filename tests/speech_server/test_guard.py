"""Text that a recogniser made up."""

from __future__ import annotations

import pytest

from bridge.speech_server.guard import guarded


def guard(
    text: str, *, seconds: float = 3.0, voiced_ms: float = 2000, level_db: float = -20, latin: bool = True
) -> str:
    return guarded(text, seconds=seconds, voiced_ms=voiced_ms, level_db=level_db, latin=latin)


@pytest.mark.parametrize(
    "text",
    [
        "Press 1 to go on.",
        "No, no, no, not that one!",
        "five five",
        "Müller & Söhne, 5 €, naïve café.",
        "It's “quoted” – really…",
        "one one one one",
        "very, very, very good",
    ],
)
def test_what_people_say_stays(text: str) -> None:
    assert guard(text) == text


def test_signs_alone_are_no_text() -> None:
    assert guard(" ... ! ") == ""
    assert guard("♪ ♪ ♪") == ""
    assert guard("[BLANK_AUDIO]") == ""


def test_other_scripts_are_no_english() -> None:
    assert guard("ขอบคุณ ครับ") == ""
    assert guard("Спасибо за просмотр") == ""
    assert guard("Спасибо за просмотр", latin=False) == "Спасибо за просмотр"
    assert guard("Hello there 你好 my friend") == "Hello there my friend"


def test_a_loop_is_said_once() -> None:
    assert guard("go on " * 40) == "go on"
    assert guard("and then " * 5, seconds=20) == "and then"
    assert guard("I said " + "no " * 30 + "to him") == "I said no to him"


def test_a_few_repeats_are_a_loop_only_if_they_cannot_have_been_said() -> None:
    twice = "the quick brown fox jumps over the lazy dog " * 2
    assert guard(twice, seconds=6) == twice.strip()
    assert guard(twice, seconds=1) == twice[: len(twice) // 2].strip()


@pytest.mark.parametrize("text", ["You", "you.", "Thank you for watching!", "Uh", "I'"])
def test_known_phantoms_need_speech_that_is_long_and_loud_enough(text: str) -> None:
    assert guard(text, voiced_ms=260) == ""
    assert guard(text, level_db=-55) == ""
    assert guard(text) == text
    assert guard("Yes.", voiced_ms=260) == "Yes."
