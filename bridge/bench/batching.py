"""What it costs, and what it gives, to collect a caller's frames into larger messages to the speech service.

One row for each size: the processor time of a call, and how long the service takes to know what the caller did. For
the latter the service says `turn.start` and `turn.end` only when it has got the audio of the moment at which the
caller began, or ended: moments that fall anywhere between two frames and two messages.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.bench.figures import AGE, HEARD, VOICE_END, VOICE_START, Level
from bridge.bench.run import BenchOptions, run_bench
from bridge.bench.shown import level_json
from bridge.bench.systems import Bridge

SIZES_MS: Final = (20, 40, 60, 100)
SETTING: Final = "stt.chunk_ms"


@dataclass(frozen=True, slots=True)
class Row:
    """One size of message."""

    chunk_ms: int
    level: Level


async def sweep(
    options: BenchOptions,
    folder: Path,
    *,
    system: Bridge,
    sizes_ms: Sequence[int] = SIZES_MS,
) -> list[Row]:
    """Measure each size on a bridge of its own, with the calls of the last of `options.calls`. See `run_bench`."""
    load = dataclasses.replace(options.load, follow_audio=True)
    options = dataclasses.replace(options, calls=options.calls[-1:], ladder=False, load=load)
    rows: list[Row] = []
    for size in sizes_ms:
        place = folder / f"{size}-ms"
        await asyncio.to_thread(place.mkdir, parents=True)
        changed = dataclasses.replace(system, settings={**system.settings, SETTING: str(size)})
        found = await run_bench(options, place, system=changed)
        rows.append(Row(size, found.levels[-1]))
    return rows


def table(rows: Iterable[Row]) -> str:
    """The rows as lines for people. Times are in ms, p50 / p99."""
    head = f"{'message':>8} {'% core/call':>12} {'audio is old':>17} {'caller begins':>17} {'caller ends':>17}"
    lines = [f"{head} {'beyond batching':>17}"]
    for row in rows:
        each = row.level.cpu_per_call
        cells = [f"{row.chunk_ms:5d} ms", f"{'-' if each is None else f'{100 * each:.3f}':>12}"]
        for key in (AGE, VOICE_START, VOICE_END, HEARD):
            one = row.level.figures.get(key)
            cells.append(f"{'-' if one is None else f'{one.p50:.1f} / {one.p99:.1f}':>17}")
        faults = "; ".join([*row.level.unsustained, *(["the machine was noisy"] if row.level.noisy else [])])
        lines.append(" ".join(cells) + (f"  {faults}" if faults else ""))
    return "\n".join(lines)


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [{"chunk_ms": row.chunk_ms, **level_json(row.level)} for row in rows]
