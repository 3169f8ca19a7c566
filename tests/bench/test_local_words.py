"""Which word came of which."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.bench.local_words import Fate, fates, words_of

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=6).map(" ".join)


def test_signs_and_case_are_no_errors() -> None:
    assert words_of("It's -- FINE, thanks.") == ["it's", "fine", "thanks"]
    assert fates(["Yes, please."], ["yes please"]) == [Fate(2, 0, 0, 0, 0)]


def test_words_are_lost_changed_and_added() -> None:
    assert fates(["one two three"], ["one three"]) == [Fate(3, 1, 0, 0, 0)]
    assert fates(["one two three"], ["one too three"]) == [Fate(3, 0, 1, 0, 0)]
    assert fates(["one two three"], ["one two two three"]) == [Fate(3, 0, 0, 1, 0)]


def test_an_utterance_that_was_not_heard_shifts_nothing_behind_it() -> None:
    said = ["good morning", "where are you", "at home"]
    assert [fate.turn for fate in fates(said, ["Good morning.", "At home."])] == [0, None, 1]


def test_turns_that_ran_together_are_told() -> None:
    assert [fate.turn for fate in fates(["good morning", "at home"], ["Good morning. At home."])] == [0, 0]


def test_a_turn_that_was_cut_ends_with_its_last_part() -> None:
    assert [
        fate.turn for fate in fates(["good morning to you", "hello"], ["Good morning", "to you.", "Hello"])
    ] == [1, 2]


def test_a_wrong_word_does_not_move_an_utterance_into_its_neighbour() -> None:
    found = fates(["well yes please", "good morning"], ["Well yes.", "Peas good morning."])
    assert [fate.turn for fate in found] == [0, 1]


def test_nothing_was_heard() -> None:
    assert fates(["good morning"], []) == [Fate(2, 2, 0, 0, None)]


@given(st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=4))
def test_every_word_has_one_fate(said: list[str], turns: list[str]) -> None:
    found = fates(said, turns)
    assert [fate.words for fate in found] == [len(text.split()) for text in said]
    assert all(0 <= fate.lost + fate.changed <= fate.words for fate in found)
    assert all((fate.turn is None) == (fate.lost == fate.words) for fate in found)
    if said:
        heard = sum(len(text.split()) for text in turns)
        assert sum(fate.words - fate.lost + fate.added for fate in found) == heard
