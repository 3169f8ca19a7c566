"""A speaker's audio on its way to the speech-to-text service: joined, kept while it cannot go, and paced. Pure.

The service wants messages of about 100 ms and no more than about one second of audio per second: a backlog pushed
at once overloads it. So a backlog goes out at one and a half times the speed at which it was spoken.
"""

from __future__ import annotations

from typing import Final

from bridge.audio.codec import BYTES_PER_MS

CATCH_UP_SPEED: Final = 1.5
"""Seconds of audio per second, at most, while there is a backlog."""
_CREDIT_S: Final = 0.2
"""How much a stream that was behind its time may hurry, so that a jittery carrier does not add delay."""


class Outbox:
    """First in, first out, by bytes of mu-law. Times are seconds of any one clock."""

    def __init__(self, *, chunk_bytes: int, keep_bytes: int) -> None:
        """`chunk_bytes` is the size of a piece; of what waits, the newest `keep_bytes` are kept."""
        self._chunk = chunk_bytes
        self._keep = keep_bytes
        self._audio = bytearray()
        self._urgent = 0
        self._free_at = 0.0
        self.dropped = 0
        """Bytes lost so far because too much was waiting: always the oldest."""

    def __len__(self) -> int:
        """Bytes waiting."""
        return len(self._audio)

    def add(self, audio: bytes) -> bool:
        """Append audio. True if there is a whole piece to take."""
        self._audio += audio
        if (excess := len(self._audio) - self._keep) > 0:
            del self._audio[:excess]
            self._urgent = max(0, self._urgent - excess)
            self.dropped += excess
        return len(self._audio) >= self._chunk

    def flush(self) -> None:
        """Let what waits now go even if its last piece is not whole."""
        self._urgent = len(self._audio)

    def restart(self, now: float) -> None:
        """A new connection is up: a backlog starts at catch-up speed, without credit for the time before."""
        self._free_at = now

    def take(self, now: float) -> bytes | None:
        """The next piece, if there is one and it may go by `now`."""
        at = self.ready_at()
        if at is None or now < at - 0.001:  # timers may come a little early
            return None
        piece = bytes(self._audio[: self._chunk])
        del self._audio[: self._chunk]
        self._urgent = max(0, self._urgent - len(piece))
        seconds = len(piece) / BYTES_PER_MS / 1000
        self._free_at = max(self._free_at, now - _CREDIT_S) + seconds / CATCH_UP_SPEED
        return piece

    def ready_at(self) -> float | None:
        """When `take` may give the next piece; None while there is none."""
        return self._free_at if self._urgent or len(self._audio) >= self._chunk else None

    def put_back(self, piece: bytes) -> None:
        """Return a piece that could not be sent: it goes first."""
        self._audio[:0] = piece
        self._urgent += len(piece)
