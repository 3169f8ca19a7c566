"""Where each piece of a call's audio belongs in its recording. Pure.

Two tracks on one clock: the caller's, placed by the carrier's timestamps, and the agent's, placed by a model of the
phone that plays it. Where two people talk, the second one's is placed as the caller's is. Pieces are held back
until nothing can change them any more and are then given out in order.

Positions are samples since the stream began; mu-law at 8000 Hz: a sample is a byte, and 8 are 1 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from msgspec import Struct

BYTES_PER_MS: Final = 8
SILENCE: Final = b"\xff"

JOIN: Final = 20 * BYTES_PER_MS
"""A piece that begins less than this beside the end of the last one follows it directly: timestamps are whole
milliseconds and may waver. From here on it is a lost frame of 20 ms."""
HOLD: Final = 1000 * BYTES_PER_MS
"""How late a piece of the caller's audio may come and still be placed, counted from the newest one."""
LAG: Final = 10_000 * BYTES_PER_MS
"""How far one track may stay behind the other before it is no longer waited for."""
JUMP: Final = 600_000 * BYTES_PER_MS
"""A caller's timestamp that is this far ahead of everything known is not believed."""
PHONE_BUFFER: Final = 600_000 * BYTES_PER_MS
"""Ten minutes: what the phone buffers at most; it drops the rest ("Twilio Media Streams: warning 31931")."""
BLOCK: Final = 1000 * BYTES_PER_MS
"""How much is given out at once."""

_LONG: Final = 50 * BYTES_PER_MS
"""Audio that comes in pieces of so many bytes or more is not copied."""

Piece: TypeAlias = tuple[int, bytes | bytearray]
"""Where it begins, and the audio. The pieces of a track stand in order and do not overlap."""


class Stretch(Struct, frozen=True):
    """A stretch of the recording that is final."""

    start: int
    stop: int
    caller: tuple[Piece, ...]
    agent: tuple[Piece, ...]
    """The right side: the agent's, or that of the person whom the caller talks with."""

    def blocks(self) -> Iterator[tuple[bytes, bytes]]:
        """Both sides of it, filled up with silence, in blocks of the same length of at most `BLOCK` samples."""
        callers, agents = list(self.caller), list(self.agent)
        for start in range(self.start, self.stop, BLOCK):
            stop = min(start + BLOCK, self.stop)
            yield _render(_cut(callers, stop), start, stop), _render(_cut(agents, stop), start, stop)


class CallerTrack:
    """What a person said, by the carrier's timestamps."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.end = 0
        """Where the newest audio ends."""
        self.floor = 0
        """What lies before it is given out already."""
        self.dropped = 0
        """Samples that were not kept: doubled, too late, or with a timestamp that cannot be."""

    def place(self, at_ms: int, audio: bytes, now: int) -> None:
        """Place a piece by its timestamp. `now` is the newest position known of the other track."""
        if not audio:
            return
        start = at_ms * BYTES_PER_MS
        if self.pieces and abs(start - self.end) < JOIN:
            start = self.end
        if start >= self.end and start >= self.floor:
            if start > max(now, self.end) + JUMP:
                self.dropped += len(audio)
                return
            self._append(start, audio)
            self.end = start + len(audio)
        else:
            self._fill(start, audio)

    def _append(self, start: int, audio: bytes) -> None:
        """Add what begins at the end of everything, or behind it.

        Frames that follow each other become one piece: as an object each, they would take twice their bytes. What
        is longer stays the object that it is, which others hold as well.
        """
        if len(audio) >= _LONG:
            self.pieces.append((start, audio))
            return
        if self.pieces and start == self.end:
            last = self.pieces[-1][1]
            if isinstance(last, bytearray):
                last += audio
                return
        self.pieces.append((start, bytearray(audio)))

    def _fill(self, start: int, audio: bytes) -> None:
        """Place what comes late: only where nothing is yet, so that nothing is shifted or overwritten."""
        kept = 0
        for hole_start, hole_stop in self._holes():
            at = start
            if abs(start - hole_start) < JOIN:
                at = hole_start
            elif hole_stop is not None and abs(start + len(audio) - hole_stop) < JOIN:
                at = hole_stop - len(audio)
            first = max(at, hole_start)
            last = at + len(audio) if hole_stop is None else min(at + len(audio), hole_stop)
            if first < last:
                part = audio[first - at : last - at]
                self.pieces.append((first, part))
                kept += len(part)
                self.end = max(self.end, last)
        self.pieces.sort(key=_start)
        self.dropped += max(0, len(audio) - kept)

    def _holes(self) -> list[tuple[int, int | None]]:
        holes: list[tuple[int, int | None]] = []
        position = self.floor
        for start, audio in self.pieces:
            if start > position:
                holes.append((position, start))
            position = start + len(audio)
        holes.append((max(position, self.end), None))
        return holes

    def give(self, stop: int) -> tuple[Piece, ...]:
        """Give out what lies before `stop`."""
        self.floor = stop
        return tuple(_cut(self.pieces, stop))


class AgentTrack:
    """What the caller heard of the agent: a phone that plays what it is given, one piece after the other."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.end = 0
        """Where the phone will have played all it holds."""
        self.now = 0
        """The newest moment known by our own clock."""
        self.floor = 0
        self.dropped = 0
        """Samples that the phone had no room for."""

    def play(self, at_ms: float, audio: bytes) -> None:
        """The phone is handed `audio`: it sounds at once, or after what is waiting."""
        self._advance(at_ms)
        start = max(_position(at_ms), self.end, self.floor)
        room = max(0, max(self.now, self.floor) + PHONE_BUFFER - start)
        if len(audio) > room:
            self.dropped += len(audio) - room
            audio = audio[:room]
        for offset in range(0, len(audio), BLOCK):
            self.pieces.append((start + offset, audio[offset : offset + BLOCK]))
        self.end = max(self.end, start + len(audio))

    def clear(self, at_ms: float) -> None:
        """The phone drops what has not sounded by then."""
        self._advance(at_ms)
        position = _position(at_ms)
        while self.pieces and self.pieces[-1][0] >= position:
            self.pieces.pop()
        if self.pieces:
            start, audio = self.pieces[-1]
            self.pieces[-1] = (start, audio[: position - start])
        self.end = min(self.end, position)

    def give(self, stop: int) -> tuple[Piece, ...]:
        """Give out what lies before `stop`."""
        self.floor = stop
        return tuple(_cut(self.pieces, stop))

    def _advance(self, at_ms: float) -> None:
        self.now = max(self.now, _position(at_ms))


