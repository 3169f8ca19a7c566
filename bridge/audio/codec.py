"""Telephone audio: G.711 to linear samples and back, and other sample rates. Pure.

The only file that imports `audioop`: the standard library has it before Python 3.13, `audioop-lts` from then on.
Linear samples are 16 bits, signed, little-endian ("linear16"), mono unless said.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import Final, TypeAlias

with warnings.catch_warnings():
    # The standard library announces the module's removal in 3.13; from 3.13 on `audioop-lts` provides it.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import audioop

SAMPLE_RATE: Final = 8000
"""Hz, of every phone call."""
BYTES_PER_MS: Final = 8
"""Of mu-law and A-law at `SAMPLE_RATE`."""
MULAW_SILENCE: Final = 0xFF
"""The mu-law byte of silence. A zero byte is the loudest negative level, so padding with zeros clicks."""

ResampleState: TypeAlias = tuple[int, tuple[tuple[int, int], ...]]
"""What `resample` carries from one piece of audio to the next."""


def mulaw_to_linear16(audio: bytes) -> bytes:
    """Decode G.711 mu-law: one byte becomes two."""
    return _little_endian(audioop.ulaw2lin(audio, 2))


def linear16_to_mulaw(audio: bytes) -> bytes:
    """Encode as G.711 mu-law: two bytes become one. An odd number of bytes raises `ValueError`."""
    return audioop.lin2ulaw(_little_endian(_whole(audio)), 2)


def alaw_to_linear16(audio: bytes) -> bytes:
    """Decode G.711 A-law: one byte becomes two."""
    return _little_endian(audioop.alaw2lin(audio, 2))


def linear16_to_alaw(audio: bytes) -> bytes:
    """Encode as G.711 A-law: two bytes become one. An odd number of bytes raises `ValueError`."""
    return audioop.lin2alaw(_little_endian(_whole(audio)), 2)


def resample(
    audio: bytes, from_hz: int, to_hz: int, state: ResampleState | None = None
) -> tuple[bytes, ResampleState | None]:
    """Change the sample rate of linear16 audio by linear interpolation.

    Audio that comes in pieces is resampled without seams if each piece is given the state the last one returned.
    There is no filter here: going down, run `low_pass` first, or what lies above half the new rate folds back
    into the speech.
    """
    if from_hz == to_hz:
        return _whole(audio), state
    converted, state = audioop.ratecv(_little_endian(_whole(audio)), 2, 1, from_hz, to_hz, state)
    return _little_endian(converted), state


def low_pass(audio: bytes, rate_hz: int, cutoff_hz: int) -> bytes:
    """Take away what lies above `cutoff_hz` from a whole piece of linear16 audio, keeping its length and timing.

    A windowed-sinc filter whose slope is 1 kHz wide. Each tap is one pass of `audioop` over all samples, so that no
    sample goes through Python: a second of 16 kHz audio takes about 3 ms.
    """
    half = math.ceil(1.65 * rate_hz / 1000)
    taps = _sinc_taps(half, cutoff_hz / rate_hz)
    # 32 bits keep the rounding of many small taps out of the result; the halved level leaves room for the sums.
    pad = bytes(4 * half)
    wide = pad + audioop.mul(audioop.lin2lin(_little_endian(_whole(audio)), 2, 4), 4, 0.5) + pad
    length = 2 * len(audio)
    total = audioop.mul(wide[4 * half : 4 * half + length], 4, taps[0])
    for distance in range(1, half + 1):
        before, after = 4 * (half - distance), 4 * (half + distance)
        pair = audioop.add(wide[before : before + length], wide[after : after + length], 4)
        total = audioop.add(total, audioop.mul(pair, 4, taps[distance]), 4)
    return _little_endian(audioop.lin2lin(audioop.mul(total, 4, 2.0), 4, 2))


def pcm_to_linear16(audio: bytes, bits: int) -> bytes:
    """Make 16-bit samples of WAV PCM with 8 (unsigned), 16, 24 or 32 (signed, little-endian) bits."""
    width = bits // 8
    audio = audio[: len(audio) // width * width]
    if bits == 16:
        return audio
    if bits == 8:
        return _little_endian(audioop.lin2lin(audioop.bias(audio, 1, -128), 1, 2))
    native = audio if sys.byteorder == "little" else audioop.byteswap(audio, width)
    return _little_endian(audioop.lin2lin(native, width, 2))


def mix_to_mono(stereo: bytes) -> bytes:
    """The mean of the two channels of interleaved stereo linear16."""
    frames = len(stereo) // 4 * 4
    return _little_endian(audioop.tomono(_little_endian(stereo[:frames]), 2, 0.5, 0.5))


def silence(ms: float) -> bytes:
    """That many ms of mu-law silence, to the whole byte below."""
    return bytes([MULAW_SILENCE]) * int(ms * BYTES_PER_MS)


def _whole(audio: bytes) -> bytes:
    if len(audio) % 2:
        raise ValueError("linear16 audio must have an even number of bytes")
    return audio


def _little_endian(audio: bytes) -> bytes:
    # audioop works in the machine's byte order; WAV files and wires are little-endian.
    return audio if sys.byteorder == "little" else audioop.byteswap(audio, 2)


def _sinc_taps(half: int, cutoff: float) -> list[float]:
    """The right half of a low-pass filter (the left one is its mirror). `cutoff` is a fraction of the rate."""
    taps = [2 * cutoff]
    for n in range(1, half + 1):
        hamming = 0.54 + 0.46 * math.cos(math.pi * n / half)
        taps.append(math.sin(2 * math.pi * cutoff * n) / (math.pi * n) * hamming)
    level = taps[0] + 2 * sum(taps[1:])
    return [tap / level for tap in taps]
