"""A speaker's audio on its way to the speech-to-text service: joined, kept while it cannot go, and paced. Pure.

The service wants messages of about 100 ms and no more than about one second of audio per second: a backlog pushed
at once overloads it. So a backlog goes out at one and a half times the speed at which it was spoken.

Audio that has gone is kept for a while, so that it can go again over a new connection. A position is the number of
bytes of the session's audio before a point; it does not change when audio is dropped or sent again.
"""

from __future__ import annotations

from typing import Final

from bridge.audio.chain import Chain
from bridge.audio.codec import BYTES_PER_MS

CATCH_UP_SPEED: Final = 1.5
"""Seconds of audio per second, at most, while there is a backlog."""
LARGEST_BYTES: Final = 200 * BYTES_PER_MS
"""Of a message, as the service wants them."""
RECENT_BYTES: Final = 1500 * BYTES_PER_MS
"""What is kept of audio that has gone while nobody asked for more."""
_CREDIT_S: Final = 0.2
"""How much a stream that was behind its time may hurry, so that a jittery carrier does not add delay."""


class Outbox:
    """First in, first out, by bytes of mu-law. Times are seconds of any one clock."""

    def __init__(self, *, chunk_bytes: int, keep_bytes: int) -> None:
        """`chunk_bytes` is the size of a piece; of all audio, gone or not, at most `keep_bytes` are kept."""
        self._chunk = chunk_bytes
        self._keep = keep_bytes
        self._audio = Chain()
        self._start = 0
        self._sent = 0
        self._urgent = 0
        self._held: int | None = None
        self._settled = 0
        self._free_at = 0.0
        self.dropped = 0
        """Bytes that never went, or not again when they should have, because too much was waiting: the oldest."""

    def __len__(self) -> int:
        """Bytes waiting."""
        return self._audio.end - self._sent

    @property
    def sent(self) -> int:
        """Position up to which the audio has gone."""
        return self._sent

    @property
    def end(self) -> int:
        """Position of the end of all audio."""
        return self._audio.end

    def add(self, audio: bytes) -> bool:
        """Append audio. True if there is a whole piece to take."""
        self._audio.add(audio)
        if (start := self._audio.end - self._keep) > self._start:
            lost = max(0, start - self._sent)
            self._drop(start)
            self._urgent = max(0, self._urgent - lost)
            self.dropped += lost
        return len(self) >= self._chunk

    def flush(self) -> None:
        """Let what waits now go even if its last piece is not whole."""
        self._urgent = len(self)

    def restart(self, now: float) -> None:
        """A new connection is up: a backlog starts at catch-up speed, without credit for the time before."""
        self._free_at = now

    def take(self, now: float) -> bytes | None:
        """The next piece, if there is one and it may go by `now`."""
        at = self.ready_at()
        if at is None or now < at - 0.001:  # timers may come a little early
            return None
        # What is left of sound that came together goes along: it, and all after it, would be a piece late for ever.
        goes_along = not self._urgent and len(self) < min(2 * self._chunk, LARGEST_BYTES)
        size = len(self) if goes_along else self._chunk
        piece = self._audio.read(self._sent, self._sent + size)
        self._sent += len(piece)
        self._urgent = max(0, self._urgent - len(piece))
        seconds = len(piece) / BYTES_PER_MS / 1000
        self._free_at = max(self._free_at, now - _CREDIT_S) + seconds / CATCH_UP_SPEED
        self._trim()
        return piece

    def ready_at(self) -> float | None:
        """When `take` may give the next piece; None while there is none."""
        return self._free_at if self._urgent or len(self) >= self._chunk else None

    def put_back(self, piece: bytes) -> None:
        """Return the piece that was taken last, because it could not be sent: it goes first."""
        self._sent -= len(piece)
        if self._sent < self._start:
            self._audio.prepend(piece[: max(0, self._audio.begin - self._sent)])
            self._start = self._sent
        self._urgent += len(piece)

    # --- audio that has gone -----------------------------------------------------------------------------------

    def hold(self, position: int | None) -> None:
        """Keep what has gone from `position` on; None: only what went last (`RECENT_BYTES`)."""
        self._held = position
        self._trim()

    def settle(self) -> None:
        """What has gone so far will never be wanted again."""
        self._settled = self.sent
        self._held = None
        self._trim()

    def kept(self, begin: int, end: int) -> bytes:
        """The audio between two positions, as far as it is still there."""
        return self._audio.read(max(begin, self._start), end)

    def rewind(self, position: int) -> int:
        """Let the audio from `position` on wait again. Returns where it really begins: later if it is gone."""
        self._sent = min(max(position, self._start, self._settled), self._sent)
        self._urgent = 0
        return self._sent

    def clear(self) -> None:
        """Drop all audio, gone or waiting."""
        self._drop(self._audio.end)
        self._urgent = 0
        self.settle()

    def _trim(self) -> None:
        wanted = self.sent - RECENT_BYTES if self._held is None else self._held
        self._drop(min(self._sent, max(wanted, self._settled)))

    def _drop(self, start: int) -> None:
        """Drop what lies before a position."""
        if start > self._start:
            self._start = start
            self._sent = max(self._sent, start)
            self._audio.let_go(start)
