"""Hears keys in sound: finds the dual tones of a telephone's keypad in mu-law audio. Pure.

After ITU-T Q.24: one tone of each group that stands out from its group and from the rest of the sound, for at least
40 ms; the next key counts when there was a gap. (`bridge.audio.dtmf` makes such tones; this knows nothing of it.)
"""

from __future__ import annotations

import array
import math
from typing import Final

from bridge.audio import codec

_ROWS: Final = (697, 770, 852, 941)
_COLUMNS: Final = (1209, 1336, 1477, 1633)
_KEYS: Final = ("123A", "456B", "789C", "*0#D")
_BLOCK: Final = 160
"""20 ms: the finest in which neighbouring tones of a group can be told apart."""
_STEP: Final = 80
_QUIET: Final = 300.0
"""RMS below which nothing is heard, in linear samples of 16 bits."""
_SHARE: Final = 0.7
"""Of the sound's energy that must be in the two tones: speech has it elsewhere."""
_TWIST: Final = 10.0
"""By how much one of the two may be stronger, as a ratio of energies."""
_RUN: Final = 3
"""Blocks in a row, 10 ms apart: 40 ms of sound."""


def keys_in(audio: bytes) -> str:
    """The keys that sound in mu-law audio at 8000 Hz, in order."""
    samples = array.array("h", codec.mulaw_to_linear16(audio))
    found: list[str] = []
    run, last = 0, ""
    for start in range(0, len(samples) - _BLOCK + 1, _STEP):
        key = _key(samples[start : start + _BLOCK])
        run = run + 1 if key and key == last else int(bool(key))
        last = key
        if run == _RUN:
            found.append(key)
    return "".join(found)


def _key(block: array.array[int]) -> str:
    energy = sum(sample * sample for sample in block)
    if energy < _QUIET * _QUIET * len(block):
        return ""
    rows, columns = ([_power(block, hz) for hz in group] for group in (_ROWS, _COLUMNS))
    row, column = max(rows), max(columns)
    # A sine's power found so is its energy times half the length of the block.
    if (row + column) * 2 / len(block) < _SHARE * energy or not 1 / _TWIST < row / max(column, 1.0) < _TWIST:
        return ""
    return _KEYS[rows.index(row)][columns.index(column)]


def _power(block: array.array[int], hz: float) -> float:
    """Goertzel's algorithm."""
    factor = 2 * math.cos(2 * math.pi * hz / codec.SAMPLE_RATE)
    before = earlier = 0.0
    for sample in block:
        before, earlier = sample + factor * before - earlier, before
    return before * before + earlier * earlier - factor * before * earlier
