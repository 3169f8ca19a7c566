"""A tiny measurement, to the end: it holds what is counted, never how fast it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.bench.figures import ASK, ASK_EAGERLY, BARGE_IN, ECHO, LATENESS, PLAY, RELEASE, SYNTHESIZE, Level
from bridge.bench.run import BenchOptions, run_bench
from bridge.bench.under_test import bridge_process
from bridge.errors import BridgeError


async def test_two_calls_of_two_turns_are_measured(tmp_path: Path) -> None:
    shown: list[Level] = []
    (level,) = await run_bench(BenchOptions(calls=(2,), turns=2), tmp_path, on_level=shown.append)

    assert shown == [level]
    assert (level.calls, level.turns, level.unanswered, level.missing_clears) == (2, 4, 0, 0)
    assert level.refused_frames == 0
    assert level.ok
    counts = {measure: figures.count for measure, figures in level.figures.items()}
    assert counts.pop(ECHO) > 10
    assert counts.pop(LATENESS) > 100
    # Every other turn ends eagerly first.
    assert counts == {BARGE_IN: 4, ASK: 2, ASK_EAGERLY: 2, SYNTHESIZE: 4, PLAY: 2, RELEASE: 2}
    for figures in level.figures.values():
        assert 0 <= figures.p50 <= figures.p95 <= figures.p99 <= figures.max
    assert len([*tmp_path.rglob("journal.jsonl")]) == 2, "the calls were not kept as in production"
    assert len([*tmp_path.rglob("*.wav")]) == 2


async def test_a_bridge_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="did not start; its last words") as failed:
        async with bridge_process({"BRIDGE_SERVER__HOST": "nowhere.invalid"}, tmp_path):
            pass
    assert failed.value.code == "bench_bridge"
    assert "nowhere.invalid" in failed.value.message


async def test_a_bridge_that_ends_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    create = asyncio.create_subprocess_exec

    async def kept(*arguments: str, **options: object) -> asyncio.subprocess.Process:
        started.append(await create(*arguments, **options))  # type: ignore[arg-type]  # passed on as they came
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", kept)
    with pytest.raises(BridgeError, match="ended while it was measured"):
        async with bridge_process({"BRIDGE_SPEECH__BASE_URL": "http://127.0.0.1:9"}, tmp_path):
            started[0].kill()
            await started[0].wait()
