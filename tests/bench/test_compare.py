from __future__ import annotations

import copy
from typing import Any

import pytest

from bridge.bench.compare import compare, compared, verdict
from bridge.bench.figures import BARGE_IN, Figures
from bridge.bench.shown import level_json
from bridge.errors import SettingsError
from tests.bench.levels import level, used


def result(**changes: Any) -> dict[str, Any]:
    levels = [level_json(level(calls=calls, usage=used(pss_per_call=100_000.0))) for calls in (1, 100)]
    return {"knee": 300, "machine": {"cores": 2}, "levels": levels} | changes


def test_the_same_result_is_the_same() -> None:
    assert {one.verdict for one in compare(result(), result())} == {"same"}
    assert compared(result(), result()).endswith("The same, within what chance does.")


def test_levels_that_only_one_has_are_left_out() -> None:
    other = result(levels=[level_json(level(calls=7))], knee=None)
    assert compare(result(), other) == []
    assert verdict([]) == "Nothing to compare: the two results have no level in common."


def test_less_processor_time_and_more_calls_are_better() -> None:
    new = result(knee=400)
    new["levels"][1]["cpu_per_call"] /= 2
    told = compared(result(), new)
    assert [one.what for one in compare(result(), new) if one.verdict == "better"] == [
        "calls sustained",
        "% of a core per call",
    ]
    assert "Better: 2 better, of" in told
    assert "0.50  better" in told
    assert "1.33  better" in told


def test_what_got_worse_is_told_beside_what_got_better() -> None:
    old, new = result(), copy.deepcopy(result(knee=400))
    new["levels"][0]["usage"]["pss_per_call"] = 200_000.0
    assert verdict(compare(old, new)).startswith("Mixed: 1 better, 1 worse")
    assert verdict(compare(new, old)).startswith("Mixed: 1 better, 1 worse")


@pytest.mark.parametrize(("p99", "said"), [(2.9, "same"), (3.1, "worse"), (0.9, "better")])
def test_latencies_within_a_millisecond_are_the_same(p99: float, said: str) -> None:
    new = result(levels=[level_json(level(calls=1, figures={BARGE_IN: Figures(10, 0.5, 1.0, p99, 4.0)}))])
    (found,) = [one for one in compare(result(), new) if one.what == "turn.start → clear p99, ms"]
    assert found.verdict == said


def test_another_machine_and_noise_are_noted() -> None:
    new = result(machine={"cores": 8})
    new["levels"][0]["noisy"] = True
    told = compared(result(), new)
    assert "Note: another machine: cores 2 → 8" in told
    assert "Note: the machine was noisy now at 1 calls" in told


def test_something_else_is_no_result() -> None:
    with pytest.raises(SettingsError, match="no result of phone-bridge bench"):
        compare({"leads": []}, result())
