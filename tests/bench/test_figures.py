from __future__ import annotations

import pytest

from bridge.bench.figures import HEARD, LATENESS, MOST_CPU, NOISY_MS, Figures, percentile, summarize
from tests.bench.levels import level, used


@pytest.mark.parametrize(
    ("count", "percent", "rank"),
    [(1, 50, 1), (2, 50, 1), (3, 50, 2), (20, 95, 19), (100, 95, 95), (100, 99, 99), (101, 99, 100), (10, 99, 10)],
)
def test_percentiles_are_samples_by_nearest_rank(count: int, percent: int, rank: int) -> None:
    assert percentile([float(number) for number in range(1, count + 1)], percent) == rank


def test_samples_in_any_order_become_milliseconds() -> None:
    assert summarize([0.003, 0.001, 0.002]) == Figures(3, 2.0, 3.0, 3.0, 3.0)


def test_no_samples_give_no_figures() -> None:
    assert summarize([]) is None


def test_a_good_level_is_sustained_and_believed() -> None:
    assert level().ok
    assert level().sustained
    assert not level().noisy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unanswered": 2}, "turns that went unanswered: 2"),
        ({"missing_clears": 1}, "turns that did not silence the agent: 1"),
        ({"refused_frames": 3}, "frames that a carrier would have refused: 3"),
        ({"dropped_calls": 1}, "calls that the system ended or never connected: 1"),
        ({"lost_up": 160}, "bytes of callers lost, repeated or out of order: 160"),
        ({"lost_down": 1}, "bytes of the agent lost, repeated or out of order: 1"),
        ({"turns": 0}, "no turn ran to its end"),
    ],
)
def test_what_the_system_does_wrong_breaks_a_level(changes: dict[str, object], words: str) -> None:
    bad = level(**changes)
    assert not bad.ok
    assert not bad.sustained
    assert bad.broken == [words]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"figures": {HEARD: Figures(9, 1.0, 2.0, 20.1, 25.0)}}, "p99 20.1 ms, over the limit of 20 ms"),
        ({"figures": {}}, "no audio of a caller came"),
        ({"underruns": 2, "underrun_ms": 50.0}, "ran dry inside an utterance: 2, 50 ms"),
        ({"usage": used(cpu=MOST_CPU)}, "processor time: 97.0%"),
    ],
)
def test_a_level_at_its_end_is_not_sustained_and_yet_not_broken(changes: dict[str, object], words: str) -> None:
    slow = level(**changes)
    assert slow.ok
    assert not slow.sustained
    assert words in slow.unsustained[0]


def test_the_limits_of_a_level_are_its_own() -> None:
    assert level(figures={HEARD: Figures(9, 1.0, 2.0, 60.0, 80.0)}, limit_ms=60.0).sustained
    assert level(usage=used(cpu=MOST_CPU), cores=2).sustained


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"figures": {LATENESS: Figures(99, 0.1, 0.2, NOISY_MS + 0.1, 50.0)}}, "the harness was late"),
        ({"usage": used(load_cpu=0.9)}, "the harness used 90% of a core"),
        ({"usage": used(others_cpu=0.5)}, "other processes used 50% of a core"),
        ({"usage": used(loop_waited=0.1)}, "waited for a processor for 5.0% of the time"),
    ],
)
def test_a_busy_machine_is_told(changes: dict[str, object], words: str) -> None:
    busy = level(**changes)
    assert busy.ok, "a busy machine is not the system's fault"
    assert words in busy.noise[0]


def test_waiting_for_its_own_threads_is_no_noise() -> None:
    assert not level(usage=used(cpu=0.3, loop_cpu=0.2, loop_waited=0.12)).noisy


def test_what_the_machine_does_not_tell_is_no_fault() -> None:
    silent = level(usage=used(cpu=None, loop_cpu=None, loop_waited=None, others_cpu=None, rss=None, pss=None))
    assert silent.sustained
    assert not silent.noisy
    assert silent.cpu_per_call is None
