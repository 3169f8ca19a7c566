"""A level that is as it should be, and levels that differ from it."""

from __future__ import annotations

import dataclasses
from typing import Any

from bridge.bench.figures import BARGE_IN, HEARD, LATENESS, NOISY_MS, Figures, Level, Usage

USAGE = Usage(
    load_cpu=0.125, cpu=0.25, loop_cpu=0.2, loop_waited=0.06, others_cpu=0.01, rss=2_000_000, pss=1_000_000
)


def level(**changes: Any) -> Level:
    good = Level(
        calls=2,
        seconds=20.0,
        turns=10,
        unanswered=0,
        missing_clears=0,
        refused_frames=0,
        dropped_calls=0,
        lost_up=0,
        lost_down=0,
        stale_bytes=0,
        underruns=0,
        underrun_ms=0.0,
        usage=USAGE,
        cores=1,
        limit_ms=20.0,
        figures={
            HEARD: Figures(400, 1.0, 2.0, 20.0, 25.0),
            BARGE_IN: Figures(10, 0.5, 1.0, 2.0, 4.0),
            LATENESS: Figures(99, 0.1, 0.2, NOISY_MS, 50.0),
        },
    )
    return dataclasses.replace(good, **changes)


def used(**changes: Any) -> Usage:
    return dataclasses.replace(USAGE, **changes)
