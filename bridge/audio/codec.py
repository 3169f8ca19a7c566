"""Telephone audio: G.711 to linear samples and back, and other sample rates. Pure.

The only file that imports `audioop`: the standard library has it before Python 3.13, `audioop-lts` from then on.
Linear samples are 16 bits, signed, little-endian ("linear16"), mono unless said.
"""

from __future__ import annotations

import functools
import math
import struct
import sys
import warnings
from collections.abc import Mapping
from types import MappingProxyType
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

BYTES_PER_SAMPLE: Final[Mapping[str, int]] = MappingProxyType(
    {"pcm_mulaw": 1, "pcm_alaw": 1, "pcm_s16le": 2, "pcm_s32le": 4, "pcm_f16le": 2, "pcm_f32le": 4}
)
"""The encodings that a speech-to-text service may be sent, by the names of its query; all little-endian."""

ResampleState: TypeAlias = tuple[int, tuple[tuple[int, int], ...]]
"""What `resample` carries from one piece of audio to the next."""


def encode(audio: bytes, encoding: str) -> bytes:
    """Mono mu-law as one of `BYTES_PER_SAMPLE`, at the same rate; floats go from -1 to 1.

    `pcm_mulaw` is the very object that came. An encoding that is not known raises `ValueError`. A message of 100 ms
    takes a few microseconds.
    """
    if encoding == "pcm_mulaw":
        return audio
    planes = _planes(encoding)
    if len(planes) == 1:
        return audio.translate(planes[0])
    # Each byte of a sample depends on the mu-law byte alone, so whole planes of bytes are looked up at a time.
    encoded = bytearray(len(audio) * len(planes))
    for place, plane in enumerate(planes):
        encoded[place :: len(planes)] = audio.translate(plane)
    return bytes(encoded)


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


def level_db(mulaw: bytes) -> float:
    """How loud mu-law audio is (RMS), in dB of full scale: speech is about -25, digital silence -100."""
    rms = audioop.rms(audioop.ulaw2lin(mulaw, 2), 2)
    return 20 * math.log10(rms / 32768) if rms else -100.0


def silence(ms: float) -> bytes:
    """That many ms of mu-law silence, to the whole byte below."""
    return bytes([MULAW_SILENCE]) * int(ms * BYTES_PER_MS)


@functools.cache
def _planes(encoding: str) -> tuple[bytes, ...]:
    """For each byte of an encoded sample: what it is for each of the 256 mu-law bytes."""
    if encoding not in BYTES_PER_SAMPLE:
        raise ValueError(f"encoding is {encoding!r}: it must be one of {', '.join(BYTES_PER_SAMPLE)}")
    linear16 = mulaw_to_linear16(bytes(range(256)))
    values = struct.unpack("<256h", linear16)
    match encoding:
        case "pcm_alaw":
            whole = linear16_to_alaw(linear16)
        case "pcm_s16le":
            whole = linear16
        case "pcm_s32le":
            whole = struct.pack("<256i", *(value << 16 for value in values))
        case _:
            kind = "e" if encoding == "pcm_f16le" else "f"
            whole = struct.pack(f"<256{kind}", *(value / 32768 for value in values))
    width = BYTES_PER_SAMPLE[encoding]
    return tuple(whole[place::width] for place in range(width))


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
