"""Three times as many callers as there is room for, again and again, while calls go on: what do they feel of it?

`python -m tests.overload` runs a bridge as a user starts it, once for each reason why there can be no room (calls,
a number's own limit, a speech plan that was learned from 429, a late event loop), and holds as many calls as it
may. Then many more come at once, to numbers whose overflow is a busy tone, a sentence, a transfer and a queue. It
tells how soon each got its document, what the calls that go on felt of it beside windows without anybody else, and
how soon those who wait are let in when there is room. Ends with 1 where one got something else than it should. For
Linux.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from bridge.bench.figures import ASK, BARGE_IN, HEARD, LATENESS, PLAY_ALL, TITLES, percentile, summarize
from bridge.tasks import spawn
from tests.overload.callers import NUMBERS, Told, in_its_own_process, metrics, refusals, wrong_documents
from tests.overload.stage import REASONS, Stage, stage, waiting

_SHOWN = (HEARD, BARGE_IN, ASK, PLAY_ALL, LATENESS)
_EVERY_S = 1.0
_LET_IN_WITHIN_S = 15.0
_WAITING = 4


@dataclass(slots=True)
class Found:
    """What came out for one reason."""

    reason: str
    told: list[Told] = field(default_factory=list)
    felt: Mapping[str, dict[str, list[float]]] = field(
        default_factory=lambda: {"alone": defaultdict(list), "among": defaultdict(list)}
    )
    """Samples of the calls, by measure."""
    lags: Mapping[str, list[float]] = field(default_factory=lambda: {"alone": [], "among": []})
    let_in: list[float] = field(default_factory=list)
    """Seconds from there being room until one who waited had it."""
    counted: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@click.command()
@click.option("--calls", default=20, show_default=True, help="Calls that go on; three times as many come at once.")
@click.option("--seconds", default=6.0, show_default=True, help="Length of each window.")
@click.option("--windows", default=2, show_default=True, help="Windows without and with the others, in turn.")
@click.option("--only", type=click.Choice(REASONS), multiple=True, help="Why there is no room; else all of them.")
def main(calls: int, seconds: float, windows: int, only: tuple[str, ...]) -> None:
    """Measure calls among callers for whom there is no room."""
    wrong = False
    for reason in only or REASONS:
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(measured(reason, calls, seconds, windows, Path(folder)))
        click.echo(shown(found) + "\n")
        wrong = wrong or bool(found.wrong)
    sys.exit(1 if wrong else 0)


async def measured(reason: str, calls: int, seconds: float, windows: int, folder: Path) -> Found:
    """Play it for one reason."""
    found = Found(reason)
    async with stage(reason, calls, folder) as it:
        for number in range(windows):
            await _window(it, found, "alone", 0, seconds, 0)
            if reason == "lag":
                await it.burden()
            await it.keep_full()
            await _window(it, found, "among", 3 * calls, seconds, (number + 1) * 10**6)
            if reason == "lag" and number < windows - 1:
                await it.relieve()
                await asyncio.sleep(2)
        await _room(it, found)
        found.counted = refusals(await metrics(it.origin))
        _judge(it, found)
    return found


async def _window(it: Stage, found: Found, name: str, callers: int, seconds: float, first: int) -> None:
    it.calls.begin_window()
    told, lags = await in_its_own_process(it.origin, callers, seconds, _EVERY_S, first)
    for measure, samples in it.calls.tally.end_window().items():
        found.felt[name][measure] += samples
    found.told += told
    found.lags[name].extend(lags)


async def _room(it: Stage, found: Found) -> None:
    """There is room for some of those who wait."""
    taken: list[float] = []
    await it.keep_full()
    queue = spawn(waiting(it.origin, 9 * 10**6, _WAITING, taken), name="queue")
    await asyncio.sleep(2.5)
    if taken:
        found.wrong.append(f"{len(taken)} who waited were let in when there was no room")
    dropped = it.calls.tally.dropped_calls
    began = asyncio.get_running_loop().time()
    places = await it.make_room(_WAITING)
    try:
        async with asyncio.timeout(_LET_IN_WITHIN_S):
            while len(taken) < places:  # noqa: ASYNC110  Whoever waits asks about once a second.
                await asyncio.sleep(0.02)
            await asyncio.sleep(2.5)  # Nobody else is.
    except TimeoutError:
        pass
    queue.cancel()
    found.let_in = [at - began for at in taken]
    if len(taken) != places:
        found.wrong.append(f"{len(taken)} of {places} were let in")
    if it.calls.tally.dropped_calls > dropped:
        found.wrong.append("a call ended that was to go on")


def _judge(it: Stage, found: Found) -> None:
    """What must hold however slow the machine is."""
    found.wrong += [f"a caller got {text}" for text in sorted(set(wrong_documents(found.told)))]
    if others := {reason for reason, count in found.counted.items() if count and reason != found.reason}:
        found.wrong.append(f"counted as {', '.join(sorted(others))}")
    if found.counted.get(found.reason, 0) < len(found.told):
        found.wrong.append(f"only {found.counted.get(found.reason, 0)} were counted as {found.reason}")
    tally = it.calls.tally
    for name in ("dropped_calls", "lost_up", "lost_down"):
        if (count := getattr(tally, name)) and found.reason != "lag":
            found.wrong.append(f"calls that went on: {name} {count}")


def shown(found: Found) -> str:
    """Return it as text."""
    lines = [f"no room: {found.reason}", f"  {'callers turned away':44}{'':>8}{'p50':>9}{'p99':>9}{'max':>9}"]
    lines += [_line(kind, [one.seconds for one in found.told if one.kind == kind]) for kind in NUMBERS]
    lines.append(f"  {'calls that go on':44}{'':>8}{'alone':>18}{'among them':>18}")
    for measure in _SHOWN:
        both = [summarize(found.felt[name][measure]) for name in found.felt]
        cells = [f"{one.p50:.1f} / {one.p99:.1f}" if one else "-" for one in both]
        lines.append(f"  {TITLES[measure]:44}{'':>8}" + "".join(f"{cell:>18}" for cell in cells))
    lags = [f"{max(found.lags[name], default=0):.1f}" for name in found.lags]
    lines.append(f"  {'lag of the loop, at most':44}{'':>8}" + "".join(f"{lag:>18}" for lag in lags))
    let_in = ", ".join(f"{at:.1f}" for at in found.let_in) or "nobody"
    lines.append(f"  those who waited were let in after {let_in} s of there being room")
    lines.append(f"  counted: {', '.join(f'{name} {count}' for name, count in found.counted.items()) or 'nothing'}")
    lines += [f"  WRONG: {text}" for text in found.wrong]
    return "\n".join([*lines, "  (ms; p50 / p99)"])


def _line(name: str, seconds: Sequence[float]) -> str:
    ordered = sorted(1000 * one for one in seconds)
    if not ordered:
        return f"  {name:44}{0:>8}"
    figures = (percentile(ordered, 50), percentile(ordered, 99), ordered[-1])
    return f"  {name:44}{len(ordered):>8}" + "".join(f"{figure:>9.1f}" for figure in figures)


if __name__ == "__main__":
    main()
