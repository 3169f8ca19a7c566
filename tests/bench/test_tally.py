from __future__ import annotations

from bridge.bench.figures import AGE, HEARD
from bridge.bench.tally import UNDERRUN_S, Tally


def test_only_what_began_within_the_window_is_kept() -> None:
    tally = Tally()
    tally.add("x", 1.0, 2.0)
    tally.begin_window(10.0)
    tally.add("x", 9.9, 10.5)
    tally.add("x", 10.0, 10.25)
    tally.end_window()
    tally.add("x", 11.0, 12.0)
    assert tally.samples == {"x": [0.25]}


def test_audio_of_the_window_is_kept_by_its_age_and_by_what_is_the_systems_of_it() -> None:
    tally = Tally()
    tally.begin_window(0.0)
    tally.audio(0.5, 0.25)
    assert tally.end_window() == {AGE: [0.5], HEARD: [0.25]}


def test_turns_and_under_runs_count_within_the_window_alone() -> None:
    tally = Tally()
    for _ in range(2):
        tally.turn_over(answered=True)
        tally.turn_over(answered=False)
        tally.ran_dry(1.0)
        tally.begin_window(0.0)
    tally.ran_dry(UNDERRUN_S)
    assert (tally.turns, tally.unanswered, tally.underruns, tally.underrun_s) == (1, 1, 1, 1.0)


def test_what_was_lost_while_calls_were_added_stays_counted_in_the_window() -> None:
    tally = Tally()
    tally.lost_up += 160
    tally.begin_window(0.0)
    assert tally.lost_up == 160
    tally.begin_level()
    assert (tally.lost_up, tally.counting) == (0, False)
