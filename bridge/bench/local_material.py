"""What is said to a speech server that is measured: recorded people, and sentences in the server's own voices.

Everything is on the machine: the recording lies in the recogniser's package, the sentences are spoken by the server
that is measured, before the measurement.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import aiohttp

from bridge.audio import codec, wav
from bridge.errors import BridgeError

_RECORDING: Final = ("moonshine_voice", "assets/two_cities.wav")
_RECORDED: Final = (
    (17.0, 21.15, "it was the spring of hope it was the winter of despair"),
    (25.38, 28.65, "to heaven we were all going direct the other way"),
)
"""Dickens, read by a man: from, to (seconds), words."""
_SENTENCES: Final = (
    "I would like to change my booking for next Tuesday.",
    "Yes please.",
    "Could you tell me how much luggage I may take with me on the train to Vienna?",
    "My name is Thomas Miller and I called you yesterday afternoon.",
    "No, that is not what I meant.",
    "Please send the bill to my office, and a copy to my private address as well.",
    "The package should have been here on Monday.",
    "What time do you close on Saturday?",
    "I am calling because the heating in our house has stopped working since the storm last night.",
    "That sounds good to me.",
)
_VOICES: Final = ("en-US", "en-GB")
_FAINTEST_DB: Final = -45.0
"""Sound below this is no speech."""
_FRAME: Final = 20 * codec.BYTES_PER_MS
_NOISE: Final = bytes([0xFF, 0xFE, 0x7E, 0xFD, 0x7D])
"""The quietest values of mu-law: a line is never quite silent."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that is said in one breath."""

    text: str
    audio: bytes
    """mu-law, 8000 Hz; it begins and ends with speech."""


def trimmed(audio: bytes) -> bytes:
    """mu-law without the silence at both ends."""
    frames = [audio[at : at + _FRAME] for at in range(0, len(audio) - _FRAME + 1, _FRAME)]
    loud = [number for number, frame in enumerate(frames) if codec.level_db(frame) > _FAINTEST_DB]
    return audio[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME] if loud else b""


def line_noise(ms: int, dice: random.Random) -> bytes:
    """A line on which nobody speaks."""
    return bytes(dice.choices(_NOISE, k=ms * codec.BYTES_PER_MS))


async def speak(session: aiohttp.ClientSession, url: str, text: str, voice: str) -> bytes:
    """Let the server speak. Raises `BridgeError` if it does not."""
    body = {
        "model_id": "sonic",
        "transcript": text,
        "voice": {"mode": "id", "id": voice},
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": codec.SAMPLE_RATE},
    }
    async with session.post(f"{url}/tts/bytes", json=body) as response:
        if response.status != 200:
            raise BridgeError(f"the speech server does not speak: {response.status}", code="bench_speech")
        return await response.read()


async def material(session: aiohttp.ClientSession, url: str) -> list[Utterance]:
    """All utterances. Raises `BridgeError` if the server does not speak."""
    spoken = [
        Utterance(text, trimmed(await speak(session, url, text, _VOICES[number % 2])))
        for number, text in enumerate(_SENTENCES)
    ]
    return spoken + await asyncio.to_thread(_recorded)


def _recorded() -> list[Utterance]:
    package, path = _RECORDING
    spec = find_spec(package)
    file = Path(spec.origin).parent / path if spec is not None and spec.origin else Path(path)
    if not file.is_file():
        return []  # Another recogniser is measured, without this package.
    audio = wav.read_mulaw(file.read_bytes(), name=file.name)
    cut = [(audio[int(8000 * start) : int(8000 * end)], text) for start, end, text in _RECORDED]
    return [Utterance(text, trimmed(piece)) for piece, text in cut]
