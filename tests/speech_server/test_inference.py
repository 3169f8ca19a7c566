"""What an inference process does with its jobs, in this process and with engines of our own."""

from __future__ import annotations

import io

import numpy as np
import pytest

from bridge.errors import MissingExtraError, SettingsError
from bridge.speech_server import samples
from bridge.speech_server.engine import Samples
from bridge.speech_server.inference import run, speak, transcribe, work
from bridge.speech_server.jobs import Failed, Job, Recognize, Recognized, Speak, Spoken, packed, read_job
from bridge.speech_server.refusals import error_of

RATE = 16000


class Tone:
    """A voice that hums a tenth of a second for each letter, with silence around it."""

    name = "tone"
    sample_rate = RATE
    voices: tuple[str, ...] = ("a",)

    def speak(self, text: str, *, voice: str, speed: float, volume: float) -> bytes:
        hum = 0.5 * np.sin(np.arange(int(len(text) * RATE / 10)) / 5)
        around = np.zeros(RATE // 2)
        return samples.to_linear16(np.concatenate([around, hum, around]).astype(np.float32))


class Says:
    """A recogniser that says always the same."""

    name = "says"
    languages: frozenset[str] | None = None

    def __init__(self, text: str) -> None:
        self.text = text
        self.heard: Samples = np.zeros(0, np.float32)

    def transcribe(self, audio: Samples, language: str) -> str:
        if self.text == "!":
            raise RuntimeError("model fell over")
        self.heard = audio
        return self.text


def spoken(text: str, **fields: float) -> Spoken:
    return speak(Tone(), Speak(7, text, "a", None, "pcm_s16le", 8000, **fields))


def test_silence_around_a_sentence_is_cut() -> None:
    done = spoken("abcdefghij")
    assert done.id == 7
    assert done.seconds == pytest.approx(1.08, abs=0.02)
    assert len(done.audio) == pytest.approx(done.seconds * 16000, abs=4)
    ((word, start, end),) = done.words
    assert word == "abcdefghij"
    assert (start, end) == pytest.approx((0.02, 1.02), abs=0.015)


def test_leads_and_breaks_are_silence_and_move_the_words() -> None:
    done = spoken('abcde <break time="500ms"/> fghij', lead=0.3)
    (_, start, end), (_, second, _) = done.words
    assert start == pytest.approx(0.32, abs=0.02)
    assert second - end == pytest.approx(0.58, abs=0.03)
    sound = samples.to_floats(done.audio)
    assert not sound[: int(0.29 * 8000)].any()


def test_a_sentence_without_sound() -> None:
    assert speak(Tone(), Speak(1, "", "a", None, "pcm_mulaw", 8000)).audio == b""


def test_recognised_text_is_guarded_and_heard_at_its_rate() -> None:
    audio = samples.to_linear16(np.full(8000, 0.2, np.float32))
    engine = Says("You")
    assert transcribe(engine, Recognize(3, audio, 8000, voiced_ms=300)) == Recognized(3, "")
    assert len(engine.heard) == 16000
    assert transcribe(engine, Recognize(3, audio, 8000, voiced_ms=900)) == Recognized(3, "You")


def test_a_job_that_fails_is_reported() -> None:
    report = work(Says("!"), None, Recognize(5, b"\0\0" * 100, 8000, 500))
    assert report == Failed(5, "engine", "RuntimeError: model fell over")
    assert isinstance(work(Says(""), None, Speak(6, "a", "a", None, "pcm_mulaw", 8000)), Failed)


def test_jobs_survive_the_pipe() -> None:
    jobs: list[Job] = [
        Recognize(1, bytes(range(256)) * 500, 8000, 10),
        Speak(2, "é", "v", "en", "pcm_mulaw", 8000, 0.9),
    ]
    pipe = io.BytesIO(b"".join(packed(job) for job in jobs))
    assert [read_job(pipe), read_job(pipe), read_job(pipe)] == [*jobs, None]


def test_an_engine_that_cannot_be_loaded_is_reported() -> None:
    reports = io.BytesIO()
    assert run(["recognizer", "siri"], io.BytesIO(), reports) == 1
    assert b"'siri'" in reports.getvalue()


def test_errors_cross_the_pipe() -> None:
    original = MissingExtraError("whisper", "speech recognition by whisper")
    failed = Failed(0, original.code, original.message, original.extra)
    again = error_of(failed.code, failed.message, failed.extra)
    assert isinstance(again, MissingExtraError)
    assert again.message == original.message
    assert isinstance(error_of("settings", "no", None), SettingsError)
    assert error_of("odd", "no", None).code == "odd"
