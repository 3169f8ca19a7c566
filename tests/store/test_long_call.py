"""A call of ten minutes at high speed: what `python -m tests.store.long_call --hours 3` shows of longer ones."""

from __future__ import annotations

from pathlib import Path

from tests.store.long_call import play


async def test_memory_is_flat_and_both_sides_stay_together(tmp_path: Path) -> None:
    report = await play(tmp_path, 600_000)
    assert (report.markers, report.missing) == (59, 0)
    assert report.worst_agent_ms == 0
    assert report.worst_apart_ms < 20
    assert abs(report.recorded_ms - report.call_ms) <= 20
    assert report.rows == report.kept_turns == report.turns == 61
    assert report.rss_mb[-1] - report.rss_mb[1] < 4, report.rss_mb
