"""When words sound."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.speech_server.word_times import share_out


def test_words_share_the_sound_by_their_length() -> None:
    short, long = share_out(["a", "refrigerator"], [(1.0, 2.0)])
    assert short.start == 1.0
    assert long.end == 2.0
    assert short.end == long.start
    assert long.end - long.start > 4 * (short.end - short.start)


def test_a_clause_ends_at_the_gap_near_it() -> None:
    words = share_out(["Sure,", "tomorrow", "is", "fine."], [(0.0, 0.4), (0.7, 1.9)])
    assert words[0].end == 0.4
    assert words[1].start == 0.7
    assert words[-1].end == 1.9


def test_nothing_to_share() -> None:
    assert share_out([], [(0.0, 1.0)]) == []
    assert [word.end for word in share_out(["one", "two"], [])] == [0.0, 0.0]


SPANS = st.lists(st.floats(0.02, 1.0), min_size=2, max_size=10).map(
    lambda steps: [(sum(steps[:index]), sum(steps[: index + 1])) for index in range(0, len(steps), 2)]
)
WORDS = st.lists(st.sampled_from(["a", "hello,", "1234", "...", "strengths.", "I"]), min_size=1, max_size=12)


@given(WORDS, SPANS)
def test_times_are_in_order_and_within_the_sound(words: list[str], sound: list[tuple[float, float]]) -> None:
    times = share_out(words, sound)
    assert [word.word for word in times] == words
    edges = [edge for word in times for edge in (word.start, word.end)]
    assert all(later >= earlier - 0.002 for earlier, later in pairwise(edges))
    assert edges[0] >= sound[0][0] - 0.001
    assert edges[-1] <= sound[-1][1] + 0.001
