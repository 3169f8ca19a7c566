"""Guards what a call costs against growing unnoticed: `python -m tests.benchmarks.guard`.

Two kinds of figures. **Counts**: how many functions a step of a call takes, and how many it takes to keep a turn
in the record (`steps`, `record`). They are the same on every machine, but for other versions of Python and of the
libraries, so their bounds are tight. **The ratio**: processor time of a call in the bridge by that of one in the
bare relay, all threads and processes of each, measured in turns (relay, bridge, relay, bridge) in one run. A noisy
or slow machine moves both, and so the ratio less than either; its bound is wide all the same.

Each figure may be so many times that of the last line of `history.jsonl` which has it. `--record` adds a line: do
so where a change makes the bridge cheaper, or dearer for a reason.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

import click
import structlog

from bridge.bench.load import LoadOptions
from bridge.bench.machine import machine, versions
from bridge.bench.run import BenchOptions, run_bench
from bridge.bench.systems import Bridge, Relay, System
from bridge.bench.talk import Pace
from bridge.errors import BridgeError
from tests.benchmarks.record import functions_per_turn
from tests.benchmarks.steps import functions_per_step

HISTORY: Final = Path(__file__).parent / "history.jsonl"
COUNT_FACTOR: Final = 1.15
RATIO_FACTOR: Final = 1.6
RATIO: Final = "ratio"
TITLES: Final[Mapping[str, str]] = {
    "python_per_step": "Python functions per step of a call",
    "c_per_step": "C functions per step of a call",
    "python_per_kept_turn": "Python functions to keep a turn",
    RATIO: "processor time of a call, bridge by relay",
}
"""What is guarded, in the order in which it is shown."""
_TURNS: Final = 20
_KEPT_CALLS: Final = 50
_KEPT_S: Final = 3.0
_PACE: Final = Pace(turn_s=3.0)
"""Twice as many turns as usual, so that a short window has some of every call."""
_SETTLE_S: Final = 3.0
"""The relay does not greet, which its callers wait for first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure against its bound."""

    title: str
    value: float
    last: float | None
    """None: it was never recorded, so there is no bound."""
    factor: float

    @property
    def over(self) -> bool:
        """Whether it is more than it may be."""
        return self.last is not None and self.value > self.factor * self.last

    def __str__(self) -> str:
        head = f"{'OVER' if self.over else 'ok':4}  {self.title:42} {self.value:9.3f}"
        if self.last is None:
            return f"{head}  (never recorded)"
        bound = self.factor * self.last
        return f"{head}  recorded {self.last:9.3f}, at most {bound:9.3f} (x {self.factor:g})"


def judged(figures: Mapping[str, float], last: Mapping[str, float], ratio_factor: float) -> list[Verdict]:
    """Every guarded figure that was measured."""
    return [
        Verdict(title, figures[name], last.get(name), ratio_factor if name == RATIO else COUNT_FACTOR)
        for name, title in TITLES.items()
        if name in figures
    ]


def last_figures(lines: Iterable[str]) -> dict[str, float]:
    """The latest of each figure in a history."""
    found: dict[str, float] = {}
    for line in lines:
        if line.strip():
            found |= json.loads(line)["figures"]
    return found


def differences(lines: Iterable[str], now: Mapping[str, str | None]) -> list[str]:
    """Versions that are not those of the last line of a history, as sentences."""
    written = [line for line in lines if line.strip()]
    then: dict[str, str | None] = json.loads(written[-1])["versions"] if written else dict(now)
    return [
        f"{name} was {then.get(name)}, and is {now.get(name)}"
        for name in sorted({*then, *now} - {"phone-bridge"})
        if then.get(name) != now.get(name)
    ]


def ratio_of(bridge: Iterable[float], relay: Iterable[float]) -> dict[str, float]:
    """The ratio, and what it was made of, in percent of a core."""
    ours, theirs = median(bridge), median(relay)
    return {RATIO: ours / theirs, "bridge_percent_per_call": 100 * ours, "relay_percent_per_call": 100 * theirs}


def counts() -> dict[str, float]:
    """Measure what is the same on every machine."""
    # What is logged in production is counted, too; what the record says of its database is not to be shown.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    python, c = functions_per_step(_TURNS)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return {
        "python_per_step": python,
        "c_per_step": c,
        "python_per_kept_turn": functions_per_turn(_KEPT_CALLS, _KEPT_S),
    }


async def ratio(calls: int, seconds: float, rounds: int) -> dict[str, float]:
    """Measure relay and bridge in turns; nothing, where the system does not tell what processes use.

    Raises `BridgeError` if one of them cannot be started or called.
    """
    options = BenchOptions(calls=(calls,), seconds=seconds, settle_s=_SETTLE_S, load=LoadOptions(_PACE))
    found: dict[str, list[float]] = {"relay": [], "bridge": []}
    with tempfile.TemporaryDirectory(prefix="guard-") as folder:
        for number in range(rounds):
            systems: tuple[System, ...] = (Relay(), Bridge())
            for system in systems:
                place = Path(folder) / f"{number}-{system.name}"
                await asyncio.to_thread(place.mkdir)
                level = (await run_bench(options, place, system=system)).levels[-1]
                for fault in (*level.broken, *level.noise):
                    click.echo(f"note: {system.name}: {fault}")
                if level.cpu_per_call:
                    found[system.name].append(level.cpu_per_call)
    return ratio_of(found["bridge"], found["relay"]) if all(found.values()) else {}


def history_line(figures: Mapping[str, float]) -> str:
    """What `--record` adds."""
    line = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": machine(),
        "versions": _versions(),
        "figures": {name: round(value, 4) for name, value in figures.items()},
    }
    return json.dumps(line, ensure_ascii=False) + "\n"


def _versions() -> dict[str, str | None]:
    return {**versions(), "sqlalchemy": version("sqlalchemy")}


def _commit() -> str:
    command = ("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    try:
        return subprocess.run(
            command, cwd=HISTORY.parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _measured(*, only_counts: bool, **how: Any) -> Iterator[Mapping[str, float]]:
    yield counts()
    if not only_counts:
        yield asyncio.run(ratio(**how))


@click.command()
@click.option("--counts", "only_counts", is_flag=True, help="Only what is the same on every machine.")
@click.option(
    "--calls", type=click.IntRange(1), default=20, show_default=True, help="Calls at once, for the ratio."
)
@click.option("--seconds", type=click.FloatRange(1), default=6.0, show_default=True, help="Length of each window.")
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True, help="Windows of each of the two.")
@click.option("--factor", type=float, default=RATIO_FACTOR, show_default=True, help="What the ratio may grow by.")
@click.option("--record", is_flag=True, help="Add the figures to the history, whatever they are.")
def main(*, only_counts: bool, calls: int, seconds: float, rounds: int, factor: float, record: bool) -> None:
    """Measure what a call costs, and fail where that is much more than it was."""
    history = HISTORY.read_text(encoding="utf-8").splitlines() if HISTORY.exists() else []
    last = last_figures(history)
    figures: dict[str, float] = {}
    try:
        for some in _measured(only_counts=only_counts, calls=calls, seconds=seconds, rounds=rounds):
            figures |= some
    except BridgeError as error:
        raise click.ClickException(error.message) from error
    verdicts = judged(figures, last, factor)
    for verdict in verdicts:
        click.echo(str(verdict))
    for difference in differences(history, _versions()):
        click.echo(f"note: {difference}")
    if record:
        with HISTORY.open("a", encoding="utf-8") as file:
            file.write(history_line(figures))
    elif any(verdict.over for verdict in verdicts):
        click.echo("A call costs more than it did. Make it cheaper, or record why it must: --record adds a line.")
        sys.exit(1)


if __name__ == "__main__":
    main()
