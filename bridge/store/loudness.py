"""How loud both sides of a recording are, and when the caller was last heard before a turn ended. Pure.

Loudness counts from 0, silence, to 127, on the scale of mu-law: 16 steps are about 6 dB. Times are ms since the
stream began.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from msgspec import Struct

_FLOOR_SHARE: Final = 0.2
"""The line's own noise: what this share of the call stays under. Nobody speaks without a pause for that long."""
_STANDS_OUT: Final = 20
"""A turn whose loudest part is not this far above the noise (about 8 dB) cannot be told from it."""
_LOUD_SHARE: Final = 0.35
"""Between the noise and the turn's loud parts: from here on it is the caller. Lower, breath would count."""
_TOP_MS: Final = 100
"""The loudest part of a turn is so long; a click is not what a voice is measured by."""
_EARLIER_MS: Final = 1000
"""The service tells that a turn began when it is sure; a short word may be over by then."""
_NEIGHBOURS_MS: Final = 60
"""Sound this close to other sound belongs to it; on its own it is a click."""
_STILL_MS: Final = 60
"""Sound this close to the end of a turn went on: it has not ended with the turn."""


class Peaks(Struct, frozen=True):
    """How loud both sides of a recording are."""

    per_second: int
    caller: bytes
    """Each from 0, silence, to 127."""
    agent: bytes


class Ear:
    """Listens to the caller's side of a recording. Holds nothing but the peaks and the noise of the line."""

    def __init__(self, peaks: Peaks) -> None:
        self._loudness = peaks.caller
        self._per_second = peaks.per_second
        self._floor = _level(peaks.caller, _FLOOR_SHARE)

    def last_sound(self, started_ms: int, ended_ms: int, *, after_ms: int = 0) -> int | None:
        """When the caller was last heard in a turn that the service told from `started_ms` to `ended_ms`.

        What was before `after_ms`, the end of the turn before it, does not count. None: nothing stands out of the
        noise of the line, or the sound goes on beyond the end.
        """
        first = self._index(max(after_ms, started_ms - _EARLIER_MS))
        turn = self._loudness[first : self._index(ended_ms)]
        top = _level(turn, 1 - self._index(_TOP_MS) / max(1, len(turn)))
        if top - self._floor < _STANDS_OUT:
            return None
        limit = self._floor + (top - self._floor) * _LOUD_SHARE
        near = max(1, self._index(_NEIGHBOURS_MS))
        loud = [index for index, loudness in enumerate(turn) if loudness >= limit]
        heard = [at for before, at in pairwise(loud) if at - before <= near]
        if not heard:
            return None
        over_ms = (first + heard[-1] + 1) * 1000 // self._per_second
        return over_ms if ended_ms - over_ms > _STILL_MS else None

    def _index(self, ms: int) -> int:
        return max(0, ms) * self._per_second // 1000


def _level(loudness: bytes, share: float) -> int:
    """The loudness that `share` of the windows stay at or under; 0 when there are none."""
    wanted = len(loudness) * share
    for level in range(128):
        wanted -= loudness.count(level)
        if wanted <= 0:
            return level
    return 127
