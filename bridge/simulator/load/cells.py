"""Audio of which every 20 ms can be told from all other audio, and the check that it arrives as it was sent. Pure.

A stream of audio is a row of cells of 160 bytes: a prefix that names the stream, the cell's number in six hex
digits, and a filler that differs from one cell to the next. It sounds like noise. None of its bytes is 0x7F, the
one sample that does not survive the way to linear PCM and back.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import Final

CELL_BYTES: Final = 160
CELL_MS: Final = 20
MOST_CALLS: Final = 0xFFFF
"""So many calls can be told apart by their audio."""

_NUMBER_BYTES: Final = 6
_VARIANTS: Final = 61
"""Fillers; a prime, so that no batching of frames meets the same one again and again."""
_CALLER: Final = re.compile(rb"#([0-9a-f]{4}):([0-9a-f]{6})")
_AGENT: Final = re.compile(rb"!([0-9a-f]{4}):([0-9a-f]{6}):([0-9a-f]{6})")
_NOT_IN_FILLERS: Final = b"\x7f#!"
_CALLER_PREFIX_BYTES: Final = 6


def _fillers() -> tuple[bytes, ...]:
    length = CELL_BYTES * _VARIANTS
    noise = hashlib.shake_128(b"phone-bridge").digest(2 * length).translate(None, _NOT_IN_FILLERS)
    return tuple(noise[at : at + CELL_BYTES] for at in range(0, length, CELL_BYTES))


_FILLERS: Final = _fillers()


class Cells:
    """One stream of cells; where it starts and ends is its sender's business."""

    __slots__ = ("_fillers", "prefix")

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        room = CELL_BYTES - len(prefix) - _NUMBER_BYTES
        self._fillers = _cut_fillers(room)

    def span(self, start: int, length: int) -> bytes:
        """`length` bytes of the stream from its byte `start` on."""
        first, skip = divmod(start, CELL_BYTES)
        if length == CELL_BYTES and not skip:
            # The usual frame of a system that collects none.
            return b"%b%06x%b" % (self.prefix, first, self._fillers[first % _VARIANTS])
        last = -(-(start + length) // CELL_BYTES)
        prefix, fillers = self.prefix, self._fillers
        cells = b"".join([b"%b%06x%b" % (prefix, cell, fillers[cell % _VARIANTS]) for cell in range(first, last)])
        return cells[skip : skip + length] if skip or len(cells) != length else cells


_cut: dict[int, tuple[bytes, ...]] = {}


def _cut_fillers(room: int) -> tuple[bytes, ...]:
    """The fillers of a stream, shared by all whose prefix is as long."""
    if room not in _cut:
        _cut[room] = tuple(filler[:room] for filler in _FILLERS)
    return _cut[room]


def caller_cells(call: int) -> Cells:
    """What the caller of a call says: one cell is one frame."""
    return Cells(b"#%04x:" % call)


def agent_cells(call: int, utterance: int) -> Cells:
    """One utterance of the agent. Call 0: of nobody knows which call."""
    return Cells(b"!%04x:%06x:" % (call, utterance))


def caller_of(audio: bytes) -> int | None:
    """Whose call audio of a caller is from."""
    found = _CALLER.search(audio)
    return None if found is None else int(found[1], 16)


def agent_of(audio: bytes) -> tuple[int, int] | None:
    """Call and utterance of audio that begins with a cell of an agent."""
    found = _AGENT.match(audio)
    return None if found is None else (int(found[1], 16), int(found[2], 16))


# Six bytes of prefix and six of number are eight characters of base64 each: a payload is put together, not encoded.
_FILLERS_BASE64: Final = tuple(
    binascii.b2a_base64(filler, newline=False)
    for filler in _cut_fillers(CELL_BYTES - _CALLER_PREFIX_BYTES - _NUMBER_BYTES)
)
_DIGITS_BASE64: Final = tuple(binascii.b2a_base64(b"%03x" % number, newline=False) for number in range(1 << 12))
"""Three hex digits are four characters of base64."""


def caller_payload_prefix(call: int) -> bytes:
    """The beginning of the base64 of every frame of a caller, the same in all of them."""
    return binascii.b2a_base64(b"#%04x:" % call, newline=False)


def caller_payload_rest(frame: int) -> bytes:
    """What follows it in the frame of this number."""
    return _DIGITS_BASE64[frame >> 12] + _DIGITS_BASE64[frame & 0xFFF] + _FILLERS_BASE64[frame % _VARIANTS]


class Check:
    """Compares what arrives of a stream with what was sent: every byte once, in order, from the first."""

    __slots__ = ("_cells", "_head", "alien", "lost", "position", "repeated")

    def __init__(self, cells: Cells) -> None:
        self.position = 0
        """The stream's byte that is to come next."""
        self.lost = 0
        """Bytes that were passed over. One that comes after all is also counted as repeated."""
        self.repeated = 0
        """Bytes that came again, or too late."""
        self.alien = 0
        """Bytes that are not of this stream, or of a cell that did not arrive whole."""
        self._cells = cells
        self._head = re.compile(re.escape(cells.prefix) + rb"([0-9a-f]{6})")

    @property
    def faults(self) -> int:
        """All bytes that were not as they should be."""
        return self.lost + self.repeated + self.alien

    def take(self, audio: bytes) -> int:
        """The next piece has arrived. Returns the stream's byte that was expected at its beginning."""
        begin = self.position
        if audio == self._cells.span(begin, len(audio)):
            self.position = begin + len(audio)
        else:
            self._mend(audio)
        return begin

    def _mend(self, audio: bytes) -> None:
        """Find out what is wrong with a piece, and where the stream goes on."""
        at = 0
        while at < len(audio):
            step = min(CELL_BYTES - self.position % CELL_BYTES, len(audio) - at)
            if audio[at : at + step] == self._cells.span(self.position, step):
                self.position += step
                at += step
                continue
            found = self._head.search(audio, at)
            start = len(audio) if found is None else found.start()
            self.alien += start - at
            at = start
            if found is None:
                return
            cell = int(found[1], 16) * CELL_BYTES
            if cell > self.position:
                self.lost += cell - self.position
                self.position = cell
            elif cell < self.position:
                step = min(CELL_BYTES, len(audio) - at)
                self.repeated += step
                at += step
            else:
                # The right cell, but broken: pass over its head, and look for the next one.
                self.alien += len(found[0])
                at += len(found[0])
