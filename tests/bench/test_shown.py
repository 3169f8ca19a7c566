from __future__ import annotations

import json

from bridge.bench.figures import ASK, BARGE_IN, TITLES, Figures
from bridge.bench.shown import block, level_json, overview
from tests.bench.levels import level, used


def test_the_block_shows_what_was_measured_and_nothing_else() -> None:
    lines = block(level()).splitlines()
    assert lines[0].startswith("2 calls at once, 10 turns, 20 s")
    (row,) = [line for line in lines if TITLES[BARGE_IN] in line]
    assert row.split()[-5:] == ["10", "0.50", "1.00", "2.00", "4.00"]
    assert TITLES[ASK] not in "\n".join(lines)
    assert "FAILED" not in "\n".join(lines)
    assert "believed" not in "\n".join(lines)


def test_the_block_shows_what_the_machine_gave() -> None:
    text = block(level())
    assert "12.5% of one core" in text
    assert "25.0% of one core, 12.500% a call" in text
    assert "it waited for one 6.0% of the time" in text
    silent = block(level(usage=used(cpu=None, loop_cpu=None, loop_waited=None, rss=None, pss=None)))
    assert "it waited" not in silent
    assert "memory" not in silent


def test_faults_limits_and_noise_are_told_apart() -> None:
    text = block(level(unanswered=1, underruns=1, usage=used(others_cpu=0.5)))
    assert "FAILED turns that went unanswered: 1" in text
    assert "NOT SUSTAINED phones that ran dry" in text
    assert "other processes used 50% of a core." in text


def test_the_overview_has_a_line_for_each_level() -> None:
    lines = overview([level(), level(calls=9, lost_up=5)]).splitlines()
    assert [line.split()[0] for line in lines] == ["calls", "2", "9"]
    assert lines[1].endswith("yes")
    assert lines[2].endswith("no: bytes of callers lost, repeated or out of order: 5")


def test_json_holds_the_numbers_and_what_follows_from_them() -> None:
    found = json.loads(json.dumps(level_json(level())))
    assert found["figures"][BARGE_IN] == {"count": 10, "p50": 0.5, "p95": 1.0, "p99": 2.0, "max": 4.0}
    assert (found["ok"], found["sustained"], found["noisy"], found["cpu_per_call"]) == (True, True, False, 0.125)
    assert found["usage"]["pss"] == 1_000_000


def test_figures_of_zero_are_shown() -> None:
    assert TITLES[ASK] in block(level(figures={ASK: Figures(1, 0.0, 0.0, 0.0, 0.0)}))
