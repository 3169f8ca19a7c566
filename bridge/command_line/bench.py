"""The command `phone-bridge bench`: from its options to a measurement, and from that to an exit code."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bridge.bench import batching, compare, pacing, shown
from bridge.bench.figures import Level
from bridge.bench.load import LoadOptions
from bridge.bench.machine import machine, versions
from bridge.bench.medians import median_levels
from bridge.bench.run import LADDER_CALLS, BenchOptions, BenchRun, run_bench
from bridge.bench.systems import Bridge, Command, Relay, System
from bridge.bench.talk import Pace
from bridge.errors import SettingsError
from bridge.process import FAILED, OK, run

_MOST_CALLS = 16_000
"""More than any machine carries; all calls of a run have to be told apart by their audio."""
_FEW_CALLS = "1,50"


def bench_options(given: Mapping[str, Any]) -> BenchOptions:
    """What to measure, from the command's options. Raises `SettingsError`."""
    calls = given["calls"]
    if calls is None:
        numbers = LADDER_CALLS if given["ladder"] else tuple(map(int, _FEW_CALLS.split(",")))
    else:
        numbers = _numbers(calls)
    return BenchOptions(
        calls=numbers,
        ladder=given["ladder"],
        seconds=given["seconds"],
        turns=given["turns"],
        limit_ms=given["limit_ms"],
        pin=given["pin"],
        load=LoadOptions(Pace(given["turn_seconds"]), given["seed"]),
    )


def bench_system(given: Mapping[str, Any]) -> System:
    """What to measure it on. Raises `SettingsError`."""
    kind, command, settings = given["system"], given["command"], dict(map(_setting, given["set"]))
    if (kind == "command") != bool(command):
        raise SettingsError("--system command and --command go together: --command is the program to start")
    if kind != "bridge" and (settings or given["workers"] != 1):
        raise SettingsError("--set and --workers are for --system bridge")
    if kind == "bridge":
        return Bridge(settings, given["workers"])
    return Relay() if kind == "relay" else Command(command)


def measure_system(given: Mapping[str, Any]) -> int:
    """Measure, show, compare and keep the figures, and return the exit code."""
    options, system = bench_options(given), bench_system(given)
    earlier = None if given["compare"] is None else _read(given["compare"])
    runs = [_run(options, system, number, given) for number in range(1, given["runs"] + 1)]
    result = _result(options, system, runs)
    if given["as_json"]:
        click.echo(json.dumps(result, indent=2))
    else:
        _tell(options, runs, result)
        if earlier is not None:
            click.echo("\n" + compare.compared(earlier, result))
    if given["out"] is not None:
        given["out"].write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return OK if result["ok"] else FAILED


def measure_pacing(minutes: float, seed: int, *, as_json: bool) -> int:
    """Measure the leads, show them, and return the exit code."""
    options = pacing.PacingOptions(minutes=minutes, seed=seed)
    rows = [*pacing.measure(options)]
    click.echo(json.dumps(pacing.as_json(rows, options), indent=2) if as_json else pacing.table(rows, options))
    return OK


def measure_batching(calls: int, sizes: str, seconds: float, settings: Sequence[str], *, as_json: bool) -> int:
    """Measure the sizes of message, show them, and return the exit code."""
    options = BenchOptions(calls=(calls,), seconds=seconds)
    system = Bridge(dict(map(_setting, settings)))
    with tempfile.TemporaryDirectory(prefix="phone-bridge-bench-", ignore_cleanup_errors=True) as folder:
        rows = run(batching.sweep(options, Path(folder), system=system, sizes_ms=_numbers(sizes, "--sizes")))
    if as_json:
        click.echo(
            json.dumps({"machine": machine(), "versions": versions(), "rows": batching.as_json(rows)}, indent=2)
        )
    else:
        click.echo(f"{calls} calls; times in ms, p50 / p99\n{batching.table(rows)}")
    return OK if all(row.level.ok for row in rows) else FAILED


