"""The audio of an utterance: it comes in pieces, goes in others, and is let go once nobody can want it again. Pure.

What goes is kept in the same objects that are handed out, so that whoever else holds them (a recording, until it is
certain what the caller heard) needs no memory for them of its own.
"""

from __future__ import annotations

from typing import Final

_LONGEST_PIECE: Final = 8000
"""Bytes, a second: what is cut up is copied, so nothing long may be."""


class Sound:
    """Bytes that stand in a row. Places are counted from the first that ever came, whether or not it is kept."""

    __slots__ = ("_begin", "_end", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._begin = self._end = 0

    def __len__(self) -> int:
        """How many bytes came, with those that were let go."""
        return self._end

    @property
    def begin(self) -> int:
        """The first place that is still kept."""
        return self._begin

    def add(self, audio: bytes) -> None:
        """Add bytes at the end."""
        for start in range(0, len(audio), _LONGEST_PIECE):
            # The whole of a short one is no copy.
            self._pieces.append(audio[start : start + _LONGEST_PIECE])
        self._end += len(audio)

    def read(self, offset: int, size: int) -> bytes:
        """Return so many bytes from this place on; fewer where fewer are kept."""
        first = max(offset, self._begin)
        stop = min(offset + size, self._end)
        if first >= stop:
            return b""
        index, at = self._find(first)
        if at == first and len(self._pieces[index]) == stop - first:
            return self._pieces[index]
        last, end = index, at
        while end < stop:
            end += len(self._pieces[last])
            last += 1
        together = b"".join(self._pieces[index:last])
        audio = together[first - at : stop - at]
        parts = (together[: first - at], audio, together[stop - at :])
        self._pieces[index:last] = [part for part in parts if part]
        return audio

    def cut(self, length: int) -> None:
        """Drop what lies behind this place."""
        length = max(length, self._begin)
        if length >= self._end:
            return
        index, at = self._find(length)
        rest = self._pieces[index][: length - at]
        self._pieces[index:] = [rest] if rest else []
        self._end = length

    def let_go(self, offset: int) -> None:
        """Nothing before this place will be read again. Whole pieces are let go, and only they."""
        count = 0
        for piece in self._pieces:
            if self._begin + len(piece) > offset:
                break
            self._begin += len(piece)
            count += 1
        del self._pieces[:count]

    def _find(self, place: int) -> tuple[int, int]:
        """Return the piece that holds a place which is kept, and where it begins."""
        at = self._begin
        for index, piece in enumerate(self._pieces):
            if place < at + len(piece):
                return index, at
            at += len(piece)
        raise IndexError(place)
