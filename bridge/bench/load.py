"""The load: all calls on one system, and all of its peers, in this process.

Nothing here waits for a call in turn: phones are served by one timer, peers answer as messages come. What it costs
is measured and shown, and it is to be a small part of what the system costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from bridge.bench.agent import InstantAgent
from bridge.bench.figures import ECHO, LATENESS
from bridge.bench.load_call import LoadCall, call_sid
from bridge.bench.peer_server import Routes, Session, Socket, serving
from bridge.bench.speech import ScriptedSpeech
from bridge.bench.talk import Pace, clock
from bridge.bench.tally import Tally
from bridge.simulator.line import CallError, Line
from bridge.simulator.load import frames
from bridge.simulator.load.cells import MOST_CALLS
from bridge.simulator.load.wheel import Wheel
from bridge.simulator.twiml_reader import Connect
from bridge.simulator.webhooks import Webhooks
from bridge.tasks import spawn

_STAGGER_S: Final = 0.04
"""Between the beginnings of two calls."""
_ECHO_S: Final = 0.05
_ECHO_PATH: Final = "/echo"
_LOOK_S: Final = 0.25
_CALM_S: Final = 0.5
"""Audio that is no older than this and not at the speech service yet is not waiting for anything."""
_CALM_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How the calls behave."""

    pace: Pace = field(default_factory=Pace)
    seed: int = 1
    """Of the moments at which callers cut in."""
    follow_audio: bool = False
    """Whether the service says that a turn began, or ended, only when it has got the audio of that moment."""


class Load:
    """The calls. `peers` is the address that the system is told; `attach` comes when it runs."""

    def __init__(self, options: LoadOptions, peers: str, session: aiohttp.ClientSession) -> None:
        self.tally = Tally()
        self.calls: dict[int, LoadCall] = {}
        """Those that go on, by number, in the order in which they began."""
        self.peers = peers
        self._options = options
        self._session = session
        self._line: Line | None = None
        self._media_url = ""
        self._talks: dict[int, asyncio.Task[None]] = {}
        self._ended: dict[int, LoadCall] = {}
        self._numbers = iter(range(1, MOST_CALLS + 1))
        self._wheel = Wheel(self._late)

    def attach(self, url: str, token: str) -> None:
        """The system to call: an origin with webhooks, or a media stream's address."""
        if url.startswith("ws"):
            self._media_url = url
            self._line = Line("http://127.0.0.1", token)
        else:
            self._line = Line(url, token)

    async def set_calls(self, count: int) -> None:
        """Begin or end calls, one after the other, until there are so many. Raises `CallError`."""
        while len(self.calls) > count:
            self._end(next(reversed(self.calls)))
        while len(self.calls) < count:
            await self._begin()
            await asyncio.sleep(_STAGGER_S)

    async def settle(self, seconds: float) -> None:
        """Wait so long, and then until no audio is waiting anywhere, or that takes too long."""
        await asyncio.sleep(seconds)
        until = clock() + _CALM_WITHIN_S
        while clock() < until:
            oldest = max((call.missing_bytes for call in self.calls.values()), default=0) / 8000
            if oldest < _CALM_S:
                return
            await asyncio.sleep(_LOOK_S)

    async def finish(self) -> int:
        """End every call, wait until what they said has arrived, and return how many bytes never did."""
        every = [*self.calls.values()]
        await self.set_calls(0)
        until = clock() + _CALM_WITHIN_S
        # Nobody has to tell when nothing is missing any more.
        while clock() < until and any(call.missing_bytes > 0 for call in every):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        for call in (*every, *self._ended.values()):
            call.phone.cut()
        return sum(max(0, call.missing_bytes) for call in every)

    def find(self, number: int) -> LoadCall | None:
        """A call by its number, also one that has ended."""
        return self.calls.get(number) or self._ended.get(number)

    def begin_window(self) -> float:
        """Samples count from now on. Returns the time."""
        gc.collect()
        now = clock()
        self.tally.begin_window(now)
        return now

    async def _begin(self) -> None:
        number = next(self._numbers)
        line = self._line
        assert line is not None  # noqa: S101  `attach` was called before.
        chance = random.Random(f"{self._options.seed} {number}")  # noqa: S311  No secret.
        call = LoadCall(number, line.account_sid, self.tally, chance, self._options.pace)
        if self._options.follow_audio:
            call.talk.until_heard = call.until_heard
        # The system may ask its peers about the call before its stream is open.
        self.calls[number] = call
        try:
            url, parameters = await self._answered(number, line)
            await call.phone.open(url, line.auth_token, parameters)
        except CallError:
            del self.calls[number]
            call.phone.cut()
            raise
        self._wheel.add(call.phone)
        self._talks[number] = spawn(call.talk.run(), name=f"bench-talk-{number}")

    async def _answered(self, number: int, line: Line) -> tuple[str, Mapping[str, str]]:
        """Where the call's media stream is to be opened, and with what parameters."""
        if self._media_url:
            return self._media_url, {}
        webhooks = Webhooks(line, self._session)
        url = line.origin + line.voice_path
        _, verbs = await webhooks.ask(url, "POST", line.form(call_sid(number), "ringing"))
        connect = next((verb for verb in verbs if isinstance(verb, Connect)), None)
        if connect is None:
            raise CallError("the call was not answered with a media stream", code="bridge_answer")
        return connect.stream.url, connect.stream.parameters

    def _end(self, number: int) -> None:
        call = self.calls.pop(number)
        self._ended[number] = call
        self._talks.pop(number).cancel()
        self._wheel.remove(call.phone)
        call.phone.hang_up()

    def _late(self, due: float, late: float) -> None:
        self.tally.add_value(LATENESS, due, late)

    async def run(self) -> None:
        """Turn the wheel and measure the echo, until cancelled."""
        self._wheel.start()
        try:
            async with self._session.ws_connect(self.peers + _ECHO_PATH, compress=0) as socket:
                while True:
                    at = clock()
                    await socket.send_str("echo")
                    await socket.receive()
                    self.tally.add(ECHO, at, clock())
                    await asyncio.sleep(_ECHO_S)
        finally:
            self._wheel.stop()


class _Echo(Session):
    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def text(self, at: float, payload: bytes) -> None:  # noqa: ARG002  (see `Session`)
        self._socket.send_frames(frames.server_frame(payload))

    def binary(self, at: float, payload: bytes) -> None:
        pass

    def closed(self) -> None:
        pass


@contextlib.asynccontextmanager
async def load(options: LoadOptions, routes: Routes | None = None) -> AsyncIterator[Load]:
    """The peers are served (by `routes`, if given) and the phones are ready, for the length of the block."""
    routes = Routes() if routes is None else routes
    async with contextlib.AsyncExitStack() as stack:
        peers = await stack.enter_async_context(serving(routes))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        made = Load(options, peers, session)
        ScriptedSpeech(made.find).add_to(routes)
        InstantAgent(made.find).add_to(routes)
        routes.sockets[_ECHO_PATH] = _Echo
        # A collection that visits every module ever imported would be told as the system's slowness, and so would
        # one in the middle of a window.
        gc.collect()
        gc.freeze()
        gc.disable()
        running = spawn(made.run(), name="bench-load")
        try:
            yield made
        finally:
            running.cancel()
            gc.enable()
            gc.unfreeze()
