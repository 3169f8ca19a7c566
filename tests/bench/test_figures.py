from __future__ import annotations

import dataclasses
import json

import pytest

from bridge.bench.figures import (
    ASK,
    BARGE_IN,
    LATENESS,
    NOISY_MS,
    NOISY_SHARE,
    TITLES,
    Figures,
    Level,
    as_json,
    percentile,
    summarize,
    table,
)


def level(**changes: object) -> Level:
    good = Level(
        calls=2,
        turns=10,
        unanswered=0,
        missing_clears=0,
        refused_frames=0,
        cpu=0.125,
        bridge_cpu=0.25,
        bridge_waited=NOISY_SHARE,
        figures={BARGE_IN: Figures(10, 0.5, 1.0, 2.0, 4.0), LATENESS: Figures(99, 0.1, 0.2, NOISY_MS, 50.0)},
    )
    return dataclasses.replace(good, **changes)  # type: ignore[arg-type]  # the tests below name real fields


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unanswered": 2}, "FAILED turns that went unanswered: 2"),
        ({"missing_clears": 1}, "FAILED turns that did not silence the agent: 1"),
        ({"refused_frames": 3}, "FAILED frames that a carrier would have refused: 3"),
        ({"turns": 0}, "FAILED no turn ran to its end"),
    ],
)
def test_a_fault_fails_the_level_and_is_told(changes: dict[str, object], words: str) -> None:
    assert not level(**changes).ok
    assert words in table([level(**changes)])
    assert not as_json([level(), level(**changes)])["ok"]


def test_a_good_level_has_no_fault_and_no_warning() -> None:
    text = table([level()])
    assert level().ok
    assert as_json([level()])["ok"]
    assert "FAILED" not in text
    assert "too busy" not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"figures": {LATENESS: Figures(99, 0.1, 0.2, NOISY_MS + 0.1, 50.0)}},
        {"bridge_waited": NOISY_SHARE + 0.01},
    ],
)
def test_a_busy_machine_is_told(changes: dict[str, object]) -> None:
    busy = level(**changes)
    assert busy.noisy
    assert busy.ok, "a busy machine is not the bridge's fault"
    assert "too busy" in table([busy])


def test_the_table_shows_what_was_measured_and_nothing_else() -> None:
    lines = table([level()]).splitlines()
    assert lines[0].startswith("2 calls at once, 10 turns")
    (row,) = [line for line in lines if TITLES[BARGE_IN] in line]
    assert row.split()[-5:] == ["10", "0.50", "1.00", "2.00", "4.00"]
    assert TITLES[ASK] not in "\n".join(lines)


def test_json_holds_the_numbers_of_the_table() -> None:
    found = json.loads(json.dumps(as_json([level()])))
    assert found["unit"] == "ms"
    assert found["levels"][0]["figures"][BARGE_IN] == {"count": 10, "p50": 0.5, "p95": 1.0, "p99": 2.0, "max": 4.0}
    assert (found["levels"][0]["ok"], found["levels"][0]["noisy"]) == (True, False)


def test_what_the_system_does_not_tell_is_left_out() -> None:
    assert "it waited for one 3.0% of the time" in table([level()])
    silent = level(bridge_cpu=None, bridge_waited=None)
    assert "it waited" not in table([silent])
    assert not silent.noisy
