"""Restarts one node after the other while calls talk, and looks whether anybody notices: `tests.nodes --rolling`.

Callers take turns all the time, each wherever their call is. Every node gets SIGTERM, ends, is started again and
is ready, before it is the next one's turn. What the callers heard is judged by their phones alone: each word of the
scripted voice can be told from the others, so that a sentence that was broken off is seen, however it came about.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import signal
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # It has no types.
import click

from bridge.simulator.caller import CallError, CallEvent, SimulatedCall
from bridge.tasks import spawn
from tests.bus.world import Nodes, nodes
from tests.postgres import PostgresServer
from tests.resumed_calls import Agent
from tests.scripted_speech import WORD_S, Peer

_WORD_BYTES = round(WORD_S * 8000)
_TURN_S = 0.6
"""How long a caller speaks."""
_BETWEEN_S = 4.0
"""How long all nodes are there between two restarts."""
_LOOK_S = 0.02
_MARK = b"\x11\x12"
_TURN = re.compile(_MARK + rb"([0-9]{6})")
_QUIET = b"\xff" * 160


@dataclass
class Rolled:
    """What was seen of a rolling restart."""

    calls: int
    cut: list[str] = field(default_factory=list)
    """Calls that ended before their caller hung up, and how."""
    exits: list[int] = field(default_factory=list)
    """Of the nodes, in their order."""
    stopped_s: list[float] = field(default_factory=list)
    """How long each took to end."""
    moves: int = 0
    """Streams that broke off."""
    away_s: list[float] = field(default_factory=list)
    """From the end of a stream to the beginning of the next."""
    back_s: list[float] = field(default_factory=list)
    """From the end of a stream to the next word of the agent, who lets callers speak first."""
    broken: list[str] = field(default_factory=list)
    """Sentences of the agent that a phone has begun to play, and not played to their end."""
    sentences: int = 0
    """Those that were played whole."""
    barge_ins: int = 0
    """Those into which the caller spoke."""
    turns: int = 0
    """Turns that callers have finished."""
    halved: int = 0
    """Turns that callers were in the middle of when their stream ended."""
    lost: list[str] = field(default_factory=list)
    """Finished turns that the record has not, or that the agent was never asked about."""
    doubled: list[str] = field(default_factory=list)
    """Finished turns that the record has twice."""
    asked_again: int = 0
    """Turns about which the agent was asked more than once."""

    @property
    def well(self) -> bool:
        """Tell whether nobody noticed."""
        return not (self.cut or self.broken or self.lost or self.doubled or any(self.exits))

    def __str__(self) -> str:
        away, back = (
            f"median {statistics.median(times):.2f} s, longest {max(times):.2f} s"
            if times
            else "none had to come back"
            for times in (self.away_s, self.back_s)
        )
        stops = ", ".join(
            f"{code} after {seconds:.1f} s" for code, seconds in zip(self.exits, self.stopped_s, strict=True)
        )
        return (
            f"rolling: {self.calls} calls, {len(self.cut)} cut {self.cut or ''}, {self.moves} moves\n"
            f"  exit codes: {stops}\n"
            f"  from the end of a stream to the next stream: {away}\n"
            f"  from the end of a stream to the next word of the agent: {back}\n"
            f"  {self.sentences + self.barge_ins + len(self.broken)} sentences of the agent:"
            f" {len(self.broken)} broken off {self.broken or ''}, {self.barge_ins} interrupted by the caller\n"
            f"  {self.turns} finished turns: {len(self.lost)} lost {self.lost or ''}, {len(self.doubled)} doubled"
            f" {self.doubled or ''}, {self.asked_again} asked about again; {self.halved} turns cut in two"
        )


class Ears:
    """The speech service: it understands what is in the sound, and nothing else."""

    def __init__(self, up: Nodes) -> None:
        self._up = up
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Listen at every ear that opens, until cancelled."""
        while True:
            for number, peer in enumerate(self._up.speech.stt):
                if number not in self._tasks:
                    self._tasks[number] = spawn(_listen(peer), name=f"ear-{number}")
            await asyncio.sleep(_LOOK_S)

    def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()


async def _listen(peer: Peer) -> None:
    """Tell of every turn that is in the sound of one socket."""
    at = 0
    with contextlib.suppress(OSError):
        while not peer.writer.is_closing():
            if not (said := _TURN.search(peer.audio, at)):
                at = max(at, len(peer.audio) - len(_MARK))
                await asyncio.sleep(_LOOK_S)
                continue
            await peer.turn("start")
            text = _text(said[1])
            await peer.turn("update", text)
            at = said.end()
            ends = -1
            while ends < 0 and not peer.writer.is_closing():
                await asyncio.sleep(_LOOK_S)  # For some audio, of which nobody tells.
                ends = peer.audio.find(_QUIET, at)
            await peer.turn("end", text)
            at = max(ends, at)


def _speech(number: int) -> bytes:
    """How turn number so-and-so sounds."""
    one = _MARK + b"%06d" % number
    return one * round(_TURN_S * 8000 / len(one))


def _text(digits: bytes) -> str:
    # Without digits: those are looked through for numbers that are to be struck out.
    return "rolling turn " + "".join(chr(ord("a") + int(digit)) for digit in digits.decode())


