"""The words of a text as the search sees them."""

# ruff: noqa: RUF001 - letters of other scripts are what is tested

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.store.sql.words import LONGEST, in_ascii, search_words, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" \n\t ", []),
        ("Hello, world!", ["hello", "world"]),
        ("don't e-mail", ["don", "t", "e", "mail"]),
        ("555-1234 or +49 30 12.50", ["555", "1234", "or", "49", "30", "12", "50"]),
        ("Café CAFÉ cafe\u0301 Ｃａｆｅ", ["cafe"] * 4),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("İzmir ısı", ["izmir", "ısı"]),
        ("ёлка Йод", ["елка", "иод"]),
        ("Tiếng Việt đây", ["tieng", "viet", "đay"]),
        ("ΣΊΣΥΦΟΣ σίσυφος", ["σισυφοσ"] * 2),
        ("أَهْلًا", ["اهلا"]),
        ("שָׁלוֹם", ["שלום"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("東京に行く", ["東", "京", "に", "行", "く"]),
        ("ｶﾞ ガ", ["カ\u3099", "カ\u3099"]),
        ("3月5日", ["3", "月", "5", "日"]),
        ("ดี", ["ดี"]),
        ("𠮷野家", ["𠮷", "野", "家"]),
        ("ok 😀👍🏽 ❤️", ["ok", "😀", "👍", "❤"]),
        ("so\u00adft", ["soft"]),
        ("\u0301x", ["x"]),
        ("a\0b", ["a", "b"]),
        ("\ud800x", ["x"]),
        ("½", ["1", "2"]),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert [word.text for word in words(text)] == found


def test_where_words_stand() -> None:
    text = " Ｃafe\u0301, ß東京!"
    assert [(word.text, text[word.start : word.end]) for word in words(text)] == [
        ("cafe", "Ｃafe"),  # an accent makes no difference, so it is not part of the word
        ("ss", "ß"),
        ("東", "東"),
        ("京", "京"),
    ]


def test_of_a_long_word_the_beginning_counts() -> None:
    (word,) = words("a" * 3000)
    assert (len(word.text), word.end) == (LONGEST, 3000)


def test_korean_syllables_begin_with_their_letters() -> None:
    (whole,), (begun,) = words("한국어"), words("한구")
    assert whole.text.startswith(begun.text)


@given(st.text())
def test_any_text_becomes_plain_words(text: str) -> None:
    kept = search_words(text)
    assert re.fullmatch(r"([a-z0-9]+( [a-z0-9]+)*)?", kept)
    assert len(kept.split()) == len(words(text))


@given(st.text())
def test_words_follow_each_other(text: str) -> None:
    found = words(text)
    assert all(0 <= word.start < word.end <= len(text) for word in found)
    assert all(one.start <= two.start for one, two in pairwise(found))


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_two_words_are_written_alike(one: str, two: str) -> None:
    assert (in_ascii(one) == in_ascii(two)) == (one == two) or not one.isascii()
    assert in_ascii(one + two) == in_ascii(one) + in_ascii(two)


@pytest.mark.parametrize("text", ["Grüße aus Köln", "ПРИВЕТ мир", "Ελλάδα", "Ġgantija"])
def test_case_makes_no_difference(text: str) -> None:
    assert search_words(text.upper()) == search_words(text.lower()) == search_words(text)


def test_a_text_without_end_is_searched_as_far_as_databases_can() -> None:
    assert len(search_words("ab " * 100_000).split()) == 20_000


@given(st.text(st.sampled_from("azZ09 _-.\n\té\u0301東ßＡ\x1c"), max_size=30) | st.text(max_size=30))
def test_the_index_is_given_the_words_that_are_found(text: str) -> None:
    assert search_words(text) == " ".join(in_ascii(word.text) for word in words(text))


def test_a_long_word_counts_by_its_beginning_in_the_index_too() -> None:
    assert search_words("y" * (LONGEST + 1)) == "y" * LONGEST
