"""The scripted talk of each call: what the caller does when, and the stamps between its events.

All stamps are taken in one process with one monotonic clock, when a peer of the system hands a message to its
socket and when a peer has read one from its. So each measure includes, besides the system, one hop of this process:
a message's way out to a socket and another one's way in, each behind whatever else the event loop has to do.
`harness_echo` measures two such hops alone, under the same load: half of it is the harness's part of every figure.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from bridge.bench.figures import ASK, ASK_EAGERLY, BARGE_IN, PLAY, RELEASE, VOICE_END, VOICE_START
from bridge.bench.tally import Tally
from bridge.simulator.load.wheel import clock
from bridge.stt.cartesia_wire import ServiceMessage, TurnEagerEnd, TurnEnd, TurnStart, TurnUpdate

__all__ = ["Pace", "Talk", "clock"]

_BEGIN_S: Final = 20.0
"""Limit for the first audio of the caller at the speech service, after the call has begun."""
_GREETING_S: Final = 2.0
"""How long the caller waits for the agent to speak first. One that does not is spoken to."""
_CLEAR_S: Final = 2.0
_ANSWER_S: Final = 4.0

_LISTENED_TO: Final = "listened_to"

Tell: TypeAlias = Callable[[ServiceMessage], None]
"""Sends a message on a call's speech-to-text socket; nothing if that is gone."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a talk goes."""

    turn_s: float = 6.0
    """From one turn's beginning to the next one's, on average."""

    @property
    def pause_s(self) -> float:
        """Between the events of a turn: start, two updates, (eager end,) end."""
        return self.turn_s / 24

    def listen_s(self, chance: random.Random) -> float:
        """How long the caller listens to the agent before they cut in."""
        return chance.uniform(0.65, 0.95) * self.turn_s

    @property
    def speech_s(self) -> float:
        """Length of what the agent says: longer than any caller listens."""
        return 1.2 * self.turn_s


class Talk:
    """One call. Peers stamp with `begin` and `reached`; `run` is the caller."""

    def __init__(self, number: int, tally: Tally, chance: random.Random, pace: Pace) -> None:
        self.number = number
        self.tally = tally
        self.turns = 0
        """How many are over since the beginning."""
        self.held = False
        """Whether the answer that is made now may not be heard yet: its turn has only eagerly ended."""
        self.cuts_in: Callable[[], bool] = lambda: True
        """The caller is about to cut in. Returns whether there is something left to play that a clear must end."""
        self.until_heard: Callable[[], asyncio.Future[None]] | None = None
        """Done when the speech service has got all audio that the caller has sent by now. None: the service's
        events do not wait for the audio."""
        self._pace = pace
        self._chance = chance
        self._since: dict[str, float] = {}
        self._arrivals: dict[str, asyncio.Event] = {}
        self._tell: Tell | None = None
        self._asked = False
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
        self.tally.add(measure, since, at)
        self._arrival(measure).set()

    def asked(self, at: float) -> None:
        """The agent was asked about the turn that is going on: eagerly, unless that has ended."""
        self.reached(ASK_EAGERLY if self.held else ASK, at)

    def lost(self) -> None:
        """The media stream is gone: what is waited for will not come."""
        self._lost = True
        for arrival in self._arrivals.values():
            arrival.set()

    async def run(self, turns: int | None = None) -> None:
        """Hold the talk, each turn of which cuts the agent's speech: so many turns, or until cancelled."""
        self._arrival(PLAY)
        if not await self._within(_LISTENED_TO, _BEGIN_S):
            self.tally.dropped_calls += 1
            return
        await self._within(PLAY, _GREETING_S)
        while not self._lost and (turns is None or self.turns < turns):
            await asyncio.sleep(self._pace.listen_s(self._chance))
            answered = await self._take_turn(self.turns + 1, eager=self.turns % 2 == 1)
            self.turns += 1
            self.tally.turn_over(answered=answered)

    async def _take_turn(self, number: int, *, eager: bool) -> bool:
        """One turn of the caller. Returns whether the answer came to be heard."""
        text = f" Question {number} of line {self.number}, what comes next?"
        await self._heard(VOICE_START)
        interrupts = self.cuts_in()
        self.begin(BARGE_IN)
        self._say(TurnStart())
        if not await self._within(BARGE_IN, _CLEAR_S) and interrupts and self.tally.counting:
            self.tally.missing_clears += 1
        for end in (len(text) // 2, len(text)):
            await asyncio.sleep(self._pace.pause_s)
            self._say(TurnUpdate(text[:end]))
        await asyncio.sleep(self._pace.pause_s)
        await self._heard(VOICE_END)
        if eager:
            self.held = True
            self.begin(ASK_EAGERLY)
            self._say(TurnEagerEnd(text))
            # Time enough for the speech to be there, and held.
            await asyncio.sleep(self._pace.pause_s)
            self.held = False
            if ASK_EAGERLY not in self._since:
                self.begin(RELEASE)
                self._say(TurnEnd(text))
                return await self._within(RELEASE, _ANSWER_S)
            # This system, or a late one, asks when the turn has ended.
        self._arrival(PLAY).clear()
        self.begin(ASK)
        self._say(TurnEnd(text))
        return await self._within(ASK, _ANSWER_S) and await self._within(PLAY, _ANSWER_S)

    async def _heard(self, measure: str) -> None:
        """Where the service's events wait for the audio: wait, too, and stamp how long that was."""
        if self.until_heard is None:
            return
        since = clock()
        await self.until_heard()
        self.tally.add(measure, since, clock())

    def _say(self, message: ServiceMessage) -> None:
        if self._tell is not None:
            self._tell(message)

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
