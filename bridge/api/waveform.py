"""How loud both sides of a recording are, for drawing: as many figures as there is room for. Blocks on the disk."""

from __future__ import annotations

import base64
from typing import Final

from pydantic import BaseModel, Field

from bridge.store.vault import Recording

_RATE: Final = 8000
_CHANNELS: Final = 2
_LEAST_FRAMES: Final = _RATE // 50
"""Of one figure: finer than a fiftieth of a second, nobody sees anything."""
_READ_FRAMES: Final = 5 * _RATE
_LOUDNESS: Final = bytes(~byte & 0x7F for byte in range(256))
"""Of a mu-law byte: without its sign and complement, larger is louder (on a scale like the ear's)."""
_EVERY: Final = 4 * _CHANNELS
"""Every fourth sample is enough for a picture, and this must not keep the interpreter busy."""


class WaveformAnswer(BaseModel):
    """How loud both sides are, from 0 (silence) to 127, on the scale of mu-law: 16 steps are about 6 dB."""

    per_second: float = Field(description="How many figures stand for a second.", examples=[50])
    duration_ms: int
    caller: str = Field(description="A byte for each figure, in base64: the left side.")
    agent: str = Field(description="The same of the right side: what the caller heard.")


def waveform(content: Recording, points: int) -> WaveformAnswer:
    """Return about `points` figures at most for each side of a recording. Raises `OSError`, `BridgeError`."""
    frames = content.frames
    width = max(_LEAST_FRAMES, -(-frames // points))
    caller, agent = bytearray(), bytearray()
    step = max(1, _READ_FRAMES // width) * width
    for start in range(0, frames, step):
        loud = content.audio(start, min(step, frames - start)).translate(_LOUDNESS)
        for first in range(0, len(loud), width * _CHANNELS):
            last = first + width * _CHANNELS
            caller.append(max(loud[first:last:_EVERY]))
            agent.append(max(loud[first + 1 : last : _EVERY], default=0))
    return WaveformAnswer(
        per_second=_RATE / width,
        duration_ms=frames * 1000 // _RATE,
        caller=base64.b64encode(caller).decode(),
        agent=base64.b64encode(agent).decode(),
    )
