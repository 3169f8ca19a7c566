from __future__ import annotations

from bridge.bench.figures import ASK, BARGE_IN, HEARD, Figures
from bridge.bench.medians import median_level, median_levels
from tests.bench.levels import level, used


def test_each_number_is_the_median_of_its_own() -> None:
    middle = median_level(
        [
            level(turns=10, usage=used(cpu=0.3, pss=None)),
            level(turns=30, usage=used(cpu=0.1, pss=5)),
            level(turns=20, usage=used(cpu=0.2, pss=7)),
        ]
    )
    assert (middle.turns, middle.usage.cpu, middle.usage.pss) == (20, 0.2, 5)


def test_figures_that_not_all_have_are_left_out() -> None:
    one = {BARGE_IN: Figures(1, 1.0, 1.0, 1.0, 1.0), ASK: Figures(1, 9.0, 9.0, 9.0, 9.0)}
    two = {BARGE_IN: Figures(3, 2.0, 3.0, 4.0, 5.0)}
    assert median_level([level(figures=one), level(figures=two)]).figures == {
        BARGE_IN: Figures(1, 1.5, 2.0, 2.5, 3.0)
    }


def test_a_fault_that_most_runs_had_stays_one() -> None:
    runs = [level(lost_up=160), level(lost_up=320), level()]
    assert median_level(runs).lost_up == 160
    assert median_level([level(), level(), level(lost_up=160)]).sustained


def test_levels_that_most_runs_measured_are_given_in_order_with_their_last_measurement() -> None:
    first = [level(calls=1), level(calls=50, lost_up=9), level(calls=50)]
    runs = [first, [level(calls=50), level(calls=1)], [level(calls=1), level(calls=70)]]
    assert [(one.calls, one.lost_up) for one in median_levels(runs)] == [(1, 0), (50, 0)]
    assert HEARD in median_levels(runs)[0].figures
