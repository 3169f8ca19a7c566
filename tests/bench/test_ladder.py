"""The search for the knee, against systems of which it is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.bench.ladder import Ladder


def climb(ladder: Ladder, carries: int) -> list[int]:
    """What is measured of a system that carries so many calls."""
    measured: list[int] = []
    while (calls := ladder.next_level()) is not None:
        measured.append(calls)
        assert len(measured) < 100, "it never ends"
        ladder.record(calls, sustained=calls <= carries)
    return measured


def test_it_climbs_until_a_level_fails_and_halves_from_there() -> None:
    ladder = Ladder((1, 100, 200, 300), resolution=10)
    assert climb(ladder, 234) == [1, 100, 200, 300, 250, 220, 230, 240]
    assert (ladder.knee, ladder.broke) == (230, 240)


def test_a_system_that_carries_everything_has_no_level_that_broke() -> None:
    ladder = Ladder((1, 100))
    assert climb(ladder, 1000) == [1, 100]
    assert (ladder.knee, ladder.broke) == (100, None)


def test_a_system_that_carries_nothing_has_no_knee() -> None:
    ladder = Ladder((20, 40), resolution=10)
    assert climb(ladder, 0) == [20, 10]
    assert (ladder.knee, ladder.broke) == (None, 10)


@given(
    steps=st.lists(st.integers(1, 1000), min_size=1, max_size=12),
    carries=st.integers(0, 1200),
    resolution=st.integers(1, 50),
)
def test_the_knee_is_found_to_within_the_resolution(steps: list[int], carries: int, resolution: int) -> None:
    ladder = Ladder(steps, resolution)
    climb(ladder, carries)
    assert (ladder.knee or 0) <= carries
    if carries < max(steps):
        assert ladder.broke is not None
        assert carries < ladder.broke <= (ladder.knee or 0) + resolution
    else:
        assert (ladder.knee, ladder.broke) == (max(steps), None)


@pytest.mark.parametrize("second", [True, False])
def test_a_failure_on_a_noisy_machine_is_tried_once_more(second: bool) -> None:
    ladder = Ladder((100,), resolution=100)
    ladder.record(100, sustained=False, noisy=True)
    assert ladder.next_level() == 100
    ladder.record(100, sustained=second, noisy=True)
    assert ladder.next_level() is None
    assert ladder.knee == (100 if second else None)
