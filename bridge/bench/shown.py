"""The figures for people and for machines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from bridge.bench.figures import TITLES, Level


def block(level: Level) -> str:
    """A level as lines for people."""
    width = max(map(len, TITLES.values()))
    calls = (
        f"{level.calls} call{'s' if level.calls > 1 else ''} at once, {level.turns} turns, {level.seconds:.0f} s"
    )
    lines = [f"{calls:{width + 2}} {'n':>7} {'p50':>8} {'p95':>8} {'p99':>8} {'max':>8}  ms"]
    for key, title in TITLES.items():
        if (one := level.figures.get(key)) is not None:
            numbers = "".join(f" {number:8.2f}" for number in (one.p50, one.p95, one.p99, one.max))
            lines.append(f"  {title:{width}} {one.count:7d}{numbers}")
    lines += [f"  {name:{width}} {value}" for name, value in _usage(level)]
    if level.stale_bytes:
        lines.append(f"  {'speech that came after its clear':{width}} {level.stale_bytes:>8} bytes")
    lines += [f"  FAILED {fault}" for fault in level.broken]
    lines += [f"  NOT SUSTAINED {fault}" for fault in level.unsustained if fault not in level.broken]
    if level.noisy:
        lines.append("  The machine was too busy, or has too few cores, for these figures to be believed:")
        lines.append("  " + "; ".join(level.noise) + ".")
    return "\n".join(lines)


def level_json(level: Level) -> dict[str, Any]:
    """The same numbers, with what follows from them."""
    return {
        **asdict(level),
        "cpu_per_call": level.cpu_per_call,
        "ok": level.ok,
        "sustained": level.sustained,
        "unsustained": level.unsustained,
        "noisy": level.noisy,
        "noise": level.noise,
    }


def overview(levels: Iterable[Level]) -> str:
    """One line for each level: what a ladder comes to."""
    head = f"{'calls':>6} {'% core':>7} {'%/call':>7} {'loop %':>7} {'load %':>7} {'kB/call':>8}"
    head += f" {'heard p99':>10} {'clear p99':>10} {'ask p99':>8} {'say p99':>8} {'media p99':>10}  sustained"
    return "\n".join([head, *(_row(level) for level in levels)])


def _row(level: Level) -> str:
    usage = level.usage
    cells = [f"{level.calls:6d}"]
    cells.append(_number(usage.cpu, 100, 7, 1))
    cells.append(_number(level.cpu_per_call, 100, 7, 3))
    cells.append(_number(usage.loop_cpu, 100, 7, 1))
    cells.append(_number(usage.load_cpu, 100, 7, 1))
    cells.append(_number(usage.pss_per_call, 1e-3, 8, 0))
    for key, width in (
        ("frame_to_speech", 10),
        ("barge_in", 10),
        ("ask", 8),
        ("synthesize", 8),
        ("play_all", 10),
    ):
        one = level.figures.get(key)
        cells.append(_number(None if one is None else one.p99, 1, width, 2))
    said = "yes" if level.sustained else "no: " + "; ".join(level.unsustained)
    return " ".join(cells) + "  " + said + (" (noisy)" if level.noisy else "")


def _number(value: float | None, times: float, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value * times:{width}.{digits}f}"


def _usage(level: Level) -> Iterator[tuple[str, str]]:
    usage = level.usage
    yield "harness: processor time", f"{usage.load_cpu:8.1%} of one core"
    if usage.cpu is not None and level.cpu_per_call is not None:
        yield (
            "system: processor time",
            f"{usage.cpu:8.1%} of one core, {level.cpu_per_call:.3%} a call (all threads and processes)",
        )
    if usage.loop_cpu is not None and usage.loop_waited is not None:
        waited = f"{usage.loop_cpu:8.1%} of one core; it waited for one {usage.loop_waited:.1%} of the time"
        yield "system: of this its event loop", waited
    if usage.others_cpu is not None:
        yield "other processes", f"{usage.others_cpu:8.1%} of one core"
    if usage.rss is not None and usage.pss is not None:
        each = "" if usage.pss_per_call is None else f", {usage.pss_per_call / 1000:.0f} kB a call beyond the first"
        yield "system: memory", f"{usage.pss / 1e6:8.1f} MB PSS, {usage.rss / 1e6:.1f} MB RSS{each}"
    underruns = f"{level.underruns:8d} under-runs, {level.underrun_ms:.0f} ms"
    yield "audio", f"{underruns}; lost or reordered bytes: {level.lost_up} up, {level.lost_down} down"
