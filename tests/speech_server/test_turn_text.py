"""A turn's text as it grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.speech_server.turn_text import TurnText, extended


@pytest.mark.parametrize(
    ("sent", "heard", "result"),
    [
        ("", " Hi  there. ", "Hi there."),
        ("Hi", "Hi there.", "Hi there."),
        ("I would like", "I would like, please,", "I would like, please,"),  # a sign can still be added
        ("Press one.", "Press one, then two.", "Press one. then two."),  # but not taken back
        ("Press one", "press 1 to go on", "Press one to go on"),  # words sent stay
        ("four words to go", "For words to go on", "four words to go on"),
        ("one two three", "one three four", "one two three four"),  # a word lost
        ("one three", "one two three four", "one three four"),  # a word gained
        ("one two three", "one two", "one two three"),
        ("one two", "", "one two"),
        ("well", "something else entirely", "well else entirely"),
    ],
)
def test_extended(sent: str, heard: str, result: str) -> None:
    assert extended(sent, heard) == result


TEXT = st.lists(st.sampled_from(["a", "b", "b.", "C,", "it's", "4"]), max_size=8).map(" ".join)


@given(TEXT, TEXT)
def test_extended_never_takes_back(sent: str, heard: str) -> None:
    assert extended(sent, heard).startswith(sent)


@given(st.lists(st.tuples(st.sampled_from(["preview", "settle", "freeze"]), TEXT), max_size=12))
def test_a_turns_text_only_grows(steps: list[tuple[str, str]]) -> None:
    text = TurnText(" ")
    before = ""
    for kind, heard in steps:
        grew: bool | None = getattr(text, kind)(*([] if kind == "freeze" else [heard]))
        assert text.text.startswith(before)
        assert bool(grew) == (text.text != before)
        before = text.text


def test_the_lead_stands_before_the_first_word_only() -> None:
    text = TurnText(" ")
    assert text.text == ""
    text.settle("One.")
    text.freeze()
    text.settle("Two.")
    assert text.text == " One. Two."


def test_three_previews_must_agree() -> None:
    text = TurnText()
    assert not text.preview("It was the best of times.")
    assert not text.preview("it was the best of all")
    assert text.preview("It was the worst")
    assert text.text == "It was the"
    assert not text.preview("It")


def test_the_sign_behind_the_last_agreed_word_waits() -> None:
    text = TurnText()
    text.preview("Hello there.")
    text.preview("Hello there.")
    text.preview("Hello there. My")
    assert text.text == "Hello there"
    text.settle("Hello there, my friend.")
    assert text.text == "Hello there, my friend."
