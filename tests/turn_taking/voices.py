"""What callers sound like in these tests: recorded people, a cough, music, and the local voice.

The recordings are the ones inside the moonshine-voice package, so they are wherever the tests run. Blocks for some
milliseconds: call it from a thread, or before anything is timed.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import numpy as np

from bridge.audio import wav
from bridge.demo.sounds import cough
from bridge.speech_server import samples
from tests.turn_taking.speech_relay import SpeechRelay

RATE = 8000
_GAIN = 5.0
"""The recordings are quiet; 14 dB more are the level of a voice on the phone."""

QUESTION_S = (6.4, 8.2)
""" "It was the age of foolishness" """
HEAVEN_S = (25.38, 27.0)
""" "to Heaven, we were all", the onset is hard: it is noticed at once."""
LONG_S = (1.15, 10.6)
"""Nine and a half seconds without a pause that could end a turn: "It was the best of times …" to "belief" """

__all__ = ["cough"]


@cache
def recorded(span_s: tuple[float, float], name: str = "two_cities.wav") -> bytes:
    """Return a stretch of a recording as mu-law at 8000 Hz."""
    spec = find_spec("moonshine_voice")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "assets" / name
    recording = wav.parse(path.read_bytes(), name=name)
    begin, end = (2 * int(second * recording.sample_rate) for second in span_s)
    floats = samples.to_floats(recording.data[begin:end])
    louder = np.clip(samples.resampled(floats, recording.sample_rate, RATE) * _GAIN, -1, 1)
    return samples.encode(samples.to_linear16(louder), "pcm_mulaw")


@cache
def music(seconds: float) -> bytes:
    """Return a tune as it is played to people on hold: chords with overtones and a beat, and no voice."""
    at = np.arange(int(seconds * RATE)) / RATE
    sound = np.zeros_like(at)
    roots = [220.0, 261.6, 196.0, 246.9]
    for index, root in enumerate(roots * (int(seconds / 2) + 1)):
        since = at - index * 0.5
        here = (since >= 0) & (since < 0.5)
        for ratio in (1.0, 1.25, 1.5):
            for overtone in (1, 2, 3):
                tone = np.sin(2 * np.pi * root * ratio * overtone * since) / overtone**1.5
                sound += np.where(here, tone * np.exp(-2.0 * np.clip(since, 0, None)), 0.0)
    return samples.encode(samples.to_linear16(0.25 * sound / np.abs(sound).max()), "pcm_mulaw")


async def synthetic(relay: SpeechRelay, text: str, voice: str = "en-GB") -> bytes:
    """Return `text` spoken by the local voice: for words that no recording has."""
    body = {
        "model_id": "local",
        "transcript": text,
        "voice": {"mode": "id", "id": voice},
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": RATE},
    }
    async with aiohttp.ClientSession() as session, session.post(f"{relay.behind}/tts/bytes", json=body) as response:
        assert response.status == 200
        return await response.read()
