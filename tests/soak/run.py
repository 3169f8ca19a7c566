"""Soaks a bridge: calls come and go by the thousand, and what it needs is looked at before, meanwhile and after."""

from __future__ import annotations

import asyncio
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from bridge.errors import ProtocolError
from bridge.simulator.line import CallError
from bridge.tasks import spawn
from tests.bridge_process import TOKEN
from tests.soak.peers import RandomAgent, RandomSpeech
from tests.soak.phone import Caller
from tests.soak.process import Look, Process, bridge_process

_OVER_WITHIN_S: Final = 40.0
"""How soon after the last caller all calls must be recorded: longer than a bridge waits for a lost stream."""
_IDLE_S: Final = 1.0
"""How long connections are kept that nobody uses."""
_MOST_MB: Final = 12
"""How much more memory a bridge may have at the end than after the second part of the calls.

After the first part much is still being filled that has its bounds: the pages that SQLite keeps for each of its
connections (2 MB), the last 10,000 events, what is remembered of the last 1,000 calls.
"""
_MOST_FILES: Final = 12
_MOST_TASKS: Final = 5
"""How much more a bridge may have after the calls than it had after the first of them."""
_MOST_GARBAGE: Final = 60
"""How many objects a call may leave to the collector. They pile up between two full looks, which come once in
thousands of calls, and halt all others the longer, the more there are."""
_IMPORTS_LEAVE: Final = 5_000
"""How many there are of what is imported with the first calls."""


@dataclass
class Soaked:
    """What was seen."""

    calls: int
    seconds: float = 0.0
    looks: list[tuple[str, Look, int]] = field(default_factory=list)
    """(when, how the process stood, its tasks)."""
    seen: Counter[str] = field(default_factory=Counter)
    """What callers did."""
    wrong: list[str] = field(default_factory=list)
    """What must not be."""
    tasks: dict[str, int] = field(default_factory=dict)
    """The tasks at the end, by what they are for."""
    garbage: int = 0
    """How many objects were left to the collector."""


