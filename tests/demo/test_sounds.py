from __future__ import annotations

import pytest

from bridge.audio import codec, wav
from bridge.audio.vad import WINDOW_MS
from bridge.demo import sounds
from bridge.demo.lines import READER
from bridge.errors import MissingExtraError
from bridge.simulator.listening import speech_bounds
from bridge.speech_server.engines.silero import Silero
from bridge.speech_server.samples import to_floats
from bridge.speech_server.turns import Ended, Started, Transcribe, Turns


def heard(audio: bytes, *, lead_ms: float) -> list[object]:
    """What a turn detector makes of audio, without a recogniser."""
    window = WINDOW_MS * codec.BYTES_PER_MS
    stream = codec.silence(500 + lead_ms) + audio + codec.silence(1500)
    samples = to_floats(codec.mulaw_to_linear16(stream))
    detector, turns = Silero(codec.SAMPLE_RATE), Turns()
    return [
        output
        for at in range(0, len(samples) - window, window)
        for output in turns.hear(detector.score(samples[at : at + window]))
    ]


@pytest.mark.parametrize("lead_ms", range(0, WINDOW_MS, 5))
def test_the_cough_begins_a_turn_and_ends_it_without_words(lead_ms: int) -> None:
    assert heard(sounds.cough(), lead_ms=lead_ms) == [Started(), Ended("")]


def test_the_message_is_one_stretch_of_speech_at_the_level_of_a_phone_call() -> None:
    audio = sounds.recorded_message()
    bounds = speech_bounds(audio)
    assert bounds is not None
    assert bounds[0] < 0.1
    assert len(audio) / 8000 - bounds[1] < 0.2
    ends = [output for output in heard(audio, lead_ms=0) if isinstance(output, Started | Ended | Transcribe)]
    assert sum(isinstance(output, Started) for output in ends) == 1
    loudest = max(abs(sample) for sample in to_floats(codec.mulaw_to_linear16(audio)))
    assert 0.4 < loudest < 0.95


def test_the_recording_says_who_reads_it() -> None:
    file = sounds.recording_path().read_bytes()
    assert b"Pete Warden" in file
    assert b"CC Zero Licensed" in file
    assert b"A Tale of Two Cities" in file
    assert READER.startswith("Pete Warden")
    assert wav.parse(file, name="recording").seconds > 40


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'phone-bridge\[local\]'"):
        sounds.recording_path()
