"""The caller's sounds: lines spoken by the local speech server, a human recording, and a cough made by formula."""

from __future__ import annotations

import asyncio
import math
import random
import struct
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeAlias

import aiohttp

from bridge.audio import codec, wav
from bridge.demo.lines import COUGH, MESSAGE, TURNS, Line
from bridge.errors import BridgeError, MissingExtraError

Sounds: TypeAlias = Mapping[Line, bytes]
"""Mu-law audio of each line."""

_RECORDING: Final = "two_cities.wav"
_EXCERPT_S: Final = (1.15, 8.3)
"""Where `MESSAGE` stands in the recording. Its pauses are too short to be taken for the end of a turn."""
_EXCERPT_GAIN: Final = 5.0
"""The recording is quiet; 14 dB more are the level of a voice on the phone."""
_TOP_HZ: Final = 3600


async def make_sounds(speech_url: str, turns: Sequence[Line] = TURNS) -> Sounds:
    """Make all that the caller says, and a cough. Takes about a second, none of it on the event loop.

    Raises `MissingExtraError`, and `BridgeError` (code `demo_voice`) when the speech server does not speak.
    """
    spoken = [line for line in turns if line is not MESSAGE]
    async with aiohttp.ClientSession() as session:
        audio = await asyncio.gather(
            asyncio.to_thread(cough), *(_speak(session, speech_url, line) for line in spoken)
        )
    sounds = dict(zip([COUGH, *spoken], audio, strict=True))
    if MESSAGE in turns:
        sounds[MESSAGE] = await asyncio.to_thread(recorded_message)
    return sounds


async def _speak(session: aiohttp.ClientSession, speech_url: str, line: Line) -> bytes:
    body = {
        "model_id": "local",
        "transcript": line.text,
        "voice": {"mode": "id", "id": line.speaker},
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": codec.SAMPLE_RATE},
    }
    try:
        async with session.post(f"{speech_url}/tts/bytes", json=body) as response:
            audio = await response.read()
            if response.status == 200 and audio:
                return audio
            problem = f"it answered {response.status} with {len(audio)} bytes"
    except (aiohttp.ClientError, OSError) as error:
        problem = str(error) or type(error).__name__
    raise BridgeError(f"the local speech server did not speak the caller's lines: {problem}", code="demo_voice")


def recording_path() -> Path:
    """The file that holds the human recording. Raises `MissingExtraError`."""
    package = find_spec("moonshine_voice")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "assets" / _RECORDING
        if path.is_file():
            return path
    raise MissingExtraError("local", "the demo")


def recorded_message() -> bytes:
    """`MESSAGE` as the recording has it, at the level of a phone call. Blocks on the disk and reckons for a moment.

    Only the excerpt is converted: the whole recording would take a second.
    """
    path = recording_path()
    recording = wav.parse(path.read_bytes(), name=str(path))
    if (recording.format, recording.channels, recording.bits) != (1, 1, 16):
        raise BridgeError(f"{path} is not the recording that the demo knows", code="demo_voice")
    begin, end = (int(seconds * recording.sample_rate) * 2 for seconds in _EXCERPT_S)
    samples = codec.low_pass(recording.data[begin:end], recording.sample_rate, _TOP_HZ)
    samples, _ = codec.resample(samples, recording.sample_rate, codec.SAMPLE_RATE)
    values = struct.unpack(f"<{len(samples) // 2}h", samples)
    return _to_mulaw([value * _EXCERPT_GAIN / 32768 for value in values])


_BURST_S: Final = 0.04
_THROAT_S: Final = 0.12
_PITCH_HZ: Final = 130.0
_BREATH: Final = 0.05
_THROAT: Final = ((650.0, 90.0, 1.0), (1150.0, 110.0, 0.7), (2400.0, 160.0, 0.4))
"""Resonances of the throat: Hz, width in Hz, strength."""


def cough() -> bytes:
    """A short cough: a burst of breath, then the throat's voice dying away.

    Made so that it is taken for the beginning of speech (bare noise is not, and rightly so), and is over before it
    could be a word. The same at every call.
    """
    rate, chance = codec.SAMPLE_RATE, random.Random(3)  # noqa: S311  (a sound, not a secret)
    breath = [
        chance.gauss(0, 1) * min(1.0, index / rate / 0.005) * math.exp(-index / rate / 0.04)
        for index in range(int(_BURST_S * rate))
    ]
    voice, phase, length = [], 0.0, int(_THROAT_S * rate)
    for index in range(length):
        at = index / rate
        phase += _PITCH_HZ * (1 - 0.3 * index / length) / rate
        pulse, phase = (4.5, phase - 1) if phase >= 1 else (0.0, phase)
        voice.append((pulse + chance.gauss(0, _BREATH)) * min(1.0, at / 0.01, (_THROAT_S - at) / 0.06))
    sound = [sum(parts) for parts in zip(*(_resonate([*breath, *voice], *one) for one in _THROAT), strict=True)]
    loudest = max(map(abs, sound))
    return _to_mulaw([0.5 * value / loudest for value in sound])


def _resonate(sound: list[float], hz: float, width_hz: float, strength: float) -> list[float]:
    """Let `sound` ring at `hz`: a filter of two poles."""
    radius = math.exp(-math.pi * width_hz / codec.SAMPLE_RATE)
    first, second = 2 * radius * math.cos(2 * math.pi * hz / codec.SAMPLE_RATE), -radius * radius
    before, earlier, rung = 0.0, 0.0, []
    for value in sound:
        before, earlier = (1 - radius) * value + first * before + second * earlier, before
        rung.append(strength * before)
    return rung


def _to_mulaw(values: list[float]) -> bytes:
    """Samples of -1 to 1 as mu-law; what is louder is cut off."""
    whole = [max(-32768, min(32767, round(value * 32768))) for value in values]
    return codec.linear16_to_mulaw(struct.pack(f"<{len(whole)}h", *whole))
