"""Listening in: the sound of live calls, for whoever listens while it is kept.

A store around another one. While nobody listens to a call, this costs it one look at an attribute for each piece of
sound. Who listens has a queue of their own; who does not empty it is let go, and the call never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from bridge.conversation.journal import CallClosed, Entry, recording_after
from bridge.live.ear import Ear, Over
from bridge.store.around import RecordAround, StoreAround
from bridge.store.base import CallFiles, CallHeader, CallRecord, Store

Recording: TypeAlias = Literal["on", "paused", "off"]

LEFT: Final = 0
"""The side of the caller, as in the recording."""
RIGHT: Final = 1
"""The side of the agent, or of the person whom the caller is connected with."""

MOST_EARS: Final = 20
"""How many may listen to one call at the same time: each costs the call a little with every piece of sound."""


class Taps(StoreAround):
    """Keeps calls in another store, and lets people listen."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._live: dict[str, TappedRecord] = {}

    def _around(self, record: CallRecord, header: CallHeader, entries: Sequence[Entry]) -> CallRecord:
        state = recording_after(entries, header.recording)
        self._live[header.id] = tapped = TappedRecord(record, state, lambda: self._forget(header.id))
        return tapped

    def listen(self, call: str, moves: Callable[[], bool]) -> Ear | None:
        """Begin to listen to a call, by the bridge's id; None: there is no such live call.

        `moves` tells, once its record is closed before its end, whether another process goes on with it.
        """
        record = self._live.get(call)
        return None if record is None else record.listen(moves)

    def full(self, call: str) -> bool:
        """Tell whether as many listen to a call as may."""
        record = self._live.get(call)
        return record is not None and record.listeners >= MOST_EARS

    def recording(self, call: str) -> Recording:
        """Return whether the sound of a call is kept; `off` as well where there is no such live call."""
        record = self._live.get(call)
        return "off" if record is None else record.recording

    def leave(self, call: str, ear: Ear) -> None:
        """Listen no longer."""
        if (record := self._live.get(call)) is not None:
            record.leave(ear)

    def _forget(self, call: str) -> None:
        self._live.pop(call, None)


class TappedRecord(RecordAround):
    """The record of one call, with whoever listens to it."""

    def __init__(self, record: CallRecord, recording: Recording, forget: Callable[[], None]) -> None:
        super().__init__(record)
        self.recording: Recording = recording
        """Whether its sound is kept, as in `CallHeader`."""
        self._forget = forget
        self._ears: tuple[Ear, ...] = ()
        self._moves: Callable[[], bool] = lambda: False
        self._ended = False
        """The call has come to its end: what moves then moves no more."""

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._ears)

    def listen(self, moves: Callable[[], bool]) -> Ear:
        """Let somebody listen from here on; `moves` as in `Taps.listen`."""
        ear = Ear()
        self._moves = moves
        if self.recording == "paused":
            ear.tell("paused", at_ms=0)
        self._ears = (*self._ears, ear)
        return ear

    def leave(self, ear: Ear) -> None:
        """Let them go."""
        self._ears = tuple(one for one in self._ears if one is not ear)

    def append(self, entry: Entry) -> None:
        """Keep an entry of the journal. Never waits and never raises."""
        self._record.append(entry)
        if isinstance(entry, CallClosed):
            self._ended = True

    def caller_audio(self, at_ms: int, audio: bytes) -> None:
        """Keep what the caller said. Never waits and never raises."""
        self._record.caller_audio(at_ms, audio)
        if self._ears:
            self._hear(LEFT, at_ms, audio)

    def callee_audio(self, at_ms: int, audio: bytes) -> None:
        """Keep what the person said whom the caller is connected with. Never waits and never raises."""
        self._record.callee_audio(at_ms, audio)
        if self._ears:
            self._hear(RIGHT, at_ms, audio)

    def agent_audio(self, at_ms: float, audio: bytes) -> None:
        """Keep what was handed to the phone. Never waits and never raises."""
        self._record.agent_audio(at_ms, audio)
        if self._ears:
            self._hear(RIGHT, at_ms, audio)

    def agent_cleared(self, at_ms: float) -> None:
        """Take back what had not sounded. Never waits and never raises."""
        self._record.agent_cleared(at_ms)
        for ear in self._ears:
            ear.tell("clear", at_ms=round(at_ms))

    def pause_audio(self, at_ms: float) -> None:
        """From then on keep, and let be heard, silence in place of both sides. Never waits and never raises."""
        self._record.pause_audio(at_ms)
        self.recording = "paused"
        for ear in self._ears:
            ear.tell("paused", at_ms=round(at_ms))

    def resume_audio(self, at_ms: float) -> None:
        """From then on keep again what both sides say. Never waits and never raises."""
        self._record.resume_audio(at_ms)
        self.recording = "on"
        for ear in self._ears:
            ear.tell("resumed", at_ms=round(at_ms))

    async def close(self) -> CallFiles:
        """Finish the record; as that of the store around which this is."""
        self._forget()
        why: Over = "moved" if not self._ended and self._moves() else "ended"
        for ear in self._ears:
            ear.end(why)
        return await self._record.close()

    def _hear(self, side: int, at_ms: float, audio: bytes) -> None:
        if self.recording == "paused":
            return  # What nobody is to keep, nobody is to hear.
        for ear in self._ears:
            ear.hear(side, at_ms, audio)
