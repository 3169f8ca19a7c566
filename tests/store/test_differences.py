"""Two transcripts against each other: nothing is lost, and only what differs is told as different."""

from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.store.differences import Difference, changed_words, compare

words = st.lists(st.sampled_from(["a", "B", "c,", "d.", "Eé", "…"]), max_size=30)


def test_case_and_punctuation_make_no_difference() -> None:
    assert compare(["Hello,", "there."], ["hello", "There!"]) == [Difference("equal", (0, 2), (0, 2))]


def test_what_differs_is_told_in_its_place() -> None:
    live, new = ["We", "open", "at", "nine", "on", "Sunday"], ["we", "open", "at", "five", "in", "the"]
    assert compare(live, new) == [
        Difference("equal", (0, 3), (0, 3)),
        Difference("replace", (3, 6), (3, 6), "nine on Sunday", "five in the"),
    ]
    assert changed_words(compare(live, new)) == 3


def test_words_that_only_one_of_them_has() -> None:
    assert compare(["a", "b"], ["a", "x", "b"])[1] == Difference("insert", (1, 1), (1, 2), "", "x")
    assert compare(["a", "x", "b"], ["a", "b"])[1] == Difference("delete", (1, 2), (1, 1), "x", "")
    assert compare([], ["a"]) == [Difference("insert", (0, 0), (0, 1), "", "a")]
    assert compare(["a"], []) == [Difference("delete", (0, 1), (0, 0), "a", "")]
    assert compare([], []) == []


@given(live=words, new=words)
def test_the_stretches_join_to_both_texts(live: list[str], new: list[str]) -> None:
    found = compare(live, new)
    at_live = at_new = 0
    for one in found:
        assert (one.live[0], one.new[0]) == (at_live, at_new)
        at_live, at_new = one.live[1], one.new[1]
        if one.kind == "equal":
            assert one.live[1] - one.live[0] == one.new[1] - one.new[0] > 0
        else:
            assert one.live_text == " ".join(live[slice(*one.live)])
            assert one.new_text == " ".join(new[slice(*one.new)])
    assert (at_live, at_new) == (len(live), len(new))
    kinds = [one.kind == "equal" for one in found]
    assert all(before != after for before, after in pairwise(kinds)), "neighbours differ"


def test_three_hours_of_talk_are_compared_in_no_time() -> None:
    live = [f"word{number * 7 % 900}" for number in range(30_000)]
    new = [word if number % 11 else "misheard" for number, word in enumerate(live)]
    began = time.process_time()
    assert changed_words(compare(live, new)) == len([number for number in range(30_000) if number % 11 == 0])
    assert time.process_time() - began < 10
