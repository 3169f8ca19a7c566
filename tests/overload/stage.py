"""A bridge with calls that go on, and no room for any more: for each reason that there can be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bridge.bench.load import Load, LoadOptions, load
from bridge.bench.peer_server import Routes
from bridge.bench.run import cores_for
from bridge.bench.systems import Bridge, Launch, Place
from bridge.bench.under_test import system_process
from bridge.stt.cartesia_wire import TURNS_PATH
from bridge.tasks import spawn
from tests.overload.callers import NUMBERS, Origin, ask, loop_lag_ms, metrics, sids, tell_over

REASONS: Final = ("calls", "number", "speech", "lag")
PLACES: Final = 2
"""How many calls there may be at each of the other numbers, where each number has a limit of its own."""
_LAG_MS: Final = 100
_STOPPED_S, _RUNS_S = 0.3, 0.1
_BURDENED_WITHIN_S: Final = 20.0
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Limited(Bridge):
    """The bridge as it is, with a file of settings."""

    config: Path = Path()

    def launch(self, place: Place) -> Launch:
        """See `System.launch`."""
        launch = Bridge.launch(self, place)
        return replace(launch, arguments=(*launch.arguments, "--config", str(self.config)))


def settings(reason: str, calls: int) -> str:
    """The file of settings under which `calls` calls leave no room, by this reason."""
    lines = ["[admission]", "queue_seconds = 1", "queue_rounds = 100"]
    lines += {"calls": [f"max_calls = {calls}"], "lag": [f"max_lag_ms = {_LAG_MS}"]}.get(reason, [])
    for kind, number in NUMBERS.items():
        lines += ["[[numbers]]", f'number = "{number}"', f'overflow = "{kind}"']
        lines += ['overflow_transfer = "+15550100900"'] if kind == "transfer" else []
        lines += [f"max_calls = {calls if kind == 'busy' else PLACES}"] if reason == "number" else []
    return "\n".join(lines) + "\n"


class Stage:
    """A full bridge."""

    def __init__(self, reason: str, calls: Load, routes: Routes, origin: Origin, pid: int, count: int) -> None:
        self.reason, self.calls, self.origin, self.count = reason, calls, origin, count
        self._routes, self._pid = routes, pid
        self._held = [(f"{kind}", f"CA{kind}{number}") for kind in NUMBERS for number in range(PLACES)]
        self._burden: asyncio.Task[None] | None = None

    async def fill(self) -> None:
        """Take all the room there is."""
        await self.calls.set_calls(self.count)
        if self.reason == "speech":
            self._routes.refused[TURNS_PATH] = "429 Too Many Requests"
            await self.calls.set_calls(self.count + 1)
            await asyncio.sleep(1)  # It is told so, and tries again.
            await self.calls.set_calls(self.count)
            del self._routes.refused[TURNS_PATH]
        await self.keep_full()
        await self.calls.settle(3)
        self.calls.tally.begin_level()

    async def keep_full(self) -> None:
        """Take the room that is held for a while only, once more."""
        if self.reason == "number":
            for kind, sid in self._held:
                if kind != "busy":
                    await ask(self.origin, sid, kind)

    async def make_room(self, waiting: int) -> int:
        """Let two callers in, or all who are waiting; returns how many."""
        if self.reason == "lag":
            await self.relieve()
            return waiting
        if self.reason == "number":
            for kind, sid in self._held:
                if kind == "queue":
                    await tell_over(self.origin, sid)
        else:
            await self.calls.set_calls(self.count - PLACES)
        return PLACES

    async def burden(self) -> None:
        """Halt the process again and again from now on; returns when it has noticed how late its loop is."""
        self._burden = spawn(self._halt(), name="burden")
        async with asyncio.timeout(_BURDENED_WITHIN_S):
            while loop_lag_ms(await metrics(self.origin)) <= 1.2 * _LAG_MS:  # noqa: ASYNC110  It tells nobody.
                await asyncio.sleep(_LOOK_S)

    async def relieve(self) -> None:
        """Let the process run."""
        if self._burden is not None:
            self._burden.cancel()
            await asyncio.wait([self._burden])

    async def _halt(self) -> None:
        try:
            while True:
                os.kill(self._pid, signal.SIGSTOP)
                await asyncio.sleep(_STOPPED_S)
                os.kill(self._pid, signal.SIGCONT)
                await asyncio.sleep(_RUNS_S)
        finally:
            os.kill(self._pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def stage(reason: str, count: int, folder: Path) -> AsyncIterator[Stage]:
    """Run a bridge on a core of its own, if there is one, with `count` calls and no room for more."""
    config = folder / f"{reason}.toml"
    await asyncio.to_thread(config.write_text, settings(reason, count), "utf-8")
    cores = cores_for(1, sorted(os.sched_getaffinity(0)), pin=True)
    routes = Routes()
    with _pinned(cores.load):
        async with contextlib.AsyncExitStack() as stack:
            calls = await stack.enter_async_context(load(LoadOptions(), routes))
            place = Place(calls.peers, secrets.token_hex(16), secrets.token_hex(16), folder)
            launch = _Limited(config=config).launch(place)
            up = await stack.enter_async_context(system_process(launch, folder, cores.system))
            calls.attach(up.url, place.token)
            made = Stage(reason, calls, routes, Origin(up.url, place.token), up.pid, count)
            stack.push_async_callback(made.relieve)
            await made.fill()
            yield made
            await calls.finish()


@contextlib.contextmanager
def _pinned(cores: tuple[int, ...]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def waiting(origin: Origin, first: int, count: int, taken: list[float]) -> None:
    """So many callers who wait in the queue; each tells in `taken` when it was let in. Until cancelled."""
    loop = asyncio.get_running_loop()

    async def one(sid: str) -> None:
        path = (await ask(origin, sid, "queue")).next_path
        while path:
            await asyncio.sleep(1)  # The `<Pause>` of the document.
            path = (await ask(origin, sid, "queue", path)).next_path
        taken.append(loop.time())

    names = sids(first)
    await asyncio.gather(*(one(next(names)) for _ in range(count)))