class Rider:
    """A caller who talks all the time, and what happened to their call."""

    numbers = itertools.count()

    def __init__(self, up: Nodes, chance: random.Random) -> None:
        self._chance = chance
        self._over = asyncio.Event()
        self.call = SimulatedCall(up.line(), on_event=self._see)
        self.broke_at: list[float] = []
        self.away_s: list[float] = []
        """How long each time the call had no stream."""
        self.said: list[str] = []
        self.halved = 0

    def _see(self, event: CallEvent) -> None:
        if event.kind == "stream_ended":
            self.broke_at.append(event.at_s)
        elif event.kind == "stream_started" and self.broke_at:
            self.away_s.append(event.at_s - self.broke_at[-1])

    async def talk(self) -> None:
        """Say something whenever the agent has been silent for a while, until `fall_silent`."""
        while not self._over.is_set() and self.call.live:
            await self.call.wait_until_agent_silent(self._chance.uniform(0.6, 3.0), 20)
            breaks = len(self.broke_at)
            number = next(self.numbers)
            try:
                await self.call.say(_speech(number))
            except CallError:
                return
            if len(self.broke_at) > breaks:
                self.halved += 1
            else:
                self.said.append(_text(b"%06d" % number))
            await self.call.wait_for_agent(10, silence_s=0.3)

    def fall_silent(self) -> None:
        """Say no more."""
        self._over.set()

    def back_s(self) -> list[float]:
        """How long it was after each break until the agent was heard again."""
        heard = [stretch.start_s for phone in self.call.phones for stretch in phone.heard(self.call.now)]
        nexts = [(at, min((start for start in heard if start >= at), default=None)) for at in self.broke_at]
        return [start - at for at, start in nexts if start is not None]

    def judge(self, whole: set[int], rolled: Rolled) -> None:
        """Hold what the phones played against the sentences that the voice was given, which have so many words."""
        for phone in self.call.phones:
            cuts = [clear.at_s for clear in phone.clears if clear.dropped_bytes]
            for stretch in phone.heard(self.call.now):
                sentences = _sentences(stretch.audio)
                for words in sentences:
                    if words in whole:
                        rolled.sentences += 1
                    elif words is sentences[-1] and any(abs(at - stretch.end_s) < _LOOK_S for at in cuts):
                        rolled.barge_ins += 1  # A stream that ends sends no `clear` before.
                    else:
                        rolled.broken.append(f"{self.call.call_sid} at {stretch.end_s:.2f} s")


def _sentences(audio: bytes) -> list[int | None]:
    """Tell the sentences in what was played apart: the words of each are numbered from 0."""
    found: list[int | None] = []
    for begin in range(0, len(audio), _WORD_BYTES):
        word = audio[begin : begin + _WORD_BYTES]
        if word[0] == 0:
            found.append(0)
        if len(word) < _WORD_BYTES or not found:
            found[-1:] = [None]
        elif (words := found[-1]) is not None:
            found[-1] = words + 1
    return found


async def roll(up: Nodes, agent: Agent, database: str, calls: int, seed: int = 1) -> Rolled:
    """Let calls talk, restart every node, one after the other, and tell what was seen."""
    rolled = Rolled(calls)
    chance = random.Random(seed)
    ears = Ears(up)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(ears.stop)
        stack.callback(spawn(ears.run(), name="ears").cancel)
        riders = [Rider(up, chance) for _ in range(calls)]
        for rider in riders:
            await rider.call.place()
            stack.push_async_callback(rider.call.hang_up)
        talking = [spawn(rider.talk(), name="rider") for rider in riders]
        await asyncio.sleep(_BETWEEN_S)
        for at in range(len(up.bridges)):
            await _restart(up, at, rolled)
            await asyncio.sleep(_BETWEEN_S)
        for rider in riders:
            rider.fall_silent()
        await asyncio.gather(*talking)
        for rider in riders:
            if not rider.call.live:
                rolled.cut.append(f"{rider.call.call_sid}: {rider.call.ending}")
            rolled.moves += len(rider.broke_at)
            rolled.away_s += rider.away_s
            rolled.back_s += rider.back_s()
            rolled.halved += rider.halved
            rider.judge({len(text.split()) for text in up.speech.whole}, rolled)
        await asyncio.gather(*(rider.call.hang_up() for rider in riders))
    await asyncio.sleep(2)  # Their records are in the database.
    await _look(rolled, [text for rider in riders for text in rider.said], agent, database)
    return rolled


async def _restart(up: Nodes, at: int, rolled: Rolled) -> None:
    up.balancer.resting = lambda one: one == at  # It has seen by `/readyz`.
    process = up.bridges[at].process
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rolled.exits.append(await process.wait())
    rolled.stopped_s.append(time.monotonic() - began)
    await up.start_again(at)
    up.balancer.resting = lambda _: False


async def _look(rolled: Rolled, said: list[str], agent: Agent, database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT text FROM turns WHERE speaker = 'caller'")
    finally:
        await connection.close()
    kept = Counter(row["text"] for row in rows)
    asked = Counter(one.transcript for one in agent.asked if one.kind == "turn.ended")
    rolled.turns = len(said)
    rolled.lost = [text for text in said if not kept[text] or not any(text in words for words in asked)]
    rolled.doubled = [text for text in said if kept[text] > 1]
    rolled.asked_again = sum(asked[text] > 1 for text in said)


async def restart_all(folder: Path, calls: int, agent: Agent, url: str, count: int = 2) -> Rolled:
    """Bring nodes up, and restart all of them, one after the other."""
    postgres = await asyncio.to_thread(PostgresServer)
    try:
        database = await asyncio.to_thread(postgres.new_database)
        given = {"BRIDGE_AGENT__KIND": "webhook", "BRIDGE_AGENT__URL": url, "BRIDGE_AGENT__GREETING": GREETING}
        async with nodes(folder, count, store=database, **given) as up:
            rolled = await roll(up, agent, database, calls)
            click.echo(str(rolled))
            return rolled
    finally:
        await asyncio.to_thread(postgres.close)


GREETING = "Good morning, this is the house in which nothing ever breaks off."
