"""When the sockets of many media streams are read: together, a message's worth of sound at a time.

A carrier sends a frame every 20 ms, and the speech service is sent 60 to 100 ms at a time. Reading each frame as it
comes costs a wake-up, a system call and a way through the event loop, fifty times a second and call, for nothing:
it only waits for its neighbours then. With many streams a socket is therefore left alone for a while after each
read; what comes meanwhile waits in the kernel, and is read at once. One timer serves all streams.

What it costs: a mark, a key or the end of a stream is seen as much later, at most. So it begins only when there are
so many streams that the processor is worth more than that.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import Final

from bridge.twilio.media_stream import BYTES_PER_MS

MANY: Final = 30
"""From so many streams in this process on they are read together."""
_TOGETHER_S: Final = 0.002
"""Streams whose time is this close are read in one go."""
_AFTER_S: Final = 0.004
"""So much later than its last frame is expected a socket is read: frames are not quite regular."""
_FRAME_S: Final = 0.02
"""Of sound in one frame of the carrier."""


class ReadPacer:
    """Paces the reading of all media streams of a process."""

    def __init__(self, every_ms: int, *, many: int = MANY) -> None:
        """`every_ms`: how much sound is read at a time; 0: whatever there is, at once."""
        self.every_ms = every_ms
        self._many = many
        self._streams = 0
        self._resting: list[tuple[float, int, asyncio.Transport]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        """What it is set to: not every event loop can tell of a moment that is as good as past."""

    def join(self) -> None:
        """One more stream is read."""
        self._streams += 1

    def leave(self) -> None:
        """A stream is over."""
        self._streams -= 1

    @property
    def active(self) -> bool:
        """Tell whether there are so many streams that they are to be read together."""
        return self._streams >= self._many and self.every_ms > 0

    def rest(self, transport: asyncio.Transport, until: float) -> None:
        """Read nothing more of this socket until then, in the event loop's time."""
        transport.pause_reading()
        self._count += 1
        heapq.heappush(self._resting, (until, self._count, transport))
        if self._timer is None or until < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._timer_at = asyncio.get_running_loop().call_at(until, self._wake), until

    def _wake(self) -> None:
        """Read on from those whose time has come."""
        loop = asyncio.get_running_loop()
        soon = loop.time() + _TOGETHER_S
        while self._resting and self._resting[0][0] <= soon:
            transport = heapq.heappop(self._resting)[2]
            if not transport.is_closing():
                transport.resume_reading()
        self._timer = None
        if self._resting:
            self._timer_at = self._resting[0][0]
            self._timer = loop.call_at(self._timer_at, self._wake)


class Rest:
    """When one stream's socket is read. It keeps step with the carrier: the last frame of a message ends a read.

    A socket that brought a whole message's sound in its first read is on time, and rests for as long again. One
    that had to be waited for was read too early: its rest is counted from the moment when the last frame came.
    """

    def __init__(self, pacer: ReadPacer, transport: asyncio.Transport) -> None:
        self._pacer = pacer
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._collected = 0
        self._reads = 0
        self._due: float | None = None

    def read(self, sound: int) -> None:
        """So many bytes of sound were read, and there is no more for now."""
        pacer = self._pacer
        if not pacer.active or self._transport.is_closing():
            self._due = None
            return
        self._collected += sound
        self._reads += 1
        wanted = pacer.every_ms * BYTES_PER_MS
        if self._collected < wanted:
            return
        now, every_s = self._loop.time(), pacer.every_ms / 1000
        in_step = self._reads == 1 and self._collected == wanted
        if in_step and self._due is not None and now < self._due + every_s:
            self._due += every_s
        elif self._reads == 1:
            self._due = now + every_s - _FRAME_S  # Too late: with a frame too many. The next time it is waited for.
        else:
            self._due = now + every_s + _AFTER_S
        self._collected = self._reads = 0
        pacer.rest(self._transport, max(self._due, now + _FRAME_S))