def _run(options: BenchOptions, system: System, number: int, given: Mapping[str, Any]) -> BenchRun:
    def show(level: Level) -> None:
        if given["as_json"]:
            return
        title = f"Run {number}. " if given["runs"] > 1 else ""
        click.echo(f"{title}{shown.block(level)}\n")

    if not given["as_json"] and sys.stderr.isatty():
        click.echo(f"measuring {system.name}: {_length(options)}", err=True)
    # The calls that the system records are of no interest; one that fails tells why in its error.
    with tempfile.TemporaryDirectory(prefix="phone-bridge-bench-", ignore_cleanup_errors=True) as folder:
        return run(run_bench(options, Path(folder), system=system, on_level=show))


def _length(options: BenchOptions) -> str:
    if options.ladder:
        return (
            f"a ladder from {options.calls[0]} to at most {options.calls[-1]} calls, {options.seconds:g} s a level"
        )
    return f"{', '.join(map(str, options.calls))} calls, {options.seconds:g} s a level"


def _result(options: BenchOptions, system: System, runs: Sequence[BenchRun]) -> dict[str, Any]:
    """All of it as JSON: levels are the medians of the runs, if there are several."""
    levels = list(runs[0].levels) if len(runs) == 1 else median_levels([one.levels for one in runs])
    knees = [one.knee or 0 for one in runs]
    knee = statistics.median_low(knees) if options.ladder else None
    workers = system.workers if isinstance(system, Bridge) else 1
    missing = sum(one.missing_at_end for one in runs)
    return {
        # A ladder is there to find the level that fails.
        "ok": bool(knee) if options.ladder else not missing and all(level.ok for level in levels),
        "unit": "ms",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": system.name,
        "machine": machine(),
        "versions": versions(),
        "method": {
            "cores": runs[0].cores.said,
            "workers": workers,
            "settings": dict(system.settings) if isinstance(system, Bridge) else {},
            "window": f"{options.seconds:g} s" if options.turns is None else f"{options.turns} turns",
            "settle_s": options.settle_s,
            "turn_s": options.load.pace.turn_s,
            "limit_ms": options.limit_ms,
            "seed": options.load.seed,
            "runs": len(runs),
        },
        "knee": knee,
        "knees": knees if options.ladder else None,
        "calls_per_core": None if knee is None else knee / workers,
        "missing_at_end": missing,
        "notes": [note for one in runs for note in one.notes],
        "levels": [shown.level_json(level) for level in levels],
        "runs": [[shown.level_json(level) for level in one.levels] for one in runs] if len(runs) > 1 else [],
    }


def _tell(options: BenchOptions, runs: Sequence[BenchRun], result: Mapping[str, Any]) -> None:
    levels = list(runs[0].levels) if len(runs) == 1 else median_levels([one.levels for one in runs])
    if len(runs) > 1:
        click.echo(f"Medians of {len(runs)} runs:")
    click.echo(shown.overview(levels))
    click.echo(f"{result['system']}; {result['method']['cores']}; {_said(result['machine'], result['versions'])}")
    if options.ladder:
        knees = "" if len(runs) == 1 else f" (each run: {', '.join(map(str, result['knees']))})"
        click.echo(
            f"Knee: {result['knee']} calls sustained, {result['calls_per_core']:g} a core{knees}. Sustained:"
            f" nothing lost, every turn answered, no under-run, frame → speech p99 at most {options.limit_ms:g} ms"
            " beyond batching, less than 97 % of the processor."
        )
    if result["missing_at_end"]:
        click.echo(f"After all calls had ended, {result['missing_at_end']} bytes of callers had not arrived.")
    for note in result["notes"]:
        click.echo(f"Note: {note}")


def _said(machine: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{name} {number}" for name, number in versions.items() if number is not None)
    return f"{machine['processor']}, {machine['cores']} cores, {machine['system']} {machine['kernel']}; {parts}"


def _numbers(text: str, option: str = "--calls") -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(1 <= number <= _MOST_CALLS for number in numbers):
        what = "numbers of calls such as 1,50" if option == "--calls" else "milliseconds such as 20,60"
        raise SettingsError(f"{option} is {text!r}: wanted {what}")
    return numbers


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    section, dot, key = name.partition(".")
    if not (equals and dot and section and key):
        raise SettingsError(f"--set is {text!r}: wanted section.key=value such as stt.chunk_ms=60")
    return name, value


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsError(f"--compare {path}: no JSON ({error})") from error
    if not isinstance(found, dict):
        raise SettingsError(f"--compare {path}: no result of phone-bridge bench")
    compare.compare(found, {"levels": []})
    return found
