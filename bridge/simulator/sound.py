"""What one leg says and hears, 20 ms at a time: its mouth, its ear, and the streams that listen to both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from bridge.audio import dtmf
from bridge.simulator.record import CallRecord
from bridge.simulator.rooms import Member, Room, mixed
from bridge.simulator.voice import FRAME_BYTES, FRAME_S, SILENCE, CallerVoice, Utterance
from bridge.tasks import spawn

BYTES_PER_S: Final = 8000


class Listening(Protocol):
    """A stream that only listens."""

    def feed(self, start_s: float, inbound: bytes, outbound: bytes) -> None:
        """What the leg said, and what it heard, in the 20 ms from `start_s` on."""


class LineSound:
    """The sound of one leg.

    While a two-way stream is open, that stream asks for the leg's frames; at all other times `run` does, from when
    it is needed on. Either hands each frame to `sent`, so nothing is said twice and nothing is lost.
    """

    def __init__(
        self, voice: CallerVoice, record: CallRecord, clock: Callable[[], float], *, on_run: Callable[[], None]
    ) -> None:
        """`clock` gives call time; `on_run` is told when the leg begins to speak and hear without a stream."""
        self.connected = asyncio.Event()
        """Set while somebody hears the leg: a two-way stream, or others in a room."""
        self.taps: list[Listening] = []
        self.last_loud_s = float("-inf")
        """End of the last frame that was not silence, as call time."""
        self._voice = voice
        self._record = record
        self._clock = clock
        self._on_run = on_run
        self._carrier = CallerVoice()  # what the carrier itself plays to the leg
        self._room: tuple[Room, Member] | None = None
        self._ears: list[Member] = []
        self._played: list[tuple[float, bytes]] = []  # of the two-way stream, for those that listen
        self._streaming = False
        self._free = asyncio.Event()
        self._free.set()
        self._task: asyncio.Task[None] | None = None

    # --- who speaks ---

    @property
    def in_room(self) -> bool:
        """Whether the leg is connected with others."""
        return self._room is not None

    def enter(self, room: Room, member: Member) -> None:
        """Hear and be heard in a room."""
        self.run()
        self._room = (room, member)
        self._ears.append(member)
        room.join(member)
        self.connected.set()

    def leave(self) -> None:
        """Leave the room; what was said in it before is heard to its end."""
        if self._room is not None:
            room, member = self._room
            self._room = None
            self.connected.clear()
            room.leave(member)

    def play(self, audio: bytes, done: Callable[[], None]) -> Utterance:
        """The carrier plays something to the leg."""
        self.run()
        playing = Utterance(audio, on_said=done)
        self._carrier.say(playing)
        return playing

    def silence(self, playing: Utterance) -> None:
        """Play no more of it."""
        self._carrier.drop(playing)

    def play_tones(self, digits: str, done: Callable[[], None]) -> Utterance:
        """The carrier sends keys to the leg."""
        return self.play(dtmf.tones(digits), done)

    # --- frames ---

    def sent(self, start_s: float, frame: bytes) -> None:
        """The leg has said a frame: what does it hear in these 20 ms, and who listens?"""
        self._record.add_sent(start_s, frame)
        if frame.strip(SILENCE):
            self.last_loud_s = start_s + FRAME_S
        heard = self._ear(start_s)
        if heard is not None:
            self._record.add_heard(start_s, heard)
        if self._room is not None:
            room, member = self._room
            room.said(member, frame)
        if self.taps:
            outbound = self._stream_played(start_s) if heard is None else heard
            for tap in list(self.taps):
                tap.feed(start_s, frame, outbound)

    def stream_sounded(self, start_s: float, piece: bytes) -> None:
        """Audio of the two-way stream has sounded."""
        self._record.agent.feed(start_s, piece)
        if self.taps:
            self._played.append((start_s, piece))

    def _ear(self, start_s: float) -> bytes | None:
        frames = []
        if self._carrier.busy:
            frames.append(self._carrier.frame(start_s))
        for ear in list(self._ears):
            heard = ear.hear()
            if heard is None:
                self._ears.remove(ear)
            else:
                frames.append(heard)
        return mixed(frames) if frames else None

    def _stream_played(self, start_s: float) -> bytes:
        frame = bytearray(SILENCE * FRAME_BYTES)
        end_s, later = start_s + FRAME_S, []
        for at_s, piece in self._played:
            offset = round((at_s - start_s) * BYTES_PER_S)
            if offset >= FRAME_BYTES:
                later.append((at_s, piece))
                continue
            cut = max(0, -offset)
            here = piece[cut : cut + FRAME_BYTES - max(0, offset)]
            frame[max(0, offset) : max(0, offset) + len(here)] = here
            if offset + len(piece) > FRAME_BYTES:
                later.append((end_s, piece[cut + len(here) :]))
        self._played = later
        return bytes(frame)

    # --- the clock of a leg that no two-way stream keeps ---

    def streaming(self, *, begins: bool) -> None:
        """A two-way stream asks for the frames from here on, or no longer does."""
        self._streaming = begins
        if begins:
            self._free.clear()
            self.connected.set()
        else:
            self._free.set()
            self.connected.clear()

    def run(self) -> None:
        """Let the leg speak and hear from here on, until `stop`."""
        if self._task is None:
            self._on_run()
            self._task = spawn(self._run(), name="simulated_leg_sound")

    async def stop(self) -> None:
        """The leg is silent from here on."""
        self.leave()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            await self._free.wait()
            begin, count = self._clock(), 0
            while not self._streaming:
                due = begin + (count + 1) * FRAME_S
                if (wait := due - self._clock()) > 0:
                    await asyncio.sleep(wait)
                    continue
                start_s = begin + count * FRAME_S
                self.sent(start_s, self._voice.frame(start_s))
                count += 1
