"""How often somebody may ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.api.rate import Buckets


def test_a_burst_goes_through_and_then_the_rate_counts() -> None:
    buckets = Buckets(rate=2, burst=4)
    assert [buckets.take("a", 0) for _ in range(4)] == [0, 0, 0, 0]
    assert buckets.take("a", 0) == pytest.approx(0.5)
    assert buckets.take("b", 0) == 0, "everybody has a bucket of their own"
    assert buckets.take("a", 0.4) == pytest.approx(0.1)
    assert buckets.take("a", 0.5) == 0
    assert buckets.wait("a", 0.5) == pytest.approx(0.5)


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing() -> None:
    buckets = Buckets(rate=1, burst=1)
    assert buckets.take("a", 100) == 0
    assert buckets.take("a", 50) == 1


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    buckets = Buckets(rate=1, burst=2, most=3)
    for name in "abcad":
        buckets.take(name, 0)
    assert len(buckets) == 3
    assert buckets.wait("a", 0) == 1, "who asked last is kept"
    assert buckets.wait("b", 0) == 0


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.floats(0.5, 20), st.integers(1, 10))
def test_never_more_than_burst_and_rate_allow(gaps: list[float], rate: float, burst: int) -> None:
    buckets, now, taken = Buckets(rate, burst), 0.0, 0
    for gap in gaps:
        now += gap
        taken += buckets.take("a", now) == 0
        assert taken <= burst + rate * now + 1e-6
    wait = buckets.wait("a", now)
    assert buckets.take("a", now + wait + 1e-6) == 0, "after the wait that is told, it may ask"
