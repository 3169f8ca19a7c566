"""How long growth is gathered: not at all where little is going on, up to a second where much is."""

from __future__ import annotations

from bridge.store.sql.pacing import LEAST_S, MOST_S, Pace


def settled(calls_per_s: float, seconds: float = 30.0) -> float:
    """What is waited in the end where so many calls grow in every second."""
    pace, now = Pace(), 100.0
    while now < 100 + seconds:
        now += pace.wait_s
        pace.went_in(round(calls_per_s * pace.wait_s), now)
    return pace.wait_s


def test_the_first_one_after_a_while_goes_in_at_once() -> None:
    pace = Pace()
    assert pace.wait_s == LEAST_S
    pace.went_in(200, 10.0)
    assert pace.wait_s == MOST_S
    pace.went_in(0, 30.0)
    assert pace.wait_s == LEAST_S


def test_a_call_that_is_alone_is_kept_waiting_for_less_than_many() -> None:
    pace = Pace()
    pace.went_in(1, 10.0)
    assert pace.wait_s == LEAST_S
    assert settled(10) > 0.5
    assert settled(100) == settled(10_000) == MOST_S
