"""The phone at the far end: what a caller really hears of what the bridge sends. Pure.

A model of Twilio's playback buffer and clock, made from Twilio's own description and from nothing of the bridge's,
so that it can judge the bridge: audio is played in the order it came, at real time; a mark returns when all that
was sent before it has sounded; `clear` throws away what has not sounded yet ("Twilio Media Streams: sending").

Times are seconds on the caller's clock, whatever its zero is; audio is mu-law, 8 bytes a millisecond.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

BYTES_PER_S: Final = 8000
_HALF_A_BYTE: Final = 0.5 / BYTES_PER_S
_LONGEST_UNDERRUN_S: Final = 2.0
"""A longer gap is taken for silence that was meant."""

AfterClear: TypeAlias = Literal["at_once", "never", "late"]
"""What becomes of the marks that `clear` overtook."""


@dataclass(frozen=True, slots=True)
class PhoneTraits:
    """How this phone and the network to it behave."""

    down_s: float = 0.0
    """From the bridge's sending to the phone."""
    up_s: float = 0.0
    """From the phone to the bridge: how much later a mark is seen."""
    lost_marks: Container[int] = ()
    """Numbers of marks (the first is 0) that never come back."""
    after_clear: AfterClear = "at_once"
    late_s: float = 1.0
    """With `after_clear="late"`: how long after the clear."""
    buffer_s: float = 600.0
    """Audio beyond this is thrown away (Twilio's warning 31931)."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Audio that sounded without a gap."""

    start_s: float
    audio: bytes

    @property
    def end_s(self) -> float:
        """When its last sample was over."""
        return self.start_s + len(self.audio) / BYTES_PER_S


@dataclass(frozen=True, slots=True)
class PassedMark:
    """A mark that playback has reached, or that a clear has overtaken."""

    name: str
    number: int
    """In the order of sending, from 0."""
    passed_s: float
    returned_s: float | None
    """When it reaches the bridge; None when it never does."""
    sounded_bytes: int
    """How much of all audio of the stream had sounded when it was passed."""
    heard: bool
    """False when a clear overtook it: the audio before it may not have sounded."""


@dataclass(frozen=True, slots=True)
class Clearing:
    """A clear that took effect."""

    at_s: float
    dropped_bytes: int
    """0 when there was nothing left to throw away."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Silence between two stretches that no clear has made."""

    start_s: float
    seconds: float
    after_mark: str | None
    """The mark at which the audio before it ended; None in the middle of an utterance."""


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    number: int
    arrived_s: float


@dataclass(frozen=True, slots=True)
class _Clear:
    pass


