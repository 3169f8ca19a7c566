"""Audio on its way to the recogniser: encodings, rates, odd pieces, what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bridge.errors import ProtocolError, SpeechError
from bridge.speech_server import samples
from bridge.speech_server.engine import Samples
from bridge.speech_server.jobs import Job, Recognize
from bridge.speech_server.listening import Listener, StreamAudio
from bridge.speech_server.turns import Ended, Started, Turns
from bridge.speech_server.worker import Priority

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 8000)).astype(np.float32)
"""Two seconds at 8000 Hz."""

ENCODED = {
    "pcm_mulaw": samples.encode(samples.to_linear16(TONE), "pcm_mulaw"),
    "pcm_alaw": samples.encode(samples.to_linear16(TONE), "pcm_alaw"),
    "pcm_s16le": samples.to_linear16(TONE),
    "pcm_s32le": (TONE.astype(np.float64) * 2**31).astype("<i4").tobytes(),
    "pcm_f16le": TONE.astype("<f2").tobytes(),
    "pcm_f32le": TONE.astype("<f4").tobytes(),
}


def listened(audio: bytes, encoding: str, rate: int = 8000, piece: int = 1001) -> tuple[StreamAudio, Samples]:
    """What comes out if the audio goes in in pieces that do not fit its samples."""
    stream = StreamAudio(encoding, rate)
    heard = []
    for at in range(0, len(audio), piece):
        stream.add(audio[at : at + piece])
        heard += list(stream.windows())
    stream.finish()
    heard += list(stream.windows())
    assert all(len(window) == stream.window_samples for window in heard)
    return stream, np.concatenate(heard)


@pytest.mark.parametrize("encoding", ENCODED)
def test_all_encodings_say_the_same_whatever_the_pieces(encoding: str) -> None:
    _, heard = listened(ENCODED[encoding], encoding)
    assert np.abs(heard[: len(TONE)] - TONE).max() < 0.02
    assert not heard[len(TONE) :].any()


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
def test_other_rates_keep_the_pitch_and_the_length(rate: int) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype("<f4")
    stream, heard = listened(tone.tobytes(), "pcm_f32le", rate)
    assert stream.rate == (8000 if rate == 8000 else 16000)
    assert abs(len(heard) / stream.rate - 2) < 0.05
    spectrum = np.abs(np.fft.rfft(heard[: 2 * stream.rate]))
    assert abs(spectrum.argmax() / 2 - 440) < 2


@pytest.mark.parametrize("rate", [0, 7999, 48001])
def test_rates_that_are_not_served(rate: int) -> None:
    with pytest.raises(ProtocolError, match="sample_rate"):
        StreamAudio("pcm_s16le", rate)


def test_nonsense_floats_are_silence_or_full_scale() -> None:
    wild = np.array([np.nan, np.inf, -np.inf, 7.0], "<f4").tobytes()
    decoded = samples.to_floats(samples.decode(wild, "pcm_f32le"))
    assert decoded.tolist() == pytest.approx([0, 1, -1, 1], abs=0.001)


def test_old_audio_is_forgotten_and_the_rest_stays_in_place() -> None:
    stream = StreamAudio("pcm_s16le", 8000)
    ramp = np.arange(32000, dtype="<i2").tobytes()
    stream.add(ramp)
    list(stream.windows())
    before = stream.stretch(3000, 3500)
    stream.forget(2900)
    assert stream.stretch(3000, 3500) == before
    assert stream.stretch(0, 100) == b""
    stream.forget(3000)  # too little to be worth moving
    stream.add(ramp[:1024])
    assert len(list(stream.windows())) == 2


def test_where_there_is_sound() -> None:
    rate = 16000
    silence, sound = np.zeros(rate // 2, np.float32), np.full(rate // 2, 0.3, np.float32)
    assert samples.sounding(np.concatenate([silence, sound, silence, sound]), rate) == [(0.5, 1.0), (1.5, 2.0)]
    assert samples.sounding(silence[:0], rate) == []


class Scripted:
    """A detector and a pool that need no models: loud windows are speech, texts come from a list."""

    window_samples = 256

    def __init__(self, *texts: str | None) -> None:
        self.texts = list(texts)
        self.jobs: list[Recognize] = []
        self.waiting = asyncio.Event()
        self.waiting.set()

    def score(self, window: Samples) -> float:
        return float(np.abs(window).max() > 0.1)

    def reset(self) -> None: ...

    async def recognize(self, job: Job | Callable[[], Job], priority: Priority) -> str:
        job = job() if callable(job) else job
        assert isinstance(job, Recognize)
        if priority is Priority.PREVIEW:
            return ""
        self.jobs.append(job)
        await self.waiting.wait()
        text = self.texts.pop(0)
        if text is None:
            raise SpeechError("broken", code="speech_server", final=False)
        return text


def listener(script: Scripted) -> tuple[Listener, list[Any]]:
    told: list[Any] = []
    return Listener(Turns(), StreamAudio("pcm_s16le", 8000), script, script, told.append), told  # type: ignore[arg-type]  # stands in for the pool


async def test_a_burst_is_heard_turn_by_turn_as_in_real_time() -> None:
    """A client that sends a minute in one go gets the turns that a speaker would have got."""
    speech, silence = samples.to_linear16(TONE), bytes(2 * 12000)
    script = Scripted("One.", "Two.", "Three.")
    hearing, told = listener(script)
    await hearing.hear((speech + silence) * 3)
    await hearing.finish()
    assert [item.text for item in told if isinstance(item, Ended)] == ["One.", " Two.", " Three."]
    assert sum(isinstance(item, Started) for item in told) == 3
    assert all(len(job.audio) <= len(speech) + 16 * 1000 for job in script.jobs)


async def test_finish_waits_for_the_text() -> None:
    script = Scripted("Hello.")
    script.waiting.clear()
    hearing, told = listener(script)
    await hearing.hear(samples.to_linear16(TONE))
    asyncio.get_running_loop().call_later(0.05, script.waiting.set)
    await hearing.finish()
    assert told[-1] == Ended("Hello.")


async def test_a_failed_transcription_ends_the_turn_without_text() -> None:
    hearing, told = listener(Scripted(None))
    await hearing.hear(samples.to_linear16(TONE))
    await hearing.finish()
    assert told[-1] == Ended("")


async def test_after_abort_nothing_is_told() -> None:
    script = Scripted("Hello.")
    script.waiting.clear()
    hearing, told = listener(script)
    await hearing.hear(samples.to_linear16(TONE) + bytes(8000))
    before = list(told)
    hearing.abort()
    script.waiting.set()
    await asyncio.sleep(0.01)
    assert told == before
