"""A measurement from its start to its figures: a system in its own process, and all of its peers in this one.

Everything of the bridge is as in production: signed webhooks, stream tokens, marks, journal, trace, metrics, record
and recording. The levels of one run are measured against one system that keeps running: calls are added, or some
end, and after a while in which nobody counts, a window is measured. The system has cores of its own, where there
are enough; this process has another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bridge.bench import processes
from bridge.bench.figures import LIMIT_MS, Level, Usage, summarize
from bridge.bench.ladder import RESOLUTION, STEPS, Ladder
from bridge.bench.load import Load, LoadOptions, load
from bridge.bench.systems import Bridge, Place, System
from bridge.bench.under_test import system_process
from bridge.simulator.line import CallError
from bridge.simulator.load.wheel import clock

_LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure, and how."""

    calls: tuple[int, ...] = (1, 50)
    """Numbers of calls at once; the steps of the ladder, if there is one."""
    ladder: bool = False
    """Whether to stop at the first level that is not sustained, and to look for the last one that is."""
    resolution: int = RESOLUTION
    seconds: float = 20.0
    """Length of a window."""
    turns: int | None = None
    """Instead: the window ends when every call has had so many turns in it."""
    settle_s: float = 3.0
    """Between the last new call and the window."""
    limit_ms: float = LIMIT_MS
    pin: bool = True
    """Whether system and load have cores of their own."""
    load: LoadOptions = field(default_factory=LoadOptions)