class Phone:
    """The playback of one stream. Every method takes the time, which never goes back (earlier is taken for now)."""

    def __init__(
        self,
        traits: PhoneTraits = PhoneTraits(),
        *,
        on_sound: Callable[[float, bytes], None] | None = None,
        on_cut: Callable[[], None] | None = None,
    ) -> None:
        """`on_sound` is told every piece that sounds, and when; `on_cut` that a clear has dropped audio."""
        self.traits = traits
        self.marks: list[PassedMark] = []
        """Every mark passed so far, returned or not."""
        self.clears: list[Clearing] = []
        self.gaps: list[Gap] = []
        self.sounded_bytes = 0
        self.overflow_bytes = 0
        """Thrown away because the buffer was full."""
        self._on_sound = on_sound
        self._on_cut = on_cut
        self._arrivals: deque[tuple[float, bytes | _Mark | _Clear]] = deque()
        self._queue: deque[bytes | _Mark] = deque()
        self._offset = 0  # bytes of the queue's first audio that have sounded
        self._queued_bytes = 0
        self._marks_sent = 0
        self._returning: list[PassedMark] = []
        self._clock_s = float("-inf")
        self._run_start_s = 0.0
        self._run_bytes: int | None = None  # sounded since the last gap; None before the first audio
        self._stretches: list[tuple[float, bytearray]] = []
        self._cleared = False
        self._ended = False

    def media(self, now: float, audio: bytes) -> None:
        """The bridge sends audio of any length, to sound after all it sent before."""
        self._send(now, bytes(audio))

    def mark(self, now: float, name: str) -> None:
        """The bridge sends a mark; it comes out of `advance` when the audio before it has sounded."""
        mark = _Mark(name, self._marks_sent, 0.0)
        self._marks_sent += 1
        self._send(now, mark)

    def clear(self, now: float) -> None:
        """The bridge throws away what has not sounded; what sounds before the message arrives is heard."""
        self._send(now, _Clear())

    def advance(self, now: float) -> list[PassedMark]:
        """The marks that have come back to the bridge by `now` and were not given before, in that order."""
        now = self._settle(now)
        ready: list[PassedMark] = []
        while self._returning and (self._returning[0].returned_s or 0.0) <= now + _HALF_A_BYTE:
            ready.append(self._returning.pop(0))
        return ready

    def heard(self, now: float) -> tuple[Stretch, ...]:
        """All that has sounded by `now`, with the time at which each stretch began."""
        self._settle(now)
        return tuple(Stretch(start, bytes(audio)) for start, audio in self._stretches)

    def sounding(self, now: float) -> bool:
        """Whether there is audio left to play at `now`."""
        self._settle(now)
        return self._queued_bytes > 0

    def end(self, now: float) -> None:
        """The stream is over: nothing sounds and no mark returns after `now`."""
        self._settle(now)
        self._ended = True
        self._arrivals.clear()
        self._queue.clear()
        self._returning.clear()
        self._queued_bytes = self._offset = 0

    @property
    def due_s(self) -> float | None:
        """When to call `advance` next, if nothing is sent until then; None when nothing will happen by itself."""
        times = [mark.returned_s for mark in self._returning[:1] if mark.returned_s is not None]
        if self._arrivals:
            times.append(self._arrivals[0][0])
        ahead = -self._offset
        for item in self._queue:
            if isinstance(item, _Mark):
                times.append(self._run_end_s + ahead / BYTES_PER_S)
                break
            ahead += len(item)
        return min(times, default=None)

    @property
    def underruns(self) -> list[Gap]:
        """Gaps in the middle of an utterance: audio ran out that was to go on."""
        return [gap for gap in self.gaps if gap.after_mark is None and gap.seconds < _LONGEST_UNDERRUN_S]

    # --- arriving, playing, clearing ---

    def _send(self, now: float, thing: bytes | _Mark | _Clear) -> None:
        now = self._settle(now)
        if not self._ended:
            self._arrivals.append((now + self.traits.down_s, thing))
            self._settle(now)

    def _settle(self, now: float) -> float:
        now = self._clock_s = max(now, self._clock_s)
        while self._arrivals and self._arrivals[0][0] <= now + _HALF_A_BYTE:
            at, thing = self._arrivals.popleft()
            self._play_until(at)
            self._enter(at, thing)
        self._play_until(now)
        return now

    def _enter(self, at: float, thing: bytes | _Mark | _Clear) -> None:
        match thing:
            case _Mark(name, number):
                self._queue.append(_Mark(name, number, at))
                self._play_until(at)
            case _Clear():
                self._clear_now(at)
            case _ if thing:
                self._enter_audio(at, thing)

    def _enter_audio(self, at: float, audio: bytes) -> None:
        room = max(0, int(self.traits.buffer_s * BYTES_PER_S) - self._queued_bytes)
        self.overflow_bytes += max(0, len(audio) - room)
        if not (audio := audio[:room]):
            return
        if not self._queued_bytes:
            self._begin_run(at)
        self._queue.append(audio)
        self._queued_bytes += len(audio)

    def _begin_run(self, at: float) -> None:
        """The buffer was empty: unless this audio came in the very moment it ran out, a gap has been heard."""
        end = self._run_end_s
        if self._run_bytes is not None and not self._cleared and at <= end + _HALF_A_BYTE:
            return
        if self._run_bytes is not None and not self._cleared:
            last = self.marks[-1] if self.marks else None
            ended_at_mark = last is not None and last.sounded_bytes == self.sounded_bytes
            self.gaps.append(Gap(end, at - end, last.name if last is not None and ended_at_mark else None))
        # After a clear the phone is silent until this moment, even if that is no time at all.
        self._run_start_s, self._run_bytes, self._cleared = at, 0, False

    @property
    def _run_end_s(self) -> float:
        return self._run_start_s + (self._run_bytes or 0) / BYTES_PER_S

    def _play_until(self, at: float) -> None:
        while self._queue:
            head = self._queue[0]
            if isinstance(head, _Mark):
                self._queue.popleft()
                self._pass(head, max(self._run_end_s, head.arrived_s), heard=True)
                continue
            # Counted from the run's start and not from the last call, so that rounding cannot add up.
            due = int((at - self._run_start_s + _HALF_A_BYTE) * BYTES_PER_S) - (self._run_bytes or 0)
            count = min(due, len(head) - self._offset)
            if count <= 0:
                return
            self._sound(head[self._offset : self._offset + count])
            self._offset += count
            if self._offset == len(head):
                self._queue.popleft()
                self._offset = 0

    def _sound(self, piece: bytes) -> None:
        start = self._run_end_s
        if not self._run_bytes:
            self._stretches.append((start, bytearray()))
        self._stretches[-1][1].extend(piece)
        self._run_bytes = (self._run_bytes or 0) + len(piece)
        self._queued_bytes -= len(piece)
        self.sounded_bytes += len(piece)
        if self._on_sound is not None:
            self._on_sound(start, piece)

    def _clear_now(self, at: float) -> None:
        self.clears.append(Clearing(at, self._queued_bytes))
        overtaken = [item for item in self._queue if isinstance(item, _Mark)]
        self._queue.clear()
        if self._queued_bytes and self._on_cut is not None:
            self._on_cut()
        self._queued_bytes = self._offset = 0
        self._cleared = True
        for mark in overtaken:
            self._pass(mark, at, heard=False)

    def _pass(self, mark: _Mark, at: float, *, heard: bool) -> None:
        traits = self.traits
        returned: float | None = at + traits.up_s
        if not heard and traits.after_clear == "late":
            returned = at + traits.up_s + traits.late_s
        if mark.number in traits.lost_marks or (not heard and traits.after_clear == "never"):
            returned = None
        passed = PassedMark(mark.name, mark.number, at, returned, self.sounded_bytes, heard)
        self.marks.append(passed)
        if returned is not None:
            self._returning.append(passed)
            self._returning.sort(key=lambda one: (one.returned_s or 0.0, one.number))
