"""Keys as sound: the dual tones of a telephone's keypad, for a line that carries nothing but audio. Pure.

A media stream cannot carry key presses towards the call, so they are played into it as the tones of ITU-T Q.23: one
of four low frequencies and one of four high ones at the same time. Level, twist and timing leave room on each side
of what receivers must accept by Q.24.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from bridge.audio import codec

LOW_HZ: Final = (697, 770, 852, 941)
"""The rows of the keypad."""
HIGH_HZ: Final = (1209, 1336, 1477, 1633)
"""Its columns."""
FREQUENCIES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    dict(zip("123A456B789C*0#D", product(LOW_HZ, HIGH_HZ), strict=True))
)
"""The two frequencies of each key, in Hz: low, high."""
PAUSES_MS: Final[Mapping[str, int]] = MappingProxyType({"w": 500, "W": 1000})
"""What stands between keys for silence of that length."""

LOW_DBM0: Final = -8.0
HIGH_DBM0: Final = -6.0
"""The high tone is 2 dB louder, because lines weaken it more: receivers accept 4 dB more and 8 dB less."""
SHORTEST_MS: Final = 40
"""Receivers may miss a tone or a gap that is shorter."""

_OVERLOAD_DBM0: Final = 3.17
"""Of a sine that just fits into mu-law (G.711)."""
_OVERLOAD_PEAK: Final = 32_636
"""Its peak, in linear samples of 16 bits."""
_FADE_MS: Final = 4
"""At both ends of a tone, against clicks."""


class KeySound(Struct, frozen=True):
    """Where a key sounds in what `tones` returns, in bytes; 8 bytes are 1 ms."""

    key: str
    begin: int
    end: int
    """Behind its last byte; the gap that follows does not belong to it."""


def tones(digits: str, *, on_ms: int = 100, off_ms: int = 60) -> bytes:
    """Return mu-law audio at 8000 Hz in which each key sounds for `on_ms`, with `off_ms` of silence behind it.

    Keys are `0-9 * # A-D`; `w` is half a second of silence and `W` a second. Raises `ValueError`, which tells of
    the keys only the one that is wrong, because they may be a secret.
    """
    _check(digits, on_ms, off_ms)
    gap = codec.silence(off_ms)
    return b"".join(
        codec.silence(PAUSES_MS[key]) if key in PAUSES_MS else _tone(key, on_ms) + gap for key in digits
    )


def key_sounds(digits: str, *, on_ms: int = 100, off_ms: int = 60) -> tuple[KeySound, ...]:
    """Tell where each key sounds in `tones` of the same arguments; pauses are left out. Raises `ValueError`."""
    _check(digits, on_ms, off_ms)
    sounds: list[KeySound] = []
    at = 0
    for key in digits:
        if key in PAUSES_MS:
            at += PAUSES_MS[key] * codec.BYTES_PER_MS
        else:
            sounds.append(KeySound(key, at, at + on_ms * codec.BYTES_PER_MS))
            at += (on_ms + off_ms) * codec.BYTES_PER_MS
    return tuple(sounds)


def _check(digits: str, on_ms: int, off_ms: int) -> None:
    if not digits:
        raise ValueError("there are no digits to send: give keys of 0-9 * # A-D, w or W for a pause")
    for place, key in enumerate(digits, 1):
        if key not in FREQUENCIES and key not in PAUSES_MS:
            raise ValueError(
                f"character {place} of the digits is {key!r}: give keys of 0-9 * # A-D, w or W for a pause"
            )
    for name, value in (("on_ms", on_ms), ("off_ms", off_ms)):
        if value < SHORTEST_MS:
            raise ValueError(f"{name} is {value}: shorter than {SHORTEST_MS} ms is not heard as a key of its own")


@functools.lru_cache(maxsize=64)
def _tone(key: str, on_ms: int) -> bytes:
    """Both tones of a key, added before they are rounded once."""
    low, high = (2 * math.pi * hz / codec.SAMPLE_RATE for hz in FREQUENCIES[key])
    low_peak, high_peak = _peak(LOW_DBM0), _peak(HIGH_DBM0)
    count, fade = on_ms * codec.BYTES_PER_MS, _FADE_MS * codec.BYTES_PER_MS
    samples = []
    for n in range(count):
        # Half a bell: its slope is even at both ends, so the fade adds next to nothing beside the two tones.
        near = min(1.0, n / fade, (count - 1 - n) / fade)
        level = (1 - math.cos(math.pi * near)) / 2
        samples.append(round(level * (low_peak * math.sin(low * n) + high_peak * math.sin(high * n))))
    return codec.linear16_to_mulaw(struct.pack(f"<{count}h", *samples))


def _peak(dbm0: float) -> float:
    """The peak of a sine of that level, in linear samples of 16 bits."""
    return _OVERLOAD_PEAK * math.pow(10, (dbm0 - _OVERLOAD_DBM0) / 20)
