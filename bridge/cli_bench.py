"""The command `phone-bridge bench`: from its options to a measurement, and from that to an exit code."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from bridge.bench import figures, pacing
from bridge.bench.run import BenchOptions, run_bench
from bridge.errors import SettingsError
from bridge.process import FAILED, OK, run

_MOST_CALLS = 16_000
"""So many calls can be told apart by their audio."""


def bench_options(calls: str, turns: int, seed: int) -> BenchOptions:
    """What to measure. `calls` is a list with commas. Raises `SettingsError`."""
    try:
        numbers = tuple(int(part) for part in calls.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(1 <= number <= _MOST_CALLS for number in numbers):
        raise SettingsError(f"--calls is {calls!r}: wanted numbers of calls such as 1,50")
    return BenchOptions(numbers, turns, seed)


def measure_bridge(options: BenchOptions, *, as_json: bool, out: Path | None) -> int:
    """Measure, show and keep the figures, and return the exit code."""

    def show(level: figures.Level) -> None:
        if not as_json:
            click.echo(figures.table([level]) + "\n")

    # The calls that the bridge records are of no interest; a bridge that fails tells why in its error.
    with tempfile.TemporaryDirectory(prefix="phone-bridge-bench-", ignore_cleanup_errors=True) as folder:
        levels = run(run_bench(options, Path(folder), on_level=show))
    found = figures.as_json(levels)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    if out is not None:
        out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return OK if found["ok"] else FAILED


def measure_pacing(minutes: float, seed: int, *, as_json: bool) -> int:
    """Measure the leads, show them, and return the exit code."""
    options = pacing.PacingOptions(minutes=minutes, seed=seed)
    rows = [*pacing.measure(options)]
    click.echo(json.dumps(pacing.as_json(rows, options), indent=2) if as_json else pacing.table(rows, options))
    return OK
