"""The tone after which a caller may speak a message. Pure."""

from __future__ import annotations

import functools
import math
import struct
from typing import Final

from bridge.audio import codec

_HZ: Final = 1000
_MS: Final = 300
_FADE_MS: Final = 10
"""At both ends, against clicks."""
_PEAK: Final = 6000
"""Of 32,767: some 15 dB below the loudest, as loud as a voice on the phone."""


@functools.cache
def beep() -> bytes:
    """Return the tone: mu-law at 8000 Hz."""
    count, fade = _MS * codec.BYTES_PER_MS, _FADE_MS * codec.BYTES_PER_MS
    samples = (
        round(_PEAK * min(1.0, n / fade, (count - 1 - n) / fade) * math.sin(2 * math.pi * _HZ * n / 8000))
        for n in range(count)
    )
    return codec.linear16_to_mulaw(struct.pack(f"<{count}h", *samples))
