"""The scripted talk of each call: what the caller does when, and the stamps between its events.

All stamps are taken in this one process with one monotonic clock, when a peer of the bridge hands a message to its
socket and when a peer has read one from its. So each measure includes, besides the bridge, one hop of this process:
a message's way out to a socket and another one's way in, each behind whatever else the event loop has to do.
`harness_echo` measures two such hops alone, under the same load: half of it is the harness's part of every figure.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from bridge.bench.figures import ASK, ASK_EAGERLY, BARGE_IN, PLAY, RELEASE
from bridge.stt.cartesia_wire import ServiceMessage, TurnEagerEnd, TurnEnd, TurnStart, TurnUpdate

clock: Final = time.perf_counter
"""Seconds; the one clock of all stamps."""

WARM_UP_TURNS: Final = 2
"""Turns at the beginning of each call that are not counted: imports, caches and connections of the bridge's own."""

_BEGIN_S: Final = 20.0
"""Limit for the first speech of the agent after the call has begun."""
_CLEAR_S: Final = 5.0
_ANSWER_S: Final = 10.0
_LISTEN_S: Final = (0.8, 2.0)
"""How long the caller listens to the agent before they cut in: less than its speech lasts."""
_PAUSE_S: Final = 0.2
"""Between the events of a turn."""

_LISTENED_TO: Final = "listened_to"

Tell: TypeAlias = Callable[[ServiceMessage], Awaitable[None]]
"""Sends a message on a call's speech-to-text socket."""


@dataclass(slots=True)
class Tally:
    """What all calls of a run add up to."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    """Seconds, by measure."""
    turns: int = 0
    unanswered: int = 0
    missing_clears: int = 0
    refused_frames: int = 0

    def add(self, measure: str, seconds: float) -> None:
        """Add a sample."""
        self.samples.setdefault(measure, []).append(seconds)


class Talk:
    """One call. Peers stamp with `begin` and `reached`; `run` is the caller."""

    def __init__(self, number: int, tally: Tally, chance: random.Random) -> None:
        self.number = number
        self.tally = tally
        self.counting = False
        """Whether samples are kept: not while the call warms up."""
        self.held = False
        """Whether the answer that is made now may not be heard yet: its turn has only eagerly ended."""
        self._chance = chance
        self._since: dict[str, float] = {}
        self._arrivals: dict[str, asyncio.Event] = {}
        self._tell: Tell | None = None
        self._lost = False

    def listened_to(self, tell: Tell) -> None:
        """The caller's audio has come over a speech-to-text socket: from now on `tell` is what writes to it."""
        self._tell = tell
        self._arrival(_LISTENED_TO).set()

    def begin(self, measure: str) -> None:
        """The message that `measure` counts from is about to be written."""
        self._arrival(measure).clear()
        self._since[measure] = clock()

    def reached(self, measure: str, at: float) -> None:
        """The message that `measure` counts to was read at `at`. Nothing, unless it is waited for."""
        since = self._since.pop(measure, None)
        if since is None:
            return
        if self.counting:
            self.tally.add(measure, at - since)
        self._arrival(measure).set()

    def lost(self) -> None:
        """The media stream is gone: what is waited for will not come."""
        self._lost = True
        for arrival in self._arrivals.values():
            arrival.set()

    async def run(self, turns: int) -> None:
        """Hold the talk: `WARM_UP_TURNS` and then `turns` turns, each of which cuts the agent's speech."""
        # The agent opens the call, and its first audio is the first moment at which everything is connected.
        if not await self._within(PLAY, _BEGIN_S) or not await self._within(_LISTENED_TO, _BEGIN_S):
            self.tally.unanswered += turns
            return
        for turn in range(1, WARM_UP_TURNS + turns + 1):
            self.counting = turn > WARM_UP_TURNS
            if self._lost:
                answered = False
            else:
                await asyncio.sleep(self._chance.uniform(*_LISTEN_S))
                answered = await self._take_turn(turn, eager=turn % 2 == 0)
            if self.counting:
                self.tally.turns += answered
                self.tally.unanswered += not answered

    async def _take_turn(self, number: int, *, eager: bool) -> bool:
        """One turn of the caller. Returns whether the answer came to be heard."""
        text = f" Question {number} of line {self.number}, what comes next?"
        self.begin(BARGE_IN)
        await self._say(TurnStart())
        if not await self._within(BARGE_IN, _CLEAR_S) and self.counting:
            self.tally.missing_clears += 1
        for end in (len(text) // 2, len(text)):
            await asyncio.sleep(_PAUSE_S)
            await self._say(TurnUpdate(text[:end]))
        await asyncio.sleep(_PAUSE_S)
        self.held = eager
        if eager:
            self.begin(ASK_EAGERLY)
            await self._say(TurnEagerEnd(text))
            asked = await self._within(ASK_EAGERLY, _ANSWER_S)
            await asyncio.sleep(_PAUSE_S)  # Time enough for the speech to be there, and held.
            self.begin(RELEASE)
            await self._say(TurnEnd(text))
            return await self._within(RELEASE, _ANSWER_S) and asked
        self._arrival(PLAY).clear()
        self.begin(ASK)
        await self._say(TurnEnd(text))
        return await self._within(ASK, _ANSWER_S) and await self._within(PLAY, _ANSWER_S)

    async def _say(self, message: ServiceMessage) -> None:
        assert self._tell is not None  # noqa: S101  `run` has waited for it.
        # A socket that the bridge has given up takes nothing: the turn stays unanswered, and a new one may come.
        with contextlib.suppress(ConnectionError):
            await self._tell(message)

    async def _within(self, measure: str, seconds: float) -> bool:
        """Wait until what `measure` counts to has been read."""
        try:
            async with asyncio.timeout(seconds):
                if not self._lost:
                    await self._arrival(measure).wait()
        except TimeoutError:
            self._since.pop(measure, None)
            return False
        return not self._lost

    def _arrival(self, measure: str) -> asyncio.Event:
        return self._arrivals.setdefault(measure, asyncio.Event())
