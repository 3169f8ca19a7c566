from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.bench import batching
from bridge.bench.figures import AGE, VOICE_END, VOICE_START, Figures
from bridge.bench.run import BenchOptions, BenchRun, Cores
from bridge.bench.systems import Bridge
from tests.bench.levels import level, used


async def test_each_size_is_measured_on_a_bridge_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[dict[str, str], Path, bool]] = []

    async def run_bench(options: BenchOptions, folder: Path, *, system: Bridge) -> BenchRun:
        assert (options.calls, options.ladder) == ((50,), False)
        seen.append((dict(system.settings), folder, options.load.follow_audio))
        return BenchRun([level(calls=50)], None, None, Cores(), 0)

    monkeypatch.setattr(batching, "run_bench", run_bench)
    options = BenchOptions(calls=(1, 50), ladder=True)
    rows = await batching.sweep(options, tmp_path, system=Bridge({"a.b": "c"}), sizes_ms=(20, 60))
    assert [row.chunk_ms for row in rows] == [20, 60]
    assert [settings for settings, _, _ in seen] == [
        {"a.b": "c", "stt.chunk_ms": "20"},
        {"a.b": "c", "stt.chunk_ms": "60"},
    ]
    assert len({folder for _, folder, _ in seen}) == 2
    assert all(follow for _, _, follow in seen)


def test_a_row_shows_cost_delay_and_faults() -> None:
    figures = {
        key: Figures(9, number, 0.0, 2 * number, 0.0)
        for key, number in ((AGE, 1), (VOICE_START, 2), (VOICE_END, 3))
    }
    good = batching.Row(20, level(figures={**level().figures, **figures}))
    bad = batching.Row(100, level(lost_up=3, usage=used(others_cpu=0.5)))
    first, second = batching.table([good, bad]).splitlines()[1:]
    cells = ["1.0", "/", "2.0", "2.0", "/", "4.0", "3.0", "/", "6.0", "1.0", "/", "20.0"]
    assert first.split() == ["20", "ms", "12.500", *cells]
    assert "lost, repeated or out of order: 3; the machine was noisy" in second
    assert [row["chunk_ms"] for row in json.loads(json.dumps(batching.as_json([good, bad])))] == [20, 100]