class Muting:
    """The stretches in which neither side is kept."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int | None]] = []
        """From, to; the last one may be open. They stand in order and do not overlap."""

    def begin(self, position: int) -> None:
        """From here on nothing is kept."""
        if self._spans:
            _, stop = self._spans[-1]
            if stop is None:
                return
            position = max(position, stop)
        self._spans.append((position, None))

    def end(self, position: int) -> None:
        """From here on both sides are kept again."""
        if self._spans and self._spans[-1][1] is None:
            start = self._spans[-1][0]
            self._spans[-1] = (start, max(start, position))

    def applied(self, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """What of some pieces is kept."""
        for start, stop in self._spans:
            pieces = tuple(part for piece in pieces for part in _outside(piece, start, stop))
        return pieces

    def forget(self, position: int) -> None:
        """Everything before this position was given out."""
        self._spans = [span for span in self._spans if span[1] is None or span[1] > position]


class Placement:
    """Both tracks of one recording, given out side by side.

    `take` is to be asked after each piece; it returns None at nearly every call and costs next to nothing then.
    """

    def __init__(self) -> None:
        self.caller = CallerTrack()
        self.agent = AgentTrack()
        self.callee = CallerTrack()
        """Who the caller is connected with. Once anything of them has come, the agent's track stays out."""
        self._muting = Muting()
        self.given = 0
        """Everything before this position was given out."""

    def go_on(self, position: int) -> None:
        """Everything before this position was given out by another, which has died."""
        self.given = self.agent.now = self.agent.end = position
        for track in (self.caller, self.callee, self.agent):
            track.floor = position
        self.caller.end = position

    def caller_audio(self, at_ms: int, audio: bytes) -> None:
        """The caller said this; `at_ms` is the carrier's timestamp."""
        self.caller.place(at_ms, audio, max(self.agent.now, self.callee.end))

    def callee_audio(self, at_ms: int, audio: bytes) -> None:
        """The person whom the caller is connected with said this; `at_ms` is the carrier's timestamp."""
        self.callee.place(at_ms, audio, self.caller.end)

    def pause(self, at_ms: float) -> None:
        """From this moment of the call on both sides are silence."""
        self._muting.begin(_position(at_ms))

    def resume(self, at_ms: float) -> None:
        """From this moment of the call on both sides are kept again."""
        self._muting.end(_position(at_ms))

    def take(self) -> Stretch | None:
        """What has become final since the last time, if it is worth a block."""
        heard, clock = self.caller.end, self.agent.now
        # What the agent's side does next, it does at about the newest moment of the caller's audio; the two clocks
        # are not the same, so it is given a second. A track that has stopped altogether is not waited for.
        if self.callee.end:  # Both sides are placed by the same clock, and either may be late.
            known, newest = min(heard, self.callee.end), max(heard, self.callee.end)
        else:
            known, newest = min(heard, max(clock, heard - HOLD)), max(heard, clock)
        final = max(known - HOLD, newest - LAG)
        if final - self.given < BLOCK:
            return None
        return self._give(final)

    def finish(self) -> Stretch:
        """The rest. The call is over: what the phone still held never sounds, and both sides end together."""
        return self._give(max(self.caller.end, self.agent.now, self.callee.end, self.given))

    def _give(self, stop: int) -> Stretch:
        start, self.given = self.given, stop
        caller, callee, agent = self.caller.give(stop), self.callee.give(stop), self.agent.give(stop)
        other = callee if self.callee.end else agent
        stretch = Stretch(start, stop, self._muting.applied(caller), self._muting.applied(other))
        self._muting.forget(stop)
        return stretch


def _position(at_ms: float) -> int:
    return max(0, round(at_ms * BYTES_PER_MS))


def _start(piece: Piece) -> int:
    return piece[0]


def _outside(piece: Piece, start: int, stop: int | None) -> Iterator[Piece]:
    """What of a piece is not between two positions; without the second there is no end."""
    at, audio = piece
    if at < start:
        yield at, audio[: start - at]
    if stop is not None and at + len(audio) > stop:
        first = max(at, stop)
        yield first, audio[first - at :]


def _cut(pieces: list[Piece], stop: int) -> list[Piece]:
    """Take what lies before `stop` off the list; a piece that reaches over it is split."""
    count = 0
    while count < len(pieces) and pieces[count][0] < stop:
        count += 1
    taken = pieces[:count]
    del pieces[:count]
    if taken:
        start, audio = taken[-1]
        if start + len(audio) > stop:
            taken[-1] = (start, audio[: stop - start])
            pieces.insert(0, (stop, audio[stop - start :]))
    return taken


def _render(pieces: list[Piece], start: int, stop: int) -> bytes:
    block = bytearray(SILENCE) * (stop - start)
    for at, audio in pieces:
        block[at - start : at - start + len(audio)] = audio
    return bytes(block)
