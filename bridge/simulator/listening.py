"""Hears when somebody talks: splits audio into spurts of sound and the quiet between them. Pure.

Used for both sides of a call, so that the two ends of a latency are measured alike: audio sent as silence, or the
quiet at the ends of a recording, is not talking.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

BYTES_PER_S: Final = 8000
_BLOCK: Final = 80
_LOUD_SAMPLES: Final = 4
_QUIET: Final = bytes(byte for byte in range(256) if (~byte & 0x7F) < 0x20)
"""Mu-law bytes of samples up to 372 of 32768 (39 dB below full scale)."""
EARLY_S: Final = 0.3
"""Talk that begins this much before somebody's end of speech still answers it."""
_CONTIGUOUS_S: Final = 0.001


@dataclass(slots=True)
class Spurt:
    """A time in which somebody talked, with pauses shorter than the listener's `pause_s`. Grows while they talk."""

    start_s: float
    end_s: float


def is_loud(block: bytes) -> bool:
    """Whether 10 ms of mu-law audio hold sound that a person would notice on a phone."""
    return len(block.translate(None, _QUIET)) >= _LOUD_SAMPLES


class Listener:
    """Follows one side of a call as its audio sounds. Resolution 10 ms."""

    def __init__(self, *, pause_s: float = 0.5, on_start: Callable[[Spurt], None] | None = None) -> None:
        self.pause_s = pause_s
        """Quiet for longer than this ends a spurt."""
        self.spurts: list[Spurt] = []
        self._on_start = on_start
        self._cut = False
        self._rest = b""
        self._next_s = float("-inf")  # when the first byte after `_rest` is due

    def feed(self, start_s: float, audio: bytes) -> None:
        """Audio that sounds from `start_s` on. Pieces come in order; between those that do not join it is quiet."""
        if abs(start_s - self._next_s) > _CONTIGUOUS_S:
            self._rest = b""
            self._next_s = start_s
        data = self._rest + audio
        at = self._next_s - len(self._rest) / BYTES_PER_S
        whole = len(data) - len(data) % _BLOCK
        for offset in range(0, whole, _BLOCK):
            if is_loud(data[offset : offset + _BLOCK]):
                self._sound(at + offset / BYTES_PER_S)
        self._rest = data[whole:]
        self._next_s += len(audio) / BYTES_PER_S

    def cut(self) -> None:
        """What follows is no longer the same talk, however soon it comes."""
        if is_loud(self._rest):
            self._sound(self._next_s - len(self._rest) / BYTES_PER_S)
            self.spurts[-1].end_s = self._next_s
        self._cut = True
        self._rest = b""

    def quiet_for(self, now: float) -> float:
        """Seconds since the last sound; infinity when there was none."""
        return now - self.spurts[-1].end_s if self.spurts else float("inf")

    def talking(self, now: float) -> bool:
        """Whether a spurt is under way: something sounded less than `pause_s` ago."""
        return self.quiet_for(now) <= self.pause_s

    def first_after(self, at_s: float) -> float | None:
        """When the first spurt that did not begin before `at_s` began; None if there is none."""
        return next((spurt.start_s for spurt in self.spurts if spurt.start_s >= at_s), None)

    def heard_after(self, at_s: float) -> bool:
        """Whether anything was heard after `at_s`."""
        return bool(self.spurts) and self.spurts[-1].end_s > at_s

    def at(self, at_s: float) -> Spurt | None:
        """The spurt that was under way at `at_s`, or in the 10 ms before: this ear is no finer."""
        finest_s = _BLOCK / BYTES_PER_S
        return next((spurt for spurt in self.spurts if spurt.start_s <= at_s < spurt.end_s + finest_s), None)

    def _sound(self, at: float) -> None:
        end = at + _BLOCK / BYTES_PER_S
        if self.spurts and not self._cut and at - self.spurts[-1].end_s <= self.pause_s + _CONTIGUOUS_S:
            self.spurts[-1].end_s = end
            return
        self._cut = False
        self.spurts.append(Spurt(at, end))
        if self._on_start is not None:
            self._on_start(self.spurts[-1])


def speech_bounds(audio: bytes) -> tuple[float, float] | None:
    """Seconds from the start of `audio` at which its first and last sound begins and ends; None if all is quiet."""
    listener = Listener(pause_s=float("inf"))
    listener.feed(0.0, audio)
    return (listener.spurts[0].start_s, listener.spurts[0].end_s) if listener.spurts else None
