"""Audio as the engines need it: other encodings and rates, loudness, where there is sound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]  # it has no types

from bridge.audio import codec
from bridge.speech_server.engine import Samples
from bridge.speech_server.word_times import Span

SAMPLE_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {"pcm_mulaw": 1, "pcm_alaw": 1, "pcm_s16le": 2, "pcm_f16le": 2, "pcm_s32le": 4, "pcm_f32le": 4}
)
"""Bytes of a sample in each encoding that the speech-to-text endpoints take."""
LOWEST_RATE: Final = 8000
HIGHEST_RATE: Final = 48000

_FULL: Final = 32768.0
_QUIET_DB: Final = -42.0
"""A block of 10 ms that is so much below the loudest is silence."""
_GAP_S: Final = 0.06
"""A shorter pause lies within a sound."""


def _floats_to_linear16(audio: bytes, kind: str) -> bytes:
    values = np.nan_to_num(np.frombuffer(audio, kind).astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    return to_linear16(values)


_DECODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {
        "pcm_mulaw": codec.mulaw_to_linear16,
        "pcm_alaw": codec.alaw_to_linear16,
        "pcm_s16le": bytes,
        "pcm_s32le": lambda audio: (np.frombuffer(audio, "<i4") >> 16).astype("<i2").tobytes(),
        "pcm_f16le": lambda audio: _floats_to_linear16(audio, "<f2"),
        "pcm_f32le": lambda audio: _floats_to_linear16(audio, "<f4"),
    }
)
_ENCODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {
        "pcm_mulaw": codec.linear16_to_mulaw,
        "pcm_alaw": codec.linear16_to_alaw,
        "pcm_s16le": bytes,
        "pcm_f32le": lambda audio: to_floats(audio).astype("<f4").tobytes(),
    }
)
OUTPUT_ENCODINGS: Final = frozenset(_ENCODERS)
"""Encodings that the text-to-speech endpoints give."""


def decode(audio: bytes, encoding: str) -> bytes:
    """Audio of one of `SAMPLE_BYTES`, whole samples, as linear16."""
    return _DECODERS[encoding](audio)


def encode(audio: bytes, encoding: str) -> bytes:
    """linear16 as one of `OUTPUT_ENCODINGS`."""
    return _ENCODERS[encoding](audio)


def to_floats(audio: bytes) -> Samples:
    """linear16 as floats of -1 to 1."""
    return np.frombuffer(audio, "<i2").astype(np.float32) / _FULL


def to_linear16(samples: Samples) -> bytes:
    """Floats as linear16; what is over full scale is cut."""
    return (np.clip(samples, -1.0, 1.0 - 1 / _FULL) * _FULL).astype("<i2").tobytes()


def resampled(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """A whole utterance at another rate."""
    if from_hz == to_hz or not len(samples):
        return samples
    changed: Samples = soxr.resample(samples, from_hz, to_hz).astype(np.float32, copy=False)
    return changed


class Resampler:
    """Changes the rate of linear16 audio that comes in pieces."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream: Any = soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16")

    def convert(self, audio: bytes, *, last: bool) -> bytes:
        """What is ready of the audio so far; with `last` all of it."""
        piece: npt.NDArray[np.int16] = self._stream.resample_chunk(np.frombuffer(audio, "<i2"), last=last)
        return piece.astype("<i2").tobytes()


def loudest_db(samples: Samples, sample_rate: int) -> float:
    """The level of the loudest tenth of a second, dB of full scale."""
    block = max(1, min(sample_rate // 10, len(samples)))
    whole = len(samples) // block * block
    if not whole:
        return -100.0
    return float(10 * np.log10(np.square(samples[:whole]).reshape(-1, block).mean(axis=1).max() + 1e-10))


def sounding(samples: Samples, sample_rate: int) -> list[Span]:
    """Where there is sound: stretches in seconds, with the shortest of pauses in them."""
    block = sample_rate // 100
    whole = len(samples) // block * block
    if not whole:
        return []
    levels = 10 * np.log10(np.square(samples[:whole]).reshape(-1, block).mean(axis=1) + 1e-10)
    loud = np.flatnonzero(levels > levels.max() + _QUIET_DB)
    breaks = np.flatnonzero(np.diff(loud) > _GAP_S * 100)
    firsts = [loud[0], *loud[breaks + 1]]
    lasts = [*loud[breaks], loud[-1]]
    return [(float(first) / 100, float(last + 1) / 100) for first, last in zip(firsts, lasts, strict=True)]
