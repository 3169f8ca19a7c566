"""A measurement from its start to its figures: a bridge in its own process, and all of its peers in this one.

Everything of the bridge is as in production: signed webhooks, stream tokens, marks, journal, trace and recording.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import WSMsgType, web

from bridge.bench.agent import PATH as AGENT_PATH
from bridge.bench.agent import InstantAgent
from bridge.bench.figures import ECHO, Level, summarize
from bridge.bench.phones import Handset, Phones
from bridge.bench.speech import ScriptedSpeech
from bridge.bench.talk import Talk, Tally, clock
from bridge.bench.under_test import bridge_process
from bridge.simulator.line import Line
from bridge.tasks import spawn

_STAGGER_S: Final = 0.05
"""Between the beginnings of two calls."""
_ECHO_S: Final = 0.05
_ECHO_PATH: Final = "/echo"
_RECORDED_S: Final = 1.0
"""For the bridge to record the ends of the calls before it is told to stop."""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure."""

    calls: tuple[int, ...] = (1, 50)
    """Numbers of calls at once, one measurement each."""
    turns: int = 20
    """Turns of each call that count, after those that warm it up."""
    seed: int = 1
    """Of the moments at which callers cut in."""


async def run_bench(
    options: BenchOptions, folder: Path, *, on_level: Callable[[Level], None] = lambda _: None
) -> list[Level]:
    """Measure each number of calls against a bridge of its own; what the bridges write goes below `folder`.

    Raises `BridgeError` if a bridge cannot be started or called. Cancelling stops the bridge and the calls.
    """
    levels: list[Level] = []
    for number, calls in enumerate(options.calls):
        place = folder / f"{number}-{calls}"
        await asyncio.to_thread(place.mkdir, parents=True)
        level = await _measure(calls, options, place)
        levels.append(level)
        on_level(level)
    return levels


async def _measure(calls: int, options: BenchOptions, folder: Path) -> Level:
    tally = Tally()
    talks = {
        number: Talk(number, tally, random.Random(f"{options.seed} {number}"))  # noqa: S311  No secret.
        for number in range(1, calls + 1)
    }
    token, key = secrets.token_hex(16), secrets.token_hex(16)
    async with contextlib.AsyncExitStack() as stack:
        peers = await stack.enter_async_context(_peers(talks))
        environment = _environment(peers, token=token, key=key, folder=folder)
        bridge = await stack.enter_async_context(bridge_process(environment, folder))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        handsets = [Handset(talk, Line(bridge.url, token)) for talk in talks.values()]
        began, before = clock(), await bridge.processor()
        spent = await _talk(session, peers, handsets, talks, options.turns)
        took, after = clock() - began, await bridge.processor()
        await asyncio.sleep(_RECORDED_S)
    found = {measure: summarize(samples) for measure, samples in tally.samples.items()}
    return Level(
        calls=calls,
        turns=tally.turns,
        unanswered=tally.unanswered,
        missing_clears=tally.missing_clears,
        refused_frames=tally.refused_frames,
        cpu=spent,
        bridge_cpu=None if before is None or after is None else (after[0] - before[0]) / took,
        bridge_waited=None if before is None or after is None else (after[1] - before[1]) / took,
        figures={measure: figures for measure, figures in found.items() if figures is not None},
    )


async def _talk(
    session: aiohttp.ClientSession, peers: str, handsets: list[Handset], talks: Mapping[int, Talk], turns: int
) -> float:
    """Let every call have its talk. Returns the processor time of this process, in cores."""
    tally = next(iter(talks.values())).tally
    running: list[asyncio.Task[None]] = []
    own = [
        spawn(Phones(handsets, tally.add).run(), name="bench-phones"),
        spawn(_echo(session, peers, tally), name="bench-echo"),
    ]
    # A collection that visits every module ever imported would be told as the bridge's slowness.
    gc.collect()
    gc.freeze()
    began, used = clock(), time.process_time()
    try:
        for handset, talk in zip(handsets, talks.values(), strict=True):
            await handset.call(session)
            running.append(spawn(talk.run(turns), name=f"bench-talk-{talk.number}"))
            await asyncio.sleep(_STAGGER_S)
        await asyncio.gather(*running)
        return (time.process_time() - used) / (clock() - began)
    finally:
        gc.unfreeze()
        for task in (*own, *running):
            task.cancel()
        await asyncio.gather(*(handset.hang_up() for handset in handsets))


async def _echo(session: aiohttp.ClientSession, peers: str, tally: Tally) -> None:
    """Measure two hops of this process alone, under the same load, until cancelled."""
    async with session.ws_connect(peers + _ECHO_PATH) as socket:
        while True:
            at = clock()
            await socket.send_str("echo")
            await socket.receive()
            tally.add(ECHO, clock() - at)
            await asyncio.sleep(_ECHO_S)


@contextlib.asynccontextmanager
async def _peers(talks: Mapping[int, Talk]) -> AsyncIterator[str]:
    """The agent, the speech service and the echo on one free port; gives their address."""
    app = web.Application()
    ScriptedSpeech(talks).add_to(app)
    InstantAgent(talks).add_to(app)
    app.router.add_get(_ECHO_PATH, _answer_echo)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _answer_echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


def _environment(peers: str, *, token: str, key: str, folder: Path) -> dict[str, str]:
    """The settings of the bridge under test: defaults, apart from where its peers are."""
    return {
        "BRIDGE_SPEECH__BASE_URL": peers,
        "BRIDGE_SPEECH__API_KEY": "bench",
        "BRIDGE_AGENT__KIND": "webhook",
        "BRIDGE_AGENT__URL": peers + AGENT_PATH,
        "BRIDGE_AGENT__SECRET": key,
        "BRIDGE_TWILIO__AUTH_TOKEN": token,
        "BRIDGE_STORE__RECORDINGS": str(folder / "calls"),
        "BRIDGE_LOG__FORMAT": "json",
        "XDG_STATE_HOME": str(folder / "state"),
    }
