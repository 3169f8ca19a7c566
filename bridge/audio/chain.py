"""Bytes in a row, held as the objects in which they came, so that others can hold the same ones. Pure."""

from __future__ import annotations


class Chain:
    """Bytes that come at the end and are let go at the front. Places are counted from the first that ever came."""

    __slots__ = ("_begin", "_end", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._begin = self._end = 0

    @property
    def begin(self) -> int:
        """The place of the first byte that is held."""
        return self._begin

    @property
    def end(self) -> int:
        """The place behind the last byte."""
        return self._end

    def add(self, audio: bytes) -> None:
        """Add bytes at the end."""
        if audio:
            self._pieces.append(audio)
            self._end += len(audio)

    def prepend(self, audio: bytes) -> None:
        """Put bytes back that were let go, in front of the first that is held."""
        if audio:
            self._pieces.insert(0, audio)
            self._begin -= len(audio)

    def read(self, begin: int, end: int) -> bytes:
        """Return what is held between two places: a piece itself where it is just that, else a copy."""
        begin, end = max(begin, self._begin), min(end, self._end)
        if begin >= end:
            return b""
        # What is read is nearly always what has come last.
        index, at = len(self._pieces), self._end
        while at > begin:
            index -= 1
            at -= len(self._pieces[index])
        stop, until = index, at
        while until < end:
            until += len(self._pieces[stop])
            stop += 1
        together = self._pieces[index] if stop == index + 1 else b"".join(self._pieces[index:stop])
        return together[begin - at : end - at]

    def let_go(self, place: int) -> None:
        """Nothing before this place will be read again. Only whole pieces are let go."""
        count = 0
        for piece in self._pieces:
            if self._begin + len(piece) > place:
                break
            self._begin += len(piece)
            count += 1
        del self._pieces[:count]
