"""Text in pieces → sentences, and their tags."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.speech_server.sentences import Piece, SentenceBuffer, pieces


def ready(*texts: str) -> list[list[str]]:
    buffer = SentenceBuffer()
    taken = []
    for text in texts:
        buffer.add(text)
        taken.append(buffer.take_ready())
    return taken


def whole(text: str) -> list[str]:
    buffer = SentenceBuffer()
    buffer.add(text)
    return buffer.take_all()


def test_a_sentence_is_taken_when_it_is_certainly_whole() -> None:
    assert ready("Sure, ", "here it", " is.", " Bye") == [[], [], ["Sure, here it is."], []]
    assert ready("Really?", " Yes") == [["Really?"], []]


@pytest.mark.parametrize("text", ["It costs 3.", "Ask Dr.", "at 9 a.m.", "Sure,", "No."])
def test_a_full_stop_that_may_go_on_waits(text: str) -> None:
    buffer = SentenceBuffer()
    buffer.add(text)
    assert buffer.take_ready() == []
    assert buffer.waiting


def test_pieces_are_joined_verbatim() -> None:
    assert ready("It costs 3.", "50 euros. ") == [[], ["It costs 3.50 euros."]]


def test_abbreviations_do_not_end_a_sentence() -> None:
    assert whole("Ask Dr. Miller. He knows, e.g. the price.") == ["Ask Dr. Miller.", " He knows, e.g. the price."]


def test_a_long_sentence_is_cut_at_a_clause_or_a_space() -> None:
    parts = whole("word " * 100 + "end.")
    assert all(len(part) <= 240 for part in parts)
    assert "".join(parts) == "word " * 100 + "end."
    assert max(len(part) for part in whole("x" * 3000)) == 240


@given(st.text(alphabet="aA1 .!?,\n<>é", max_size=400))
def test_no_letter_is_lost(text: str) -> None:
    assert "".join("".join(whole(text)).split()) == "".join(text.split())


def test_an_open_spell_tag_keeps_its_sentence_together() -> None:
    assert ready("Code <spell>A. B", "</spell> it is. ")[0] == []


def test_tags() -> None:
    assert list(pieces('Wait <break time="500ms"/> now, <emotion value="calm"/>please.')) == [
        Piece("Wait", ("Wait",), 0.0),
        Piece("now, please.", ("now,", "please."), 0.5),
    ]
    assert list(pieces("<spell>AB 1</spell>!")) == [Piece("A, B, 1 !", ("AB", "1!"), 0.0)]
    assert list(pieces('<break time="2s"/>')) == [Piece("", (), 2.0)]
    assert list(pieces('<break time="9999s"/> Hi')) == [Piece("Hi", ("Hi",), 5.0)]


def test_signs_that_voices_take_for_markup_are_not_spoken() -> None:
    assert list(pieces("<b>3 < 5 & more</b>")) == [
        Piece("b 3 5 and more /b", ("<b>3", "<", "5", "&", "more</b>"), 0.0)
    ]


@pytest.mark.parametrize("text", ["Hello there. ", ".", '."', "a", "a ", "<spell>", "<speed ", "no. ", "\n", "!"])
def test_a_megabyte_of_anything_is_cut_in_no_time(text: str) -> None:
    megabyte = text * ((1 << 20) // len(text))
    began = time.process_time()
    buffer = SentenceBuffer()
    buffer.add(megabyte)
    parts = buffer.take_ready() + buffer.take_all()
    assert time.process_time() - began < 2
    assert all(len(part) <= 240 for part in parts)


def test_text_that_never_ends_does_not_pile_up() -> None:
    buffer = SentenceBuffer()
    taken = 0
    for _ in range(2_000):
        buffer.add("word ")
        taken += sum(map(len, buffer.take_ready()))
    assert taken > 7_000
