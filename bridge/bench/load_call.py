"""One call of the load: its phone, its talk, and what is checked and stamped between them.

**Frame in → speech service.** For each message that the service gets: its arrival, less the sending of the first
frame in it, less the audio in the message beyond one frame; that is the time the system took beyond what collecting
the message had to take. The raw age of the first frame is kept, too.

**Every chunk → media.** For each chunk that the service sends while the phone has less than a second left to play:
from its sending to the arrival of its last byte at the phone. Chunks that come earlier than that may be held back
on purpose, to keep a barge-in cheap, and so may the speech of a turn that has not ended.

**Under-runs.** Media that comes inside an utterance when the phone had already played all there was, while the
service had sent it before that moment.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Final

from bridge.bench.figures import BARGE_IN, PLAY, PLAY_ALL, RELEASE
from bridge.bench.talk import Pace, Talk, clock
from bridge.bench.tally import Tally
from bridge.simulator.load.cells import CELL_BYTES, CELL_MS, Check, agent_cells, agent_of, caller_cells
from bridge.simulator.load.wire_phone import RING, WirePhone

CHUNK_CELLS: Final = 12
CHUNK_BYTES: Final = CHUNK_CELLS * CELL_BYTES
CHUNK_S: Final = CHUNK_CELLS * CELL_MS / 1000
_WANTED_S: Final = 1.0
_KEPT: Final = 4
"""Utterances of which late audio is still known."""


def call_sid(number: int) -> str:
    """The carrier's name of a call."""
    return f"CA{number:032d}"


class Utterance:
    """One text as it is spoken to the system, and as it comes out of it."""

    def __init__(self, call: int, number: int, chunks: int) -> None:
        self.number = number
        self.chunks = chunks
        self.cells = agent_cells(call, number)
        self.check = Check(self.cells)
        self.sent: list[float] = []
        """When the service sent each chunk."""
        self.wanted: deque[tuple[int, float]] = deque()
        """Of chunks that the phone wants at once: where they end, and when they were sent."""
        self.cut = False

    @property
    def bytes(self) -> int:
        """Its length."""
        return self.chunks * CHUNK_BYTES


class LoadCall:
    """A call, from both sides of the system."""

    def __init__(self, number: int, account_sid: str, tally: Tally, chance: random.Random, pace: Pace) -> None:
        self.number = number
        self.talk = Talk(number, tally, chance, pace)
        self.phone = WirePhone(number, call_sid(number), account_sid, self)
        self.talk.cuts_in = self._cut_in
        self.up = Check(caller_cells(number))
        self._tally = tally
        self._chunks = round(pace.speech_s / CHUNK_S)
        self._utterances: deque[Utterance] = deque(maxlen=_KEPT)
        self._spoken = 0
        self._playing: Utterance | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    # --- the caller's audio, at the speech service ---

    def heard(self, at: float, audio: bytes) -> None:
        """The service got this from the system."""
        check = self.up
        faults = check.faults
        begin = check.take(audio)
        if check.faults != faults:
            self._tally.lost_up += check.faults - faults
            return
        sent = self.phone.sent_at[begin // CELL_BYTES % RING]
        if sent >= self._tally.since:
            # The message could not be whole before its last frame had come.
            self._tally.audio(at - sent, (len(audio) / 8 - CELL_MS) / 1000)
        while self._waiting and self._waiting[0][0] <= check.position:
            waiting = self._waiting.pop(0)[1]
            if not waiting.done():
                waiting.set_result(None)

    def until_heard(self) -> asyncio.Future[None]:
        """Done when the service has got all that was sent by now, and the frame that is being spoken."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(((self.phone.frames + 1) * CELL_BYTES, waiting))
        return waiting

    @property
    def missing_bytes(self) -> int:
        """What was sent and has not arrived."""
        return self.phone.frames * CELL_BYTES - self.up.position

    # --- the agent's audio ---

    def utterance(self) -> Utterance:
        """The system wants a text spoken."""
        self._spoken += 1
        made = Utterance(self.number, self._spoken, self._chunks)
        self._utterances.append(made)
        return made

    def chunk_sent(self, utterance: Utterance) -> None:
        """The service is about to send the next chunk of it."""
        now = clock()
        utterance.sent.append(now)
        if self.talk.held:
            return
        if len(utterance.sent) == 1:
            self.talk.begin(PLAY)
        if self.phone.plays_until - now < _WANTED_S:
            utterance.wanted.append((len(utterance.sent) * CHUNK_BYTES, now))

    def played(self, at: float, audio: bytes, ran_dry: float | None) -> None:
        """See `wire_phone.Hearing`."""
        self.talk.reached(PLAY, at)
        self.talk.reached(RELEASE, at)
        utterance = self._utterance_of(audio)
        if utterance is None:
            return
        if utterance.cut:
            self._tally.stale_bytes += len(audio)
            return
        faults = utterance.check.faults
        begin = utterance.check.take(audio)
        self._tally.lost_down += utterance.check.faults - faults
        if ran_dry is not None:
            self._dry(utterance, begin, ran_dry, at)
        wanted = utterance.wanted
        while wanted and wanted[0][0] <= utterance.check.position:
            self._tally.add(PLAY_ALL, wanted.popleft()[1], at)

    def cleared(self, at: float) -> None:
        """See `wire_phone.Hearing`."""
        self.talk.reached(BARGE_IN, at)
        if self._playing is not None:
            self._playing.cut = True

    def _cut_in(self) -> bool:
        now, playing = clock(), self._playing
        if playing is not None and not playing.cut and playing.check.position < playing.bytes:
            self._dry(playing, playing.check.position, self.phone.plays_until, now)
        return self.phone.plays_until > now

    def refused(self, reason: str) -> None:  # noqa: ARG002  (how many there are is what counts)
        """See `wire_phone.Hearing`."""
        self._tally.refused_frames += 1

    def gone(self) -> None:
        """See `wire_phone.Hearing`."""
        self._tally.dropped_calls += 1
        self.talk.lost()

    def _dry(self, utterance: Utterance, begin: int, ran_dry: float, until: float) -> None:
        chunk = begin // CHUNK_BYTES
        if begin and chunk < len(utterance.sent) and utterance.sent[chunk] < ran_dry:
            self._tally.ran_dry(until - ran_dry)

    def _utterance_of(self, audio: bytes) -> Utterance | None:
        """The one that this audio is of; None for speech that is not of this script, such as a filler."""
        playing = self._playing
        named = agent_of(audio)
        if named is None:
            return playing
        if named[0] != self.number:
            self._tally.lost_down += len(audio) if named[0] else 0
            return None
        if playing is None or named[1] != playing.number:
            if playing is not None and not playing.cut:
                # Nothing has cut it off, so all of it should have come.
                self._tally.lost_down += playing.bytes - playing.check.position
            playing = next((one for one in self._utterances if one.number == named[1]), None)
            if playing is None or playing.cut:
                self._tally.stale_bytes += len(audio)
                return None
            self._playing = playing
        return playing