async def soak(
    calls: int,
    *,
    at_once: int,
    longest_s: float,
    seed: int = 1,
    tell: Callable[[str], None] = lambda _: None,
) -> Soaked:
    """Let so many calls come and go, `at_once` at a time, each up to `longest_s` seconds long."""
    soaked, begin = Soaked(calls), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        async with (
            RandomSpeech(seed).running() as speech,
            RandomAgent().running() as agent,
            bridge_process(Path(name), _settings(speech.url, agent.url)) as process,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S)) as session,
        ):
            chance = random.Random(seed)
            first = max(at_once, calls // 10)
            numbers = [range(first), *_parts(range(first, calls), 5)]
            for part in numbers:
                await _callers(part, at_once, process, session, chance, longest_s, soaked)
                await _look(process, session, f"after {part.stop} calls", soaked, tell)
            await _see_all_over(process, session, soaked)
            await asyncio.sleep(2 * _IDLE_S)  # Else each connection of ours that is idle has a task over there.
            await _look(process, session, "at the end", soaked, tell)
            soaked.tasks = process.tasks() or {}
            soaked.garbage = await _garbage(process)
            soaked.seen |= Counter({"turns said": speech.turns, "speech connections broken": speech.broken})
            soaked.seen["agent asked"] = agent.asked
            if process.running.returncode is not None:
                soaked.wrong.append(f"the bridge has died with {process.running.returncode}")
        soaked.wrong += [f"in the log: {line[:120]} … {line[-1500:]}" for line in process.faults()]
    soaked.seconds = time.monotonic() - begin
    _compare(soaked)
    return soaked


def _settings(speech: str, agent: str) -> dict[str, str]:
    return {
        "BRIDGE_SPEECH__BASE_URL": speech,
        "BRIDGE_SPEECH__API_KEY": "test",
        "BRIDGE_AGENT__KIND": "webhook",
        "BRIDGE_AGENT__URL": agent,
        "BRIDGE_AGENT__GREETING": "Hello, this is the bridge, and this is its greeting.",
        "BRIDGE_AGENT__TIMEOUT_SECONDS": "2",
        "BRIDGE_AGENT__BREAKER_FAILURES": "0",
        "BRIDGE_TURNS__FILLER_SECONDS": "1",
        "BRIDGE_TURNS__SILENCE_SECONDS": "3",
    }


def _parts(numbers: range, count: int) -> list[range]:
    size = max(1, -(-len(numbers) // count))
    return [numbers[begin : begin + size] for begin in range(0, len(numbers), size)]


async def _callers(
    numbers: range,
    at_once: int,
    process: Process,
    session: aiohttp.ClientSession,
    chance: random.Random,
    longest_s: float,
    soaked: Soaked,
) -> None:
    room = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with room:
            caller = Caller(session, process.url, TOKEN, number, random.Random(chance.random()))
            try:
                async with asyncio.timeout(longest_s * 4 + 60):
                    await caller.call(longest_s)
            except (CallError, ProtocolError, aiohttp.ClientError) as error:
                soaked.wrong.append(f"call {number}: {error}")
            except TimeoutError:
                soaked.wrong.append(f"call {number} is stuck")
            soaked.seen.update(caller.seen)

    await asyncio.gather(*(spawn(one(number), name="soaking call") for number in numbers))


async def _look(
    process: Process, session: aiohttp.ClientSession, when: str, soaked: Soaked, tell: Callable[[str], None]
) -> None:
    process.task_file.unlink(missing_ok=True)
    process.running.send_signal(signal.SIGUSR1)
    async with asyncio.timeout(10):
        while (tasks := process.tasks()) is None:  # noqa: ASYNC110  Another process writes it.
            await asyncio.sleep(0.02)
    look = await process.look(session)
    soaked.looks.append((when, look, sum(tasks.values())))
    tell(f"{when}: {look}, {sum(tasks.values())} tasks")


async def _garbage(process: Process) -> int:
    process.running.send_signal(signal.SIGUSR2)
    async with asyncio.timeout(30):
        while (garbage := process.garbage()) is None:  # noqa: ASYNC110  Another process writes it.
            await asyncio.sleep(0.02)
    return garbage


async def _see_all_over(process: Process, session: aiohttp.ClientSession, soaked: Soaked) -> None:
    until = time.monotonic() + _OVER_WITHIN_S
    live = (await process.look(session)).calls
    while live and time.monotonic() < until:
        await asyncio.sleep(0.5)
        live = (await process.look(session)).calls
    if live:
        soaked.wrong.append(f"{live} calls are not over {_OVER_WITHIN_S:g} s after the last caller has gone")


def _compare(soaked: Soaked) -> None:
    (_, first, first_tasks), (_, last, last_tasks) = soaked.looks[0], soaked.looks[-1]
    when, full, _ = soaked.looks[min(1, len(soaked.looks) - 2)]
    if last.own_mb - full.own_mb > _MOST_MB:
        soaked.wrong.append(f"{last.own_mb - full.own_mb:.1f} MB more than {when}")
    if soaked.garbage > _MOST_GARBAGE * soaked.calls + _IMPORTS_LEAVE:
        soaked.wrong.append(f"{soaked.garbage / soaked.calls:.0f} objects of each call were left to the collector")
    if last.files - first.files > _MOST_FILES:
        soaked.wrong.append(f"{last.files - first.files} open files more than after the first calls")
    if last.threads > first.threads + _MOST_FILES:
        soaked.wrong.append(f"{last.threads - first.threads} threads more than after the first calls")
    if last_tasks - first_tasks > _MOST_TASKS:
        soaked.wrong.append(f"{last_tasks - first_tasks} tasks more than after the first calls: {soaked.tasks}")
    soaked.wrong += [what for what in soaked.seen if "invalid" in what]