LADDER_CALLS: Final = STEPS


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where; empty: anywhere."""

    system: tuple[int, ...] = ()
    load: tuple[int, ...] = ()

    @property
    def said(self) -> str:
        """As words."""
        if not self.system:
            return "nothing was pinned"
        return f"system on core {_list(self.system)}, load on core {_list(self.load)}"


@dataclass(frozen=True, slots=True)
class BenchRun:
    """What one run found."""

    levels: Sequence[Level]
    """In the order in which they were measured."""
    knee: int | None
    """The most calls that were sustained; None if none were, or it was not asked for."""
    broke: int | None
    """The fewest that were not."""
    cores: Cores
    missing_at_end: int
    """Bytes of callers that had not come to the speech service some time after all had hung up."""
    notes: Sequence[str] = field(default_factory=tuple)


def cores_for(workers: int, available: Sequence[int], *, pin: bool) -> Cores:
    """The first cores for the system, one for each worker, and the last one for the load."""
    if not pin or len(available) <= workers:
        return Cores()
    return Cores(tuple(available[:workers]), (available[-1],))


async def run_bench(
    options: BenchOptions,
    folder: Path,
    *,
    system: System | None = None,
    on_level: Callable[[Level], None] = lambda _: None,
) -> BenchRun:
    """Measure each number of calls, or climb the ladder; what the system writes goes below `folder`.

    Raises `BridgeError` if the system cannot be started or called. Cancelling stops it and the calls.
    """
    system = system or Bridge()
    workers = system.workers if isinstance(system, Bridge) else 1
    cores = cores_for(workers, _available(), pin=options.pin)
    place = Place("", secrets.token_hex(16), secrets.token_hex(16), folder)
    with _pinned(cores.load):
        async with contextlib.AsyncExitStack() as stack:
            calls = await stack.enter_async_context(load(options.load))
            place = dataclasses.replace(place, peers=calls.peers)
            running = await stack.enter_async_context(system_process(system.launch(place), folder, cores.system))
            calls.attach(running.url, place.token)
            meter = _Meter(running.pid, workers, cores, options.limit_ms)
            levels, ladder = await _levels(options, calls, meter, on_level)
            missing = await calls.finish()
    return BenchRun(levels, ladder.knee, ladder.broke, cores, missing, tuple(meter.notes))


async def _levels(
    options: BenchOptions, calls: Load, meter: _Meter, on_level: Callable[[Level], None]
) -> tuple[list[Level], Ladder]:
    ladder = Ladder(options.calls, options.resolution)
    plain = iter(options.calls)
    levels: list[Level] = []
    while (count := ladder.next_level() if options.ladder else next(plain, None)) is not None:
        try:
            level = await _measure(count, options, calls, meter)
        except CallError as error:
            if not (options.ladder and levels):
                raise
            meter.notes.append(f"{count} calls: {error.message}")
            ladder.record(count, sustained=False)
            continue
        levels.append(level)
        ladder.record(count, sustained=level.sustained, noisy=level.noisy)
        on_level(level)
    return levels, ladder


async def _measure(count: int, options: BenchOptions, calls: Load, meter: _Meter) -> Level:
    climbing = count > len(calls.calls)
    calls.tally.begin_level()
    await calls.set_calls(count)
    await calls.settle(options.settle_s)
    if not climbing:
        # What went wrong was the level's before, or the fault of those who were hung up on.
        calls.tally.begin_level()
    await meter.begin()
    began = calls.begin_window()
    await _window(options, calls)
    took = clock() - began
    samples = calls.tally.end_window()
    usage = await meter.end(took, count)
    tally = calls.tally
    found = {measure: summarize(values) for measure, values in samples.items()}
    return Level(
        calls=count,
        seconds=took,
        turns=tally.turns,
        unanswered=tally.unanswered,
        missing_clears=tally.missing_clears,
        refused_frames=tally.refused_frames,
        dropped_calls=tally.dropped_calls,
        lost_up=tally.lost_up,
        lost_down=tally.lost_down,
        stale_bytes=tally.stale_bytes,
        underruns=tally.underruns,
        underrun_ms=1000 * tally.underrun_s,
        usage=usage,
        cores=meter.workers,
        limit_ms=options.limit_ms,
        figures={measure: figures for measure, figures in found.items() if figures is not None},
    )


async def _window(options: BenchOptions, calls: Load) -> None:
    if options.turns is None:
        await asyncio.sleep(options.seconds)
        return
    goal = {number: call.talk.turns + options.turns for number, call in calls.calls.items()}
    # A call has nobody to tell when a turn is over.
    while any(  # noqa: ASYNC110
        call.talk.turns < goal[number] and call.phone.open_now for number, call in calls.calls.items()
    ):
        await asyncio.sleep(_LOOK_S)


class _Meter:
    """What system, load and others use during a window."""

    def __init__(self, pid: int, workers: int, cores: Cores, limit_ms: float) -> None:
        self.workers = workers
        self.limit_ms = limit_ms
        self.notes: list[str] = []
        self._pid = pid
        self._watched = (*cores.system, *cores.load) or _available()
        self._first: int | None = None
        self._family: list[int] = []
        self._before: processes.Usage | None = None
        self._own = 0.0
        self._busy: float | None = None

    async def begin(self) -> None:
        """The window begins."""
        self._family, self._before, self._busy = await asyncio.to_thread(self._look, None)
        self._own = time.process_time()

    async def end(self, seconds: float, calls: int) -> Usage:
        """It is over."""
        own = (time.process_time() - self._own) / seconds
        _, after, busy = await asyncio.to_thread(self._look, self._family)
        spent = processes.spent(self._before, after)
        memory = await asyncio.to_thread(processes.memory, self._family)
        others = None
        if spent is not None and busy is not None and self._busy is not None:
            # Ticks of 10 ms against nanoseconds: a little less than nothing is nothing.
            others = max(0.0, (busy - self._busy - spent.cpu_s) / seconds - own)
        if memory is not None and calls == 1:
            self._first = memory.pss
        per_call = None
        if memory is not None and calls > 1 and self._first is not None:
            per_call = (memory.pss - self._first) / (calls - 1)
        return Usage(
            load_cpu=own,
            cpu=None if spent is None else spent.cpu_s / seconds,
            loop_cpu=None if spent is None else spent.loop_cpu_s / seconds,
            loop_waited=None if spent is None else spent.loop_waited_s / seconds / self.workers,
            others_cpu=others,
            rss=None if memory is None else memory.rss,
            pss=None if memory is None else memory.pss,
            pss_per_call=per_call,
        )

    def _look(self, pids: list[int] | None) -> tuple[list[int], processes.Usage | None, float | None]:
        pids = pids or processes.family(self._pid)
        return pids, processes.usage(pids), processes.busy_s(self._watched)


@contextlib.contextmanager
def _pinned(cores: Sequence[int]) -> Iterator[None]:
    """Keep this thread on these cores for the length of the block."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _available() -> tuple[int, ...]:
    """The cores that this process may use; none where nobody tells."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def _list(cores: Sequence[int]) -> str:
    return ", ".join(map(str, cores))
