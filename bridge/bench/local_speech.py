"""Measures the local speech server: how many callers at once it answers in real time.

The server runs in its own processes, on cores of its own where the machine has two or more; the callers are in this
process, on the others. Each caller speaks at the speed of speech and is silent between, and has an answer spoken
after each of its turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from bridge.bench.local_figures import Processor, SpeechLevel, level_of
from bridge.bench.local_material import Utterance, material
from bridge.bench.local_stream import Stream
from bridge.bench.under_test import stop
from bridge.children import own_module
from bridge.errors import BridgeError
from bridge.tasks import spawn

_READY: Final = b"speech server ready on "
_READY_WITHIN_S: Final = 60.0
_STAGGER_S: Final = 0.15
_TICKS: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """What to measure."""

    streams: tuple[int, ...] = (1, 2, 4, 8, 12, 16)
    """Numbers of callers at once, one measurement each; the first is what the others are held against."""
    utterances: int = 12
    """How often each caller speaks; more than there are, and they come round again."""
    cores: int = 1
    """Cores for the server, where the machine has more than that."""
    server: tuple[str, ...] = ()
    """Options of the server, as `--workers 2`."""
    seed: int = 1


async def run_local_speech(
    options: SpeechOptions, *, on_level: Callable[[SpeechLevel], None] = lambda _: None
) -> list[SpeechLevel]:
    """Measure each number of callers, all against one server. Raises `BridgeError` if it cannot be started."""
    levels: list[SpeechLevel] = []
    # What it can do is to be found out, so it shall not refuse anybody by number unless it is told to.
    arguments = ("--max-streams", str(max(options.streams)), *options.server)
    async with server_process(arguments, options.cores) as (url, pid):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            said = await material(session, url)
            for count in options.streams:
                level = await _measure(session, url, pid, said, count, options)
                levels.append(level)
                on_level(level)
    return levels


async def _measure(
    session: aiohttp.ClientSession,
    url: str,
    pid: int,
    said: Sequence[Utterance],
    count: int,
    options: SpeechOptions,
) -> SpeechLevel:
    streams = []
    for number in range(count):
        dice = random.Random(f"{options.seed} {number}")  # noqa: S311  No secret.
        rounds = -(-options.utterances // len(said))
        order = [each for _ in range(rounds) for each in dice.sample([*said], len(said))][: options.utterances]
        streams.append(Stream(session, url, order, dice))
    # A collection that visits every module ever imported would be told as the server's slowness.
    gc.collect()
    gc.freeze()
    began, before = time.monotonic(), await asyncio.to_thread(_processor, pid)
    tasks = []
    try:
        for stream in streams:
            tasks.append(spawn(stream.run(), name="bench-stream"))
            await asyncio.sleep(_STAGGER_S)
        await asyncio.gather(*tasks)
    finally:
        gc.unfreeze()
        for task in tasks:
            task.cancel()
    took, after = time.monotonic() - began, await asyncio.to_thread(_processor, pid)
    return level_of([stream.heard for stream in streams], _between(before, after, took))


@contextlib.asynccontextmanager
async def server_process(arguments: Sequence[str], cores: int) -> AsyncIterator[tuple[str, int]]:
    """Run a speech server for the length of the block; gives its address and process id.

    It has the first `cores` cores of this process for itself, if there are more than these. Raises `BridgeError`
    (`bench_speech`) if it does not start.
    """
    with _apart(cores) as pin:
        process = await asyncio.create_subprocess_exec(
            *own_module("bridge.speech_server", "--port", "0", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        pin()
        try:
            yield await _address(process), process.pid
        finally:
            await stop(process)


@contextlib.contextmanager
def _apart(cores: int) -> Iterator[Callable[[], None]]:
    """Lend this process the server's cores, for it to inherit; what is given moves it to the other ones."""
    if not hasattr(os, "sched_setaffinity"):
        yield lambda: None
        return
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) <= cores:
        yield lambda: None
        return
    os.sched_setaffinity(0, mine[:cores])
    try:
        yield lambda: os.sched_setaffinity(0, mine[cores:])
    finally:
        os.sched_setaffinity(0, mine)


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None  # noqa: S101  It was asked for above.
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line.startswith(_READY):
        raise BridgeError(
            "the speech server did not start: run  phone-bridge speech  to see why", code="bench_speech"
        )
    return line.removeprefix(_READY).decode().strip()


def _processor(pid: int) -> dict[int, tuple[str, float, float]] | None:
    """Kind, seconds of processor time and MB of the server and each of its children; None where nobody tells."""
    try:
        children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
        return {each: (_kind(each), *_spent(each)) for each in (pid, *children)}
    except OSError:
        return None  # Not Linux.


def _children(task: Path) -> list[str]:
    return (task / "children").read_text().split()


def _kind(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return next((kind for kind in ("recognizer", "voice") if kind.encode() in words), "server")


def _spent(pid: int) -> tuple[float, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE / 1e6


def _between(
    before: dict[int, tuple[str, float, float]] | None,
    after: dict[int, tuple[str, float, float]] | None,
    took: float,
) -> Processor | None:
    if before is None or after is None:
        return None
    used = dict.fromkeys(("server", "recognizer", "voice"), 0.0)
    for pid, (kind, seconds, _) in after.items():
        used[kind] += (seconds - before.get(pid, (kind, 0.0, 0.0))[1]) / took
    return Processor(
        used["server"], used["recognizer"], used["voice"], sum(memory for *_, memory in after.values())
    )
