"""What the guard makes of figures; that they are measured is shown by its run in continuous integration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.benchmarks import guard
from tests.benchmarks.guard import RATIO, TITLES, differences, judged, last_figures, ratio_of


def test_a_figure_is_over_its_bound_or_not() -> None:
    last = {"python_per_step": 100.0, RATIO: 1.0}
    fine = judged({"python_per_step": 114.0, RATIO: 1.9}, last, ratio_factor=2.0)
    assert [verdict.over for verdict in fine] == [False, False]
    over = judged({"python_per_step": 116.0, RATIO: 2.1}, last, ratio_factor=2.0)
    assert [verdict.over for verdict in over] == [True, True]
    assert str(over[0]).startswith("OVER  Python functions per step")
    assert "at most   115.000" in str(over[0])


def test_a_figure_that_was_never_recorded_has_no_bound() -> None:
    (verdict,) = judged({"c_per_step": 1e9, "something else": 1.0}, {}, ratio_factor=1.0)
    assert not verdict.over
    assert "never recorded" in str(verdict)


def test_the_latest_line_that_has_a_figure_counts() -> None:
    lines = ['{"figures": {"a": 1, "b": 2}}', '{"figures": {"a": 3}}', ""]
    assert last_figures(lines) == {"a": 3, "b": 2}


def test_other_versions_are_told() -> None:
    line = json.dumps({"versions": {"python": "3.11.7", "aiohttp": "3.14.0", "phone-bridge": "0.1.0"}})
    now = {"python": "3.12.1", "aiohttp": "3.14.0", "phone-bridge": "0.2.0"}
    assert differences([line], now) == ["python was 3.11.7, and is 3.12.1"]
    assert differences([], now) == []


def test_the_ratio_is_that_of_the_medians() -> None:
    assert ratio_of([0.001, 0.003, 0.002], [0.004, 0.009, 0.001])[RATIO] == pytest.approx(0.5)


def test_what_was_recorded_is_the_bound_of_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"python_per_step": 100.0}
    monkeypatch.setattr(guard, "HISTORY", tmp_path / "history.jsonl")
    monkeypatch.setattr(guard, "counts", lambda: figures)

    def run(*options: str) -> int:
        return CliRunner().invoke(guard.main, ["--counts", *options]).exit_code

    assert run() == 0
    assert run("--record") == 0
    assert run() == 0
    figures["python_per_step"] = 120.0
    assert run() == 1
    assert run("--record") == 0
    assert run() == 0
    assert len(guard.HISTORY.read_text().splitlines()) == 2


def test_the_history_in_this_repository_has_every_figure() -> None:
    assert last_figures(guard.HISTORY.read_text(encoding="utf-8").splitlines()).keys() >= TITLES.keys()
